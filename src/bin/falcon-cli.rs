//! Submits jobs to a FalconQueue master and looks at what became of them.

use std::process::ExitCode;

use clap::Parser;
use falconqueue::cli;
use falconqueue::stderr::Lines;

fn main() -> ExitCode {
    let args = cli::args::Args::parse();
    let lines = Lines::of_environment("warn");
    lines.end("falcon-cli", cli::run(args))
}
