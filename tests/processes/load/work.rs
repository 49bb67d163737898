//! A worker: mostly it acks. Now and then it fails, releases, falls silent, comes late or twice, and asks again
//! when it did not hear what came of an ending.

use std::sync::atomic::Ordering;

use super::QUEUES;
use super::link::{Answer, Client};
use crate::harness::frames::{self, Reply, Request};
use crate::history::{Delivery, Ending, Lease, Op, Outcome, Payload, Poll, What};

/// So many leases are remembered, for reports that come too late.
const REMEMBERED: usize = 40;

struct Worker {
    client: Client,
    moody: bool,
    old: Vec<Lease>,
    unheard: Vec<(Lease, Ending)>,
}

pub fn run(client: Client) -> Vec<Op> {
    let mut worker = Worker { client, moody: true, old: Vec::new(), unheard: Vec::new() };
    let shared = worker.client.shared.clone();
    while shared.working.load(Ordering::Relaxed) {
        worker.moody = shared.moody.load(Ordering::Relaxed);
        if worker.client.connected() {
            worker.turn();
        }
    }
    worker.client.ops
}

impl Worker {
    fn turn(&mut self) {
        if let Some((lease, ending)) = self.unheard.pop()
            && self.client.dice.percent(80)
        {
            return self.end(&[lease], ending);
        }
        if self.moody
            && self.client.dice.percent(6)
            && let Some(lease) = self.client.dice.pick(&self.old).copied()
        {
            return self.come_late(lease);
        }
        let given = self.poll();
        let leases: Vec<Lease> = given.iter().map(|d| Lease { job: d.job, lease: d.lease }).collect();
        self.old.extend(&leases);
        self.old.drain(..self.old.len().saturating_sub(REMEMBERED));
        if !self.moody || self.client.dice.percent(70) {
            return self.end(&leases, Ending::Ack);
        }
        for lease in leases {
            self.treat(lease);
        }
    }

    fn poll(&mut self) -> Vec<Delivery> {
        let dice = &mut self.client.dice;
        let first = dice.within(0..QUEUES.len() as u64) as usize;
        // One queue, or all of them from any on.
        let count = if self.moody && dice.percent(30) { 1 } else { QUEUES.len() };
        let queues: Vec<&str> = QUEUES.into_iter().cycle().skip(first).take(count).collect();
        let (jobs_max, wait_ms) = (dice.within(1..5) as u16, dice.within(20..150) as u32);
        let lease_ms = if self.moody { dice.within(100..700) as u32 } else { 1_900 };
        let free = dice.within(0..u64::from(jobs_max) + 1) as u16;
        let request = match jobs_max - free {
            0 => frames::poll(&queues, free, wait_ms, lease_ms),
            extra => frames::poll_ahead(&queues, (free, extra), wait_ms, lease_ms),
        };
        let answer = self.client.ask(&request);
        let outcome = answer.heard.outcome(|reply| match reply {
            Reply::PollOk(jobs) => Outcome::Ok(jobs.iter().map(delivery).collect::<Vec<_>>()),
            other => panic!("a PollOk, not {other:?}"),
        });
        let queues = queues.into_iter().map(String::from).collect();
        let given = outcome.ok().cloned().unwrap_or_default();
        self.client.shared.known.given(given.iter().map(|given| given.job));
        self.client.record(&answer, What::Poll(Poll { queues, jobs_max, wait_ms, lease_ms }, outcome));
        given
    }

    fn treat(&mut self, lease: Lease) {
        let dice = &mut self.client.dice;
        let delay_ms = if dice.percent(50) { 0 } else { dice.within(20..200) };
        let for_good = dice.percent(40);
        match dice.within(0..100) {
            0..15 => self.end(&[lease], Ending::Fail { for_good }),
            15..35 => self.end(&[lease], Ending::Release { delay_ms }),
            // Silence, until the lease has run out; or a late report of it.
            35..50 => {}
            50..65 => self.hold(lease),
            65..75 => {
                self.end(&[lease], Ending::Ack);
                if self.client.connected() {
                    self.end(&[lease], Ending::Ack);
                }
            }
            _ => self.end(&[lease], Ending::Ack),
        }
    }

    /// A job that takes a while.
    fn hold(&mut self, lease: Lease) {
        for _ in 0..2 {
            if self.client.connected() {
                self.beat(lease);
            }
            self.client.rest(5..60);
        }
        if self.client.connected() {
            self.end(&[lease], Ending::Ack);
        }
    }

    fn come_late(&mut self, lease: Lease) {
        match self.client.dice.within(0..5) {
            0 => self.beat(lease),
            1 => self.end(&[lease], Ending::Fail { for_good: false }),
            2 => self.end(&[lease], Ending::Release { delay_ms: 0 }),
            _ => self.end(&[lease], Ending::Ack),
        }
    }

    /// Ends all leases in one request.
    fn end(&mut self, leases: &[Lease], ending: Ending) {
        if leases.is_empty() || !self.client.connected() {
            return;
        }
        let answer = self.client.ask(&request(leases, ending));
        for (n, lease) in leases.iter().enumerate() {
            let outcome = answer.heard.outcome(|reply| status(reply, n, *lease));
            match outcome {
                Outcome::Ok(()) if ending == Ending::Ack => {
                    self.client.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.client.shared.known.acked(lease.job);
                }
                Outcome::Ok(()) => {
                    if let Ending::Fail { for_good } = ending {
                        self.client.shared.known.failed(lease.job, for_good);
                    }
                }
                Outcome::Unknown => self.unheard.push((*lease, ending)),
                _ => {}
            }
            self.client.record(&answer, What::End(ending, *lease, outcome));
        }
    }

    fn beat(&mut self, lease: Lease) {
        let answer: Answer = self.client.ask(&frames::heartbeat(&[(lease.job, lease.lease)]));
        let outcome = answer.heard.outcome(|reply| match reply {
            Reply::HeartbeatOk(items) if items.len() == 1 && items[0].0 == lease.job => Outcome::Ok(items[0].1 == 0),
            other => panic!("a HeartbeatOk of one job, not {other:?}"),
        });
        self.client.record(&answer, What::Heartbeat(lease, outcome));
    }
}

fn request(leases: &[Lease], ending: Ending) -> Request {
    match ending {
        Ending::Ack => {
            let items: Vec<_> = leases.iter().map(|l| (l.job, l.lease, &b"done"[..])).collect();
            frames::ack(&items)
        }
        Ending::Fail { for_good } => {
            let items: Vec<_> = leases.iter().map(|l| (l.job, l.lease, for_good, "no luck")).collect();
            frames::fail(&items)
        }
        Ending::Release { delay_ms } => frames::release(leases[0].job, leases[0].lease, delay_ms),
    }
}

fn status(reply: &Reply, n: usize, lease: Lease) -> Outcome<()> {
    match reply {
        Reply::Done(_, items) if items.get(n).is_some_and(|item| item.0 == lease.job) => match items[n].1 {
            0 => Outcome::Ok(()),
            code => Outcome::Refused(code),
        },
        other => panic!("what was done about {lease:?}, not {other:?}"),
    }
}

fn delivery(of: &frames::Delivery) -> Delivery {
    Delivery {
        job: of.job,
        lease: of.lease,
        queue: of.queue.clone(),
        key: of.key.clone(),
        priority: of.priority,
        attempt: of.attempt,
        max_attempts: of.max_attempts,
        lease_ms: of.lease_ms,
        payload: Payload::of(&of.payload),
    }
}
