//! `falcon-cli completions`: what a shell has to know to complete this program's commands and options.

use std::io;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Stop;
use super::args::Args;

pub fn run(shell: Shell) -> Result<(), Stop> {
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "falcon-cli", &mut script);
    Ok(io::Write::write_all(&mut io::stdout().lock(), &script)?)
}
