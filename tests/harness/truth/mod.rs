//! What became of jobs and queues, counted from the log by rules that a reader can check by eye: nothing here asks the
//! state machine.

// Each crate of tests asks its own part of it.
#![allow(dead_code)]

pub mod batches;
mod follow_ups;
mod keys;
mod ruled;
mod ticks;
mod waits;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use falconqueue::ids::{BatchId, JobId, LeaseId};
use falconqueue::job::{Backoff, IfFailed, Settings, Unique};
use falconqueue::limits::{BACKOFF_MS_FIRST, BACKOFF_MS_MAX};
use falconqueue::queue::events::{Dispatch, Enqueue, ReleaseReason, Replace};
use falconqueue::queue::{Event, Queues};
use falconqueue::rules::QueueSettings;
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::RecordHead;

use batches::Batches;
use follow_ups::FollowUps;
use keys::Keys;
use ruled::Ruled;
use ticks::Ticks;
pub use waits::Waits;

/// Numbers of ends on the wire.
pub const DEAD: u8 = 3;
pub const COMPLETED: u8 = 4;
pub const CANCELLED: u8 = 5;
pub const EXPIRED: u8 = 6;
pub const WAITING: u8 = 7;
pub const GONE: u8 = 254;

/// With what a job was accepted.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    pub at: Timestamp,
    pub key: String,
    pub unique: Unique,
    /// What it waited for at first.
    pub waits: Option<Waits>,
    pub settings: Settings,
    pub expires_at: Option<Timestamp>,
    pub keep_s: Option<u32>,
    /// The settings of its queue then.
    pub of_queue: QueueSettings,
    bytes: u64,
}

/// What the log says of one job.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub queue: String,
    /// Empty for none.
    pub group: String,
    pub accepted: Accepted,
    /// Attempts that count, since it was requeued last.
    attempts: u16,
    max_attempts: u16,
    /// Who has it.
    pub lease: Option<LeaseId>,
    /// All leases that it was ever given under, each with what payload.
    pub leases: BTreeMap<LeaseId, u64>,
    payload: u64,
    /// The lease of its ack.
    pub acked: Option<LeaseId>,
    due_at: Timestamp,
    /// Somebody cancelled it, in flight or not.
    is_cancelled: bool,
    expires_at: Option<Timestamp>,
    /// What it waits for, until it waits no more.
    waits: Option<Waits>,
    /// It is a member of this batch; its delay until it is let go with that, if it waits for nothing else.
    batch: Option<BatchId>,
    held_ms: Option<u64>,
    /// How long it is kept since it ended, and from when on it may be forgotten how it did.
    kept_until: Option<Timestamp>,
    forgotten_at: Option<Timestamp>,
    is_purged: bool,
    /// It may go without any client hearing so: it expires, or is dead for a time.
    pub may_vanish: bool,
    /// How it ended, unless it runs again.
    pub end: Option<u8>,
    /// How it ever ended.
    pub ends: BTreeSet<u8>,
}

pub struct Truth {
    key_window: Millis,
    fates: BTreeMap<u64, Fate>,
    ruled: BTreeMap<String, Ruled>,
    keys: Keys,
    /// Jobs that wait for others.
    waiting: BTreeSet<u64>,
    ticks: Ticks,
    batches: Batches,
    pub follow_ups: FollowUps,
    /// How many were cancelled for what became of others.
    pub cascades: u64,
    /// Jobs that may have vanished since somebody asked.
    vanishing: Vec<JobId>,
}

const FOR_EVER: Timestamp = Timestamp(u64::MAX);

