//! What became of jobs and queues, counted from the log by rules that a reader can check by eye: nothing here asks the
//! state machine.

// Each crate of tests asks its own part of it.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use falconqueue::ids::{JobId, LeaseId};
use falconqueue::job::{Backoff, Settings};
use falconqueue::limits::{BACKOFF_MS_FIRST, BACKOFF_MS_MAX};
use falconqueue::queue::Event;
use falconqueue::queue::events::{Dispatch, Enqueue, ReleaseReason};
use falconqueue::rules::{GroupSettings, QueueSettings, Rate};
use falconqueue::time::{Millis, Timestamp};
use falconqueue::wal::RecordHead;

/// Numbers of ends on the wire.
pub const DEAD: u8 = 3;
pub const COMPLETED: u8 = 4;
pub const CANCELLED: u8 = 5;
pub const EXPIRED: u8 = 6;
pub const GONE: u8 = 254;

/// With what a job was accepted.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    pub at: Timestamp,
    pub key: String,
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
    /// All leases that it was ever given under.
    pub leases: BTreeSet<LeaseId>,
    /// The lease of its ack.
    pub acked: Option<LeaseId>,
    due_at: Timestamp,
    /// Somebody cancelled it, in flight or not.
    is_cancelled: bool,
    expires_at: Option<Timestamp>,
    /// It may go without any client hearing so: it expires, or is dead for a time.
    pub may_vanish: bool,
    /// How it ended, unless it runs again.
    pub end: Option<u8>,
    /// How it ever ended.
    pub ends: BTreeSet<u8>,
}

/// What holds in a queue.
#[derive(Clone, Debug, Default)]
struct Ruled {
    /// Until when each way is closed.
    way_in: Timestamp,
    way_out: Timestamp,
    settings: QueueSettings,
    /// Of single groups.
    groups: BTreeMap<String, GroupSettings>,
    /// The rate that holds since then, and when jobs were given by it: of the queue, and of each group.
    given: Given,
    given_of: BTreeMap<String, Given>,
}

/// When jobs were given by a rate that did not change.
#[derive(Clone, Debug, Default)]
struct Given {
    rate: Option<Rate>,
    at: Vec<Timestamp>,
}

impl Given {
    /// In any window at most the burst and what the rate gives is given.
    fn one_more(&mut self, rate: Option<Rate>, at: Timestamp, what: &str) {
        if self.rate != rate {
            *self = Given { rate, at: Vec::new() };
        }
        let Some(rate) = rate else { return };
        self.at.push(at);
        for (before, from) in self.at.iter().rev().enumerate() {
            // A moment stands for the millisecond that begins there.
            let window = u128::from(at.since(*from).0 + 1);
            let most = u128::from(rate.burst) * u128::from(rate.per_ms) + window * u128::from(rate.tokens);
            let given = (before as u128 + 1) * u128::from(rate.per_ms);
            assert!(given <= most, "{what}: {} jobs were given in {window} ms by {rate:?}", before + 1);
        }
    }
}

pub struct Truth {
    key_window: Millis,
    fates: BTreeMap<u64, Fate>,
    ruled: BTreeMap<String, Ruled>,
    /// Which job holds a key, and until when.
    keys: BTreeMap<String, (JobId, Timestamp)>,
    /// Jobs that may have vanished since somebody asked.
    vanishing: Vec<JobId>,
}

const FOR_EVER: Timestamp = Timestamp(u64::MAX);

impl Truth {
    /// Nothing is known yet of a log that remembers keys for so long.
    pub fn new(key_window: Millis) -> Truth {
        let (fates, ruled, keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Truth { key_window, fates, ruled, keys, vanishing: Vec::new() }
    }

    pub fn of(&self, job: u64) -> Option<&Fate> {
        self.fates.get(&job)
    }

    pub fn settings(&self, queue: &str) -> QueueSettings {
        self.ruled(queue).settings
    }

    /// The jobs of which it has become known that they may vanish.
    pub fn take_vanishing(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.vanishing)
    }

