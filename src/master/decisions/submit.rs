//! Submit: which jobs are new, which ids they get, and whether there is room for them.

use std::collections::{HashMap, HashSet};

use super::super::answers::{Answer, Decided, Unanswered};
use super::super::config::Config;
use super::super::journal::Journal;
use super::super::parked::Parked;
use super::Scratch;
use crate::ids::{BatchId, JobId};
use crate::job::{Before, BeforeList, OnDuplicate, Settings, Standing};
use crate::limits::{ATTEMPTS_DEFAULT, QUEUES_MAX, RECORD_OVERHEAD_BYTES_MAX};
use crate::protocol::{After, AfterBy, ErrorCode, List, Refusal, Submit, SubmitJob, SubmitOk, Submitted};
use crate::queue::Event;
use crate::queue::events::{Enqueue, Forget, Replace};
use crate::rules::QueueSettings;
use crate::time::{Millis, Timestamp};
use crate::wal::{WalError, digest};

/// Queues that are forgotten at once when names run out, so that a crowd of new names costs little each.
const FORGOTTEN_AT_ONCE: usize = 256;

/// Jobs that are taken in: each event is written when the next one is known, so that the last is marked as the group's
/// end.
struct Taking<'j, 'a> {
    journal: &'j mut Journal,
    config: &'j Config,
    submit: &'j Submit<'a>,
    now: Timestamp,
    room: Room,
    next_job: JobId,
    next: Option<Next<'a>>,
    /// Keys of this request, with their jobs and queues.
    keys: HashMap<&'a str, (JobId, &'a str)>,
}

/// What is to be written next.
struct Next<'a> {
    job: SubmitJob<'a>,
    id: JobId,
    /// Whether it takes the place of another payload.
    replaces: bool,
    /// What it waits for.
    before: Vec<Before>,
}

/// In which group of records jobs are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// In one that is begun for them, if there is room, and if any of them is new; so many of them are held back.
    OwnGroup { held_back: usize },
    /// In one that was begun, and goes on.
    GroupThatGoesOn,
    /// The same, but it ends with them.
    GroupThatEnds,
}

/// Takes jobs in; what became of each comes into `submitted`.
pub(super) fn take_in(
    journal: &mut Journal,
    config: &Config,
    submit: &Submit<'_>,
    now: Timestamp,
    (submitted, room): (&mut Vec<Submitted<'static>>, Room),
) -> Result<(), Unanswered> {
    submitted.clear();
    let next_job = journal.queues.next_job();
    let keys = HashMap::new();
    let mut taking = Taking { journal, config, submit, now, room, next_job, next: None, keys };
    for job in submit.jobs.iter() {
        let outcome = taking.take(job, submitted)?;
        submitted.push(outcome);
    }
    taking.write_next(room == Room::GroupThatGoesOn)
}

/// Takes jobs in, all or none.
pub(super) fn submit<'s>(
    journal: &mut Journal,
    config: &Config,
    (submit, held_back): (&Submit<'_>, usize),
    now: Timestamp,
    scratch: &'s mut Scratch,
) -> Decided<'s> {
    let Scratch { submitted, written, .. } = scratch;
    take_in(journal, config, submit, now, (submitted, Room::OwnGroup { held_back }))?;
    if submitted.iter().any(|outcome| outcome.duplicate) {
        let told: Vec<Submitted<'_>> = told_of_duplicates(journal, submit, submitted);
        return Ok(Answer::told::<Submit<'_>>(&SubmitOk { jobs: List::lent(&told) }, written));
    }
    Ok(Answer::told::<Submit<'_>>(&SubmitOk { jobs: List::lent(submitted) }, written))
}

impl<'a> Taking<'_, 'a> {
    /// Takes a job; `so_far` is what became of those before it.
    fn take(&mut self, job: SubmitJob<'a>, so_far: &[Submitted<'static>]) -> Result<Submitted<'static>, Unanswered> {
        if let Some(first) = self.first_of_key(job.key) {
            let is_new = job.on_duplicate == Some(OnDuplicate::Replace) && self.may_replace(first, &job);
            if is_new {
                self.add(Next { job, id: first, replaces: true, before: Vec::new() })?;
            }
            let replaced = is_new.then_some(true);
            return Ok(Submitted { job: first, duplicate: true, replaced, ..Submitted::default() });
        }
        let id = self.next_job;
        let before = self.before(&job, so_far);
        if !job.key.is_empty() && self.submit.jobs.len() > 1 {
            self.keys.insert(job.key, (id, job.queue));
        }
        self.add(Next { job, id, replaces: false, before })?;
        self.next_job = JobId(id.0 + 1);
        Ok(Submitted { job: id, ..Submitted::default() })
    }

    /// The first job of a key that is remembered, or that stands before in this request.
    fn first_of_key(&self, key: &str) -> Option<JobId> {
        if key.is_empty() {
            return None;
        }
        self.journal.queues.job_of_key(key).or_else(|| self.keys.get(key).map(|(job, _)| *job))
    }

    /// What a job waits for, each once. All of it is known: it was looked at before.
    fn before(&self, job: &SubmitJob<'_>, so_far: &[Submitted<'static>]) -> Vec<Before> {
        let named = |after: After<'_>| match after.by {
            AfterBy::Job => Some(Before::job(JobId(after.number))),
            AfterBy::Item => so_far.get(after.number as usize).map(|outcome| Before::job(outcome.job)),
            AfterBy::Key => self.first_of_key(after.name).map(Before::job),
            AfterBy::Batch => self.journal.queues.batch_named(after.name).map(Before::batch),
        };
        let after = job.after.unwrap_or_default();
        let mut before: Vec<Before> = after.iter().filter_map(named).collect();
        before.sort_unstable();
        before.dedup();
        before
    }

    /// Whether a job of the same queue waits that was never begun.
    fn may_replace(&self, first: JobId, job: &SubmitJob<'_>) -> bool {
        // One that stands before in this request may not be written yet.
        if let Some((_, queue)) = self.keys.get(job.key).filter(|(known, _)| *known == first) {
            return *queue == job.queue;
        }
        let facts = self.journal.queues.facts(first);
        facts.is_some_and(|facts| {
            let is_fresh = facts.standing.is_queued() && facts.view.attempts == 0 && facts.past.is_none();
            is_fresh && facts.view.queue == job.queue
        })
    }

    fn add(&mut self, next: Next<'a>) -> Result<(), Unanswered> {
        if self.next.is_none()
            && let Room::OwnGroup { held_back } = self.room
        {
            begin(self.journal, self.submit, held_back, self.now)?;
        }
        self.write_next(true)?;
        self.next = Some(next);
        Ok(())
    }

    fn write_next(&mut self, more: bool) -> Result<(), Unanswered> {
        let Some(Next { job, id, replaces, before }) = self.next.take() else { return Ok(()) };
        let of_queue = self.journal.queues.settings(job.queue);
        let batch = self.submit.batch.and_then(|name| self.journal.queues.batch_named(name));
        let event = if replaces {
            replace(&job, &of_queue, id, self.now)
        } else {
            enqueue(&job, (self.config, &of_queue), (id, &before, batch), self.now)
        };
        self.journal.record(self.now, &event, more)?;
        Ok(())
    }
}

