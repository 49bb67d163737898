//! The rules of the end: every job is somewhere, and the master counts as many as there can be.

use super::index::{At, Index, Job};
use super::*;

/// What is known of the jobs of one queue, as far as the end is concerned.
#[derive(Default)]
struct Bounds {
    certain: u64,
    /// Submits without an answer that may be jobs of which nothing was ever seen: they can only be dead.
    loose: u64,
    acked: u64,
    maybe_acked: u64,
    /// Not acked, so they must be dead.
    unacked: Vec<u64>,
    maybe_dead: u64,
    /// Cancelled for certain; cancelled or expired, perhaps.
    gone: u64,
    maybe_gone: u64,
    /// Purged for certain, and perhaps; perhaps after an end that is counted, too.
    purged: u64,
    maybe_purged: u64,
    counted_twice: u64,
}

pub fn check(index: &Index, left: &Left, found: &mut Vec<Violation>) {
    let mut queues: BTreeMap<&str, Bounds> = BTreeMap::new();
    for job in index.jobs.values() {
        let Some(queue) = job.queue() else { continue };
        weigh(job, index, left, queues.entry(queue).or_default(), found);
    }
    for makers in &index.loose {
        let unseen = |at: &&At<Submit>| {
            let hidden = index.hidden_grants(&at.what.queue, at.start, Ns::MAX);
            hidden >= usize::from(at.what.attempts_max()) || at.what.ttl_ms > 0
        };
        let names: BTreeSet<&str> = makers.iter().filter(unseen).map(|at| at.what.queue.as_str()).collect();
        for queue in names {
            queues.entry(queue).or_default().loose += 1;
        }
    }
    for queue in left.queues.keys() {
        queues.entry(queue).or_default();
    }
    for (queue, bounds) in queues {
        let counts = left.queues.get(queue).copied().unwrap_or_default();
        count(queue, &bounds, counts, found);
    }
}

fn weigh(job: &Job, index: &Index, left: &Left, bounds: &mut Bounds, found: &mut Vec<Violation>) {
    let ending = |ending: Ending, certain: bool| {
        let of = job.endings.iter().filter(|(_, e, _)| *e == ending);
        of.filter(|(_, _, at)| if certain { at.what.ok().is_some() } else { at.what.possible() }).count() > 0
    };
    let killed = Ending::Fail { for_good: true };
    let (acked, maybe_acked) = (ending(Ending::Ack, true), ending(Ending::Ack, false));
    let was_requeued = job.requeued(0, Ns::MAX).next().is_some();
    let maybe_acked = acked || (maybe_acked && (was_requeued || !ending(killed, true)));
    let maybe_dead = !acked && (ending(killed, false) || used_up(job, index));
    let gone = job.mended(Change::is_cancel).any(|at| at.what.ok().is_some());
    let maybe_gone = !acked && job.may_be_gone();
    bounds.gone += u64::from(gone);
    bounds.maybe_gone += u64::from(maybe_gone);
    let purged = job.mended(|change| change == Change::Purge).any(|at| at.what.ok().is_some());
    let maybe_purged = job.may_be_purged(Ns::MAX);
    bounds.purged += u64::from(purged);
    bounds.maybe_purged += u64::from(maybe_purged);
    bounds.counted_twice += u64::from(maybe_purged && (maybe_acked || job.may_be_cancelled()));
    bounds.certain += 1;
    bounds.acked += u64::from(acked);
    bounds.maybe_acked += u64::from(maybe_acked);
    bounds.maybe_dead += u64::from(maybe_dead);
    if !maybe_acked && !maybe_gone {
        bounds.unacked.push(job.id);
    }
    let named = left.dead_jobs.as_ref().map(|dead| dead.contains(&job.id));
    if !maybe_acked && !maybe_gone && (named == Some(false) || !maybe_dead) {
        flag(found, Rule::Lost, format!("job {} was never acked and is not dead: {}", job.id, story(job)));
    }
    if named == Some(true) && !maybe_dead {
        flag(found, Rule::Totals, format!("job {} is dead, and had no cause: {}", job.id, story(job)));
    }
}

