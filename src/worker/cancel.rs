//! Telling a running job to stop: a reason, a descriptor that a handler can wait on, and the moment at which the lease
//! ends unless it is extended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use crate::client::BootTime;

/// Why a job is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The master said so: another worker may have it by now, and whatever comes of this attempt is refused.
    LeaseLost,
    /// Its lease is over by this machine's clock, and the master could not be asked: another worker may have it.
    LeaseOver,
    /// Somebody cancelled the job: it ends with the report, whatever that says.
    Cancelled,
    /// This worker is leaving, and its time to finish is over.
    Leaving,
    /// This process is ending at once.
    Ending,
}

/// What tells one job to stop. The newest reason counts.
#[derive(Debug)]
pub struct Cancel {
    state: Mutex<CancelState>,
    /// Made when somebody first waits on it: most jobs end without.
    event: OnceLock<OwnedFd>,
    /// How long the job goes on past the end of its lease.
    outage_limit: Duration,
}

#[derive(Debug)]
struct CancelState {
    reason: Option<StopReason>,
    lease_ends_at: BootTime,
    /// Who waits for it without the descriptor.
    waiting: Option<Thread>,
}

impl Cancel {
    /// Not told yet.
    pub fn new(lease_ends_at: BootTime, outage_limit: Duration) -> Cancel {
        let state = Mutex::new(CancelState { reason: None, lease_ends_at, waiting: None });
        Cancel { state, event: OnceLock::new(), outage_limit }
    }

    /// Tells the job to stop.
    pub fn cancel(&self, reason: StopReason) {
        let mut state = self.locked();
        if state.reason.replace(reason).is_some() {
            return;
        }
        self.event.get().into_iter().for_each(signal);
        state.waiting.iter().for_each(Thread::unpark);
    }

    /// Why the job is to stop, if it is: what it was told, or that its lease is over.
    pub fn reason(&self) -> Option<StopReason> {
        let reason = self.locked().reason;
        reason.or_else(|| self.left().is_zero().then_some(StopReason::LeaseOver))
    }

    /// How long the job may go on, as far as is known now. A handler that waits has to look again by then.
    pub fn left(&self) -> Duration {
        self.locked().lease_ends_at.plus(self.outage_limit).left()
    }

    /// Whether the lease certainly lives.
    pub fn is_sure(&self) -> bool {
        !self.locked().lease_ends_at.left().is_zero()
    }

    /// Notes that the lease was extended, or that the master said how much is left of it.
    pub fn extend_to(&self, lease_ends_at: BootTime) {
        self.locked().lease_ends_at = lease_ends_at;
    }

    /// From now on this thread is unparked once the job is told to stop.
    pub fn wake_this_thread(&self) {
        self.locked().waiting = Some(std::thread::current());
    }

    /// A descriptor that is readable once the job was told to stop.
    ///
    /// # Errors
    /// When no further descriptor can be opened.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        let state = self.locked();
        if let Some(event) = self.event.get() {
            return Ok(event.as_fd());
        }
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let event = self.event.get_or_init(|| event);
        if state.reason.is_some() {
            signal(event);
        }
        Ok(event.as_fd())
    }

    fn locked(&self) -> MutexGuard<'_, CancelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signal(event: &OwnedFd) {
    if let Err(error) = rustix::io::write(event, &1u64.to_ne_bytes()) {
        log::error!("telling a job to stop: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn what_was_told_last_counts_and_the_end_of_the_lease_without_it() {
        let cancel = Cancel::new(BootTime::now().plus(HOUR), Duration::ZERO);
        assert_eq!((cancel.reason(), cancel.is_sure()), (None, true));
        cancel.extend_to(BootTime::now());
        assert_eq!((cancel.reason(), cancel.is_sure()), (Some(StopReason::LeaseOver), false));
        cancel.extend_to(BootTime::now().plus(HOUR));
        assert_eq!(cancel.reason(), None);
        cancel.cancel(StopReason::Leaving);
        cancel.cancel(StopReason::Ending);
        assert_eq!(cancel.reason(), Some(StopReason::Ending));
    }

    #[test]
    fn a_job_may_go_on_past_its_lease_as_long_as_an_outage_may_last() {
        let cancel = Cancel::new(BootTime::now(), HOUR);
        assert_eq!((cancel.reason(), cancel.is_sure()), (None, false));
        cancel.cancel(StopReason::LeaseLost);
        assert_eq!(cancel.reason(), Some(StopReason::LeaseLost), "what the master says counts at once");
    }
}