/// The same outcomes; of duplicates with what holds their key, and how it differs.
fn told_of_duplicates<'j>(
    journal: &'j Journal,
    submit: &Submit<'_>,
    submitted: &[Submitted<'static>],
) -> Vec<Submitted<'j>> {
    let outcomes = submit.jobs.iter().zip(submitted);
    let told = outcomes.map(|(job, outcome)| {
        let Some(first) = journal.queues.key(job.key).filter(|_| outcome.duplicate) else { return *outcome };
        Submitted {
            queue: Some(first.queue),
            standing: Some(first.standing.unwrap_or(Standing::Completed).code()),
            payload_differs: Some(first.digest != digest(job.payload)),
            queue_differs: Some(first.queue != job.queue),
            ..*outcome
        }
    });
    told.collect()
}

/// Begins the group of a request that has a new job, if there is room for all that may be.
fn begin(journal: &mut Journal, submit: &Submit<'_>, held_back: usize, now: Timestamp) -> Result<(), Unanswered> {
    let group_bytes = submit.jobs.bytes() + submit.jobs.len() * RECORD_OVERHEAD_BYTES_MAX;
    // For the end of each wait.
    if !journal.has_room(group_bytes + held_back * RECORD_OVERHEAD_BYTES_MAX, submit.jobs.len(), now)? {
        return Err(no_room());
    }
    Ok(journal.begin_group(group_bytes)?)
}

fn no_room() -> Unanswered {
    let text = "no room for more jobs: no log segment can be made; polls and acks go on";
    Refusal::new(ErrorCode::StorageFull, text).into()
}

