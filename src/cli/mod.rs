//! `falcon-cli`: submits jobs and looks at what became of them; copies, checks and repairs logs.
//!
//! Data goes to stdout through one door (`render`), words go to stderr. A reader that has seen enough (`| head`) is no
//! error. The exit statuses are listed in [`args`].

pub mod args;

mod backup;
mod connect;
mod events;
mod input;
mod job;
mod job_events;
mod jobs_file;
mod lease;
mod render;
mod snapshot;
mod stats;
mod submit;
mod wait;
mod wal;
mod worker;

/// The format of jobs files, for the targets of `fuzz/` alone.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use super::jobs_file::{FileJob, parse, text};
}

use std::io;

use crate::client::ClientError;
use crate::exit::{self, Failure};
use crate::protocol::ErrorCode;

use args::{Args, Command, JobCommand};

/// Why a command ended early.
#[derive(Debug)]
enum Stop {
    /// Nobody reads stdout any more.
    OutputClosed,
    /// As much was written as was asked for.
    Enough,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Stop::OutputClosed;
        }
        Stop::Failed(Failure::new(exit::IO, format!("writing to stdout: {error}")))
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        let status = match &error {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::NotTheProtocol { .. } => {
                exit::UNAVAILABLE
            }
            error if error.is_starting() => exit::UNAVAILABLE,
            ClientError::TimedOut { .. } => exit::TIMED_OUT,
            ClientError::System { .. } => exit::SYSTEM,
            ClientError::Refused(_) | ClientError::Stopped => exit::REFUSED,
        };
        Stop::Failed(Failure::new(status, error))
    }
}

/// What was asked for, where `NotFound` has an exit status of its own.
fn found<T>(outcome: Result<T, ClientError>) -> Result<T, Stop> {
    outcome.map_err(|error| match error {
        ClientError::Refused(refusal) if refusal.code == ErrorCode::NotFound => {
            Failure::new(exit::NOT_FOUND, refusal.text).into()
        }
        error => Stop::from(error),
    })
}

pub fn run(args: Args) -> Result<(), Failure> {
    let Args { common, command } = args;
    let outcome = match command {
        Command::Submit(submit) => submit::run(&common, &submit),
        Command::Stats => stats::run(&common),
        Command::Snapshot => snapshot::run(&common),
        Command::Backup { dir } => backup::run(&common, &dir),
        Command::Job(JobCommand::Show { id }) => job::show(&common, id),
        Command::Job(JobCommand::Log { id }) => job_events::run(&common, id),
        Command::Job(JobCommand::Progress { percent, text, lease }) => lease::progress(&common, &lease, percent, &text),
        Command::Job(JobCommand::Alive { lease }) => lease::alive(&common, &lease),
        Command::Worker(command) => worker::run(&common, &command),
        Command::Wait(wait) => wait::run(&common, &wait),
        Command::Wal(command) => wal::run(&common, &command),
    };
    match outcome {
        Ok(()) | Err(Stop::OutputClosed | Stop::Enough) => Ok(()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}
