//! Keeping the log: snapshots, cleaning and backups, a slice each turn.
//!
//! It knows nothing of clients: that a snapshot is wanted is told to it, and that one was made it tells.

mod backups;
mod cleaning;
mod snapshots;
mod victims;

use super::journal::Journal;
use crate::ids::Lsn;
use crate::time::Timestamp;
use crate::wal::WalError;

use backups::Backups;
use cleaning::Cleaning;
use snapshots::Snapshots;

#[derive(Debug, Default)]
pub struct Keeping {
    pub snapshots: Snapshots,
    pub cleaning: Cleaning,
    pub backups: Backups,
}

/// What a turn's share of work came to.
#[derive(Debug)]
pub enum Kept {
    Nothing,
    /// A snapshot that holds everything up to this LSN is on disk.
    Snapshot {
        lsn: Lsn,
        bytes: u64,
    },
    /// One that was wanted could not be written: a sentence for a person.
    NoRoom(String),
}

impl Keeping {
    /// The turn's share; `wanted` says that somebody waits for a snapshot.
    pub fn work(&mut self, journal: &mut Journal, wanted: bool, now: Timestamp) -> Result<Kept, WalError> {
        let kept = self.snapshots.work(journal, wanted, now)?;
        if let Kept::Snapshot { .. } = kept {
            self.cleaning.look_again();
        }
        self.cleaning.work(journal, &mut self.backups, now)?;
        Ok(kept)
    }

    /// When a turn is due for any of it.
    pub fn next_deadline(&self, journal: &Journal, turn_at: Timestamp, wanted: bool) -> Option<Timestamp> {
        let snapshots = self.snapshots.next_deadline(turn_at, journal.wal.durable(), wanted);
        snapshots.into_iter().chain(self.cleaning.next_deadline(journal, turn_at)).min()
    }
}
