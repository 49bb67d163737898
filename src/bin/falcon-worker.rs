//! A FalconQueue worker: runs a command for each job.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::stderr::Lines;
use falconqueue::worker::{Reaper, args};

fn main() -> ExitCode {
    if Reaper::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    let args = args::Args::parse();
    let lines = Lines::start("info");
    lines.end("falcon-worker", args::run(args))
}
