//! Looking at all jobs at once: for commands, not for the running master.

use super::Queues;
use crate::ids::{JobId, Location};

impl Queues {
    /// The jobs that have a payload and where that lies, in the order of their ids.
    pub fn payloads(&self) -> impl Iterator<Item = (JobId, Location)> {
        let entries = self.table.slots().map(|slot| &self.table[slot]);
        entries.filter(|entry| entry.payload_bytes > 0).map(|entry| (entry.id, entry.payload_at))
    }
}
