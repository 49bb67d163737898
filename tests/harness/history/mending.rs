//! The rules of what people do beside the work: cancels, waits, pauses, and results that are kept.

use super::index::{At, Index, Job};
use super::ledger::used_up;
use super::*;

/// Numbers of standings on the wire.
pub const DEAD: u8 = 3;
pub const COMPLETED: u8 = 4;
pub const CANCELLED: u8 = 5;
pub const EXPIRED: u8 = 6;
pub const GONE: u8 = 254;

pub fn check(index: &Index, found: &mut Vec<Violation>) {
    for job in index.jobs.values() {
        cancelled(job, found);
        purged(job, found);
        results(job, index, found);
    }
    for (wait, outcome) in &index.waits {
        if let Some(ends) = outcome.ok() {
            waited(index, *wait, ends, found);
        }
    }
    paused(index, found);
}

/// Nothing comes behind a cancel.
fn cancelled(job: &Job, found: &mut Vec<Violation>) {
    for cancel in job.mended(Change::is_cancel).filter(|at| at.what.ok().is_some()) {
        if let Some(given) = job.deliveries.iter().find(|given| given.start > cancel.end) {
            let text = format!("job {} was cancelled at {}, then {:?}", job.id, cancel.end, given.what);
            flag(found, Rule::DeliveredAfterCancel, text);
        }
        let taken = |at: &At<Outcome<()>>| at.what.ok().is_some() && at.start > cancel.end;
        if let Some((lease, ending, _)) = job.endings.iter().find(|(_, _, at)| taken(at)) {
            let text = format!("job {} was cancelled at {}, and {ending:?} of {lease:?} was OK", job.id, cancel.end);
            flag(found, Rule::EndedAfterCancel, text);
        }
    }
}

/// Nothing is left of a job that was purged.
fn purged(job: &Job, found: &mut Vec<Violation>) {
    let purges = job.mended(|change| change == Change::Purge).filter(|at| at.what.ok().is_some());
    let Some(gone) = purges.map(|at| at.end).min() else { return };
    let later = |at: &At<Outcome<()>>| at.what.ok().is_some() && at.start > gone;
    let given = job.deliveries.iter().find(|at| at.start > gone).map(|at| format!("{:?}", at.what));
    let ended = job.endings.iter().find(|(_, _, at)| later(at)).map(|(_, ending, at)| format!("{ending:?} {at:?}"));
    let mended = job.mends.iter().find(|(_, at)| later(at)).map(|(change, at)| format!("{change:?} {at:?}"));
    let read = job.reads.iter().find(|at| later(at)).map(|at| format!("a read {at:?}"));
    if let Some(seen) = given.or(ended).or(mended).or(read) {
        flag(found, Rule::SeenAfterPurge, format!("job {} was purged at {gone}, then {seen}", job.id));
    }
}

/// The acks of a job that were OK.
fn acks<'h>(job: &Job<'h>) -> impl Iterator<Item = At<'h, Outcome<()>>> {
    let ok = job.endings.iter().filter(|(_, ending, at)| *ending == Ending::Ack && at.what.ok().is_some());
    ok.map(|(_, _, at)| *at)
}

/// Until when a job is there that was acked, at the least.
fn kept_until(job: &Job, index: &Index, ack: At<Outcome<()>>) -> Ns {
    let own_ms = job.made_by.iter().map(|at| at.what.keep_ms).min().unwrap_or(0);
    let keep_ms = if own_ms == 0 { queue_keeps_ms(job.queue().unwrap_or(""), index, ack) } else { own_ms };
    if keep_ms == 0 { 0 } else { ack.start.saturating_add(keep_ms * MS) }
}

/// The least of all that a queue may have been told to keep when this ack was done.
fn queue_keeps_ms(queue: &str, index: &Index, ack: At<Outcome<()>>) -> u64 {
    let ours = index.keeps.iter().filter(|(at, outcome)| at.what.queue == queue && outcome.possible());
    let settled = ours.clone().filter(|(at, outcome)| outcome.ok().is_some() && at.end < ack.start);
    let Some(newest) = settled.map(|(at, _)| at.start).max() else { return 0 };
    let counts = ours.filter(|(at, _)| at.end >= newest && at.start <= ack.end);
    counts.map(|(at, _)| at.what.keep_ms).min().unwrap_or(0)
}

fn results(job: &Job, index: &Index, found: &mut Vec<Violation>) {
    for read in job.reads.iter().filter(|at| *at.what == Outcome::Refused(NOT_FOUND)) {
        for ack in acks(job).filter(|ack| ack.end < read.start) {
            if !job.may_be_purged(read.end) && read.end + CLOCK_SLACK < kept_until(job, index, ack) {
                let text = format!("job {} was acked at {}, and gone at {}", job.id, ack.end, read.end);
                flag(found, Rule::ResultLost, text);
            }
        }
    }
}

