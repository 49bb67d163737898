//! Cleaning: a segment that nothing needs is given up; where little lives, what does is moved to the log's end, some
//! slices each turn, so that the segment can be given up, too.
//!
//! Promise: no more bytes are moved than clients append in the same time, but at the bound itself; and few texts
//! between two syncs, since clients wait for those. Which segments are cleaned is in `victims`: only such as no replay
//! needs, since emptying another would not free it.

use super::super::journal::Journal;
use super::backups::Backups;
use super::victims::{Full, Victim, Victims};
use crate::ids::{JobId, Location};
use crate::limits::RECORD_OVERHEAD_BYTES_MAX;
use crate::queue::events::{Move, Part};
use crate::rebuilt::event_of;
use crate::time::{Millis, Timestamp};
use crate::wal::{SegmentStats, WalError, record_bytes};

/// Bytes of a segment that are read at once.
const SLICE_BYTES: u32 = 16 << 10;

/// So many texts that are moved count as a slice: one takes up to 2 us, since its job changes.
const TEXTS_PER_SLICE: u64 = 32;

/// What is done in a turn, or between two syncs if clients wait for those: 256 KiB are read, or 512 texts moved. At the
/// bound it is more, where clients appended much since the last time, but no more than this.
const SLICES_A_TIME: u64 = 16;
const SLICES_AT_BOUND: u64 = 256;

/// At the bound, a slice for so much that clients appended: more becomes free than they take, if half of it lives.
const APPENDED_PER_SLICE: u64 = SLICE_BYTES as u64 / 8;

/// How often segments are looked at that cannot be given up yet, and room that could not be had is asked for.
const LOOK_EVERY: Millis = Millis(100);

#[derive(Debug, Default)]
pub struct Cleaning {
    victims: Victims,
    under_way: Option<Moving>,
    look_at: Timestamp,
    retry_at: Timestamp,
    /// Bytes that were moved since the log was opened, of all that were written.
    pub moved_bytes: u64,
    /// What clients had appended at the last turn that did its share, and how many syncs had been asked for.
    appended_before: u64,
    done_at_sync: u64,
}

/// A segment that is being cleaned.
#[derive(Debug)]
struct Moving {
    victim: Victim,
    /// Where in it to go on.
    from: u32,
    /// What clients had appended when it was begun, and what was moved of it since.
    begun_at: u64,
    moved_bytes: u64,
}

impl Moving {
    /// Whether the next slice may be moved, or clients have to append some more first.
    fn may_go_on(&self, appended: u64) -> bool {
        self.victim.is_pressed || self.moved_bytes <= appended - self.begun_at
    }
}

impl Cleaning {
    /// Something may have become free.
    pub fn look_again(&mut self) {
        self.look_at = Timestamp(0);
    }

