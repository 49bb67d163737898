//! The journal: the log, the queues that its events made, and how far the promise reaches.
//!
//! Promises: an event is appended and applied in one call, so that log and state never differ; [`Journal::reached`] is
//! the only answer to how much of it may be told. What was accepted can always be delivered and ended, also on a full
//! disk: what would take more of the log than was kept for it is refused.
//! It does not: know who asked, or what is answered.

use super::flows::Flows;
use super::measures::Measures;
use super::recent::{self, Home, Recent};
use super::waits::End;
use crate::ids::{Location, Lsn};
use crate::job::Standing;
use crate::limits::{GROUP_BYTES_BOUND, MARK_IDLE_MS, RECORD_OVERHEAD_BYTES_MAX, SYNC_WAIT_MS_MAX};
use crate::planted::{Bug, is_planted};
use crate::queue::events::{CANCEL_BYTES, END_BYTES, HAND_OUT_BYTES, READY_BYTES};
use crate::queue::{Event, Queues};
use crate::time::{Millis, Timestamp};
use crate::wal::{NewRecord, SyncOutcome, SyncRequest, Wal, WalError, record_bytes};

use super::SyncMode;

/// Log bytes that are kept free for a job that waits: to hand it out.
const HAND_OUT_RESERVE: u64 = record_bytes(HAND_OUT_BYTES) as u64;

/// Log bytes that are kept free for a job that waits or is in flight: to end it.
const END_RESERVE: u64 = record_bytes(END_BYTES) as u64;

/// Log bytes that are kept free for a job that waits, is in flight or is dead: to note that somebody cancelled it, or
/// to purge it.
const CANCEL_RESERVE: u64 = record_bytes(CANCEL_BYTES) as u64;

/// Log bytes that are kept free for a job that waits for others: to end its wait.
const READY_RESERVE: u64 = record_bytes(READY_BYTES) as u64;

/// Log bytes that are kept free for a queue with pauses or settings: to resume it, both ways one after the other. A
/// queue that hands nothing out may be what fills the disk.
const RESUME_RESERVE: u64 = 2 * RECORD_OVERHEAD_BYTES_MAX as u64;

#[derive(Debug)]
pub struct Journal {
    pub wal: Wal,
    /// What is durable of them changes by [`Journal::record`] alone; the rest (who holds a lease, and until when) by
    /// whoever decides it.
    pub queues: Queues,
    sync: SyncMode,
    /// Bytes appended since the last sync was asked for, and since when.
    group_bytes: usize,
    unsynced_since: Option<Timestamp>,
    /// When the last sync ended.
    synced_at: Timestamp,
    scratch: Vec<u8>,
    /// How many jobs came and left of late; it is not in the log.
    pub flows: Flows,
    /// What was counted since the start; it is not in the log either.
    pub measures: Measures,
    /// What happened lately, while somebody watches.
    pub recent: Recent,
    /// How many records there were when the last sync was asked for.
    records_synced: u64,
    /// Whether the ends of jobs are noted, since somebody waits for some; what became of jobs since it was looked at.
    pub is_watched: bool,
    pub ended: Vec<End>,
}

/// When a sync is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// If a group has grown to its bound, in bytes or in time.
    Full,
    /// As soon as one is under way no more: nothing else is ready to be read.
    Quiet,
    /// Whatever the settings say.
    Now,
}

impl Journal {
    pub fn new(wal: Wal, queues: Queues, sync: SyncMode) -> Journal {
        Journal {
            records_synced: wal.stats().records,
            wal,
            queues,
            sync,
            group_bytes: 0,
            unsynced_since: None,
            synced_at: Timestamp(0),
            scratch: Vec::new(),
            flows: Flows::default(),
            measures: Measures::default(),
            recent: Recent::default(),
            is_watched: false,
            ended: Vec::new(),
        }
    }

    /// Begins to serve: every lease gets its full length from `now`.
    pub fn start(&mut self, now: Timestamp) {
        self.synced_at = now;
        self.measures.start(&self.queues);
        self.measures.turn_begins(&self.queues, now);
        self.queues.advance(now);
        self.queues.renew_leases(now);
        self.queues.look_at_all();
    }

    /// Begins a group of records that are valid together, of at most this many bytes.
    pub fn begin_group(&mut self, bytes: usize) -> Result<(), WalError> {
        self.wal.begin_group(bytes)
    }

