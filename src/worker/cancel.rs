//! Telling a running job to stop: a reason, a descriptor that a handler can wait on, and the moment at which the lease
//! ends unless it is extended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

/// Why a job is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Another worker may have it by now; whatever comes of this attempt is refused.
    LeaseLost,
    /// This worker is leaving, and its time to finish is over.
    Leaving,
    /// This process is ending at once.
    Ending,
}

/// What tells one job to stop. The newest reason counts.
#[derive(Debug)]
pub struct Cancel {
    state: Mutex<CancelState>,
    event: OwnedFd,
}

#[derive(Debug)]
struct CancelState {
    reason: Option<StopReason>,
    lease_ends_at: Instant,
}

impl Cancel {
    /// Not told yet.
    pub fn new(lease_ends_at: Instant) -> io::Result<Cancel> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Cancel { state: Mutex::new(CancelState { reason: None, lease_ends_at }), event })
    }

    /// Tells the job to stop.
    pub fn cancel(&self, reason: StopReason) {
        if self.locked().reason.replace(reason).is_none()
            && let Err(error) = rustix::io::write(&self.event, &1u64.to_ne_bytes())
        {
            log::error!("telling a job to stop: {error}");
        }
    }

    /// Why the job is to stop, if it is: what it was told, or that its lease is over.
    pub fn reason(&self) -> Option<StopReason> {
        let state = self.locked();
        let over = Instant::now() >= state.lease_ends_at;
        state.reason.or_else(|| over.then_some(StopReason::LeaseLost))
    }

    /// When the lease ends, as far as is known now. A handler that waits has to look again at this moment.
    pub fn lease_ends_at(&self) -> Instant {
        self.locked().lease_ends_at
    }

    /// Notes that the lease was extended, or that the master said how much is left of it.
    pub fn extend_to(&self, lease_ends_at: Instant) {
        self.locked().lease_ends_at = lease_ends_at;
    }

    /// A descriptor that is readable once the job was told to stop.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn locked(&self) -> MutexGuard<'_, CancelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_told_last_counts_and_the_end_of_the_lease_without_it() {
        let cancel = Cancel::new(Instant::now() + Duration::from_hours(1)).unwrap();
        assert_eq!(cancel.reason(), None);
        cancel.extend_to(Instant::now());
        assert_eq!(cancel.reason(), Some(StopReason::LeaseLost));
        cancel.extend_to(Instant::now() + Duration::from_hours(1));
        assert_eq!(cancel.reason(), None);
        cancel.cancel(StopReason::Leaving);
        cancel.cancel(StopReason::Ending);
        assert_eq!(cancel.reason(), Some(StopReason::Ending));
    }
}
