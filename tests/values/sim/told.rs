//! What the clients were told, which no crash may take back.

use std::collections::{BTreeMap, BTreeSet};

use falconqueue::ids::JobId;
use falconqueue::job::{IfFailed, OnDuplicate, Unique};
use falconqueue::protocol::{After, Change};
use falconqueue::time::{Millis, Timestamp};

use super::KEY_WINDOW;
use super::client::Sentence;
use crate::dice::Dice;
use crate::frames::Delivery;

/// A job to be submitted.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    pub queue: &'static str,
    /// Empty for none.
    pub group: &'static str,
    pub key: &'static str,
    pub unique: Unique,
    /// How long the key is held, of one that is held until a moment.
    pub unique_for_ms: u64,
    pub on_duplicate: OnDuplicate,
    pub after: Vec<After<'static>>,
    pub if_failed: IfFailed,
    pub priority: u8,
    pub max_attempts: u16,
    pub delay_ms: u64,
    pub keep_ms: Option<u64>,
    pub ttl_ms: Option<u64>,
    pub payload: Vec<u8>,
}

/// What was told, as far as it still binds.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Jobs that were accepted and whose end was not told.
    pub jobs: BTreeMap<JobId, Fact>,
    /// Jobs whose ack was answered OK.
    pub acked: BTreeSet<JobId>,
    /// Jobs whose cancel was answered OK, and whose purge was.
    pub cancelled: BTreeSet<JobId>,
    pub purged: BTreeSet<JobId>,
    /// Jobs whose ack was answered OK and that are to be kept.
    pub kept: BTreeMap<JobId, Kept>,
    /// Jobs whose keys may be free at any time, since somebody meddled with them.
    freed: BTreeSet<JobId>,
    /// Jobs whose purge was sent.
    purging: BTreeSet<JobId>,
    pub keys: BTreeMap<&'static str, KeyFact>,
    /// Keys under which a payload may have taken the place of another one.
    replaced: BTreeSet<&'static str>,
    /// When an ack of a job was first on its way.
    endings: BTreeMap<JobId, Timestamp>,
    /// Jobs that were acked with others, and those: in any crash image with them, or not.
    pub followed: Vec<(JobId, Vec<u64>)>,
    pub batches: BTreeMap<&'static str, BatchFact>,
    pub last_job: u64,
    pub last_lease: u64,
    pub submits: u64,
    /// Jobs that came with the ack of another one.
    pub follow_ups: u64,
}

#[derive(Clone, Debug)]
pub struct Fact {
    pub payload: Vec<u8>,
    pub key: &'static str,
    /// Acks, cancels and purges that were sent and not answered.
    pub endings: u32,
    keep_s: u64,
    /// It may expire.
    pub expires: bool,
}

#[derive(Clone, Debug)]
pub struct Kept {
    /// Unless it may have been dropped.
    pub result: Option<Vec<u8>>,
    pub until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub struct KeyFact {
    pub job: JobId,
    /// When the first ack of its job was sent, if one was.
    pub ended_at: Option<Timestamp>,
}

/// What was told of a batch since it was last asked to begin.
#[derive(Clone, Copy, Debug)]
pub struct BatchFact {
    /// Until then at least it is known.
    pub until: Timestamp,
    pub has_ended: bool,
    pub is_cancelled: bool,
}

/// A payload that says itself what it should be, if it is long enough.
pub fn payload(tag: u64, bytes: usize) -> Vec<u8> {
    let mut random = Dice::new(tag);
    let mut all = tag.to_le_bytes().to_vec();
    while all.len() < bytes {
        all.extend_from_slice(&random.draw().to_le_bytes());
    }
    all.truncate(bytes);
    all
}

/// Whether a payload is what it says.
pub fn is_whole(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_none_or(|tag| payload(u64::from_le_bytes(*tag), bytes.len()) == bytes)
}

impl Told {
    pub fn submitted(&mut self, job: Submission, id: JobId, duplicate: bool) {
        self.submits += 1;
        // What a worker hears of its ack a producer may have met before.
        let in_order = self.followed.is_empty();
        if duplicate {
            let first = self.keys.get(job.key).map(|fact| fact.job);
            // The first one's answer may have been lost with its connection, or never sent.
            let is_newer = first.is_none_or(|first| first <= id);
            assert!(is_newer || !in_order, "key {} led to {first:?}, now {id}", job.key);
            // Nor need it be there any more: who heard nothing of it may have acked it.
            let ended_at = self.endings.get(&id).copied();
            self.keys.entry(job.key).or_insert(KeyFact { job: id, ended_at });
            return;
        }
        assert!(!in_order || id.0 > self.last_job, "job {id} is not above {}", self.last_job);
        self.last_job = self.last_job.max(id.0);
        let ended_at = self.endings.get(&id).copied();
        if !job.key.is_empty() && self.keys.get(job.key).is_none_or(|fact| fact.job < id) {
            self.keys.insert(job.key, KeyFact { job: id, ended_at });
        }
        let may_be_gone = job.ttl_ms.is_some() || ended_at.is_some() || self.freed.contains(&id);
        if job.unique != Unique::ToEnd {
            self.frees(id);
        }
        let keep_s = job.keep_ms.unwrap_or(0).div_ceil(1000);
        let fact = Fact { payload: job.payload, key: job.key, endings: 0, keep_s, expires: may_be_gone };
        assert!(self.jobs.insert(id, fact).is_none(), "job {id} was given twice");
    }

