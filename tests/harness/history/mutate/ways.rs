//! The mutations, in the order of their table.

use super::*;

pub fn forget_done(scene: &mut Scene) -> Option<()> {
    let answered = scene.left_alone();
    let mut acked = scene.ended();
    acked.retain(|(_, ending, lease)| *ending == Ending::Ack && answered.contains(&lease.job));
    let job = scene.dice.pick(&acked)?.2.job;
    scene.history.ops.retain_mut(|op| match &mut op.what {
        What::Poll(_, Outcome::Ok(given)) => {
            given.retain(|delivery| delivery.job != job);
            true
        }
        What::End(_, lease, _) | What::Heartbeat(lease, _) => lease.job != job,
        _ => true,
    });
    Some(())
}

pub fn forget_dead(scene: &mut Scene) -> Option<()> {
    let mut seen = scene.answered();
    let acked = scene.ops().iter().filter_map(|op| match &op.what {
        What::End(Ending::Ack, lease, outcome) if outcome.possible() => Some(lease.job),
        _ => None,
    });
    let acked: BTreeSet<u64> = acked.collect();
    let dead = scene.left.dead_jobs.clone()?;
    let alone = scene.left_alone();
    let fits = |job: u64| dead.contains(&job) && !acked.contains(&job) && alone.contains(&job);
    seen.retain(|(_, _, answer)| fits(answer.job));
    let job = scene.dice.pick(&seen)?.2.job;
    scene.left.dead_jobs.as_mut()?.remove(&job);
    Some(())
}

pub fn miscount(scene: &mut Scene) -> Option<()> {
    // Less would do where every outcome is known.
    let spare = scene.ops().len() as u64;
    scene.left.queues.values_mut().next()?.completed += spare;
    Some(())
}

pub fn leave_open(scene: &mut Scene) -> Option<()> {
    scene.left.queues.values_mut().next()?.open = 1;
    Some(())
}

pub fn repeat_delivery(scene: &mut Scene) -> Option<()> {
    let again = scene.dice.pick(&scene.deliveries())?.2.clone();
    scene.give(again)
}

pub fn share_lease(scene: &mut Scene) -> Option<()> {
    let all = scene.deliveries();
    let (a, b) = scene.pair(&all, |_, a, b| a.2.job != b.2.job)?;
    scene.at(&b).lease = a.2.lease;
    Some(())
}

fn grant_after(scene: &mut Scene, wanted: Ending) -> Option<()> {
    // A requeue excuses it.
    let alone = scene.left_alone();
    let mut ended = scene.ended();
    ended.retain(|(_, ending, lease)| *ending == wanted && alone.contains(&lease.job));
    let lease = scene.dice.pick(&ended)?.2;
    let (_, _, given) = scene.deliveries().into_iter().find(|(_, _, given)| given.lease == lease.lease)?;
    let (lease, attempt) = (scene.fresh_id(), given.attempt + 1);
    scene.give(Delivery { lease, attempt, ..given })
}

pub fn grant_after_ack(scene: &mut Scene) -> Option<()> {
    grant_after(scene, Ending::Ack)
}

pub fn grant_after_death(scene: &mut Scene) -> Option<()> {
    grant_after(scene, Ending::Fail { for_good: true })
}

pub fn swap_payloads(scene: &mut Scene) -> Option<()> {
    let known = scene.known();
    let (a, b) = scene.pair(&known, |_, a, b| a.2.payload != b.2.payload)?;
    scene.at(&a).payload = b.2.payload;
    scene.at(&b).payload = a.2.payload;
    Some(())
}

pub fn spoil_payload(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.deliveries())?.clone();
    scene.at(&spot).payload.hash ^= 1;
    Some(())
}

pub fn spoil_priority(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.alone())?.clone();
    scene.at(&spot).priority += 1;
    Some(())
}

pub fn swap_in_line(scene: &mut Scene) -> Option<()> {
    let plain = scene.plain();
    let line = |given: &Delivery| (given.queue.clone(), given.priority);
    let (a, b) = scene.pair(&plain, |_, a, b| line(&a.2) == line(&b.2) && a.2.job != b.2.job)?;
    scene.swap(&a, &b);
    Some(())
}

pub fn swap_priorities(scene: &mut Scene) -> Option<()> {
    let plain = scene.plain();
    let known: BTreeMap<u64, Ns> =
        scene.answered().iter().map(|(at, _, answer)| (answer.job, scene.ops()[*at].end)).collect();
    let (urgent, other) = scene.pair(&plain, |scene, a, b| {
        let waited = known[&a.2.job] < scene.ops()[b.0].start;
        let (a, b) = (&a.2, &b.2);
        a.queue == b.queue && a.priority < b.priority && a.lease < b.lease && waited
    })?;
    scene.swap(&urgent, &other);
    Some(())
}

pub fn swap_leases(scene: &mut Scene) -> Option<()> {
    let all = scene.deliveries();
    let (a, b) = scene.pair(&all, |scene, a, b| scene.ops()[a.0].end < scene.ops()[b.0].start)?;
    scene.swap(&a, &b);
    Some(())
}

