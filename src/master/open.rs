//! Opening: the state is rebuilt from the newest snapshot and the log after it.

use std::sync::Arc;

use super::{Config, Master, Opened, Random};
use crate::ids::{Location, Lsn};
use crate::queue::{Event, Queues, Restoring};
use crate::time::Timestamp;
use crate::wal::{LogDevice, Progress, Record, Restore, Wal, WalConfig, WalError};

/// The state that a log comes to, while it is read.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// The state.
    pub queues: Queues,
    /// Moment of the newest record.
    pub last_at: Timestamp,
    restoring: Restoring,
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
        let lsn = record.head.lsn;
        let event = Event::decode(record.head.kind, record.body)
            .map_err(|error| replay(format!("record {lsn}: {error}")))?;
        self.last_at = self.last_at.max(record.head.at);
        let location = payload_location(record.head.epoch, record.body_at, record.body.len(), &event);
        self.queues.apply(lsn, record.head.at, &event, location).map_err(|broken| replay(broken.to_string()))
    }
}

/// Where an event's payload lies, if its record holds one: it is the end of the record's body.
fn payload_location(epoch: u32, body_at: u32, body_bytes: usize, event: &Event<'_>) -> Location {
    let Some(payload) = event.payload() else { return Location::default() };
    let head_bytes = u32::try_from(body_bytes - payload.len()).expect("a record is within its limit");
    Location { epoch, offset: body_at + head_bytes }
}

impl Master {
    /// Reads the log and rebuilds the state from it; `progress` tells others how far it is.
    ///
    /// # Errors
    /// See [`WalError`].
    pub fn open(config: Config, device: Arc<dyn LogDevice>, progress: &Progress) -> Result<Opened, WalError> {
        let mut random = Random(config.seed);
        let log_id = u128::from(random.next()) << 64 | u128::from(random.next());
        let mut rebuilt = Rebuilt::default();
        let settings = WalConfig { segment_bytes: config.segment_bytes, log_id, beside: config.beside };
        let wal = Wal::open(device, settings, progress, &mut rebuilt)?;
        let Rebuilt { queues, last_at, .. } = rebuilt;
        if let Some(epoch) = queues.live_epochs().find(|epoch| !wal.has_segment(*epoch)) {
            let jobs = queues.live_in(epoch).jobs;
            return Err(replay(format!(
                "the segment of epoch {epoch} is missing, and with it the payloads of {jobs} jobs"
            )));
        }
        Ok(Opened { master: Master::new(config, queues, wal, random), last_at })
    }
}
