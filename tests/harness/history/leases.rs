//! The rules of one job: its content, its attempts, its leases and how they ended, and the earliest moment of each
//! delivery.

use super::index::{At, Index, Job};
use super::*;

pub fn check(job: &Job, index: &Index, found: &mut Vec<Violation>) {
    content(job, found);
    attempts(job, index, found);
    first_moment(job, found);
    for pair in job.deliveries.windows(2) {
        if pair[0].what.lease < pair[1].what.lease {
            next_moment(job, pair[0], pair[1], found);
        }
    }
    endings(job, found);
    last_words(job, found);
    came_back(job, found);
    refused_alive(job, found);
}

fn content(job: &Job, found: &mut Vec<Violation>) {
    let Some(made) = job.made_by.first() else { return };
    for at in &job.deliveries {
        if !job.made_by.iter().any(|made| made.what.makes(&updates::undone(job, made.what, at))) {
            flag(found, Rule::WrongContent, format!("job {}: {:?}, but {:?}", job.id, at.what, made.what));
        }
    }
}

/// The endings of one lease, unless they were refused.
fn of_lease<'h>(job: &Job<'h>, lease: u64) -> Vec<(Ending, At<'h, Outcome<()>>)> {
    let of = job.endings.iter().filter(|(l, _, at)| l.lease == lease && at.what.possible());
    of.map(|(_, ending, at)| (*ending, *at)).collect()
}

fn attempts(job: &Job, index: &Index, found: &mut Vec<Violation>) {
    let max_attempts = job.attempts_max().1;
    let mut before = None;
    for at in &job.deliveries {
        let attempt = at.what.attempt;
        if attempt > max_attempts {
            let text = format!("job {}: attempt {attempt} of {max_attempts}: {:?}", job.id, at.what);
            flag(found, Rule::TooManyAttempts, text);
        }
        let (least, most, since) = next_attempt(job, before);
        let hidden = index.hidden_grants(&at.what.queue, since, at.end);
        let was_requeued = job.requeued(since, at.end).next().is_some();
        if !was_requeued && (attempt < least || usize::from(attempt) > usize::from(most) + hidden) {
            let text = format!("job {}: attempt {attempt}, not {least} to {most}+{hidden}", job.id);
            flag(found, Rule::AttemptNumber, format!("{text}: {:?} after {before:?}", at.what));
        }
        before = Some(*at);
    }
}

/// The least and the highest number of the next attempt, if none is hidden, and since when some may be.
fn next_attempt(job: &Job, before: Option<At<Delivery>>) -> (u16, u16, Ns) {
    let Some(before) = before else {
        return (1, 1, job.made_by.iter().map(|at| at.start).min().unwrap_or(0));
    };
    let mut released = of_lease(job, before.what.lease);
    released.retain(|(ending, _)| matches!(ending, Ending::Release { .. }));
    let certain = released.iter().any(|(_, at)| at.what.ok().is_some());
    let uncounted = before.what.attempt;
    let counted = uncounted.saturating_add(1);
    let least = if released.is_empty() { counted } else { uncounted };
    (least, if certain { uncounted } else { counted }, before.start)
}

fn first_moment(job: &Job, found: &mut Vec<Violation>) {
    let made = job.made_by.iter().map(|at| at.start.saturating_add(at.what.delay_ms * MS)).min();
    for at in &job.deliveries {
        let due = made.map(|made| updated_due(job, 0, at.end).map_or(made, |due| due.min(made)));
        if due.is_some_and(|due| at.end + CLOCK_SLACK < due) {
            flag(found, Rule::TooEarly, format!("job {} before its delay: {:?} {:?}", job.id, at.end, due));
        }
    }
}

/// The earliest moment that an update in this span may have set.
fn updated_due(job: &Job, from: Ns, to: Ns) -> Option<Ns> {
    let within = job.updates().filter(|(_, at)| at.end >= from && at.start <= to);
    within.filter_map(|(update, at)| Some(at.start.saturating_add(update.delay_ms? * MS))).min()
}

/// One second doubled with each attempt, at most an hour, of which the second half is drawn.
fn least_backoff(attempt: u16) -> Ns {
    let doubled = u32::from(attempt.saturating_sub(1)).min(12);
    ((500 * MS) << doubled).min(1_800_000 * MS)
}

/// The earliest moment at which this lease can run out.
fn runs_out(given: At<Delivery>) -> Ns {
    given.start + (u64::from(given.what.lease_ms) * MS).min(GRACE)
}

/// A delivery behind another of its job: what can have ended the first lease, and when at the earliest.
fn next_moment(job: &Job, first: At<Delivery>, next: At<Delivery>, found: &mut Vec<Violation>) {
    let backoff = least_backoff(first.what.attempt);
    let ran_out = runs_out(first);
    let free = |(ending, at): &(Ending, At<Outcome<()>>)| match ending {
        Ending::Ack => None,
        Ending::Fail { .. } => Some(at.start + backoff),
        Ending::Release { delay_ms } => Some(at.start.saturating_add(delay_ms * MS)),
    };
    let mut causes = of_lease(job, first.what.lease);
    causes.retain(|(_, at)| at.start <= next.end);
    let done = causes.iter().find(|(_, at)| at.what.ok().is_some());
    let earliest = match done {
        // A delivery behind an OK ack is flagged elsewhere.
        Some(done) => free(done).unwrap_or(0),
        None => causes.iter().filter_map(free).chain([ran_out + backoff]).min().unwrap_or(0),
    };
    // One that died may have been requeued.
    let death = causes.iter().map(|(_, at)| at.start).chain([ran_out]).min().unwrap_or(0);
    let requeued = job.requeued(first.start, next.end).map(|start| start.max(death)).min();
    let earliest = requeued.map_or(earliest, |again| again.min(earliest));
    let updated = updated_due(job, first.start, next.end).map(|due| due.max(death));
    let earliest = updated.map_or(earliest, |due| due.min(earliest));
    if next.end + CLOCK_SLACK < earliest {
        let two = causes.is_empty() && next.end + CLOCK_SLACK < ran_out;
        let rule = if two { Rule::TwoLeases } else { Rule::TooEarly };
        let text = format!("job {} at {} instead of {earliest} or later", job.id, next.end);
        flag(found, rule, format!("{text}: {:?} after {:?}", next.what, first.what));
    }
}

