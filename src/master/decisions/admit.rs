//! What is refused of a Submit before any of it is taken: keys that are held, waits for what never was, queues that are
//! paused or full, too many groups.

use std::collections::{HashMap, HashSet};

use super::super::journal::Journal;
use super::batches::known;
use crate::ids::{BatchId, JobId};
use crate::job::{OnDuplicate, Standing};
use crate::limits::GROUPS_MAX;
use crate::planted::{Bug, is_planted};
use crate::protocol::{After, AfterBy, ErrorCode, Refusal, Submit, SubmitJob};
use crate::queue::{KeyView, Paused};
use crate::rules::QueueSettings;
use crate::wal::digest;

/// What jobs ask for that most do not. Each look at a list reads it anew, so they are looked at once for all of it.
struct Asks {
    /// How many wait for others.
    waiting: usize,
    refuses_duplicates: bool,
}

impl Asks {
    fn of(submit: &Submit<'_>) -> Asks {
        let mut asks = Asks { waiting: 0, refuses_duplicates: false };
        for job in submit.jobs.iter() {
            asks.waiting += usize::from(job.after.is_some());
            asks.refuses_duplicates |= job.on_duplicate == Some(OnDuplicate::Refuse);
        }
        asks
    }
}

/// Refuses jobs by what they ask for and what their queues take; gives how many of them will be held back, each of
/// which needs room in the log once more.
pub(super) fn hold_against(journal: &Journal, submit: &Submit<'_>) -> Result<usize, Refusal> {
    let asks = Asks::of(submit);
    if asks.waiting > 0 {
        hold_against_waits(journal, submit)?;
    }
    if asks.refuses_duplicates {
        hold_against_keys(journal, submit)?;
    }
    hold_against_rules(journal, submit)?;
    hold_against_groups(journal, submit)?;
    Ok(if submit.batch.is_some() { submit.jobs.len() } else { asks.waiting })
}

/// Refuses jobs whose keys are held, where that is to be an error.
fn hold_against_keys(journal: &Journal, submit: &Submit<'_>) -> Result<(), Refusal> {
    let mut keys_here = HashSet::new();
    for job in submit.jobs.iter().filter(|job| !job.key.is_empty()) {
        let is_first = keys_here.insert(job.key);
        if job.on_duplicate != Some(OnDuplicate::Refuse) {
            continue;
        }
        if let Some(held) = journal.queues.key(job.key) {
            return Err(key_held(&job, &held));
        }
        if !is_first {
            let text = format!("key {:?} stands twice in this request; nothing was submitted", job.key);
            return Err(Refusal::new(ErrorCode::KeyHeld, text));
        }
    }
    Ok(())
}

fn key_held(job: &SubmitJob<'_>, held: &KeyView<'_>) -> Refusal {
    let differs = match (held.queue != job.queue, held.digest != digest(job.payload)) {
        (true, true) => ", with another queue and payload",
        (true, false) => ", with another queue",
        (false, true) => ", with another payload",
        (false, false) => "",
    };
    let stands = held.standing.unwrap_or(Standing::Completed).word();
    let text = format!(
        "key {:?} is held by job {} of queue {}, which is {stands}{differs}; nothing was submitted",
        job.key, held.job, held.queue
    );
    Refusal::new(ErrorCode::KeyHeld, text)
}

/// Refuses jobs that wait for what never was, or is not there yet, and members that might wait for each other in a
/// circle.
fn hold_against_waits(journal: &Journal, submit: &Submit<'_>) -> Result<(), Refusal> {
    let mut keys_here = Vec::new();
    for (place, job) in submit.jobs.iter().enumerate() {
        for after in job.after.unwrap_or_default().iter() {
            hold_against_wait(journal, after, (place, submit.batch), &keys_here)?;
        }
        keys_here.push(job.key);
    }
    let batch = submit.batch.and_then(|name| journal.queues.batch_named(name));
    let Some(batch) = batch.filter(|_| !is_planted(Bug::CirclesMade)) else { return Ok(()) };
    for job in submit.jobs.iter() {
        for after in job.after.unwrap_or_default().iter() {
            hold_against_circles(journal, batch, after, &keys_here)?;
        }
    }
    Ok(())
}

/// Refuses that a member of a batch waits for what waits itself and came after that was begun: it may wait for the
/// batch, at the end of whatever chain. What was there before cannot, and members of the same batch are in their order,
/// so that no circle is ever made.
fn hold_against_circles(journal: &Journal, own: BatchId, after: After<'_>, keys_here: &[&str]) -> Result<(), Refusal> {
    let queues = &journal.queues;
    let Some(batch) = queues.batch(own) else { return Ok(()) };
    let waits = match after.by {
        AfterBy::Batch => {
            let other = queues.batch_named(after.name).filter(|other| *other > own);
            other.and_then(|other| queues.batch(other)).is_some_and(|other| !other.is_over())
        }
        _ => known_job(journal, after, keys_here).is_some_and(|job| {
            let is_later = job >= batch.since && queues.batch_of(job) != Some(own);
            is_later && queues.standing(job) == Some(Standing::Waiting)
        }),
    };
    if !waits {
        return Ok(());
    }
    let what = match after.by {
        AfterBy::Job => format!("job {}", after.number),
        AfterBy::Item => format!("item {}", after.number),
        AfterBy::Key => format!("the job of key {:?}", after.name),
        AfterBy::Batch => format!("batch {:?}", after.name),
    };
    let text = format!(
        "{what} waits itself, and came after batch {:?} was begun: its members wait only for each other, for what was \
         there before, and for jobs that wait for none; nothing was submitted",
        batch.name
    );
    Err(Refusal::new(ErrorCode::WrongState, text))
}

