//! The rules of order: ids grow, and jobs leave in the order of their line.

use std::collections::HashMap;

use super::index::Index;
use super::*;

pub fn check(index: &Index, found: &mut Vec<Violation>) {
    lease_ids(index, found);
    job_ids(index, found);
    first_in_first_out(index, found);
    urgent_first(index, found);
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

/// The jobs of a line that wait for certain: since when, and the lease of their first grant.
#[derive(Default)]
struct Line {
    /// By the moment, with the highest lease so far.
    waiting: Vec<(Ns, u64, u64)>,
}

fn urgent_first(index: &Index, found: &mut Vec<Violation>) {
    let mut lines: BTreeMap<(&str, u8), Line> = BTreeMap::new();
    for job in index.jobs.values().filter(|job| job.prompt() && !job.made_by.is_empty()) {
        let known = job.submits.iter().filter(|(_, outcome)| outcome.ok().is_some());
        let Some(known) = known.map(|(at, _)| at.end).min() else { continue };
        let Some(given) = job.first_grant() else { continue };
        let line = (given.what.queue.as_str(), given.what.priority);
        lines.entry(line).or_default().waiting.push((known, given.what.lease, job.id));
    }
    for line in lines.values_mut() {
        line.waiting.sort_unstable();
        let mut highest = (0, 0);
        for (_, lease, job) in &mut line.waiting {
            highest = highest.max((*lease, *job));
            (*lease, *job) = highest;
        }
    }
    for job in index.jobs.values() {
        for given in &job.deliveries {
            let (queue, priority) = (given.what.queue.as_str(), given.what.priority);
            for ((_, urgent), line) in lines.range((queue, 0)..(queue, priority)) {
                let waiting = line.waiting.partition_point(|(known, _, _)| *known < given.start);
                let Some((_, lease, other)) = line.waiting[..waiting].last() else { continue };
                if *lease > given.what.lease {
                    let text = format!("{:?} passed job {other} of priority {urgent}", given.what);
                    flag(found, Rule::PriorityOrder, format!("{text}, which waited and got lease {lease}"));
                }
            }
        }
    }
}
