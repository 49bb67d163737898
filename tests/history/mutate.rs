//! Ways to spoil a good history, each with the rule that must then be broken. A mutation picks its victim by the
//! dice, and says whether it found one.

use super::dice::Dice;
use super::*;

pub struct Mutation {
    pub name: &'static str,
    pub rule: Rule,
    pub spoil: fn(&mut Scene) -> Option<()>,
}

/// How often a mutation looks for a victim that fits.
const TRIES: usize = 200;

pub const ALL: &[Mutation] = &[
    of("a job that was done was never delivered", Rule::Lost, forget_done),
    of("a dead job is not among the dead", Rule::Lost, forget_dead),
    of("one more completed than can be", Rule::Totals, miscount),
    of("something stays open", Rule::NotDrained, leave_open),
    of("a delivery comes twice", Rule::LeaseIdTwice, repeat_delivery),
    of("two jobs have one lease id", Rule::LeaseIdTwice, share_lease),
    of("a grant behind an ack", Rule::DeliveredAfterAck, grant_after_ack),
    of("a grant behind a fail for good", Rule::DeliveredAfterDeath, grant_after_death),
    of("two payloads are swapped", Rule::WrongContent, swap_payloads),
    of("one bit of a payload is wrong", Rule::WrongContent, spoil_payload),
    of("another priority is delivered", Rule::WrongContent, spoil_priority),
    of("two jobs of one line are swapped", Rule::LineOrder, swap_in_line),
    of("a less urgent job passes", Rule::PriorityOrder, swap_priorities),
    of("a later poll has a lower lease", Rule::LeaseOrder, swap_leases),
    of("a later submit has a lower id", Rule::JobIdOrder, swap_jobs),
    of("delivered before the delay", Rule::TooEarly, hurry),
    of("retried before the backoff", Rule::TooEarly, hurry_retry),
    of("one job id of two submits", Rule::JobIdTwice, share_job),
    of("two ids of one key", Rule::TwoIdsForKey, split_key),
    of("one submit makes two jobs", Rule::SubmittedTwice, clone_job),
    of("a job from nowhere", Rule::NeverSubmitted, invent),
    of("a duplicate without a key", Rule::FalseDuplicate, call_duplicate),
    of("a stale lease is accepted", Rule::StaleEnding, accept_stale),
    of("a lease ends twice", Rule::EndedTwice, end_twice),
    of("a lease lives behind its end", Rule::LeaseCameBack, revive),
    of("two live leases", Rule::TwoLeases, grant_twice),
    of("a live lease is refused", Rule::RefusedAlive, refuse_alive),
    of("a poll gets nothing though a job waits", Rule::PassedOver, starve),
    of("an attempt too many", Rule::TooManyAttempts, exceed),
    of("an attempt is counted twice", Rule::AttemptNumber, skip_attempts),
    of("an attempt is not counted", Rule::AttemptNumber, repeat_attempt),
    of("no answer", Rule::Unanswered, fall_silent),
];

const fn of(name: &'static str, rule: Rule, spoil: fn(&mut Scene) -> Option<()>) -> Mutation {
    Mutation { name, rule, spoil }
}

/// A history that is about to be spoiled.
pub struct Scene {
    pub history: History,
    pub left: Left,
    dice: Dice,
}

/// A delivery with its place: operation and item.
type Spot = (usize, usize, Delivery);

impl Scene {
    pub fn new(history: &History, left: &Left, dice: Dice) -> Scene {
        Scene { history: history.clone(), left: left.clone(), dice }
    }

    fn ops(&self) -> &[Op] {
        &self.history.ops
    }

    fn deliveries(&self) -> Vec<Spot> {
        let given = self.ops().iter().enumerate().filter_map(|(at, op)| match &op.what {
            What::Poll(_, Outcome::Ok(given)) => Some((at, given)),
            _ => None,
        });
        given.flat_map(|(at, given)| (0..).zip(given).map(move |(n, d)| (at, n, d.clone()))).collect()
    }

    fn at(&mut self, (op, item, _): &Spot) -> &mut Delivery {
        match &mut self.history.ops[*op].what {
            What::Poll(_, Outcome::Ok(given)) => &mut given[*item],
            _ => unreachable!("a spot is in a poll"),
        }
    }

    /// Submits with their answers.
    fn answered(&self) -> Vec<(usize, Submit, Submitted)> {
        let all = self.ops().iter().enumerate().filter_map(|(at, op)| match &op.what {
            What::Submit(submit, Outcome::Ok(answer)) => Some((at, submit.clone(), *answer)),
            _ => None,
        });
        all.collect()
    }

    fn keyless(&self) -> Vec<(usize, Submit, Submitted)> {
        self.answered().into_iter().filter(|(_, submit, _)| submit.key.is_empty()).collect()
    }