    /// When a turn is due for it.
    pub fn next_deadline(&self, journal: &Journal, turn_at: Timestamp) -> Option<Timestamp> {
        let moving = self.under_way.as_ref().filter(|_| !self.has_done(journal))?;
        moving.may_go_on(self.appended(journal)).then(|| turn_at.max(self.retry_at))
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
            let given_up = journal.wal.give_up_segments(queues.live_bytes(), |epoch| queues.is_dead(epoch));
            if given_up > 0 {
                log::debug!("{given_up} segments hold nothing that is needed and were given up");
            }
            self.choose(journal);
        }
        let (mut done, share) = (0, self.share(journal));
        while done < share * TEXTS_PER_SLICE {
            let appended = self.appended(journal);
            match self.under_way.take() {
                Some(moving) if now >= self.retry_at && moving.may_go_on(appended) => {
                    done += TEXTS_PER_SLICE + self.go_on(journal, moving, now)?;
                }
                waiting => {
                    self.under_way = waiting;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether the next sync has had its share already: clients wait for all that it writes.
    fn has_done(&self, journal: &Journal) -> bool {
        journal.will_gate() && journal.wal.has_unsynced() && self.done_at_sync == journal.wal.syncs_asked_for()
    }

    /// How many slices this turn does.
    fn share(&mut self, journal: &Journal) -> u64 {
        if self.has_done(journal) {
            return 0;
        }
        self.done_at_sync = journal.wal.syncs_asked_for();
        let appended = self.appended(journal);
        let since = appended - std::mem::replace(&mut self.appended_before, appended);
        if self.under_way.as_ref().is_some_and(|moving| moving.victim.is_pressed) {
            return (SLICES_A_TIME + since / APPENDED_PER_SLICE).min(SLICES_AT_BOUND);
        }
        SLICES_A_TIME
    }

    /// Bytes that clients have appended: what was written and not moved.
    fn appended(&self, journal: &Journal) -> u64 {
        journal.wal.written_bytes() - self.moved_bytes
    }

    /// Chooses what to clean, or how fast to go on.
    fn choose(&mut self, journal: &Journal) {
        let appended = self.appended(journal);
        let segment_bytes = u64::from(journal.wal.segment_bytes());
        let left = journal.wal.bound_left(journal.queues.live_bytes());
        let chosen = self.victims.choose(&cleanable(journal), appended, left, segment_bytes);
        match &mut self.under_way {
            Some(moving) => moving.victim.is_pressed = chosen.is_some_and(|victim| victim.is_pressed),
            None => {
                self.under_way = chosen.map(|victim| Moving { victim, from: 0, begun_at: appended, moved_bytes: 0 });
            }
        }
    }

    /// Moves what lives in the next slice; returns how many texts that were.
    fn go_on(&mut self, journal: &mut Journal, mut moving: Moving, now: Timestamp) -> Result<u64, WalError> {
        let epoch = moving.victim.epoch;
        let mut texts = 0;
        if journal.queues.live_in(epoch).texts > 0 {
            let written_before = journal.wal.written_bytes();
            let next;
            (texts, next) = self.move_slice(journal, epoch, moving.from, now)?;
            let moved_bytes = journal.wal.written_bytes() - written_before;
            self.moved_bytes += moved_bytes;
            moving.moved_bytes += moved_bytes;
            if let Some(from) = next {
                self.under_way = Some(Moving { from, ..moving });
                return Ok(texts);
            }
        }
        self.look_again();
        Ok(texts)
    }

    /// Moves what lives in a slice of a segment; returns how many texts that were, and where to go on.
    fn move_slice(
        &mut self,
        journal: &mut Journal,
        epoch: u32,
        from: u32,
        now: Timestamp,
    ) -> Result<(u64, Option<u32>), WalError> {
        let queues = &journal.queues;
        let mut moves: Vec<(JobId, Part, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        let next = journal.wal.visit_slice(epoch, from, SLICE_BYTES, &mut |record, body_at| {
            let event = event_of(record)?;
            for (_, text, before_end) in event.parts() {
                let Some(job) = event.job() else { continue };
                let before = u32::try_from(record.body.len() - before_end).expect("a record is within its limit");
                let at = Location { epoch, offset: body_at.offset + before };
                if let Some(part) = queues.lives_at(job, at) {
                    bytes += record_bytes(text.len() + RECORD_OVERHEAD_BYTES_MAX);
                    moves.push((job, part, text.to_owned()));
                }
            }
            Ok(())
        })?;
        // Moving must not take the room that is kept for the jobs.
        if bytes > 0 && !journal.has_room(bytes, 0, now)? {
            self.retry_at = now.plus(LOOK_EVERY);
            return Ok((0, Some(from)));
        }
        let texts = moves.len() as u64;
        for (job, part, bytes) in moves {
            journal.begin_group(record_bytes(bytes.len() + RECORD_OVERHEAD_BYTES_MAX))?;
            journal.record(now, &Move { job, part, bytes: &bytes }.into(), false)?;
        }
        Ok((texts, next))
    }
}

/// The full segments that no replay needs, and in which something lives.
fn cleanable(journal: &Journal) -> Vec<Full> {
    let base = journal.wal.replay_base();
    let full = journal.wal.full_segments().filter(|segment| segment.next <= base);
    full.map(|SegmentStats { epoch, bytes, .. }| Full {
        epoch,
        bytes: u64::from(bytes),
        live: journal.queues.live_in(epoch).bytes,
    })
    .filter(|full| full.live > 0)
    .collect()
}