    /// A job came; `is_late` if it may have lain unread while others went on with it.
    pub fn delivered(&mut self, got: &Delivery, is_late: bool) {
        if !is_late {
            self.may_run(JobId(got.job));
        }
        assert!(got.lease > self.last_lease || got.lease > 0);
        self.last_lease = self.last_lease.max(got.lease);
        self.holds_payload(got);
    }

    /// Nothing was told that forbids to deliver this job.
    pub fn may_run(&self, job: JobId) {
        assert!(!self.acked.contains(&job), "job {job} was acked and is delivered");
        assert!(!self.cancelled.contains(&job), "job {job} was cancelled and is delivered");
        assert!(!self.purged.contains(&job), "job {job} was purged and is delivered");
    }

    /// Holds a delivery against what was submitted.
    pub fn holds_payload(&self, got: &Delivery) {
        assert!(is_whole(&got.payload), "the payload of job {} is another one", got.job);
        if let Some(fact) = self.jobs.get(&JobId(got.job)) {
            let is_submitted = fact.payload == got.payload || self.replaced.contains(fact.key);
            assert!(is_submitted, "the payload of job {} is not the submitted one", got.job);
            // One that was requeued when its key was free has none.
            let has_none = got.key.is_empty() && self.freed.contains(&JobId(got.job));
            assert!(fact.key == got.key || has_none, "the key of job {}: {}, {}", got.job, fact.key, got.key);
        }
    }

    /// An ack with a live lease is on its way.
    pub fn ending(&mut self, job: JobId, now: Timestamp) {
        self.endings.entry(job).or_insert(now);
        // Its key may be known by a duplicate alone, where the answer to its own submit was lost.
        for key in self.keys.values_mut().filter(|key| key.job == job) {
            key.ended_at.get_or_insert(now);
        }
        if let Some(fact) = self.jobs.get_mut(&job) {
            fact.endings += 1;
        }
    }

    /// An ack was answered; with what it said, if it was done.
    pub fn ended(&mut self, job: JobId, done: Option<&Sentence>) {
        let Some(said) = done else { return self.stays(job) };
        assert!(!self.cancelled.contains(&job), "job {job} was cancelled, and its ack was taken");
        assert!(self.acked.insert(job), "job {job} was acked twice");
        let fact = self.jobs.remove(&job).filter(|fact| fact.keep_s > 0 && !self.purging.contains(&job));
        if let Some(fact) = fact {
            let result = Some(said.result.clone()).filter(|_| !said.is_optional);
            self.kept.insert(job, Kept { result, until: said.at.plus(Millis(1000 * fact.keep_s)) });
        }
    }

    /// An end that was asked for did not come.
    fn stays(&mut self, job: JobId) {
        if let Some(fact) = self.jobs.get_mut(&job) {
            fact.endings -= 1;
        }
    }

    /// A job may go, and its key be free, without any client hearing so.
    pub fn vanishes(&mut self, job: JobId) {
        self.freed.insert(job);
        if let Some(fact) = self.jobs.get_mut(&job) {
            fact.expires = true;
        }
    }

    /// A job's key may be free at any time.
    pub fn frees(&mut self, job: JobId) {
        self.freed.insert(job);
    }

    /// A submit is on its way.
    pub fn submitting(&mut self, jobs: &[Submission]) {
        let replacing = jobs.iter().filter(|job| job.on_duplicate == OnDuplicate::Replace);
        self.replaced.extend(replacing.map(|job| job.key));
    }

    /// Somebody is about to change a job.
    pub fn mending(&mut self, job: JobId, change: Change) {
        self.freed.insert(job);
        if is_end(change)
            && let Some(fact) = self.jobs.get_mut(&job)
        {
            fact.endings += 1;
        }
        if change == Change::Purge {
            self.kept.remove(&job);
            self.purging.insert(job);
        }
    }

    /// It was changed, or not.
    pub fn mended(&mut self, job: JobId, change: Change, done: bool) {
        if !is_end(change) {
            return;
        }
        if !done {
            return self.stays(job);
        }
        self.jobs.remove(&job);
        if change == Change::Purge {
            self.purged.insert(job);
        } else {
            assert!(!self.acked.contains(&job), "job {job} was acked, and its cancel done");
            self.cancelled.insert(job);
        }
    }

    /// A batch takes members, asked at that moment.
    pub fn batch_begun(&mut self, name: &'static str, at: Timestamp) {
        let fact = BatchFact { until: at.plus(KEY_WINDOW), has_ended: false, is_cancelled: false };
        self.batches.insert(name, fact);
    }

    /// It takes none any more.
    pub fn batch_ended(&mut self, name: &'static str, at: Timestamp, is_cancelled: bool) {
        if let Some(fact) = self.batches.get_mut(name).filter(|fact| fact.until <= at.plus(KEY_WINDOW)) {
            fact.has_ended = true;
            fact.is_cancelled |= is_cancelled;
        }
    }

    /// The keys that must lead to their jobs at any moment up to `now`.
    pub fn bound_keys(&self, now: Timestamp) -> impl Iterator<Item = (&str, JobId)> {
        let binds = move |fact: &KeyFact| {
            !self.freed.contains(&fact.job) && fact.ended_at.is_none_or(|at| at.plus(KEY_WINDOW) > now)
        };
        let bound = self.keys.iter().filter(move |(_, fact)| binds(fact));
        bound.map(|(key, fact)| (*key, fact.job))
    }
}

fn is_end(change: Change) -> bool {
    matches!(change, Change::Cancel | Change::CancelNow | Change::Purge)
}
