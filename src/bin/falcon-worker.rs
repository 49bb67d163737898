//! A FalconQueue worker: runs a command for each job.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::{exit, worker::args};

fn main() -> ExitCode {
    let args = args::Args::parse();
    env_logger::Builder::from_env(env_logger::Env::default().filter_or("FALCON_LOG", "info")).init();
    exit::report("falcon-worker", args::run(args))
}