/// What an OK for a lease says about it.
fn endings(job: &Job, found: &mut Vec<Violation>) {
    let mut ended = BTreeSet::new();
    for (lease, ending, at) in job.endings.iter().filter(|(_, _, at)| at.what.ok().is_some()) {
        if !ended.insert(lease.lease) {
            flag(found, Rule::EndedTwice, format!("{lease:?}, then {ending:?} at {}", at.start));
        }
        if !job.deliveries.iter().any(|given| given.what.lease == lease.lease) {
            flag(found, Rule::StaleEnding, format!("{lease:?} was never given, and {ending:?} was OK"));
        }
        if let Some(newer) = overtaken(job, lease.lease, at.start) {
            let text = format!("{ending:?} of {lease:?} at {} was OK after {newer:?}", at.start);
            flag(found, Rule::StaleEnding, text);
        }
    }
}

/// A newer lease that was known before this moment.
fn overtaken<'h>(job: &Job<'h>, lease: u64, moment: Ns) -> Option<&'h Delivery> {
    let newer = |at: &&At<Delivery>| at.what.lease > lease && at.end < moment;
    job.deliveries.iter().find(newer).map(|at| at.what)
}

/// Nothing comes behind an ack or a fail for good.
fn last_words(job: &Job, found: &mut Vec<Violation>) {
    for (lease, ending, at) in job.endings.iter().filter(|(_, _, at)| at.what.ok().is_some()) {
        let rule = match ending {
            Ending::Ack => Rule::DeliveredAfterAck,
            Ending::Fail { for_good: true } => Rule::DeliveredAfterDeath,
            _ => continue,
        };
        let requeued = |given: &At<Delivery>| job.requeued(at.start, given.end).next().is_some();
        let is_dead = rule == Rule::DeliveredAfterDeath;
        let after = |given: &&At<Delivery>| {
            (given.what.lease > lease.lease || given.start > at.end) && !(is_dead && requeued(given))
        };
        if let Some(given) = job.deliveries.iter().find(after) {
            let text = format!("{lease:?} was over at {}, then {:?} at {}", at.end, given.what, given.start);
            flag(found, rule, text);
        }
    }
}

/// Whoever was told that a lease is over never sees it alive again.
fn came_back(job: &Job, found: &mut Vec<Violation>) {
    let mut over: BTreeMap<u64, Ns> = BTreeMap::new();
    let refused = Outcome::Refused(LEASE_LOST);
    let ended = job.endings.iter();
    let ended = ended.filter(|(_, _, at)| at.what.ok().is_some() || *at.what == refused);
    let lost = job.heartbeats.iter().filter(|(_, at)| at.what.ok() == Some(&false));
    let known = ended.map(|(lease, _, at)| (lease, at.end)).chain(lost.map(|(lease, at)| (lease, at.end)));
    for (lease, end) in known {
        let first = over.entry(lease.lease).or_insert(end);
        *first = end.min(*first);
    }
    let ok = job.endings.iter().filter(|(_, _, at)| at.what.ok().is_some());
    let beats = job.heartbeats.iter().filter(|(_, at)| at.what.ok() == Some(&true));
    let ok = ok.map(|(lease, _, at)| (lease, at.start));
    let alive = beats.map(|(lease, at)| (lease, at.start));
    for (lease, start) in ok.chain(alive.clone()) {
        if over.get(&lease.lease).is_some_and(|end| *end < start) {
            flag(found, Rule::LeaseCameBack, format!("{lease:?} was over, and alive at {start}"));
        }
    }
    for (lease, start) in alive {
        if let Some(newer) = overtaken(job, lease.lease, start) {
            flag(found, Rule::LeaseCameBack, format!("{lease:?} alive at {start} after {newer:?}"));
        }
    }
}

/// A lease that cannot have run out, and that nobody has ended, is not refused.
fn refused_alive(job: &Job, found: &mut Vec<Violation>) {
    let refused = Outcome::Refused(LEASE_LOST);
    let reports = job.endings.iter().filter(|(_, _, at)| *at.what == refused);
    let reports = reports.map(|(lease, _, at)| (lease, at.end));
    let beats = job.heartbeats.iter().filter(|(_, at)| at.what.ok() == Some(&false));
    for (lease, end) in reports.chain(beats.map(|(lease, at)| (lease, at.end))) {
        let Some(given) = job.deliveries.iter().find(|at| at.what.lease == lease.lease) else { continue };
        let cancelled = job.mended(Change::is_cancel).any(|at| at.what.possible() && at.start <= end);
        let ended = cancelled || of_lease(job, lease.lease).iter().any(|(_, at)| at.start <= end);
        if !ended && end + CLOCK_SLACK < runs_out(*given) {
            let text = format!("{lease:?} was lost at {end}, and runs out at {}", runs_out(*given));
            flag(found, Rule::RefusedAlive, format!("{text}: {:?}", given.what));
        }
    }
}