/// The job that is there already of what one waits for; none of a new one of the same request.
fn known_job(journal: &Journal, after: After<'_>, keys_here: &[&str]) -> Option<JobId> {
    let of_key = |key: &str| journal.queues.job_of_key(key).filter(|_| !key.is_empty());
    match after.by {
        AfterBy::Job => Some(JobId(after.number)),
        AfterBy::Key => of_key(after.name),
        AfterBy::Item => of_key(keys_here.get(usize::try_from(after.number).ok()?)?),
        AfterBy::Batch => None,
    }
}

fn hold_against_wait(
    journal: &Journal,
    after: After<'_>,
    (place, batch): (usize, Option<&str>),
    keys_here: &[&str],
) -> Result<(), Refusal> {
    let After { by, number, name } = after;
    let newest = journal.queues.next_job().0 - 1;
    let text = match by {
        AfterBy::Job if number > newest => {
            format!("there never was a job {number} to wait for: the newest is {newest}; nothing was submitted")
        }
        AfterBy::Item if number >= place as u64 => {
            format!("item {place} waits for item {number}, which does not stand before it; nothing was submitted")
        }
        AfterBy::Key if journal.queues.job_of_key(name).is_none() && !keys_here.contains(&name) => {
            format!(
                "no job holds the key {name:?} that one is to wait for, and no earlier one of the same request does; \
                 nothing was submitted"
            )
        }
        AfterBy::Batch if batch == Some(name) => {
            format!("a job of batch {name:?} cannot wait for that batch; nothing was submitted")
        }
        AfterBy::Batch => return known(journal, name).map(drop),
        _ => return Ok(()),
    };
    Err(Refusal::new(ErrorCode::NotFound, text))
}

/// Refuses jobs of queues that are paused or full.
fn hold_against_rules(journal: &Journal, submit: &Submit<'_>) -> Result<(), Refusal> {
    // Most masters have no queue with rules, and nothing is looked up.
    if journal.queues.ruled() == 0 || is_planted(Bug::BoundsIgnored) {
        return Ok(());
    }
    let mut more: HashMap<&str, (u64, u64)> = HashMap::new();
    let mut keys_here = HashSet::new();
    for job in submit.jobs.iter() {
        let mut is_held = |key| journal.queues.job_of_key(key).is_some() || !keys_here.insert(key);
        let is_more = job.key.is_empty() || !is_held(job.key);
        // What takes the place of another payload is no further job, and brings its bytes.
        if !is_more && job.on_duplicate != Some(OnDuplicate::Replace) {
            continue;
        }
        let Some(rules) = journal.queues.rules(job.queue) else { continue };
        if let Some(paused) = &rules.pause_in {
            return Err(paused_in(job.queue, paused));
        }
        let (jobs, bytes) = more.entry(job.queue).or_default();
        (*jobs, *bytes) = (*jobs + u64::from(is_more), *bytes + job.payload.len() as u64);
        let (waiting, waiting_bytes) = journal.queues.waiting_in(job.queue);
        let QueueSettings { depth_max, bytes_max, .. } = rules.settings;
        if depth_max.is_some_and(|max| waiting + *jobs > max) {
            return Err(full(job.queue, waiting, "jobs", depth_max));
        }
        if bytes_max.is_some_and(|max| waiting_bytes + *bytes > max) {
            return Err(full(job.queue, waiting_bytes, "bytes of payload", bytes_max));
        }
    }
    Ok(())
}

/// Refuses jobs of groups that are more than there may be.
fn hold_against_groups(journal: &Journal, submit: &Submit<'_>) -> Result<(), Refusal> {
    // Most submits come nowhere near the bound, and are not looked at one by one.
    let queues = &journal.queues;
    if queues.groups() + submit.jobs.len() <= GROUPS_MAX {
        return Ok(());
    }
    let mut fresh = HashSet::new();
    for job in submit.jobs.iter() {
        let is_held = !job.key.is_empty() && queues.job_of_key(job.key).is_some();
        if let Some(group) = job.group.filter(|group| !is_held && !queues.is_group(job.queue, group)) {
            fresh.insert((job.queue, group));
        }
    }
    if fresh.is_empty() || queues.groups() + fresh.len() <= GROUPS_MAX {
        return Ok(());
    }
    let text = format!("{} groups have jobs, and {GROUPS_MAX} may; try again when some have none", queues.groups());
    Err(Refusal::new(ErrorCode::TooManyGroups, text))
}

fn paused_in(queue: &str, paused: &Paused) -> Refusal {
    let reason = if paused.reason.is_empty() { String::new() } else { format!(": {}", paused.reason) };
    let text =
        format!("queue {queue:?} is paused and takes no jobs{reason}; `falcon-cli queue resume {queue}` ends it");
    Refusal::new(ErrorCode::QueuePaused, text)
}

fn full(queue: &str, waiting: u64, what: &str, max: Option<u64>) -> Refusal {
    let max = max.unwrap_or_default();
    let text = format!("queue {queue:?} is full: {waiting} {what} wait there, and {max} may; try again later");
    Refusal::new(ErrorCode::QueueFull, text)
}
