//! The mutations of what is purged, updated, and kept by a queue.

use super::*;
use crate::history::mending::EXPIRED;

impl Scene {
    /// Purges that were OK, each with its job.
    fn purged(&self) -> Vec<(usize, u64)> {
        let purges = self.ops().iter().enumerate().filter_map(|(at, op)| match op.what {
            What::Mend(Change::Purge, job, Outcome::Ok(())) => Some((at, job)),
            _ => None,
        });
        purges.collect()
    }

    /// Jobs that were changed once, by an update of both fields that was OK, and were given after that.
    fn updated(&self) -> Vec<(Spot, Submit)> {
        let mut mends: BTreeMap<u64, Vec<&Op>> = BTreeMap::new();
        for op in self.ops() {
            if let What::Mend(_, job, _) = op.what {
                mends.entry(job).or_default().push(op);
            }
        }
        let made: BTreeMap<u64, Submit> =
            self.keyless().into_iter().map(|(_, made, answer)| (answer.job, made)).collect();
        let is_updated = |op: &Op, spot: &Spot| match op.what {
            What::Mend(Change::Update(update), _, Outcome::Ok(())) => {
                update.priority.is_some() && update.max_attempts.is_some() && op.end < self.ops()[spot.0].start
            }
            _ => false,
        };
        let fits = |spot: Spot| match mends.get(&spot.2.job)?.as_slice() {
            [one] if is_updated(one, &spot) => Some((spot.clone(), made.get(&spot.2.job)?.clone())),
            _ => None,
        };
        self.deliveries().into_iter().filter_map(fits).collect()
    }
}

pub fn grant_after_purge(scene: &mut Scene) -> Option<()> {
    let (at, job) = *scene.dice.pick(&scene.purged())?;
    let (_, submit, _) = scene.keyless().into_iter().find(|(_, _, answer)| answer.job == job)?;
    let (end, lease) = (scene.ops()[at].end, scene.fresh_id());
    let Submit { ref queue, ref key, priority, payload, .. } = submit;
    let (queue, key, max_attempts) = (queue.clone(), key.clone(), submit.attempts_max());
    let given = Delivery { job, lease, queue, key, priority, attempt: 1, max_attempts, lease_ms: 500, payload };
    scene.add_poll(end + 1, end + MS, given);
    Some(())
}

pub fn tell_purged(scene: &mut Scene) -> Option<()> {
    let (at, job) = *scene.dice.pick(&scene.purged())?;
    let (end, standing) = (scene.ops()[at].end, scene.dice.below(u64::from(EXPIRED)) as u8);
    let wait = Wait { jobs: vec![job], any: false, wait_ms: 0 };
    scene.add(end + 1, end + MS, What::Wait(wait, Outcome::Ok(vec![(job, standing)])));
    Some(())
}

pub fn tear_update(scene: &mut Scene) -> Option<()> {
    let mut updated = scene.updated();
    updated
        .retain(|((_, _, given), made)| given.priority != made.priority && given.max_attempts != made.attempts_max());
    let (spot, made) = scene.dice.pick(&updated)?.clone();
    if scene.dice.percent(50) {
        scene.at(&spot).priority = made.priority;
    } else {
        scene.at(&spot).max_attempts = made.attempts_max();
    }
    Some(())
}

pub fn forget_update(scene: &mut Scene) -> Option<()> {
    let mut updated = scene.updated();
    updated.retain(|((_, _, given), made)| given.priority != made.priority);
    let (spot, made) = scene.dice.pick(&updated)?.clone();
    let given = scene.at(&spot);
    (given.priority, given.max_attempts) = (made.priority, made.attempts_max());
    Some(())
}

pub fn lose_kept_by_queue(scene: &mut Scene) -> Option<()> {
    (0..TRIES).find_map(|_| lose_of_some_queue(scene))
}

fn lose_of_some_queue(scene: &mut Scene) -> Option<()> {
    let keeps: Vec<Op> = scene.ops().iter().filter(|op| matches!(op.what, What::Keep(..))).cloned().collect();
    let set = scene.dice.pick(&keeps)?.clone();
    let What::Keep(Keep { queue, keep_ms }, Outcome::Ok(())) = set.what else { return None };
    let is_other = |op: &&Op| matches!(&op.what, What::Keep(other, _) if other.queue == queue) && op.start > set.start;
    let until = keeps.iter().filter(is_other).map(|op| op.start).min().unwrap_or(Ns::MAX);
    let overlaps = |op: &Op| {
        matches!(&op.what, What::Keep(other, _) if other.queue == queue)
            && op.start <= set.start
            && op.end >= set.start
            && op.start != set.start
    };
    if keeps.iter().any(overlaps) {
        return None;
    }
    let alone = scene.left_alone();
    let mut plain = scene.keyless();
    plain.retain(|(_, made, answer)| made.queue == queue && made.keep_ms == 0 && alone.contains(&answer.job));
    let plain: BTreeSet<u64> = plain.iter().map(|(_, _, answer)| answer.job).collect();
    let mut acked = scene.ended();
    acked.retain(|(at, ending, lease)| {
        let (start, end) = (scene.ops()[*at].start, scene.ops()[*at].end);
        let is_within = start > set.end && end < until && end + 2 * MS + CLOCK_SLACK < start + keep_ms * MS;
        *ending == Ending::Ack && is_within && plain.contains(&lease.job)
    });
    let (at, _, lease) = *scene.dice.pick(&acked)?;
    let end = scene.ops()[at].end;
    scene.add(end + 1, end + MS, What::Read(lease.job, Outcome::Refused(NOT_FOUND)));
    Some(())
}
