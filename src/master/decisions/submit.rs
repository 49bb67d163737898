//! Submit: which jobs are new, which ids they get, and whether there is room for them.

use std::collections::{HashMap, HashSet};

use super::super::answers::{Answer, Decided, Unanswered};
use super::super::journal::Journal;
use super::super::parked::Parked;
use crate::ids::JobId;
use crate::job::Settings;
use crate::limits::{ATTEMPTS_DEFAULT, QUEUES_MAX, RECORD_OVERHEAD_BYTES_MAX};
use crate::protocol::{ErrorCode, List, Refusal, Reply, Submit, SubmitJob, SubmitOk, Submitted};
use crate::queue::events::{Enqueue, Forget};
use crate::time::{Millis, Timestamp};
use crate::wal::WalError;

/// Queues that are forgotten at once when names run out, so that a crowd of new names costs little each.
const FORGOTTEN_AT_ONCE: usize = 256;

/// Takes jobs in, all or none.
pub(super) fn submit<'s>(
    journal: &mut Journal,
    submit: &Submit<'_>,
    now: Timestamp,
    submitted: &'s mut Vec<Submitted>,
) -> Decided<'s> {
    submitted.clear();
    let mut new = plan(journal, submit.jobs, submitted, now)?;
    for (job, outcome) in submit.jobs.iter().zip(submitted.iter()) {
        if !outcome.duplicate {
            new -= 1;
            journal.record(now, &enqueue(&job, outcome.job, now).into(), new > 0)?;
        }
    }
    Ok(Answer::Told(Reply::SubmitOk(SubmitOk { jobs: List::lent(submitted) })))
}

fn enqueue<'a>(job: &SubmitJob<'a>, id: JobId, now: Timestamp) -> Enqueue<'a> {
    let max_attempts = match job.settings.max_attempts {
        0 => ATTEMPTS_DEFAULT,
        attempts => attempts,
    };
    Enqueue {
        job: id,
        queue: job.queue,
        key: job.key,
        settings: Settings { max_attempts, ..job.settings },
        due_at: due_at(job.delay_ms, now),
        payload: job.payload,
    }
}

/// The moment after a delay; 0 for at once.
pub(super) fn due_at(delay_ms: u64, now: Timestamp) -> Timestamp {
    match delay_ms {
        0 => Timestamp(0),
        delay_ms => now.plus(Millis(delay_ms)),
    }
}

/// Decides which jobs are new and which ids they get, and whether there is room; nothing changes. Returns how many are
/// new.
fn plan(
    journal: &mut Journal,
    jobs: List<'_, SubmitJob<'_>>,
    submitted: &mut Vec<Submitted>,
    now: Timestamp,
) -> Result<usize, Unanswered> {
    let mut keys_here: HashMap<&str, JobId> = HashMap::new();
    let mut next_job = journal.queues.next_job();
    let (mut group_bytes, mut new) = (0, 0);
    for job in jobs.iter() {
        let known = match job.key {
            "" => None,
            key => journal.queues.job_of_key(key).or_else(|| keys_here.get(key).copied()),
        };
        if let Some(job) = known {
            submitted.push(Submitted { job, duplicate: true });
            continue;
        }
        if !job.key.is_empty() && jobs.len() > 1 {
            keys_here.insert(job.key, next_job);
        }
        submitted.push(Submitted { job: next_job, duplicate: false });
        next_job = JobId(next_job.0 + 1);
        group_bytes += RECORD_OVERHEAD_BYTES_MAX + job.queue.len() + job.key.len() + job.payload.len();
        new += 1;
    }
    if new == 0 {
        return Ok(0);
    }
    if !journal.has_room(group_bytes, new, now)? {
        let text = "no room for more jobs: no log segment can be made; polls and acks go on";
        return Err(Refusal::new(ErrorCode::StorageFull, text).into());
    }
    journal.begin_group(group_bytes)?;
    Ok(new)
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
    let is_new = |name: &&str| !journal.queues.is_durable(name);
    let fresh: HashSet<&str> = submit.jobs.iter().map(|job| job.queue).filter(is_new).collect();
    let over = (journal.queues.durable_queues() + fresh.len()).saturating_sub(QUEUES_MAX);
    if over == 0 {
        return Ok(());
    }
    let named: HashSet<&str> = submit.jobs.iter().map(|job| job.queue).collect();
    let kept = |name: &str| named.contains(name);
    forget_idle(journal, parked, now, Timestamp(u64::MAX), over.max(FORGOTTEN_AT_ONCE), &kept)?;
    if journal.queues.durable_queues() + fresh.len() > QUEUES_MAX {
        let name = fresh.into_iter().min().unwrap_or_default();
        let text = format!(
            "there are {QUEUES_MAX} queues with jobs already; queue {name:?} would be one more: let some of them run empty"
        );
        return Err(Refusal::new(ErrorCode::TooManyQueues, text).into());
    }
    Ok(())
}

/// Forgets up to `most` queues that have no jobs and no waiting polls and were last used before `before`.
pub(in super::super) fn forget_idle(
    journal: &mut Journal,
    parked: &Parked,
    now: Timestamp,
    before: Timestamp,
    most: usize,
    is_kept: &dyn Fn(&str) -> bool,
) -> Result<(), WalError> {
    let idle = journal.queues.idle_queues(before).filter(|id| parked.first(*id).is_none());
    let names = idle.map(|id| journal.queues.queue_name(id)).filter(|name| !is_kept(name));
    let names: Vec<String> = names.take(most).map(str::to_owned).collect();
    for name in names {
        if !journal.has_room(RECORD_OVERHEAD_BYTES_MAX, 0, now)? {
            break;
        }
        journal.begin_group(RECORD_OVERHEAD_BYTES_MAX)?;
        journal.record(now, &Forget { queue: &name }.into(), false)?;
    }
    Ok(())
}