    /// Takes the next record in, and holds it against all before it.
    pub fn take(&mut self, event: &Event<'_>, head: &RecordHead) {
        let at = head.at;
        match event {
            Event::Enqueue(job) => self.accept(job, at),
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
        if !job.key.is_empty() {
            let before = self.keys.insert(job.key.to_owned(), (job.job, FOR_EVER));
            assert!(before.is_none_or(|(_, until)| until <= at), "key {} makes job {}: {before:?}", job.key, job.job);
        }
        let accepted = Accepted {
            at,
            key: job.key.to_owned(),
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
            may_vanish: job.expires_at.is_some(),
            ..Fate::default()
        };
        self.fates.insert(job.job.0, fate);
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
        let fate = self.running(given.job, "DISPATCH");
        fate.attempts += 1;
        assert_eq!(given.attempt, fate.attempts, "attempt of job {}", given.job);
        assert!(fate.attempts <= fate.max_attempts, "an attempt too many of job {}", given.job);
        assert!(fate.due_at <= head.at, "job {} was given before its time, {}", given.job, fate.due_at);
        let lease = LeaseId(head.lsn.0);
        assert_eq!(fate.lease.replace(lease), None, "job {} has two leases", given.job);
        fate.leases.insert(lease);
    }

    /// No group gives more than it may.
    fn holds_group(&mut self, job: JobId, ruled: &Ruled, at: Timestamp) {
        let Fate { queue, group, .. } = self.fates[&job.0].clone();
        let settings = &ruled.settings;
        let own = ruled.groups.get(&group).copied().unwrap_or_default();
        let is_its = |fate: &&Fate| fate.queue == queue && fate.group == group;
        let in_flight = self.fates.values().filter(is_its).filter(|fate| fate.lease.is_some()).count();
        let what = format!("group {group:?} of queue {queue}");
        if let Some(max) = own.running_max.or(settings.group_running_max) {
            assert!(in_flight < max as usize, "{in_flight} jobs of {what} are in flight, and {job} is given");
        }
        if settings.strict == Some(true) {
            let retries = |fate: &&Fate| fate.end.is_none() && fate.attempts > 0 && fate.due_at > at;
            let waits: Vec<&Fate> = self.fates.values().filter(is_its).filter(retries).collect();
            assert!(in_flight == 0 && waits.is_empty(), "job {job} of {what} passes others: {waits:?}");
        }
        let rate = own.rate.or(settings.group_rate);
        let ruled = self.ruled.entry(queue).or_default();
        ruled.given.one_more(settings.rate, at, &what);
        ruled.given_of.entry(group).or_default().one_more(rate, at, &what);
    }

    /// No queue takes more than it may.
    fn has_room(&self, job: &Enqueue<'_>, settings: &QueueSettings) {
        if (settings.depth_max, settings.bytes_max) == (None, None) {
            return;
        }
        let waits = |fate: &&Fate| fate.queue == job.queue && fate.end.is_none() && fate.lease.is_none();
        let waiting: Vec<u64> = self.fates.values().filter(waits).map(|fate| fate.accepted.bytes).collect();
        let (jobs, bytes) = (1 + waiting.len() as u64, waiting.iter().sum::<u64>() + job.payload.len() as u64);
        assert!(settings.depth_max.is_none_or(|max| jobs <= max), "queue {} took a job too many", job.queue);
        assert!(settings.bytes_max.is_none_or(|max| bytes <= max), "queue {} took bytes too many", job.queue);
    }

    /// What somebody asked for.
    fn take_order(&mut self, event: &Event<'_>, at: Timestamp) {
        match event {
            Event::Cancel(cancel) => {
                self.fate(cancel.job).is_cancelled = true;
                if cancel.ends {
                    self.ends(cancel.job, CANCELLED, (at, cancel.kept_until));
                }
            }
            Event::Purge(purge) => {
                let fate = self.fate(purge.job);
                assert_eq!(fate.lease, None, "job {} was purged in flight", purge.job);
                if fate.end.is_none() {
                    fate.ends_as(CANCELLED);
                }
                self.key_goes(purge.job, at, None);
            }
            Event::Requeue(requeue) => {
                let fate = self.fate(requeue.job);
                assert_eq!(fate.end.take(), Some(DEAD), "job {} was requeued", requeue.job);
                (fate.attempts, fate.expires_at, fate.due_at) = (0, None, Timestamp(0));
                let held = self.keys.values_mut().find(|(job, until)| *job == requeue.job && *until > at);
                if let Some((_, until)) = held {
                    *until = FOR_EVER;
                }
            }
            Event::Update(update) => {
                let fate = self.running(update.job, "UPDATE");
                fate.max_attempts = update.max_attempts.unwrap_or(fate.max_attempts);
                fate.expires_at = update.expires_at.or(fate.expires_at).filter(|at| at.0 > 0);
                fate.due_at = update.due_at.unwrap_or(fate.due_at);
            }
            _ => self.take_rule(event),
        }
    }

    /// What holds in a queue from now on.
    fn take_rule(&mut self, event: &Event<'_>) {
        match event {
            Event::Pause(pause) => {
                let until = if pause.until.0 == 0 { FOR_EVER } else { pause.until };
                self.close(pause.queue, (pause.way.is_in(), pause.way.is_out()), until);
            }
            Event::Resume(resume) => {
                self.close(resume.queue, (resume.way.is_in(), resume.way.is_out()), Timestamp(0));
            }
            Event::Set(set) => {
                let ruled = self.ruled.entry(set.queue.to_owned()).or_default();
                ruled.settings = set.settings;
                ruled.look_again();
            }
            Event::SetGroup(set) => {
                let ruled = self.ruled.entry(set.queue.to_owned()).or_default();
                ruled.groups.insert(set.group.to_owned(), set.settings);
                ruled.look_again();
            }
            Event::Forget(forget) => {
                let left = self.fates.values().any(|fate| fate.queue == forget.queue && fate.end.is_none());
                assert!(!left, "queue {} was forgotten with jobs", forget.queue);
                self.ruled.remove(forget.queue);
            }
            _ => {}
        }
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
        let settings = self.settings(&queue);
        let fate = self.fate(job);
        let of_job = fate.accepted.keep_s.or(settings.keep_s);
        let keep_s = if end == DEAD { settings.dead_keep_s } else { of_job };
        let expected = keep_s.filter(|keep_s| *keep_s > 0).map(|keep_s| at.plus(Millis(1000 * u64::from(keep_s))));
        assert_eq!(kept_until, expected, "until when job {job} is kept: {fate:?}");
        fate.ends_as(end);
        if fate.may_vanish {
            self.vanishing.push(job);
        }
        if end == CANCELLED || end == EXPIRED {
            self.key_goes(job, at, None);
        }
    }

    /// A job has ended that holds its key until then, if it has one and holds it any longer.
    fn key_goes(&mut self, job: JobId, at: Timestamp, until: Option<Timestamp>) {
        let fate = &self.fates[&job.0];
        let held = self.keys.get_mut(&fate.accepted.key).filter(|(holder, until)| *holder == job && *until > at);
        assert!(until.is_none_or(|until| until == at.plus(self.key_window)), "job {job} holds its key until {until:?}");
        if let Some((_, held_until)) = held {
            *held_until = until.unwrap_or(at);
        }
    }

    fn ruled(&self, queue: &str) -> Ruled {
        self.ruled.get(queue).cloned().unwrap_or_default()
    }

    fn close(&mut self, queue: &str, (way_in, way_out): (bool, bool), until: Timestamp) {
        let ruled = self.ruled.entry(queue.to_owned()).or_default();
        if way_in {
            ruled.way_in = until;
        }
        if way_out {
            ruled.way_out = until;
        }
    }
}

impl Ruled {
    /// A rate that was changed meanwhile counts anew, even if it is as before.
    fn look_again(&mut self) {
        let Ruled { settings, groups, given, given_of, .. } = self;
        if given.rate != settings.rate {
            *given = Given::default();
        }
        given_of.retain(|group, given| {
            let own = groups.get(group).copied().unwrap_or_default();
            given.rate == own.rate.or(settings.group_rate)
        });
    }
}

impl Fate {
    /// Whether a wait may be told that the job stands so; one that is gone has to have ended before that was asked.
    pub fn may_be_told(&self, standing: u8, had_ended: bool) -> bool {
        match standing {
            DEAD..=EXPIRED => self.ends.contains(&standing),
            GONE => had_ended,
            other => other < DEAD,
        }
    }

    fn ends_as(&mut self, end: u8) {
        self.end = Some(end);
        self.lease = None;
        self.ends.insert(end);
    }
}
