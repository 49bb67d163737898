//! Jobs and queues: the pure state machine.
//!
//! Promises: [`Queues::apply`] is the only function that changes what is durable; it takes an event with its
//! LSN and moment, so that replay of the log gives the same state, line by line, that the running master had.
//! `check` holds every invariant between the indexes.
//! It does not: decide (the master does), read clocks, draw random numbers, touch disks or sockets, or keep
//! payloads, which stay in the log.
//!
//! A delayed job becomes pending when [`Queues::advance`] passes its time. `apply` advances to the event's own
//! moment first; since the running master never lets time pass otherwise than in that order, the lines come
//! out the same in a replay.

mod chunks;
pub mod counters;
pub mod deadlines;
pub mod events;

mod after;
mod apply;
mod batches;
mod check;
mod ends;
mod entry;
mod groups;
mod keys;
mod leases;
mod lines;
mod measured;
mod names;
mod oldest;
mod registry;
mod restore;
mod ruling;
mod scan;
mod schedules;
mod sides;
mod snapshot;
mod survey;
mod table;
mod usage;
mod views;

use std::collections::BTreeSet;

use after::After;
use batches::Batches;
use deadlines::Wheel;
use entry::Text;
use groups::Groups;
use keys::Keys;
use leases::Leases;
use names::Names;
use registry::Registry;
use ruling::PauseEnds;
use schedules::Schedules;
use sides::Sides;
use snapshot::Taking;
use table::Table;
use usage::Usage;

use crate::ids::{JobId, LeaseId, Location, QueueId, SessionId};
use crate::job::Standing;
use crate::planted::{Bug, is_planted};
use crate::time::{Millis, Timestamp};

pub use after::{Settled, Waits};
pub use apply::Broken;
pub use batches::{Batch, BatchStep};
pub use events::{Event, Part};
pub use groups::GroupView;
pub use leases::HowFar;
pub use measured::{Limits, MeasuredJob, Standings};
pub use restore::Restoring;
pub use ruling::{Paused, Rules};
pub use scan::{Sought, Walk};
pub use schedules::{ByClock, Recurring, Run};
pub use snapshot::Slice;
pub use survey::TextAt;
pub use usage::{SegmentUse, live_bytes};
pub use views::{JobFacts, JobView, KeyView, LeaseView, MoreFacts, PastView};

#[derive(Debug)]
pub struct Queues {
    table: Table,
    registry: Registry,
    groups: Groups,
    delayed: Wheel,
    leases: Leases,
    /// Names of the workers that hold leases.
    names: Names,
    keys: Keys,
    sides: Sides,
    after: After,
    batches: Batches,
    /// Jobs that have ended and are there until a moment.
    kept: Wheel,
    pause_ends: PauseEnds,
    /// Queues that have rules.
    ruled: BTreeSet<QueueId>,
    schedules: Schedules,
    /// How many groups have settings of their own.
    group_rules: usize,
    /// The moment up to which delays and key windows were carried out.
    now: Timestamp,
    next_job: JobId,
    /// The newest place given at the end of a line.
    back: u64,
    /// The newest place given at its front.
    front: u64,
    /// How many jobs have ended and are there, dead ones among them.
    ended: usize,
    dead: usize,
    /// How many jobs are delayed that were tried before.
    retrying: usize,
    /// How many wait for others.
    held_back: usize,
    /// What lives where in the log.
    usage: Usage,
    /// Segments in which something was kept until its time was over, since the newest record: to a replay, which comes
    /// to the moment of that record, it lives there still.
    faded: BTreeSet<u32>,
    /// The snapshot that is being taken.
    taking: Option<Box<Taking>>,
    /// Reused by `advance`.
    due: Vec<u32>,
}

/// The first place at the end of a line; those at the front are below it.
const FIRST_PLACE: u64 = 1 << 62;

