//! Telling a running job to stop: a flag with a reason, and a descriptor that a handler can wait on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Why a job is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Another worker may have it by now; whatever comes of this attempt is refused.
    LeaseLost,
    /// This worker is leaving, and its time to finish is over.
    Leaving,
}

/// What tells one job to stop. The first reason counts.
#[derive(Debug)]
pub struct Cancel {
    reason: AtomicU8,
    event: OwnedFd,
}

impl Cancel {
    /// Not told yet.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Cancel> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Cancel { reason: AtomicU8::new(0), event })
    }

    /// Tells the job to stop.
    pub fn cancel(&self, reason: StopReason) {
        let code = match reason {
            StopReason::LeaseLost => 1,
            StopReason::Leaving => 2,
        };
        let first = self.reason.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first && let Err(error) = rustix::io::write(&self.event, &1u64.to_ne_bytes()) {
            log::error!("telling a job to stop: {error}");
        }
    }

    /// Why the job is to stop, if it is.
    pub fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::Acquire) {
            0 => None,
            1 => Some(StopReason::LeaseLost),
            _ => Some(StopReason::Leaving),
        }
    }

    /// A descriptor that is readable once the job is to stop.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let cancel = Cancel::new().unwrap();
        assert_eq!(cancel.reason(), None);
        cancel.cancel(StopReason::LeaseLost);
        cancel.cancel(StopReason::Leaving);
        assert_eq!(cancel.reason(), Some(StopReason::LeaseLost));
    }
}
