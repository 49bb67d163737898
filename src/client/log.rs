//! What happened to a job, page by page.

use std::time::Duration;

use super::{Client, ClientError};
use crate::ids::{JobId, Lsn};
use crate::limits::READING_WAIT_MS_MAX;
use crate::protocol::{self, LoggedEvent, Missing};
use crate::time::Timestamp;

/// An event of a job. With the features `cli` or `embedded` there is `queue::Event::decode` to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Number of its record in the log.
    pub lsn: Lsn,
    /// When it happened.
    pub at: Timestamp,
    /// Number of its kind, which may be one of a later version.
    pub kind: u8,
    /// Its fields, as they stand in the log.
    pub body: Vec<u8>,
}

/// A piece of what happened to a job. It may be empty and not be the last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogPage {
    /// Ascending by LSN.
    pub events: Vec<LogEvent>,
    /// Runs of records that the log no longer has, ascending; events of the job may have been among them.
    pub missing: Vec<Missing>,
    /// Where the next page begins, if there is one.
    pub next: Option<Lsn>,
}

impl Client {
    /// Asks what happened to a job, from this LSN on (0 for all), as far as the log still tells it: one page.
    /// `NotFound` when there never was a job of this id.
    pub fn log(&self, job: JobId, from: Lsn) -> Result<LogPage, ClientError> {
        let wait = Duration::from_millis(READING_WAIT_MS_MAX);
        let answer = self.begin(protocol::Log { job, from }, wait)?.wait()?;
        let told = answer.read::<protocol::Log>()?;
        let owned =
            |LoggedEvent { lsn, at, kind, body }: LoggedEvent<'_>| LogEvent { lsn, at, kind, body: body.to_owned() };
        Ok(LogPage {
            events: told.events.iter().map(owned).collect(),
            missing: told.missing.iter().flat_map(|runs| runs.iter().collect::<Vec<_>>()).collect(),
            next: Some(told.next).filter(|next| next.0 > 0),
        })
    }
}
