//! Man pages and completions of the three programs, from their own command lines, for packages:
//!
//! cargo run --example pages -- DIR
//!
//! Writes DIR/man/*.1 (one for each command) and DIR/completions/{bash,zsh,fish}/.

use std::path::Path;
use std::{fs, io};

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};

const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("name the directory to write into"))?;
    let dir = Path::new(&dir);
    let programs = [
        falconqueue::daemon::Args::command(),
        falconqueue::worker::args::Args::command(),
        falconqueue::cli::args::Args::command(),
    ];
    programs.into_iter().try_for_each(|program| write(program, dir))
}

fn write(mut program: Command, dir: &Path) -> io::Result<()> {
    let man = dir.join("man");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(program.clone(), &man)?;
    let name = program.get_name().to_owned();
    for (shell, word) in SHELLS {
        let place = dir.join("completions").join(word);
        fs::create_dir_all(&place)?;
        generate_to(shell, &mut program, &name, &place)?;
    }
    Ok(())
}
