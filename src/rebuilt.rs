//! The state that a log comes to: what the master opens with, and what the commands of `falcon-cli wal` look at.

use crate::codec::DecodeError;
use crate::ids::{Location, Lsn};
use crate::queue::{Event, Queues, Restoring};
use crate::time::Timestamp;
use crate::wal::{Record, RecordHead, Restore, WalError};

/// The state that a log comes to, while it is read.
#[derive(Debug, Default)]
pub struct Rebuilt {
    pub queues: Queues,
    /// Moment of the newest record.
    pub last_at: Timestamp,
    restoring: Restoring,
}

impl Rebuilt {
    /// Carries out the event of a record.
    ///
    /// # Errors
    /// `Replay` when it does not fit what came before.
    pub fn event(&mut self, record: &Record<'_>, event: &Event<'_>) -> Result<(), WalError> {
        let RecordHead { lsn, at, .. } = record.head;
        self.last_at = self.last_at.max(at);
        self.queues.apply(lsn, at, event, tail_at(record, event)).map_err(|broken| replay(broken.to_string()))
    }

    /// Holds the state against the segments that are there: every payload and story has to lie in one.
    ///
    /// # Errors
    /// `Gone` when one is missing.
    pub fn check_segments(&self, has_segment: impl Fn(u32) -> bool) -> Result<(), WalError> {
        let Some(epoch) = self.queues.live_epochs().find(|epoch| !has_segment(*epoch)) else { return Ok(()) };
        let texts = self.queues.live_in(epoch).texts;
        Err(WalError::Gone { epoch, texts })
    }
}

/// The event of a record.
///
/// # Errors
/// `Later` when only a later falcond knows it, `Replay` when it cannot be read.
pub fn event_of<'r>(record: &Record<'r>) -> Result<Event<'r>, WalError> {
    let RecordHead { lsn, kind, .. } = record.head;
    Event::decode(kind, record.body).map_err(|error| {
        let what = if error.is_unknown() { format!("an event of kind {kind}") } else { format!("record {lsn}") };
        unread(&error, Some(lsn), what)
    })
}

/// What cannot be read since it is unknown here, or since it is wrong.
fn unread(error: &DecodeError, lsn: Option<Lsn>, what: String) -> WalError {
    if error.is_unknown() {
        return WalError::Later { file: None, lsn, what: format!("{what} ({error})") };
    }
    replay(format!("{what}: {error}"))
}

fn replay(why: String) -> WalError {
    WalError::Replay { why }
}

impl Restore for Rebuilt {
    fn begun(&mut self, lsn: Lsn) {
        self.restoring = Restoring::up_to(lsn);
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> Result<(), WalError> {
        self.restoring
            .block(&mut self.queues, kind, body)
            .map_err(|error| unread(&error, None, format!("a snapshot's block of kind {kind}")))
    }

    fn loaded(&mut self, _lsn: Lsn, at: Timestamp) -> Result<(), WalError> {
        let finished = std::mem::take(&mut self.restoring).finish(&mut self.queues);
        finished.map_err(|error| unread(&error, None, "a snapshot".to_owned()))?;
        self.last_at = self.last_at.max(at);
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        self.event(record, &event_of(record)?)
    }

    fn ended(&mut self, has_segment: &dyn Fn(u32) -> bool) -> Result<(), WalError> {
        self.check_segments(has_segment)
    }
}

/// Where an event's tail lies: at the end of its record.
pub fn tail_at(record: &Record<'_>, event: &Event<'_>) -> Location {
    before_end(record, event.tail().len())
}

/// What lies so many bytes before a record's end.
pub fn before_end(record: &Record<'_>, bytes: usize) -> Location {
    let offset = u32::try_from(record.body.len() - bytes).expect("a record is within its limit");
    Location { epoch: record.head.epoch, offset: record.body_at + offset }
}
