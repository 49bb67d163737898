//! Backups: a client is told which files make up the log now, and reads them piece by piece. The segments are pinned as
//! long as its backup lasts; what they hold is never written again, so the copy is that of one moment.

use crate::ids::SessionId;
use crate::time::{Millis, Timestamp};
use crate::wal::BackedUp;

/// How long a backup may go unread: it keeps segments that nothing else needs.
const BACKUP_IDLE_MAX: Millis = Millis(60_000);

/// All backups that are being read.
#[derive(Debug, Default)]
pub struct Backups {
    backups: Vec<(SessionId, Vec<BackedUp>, Timestamp)>,
}

impl Backups {
    /// Notes a backup; one that the same reader had is ended.
    pub fn begin(&mut self, reader: SessionId, backup: Vec<BackedUp>, now: Timestamp) {
        self.end(reader);
        self.backups.push((reader, backup, now));
    }

    /// The backup of this reader, who reads from it now.
    pub fn of(&mut self, reader: SessionId, now: Timestamp) -> Option<&[BackedUp]> {
        let (_, backup, used_at) = self.backups.iter_mut().find(|(id, ..)| *id == reader)?;
        *used_at = now;
        Some(backup)
    }

    pub fn end(&mut self, reader: SessionId) {
        self.backups.retain(|(id, ..)| *id != reader);
    }

    /// Ends the backups that nobody has read from for a while.
    pub fn end_idle(&mut self, now: Timestamp) {
        self.backups.retain(|(_, _, used_at)| now.since(*used_at) <= BACKUP_IDLE_MAX);
    }
}