/// Tells payloads apart.
pub fn print(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

impl Truth {
    /// Nothing is known yet of a log that remembers keys for so long.
    pub fn new(key_window: Millis) -> Truth {
        Truth {
            key_window,
            fates: BTreeMap::new(),
            ruled: BTreeMap::new(),
            keys: Keys::default(),
            waiting: BTreeSet::new(),
            ticks: Ticks::default(),
            batches: Batches::default(),
            follow_ups: FollowUps::default(),
            cascades: 0,
            vanishing: Vec::new(),
        }
    }

    pub fn of(&self, job: u64) -> Option<&Fate> {
        self.fates.get(&job)
    }

    /// The newest job.
    pub fn last_job(&self) -> u64 {
        self.fates.last_key_value().map_or(0, |(job, _)| *job)
    }

    pub fn settings(&self, queue: &str) -> QueueSettings {
        self.ruled(queue).settings
    }

    /// Holds who holds which key against what a master knows.
    pub fn holds_keys(&self, now: Timestamp, queues: &Queues) {
        self.keys.holds(now, queues);
    }

    /// No tick of a schedule is late at the end of a turn.
    pub fn holds_ticks(&self, now: Timestamp, queues: &Queues) {
        self.ticks.hold(now, queues);
    }

    /// The jobs of which it has become known that they may vanish.
    pub fn take_vanishing(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.vanishing)
    }

    /// Takes the next record in, and holds it against all before it.
    pub fn take(&mut self, event: &Event<'_>, head: &RecordHead) {
        let at = head.at;
        self.follow_ups.take(event, head.more);
        match event {
            Event::Enqueue(job) => self.accept(job, at),
            Event::Replace(replace) => self.replace(replace, at),
            Event::Ready(ready) => self.ready(ready.job, at),
            Event::Dispatch(given) => self.give(given, head),
            Event::Retry(retry) => self.again((retry.job, retry.lease), at, retry.retry_at, "RETRY"),
            Event::Timeout(late) => self.again((late.job, late.lease), at, late.retry_at, "TIMEOUT"),
            Event::Release(release) => {
                let fate = self.given_up(release.job, release.lease, "RELEASE");
                (fate.attempts, fate.due_at) = (fate.attempts - 1, release.due_at);
                if release.reason == ReleaseReason::Begun {
                    fate.expires_at = None;
                }
            }
            Event::Ack(ack) => {
                self.given_up(ack.job, ack.lease, "ACK").acked = Some(ack.lease);
                self.ends(ack.job, COMPLETED, (at, ack.kept_until));
                self.key_goes(ack.job, at, Some(ack.key_until).filter(|until| until.0 > 0));
            }
            Event::Dead(dead) => {
                let fate = self.given_up(dead.job, dead.lease, "DEAD");
                fate.may_vanish |= dead.kept_until.is_some();
                self.ends(dead.job, DEAD, (at, dead.kept_until));
                self.key_goes(dead.job, at, dead.key_until);
            }
            Event::Expire(expire) => {
                let fate = self.running(expire.job, "EXPIRE");
                assert!(fate.attempts == 0 && fate.lease.is_none(), "job {} was begun and expired", expire.job);
                assert!(fate.expires_at.is_some_and(|due| due <= at), "job {} expired too early", expire.job);
                self.ends(expire.job, EXPIRED, (at, expire.kept_until));
            }
            _ => self.take_order(event, at),
        }
    }

    fn accept(&mut self, job: &Enqueue<'_>, at: Timestamp) {
        let ruled = self.ruled(job.queue);
        assert!(ruled.way_in <= at, "queue {} is paused and took job {}", job.queue, job.job);
        self.has_room(job, &ruled.settings);
        self.ticks.came(job.job);
        if !job.key.is_empty() {
            self.keys.accept(job, at);
        }
        let waits = Waits::of(job, at);
        if waits.is_some() {
            self.waiting.insert(job.job.0);
        }
        // Whoever submitted it need not hear that it is cancelled.
        let may_fail = waits.as_ref().is_some_and(|waits| waits.if_failed != IfFailed::Run);
        let accepted = Accepted {
            at,
            key: job.key.to_owned(),
            unique: keys::way(job),
            waits: waits.clone(),
            settings: job.settings,
            expires_at: job.expires_at,
            keep_s: job.keep_s,
            of_queue: ruled.settings,
            bytes: job.payload.len() as u64,
        };
        let fate = Fate {
            queue: job.queue.to_owned(),
            group: job.group.unwrap_or_default().to_owned(),
            accepted,
            max_attempts: job.settings.max_attempts,
            due_at: job.due_at,
            expires_at: job.expires_at,
            may_vanish: job.expires_at.is_some() || may_fail,
            payload: print(job.payload),
            waits,
            ..Fate::default()
        };
        self.fates.insert(job.job.0, fate);
        self.join(job, at);
    }

    /// One that was not begun has another payload and other times.
    fn replace(&mut self, replace: &Replace<'_>, at: Timestamp) {
        let fate = self.running(replace.job, "REPLACE");
        assert!(fate.attempts == 0 && fate.lease.is_none(), "job {} was begun and replaced", replace.job);
        fate.payload = print(replace.payload);
        fate.accepted.bytes = replace.payload.len() as u64;
        (fate.due_at, fate.expires_at) = (replace.due_at, replace.expires_at);
        let delay_ms = fate.waits.as_mut().map(|waits| &mut waits.delay_ms).or(fate.held_ms.as_mut());
        if let Some(delay_ms) = delay_ms {
            *delay_ms = replace.due_at.since(at).0;
            fate.due_at = Timestamp(0);
        }
        if fate.expires_at.is_some() {
            fate.may_vanish = true;
            self.vanishing.push(replace.job);
        }
    }

    fn give(&mut self, given: &Dispatch<'_>, head: &RecordHead) {
        let queue = self.fate(given.job).queue.clone();
        let ruled = self.ruled(&queue);
        assert!(ruled.way_out <= head.at, "queue {queue} is paused and gave job {}", given.job);
        if let Some(max) = ruled.settings.running_max {
            let in_flight = self.fates.values().filter(|fate| fate.queue == queue && fate.lease.is_some()).count();
            assert!(
                in_flight < max as usize,
                "{in_flight} jobs of queue {queue} are in flight, and {} is given",
                given.job
            );
        }
        self.holds_group(given.job, &ruled, head.at);
        assert!(self.is_let_go(given.job), "job {} was given before its batch was let go", given.job);
        let fate = self.running(given.job, "DISPATCH");
        fate.attempts += 1;
        assert_eq!(given.attempt, fate.attempts, "attempt of job {}", given.job);
        assert!(fate.attempts <= fate.max_attempts, "an attempt too many of job {}", given.job);
        assert!(fate.due_at <= head.at, "job {} was given before its time, {}", given.job, fate.due_at);
        assert!(fate.waits.is_none(), "job {} was given and waits for others", given.job);
        let lease = LeaseId(head.lsn.0);
        assert_eq!(fate.lease.replace(lease), None, "job {} has two leases", given.job);
        fate.leases.insert(lease, fate.payload);
        let key = fate.accepted.key.clone();
        self.keys.start(&key, given.job, head.at);
    }

    /// What somebody asked for.
    fn take_order(&mut self, event: &Event<'_>, at: Timestamp) {
        match event {
            Event::Cancel(cancel) => {
                self.fate(cancel.job).is_cancelled = true;
                if let Some(before) = cancel.before {
                    self.cancelled_for(cancel.job, before, at);
                }
                if cancel.ends {
                    self.ends(cancel.job, CANCELLED, (at, cancel.kept_until));
                }
            }
            Event::Purge(purge) => self.purge(purge.job, at, purge.failed_until),
            Event::Requeue(requeue) => {
                let fate = self.fate(requeue.job);
                assert_eq!(fate.end.take(), Some(DEAD), "job {} was requeued", requeue.job);
                (fate.attempts, fate.expires_at, fate.due_at) = (0, None, Timestamp(0));
                (fate.kept_until, fate.forgotten_at) = (None, None);
                let key = fate.accepted.key.clone();
                self.keys.goes_on(&key, requeue.job, at);
                self.runs_again(requeue.job, at);
            }
            Event::Update(update) => {
                let fate = self.running(update.job, "UPDATE");
                fate.max_attempts = update.max_attempts.unwrap_or(fate.max_attempts);
                fate.expires_at = update.expires_at.or(fate.expires_at).filter(|at| at.0 > 0);
                let is_held = fate.waits.is_some() || fate.held_ms.is_some();
                assert!(update.due_at.is_none() || !is_held, "the delay of job {} begins later", update.job);
                fate.due_at = update.due_at.unwrap_or(fate.due_at);
            }
            _ => self.take_rule(event, at),
        }
    }

    /// A job is gone; of one that did not complete, that is known for a while.
    fn purge(&mut self, job: JobId, at: Timestamp, failed_until: Option<Timestamp>) {
        let window = at.plus(self.key_window);
        let fate = self.fate(job);
        assert_eq!(fate.lease, None, "job {job} was purged in flight");
        let is_news = fate.end.is_none_or(|end| end == DEAD);
        assert_eq!(failed_until, is_news.then_some(window), "how long it is known that job {job} was purged");
        fate.is_purged = true;
        fate.forgotten_at = failed_until.or(fate.forgotten_at);
        if fate.end.is_none() {
            fate.ends_as(CANCELLED);
            self.member_ended(job, at);
        }
        self.waiting.remove(&job.0);
        self.key_goes(job, at, None);
    }

    fn fate(&mut self, job: JobId) -> &mut Fate {
        self.fates.get_mut(&job.0).unwrap_or_else(|| panic!("job {job} was never accepted"))
    }

    /// One that has not ended, and that nobody cancelled.
    fn running(&mut self, job: JobId, what: &str) -> &mut Fate {
        let fate = self.fate(job);
        assert!(fate.end.is_none(), "a {what} of job {job}, which has ended: {fate:?}");
        assert!(!fate.is_cancelled || what == "UPDATE", "a {what} of job {job}, which was cancelled");
        fate
    }

    /// The same, whose lease ends.
    fn given_up(&mut self, job: JobId, lease: LeaseId, what: &str) -> &mut Fate {
        let fate = self.running(job, what);
        assert_eq!(fate.lease.take(), Some(lease), "a {what} of job {job}");
        fate
    }

    /// There will be another attempt, after the backoff of the queue.
    fn again(&mut self, (job, lease): (JobId, LeaseId), at: Timestamp, retry_at: Timestamp, what: &str) {
        let queue = self.fate(job).queue.clone();
        let backoff = self.settings(&queue).backoff;
        let fate = self.given_up(job, lease, what);
        fate.due_at = retry_at;
        let usual = Backoff { first_ms: BACKOFF_MS_FIRST as u32, most_ms: BACKOFF_MS_MAX as u32 };
        let Backoff { first_ms, most_ms } = backoff.unwrap_or(usual);
        let whole = (u64::from(first_ms) << (fate.attempts - 1).min(32)).min(most_ms.into());
        let at_least = if first_ms == most_ms { whole } else { whole / 2 };
        let waits = retry_at.since(at).0;
        assert!((at_least..=whole).contains(&waits), "job {job} waits {waits} ms after attempt {}", fate.attempts);
    }

    fn ends(&mut self, job: JobId, end: u8, (at, kept_until): (Timestamp, Option<Timestamp>)) {
        let queue = self.fate(job).queue.clone();
        let (settings, key_window) = (self.settings(&queue), self.key_window);
        let fate = self.fate(job);
        let of_job = fate.accepted.keep_s.or(settings.keep_s);
        let keep_s = if end == DEAD { settings.dead_keep_s } else { of_job };
        let was_open = fate.end.is_none();
        let expected = keep_s.filter(|keep_s| *keep_s > 0).map(|keep_s| at.plus(Millis(1000 * u64::from(keep_s))));
        assert_eq!(kept_until, expected, "until when job {job} is kept: {fate:?}");
        fate.ends_as(end);
        fate.kept_until = kept_until;
        // A dead one is told from one that was completed as long as it is there.
        fate.forgotten_at = match end {
            COMPLETED => None,
            DEAD => kept_until,
            _ => Some(kept_until.unwrap_or(at).plus(key_window)),
        };
        if fate.may_vanish {
            self.vanishing.push(job);
        }
        self.waiting.remove(&job.0);
        if was_open {
            self.member_ended(job, at);
        }
        if end == CANCELLED || end == EXPIRED {
            self.key_goes(job, at, None);
        }
    }

    /// A job has ended that holds its key until then, if it has one and holds it any longer.
    fn key_goes(&mut self, job: JobId, at: Timestamp, until: Option<Timestamp>) {
        assert!(until.is_none_or(|until| until == at.plus(self.key_window)), "job {job} holds its key until {until:?}");
        self.keys.ends(&self.fates[&job.0].accepted.key, job, at, until);
    }
}

impl Fate {
    /// Whether a wait may be told that the job stands so; one that is gone has to have ended before that was asked.
    pub fn may_be_told(&self, standing: u8, had_ended: bool) -> bool {
        match standing {
            DEAD..=EXPIRED => self.ends.contains(&standing),
            WAITING => self.accepted.waits.is_some() || self.batch.is_some(),
            GONE => had_ended,
            other => other < DEAD,
        }
    }

    fn ends_as(&mut self, end: u8) {
        self.end = Some(end);
        (self.lease, self.waits, self.held_ms) = (None, None, None);
        self.ends.insert(end);
    }
}
