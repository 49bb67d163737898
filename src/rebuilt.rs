//! The state that a log comes to: what the master opens with, and what the commands of `falcon-cli wal` look at.

use crate::ids::{Location, Lsn};
use crate::queue::{Event, Queues, Restoring};
use crate::time::Timestamp;
use crate::wal::{Record, RecordHead, Restore, WalError};

/// The state that a log comes to, while it is read.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// The state.
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
        let RecordHead { lsn, at, epoch, .. } = record.head;
        self.last_at = self.last_at.max(at);
        let location = payload_location(epoch, record.body_at, record.body.len(), event);
        self.queues.apply(lsn, at, event, location).map_err(|broken| replay(broken.to_string()))
    }

    /// Holds the state against the segments that are there: every payload has to lie in one.
    ///
    /// # Errors
    /// `Replay` when one is missing.
    pub fn check_segments(&self, has_segment: impl Fn(u32) -> bool) -> Result<(), WalError> {
        let Some(epoch) = self.queues.live_epochs().find(|epoch| !has_segment(*epoch)) else { return Ok(()) };
        let jobs = self.queues.live_in(epoch).jobs;
        Err(replay(format!(
            "the segment of epoch {epoch} is missing, and with it the payloads of {jobs} jobs"
        )))
    }
}

fn replay(why: String) -> WalError {
    WalError::Replay { why }
}

impl Restore for Rebuilt {
    fn block(&mut self, kind: u32, body: &[u8]) -> Result<(), WalError> {
        self.restoring
            .block(&mut self.queues, kind, body)
            .map_err(|error| replay(format!("a snapshot's block of kind {kind}: {error}")))
    }

    fn loaded(&mut self, _lsn: Lsn, at: Timestamp) -> Result<(), WalError> {
        std::mem::take(&mut self.restoring).finish(&mut self.queues);
        self.last_at = self.last_at.max(at);
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        let event = Event::decode(record.head.kind, record.body)
            .map_err(|error| replay(format!("record {}: {error}", record.head.lsn)))?;
        self.event(record, &event)
    }
}

/// Where an event's payload lies, if its record holds one: it is the end of the record's body.
fn payload_location(epoch: u32, body_at: u32, body_bytes: usize, event: &Event<'_>) -> Location {
    let Some(payload) = event.payload() else { return Location::default() };
    let head_bytes = u32::try_from(body_bytes - payload.len()).expect("a record is within its limit");
    Location { epoch, offset: body_at + head_bytes }
}
