//! The gate between the log and the replies: when a sync is asked for, and what may leave once it is done.
//!
//! Promise: a reply that tells of the state leaves when everything that it tells is durable, as `--sync` defines it.

use super::{Master, SyncMode};
use crate::ids::{Lsn, SessionId};
use crate::limits::{GROUP_BYTES_BOUND, MARK_IDLE_MS, SYNC_WAIT_MS_MAX};
use crate::planted::{Bug, is_planted};
use crate::protocol::Reply;
use crate::time::{Millis, Timestamp};
use crate::wal::{SyncOutcome, SyncRequest, WalError};

impl Master {
    /// When the log has been silent long enough for a mark, if it wants one.
    pub(super) fn mark_at(&self) -> Option<Timestamp> {
        self.wal.wants_mark().then(|| self.synced_at.plus(Millis(MARK_IDLE_MS)))
    }

    /// Writes a mark if the log wants one, to be made durable by the next sync; says whether it did.
    ///
    /// # Errors
    /// When the log takes no more records.
    pub fn vouch(&mut self, now: Timestamp) -> Result<bool, WalError> {
        if !self.wal.wants_mark() {
            return Ok(false);
        }
        self.wal.append_mark(now)?;
        self.unsynced_since.get_or_insert(now);
        Ok(true)
    }

    /// Whether a sync is to be asked for as soon as nothing more is ready to be read.
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        let wanted = self.config.sync == SyncMode::Always || self.checkpoint.wants_sync();
        wanted && self.wal.has_unsynced() && !self.wal.is_syncing()
    }

    /// Whether enough was written for a sync, and none is under way.
    #[must_use]
    pub fn is_group_full(&self) -> bool {
        self.group_bytes >= GROUP_BYTES_BOUND && !self.wal.is_syncing()
    }

    /// What to make durable now, if anything: `quiet` says that nothing more is ready to be read, which is the
    /// moment to sync; a group that has grown to its bound, in bytes or in time, does not wait for that.
    pub fn sync_request(&mut self, now: Timestamp, quiet: bool) -> Option<SyncRequest> {
        let due = match self.config.sync {
            SyncMode::Always => {
                let waited = self.unsynced_since.map_or(0, |since| now.since(since).0);
                quiet || self.group_bytes >= GROUP_BYTES_BOUND || waited >= SYNC_WAIT_MS_MAX
            }
            SyncMode::Never => false,
            SyncMode::Every(interval) => self.unsynced_since.is_some_and(|since| now >= since.plus(interval)),
        };
        if due || self.checkpoint.wants_sync() { self.sync_all() } else { None }
    }

    /// What to make durable before the daemon stops, in every mode; nothing if all is, or a sync is under way.
    pub fn sync_all(&mut self) -> Option<SyncRequest> {
        let request = self.wal.sync_request()?;
        self.group_bytes = 0;
        self.unsynced_since = None;
        Some(request)
    }

    /// Takes the outcome of a sync and releases the replies that waited for it.
    ///
    /// # Errors
    /// When it failed: nothing more may be sent.
    pub fn synced(&mut self, outcome: &SyncOutcome) -> Result<(), WalError> {
        self.wal.synced(outcome)?;
        self.synced_at = self.turn_at;
        let durable = self.wal.durable();
        while let Some((lsn, id)) = self.gates.front().copied()
            && lsn <= durable
        {
            self.gates.pop_front();
            if let Some(session) = self.sessions.session_mut(id) {
                session.outbox.release(durable);
                self.list_ready(id);
            }
        }
        Ok(())
    }

    /// The LSN that a reply which tells of the state now has to wait for, if it has to wait.
    pub(super) fn gate(&self) -> Option<Lsn> {
        let newest = self.wal.last_lsn();
        let waits = self.config.sync == SyncMode::Always && newest > self.wal.durable();
        (waits && !is_planted(Bug::AckBeforeSync)).then_some(newest)
    }

    /// Writes a reply that leaves when everything that happened so far is durable.
    pub(super) fn reply(&mut self, id: SessionId, correlation: u64, reply: &Reply<'_>) {
        let gate = self.gate();
        self.reply_behind(gate, id, correlation, reply);
    }

    /// Writes a reply that tells nothing of the state, and leaves at once.
    pub(super) fn reply_at_once(&mut self, id: SessionId, correlation: u64, reply: &Reply<'_>) {
        self.reply_behind(None, id, correlation, reply);
    }

    fn reply_behind(&mut self, gate: Option<Lsn>, id: SessionId, correlation: u64, reply: &Reply<'_>) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        reply.encode(correlation, &mut session.outbox.stream(gate.is_some()).bytes);
        self.close_gate(gate, id);
    }

    /// Completes what was written to a session's stream: it leaves when `gate` is durable, or at once.
    pub(super) fn close_gate(&mut self, gate: Option<Lsn>, id: SessionId) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        let Some(lsn) = gate else { return self.list_ready(id) };
        session.outbox.close_gate(lsn);
        if self.gates.back() != Some(&(lsn, id)) {
            self.gates.push_back((lsn, id));
        }
    }
}
