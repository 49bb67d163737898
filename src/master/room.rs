//! Room: what was accepted can always be delivered and ended, also on a full disk. What would take more of the log than was
//! kept for it is refused, or put off if there is nobody to refuse.

use super::Master;
use super::backoff::backoff;
use crate::ids::JobId;
use crate::limits::{RECORD_OVERHEAD_BYTES_MAX, RESERVE_BYTES_DISPATCH, RESERVE_BYTES_END};
use crate::planted::{Bug, is_planted};
use crate::queue::{DeathReason, Event};
use crate::time::{Millis, Timestamp};
use crate::wal::WalError;

/// How long what needs room on a full disk is put off.
const FULL_RETRY: Millis = Millis(500);

impl Master {
    /// Whether the log has room for `bytes`, and then still for a DISPATCH and an end of every job that waits, `more` among
    /// them, and an end of every job in flight.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn has_room(&mut self, bytes: usize, more: usize, now: Timestamp) -> Result<bool, WalError> {
        let reserved = self.reserved_bytes(more);
        match self.wal.room_for_jobs(bytes, reserved, now) {
            Ok(()) => Ok(true),
            Err(WalError::Full) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Log bytes that are kept for the jobs that are there, and for `more` that wait.
    pub(super) fn reserved_bytes(&self, more: usize) -> u64 {
        if is_planted(Bug::NoRoomKept) {
            return 0;
        }
        let (waiting, in_flight) = self.queues.unfinished();
        let waiting = (waiting + more) as u64 * (RESERVE_BYTES_DISPATCH + RESERVE_BYTES_END);
        waiting + in_flight as u64 * RESERVE_BYTES_END
    }

    /// Ends the lease of a job that has run out. Without room to write down that the job waits again, it is put off.
    pub(super) fn end_lease(&mut self, job: JobId, now: Timestamp) -> Result<(), WalError> {
        let lease = self.queues.live_lease(job).expect("a lease that runs out is live");
        let has_more = lease.attempts < lease.max_attempts;
        if has_more && !self.has_room(RECORD_OVERHEAD_BYTES_MAX, 1, now)? {
            self.queues.postpone(job, lease.id, now.plus(FULL_RETRY));
            return Ok(());
        }
        log::info!("the lease {} of job {job} ran out (attempt {})", lease.id, lease.attempts);
        let event = if has_more {
            let retry_at = now.plus(backoff(lease.attempts, &mut self.random));
            Event::Timeout { job, lease: lease.id, retry_at }
        } else {
            let error = "the lease of the last attempt ran out";
            Event::Dead { job, lease: lease.id, reason: DeathReason::Lease, error }
        };
        self.wal.begin_group(RECORD_OVERHEAD_BYTES_MAX)?;
        self.record(now, &event, false)?;
        Ok(())
    }
}
