//! Cleaning: segments in which little lives are emptied, by moving what does live to the log's end, a slice each turn; a
//! segment that nothing needs is given up.
//!
//! Only segments that no replay needs are cleaned: emptying another would not free it. They are cleaned while less than
//! three quarters of their bytes live, the one in which the smallest part lives first (the greedy policy of log-structured
//! stores; Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File System", 1992, section 3.4).

use super::Master;
use crate::ids::{JobId, Location};
use crate::limits::RECORD_OVERHEAD_BYTES_MAX;
use crate::queue::Event;
use crate::time::{Millis, Timestamp};
use crate::wal::{SegmentStats, WalError, record_bytes};

/// Bytes of a segment that are read in one turn.
const SLICE_BYTES: u32 = 128 << 10;

/// How often segments are looked at that cannot be given up yet, and room that could not be had is asked for.
const LOOK_EVERY: Millis = Millis(100);

/// What is being cleaned.
#[derive(Debug, Default)]
pub struct Cleaning {
    /// The epoch of the segment and where in it to go on.
    victim: Option<(u32, u32)>,
    look_at: Timestamp,
    retry_at: Timestamp,
}

impl Cleaning {
    /// Something may have become free.
    pub fn look_again(&mut self) {
        self.look_at = Timestamp(0);
    }

    /// When a turn is due for it.
    pub fn next_deadline(&self, turn_at: Timestamp) -> Option<Timestamp> {
        self.victim.map(|_| turn_at.max(self.retry_at))
    }
}

impl Master {
    /// The turn's share of cleaning.
    ///
    /// # Errors
    /// When the disk fails, or a segment is damaged.
    pub(super) fn clean(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.wal.proceed(now)?;
        if now >= self.cleaning.look_at {
            self.cleaning.look_at = now.plus(LOOK_EVERY);
            self.wal.want_room(self.reserved_bytes(0));
            self.end_idle_backups(now);
            let queues = &self.queues;
            let given_up = self.wal.give_up_segments(|epoch| queues.live_in(epoch).jobs == 0);
            if given_up > 0 {
                log::debug!("{given_up} segments hold nothing that is needed and were given up");
            }
            if self.cleaning.victim.is_none() {
                self.cleaning.victim = self.choose_victim().map(|epoch| (epoch, 0));
            }
        }
        let Some((epoch, from)) = self.cleaning.victim else { return Ok(()) };
        if now < self.cleaning.retry_at {
            return Ok(());
        }
        let next =
            if self.queues.live_in(epoch).jobs > 0 { self.move_slice(epoch, from, now)? } else { None };
        self.cleaning.victim = next.map(|next| (epoch, next));
        if next.is_none() {
            self.cleaning.look_again();
        }
        Ok(())
    }

    /// The segment in which the smallest part lives, if too little lives in all of them together.
    fn choose_victim(&self) -> Option<u32> {
        let base = self.wal.replay_base();
        let live = |segment: &SegmentStats| self.queues.live_in(segment.epoch).bytes;
        let mut bytes = 0;
        let mut live_bytes = 0;
        let mut victim: Option<(u64, u32)> = None;
        for segment in self.wal.full_segments().filter(|segment| segment.next <= base) {
            bytes += u64::from(segment.bytes);
            live_bytes += live(&segment);
            let per_mille = live(&segment) * 1000 / u64::from(segment.bytes);
            if live(&segment) > 0 && victim.is_none_or(|(least, _)| per_mille < least) {
                victim = Some((per_mille, segment.epoch));
            }
        }
        victim.filter(|_| live_bytes * 4 < bytes * 3).map(|(_, epoch)| epoch)
    }

    /// Moves what lives in a slice of a segment; returns where to go on.
    fn move_slice(&mut self, epoch: u32, from: u32, now: Timestamp) -> Result<Option<u32>, WalError> {
        let queues = &self.queues;
        let mut moves: Vec<(JobId, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        let next = self.wal.visit_slice(epoch, from, SLICE_BYTES, &mut |record, body_at| {
            let Ok(event) = Event::decode(record.head.kind, record.body) else { return Ok(()) };
            let Some(payload) = event.payload() else { return Ok(()) };
            let head_bytes =
                u32::try_from(record.body.len() - payload.len()).expect("a record is within its limit");
            let at = Location { epoch, offset: body_at.offset + head_bytes };
            if queues.lives_at(event.job(), at) {
                bytes += record_bytes(payload.len() + RECORD_OVERHEAD_BYTES_MAX);
                moves.push((event.job(), payload.to_owned()));
            }
            Ok(())
        })?;
        // Moving must not take the room that is kept for the jobs.
        if bytes > 0 && !self.has_room(bytes, 0, now)? {
            self.cleaning.retry_at = now.plus(LOOK_EVERY);
            return Ok(Some(from));
        }
        for (job, payload) in moves {
            self.wal.begin_group(record_bytes(payload.len() + RECORD_OVERHEAD_BYTES_MAX))?;
            self.record(now, &Event::Move { job, payload: &payload }, false)?;
        }
        Ok(next)
    }
}