    fn set_answer(&mut self, op: usize, new: Submitted) {
        if let What::Submit(_, outcome) = &mut self.history.ops[op].what {
            *outcome = Outcome::Ok(new);
        }
    }

    /// Endings that were OK.
    fn ended(&self) -> Vec<(usize, Ending, Lease)> {
        let all = self.ops().iter().enumerate().filter_map(|(at, op)| match &op.what {
            What::End(ending, lease, Outcome::Ok(())) => Some((at, *ending, *lease)),
            _ => None,
        });
        all.collect()
    }

    /// Deliveries of jobs whose submit was answered.
    fn known(&self) -> Vec<Spot> {
        let answered: BTreeSet<u64> = self.answered().iter().map(|(_, _, answer)| answer.job).collect();
        self.deliveries().into_iter().filter(|spot| answered.contains(&spot.2.job)).collect()
    }

    /// First grants of jobs that were delivered once, answered to a submit of no delay.
    fn plain(&self) -> Vec<Spot> {
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        for (_, _, given) in self.deliveries() {
            *times.entry(given.job).or_default() += 1;
        }
        let submits = self.keyless();
        let prompt = submits.iter().filter(|(_, submit, _)| submit.delay_ms == 0);
        let prompt: BTreeSet<u64> = prompt.map(|(_, _, answer)| answer.job).collect();
        let fits =
            |given: &Delivery| given.attempt == 1 && times[&given.job] == 1 && prompt.contains(&given.job);
        self.deliveries().into_iter().filter(|spot| fits(&spot.2)).collect()
    }

    fn fresh_id(&self) -> u64 {
        let leases = self.deliveries().into_iter().map(|(_, _, given)| given.lease.max(given.job));
        leases.chain(self.answered().iter().map(|(_, _, answer)| answer.job)).max().unwrap_or(0) + 1
    }

    /// Two that fit together.
    fn pair(&mut self, of: &[Spot], fits: impl Fn(&Scene, &Spot, &Spot) -> bool) -> Option<(Spot, Spot)> {
        for _ in 0..TRIES {
            let (a, b) = (self.dice.pick(of)?.clone(), self.dice.pick(of)?.clone());
            if fits(self, &a, &b) {
                return Some((a, b));
            }
        }
        None
    }

    /// Puts a delivery into an answer that is there.
    fn give(&mut self, delivery: Delivery) -> Option<()> {
        let spot = self.dice.pick(&self.deliveries())?.clone();
        if let What::Poll(_, Outcome::Ok(given)) = &mut self.history.ops[spot.0].what {
            given.push(delivery);
        }
        Some(())
    }

    fn add(&mut self, start: Ns, end: Ns, what: What) {
        self.history.ops.push(Op { client: usize::MAX, start, end, what });
    }

    fn add_poll(&mut self, start: Ns, end: Ns, delivery: Delivery) {
        let queues = vec![delivery.queue.clone()];
        let poll = Poll { queues, jobs_max: 1, wait_ms: 0, lease_ms: delivery.lease_ms };
        self.add(start, end, What::Poll(poll, Outcome::Ok(vec![delivery])));
    }

    /// Each of two jobs gets the lease of the other, in all that was said of them.
    fn swap(&mut self, a: &Spot, b: &Spot) {
        let (one, other) = (a.2.lease, b.2.lease);
        self.at(a).lease = other;
        self.at(b).lease = one;
        for op in &mut self.history.ops {
            if let What::End(_, lease, _) | What::Heartbeat(lease, _) = &mut op.what {
                lease.lease = match lease.lease {
                    l if l == one => other,
                    l if l == other => one,
                    l => l,
                };
            }
        }
    }
}