/// Its attempts may have come to their end: by those that were seen, and by those that may be hidden.
pub fn used_up(job: &Job, index: &Index) -> bool {
    let (queue, max_attempts) = (job.queue().unwrap_or(""), job.attempts_max().0);
    let last = job.deliveries.last();
    let attempt = last.map_or(0, |at| at.what.attempt);
    // A release gives the attempt back; one more hidden grant would then be needed.
    let given_back = last.is_some_and(|at| {
        let of = job.endings.iter().filter(|(lease, _, _)| lease.lease == at.what.lease);
        let mut ok = of.filter(|(_, _, ending)| ending.what.ok().is_some());
        ok.any(|(_, ending, _)| matches!(ending, Ending::Release { .. }))
    });
    let counted = usize::from(attempt) - usize::from(given_back && attempt > 0);
    let since = last.map(|at| at.start).or(job.made_by.iter().map(|at| at.start).min()).unwrap_or(0);
    let hidden = index.hidden_grants(queue, since, Ns::MAX);
    let was_requeued = job.requeued(0, Ns::MAX).next().is_some();
    was_requeued || counted + hidden >= usize::from(max_attempts)
}

fn count(queue: &str, bounds: &Bounds, counts: Counts, found: &mut Vec<Violation>) {
    if counts.open > 0 {
        flag(found, Rule::NotDrained, format!("{queue}: {counts:?}"));
    }
    let all = counts.completed + counts.dead + counts.open + counts.gone + counts.purged;
    let must_be_dead = bounds.unacked.len() as u64;
    if all < bounds.certain {
        let text = format!("{queue}: {} jobs were seen for certain, and {all} are counted", bounds.certain);
        flag(found, Rule::Lost, text);
    }
    if counts.dead + counts.open < must_be_dead {
        let text = format!("{queue}: {must_be_dead} jobs were never acked, and {counts:?}");
        flag(found, Rule::Lost, format!("{text}; they are {:?}", bounds.unacked));
    }
    let completed = bounds.acked..=bounds.maybe_acked;
    if !completed.contains(&counts.completed) {
        flag(found, Rule::Totals, format!("{queue}: {completed:?} jobs are completed, not {counts:?}"));
    }
    let gone = bounds.gone..=bounds.maybe_gone + bounds.loose;
    if !gone.contains(&counts.gone) {
        flag(found, Rule::Totals, format!("{queue}: {gone:?} jobs are cancelled or expired, not {counts:?}"));
    }
    let purged = bounds.purged..=bounds.maybe_purged;
    if !purged.contains(&counts.purged) {
        flag(found, Rule::Totals, format!("{queue}: {purged:?} jobs are purged, not {counts:?}"));
    }
    let dead_max = bounds.maybe_dead + bounds.loose;
    let all_max = bounds.certain + bounds.loose + bounds.counted_twice;
    if counts.dead > dead_max || all > all_max {
        let text = format!("{queue}: at most {all_max} jobs and {dead_max} dead");
        flag(found, Rule::Totals, format!("{text}, not {counts:?}"));
    }
}

/// All that is known of a job.
fn story(job: &Job) -> String {
    let submits = job.submits.iter().map(|(at, outcome)| format!("{}: {outcome:?}", at.end));
    let given = job.deliveries.iter();
    let given = given.map(|at| format!("{}..{}: lease {} #{}", at.start, at.end, at.what.lease, at.what.attempt));
    let ended = job.endings.iter();
    let ended = ended.map(|(lease, how, at)| format!("{}: {how:?} {}: {:?}", at.start, lease.lease, at.what));
    submits.chain(given).chain(ended).collect::<Vec<_>>().join("; ")
}
