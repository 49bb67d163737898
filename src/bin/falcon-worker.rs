//! A FalconQueue worker: runs a command for each job.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::stderr::Lines;
use falconqueue::worker::args;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let lines = Lines::start("info");
    lines.end("falcon-worker", args::run(args))
}