impl Default for Queues {
    fn default() -> Self {
        Queues {
            table: Table::default(),
            registry: Registry::default(),
            groups: Groups::default(),
            delayed: Wheel::default(),
            leases: Leases::default(),
            names: Names::default(),
            keys: Keys::default(),
            sides: Sides::default(),
            after: After::default(),
            batches: Batches::default(),
            kept: Wheel::default(),
            pause_ends: PauseEnds::default(),
            ruled: BTreeSet::new(),
            schedules: Schedules::default(),
            group_rules: 0,
            now: Timestamp(0),
            next_job: JobId(1),
            back: FIRST_PLACE - 1,
            front: FIRST_PLACE,
            ended: 0,
            dead: 0,
            retrying: 0,
            held_back: 0,
            usage: Usage::default(),
            faded: BTreeSet::new(),
            taking: None,
            due: Vec::new(),
        }
    }
}

impl Queues {
    /// Lets time pass: tokens come, and delayed jobs whose time has come become pending, in the order of their times
    /// and then of names and ids; keys whose window is over are forgotten, and jobs that were kept long enough; pauses
    /// end. Time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        if now <= self.now {
            return;
        }
        self.now = now;
        self.keys.advance(now);
        let mut due = std::mem::take(&mut self.due);
        self.delayed.advance(&mut self.table, now, &mut due);
        due.sort_unstable_by_key(|slot| (self.table[*slot].due_at(), self.table[*slot].id));
        let mut refills = self.refills().into_iter().peekable();
        for slot in due.drain(..) {
            while let Some((_, owner)) = refills.next_if(|(at, _)| *at <= self.table[slot].due_at()) {
                self.refill(owner);
            }
            self.leave_state(slot);
            self.enter_pending(slot, None);
        }
        refills.for_each(|(_, owner)| self.refill(owner));
        self.drop_kept(&mut due);
        self.advance_tombstones(now);
        self.advance_batches(now);
        self.due = due;
        self.end_pauses();
    }

    /// A moment at or before the next one at which something is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let delayed = self.delayed.next_deadline().into_iter().chain(self.leases.next_deadline());
        let delayed = delayed.chain(self.groups.buckets.next_deadline());
        let pauses = self.pause_ends.next_deadline();
        delayed.chain(self.sides.next_deadline()).chain(self.kept.next_deadline()).chain(pauses).min()
    }

    /// Whether something is to happen by log time alone: a job is delayed, expires or is kept, a key is remembered,
    /// a pause ends, or a schedule goes by spans.
    pub fn waits_for_time(&self) -> bool {
        let wheels = [&self.delayed, &self.kept].iter().any(|wheel| wheel.next_deadline().is_some());
        let others = [self.sides.next_deadline(), self.pause_ends.next_deadline(), self.groups.buckets.next_deadline()];
        let others = others.iter().any(Option::is_some) || self.after.tombstones.next_deadline().is_some();
        let others = others || self.batches.waits_for_time();
        let spans = self.next_schedule(ByClock::Log).is_some();
        wheels || others || spans || self.keys.waits_for_time()
    }

    /// The jobs that expire by `now`, in the order of their ids. The caller ends each by an event.
    pub fn take_expired(&mut self, now: Timestamp) -> Vec<JobId> {
        let mut due = Vec::new();
        self.sides.take_expired(now, &mut due);
        let mut jobs: Vec<JobId> = due.into_iter().map(|slot| self.table[slot].id).collect();
        jobs.sort_unstable();
        jobs
    }

    /// The jobs whose lease has run out by `now`, in order. The caller ends each of these leases by an event.
    pub fn take_run_out(&mut self, now: Timestamp) -> Vec<JobId> {
        self.leases.take_run_out(now)
    }

    /// Extends a live lease to its full length from `now`; from now on `holder` holds it.
    /// Returns what is left of it, or nothing if it is not the job's live lease.
    pub fn extend(&mut self, job: JobId, lease: LeaseId, holder: SessionId, now: Timestamp) -> Option<Millis> {
        let index = self.lease_index(job, lease)?;
        Some(self.leases.extend(index, holder, now))
    }

    /// Notes that the job of a live lease may be started from now on: the attempt counts, and its time runs.
    pub fn begin(&mut self, job: JobId, lease: LeaseId, now: Timestamp) {
        if let Some(slot) = self.table.slot(job)
            && let Some(index) = self.lease_at(slot, lease)
        {
            self.leases.begin(index, self.table[slot].settings.timeout_ms, now);
        }
    }

    /// Notes how far a job is, under its live lease; says whether this is that.
    pub fn note_progress(&mut self, job: JobId, lease: LeaseId, percent: u8, text: &str, told_at: Timestamp) -> bool {
        let Some(index) = self.lease_index(job, lease) else { return false };
        self.leases.note_progress(index, HowFar { percent, told_at, text: text.into() });
        true
    }

    /// Notes who holds the lease that was granted last, and whether that one will say when it begins the job: until
    /// then the attempt does not count.
    pub fn hold_newest(&mut self, holder: SessionId, says_begun: bool) {
        self.leases.hold_newest(holder, says_begun);
    }

    /// Shortens a lease to end at `deadline` at the latest, if `holder` still holds it.
    pub fn cut(&mut self, job: JobId, lease: LeaseId, holder: SessionId, deadline: Timestamp) {
        if let Some(index) = self.lease_index(job, lease)
            && self.leases.lease(index).holder == holder
        {
            self.leases.cut(index, deadline);
        }
    }

    /// Puts off the end of a lease that has run out, for want of room to write it down.
    pub fn postpone(&mut self, job: JobId, lease: LeaseId, until: Timestamp) {
        if let Some(index) = self.lease_index(job, lease) {
            self.leases.move_to(index, until);
        }
    }

    /// Lets every lease last so much longer.
    pub fn prolong_leases(&mut self, gap: Millis) {
        self.leases.prolong_all(gap);
    }

    /// Gives every lease its full length from `now`: after a restart.
    pub fn renew_leases(&mut self, now: Timestamp) {
        self.leases.renew_all(now);
    }

    /// The queue of this name for a poll, made if it is not there; none if there are as many as there may be.
    pub fn polled(&mut self, name: &str) -> Option<QueueId> {
        let id = self.registry.polled(name)?;
        self.note_polled(id);
        Some(id)
    }

    /// A poll for jobs of this queue begins or ends.
    pub fn note_polled(&mut self, queue: QueueId) {
        self.registry.queue_mut(queue).polled_at = Some(self.now);
    }

    /// How many numbers of queues were given so far. While that stays the same each of them means the same queue.
    pub fn numbers_given(&self) -> u64 {
        self.registry.given()
    }

    /// No poll names this queue any more; one that was only polled goes.
    pub fn unpolled(&mut self, queue: QueueId) {
        self.registry.unpolled(queue);
    }

    /// Takes the next of the queues that got pending jobs since they were last asked for.
    pub fn take_woken(&mut self) -> Option<QueueId> {
        self.registry.take_woken()
    }

    fn lease_index(&self, job: JobId, lease: LeaseId) -> Option<u32> {
        self.lease_at(self.table.slot(job)?, lease)
    }

    /// The same for the job at this slot.
    fn lease_at(&self, slot: u32, lease: LeaseId) -> Option<u32> {
        let index = self.table[slot].lease()?;
        let live = self.leases.lease(index).granted.id == lease || is_planted(Bug::NoFence);
        live.then_some(index)
    }

    /// Where a part of a job lies, if the job has it.
    fn part(&self, slot: u32, part: Part) -> Option<Text> {
        let entry = &self.table[slot];
        let text = match part {
            Part::Payload => entry.payload,
            Part::Headers => self.sides.rare(entry).map_or(Text::default(), |rare| rare.headers),
            Part::Story | Part::Result if (part == Part::Result) == (entry.standing == Standing::Completed) => {
                self.sides.side(entry).map_or(Text::default(), |side| side.text)
            }
            Part::Story | Part::Result => Text::default(),
        };
        (text.bytes > 0).then_some(text)
    }

    /// Which part of this job lies there, if one does.
    pub fn lives_at(&self, job: JobId, at: Location) -> Option<Part> {
        let slot = self.table.slot(job)?;
        let lies_there = |part: &&Part| self.part(slot, **part).is_some_and(|text| text.at == at);
        Part::ALL.iter().find(lies_there).copied()
    }
}
