//! Ways to spoil a good history, each with the rule that must then be broken. A mutation picks its victim by the
//! dice, and says whether it found one.

mod meddling;
mod updates;
mod ways;

use super::*;
use crate::dice::Dice;
use meddling::*;
use updates::*;
use ways::*;

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
    of("a grant behind a cancel", Rule::DeliveredAfterCancel, grant_after_cancel),
    of("an ack behind a cancel is taken", Rule::EndedAfterCancel, ack_after_cancel),
    of("a wait is told another end", Rule::WaitWrong, tell_wrong_end),
    of("a wait is told of no end", Rule::WaitWrong, tell_no_end),
    of("a wait is answered early", Rule::WaitEarly, answer_early),
    of("a job that was begun expires", Rule::ExpiredBegun, expire_begun),
    of("a closed queue gives a job", Rule::DeliveredInPause, leak),
    of("a kept result is gone", Rule::ResultLost, lose_result),
    of("what a queue keeps is gone", Rule::ResultLost, lose_kept_by_queue),
    of("a grant behind a purge", Rule::SeenAfterPurge, grant_after_purge),
    of("a purged job has ended otherwise", Rule::WaitWrong, tell_purged),
    of("a part of an update is delivered", Rule::WrongContent, tear_update),
    of("an update is forgotten", Rule::UpdateLost, forget_update),
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

    /// Jobs of submits that were answered which nothing ends but their reports and their attempts.
    fn left_alone(&self) -> BTreeSet<u64> {
        let mended = self.ops().iter().filter_map(|op| match op.what {
            What::Mend(_, job, _) => Some(job),
            _ => None,
        });
        let mended: BTreeSet<u64> = mended.collect();
        let answered = self.answered().into_iter().filter(|(_, submit, _)| submit.ttl_ms == 0);
        answered.map(|(_, _, answer)| answer.job).filter(|job| !mended.contains(job)).collect()
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

    /// Deliveries of jobs that were left alone.
    fn alone(&self) -> Vec<Spot> {
        let alone = self.left_alone();
        self.deliveries().into_iter().filter(|spot| alone.contains(&spot.2.job)).collect()
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
        let alone = self.left_alone();
        let is_first = |given: &Delivery| given.attempt == 1 && times[&given.job] == 1;
        let fits = |given: &Delivery| is_first(given) && prompt.contains(&given.job) && alone.contains(&given.job);
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
