//! Cleaning: segments in which little lives are emptied, by moving what does live to the log's end, a slice each
//! turn; a segment that nothing needs is given up.
//!
//! Only segments that no replay needs are cleaned: emptying another would not free it. They are cleaned while less than
//! three quarters of their bytes live, the one in which the smallest part lives first (the greedy policy of
//! log-structured stores; Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File
//! System", 1992, section 3.4).

use super::super::journal::Journal;
use super::backups::Backups;
use crate::ids::{JobId, Location};
use crate::limits::RECORD_OVERHEAD_BYTES_MAX;
use crate::queue::events::{Move, Part};
use crate::rebuilt::event_of;
use crate::time::{Millis, Timestamp};
use crate::wal::{SegmentStats, WalError, record_bytes};

/// Bytes of a segment that are read in one turn.
const SLICE_BYTES: u32 = 128 << 10;

/// How often segments are looked at that cannot be given up yet, and room that could not be had is asked for.
const LOOK_EVERY: Millis = Millis(100);

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

    /// The turn's share of cleaning.
    pub fn work(&mut self, journal: &mut Journal, backups: &mut Backups, now: Timestamp) -> Result<(), WalError> {
        journal.wal.proceed(now)?;
        if now >= self.look_at {
            self.look_at = now.plus(LOOK_EVERY);
            let reserved = journal.reserved_bytes(0);
            journal.wal.want_room(reserved);
            backups.end_idle(now);
            let queues = &journal.queues;
            let given_up = journal.wal.give_up_segments(|epoch| queues.live_in(epoch).texts == 0);
            if given_up > 0 {
                log::debug!("{given_up} segments hold nothing that is needed and were given up");
            }
            if self.victim.is_none() {
                self.victim = choose_victim(journal).map(|epoch| (epoch, 0));
            }
        }
        let Some((epoch, from)) = self.victim else { return Ok(()) };
        if now < self.retry_at {
            return Ok(());
        }
        let next =
            if journal.queues.live_in(epoch).texts > 0 { self.move_slice(journal, epoch, from, now)? } else { None };
        self.victim = next.map(|next| (epoch, next));
        if next.is_none() {
            self.look_again();
        }
        Ok(())
    }

    /// Moves what lives in a slice of a segment; returns where to go on.
    fn move_slice(
        &mut self,
        journal: &mut Journal,
        epoch: u32,
        from: u32,
        now: Timestamp,
    ) -> Result<Option<u32>, WalError> {
        let queues = &journal.queues;
        let mut moves: Vec<(JobId, Part, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        let next = journal.wal.visit_slice(epoch, from, SLICE_BYTES, &mut |record, body_at| {
            let event = event_of(record)?;
            let tail = event.tail();
            let Some(job) = event.job().filter(|_| !tail.is_empty()) else { return Ok(()) };
            let head_bytes = u32::try_from(record.body.len() - tail.len()).expect("a record is within its limit");
            let at = Location { epoch, offset: body_at.offset + head_bytes };
            if let Some(part) = queues.lives_at(job, at) {
                bytes += record_bytes(tail.len() + RECORD_OVERHEAD_BYTES_MAX);
                moves.push((job, part, tail.to_owned()));
            }
            Ok(())
        })?;
        // Moving must not take the room that is kept for the jobs.
        if bytes > 0 && !journal.has_room(bytes, 0, now)? {
            self.retry_at = now.plus(LOOK_EVERY);
            return Ok(Some(from));
        }
        for (job, part, bytes) in moves {
            journal.begin_group(record_bytes(bytes.len() + RECORD_OVERHEAD_BYTES_MAX))?;
            journal.record(now, &Move { job, part, bytes: &bytes }.into(), false)?;
        }
        Ok(next)
    }
}

/// The segment in which the smallest part lives, if too little lives in all of them together.
fn choose_victim(journal: &Journal) -> Option<u32> {
    let base = journal.wal.replay_base();
    let live = |segment: &SegmentStats| journal.queues.live_in(segment.epoch).bytes;
    let mut bytes = 0;
    let mut live_bytes = 0;
    let mut victim: Option<(u64, u32)> = None;
    for segment in journal.wal.full_segments().filter(|segment| segment.next <= base) {
        bytes += u64::from(segment.bytes);
        live_bytes += live(&segment);
        let per_mille = live(&segment) * 1000 / u64::from(segment.bytes);
        if live(&segment) > 0 && victim.is_none_or(|(least, _)| per_mille < least) {
            victim = Some((per_mille, segment.epoch));
        }
    }
    victim.filter(|_| live_bytes * 4 < bytes * 3).map(|(_, epoch)| epoch)
}
