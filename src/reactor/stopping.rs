//! The way to a stop, signal by signal.

use crate::time::{Millis, Timestamp};

/// How long local sources have after the second signal to give back what they ran.
const HURRIED_STOP: Millis = Millis(5000);

#[derive(Clone, Copy, Debug)]
pub enum Stopping {
    No,
    /// Waits for the local sources to finish.
    Wanted,
    /// Waits for them until this moment.
    Hurried(Timestamp),
    Now,
}

impl Stopping {
    pub fn hastened(self, now: Timestamp) -> Stopping {
        match self {
            Stopping::No => Stopping::Wanted,
            Stopping::Wanted => Stopping::Hurried(now.plus(HURRIED_STOP)),
            Stopping::Hurried(_) | Stopping::Now => Stopping::Now,
        }
    }

    /// When the loop ends although local sources are not done.
    pub fn deadline(self) -> Option<Timestamp> {
        if let Stopping::Hurried(until) = self { Some(until) } else { None }
    }

    pub fn is_now(self) -> bool {
        matches!(self, Stopping::Now)
    }

    pub fn is_over(self, locals_are_closed: bool, now: Timestamp) -> bool {
        match self {
            Stopping::No => false,
            Stopping::Wanted => locals_are_closed,
            Stopping::Hurried(until) => locals_are_closed || until <= now,
            Stopping::Now => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_leaves_less_time() {
        let now = Timestamp(1000);
        let later = now.plus(HURRIED_STOP);
        let mut stopping = Stopping::No;
        for (open, closed, open_later) in
            [(false, false, false), (false, true, false), (false, true, true), (true, true, true)]
        {
            let over = [(false, now), (true, now), (false, later)].map(|(closed, at)| stopping.is_over(closed, at));
            assert_eq!(over, [open, closed, open_later], "{stopping:?}");
            stopping = stopping.hastened(now);
        }
    }
}