pub(in super::super) fn enqueue<'a>(
    job: &SubmitJob<'a>,
    (config, queue): (&Config, &QueueSettings),
    (id, before, batch): (JobId, &'a [Before], Option<BatchId>),
    now: Timestamp,
) -> Event<'a> {
    let is_behind = !before.is_empty();
    let waits = is_behind || batch.is_some();
    let max_attempts = match job.settings.max_attempts {
        0 => queue.max_attempts.unwrap_or(ATTEMPTS_DEFAULT),
        attempts => attempts,
    };
    let timeout_ms = match job.settings.timeout_ms {
        0 => queue.timeout_ms.unwrap_or(config.default_timeout.0 as u32),
        timeout_ms => timeout_ms,
    };
    Event::Enqueue(Enqueue {
        job: id,
        queue: job.queue,
        key: job.key,
        digest: (!job.key.is_empty()).then(|| digest(job.payload)),
        settings: Settings { timeout_ms, max_attempts, ..job.settings },
        due_at: if waits { Timestamp(0) } else { due_at(job.delay_ms, now) },
        before: is_behind.then(|| BeforeList(List::lent(before))),
        if_failed: job.if_failed.filter(|_| is_behind),
        delay_ms: Some(job.delay_ms).filter(|delay_ms| waits && *delay_ms > 0),
        with_results: job.with_results.filter(|_| is_behind),
        batch,
        group: job.group,
        key_until: job.unique_for_ms.filter(|_| !job.key.is_empty()).map(|span| now.plus(Millis(span))),
        key_until_start: job.unique_until_start.filter(|_| !job.key.is_empty()),
        keep_s: job.keep_ms.map(|keep_ms| keep_ms.div_ceil(1000) as u32),
        backoff: job.backoff,
        expires_at: job.ttl_ms.or(queue.ttl_ms).map(|ttl_ms| now.plus(Millis(ttl_ms))),
        headers: job.headers,
        payload: job.payload,
    })
}

/// What takes the place of a job's payload and times.
fn replace<'a>(job: &SubmitJob<'a>, queue: &QueueSettings, id: JobId, now: Timestamp) -> Event<'a> {
    Event::Replace(Replace {
        job: id,
        due_at: due_at(job.delay_ms, now),
        digest: digest(job.payload),
        expires_at: job.ttl_ms.or(queue.ttl_ms).map(|ttl_ms| now.plus(Millis(ttl_ms))),
        payload: job.payload,
    })
}

/// The moment after a delay; 0 for at once.
pub(super) fn due_at(delay_ms: u64, now: Timestamp) -> Timestamp {
    match delay_ms {
        0 => Timestamp(0),
        delay_ms => now.plus(Millis(delay_ms)),
    }
}

/// Sees to it that there is a place for each new queue that the jobs name: when names run out, queues without jobs and
/// waiting polls are forgotten.
pub(super) fn make_room_for_names(
    journal: &mut Journal,
    parked: &Parked,
    submit: &Submit<'_>,
    now: Timestamp,
) -> Result<(), Unanswered> {
    // Most submits come nowhere near the bound, and are not looked at one by one.
    if journal.queues.durable_queues() + submit.jobs.len() <= QUEUES_MAX {
        return Ok(());
    }
    // A job whose key is remembered is not made again, and needs no place.
    let is_new = |job: &SubmitJob<'_>| job.key.is_empty() || journal.queues.job_of_key(job.key).is_none();
    let is_fresh = |name: &&str| !journal.queues.is_durable(name);
    let fresh: HashSet<&str> = submit.jobs.iter().filter(is_new).map(|job| job.queue).filter(is_fresh).collect();
    let over = (journal.queues.durable_queues() + fresh.len()).saturating_sub(QUEUES_MAX);
    if over == 0 {
        return Ok(());
    }
    let named: HashSet<&str> = submit.jobs.iter().map(|job| job.queue).collect();
    let kept = |name: &str| named.contains(name);
    forget_idle(journal, parked, now, Timestamp(u64::MAX), over.max(FORGOTTEN_AT_ONCE), &kept)?;
    if journal.queues.durable_queues() + fresh.len() > QUEUES_MAX {
        if !journal.has_room(RECORD_OVERHEAD_BYTES_MAX, 0, now)? {
            return Err(no_room());
        }
        let name = fresh.into_iter().min().unwrap_or_default();
        let text = format!(
            "there are {QUEUES_MAX} queues with jobs already; queue {name:?} would be one more: \
             let some of them run empty"
        );
        return Err(Refusal::new(ErrorCode::TooManyQueues, text).into());
    }
    Ok(())
}

/// Forgets up to `most` queues that have no jobs and no waiting polls and were last used before `before`; returns how
/// many.
pub(in super::super) fn forget_idle(
    journal: &mut Journal,
    parked: &Parked,
    now: Timestamp,
    before: Timestamp,
    most: usize,
    is_kept: &dyn Fn(&str) -> bool,
) -> Result<usize, WalError> {
    let idle = journal.queues.idle_queues(before).filter(|id| !parked.is_polled(*id));
    let names = idle.map(|id| journal.queues.queue_name(id)).filter(|name| !is_kept(name));
    let names: Vec<String> = names.take(most).map(str::to_owned).collect();
    for (count, name) in names.iter().enumerate() {
        if !journal.has_room(RECORD_OVERHEAD_BYTES_MAX, 0, now)? {
            return Ok(count);
        }
        journal.begin_group(RECORD_OVERHEAD_BYTES_MAX)?;
        journal.record(now, &Forget { queue: name, by: None }.into(), false)?;
    }
    Ok(names.len())
}
