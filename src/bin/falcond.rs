//! The FalconQueue master.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::daemon;
use falconqueue::stderr::Lines;
use falconqueue::worker::Reaper;

fn main() -> ExitCode {
    if Reaper::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    let args = daemon::Args::parse();
    let lines = Lines::start("info");
    lines.end("falcond", daemon::run(&args))
}
