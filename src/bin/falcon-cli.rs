//! Submits jobs to a FalconQueue master and looks at what became of them.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::{cli, exit};

fn main() -> ExitCode {
    let args = cli::args::Args::parse();
    env_logger::Builder::from_env(env_logger::Env::default().filter_or("FALCON_LOG", "warn")).init();
    exit::report("falcon-cli", cli::run(args))
}
