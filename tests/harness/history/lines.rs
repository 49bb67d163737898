//! The rules of order: ids grow, and jobs leave in the order of their line.

use std::collections::HashMap;

use super::index::Index;
use super::*;

pub fn check(index: &Index, found: &mut Vec<Violation>) {
    lease_ids(index, found);
    job_ids(index, found);
    first_in_first_out(index, found);
    urgent_first(index, found);
    nothing_though_one_waits(index, found);
}

fn lease_ids(index: &Index, found: &mut Vec<Violation>) {
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut spans = Vec::new();
    for (poll, outcome) in &index.polls {
        for delivery in outcome.ok().into_iter().flatten() {
            if let Some(other) = seen.insert(delivery.lease, delivery.job) {
                let text = format!("lease {} of job {other} and of job {}", delivery.lease, delivery.job);
                flag(found, Rule::LeaseIdTwice, text);
            }
            spans.push((poll.start, poll.end, delivery.lease));
        }
    }
    for (start, lease, before) in falls(spans) {
        let text = format!("lease {lease} of a poll at {start}, and {before} had been given before");
        flag(found, Rule::LeaseOrder, text);
    }
}

fn job_ids(index: &Index, found: &mut Vec<Violation>) {
    let mut spans = Vec::new();
    for job in index.jobs.values() {
        for (at, outcome) in &job.submits {
            if outcome.ok().is_some_and(|answer| !answer.duplicate) {
                spans.push((at.start, at.end, job.id));
            }
        }
    }
    for (start, id, before) in falls(spans) {
        let text = format!("job {id} of a submit at {start}, and {before} had been answered before");
        flag(found, Rule::JobIdOrder, text);
    }
}

/// Of operations with start, end and an id: those that began after one with a higher id had ended. Gives the
/// start, the id and that higher id.
fn falls(mut spans: Vec<(Ns, Ns, u64)>) -> Vec<(Ns, u64, u64)> {
    let mut ended: Vec<(Ns, u64)> = spans.iter().map(|(_, end, id)| (*end, *id)).collect();
    ended.sort_unstable();
    spans.sort_unstable();
    let mut ended = ended.into_iter().peekable();
    let (mut highest, mut wrong) = (0, Vec::new());
    for (start, _, id) in spans {
        while let Some((_, over)) = ended.next_if(|(end, _)| *end < start) {
            highest = over.max(highest);
        }
        if id < highest {
            wrong.push((start, id, highest));
        }
    }
    wrong
}

fn first_in_first_out(index: &Index, found: &mut Vec<Violation>) {
    // Jobs come in the order of their ids, so each line does.
    let mut newest: HashMap<(&str, u8), (u64, u64)> = HashMap::new();
    for job in index.jobs.values().filter(|job| job.prompt()) {
        let Some(given) = job.first_grant() else { continue };
        let (given, line) = (given.what, (given.what.queue.as_str(), given.what.priority));
        let (lease, before) = newest.get(&line).copied().unwrap_or_default();
        if given.lease < lease {
            let text = format!("{line:?}: job {} by lease {}", job.id, given.lease);
            flag(found, Rule::LineOrder, format!("{text} before the older job {before} by lease {lease}"));
        } else {
            newest.insert(line, (given.lease, job.id));
        }
    }
}

/// A job that waited for certain, from the answer to its submit until its first grant.
#[derive(Clone, Copy)]
struct Waiting {
    known: Ns,
    /// The poll of the grant began.
    asked: Ns,
    lease: u64,
    job: u64,
}

/// Jobs that waited, by queue and priority.
fn waiting<'h>(index: &Index<'h>) -> BTreeMap<(&'h str, u8), Vec<Waiting>> {
    let mut lines: BTreeMap<(&str, u8), Vec<Waiting>> = BTreeMap::new();
    for job in index.jobs.values().filter(|job| job.prompt() && !job.made_by.is_empty()) {
        let known = job.submits.iter().filter(|(_, outcome)| outcome.ok().is_some());
        let Some(known) = known.map(|(at, _)| at.end).min() else { continue };
        let Some(given) = job.first_grant() else { continue };
        let line = (given.what.queue.as_str(), given.what.priority);
        let waiting = Waiting { known, asked: given.start, lease: given.what.lease, job: job.id };
        lines.entry(line).or_default().push(waiting);
    }
    lines
}

/// In the order of `known`, each with the most, by this measure, of all up to it.
fn running_max(line: &mut [Waiting], by: impl Fn(&Waiting) -> u64) {
    line.sort_by_key(|waiting| waiting.known);
    let most = line.iter().scan(None::<Waiting>, |most, next| {
        *most = Some(most.filter(|most| by(most) >= by(next)).unwrap_or(*next));
        Some(most.map_or(*next, |most| Waiting { known: next.known, ..most }))
    });
    let most: Vec<Waiting> = most.collect();
    line.copy_from_slice(&most);
}

/// The most of those that were known before this moment.
fn before(line: &[Waiting], moment: Ns) -> Option<&Waiting> {
    line[..line.partition_point(|waiting| waiting.known < moment)].last()
}

fn urgent_first(index: &Index, found: &mut Vec<Violation>) {
    let mut lines = waiting(index);
    for line in lines.values_mut() {
        running_max(line, |waiting| waiting.lease);
    }
    for job in index.jobs.values() {
        for given in &job.deliveries {
            let (queue, priority) = (given.what.queue.as_str(), given.what.priority);
            for ((_, urgent), line) in lines.range((queue, 0)..(queue, priority)) {
                let Some(other) = before(line, given.start) else { continue };
                if other.lease > given.what.lease {
                    let text = format!("{:?} passed job {} of priority {urgent}", given.what, other.job);
                    let text = format!("{text}, which waited and got lease {}", other.lease);
                    flag(found, Rule::PriorityOrder, text);
                }
            }
        }
    }
}

fn nothing_though_one_waits(index: &Index, found: &mut Vec<Violation>) {
    let mut lines = waiting(index);
    for line in lines.values_mut() {
        running_max(line, |waiting| waiting.asked);
    }
    for (poll, outcome) in &index.polls {
        let whole = poll.end - poll.start >= u64::from(poll.what.wait_ms) * MS;
        let waited = poll.what.wait_ms > 0 && whole && outcome.ok().is_some_and(Vec::is_empty);
        let is_open = |queue: &&String| !index.may_be_closed(queue, poll.start, poll.end);
        for queue in poll.what.queues.iter().filter(|_| waited).filter(is_open) {
            for (_, line) in lines.range((queue.as_str(), 0)..=(queue.as_str(), u8::MAX)) {
                let Some(other) = before(line, poll.start) else { continue };
                if other.asked > poll.end {
                    let text = format!("job {} waited in {queue}, and {:?} got nothing", other.job, poll.what);
                    flag(found, Rule::PassedOver, format!("{text} at {}", poll.end));
                }
            }
        }
    }
}