pub fn swap_jobs(scene: &mut Scene) -> Option<()> {
    let all = scene.keyless();
    for _ in 0..TRIES {
        let (a, b) = (scene.dice.pick(&all)?.clone(), scene.dice.pick(&all)?.clone());
        if scene.ops()[a.0].end < scene.ops()[b.0].start {
            scene.set_answer(a.0, b.2);
            scene.set_answer(b.0, a.2);
            return Some(());
        }
    }
    None
}

pub fn hurry(scene: &mut Scene) -> Option<()> {
    let (mut delayed, alone) = (scene.keyless(), scene.left_alone());
    delayed.retain(|(_, submit, answer)| submit.delay_ms * MS > 2 * CLOCK_SLACK && alone.contains(&answer.job));
    let (at, _, answer) = scene.dice.pick(&delayed)?.clone();
    let first = scene.deliveries().into_iter().find(|(_, _, given)| given.job == answer.job)?;
    let start = scene.ops()[at].start;
    let op = &mut scene.history.ops[first.0];
    (op.start, op.end) = (start, start + MS);
    Some(())
}

pub fn hurry_retry(scene: &mut Scene) -> Option<()> {
    let mut failed = scene.ended();
    let alone = scene.left_alone();
    failed.retain(|(_, ending, lease)| *ending == Ending::Fail { for_good: false } && alone.contains(&lease.job));
    let (at, _, lease) = *scene.dice.pick(&failed)?;
    let later = |given: &Delivery| given.job == lease.job && given.lease > lease.lease;
    let again = scene.deliveries().into_iter().filter(|(_, _, given)| later(given));
    let again = again.min_by_key(|(_, _, given)| given.lease)?;
    let end = scene.ops()[at].end;
    let op = &mut scene.history.ops[again.0];
    (op.start, op.end) = (end, end.min(op.end));
    // A fail whose answer came late leaves no room to be too early.
    (end + CLOCK_SLACK < scene.ops()[at].start + 500 * MS).then_some(())
}

pub fn share_job(scene: &mut Scene) -> Option<()> {
    let all = scene.keyless();
    let (a, b) = (scene.dice.pick(&all)?.clone(), scene.dice.pick(&all)?.clone());
    scene.set_answer(b.0, a.2);
    (a.0 != b.0).then_some(())
}

pub fn split_key(scene: &mut Scene) -> Option<()> {
    let mut keyed = scene.answered();
    keyed.retain(|(_, submit, _)| !submit.key.is_empty());
    let (at, submit, answer) = scene.dice.pick(&keyed)?.clone();
    let (job, end) = (scene.fresh_id(), scene.ops()[at].end);
    scene.add(end + 1, end + MS, What::Submit(submit, Outcome::Ok(Submitted { job, ..answer })));
    Some(())
}

pub fn clone_job(scene: &mut Scene) -> Option<()> {
    let mut keyless = scene.deliveries();
    keyless.retain(|(_, _, given)| given.key.is_empty());
    let given = scene.dice.pick(&keyless)?.2.clone();
    let id = scene.fresh_id();
    scene.give(Delivery { job: id, lease: id + 1, attempt: 1, ..given })
}

pub fn invent(scene: &mut Scene) -> Option<()> {
    let given = scene.dice.pick(&scene.deliveries())?.2.clone();
    let (id, payload) = (scene.fresh_id(), Payload::of(b"nobody submitted this"));
    scene.give(Delivery { job: id, lease: id + 1, key: String::new(), attempt: 1, payload, ..given })
}

pub fn call_duplicate(scene: &mut Scene) -> Option<()> {
    let (at, _, answer) = scene.dice.pick(&scene.keyless())?.clone();
    scene.set_answer(at, Submitted { duplicate: true, ..answer });
    Some(())
}

pub fn accept_stale(scene: &mut Scene) -> Option<()> {
    let all = scene.deliveries();
    let mut old = all.clone();
    old.retain(|(_, _, a)| all.iter().any(|(_, _, b)| a.job == b.job && a.lease < b.lease));
    let (_, _, stale) = scene.dice.pick(&old)?.clone();
    let newer = all.iter().find(|(_, _, b)| stale.job == b.job && stale.lease < b.lease)?;
    let moment = scene.ops()[newer.0].end + 1;
    let kinds = [Ending::Ack, Ending::Fail { for_good: false }, Ending::Release { delay_ms: 0 }];
    let ending = *scene.dice.pick(&kinds)?;
    let lease = Lease { job: stale.job, lease: stale.lease };
    scene.add(moment, moment + MS, What::End(ending, lease, Outcome::Ok(())));
    Some(())
}

pub fn end_twice(scene: &mut Scene) -> Option<()> {
    let (at, ending, lease) = *scene.dice.pick(&scene.ended())?;
    let end = scene.ops()[at].end;
    let again = if scene.dice.percent(50) { ending } else { Ending::Ack };
    scene.add(end, end + MS, What::End(again, lease, Outcome::Ok(())));
    Some(())
}

