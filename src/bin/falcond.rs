//! The FalconQueue master.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::{daemon, exit};

fn main() -> ExitCode {
    let args = daemon::Args::parse();
    env_logger::Builder::from_env(env_logger::Env::default().filter_or("FALCON_LOG", "info")).init();
    exit::report("falcond", daemon::run(&args))
}