    /// Appends an event of the group that was begun, and applies it. `more` says that the group goes on.
    pub fn record(&mut self, now: Timestamp, event: &Event<'_>, more: bool) -> Result<Lsn, WalError> {
        self.scratch.clear();
        let tail = event.encode_head(&mut self.scratch);
        let entry = NewRecord { at: now, kind: event.kind(), head: &self.scratch, tail, more };
        let appended = self.wal.append(&entry)?;
        self.group_bytes += entry.head.len() + tail.len();
        self.unsynced_since.get_or_insert(now);
        let ended = if self.is_watched { self.end_by(event) } else { None };
        self.note_left(event, now);
        self.measures.note(&self.queues, event, now);
        let home = self.home_before(event);
        self.queues
            .apply(appended.lsn, now, event, appended.tail_at)
            .map_err(|broken| WalError::Replay { why: broken.to_string() })?;
        self.ended.extend(ended);
        self.note_came(event, now);
        if let Some(home) = home {
            let home = if matches!(home, Home::None) { recent::home(event, &self.queues) } else { home };
            self.recent.note(&self.queues, (appended.lsn, now), event, home);
        }
        Ok(appended.lsn)
    }

    /// The queue of an event that is not applied yet, if somebody watches; what it makes is there only behind it.
    #[inline]
    fn home_before(&mut self, event: &Event<'_>) -> Option<Home> {
        if !self.recent.is_watched() {
            return None;
        }
        if let Event::Forget(forget) = event
            && let Some(queue) = self.queues.queue(forget.queue)
        {
            self.recent.forget(queue, forget.queue);
            return Some(Home::Gone(forget.queue.into()));
        }
        Some(recent::home(event, &self.queues))
    }

    /// Counts a job that leaves its queue by this event, which is not applied yet.
    fn note_left(&mut self, event: &Event<'_>, now: Timestamp) {
        if let Event::Forget(forget) = event {
            self.queues.queue(forget.queue).into_iter().for_each(|queue| self.flows.forget(queue));
        }
        let Some((job, Some(_))) = event.ends() else { return };
        let may_have_left = matches!(event, Event::Cancel(_) | Event::Purge(_));
        if may_have_left && self.queues.standing(job).is_some_and(Standing::is_ended) {
            return;
        }
        if let Some(queue) = self.queues.queue_of_job(job) {
            self.flows.left(queue, now);
        }
    }

    /// Counts a job that came by this event, which is applied.
    fn note_came(&mut self, event: &Event<'_>, now: Timestamp) {
        let Event::Enqueue(enqueue) = event else { return };
        if let Some(queue) = self.queues.queue_of_job(enqueue.job) {
            self.flows.came(queue, now);
            self.measures.submitted(&self.queues, queue);
        }
    }

    /// The end that an event will be to whoever waits. What is purged after its end has ended as it did.
    fn end_by(&self, event: &Event<'_>) -> Option<End> {
        let (job, end) = event.ends()?;
        let had_ended = || self.queues.standing(job).is_some_and(Standing::is_ended);
        let is_told = !matches!(event, Event::Purge(_)) || !had_ended();
        is_told.then(|| (job, end.map(Standing::code)))
    }

    /// Appends an event that is a group by itself, for which there is room.
    pub fn record_alone(&mut self, now: Timestamp, event: &Event<'_>) -> Result<Lsn, WalError> {
        self.begin_group(RECORD_OVERHEAD_BYTES_MAX)?;
        self.record(now, event, false)
    }

    /// Reads bytes of a job back from the log.
    pub fn read(&self, at: Location, bytes: u32, into: &mut Vec<u8>) -> Result<(), WalError> {
        self.wal.read(at, bytes, into)
    }

    /// The newest LSN whose record may be told of.
    pub fn reached(&self) -> Lsn {
        let waits = self.sync == SyncMode::Always && !is_planted(Bug::AckBeforeSync);
        if waits { self.wal.durable() } else { self.wal.last_lsn() }
    }

    /// The LSN that what is told of the state now has to wait for, if it has to wait.
    pub fn gate(&self) -> Option<Lsn> {
        let newest = self.wal.last_lsn();
        (newest > self.reached()).then_some(newest)
    }

    /// Whether what is told of a record that is written next has to wait for it.
    pub fn will_gate(&self) -> bool {
        self.sync == SyncMode::Always && !is_planted(Bug::AckBeforeSync)
    }

