//! The rules of updates: what a job is given with is what it was submitted with and the updates of it, each as a whole.

use super::index::{At, Job};
use super::*;

pub fn check(job: &Job, found: &mut Vec<Violation>) {
    for given in &job.deliveries {
        delayed(job, given, found);
        let priorities: Vec<u8> = job.made_by.iter().map(|at| at.what.priority).collect();
        let attempts: Vec<u16> = job.made_by.iter().map(|at| at.what.attempts_max()).collect();
        let has_priority = holds(job, given, |update| update.priority, &priorities, given.what.priority);
        let has_attempts = holds(job, given, |update| update.max_attempts, &attempts, given.what.max_attempts);
        // What no update can have made is flagged as content.
        if is_reached(job, given) && !(has_priority && has_attempts) {
            let text = format!("job {}: {:?} at {} is not {:?}", job.id, given.what, given.end, job.mends);
            flag(found, Rule::UpdateLost, text);
        }
    }
}

/// Updates that may have been done before this.
fn before<'j>(job: &'j Job, given: &'j At<Delivery>) -> impl Iterator<Item = (Update, At<'j, Outcome<()>>)> + Clone {
    job.updates().filter(|(_, at)| at.start <= given.end)
}

/// Whether one field of a delivery is that of an update, or of a submit, that no later one has overwritten.
fn holds<T: Copy + PartialEq>(
    job: &Job,
    given: &At<Delivery>,
    field: impl Fn(Update) -> Option<T>,
    made: &[T],
    is: T,
) -> bool {
    let setting = before(job, given).filter_map(|(update, at)| Some((field(update)?, at)));
    let certain = setting.clone().filter(|(_, at)| at.what.ok().is_some() && at.end < given.start);
    match certain.map(|(_, at)| at.start).max() {
        None => made.contains(&is) || setting.map(|(value, _)| value).any(|value| value == is),
        Some(newest) => setting.filter(|(_, at)| at.end >= newest).any(|(value, _)| value == is),
    }
}

/// Priority and bound of attempts that updates can have led to, in any order.
fn reachable(job: &Job, made: (u8, u16), given: &At<Delivery>) -> BTreeSet<(u8, u16)> {
    let (mut all, mut next) = (BTreeSet::new(), vec![made]);
    while let Some(pair) = next.pop() {
        if all.insert(pair) {
            let led = |(update, _): (Update, At<_>)| {
                (update.priority.unwrap_or(pair.0), update.max_attempts.unwrap_or(pair.1))
            };
            next.extend(before(job, given).map(led));
        }
    }
    all
}

fn is_reached(job: &Job, given: &At<Delivery>) -> bool {
    job.made_by.iter().any(|made| made.what.makes(&undone(job, made.what, given)))
}

/// The delivery with what updates can have changed put back to what this submit says.
pub fn undone(job: &Job, made: &Submit, given: &At<Delivery>) -> Delivery {
    let is = (given.what.priority, given.what.max_attempts);
    let was = (made.priority, made.attempts_max());
    let (priority, max_attempts) = if reachable(job, was, given).contains(&is) { was } else { is };
    Delivery { priority, max_attempts, ..given.what.clone() }
}

/// A delay that was set for certain is waited for, unless another change may have come after it.
fn delayed(job: &Job, given: &At<Delivery>, found: &mut Vec<Violation>) {
    let certain = job.updates().filter(|(_, at)| at.what.ok().is_some() && at.end < given.start);
    for (delay_ms, at) in certain.filter_map(|(update, at)| Some((update.delay_ms?, at))) {
        let is_it = |other: &At<Outcome<()>>| (other.start, other.end) == (at.start, at.end);
        let others = job.updates().filter(|(update, other)| update.delay_ms.is_some() && !is_it(other));
        let is_changed = others.into_iter().any(|(_, other)| other.end >= at.start && other.start <= given.end);
        let due = at.start.saturating_add(delay_ms * MS);
        if !is_changed && given.end + CLOCK_SLACK < due {
            let text = format!("job {} before the delay of an update: {} {due}", job.id, given.end);
            flag(found, Rule::TooEarly, text);
        }
    }
}
