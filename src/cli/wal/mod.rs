//! `falcon-cli wal`: the commands that read the files of a log, or repair them. None of them asks a master.

mod dir;
mod dump;
mod repair;
mod salvage;
mod stats;
pub mod verify;
pub mod watched;

use super::Stop;
use super::args::{Common, WalCommand};

pub fn run(common: &Common, command: &WalCommand) -> Result<(), Stop> {
    match command {
        WalCommand::Dump(args) => dump::run(common, args),
        WalCommand::Verify { dir } => verify::run(common, dir),
        WalCommand::Repair(args) => repair::run(common, args),
        WalCommand::Stats { dir } => stats::run(common, dir),
    }
}