fn forget_done(scene: &mut Scene) -> Option<()> {
    let answered: BTreeSet<u64> = scene.answered().iter().map(|(_, _, answer)| answer.job).collect();
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

fn forget_dead(scene: &mut Scene) -> Option<()> {
    let mut seen = scene.answered();
    let acked = scene.ops().iter().filter_map(|op| match &op.what {
        What::End(Ending::Ack, lease, outcome) if outcome.possible() => Some(lease.job),
        _ => None,
    });
    let acked: BTreeSet<u64> = acked.collect();
    let dead = scene.left.dead_jobs.clone()?;
    seen.retain(|(_, _, answer)| dead.contains(&answer.job) && !acked.contains(&answer.job));
    let job = scene.dice.pick(&seen)?.2.job;
    scene.left.dead_jobs.as_mut()?.remove(&job);
    Some(())
}

fn miscount(scene: &mut Scene) -> Option<()> {
    // Less would do where every outcome is known.
    let spare = scene.ops().len() as u64;
    scene.left.queues.values_mut().next()?.completed += spare;
    Some(())
}

fn leave_open(scene: &mut Scene) -> Option<()> {
    scene.left.queues.values_mut().next()?.open = 1;
    Some(())
}

fn repeat_delivery(scene: &mut Scene) -> Option<()> {
    let again = scene.dice.pick(&scene.deliveries())?.2.clone();
    scene.give(again)
}

fn share_lease(scene: &mut Scene) -> Option<()> {
    let all = scene.deliveries();
    let (a, b) = scene.pair(&all, |_, a, b| a.2.job != b.2.job)?;
    scene.at(&b).lease = a.2.lease;
    Some(())
}

fn grant_after(scene: &mut Scene, wanted: Ending) -> Option<()> {
    let mut ended = scene.ended();
    ended.retain(|(_, ending, _)| *ending == wanted);
    let lease = scene.dice.pick(&ended)?.2;
    let (_, _, given) = scene.deliveries().into_iter().find(|(_, _, given)| given.lease == lease.lease)?;
    let (lease, attempt) = (scene.fresh_id(), given.attempt + 1);
    scene.give(Delivery { lease, attempt, ..given })
}

fn grant_after_ack(scene: &mut Scene) -> Option<()> {
    grant_after(scene, Ending::Ack)
}

fn grant_after_death(scene: &mut Scene) -> Option<()> {
    grant_after(scene, Ending::Fail { for_good: true })
}

fn swap_payloads(scene: &mut Scene) -> Option<()> {
    let known = scene.known();
    let (a, b) = scene.pair(&known, |_, a, b| a.2.payload != b.2.payload)?;
    scene.at(&a).payload = b.2.payload;
    scene.at(&b).payload = a.2.payload;
    Some(())
}

fn spoil_payload(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.deliveries())?.clone();
    scene.at(&spot).payload.hash ^= 1;
    Some(())
}

fn spoil_priority(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.known())?.clone();
    scene.at(&spot).priority += 1;
    Some(())
}

fn swap_in_line(scene: &mut Scene) -> Option<()> {
    let plain = scene.plain();
    let line = |given: &Delivery| (given.queue.clone(), given.priority);
    let (a, b) = scene.pair(&plain, |_, a, b| line(&a.2) == line(&b.2) && a.2.job != b.2.job)?;
    scene.swap(&a, &b);
    Some(())
}

