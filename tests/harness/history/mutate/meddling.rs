//! The mutations of what people do beside the work.

use super::*;
use crate::history::mending::{CANCELLED, COMPLETED, DEAD, EXPIRED};

impl Scene {
    /// Cancels that were OK, of jobs that were delivered before, with their last deliveries.
    fn cancelled(&self) -> Vec<(usize, Delivery)> {
        let all = self.deliveries();
        let cancels = self.ops().iter().enumerate().filter_map(|(at, op)| match op.what {
            What::Mend(change, job, Outcome::Ok(())) if change.is_cancel() => Some((at, job)),
            _ => None,
        });
        let last = |job: u64| all.iter().filter(|spot| spot.2.job == job).max_by_key(|spot| spot.2.lease);
        cancels.filter_map(|(at, job)| Some((at, last(job)?.2.clone()))).collect()
    }

    /// The items of waits that were answered: operation, item, job, standing.
    fn told(&self) -> Vec<(usize, usize, u64, u8)> {
        let waits = self.ops().iter().enumerate().filter_map(|(at, op)| match &op.what {
            What::Wait(_, Outcome::Ok(ends)) => Some((at, ends)),
            _ => None,
        });
        waits.flat_map(|(at, ends)| (0..).zip(ends).map(move |(n, (job, is))| (at, n, *job, *is))).collect()
    }

    fn tell(&mut self, (at, item, ..): (usize, usize, u64, u8), standing: u8) {
        if let What::Wait(_, Outcome::Ok(ends)) = &mut self.history.ops[at].what {
            ends[item].1 = standing;
        }
    }
}

pub fn grant_after_cancel(scene: &mut Scene) -> Option<()> {
    let (at, given) = scene.dice.pick(&scene.cancelled())?.clone();
    let (end, lease, attempt) = (scene.ops()[at].end, scene.fresh_id(), given.attempt + 1);
    scene.add_poll(end + 1, end + MS, Delivery { lease, attempt, ..given });
    Some(())
}

pub fn ack_after_cancel(scene: &mut Scene) -> Option<()> {
    let (at, given) = scene.dice.pick(&scene.cancelled())?.clone();
    let (end, lease) = (scene.ops()[at].end, Lease { job: given.job, lease: given.lease });
    scene.add(end + 1, end + MS, What::End(Ending::Ack, lease, Outcome::Ok(())));
    Some(())
}

pub fn tell_wrong_end(scene: &mut Scene) -> Option<()> {
    let done = scene.told().into_iter().filter(|told| told.3 == COMPLETED).collect::<Vec<_>>();
    let told = *scene.dice.pick(&done)?;
    let cancels = |op: &Op| matches!(op.what, What::Mend(_, job, _) if job == told.2);
    if scene.ops().iter().any(cancels) {
        return None;
    }
    scene.tell(told, CANCELLED);
    Some(())
}

pub fn tell_no_end(scene: &mut Scene) -> Option<()> {
    let acked: BTreeMap<u64, Ns> = scene
        .ended()
        .iter()
        .filter(|(_, ending, _)| *ending == Ending::Ack)
        .map(|(at, _, lease)| (lease.job, scene.ops()[*at].end))
        .collect();
    let mut late = scene.told();
    late.retain(|(at, _, job, _)| acked.get(job).is_some_and(|end| *end < scene.ops()[*at].start));
    let told = *scene.dice.pick(&late)?;
    let standing = scene.dice.below(3) as u8;
    scene.tell(told, standing);
    Some(())
}

pub fn answer_early(scene: &mut Scene) -> Option<()> {
    let mut open = scene.told();
    open.retain(|(_, _, _, standing)| *standing < DEAD);
    let (at, ..) = *scene.dice.pick(&open)?;
    if let What::Wait(wait, _) = &mut scene.history.ops[at].what {
        (wait.any, wait.wait_ms) = (false, 1_000);
    }
    Some(())
}

pub fn expire_begun(scene: &mut Scene) -> Option<()> {
    let ended = scene.ended();
    let begun: BTreeSet<u64> =
        ended.iter().filter(|(_, ending, _)| ending.counts()).map(|(_, _, lease)| lease.job).collect();
    let mut told = scene.told();
    told.retain(|(_, _, job, _)| begun.contains(job));
    let told = *scene.dice.pick(&told)?;
    scene.tell(told, EXPIRED);
    Some(())
}

pub fn leak(scene: &mut Scene) -> Option<()> {
    let gates: Vec<(usize, Gate)> = (0..)
        .zip(scene.ops())
        .filter_map(|(at, op)| match &op.what {
            What::Gate(gate, _) => Some((at, gate.clone())),
            _ => None,
        })
        .collect();
    let (at, gate) = scene.dice.pick(&gates)?.clone();
    let (start, end) = (scene.ops()[at].start, scene.ops()[at].end);
    let is_ok = matches!(scene.ops()[at].what, What::Gate(_, Outcome::Ok(())));
    let long_enough = start + gate.for_ms? * MS > end + 2 + 2 * CLOCK_SLACK;
    let touches = |(other, of): &(usize, Gate)| {
        *other != at
            && of.queue == gate.queue
            && scene.ops()[*other].end >= start
            && scene.ops()[*other].start < end + CLOCK_SLACK + 2 * MS
    };
    if !is_ok || !long_enough || gates.iter().any(touches) {
        return None;
    }
    let mut given = scene.deliveries();
    given.retain(|(_, _, given)| given.queue == gate.queue);
    let given = scene.dice.pick(&given)?.2.clone();
    let (lease, attempt) = (scene.fresh_id(), given.attempt + 1);
    scene.add_poll(end + 1, end + 2, Delivery { lease, attempt, ..given });
    Some(())
}

pub fn lose_result(scene: &mut Scene) -> Option<()> {
    let keeps: BTreeMap<u64, u64> =
        scene.keyless().iter().map(|(_, submit, answer)| (answer.job, submit.keep_ms)).collect();
    let mut acked = scene.ended();
    acked.retain(|(at, ending, lease)| {
        let (start, end) = (scene.ops()[*at].start, scene.ops()[*at].end);
        let keep_ms = keeps.get(&lease.job).copied().unwrap_or(0);
        *ending == Ending::Ack && end + 2 * MS + CLOCK_SLACK < start + keep_ms * MS
    });
    let (at, _, lease) = *scene.dice.pick(&acked)?;
    let end = scene.ops()[at].end;
    if !scene.left_alone().contains(&lease.job) {
        return None;
    }
    scene.add(end + 1, end + MS, What::Read(lease.job, Outcome::Refused(NOT_FOUND)));
    Some(())
}