fn waited(index: &Index, wait: At<Wait>, ends: &[(u64, u8)], found: &mut Vec<Violation>) {
    let has_ended = |(_, standing): &(u64, u8)| *standing >= DEAD;
    let is_over = if wait.what.any { ends.iter().any(has_ended) } else { ends.iter().all(has_ended) };
    if !is_over && wait.end - wait.start + CLOCK_SLACK < u64::from(wait.what.wait_ms) * MS {
        flag(found, Rule::WaitEarly, format!("{:?} was told {ends:?} at {}", wait.what, wait.end));
    }
    for (id, standing) in ends {
        let Some(job) = index.jobs.get(id) else { continue };
        let was_begun = job.endings.iter().any(|(_, ending, at)| ending.counts() && at.what.ok().is_some());
        let text = || format!("job {id} was said to stand at {standing} at {}", wait.end);
        if *standing == EXPIRED && was_begun {
            flag(found, Rule::ExpiredBegun, text());
        } else if !may_stand(job, index, *standing, wait) {
            flag(found, Rule::WaitWrong, text());
        }
    }
}

/// Whether a job may have stood so at a moment of this wait.
fn may_stand(job: &Job, index: &Index, standing: u8, wait: At<Wait>) -> bool {
    let possible = |wanted: Ending| {
        let of = job.endings.iter().filter(|(_, ending, _)| *ending == wanted);
        of.clone().any(|(_, _, at)| at.what.possible() && at.start <= wait.end)
    };
    let is_done = acks(job).any(|ack| ack.end < wait.start);
    let has_ack = acks(job).next().is_some();
    let may_cancel = job.mended(Change::is_cancel).any(|at| at.what.possible() && at.start <= wait.end);
    let expires = |at: &At<Submit>| at.what.ttl_ms > 0 && at.start + at.what.ttl_ms * MS <= wait.end + CLOCK_SLACK;
    let may_expire = job.made_by.iter().any(expires);
    let may_purge = job.may_be_purged(wait.end);
    let before = |wanted: Change| {
        job.mended(move |change| change == wanted).any(|at| at.what.ok().is_some() && at.end < wait.start)
    };
    if before(Change::Purge) {
        return standing == GONE;
    }
    if before(Change::CancelNow) {
        return standing == CANCELLED || standing == GONE;
    }
    match standing {
        DEAD => !is_done && (possible(Ending::Fail { for_good: true }) || used_up(job, index)),
        COMPLETED => possible(Ending::Ack),
        // One that is purged meanwhile is told as cancelled.
        CANCELLED => may_purge || (!has_ack && may_cancel),
        EXPIRED => !has_ack && may_expire,
        GONE => {
            let stays = |ack: At<_>| wait.end + CLOCK_SLACK < kept_until(job, index, ack);
            let is_kept = acks(job).any(|ack| ack.end < wait.start && stays(ack));
            may_purge || (!is_kept && (possible(Ending::Ack) || may_cancel || may_expire))
        }
        other => other < DEAD && !is_done,
    }
}

/// A queue that is closed gives nothing, until it may have been opened.
fn paused(index: &Index, found: &mut Vec<Violation>) {
    for (at, _) in index.gates.iter().filter(|(at, outcome)| at.what.closes() && outcome.ok().is_some()) {
        let others = index.gates.iter().filter(|(other, outcome)| {
            let is_it = other.start == at.start && other.what == at.what;
            outcome.possible() && other.what.queue == at.what.queue && other.end >= at.start && !is_it
        });
        let opens_at = |gate: &At<Gate>| gate.start.saturating_add(gate.what.for_ms.unwrap_or(0) * MS);
        let open = others.map(|(other, _)| opens_at(other)).chain([opens_at(at)]).min().unwrap_or(0);
        let first = index.polls.partition_point(|(poll, _)| poll.start <= at.end);
        let begun = index.polls[first..].iter().take_while(|(poll, _)| poll.start < open);
        for (poll, outcome) in begun.filter(|(poll, _)| poll.end + CLOCK_SLACK < open) {
            if let Some(given) = outcome.ok().into_iter().flatten().find(|given| given.queue == at.what.queue) {
                let text = format!("{:?} from {} to {open}, and {given:?} at {}", at.what, at.end, poll.end);
                flag(found, Rule::DeliveredInPause, text);
            }
        }
    }
}
