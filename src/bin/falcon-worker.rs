//! A FalconQueue worker: runs a command for each job.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::stderr::Lines;
use falconqueue::worker::{Reaper, Through, args};

fn main() -> ExitCode {
    if Reaper::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    let args = args::Args::parse();
    let lines = Lines::of_environment(if args.verbose { "info,falconqueue::worker::tell=debug" } else { "info" });
    let outcome = args::run(args, Through::new(lines.entrance()));
    lines.end("falcon-worker", outcome)
}