fn swap_priorities(scene: &mut Scene) -> Option<()> {
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

fn swap_leases(scene: &mut Scene) -> Option<()> {
    let all = scene.deliveries();
    let (a, b) = scene.pair(&all, |scene, a, b| scene.ops()[a.0].end < scene.ops()[b.0].start)?;
    scene.swap(&a, &b);
    Some(())
}

fn swap_jobs(scene: &mut Scene) -> Option<()> {
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

fn hurry(scene: &mut Scene) -> Option<()> {
    let mut delayed = scene.keyless();
    delayed.retain(|(_, submit, _)| submit.delay_ms * MS > 2 * CLOCK_SLACK);
    let (at, _, answer) = scene.dice.pick(&delayed)?.clone();
    let first = scene.deliveries().into_iter().find(|(_, _, given)| given.job == answer.job)?;
    let start = scene.ops()[at].start;
    let op = &mut scene.history.ops[first.0];
    (op.start, op.end) = (start, start + MS);
    Some(())
}

fn hurry_retry(scene: &mut Scene) -> Option<()> {
    let mut failed = scene.ended();
    failed.retain(|(_, ending, _)| *ending == Ending::Fail { for_good: false });
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

fn share_job(scene: &mut Scene) -> Option<()> {
    let all = scene.keyless();
    let (a, b) = (scene.dice.pick(&all)?.clone(), scene.dice.pick(&all)?.clone());
    scene.set_answer(b.0, a.2);
    (a.0 != b.0).then_some(())
}

fn split_key(scene: &mut Scene) -> Option<()> {
    let mut keyed = scene.answered();
    keyed.retain(|(_, submit, _)| !submit.key.is_empty());
    let (at, submit, answer) = scene.dice.pick(&keyed)?.clone();
    let (job, end) = (scene.fresh_id(), scene.ops()[at].end);
    scene.add(end + 1, end + MS, What::Submit(submit, Outcome::Ok(Submitted { job, ..answer })));
    Some(())
}

fn clone_job(scene: &mut Scene) -> Option<()> {
    let mut keyless = scene.deliveries();
    keyless.retain(|(_, _, given)| given.key.is_empty());
    let given = scene.dice.pick(&keyless)?.2.clone();
    let id = scene.fresh_id();
    scene.give(Delivery { job: id, lease: id + 1, attempt: 1, ..given })
}

fn invent(scene: &mut Scene) -> Option<()> {
    let given = scene.dice.pick(&scene.deliveries())?.2.clone();
    let (id, payload) = (scene.fresh_id(), Payload::of(b"nobody submitted this"));
    scene.give(Delivery { job: id, lease: id + 1, key: String::new(), attempt: 1, payload, ..given })
}

fn call_duplicate(scene: &mut Scene) -> Option<()> {
    let (at, _, answer) = scene.dice.pick(&scene.keyless())?.clone();
    scene.set_answer(at, Submitted { duplicate: true, ..answer });
    Some(())
}

fn accept_stale(scene: &mut Scene) -> Option<()> {
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

fn end_twice(scene: &mut Scene) -> Option<()> {
    let (at, ending, lease) = *scene.dice.pick(&scene.ended())?;
    let end = scene.ops()[at].end;
    let again = if scene.dice.percent(50) { ending } else { Ending::Ack };
    scene.add(end, end + MS, What::End(again, lease, Outcome::Ok(())));
    Some(())
}

fn revive(scene: &mut Scene) -> Option<()> {
    let (at, _, lease) = *scene.dice.pick(&scene.ended())?;
    let end = scene.ops()[at].end;
    scene.add(end + 1, end + MS, What::Heartbeat(lease, Outcome::Ok(true)));
    Some(())
}

fn grant_twice(scene: &mut Scene) -> Option<()> {
    let all = scene.deliveries();
    for _ in 0..TRIES {
        let (at, _, given) = scene.dice.pick(&all)?.clone();
        let newest = !all.iter().any(|(_, _, other)| other.job == given.job && other.lease > given.lease);
        let (start, end) = (scene.ops()[at].start, scene.ops()[at].end);
        let runs_out = start + (u64::from(given.lease_ms) * MS).min(GRACE);
        let ended =
            |op: &Op| matches!(op.what, What::End(_, l, _) if l.lease == given.lease && op.start <= end);
        if newest && !scene.ops().iter().any(ended) && end + 1 + CLOCK_SLACK < runs_out {
            let (lease, attempt) = (scene.fresh_id(), given.attempt + 1);
            scene.add_poll(end, end, Delivery { lease, attempt, ..given });
            return Some(());
        }
    }
    None
}

fn refuse_alive(scene: &mut Scene) -> Option<()> {
    let (at, _, lease) = *scene.dice.pick(&scene.ended())?;
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

fn starve(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.plain())?.clone();
    let answered = scene.answered();
    let (at, _, _) = answered.iter().find(|(_, _, answer)| answer.job == spot.2.job)?;
    let (known, granted) = (scene.ops()[*at].end, scene.ops()[spot.0].start);
    let poll = Poll { queues: vec![spot.2.queue], jobs_max: 1, wait_ms: 1, lease_ms: 1_000 };
    scene.add(known + 1, granted.saturating_sub(1), What::Poll(poll, Outcome::Ok(Vec::new())));
    (known + 2 * MS < granted).then_some(())
}

fn exceed(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.known())?.clone();
    let max_attempts = spot.2.max_attempts;
    scene.at(&spot).attempt = max_attempts + 1;
    Some(())
}

fn skip_attempts(scene: &mut Scene) -> Option<()> {
    let spot = scene.dice.pick(&scene.known())?.clone();
    // Not more than this can be hidden by unknown polls.
    scene.at(&spot).attempt += scene.ops().len().min(30_000) as u16;
    Some(())
}

fn repeat_attempt(scene: &mut Scene) -> Option<()> {
    let released = scene.ops().iter().filter_map(|op| match &op.what {
        What::End(Ending::Release { .. }, lease, _) => Some(lease.job),
        _ => None,
    });
    let released: BTreeSet<u64> = released.collect();
    let mut all = scene.deliveries();
    all.retain(|(_, _, given)| !released.contains(&given.job));
    let first = |next: &Delivery| {
        let before = |given: &&Spot| given.2.job == next.job && given.2.lease < next.lease;
        all.iter().find(before).map(|(_, _, given)| given.attempt)
    };
    let again: Vec<Spot> = all.iter().filter(|(_, _, given)| first(given).is_some()).cloned().collect();
    let next = scene.dice.pick(&again)?.clone();
    scene.at(&next).attempt = first(&next.2)?;
    Some(())
}

fn fall_silent(scene: &mut Scene) -> Option<()> {
    let submits: Vec<usize> = scene.answered().iter().map(|(at, _, _)| *at).collect();
    let at = *scene.dice.pick(&submits)?;
    if let What::Submit(_, outcome) = &mut scene.history.ops[at].what {
        *outcome = Outcome::Silence;
    }
    Some(())
}
