//! The FalconQueue master.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::daemon;
use falconqueue::stderr::Lines;

fn main() -> ExitCode {
    let args = daemon::Args::parse();
    let lines = Lines::start("info");
    lines.end("falcond", daemon::run(&args))
}