    /// Whether the log has room for `bytes`, and then still for a DISPATCH and an end of every job that waits,
    /// `more` among them, and an end of every job in flight.
    pub fn has_room(&mut self, bytes: usize, more: usize, now: Timestamp) -> Result<bool, WalError> {
        let reserved = self.reserved_bytes(more);
        match self.wal.room_for_jobs(bytes, reserved, now) {
            Ok(()) => Ok(true),
            Err(WalError::Full) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Log bytes that are kept for the jobs that are there, and for `more` that wait.
    pub fn reserved_bytes(&self, more: usize) -> u64 {
        if is_planted(Bug::NoRoomKept) {
            return 0;
        }
        let (waiting, in_flight) = self.queues.unfinished();
        // What is kept for a while goes by itself.
        let all = (waiting + in_flight + self.queues.dead_jobs() + more) as u64 * CANCEL_RESERVE;
        let resumes = self.queues.ruled() as u64 * RESUME_RESERVE;
        let waiting = (waiting + more) as u64 * (HAND_OUT_RESERVE + END_RESERVE);
        let batches = self.queues.unfinished_batches() as u64 * RESUME_RESERVE;
        let held_back = self.queues.held_back() as u64 * READY_RESERVE;
        all + waiting + held_back + batches + in_flight as u64 * END_RESERVE + resumes
    }

    /// When the log has been silent long enough for a mark, if it wants one.
    pub fn mark_at(&self) -> Option<Timestamp> {
        self.wal.wants_mark().then(|| self.synced_at.plus(Millis(MARK_IDLE_MS)))
    }

    /// Writes a mark if the log wants one, to be made durable by the next sync; says whether it did.
    pub fn mark(&mut self, now: Timestamp) -> Result<bool, WalError> {
        if !self.wal.wants_mark() {
            return Ok(false);
        }
        self.wal.append_mark(now)?;
        self.unsynced_since.get_or_insert(now);
        Ok(true)
    }

    /// When a sync is due by its interval.
    pub fn sync_at(&self) -> Option<Timestamp> {
        match (self.sync, self.unsynced_since) {
            (SyncMode::Every(interval), Some(since)) if !self.wal.is_syncing() => Some(since.plus(interval)),
            _ => None,
        }
    }

    /// Whether a sync is to be asked for as soon as nothing more is ready to be read.
    pub fn wants_sync(&self, always: bool) -> bool {
        let wanted = always || self.sync == SyncMode::Always;
        wanted && self.wal.has_unsynced() && !self.wal.is_syncing()
    }

    /// Whether enough was written for a sync, and none is under way.
    pub fn is_group_full(&self) -> bool {
        self.group_bytes >= GROUP_BYTES_BOUND && !self.wal.is_syncing()
    }

    /// What to make durable now, if anything.
    pub fn sync_request(&mut self, now: Timestamp, urgency: Urgency) -> Option<SyncRequest> {
        let due = urgency == Urgency::Now
            || match self.sync {
                SyncMode::Always => {
                    let waited = self.unsynced_since.map_or(0, |since| now.since(since).0);
                    let is_full = self.group_bytes >= GROUP_BYTES_BOUND || waited >= SYNC_WAIT_MS_MAX;
                    urgency == Urgency::Quiet || is_full
                }
                SyncMode::Never => false,
                SyncMode::Every(interval) => self.unsynced_since.is_some_and(|since| now >= since.plus(interval)),
            };
        if !due {
            return None;
        }
        let request = self.wal.sync_request()?;
        let records = self.wal.stats().records;
        self.measures.sync_records.note(records - std::mem::replace(&mut self.records_synced, records));
        self.group_bytes = 0;
        self.unsynced_since = None;
        Some(request)
    }

    pub fn synced(&mut self, outcome: &SyncOutcome, at: Timestamp) -> Result<(), WalError> {
        self.wal.synced(outcome)?;
        self.synced_at = at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, LeaseId};
    use crate::limits::CLIENT_NAME_BYTES_MAX;
    use crate::queue::events::{Ack, Cancel, Dead, Dispatch};

    #[test]
    fn what_is_kept_free_for_a_job_is_what_its_longest_records_take() {
        let worker = "w".repeat(CLIENT_NAME_BYTES_MAX);
        let dispatch = Dispatch { job: JobId(1), lease_ms: 1, attempt: 1, worker: &worker };
        let (job, lease, text_lost, kept_until) = (JobId(1), LeaseId(1), Some(true), Some(Timestamp(1)));
        let bytes = |event: Event<'_>| {
            let mut body = Vec::new();
            event.encode_head(&mut body);
            record_bytes(body.len() + event.tail().len()) as u64
        };
        assert_eq!(bytes(dispatch.into()), HAND_OUT_RESERVE);
        let ack = bytes(Ack { job, lease, text_lost, kept_until, ..Ack::default() }.into());
        let key_until = Some(Timestamp(1));
        let dead = bytes(Dead { job, lease, text_lost, key_until, kept_until, ..Dead::default() }.into());
        let (by, failed_until, before) = (None, Some(Timestamp(1)), None);
        let cancel = bytes(Cancel { job, ends: true, kept_until, by, failed_until, before }.into());
        assert_eq!(cancel, CANCEL_RESERVE);
        assert_eq!(ack.max(dead), END_RESERVE);
        let of_one = HAND_OUT_RESERVE + END_RESERVE + CANCEL_RESERVE;
        assert_eq!(of_one, 288, "as docs/src/guarantees.md has it");
        assert_eq!(READY_RESERVE, 56, "as docs/src/guarantees.md has it");
    }
}
