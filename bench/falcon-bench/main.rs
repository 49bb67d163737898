//! `falcon-bench`: one load generator for FalconQueue and for its peers, and the comparison of them.
//!
//! One thread on mio plays all producers and all workers (`engine`); each protocol is an encoder and a decoder
//! without input or output (`wire`); every job is booked, and a run in which one was lost, doubled or refused has no
//! figures (`books`). The servers are started and ended here (`server`), a run of a scenario against one of them is
//! in `runs`, and `compare` goes round them. `bench/README.md` says what the scenarios mean.

// Figures are for people: nobody misses the digits that a float has not.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

mod args;
mod books;
mod compare;
mod conn;
mod control;
mod echo;
mod engine;
mod load;
mod machine;
mod place;
mod plot;
mod progress;
mod report;
mod runs;
mod scenario;
mod schedule;
mod server;
mod sync;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{Arguments, Command};
use crate::load::Figures;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Compare(args) => compare::compare(&args),
        Command::Load(args) => args.load().and_then(|load| engine::run(&load)).map(|figures| printed(&figures)),
        Command::Echo { port, log } => {
            echo::serve(port, log.as_deref()).map(|()| true).map_err(|error| error.to_string())
        }
        Command::Sync { dir, seconds } => {
            sync::run(&dir, Duration::from_secs_f64(seconds), None).map(|figures| printed(&figures))
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("falcon-bench: some servers have no figures");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("falcon-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn printed(figures: &Figures) -> bool {
    println!("{:#}", serde_json::json!(figures));
    true
}
