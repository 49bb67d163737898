//! Room: what has to be free before a job is accepted, and how the spares come to be.

use std::io;

use super::append::Wal;
use super::error::WalError;
use super::segment::header::SEGMENT_HEADER_BYTES;
use crate::limits::RESERVE_BYTES;
use crate::time::{Millis, Timestamp};

/// How long after a segment could not be made the next attempt is.
pub(super) const SPARE_RETRY: Millis = Millis(500);

impl Wal {
    /// Whether `bytes` of new jobs may be accepted. `reserved` bytes have to be left for what happens to accepted
    /// jobs, these among them, and a fixed reserve for what cannot be foreseen.
    /// `Full` if not; `now` bounds how often making a segment is tried again.
    pub fn room_for_jobs(&mut self, bytes: usize, reserved: u64, now: Timestamp) -> Result<(), WalError> {
        let kept = reserved + self.fixed_reserve();
        self.want_room(reserved);
        while !self.has_room(bytes as u64, kept) {
            self.wait_for_spare(self.spares_for(kept), now)?;
        }
        Ok(())
    }

    /// Makes as many spares as it takes to keep this many bytes, or as there is space for. To be called before the
    /// daemon serves: then nobody has to wait for them. A lack of space is no error.
    pub fn fill_room(&mut self, reserved: u64) -> Result<(), WalError> {
        self.want_room(reserved);
        let kept = reserved + self.fixed_reserve();
        while !self.has_room(0, kept) {
            if let Err(error) = self.spares.wait_for_one_more() {
                return self.no_spare(error, Timestamp(1));
            }
        }
        Ok(())
    }

    /// Says how many bytes are to be kept. Spares are made, or removed, as it takes.
    pub fn want_room(&mut self, reserved: u64) {
        let kept = reserved + self.fixed_reserve();
        self.reserved = reserved;
        // Made ahead of need: jobs come faster than segments.
        let ahead = (kept / 4).max(u64::from(self.config.segment_bytes) / 2);
        self.room_ahead = kept + if self.is_over { 0 } else { ahead };
        self.spares.want(self.spares_for(self.room_ahead));
    }

    /// Makes spares and removes what is not needed, beside the loop; call it once a turn.
    /// A lack of space is no error: it is told when there is no room.
    pub fn proceed(&mut self, now: Timestamp) -> Result<(), WalError> {
        if !self.spares.is_busy(self.is_spare_urgent()) {
            self.spare_retry_at = Timestamp(0);
        } else if now >= self.spare_retry_at {
            self.try_spares(now)?;
        }
        Ok(())
    }

    /// Whether there is anything for [`Wal::proceed`] to do, other than to try again what failed.
    pub fn is_making_room(&self) -> bool {
        self.spares.is_busy(self.is_spare_urgent()) && self.spare_retry_at == Timestamp(0)
    }

    /// Whether the next spare is made now: too little is left of the newest segment.
    fn is_spare_urgent(&self) -> bool {
        !self.has_room(0, self.room_ahead)
    }

    fn try_spares(&mut self, now: Timestamp) -> Result<(), WalError> {
        let before = self.spares.count();
        let outcome = self.spares.proceed(self.is_spare_urgent() || self.is_short_of_space());
        if outcome.is_ok() && self.spares.count() > before {
            self.spare_retry_at = Timestamp(0);
        }
        outcome.or_else(|error| self.no_spare(error, now))
    }

    /// A lack of space is no failure: it is said once, and a spare is tried again later.
    fn no_spare(&mut self, error: io::Error, now: Timestamp) -> Result<(), WalError> {
        let error = WalError::io("making a log segment")(error);
        if !error.is_lack_of_space() {
            return Err(error);
        }
        if self.spare_retry_at == Timestamp(0) {
            log::warn!("{error}; new jobs are refused when the segments that are there are full");
        }
        self.spare_retry_at = now.plus(SPARE_RETRY);
        Ok(())
    }

    pub(super) fn fixed_reserve(&self) -> u64 {
        u64::from(RESERVE_BYTES.min(self.config.segment_bytes / 4))
    }

    /// Bytes of a fresh segment that can be counted on. A group that does not fit at its end leaves some unused.
    fn usable_bytes(&self) -> u64 {
        u64::from(self.config.segment_bytes) * 15 / 16 - SEGMENT_HEADER_BYTES as u64
    }

    /// Spares that it takes for what is kept for jobs alone, the one left out that is not full of that.
    pub(super) fn spares_full_of_jobs(&self) -> u64 {
        self.reserved / self.usable_bytes()
    }

    fn spares_for(&self, kept: u64) -> usize {
        usize::try_from(kept.div_ceil(self.usable_bytes())).expect("spares are few")
    }

    pub(super) fn has_room(&self, bytes: u64, kept: u64) -> bool {
        let ready = self.spares.count() as u64 * self.usable_bytes();
        let free = self.newest.free_bytes() as u64;
        // What does not fit into the newest segment leaves its end unused.
        let left = if bytes <= free { free + ready } else { ready };
        bytes + kept <= left
    }

    /// Waits for a spare: it is usually there in a moment. Once one could not be made, that is tried again beside the
    /// loop, and the answer is no until it is there.
    fn wait_for_spare(&mut self, wanted: usize, now: Timestamp) -> Result<(), WalError> {
        if self.spare_retry_at == Timestamp(0) {
            self.spares.want(wanted.max(self.spares.count() + 1));
            let Err(error) = self.spares.wait_for_one_more() else { return Ok(()) };
            self.no_spare(error, now)?;
        } else if now >= self.spare_retry_at {
            self.try_spares(now)?;
        }
        Err(WalError::Full)
    }
}
