//! `falcon-cli`: submits jobs and looks at what became of them; copies, checks and repairs logs.
//!
//! Data goes to stdout through one door (`render`), words go to stderr. A reader that has seen enough (`| head`) is no
//! error. The exit statuses are listed in [`args`].

pub mod args;

mod ask;
mod backup;
mod batch;
mod completions;
mod connect;
mod doctor;
mod ends;
mod events;
mod explain;
mod groups;
mod input;
mod interrupt;
mod job;
mod job_events;
mod jobs_file;
mod lease;
mod list;
mod lookup;
mod mend;
mod names;
mod nearest;
mod new_queue;
mod progress;
mod queue;
mod queue_state;
mod recent;
mod render;
mod schedule;
mod schedule_file;
mod schedule_state;
mod snapshot;
mod stats;
mod storage;
mod submit;
mod table;
#[cfg(feature = "top")]
mod top;
mod wait;
mod wal;
mod when;
mod worker;

/// The format of jobs files, for the targets of `fuzz/` alone.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use super::jobs_file::{parse, text};
    pub use crate::shapes::Entry;
}

use std::io;

use crate::client::{Client, ClientError};
use crate::exit::{self, Failure};
use crate::protocol::{ErrorCode, Refusal};

use args::{Args, Command, Common, JobCommand};
use mend::Mend;

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
            error if error.is_denied() => exit::DENIED,
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

/// What was asked for, or nothing where the job is gone or is not what it was.
fn unless_gone<T>(outcome: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match outcome {
        Err(ClientError::Refused(Refusal { code: ErrorCode::NotFound | ErrorCode::WrongState, .. })) => Ok(None),
        outcome => outcome.map(Some),
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    let Args { common, command } = args;
    let outcome = match command {
        Command::Submit(submit) => submit::run(&common, &submit),
        Command::Stats(args) => stats::run(&common, &args),
        Command::Events(args) => recent::run(&common, &args),
        Command::Storage => storage::run(&common),
        #[cfg(feature = "top")]
        Command::Top(args) => top::run(&common, &args),
        Command::Snapshot => snapshot::run(&common),
        Command::Backup { dir } => backup::run(&common, &dir),
        Command::Job(command) => job_command(&common, &command),
        Command::Queue(command) => queue::run(&common, &command),
        Command::Batch(command) => batch::run(&common, &command),
        Command::Schedule(command) => schedule::run(&common, &command),
        Command::Worker(command) => worker::run(&common, &command),
        Command::Wait(wait) => wait::run(&common, &wait),
        Command::Drain(drain) => wait::drain(&common, &drain),
        Command::Doctor(doctor) => doctor::run(&common, &doctor),
        Command::Completions { shell } => completions::run(shell),
        Command::Wal(wal) => wal::run(&common, &wal.command),
    };
    match outcome {
        Ok(()) | Err(Stop::OutputClosed | Stop::Enough) => Ok(()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

fn job_command(common: &Common, command: &JobCommand) -> Result<(), Stop> {
    match command {
        JobCommand::Show(one) => job::show(common, one),
        JobCommand::Explain(one) => explain::job(common, one),
        JobCommand::List(list) => list::run(common, list),
        JobCommand::Payload(one) => job::text(common, one, Client::payload),
        JobCommand::Result(one) => job::text(common, one, Client::result),
        JobCommand::Log { one, since } => job_events::run(common, one, *since),
        JobCommand::Requeue(mending) => mend::run(common, mending, &Mend::requeue()),
        JobCommand::Cancel { force, mending } => mend::run(common, mending, &Mend::cancel(*force)),
        JobCommand::Purge(mending) => mend::run(common, mending, &Mend::purge()),
        JobCommand::Update { update, mending } => mend::run(common, mending, &Mend::update(update)),
        JobCommand::Progress { percent, text, lease } => lease::progress(common, lease, *percent, text),
        JobCommand::Alive { lease } => lease::alive(common, lease),
    }
}