pub fn revive(scene: &mut Scene) -> Option<()> {
    let (at, _, lease) = *scene.dice.pick(&scene.ended())?;
    let end = scene.ops()[at].end;
    scene.add(end + 1, end + MS, What::Heartbeat(lease, Outcome::Ok(true)));
    Some(())
}

pub fn grant_twice(scene: &mut Scene) -> Option<()> {
    let all = scene.deliveries();
    for _ in 0..TRIES {
        let (at, _, given) = scene.dice.pick(&all)?.clone();
        let newest = !all.iter().any(|(_, _, other)| other.job == given.job && other.lease > given.lease);
        let (start, end) = (scene.ops()[at].start, scene.ops()[at].end);
        let runs_out = start + (u64::from(given.lease_ms) * MS).min(GRACE);
        let ended = |op: &Op| matches!(op.what, What::End(_, l, _) if l.lease == given.lease && op.start <= end);
        if newest && !scene.ops().iter().any(ended) && end + 1 + CLOCK_SLACK < runs_out {
            let (lease, attempt) = (scene.fresh_id(), given.attempt + 1);
            scene.add_poll(end, end, Delivery { lease, attempt, ..given });
            return Some(());
        }
    }
    None
}

pub fn refuse_alive(scene: &mut Scene) -> Option<()> {
    let alone = scene.left_alone();
    let mut ended = scene.ended();
    ended.retain(|(_, _, lease)| alone.contains(&lease.job));
    let (at, _, lease) = *scene.dice.pick(&ended)?;
    let (given, _, delivery) = scene.deliveries().into_iter().find(|spot| spot.2.lease == lease.lease)?;
    let runs_out = scene.ops()[given].start + (u64::from(delivery.lease_ms) * MS).min(GRACE);
    let end = scene.ops()[at].end;
    let of = |op: &Op| matches!(op.what, What::End(_, l, _) if l == lease) && op.start <= end;
    let alone = scene.ops().iter().filter(|op| of(op)).count() == 1;
    if let What::End(_, _, outcome) = &mut scene.history.ops[at].what {
        *outcome = Outcome::Refused(LEASE_LOST);
    }
    (alone && end + CLOCK_SLACK < runs_out).then_some(())
}

pub fn starve(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.plain())?.clone();
    let answered = scene.answered();
    let (at, _, _) = answered.iter().find(|(_, _, answer)| answer.job == spot.2.job)?;
    let (known, granted) = (scene.ops()[*at].end, scene.ops()[spot.0].start);
    let is_closed = |op: &Op| match &op.what {
        What::Gate(Gate { queue, for_ms: Some(for_ms) }, _) => {
            *queue == spot.2.queue && op.start <= granted && op.end + for_ms * MS + CLOCK_SLACK >= known
        }
        _ => false,
    };
    if scene.ops().iter().any(is_closed) {
        return None;
    }
    let poll = Poll { queues: vec![spot.2.queue], jobs_max: 1, wait_ms: 1, lease_ms: 1_000 };
    scene.add(known + 1, granted.saturating_sub(1), What::Poll(poll, Outcome::Ok(Vec::new())));
    (known + 2 * MS < granted).then_some(())
}

pub fn exceed(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.alone())?.clone();
    let max_attempts = spot.2.max_attempts;
    scene.at(&spot).attempt = max_attempts + 1;
    Some(())
}

pub fn skip_attempts(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.alone())?.clone();
    // Not more than this can be hidden by unknown polls.
    scene.at(&spot).attempt += scene.ops().len().min(30_000) as u16;
    Some(())
}

pub fn repeat_attempt(scene: &mut Scene) -> Option<()> {
    let released = scene.ops().iter().filter_map(|op| match &op.what {
        What::End(Ending::Release { .. }, lease, _) => Some(lease.job),
        _ => None,
    });
    let released: BTreeSet<u64> = released.collect();
    let mut all = scene.deliveries();
    let alone = scene.left_alone();
    all.retain(|(_, _, given)| !released.contains(&given.job) && alone.contains(&given.job));
    let first = |next: &Delivery| {
        let before = |given: &&Spot| given.2.job == next.job && given.2.lease < next.lease;
        all.iter().find(before).map(|(_, _, given)| given.attempt)
    };
    let again: Vec<Spot> = all.iter().filter(|(_, _, given)| first(given).is_some()).cloned().collect();
    let next = scene.dice.pick(&again)?.clone();
    scene.at(&next).attempt = first(&next.2)?;
    Some(())
}

pub fn fall_silent(scene: &mut Scene) -> Option<()> {
    let submits: Vec<usize> = scene.answered().iter().map(|(at, _, _)| *at).collect();
    let at = *scene.dice.pick(&submits)?;
    if let What::Submit(_, outcome) = &mut scene.history.ops[at].what {
        *outcome = Outcome::Silence;
    }
    Some(())
}
