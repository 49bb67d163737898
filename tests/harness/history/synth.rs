//! Good histories without a master: a small queue that keeps every promise, and clients whose operations take
//! effect at a random moment of their span, some of them with an outcome that nobody heard.

mod meddling;

use std::collections::HashMap;

use super::*;
use crate::dice::Dice;

const QUEUES: [&str; 2] = ["a", "b"];
const PRODUCERS: usize = 3;
const CLIENTS: usize = 8;
/// More than the longest chain of backoffs needs.
const DRAIN_STEPS: usize = 20_000;

enum State {
    /// Where it stands in its line.
    Waiting(i64),
    Delayed(Ns),
    Leased {
        lease: u64,
        until: Ns,
    },
    /// Gone from then on.
    Done(Ns),
    Dead,
    Cancelled,
    Expired,
    Purged {
        was_done: bool,
    },
}

struct Job {
    id: u64,
    submit: Submit,
    /// Grants that count.
    attempts: u16,
    lease_ms: u32,
    /// Somebody heard its id.
    is_known: bool,
    /// It was cancelled in flight.
    is_marked: bool,
    expires: Ns,
    state: State,
}

impl Job {
    fn failed(&mut self, for_good: bool, now: Ns, dice: &mut Dice) {
        let full = (1_000 * MS) << (self.attempts - 1);
        if self.is_marked {
            self.state = State::Cancelled;
            return;
        }
        let over = for_good || self.attempts >= self.submit.attempts_max();
        self.state = if over { State::Dead } else { State::Delayed(now + dice.within(full / 2..full)) };
    }
}

struct World {
    dice: Dice,
    now: Ns,
    lsn: u64,
    jobs: Vec<Job>,
    keys: HashMap<String, usize>,
    leases: Vec<Lease>,
    /// Until when each queue gives nothing.
    closed: [Ns; 2],
    /// What each queue keeps, in milliseconds.
    keeps: [u64; 2],
    free_at: [Ns; CLIENTS],
    ops: Vec<Op>,
}

/// Which of the two it is.
fn place(queue: &str) -> usize {
    usize::from(queue == QUEUES[1])
}

/// A history of so many steps and its drain.
pub fn history(seed: u64, steps: usize) -> (History, Left) {
    let (jobs, leases, ops) = (Vec::new(), Vec::new(), Vec::new());
    let free_at = [1; CLIENTS];
    let dice = Dice::new(seed);
    let (keys, closed, keeps) = (HashMap::new(), [0; 2], [0; 2]);
    let mut world = World { dice, now: 10 * MS, lsn: 0, jobs, keys, leases, closed, keeps, free_at, ops };
    for _ in 0..steps {
        world.step();
    }
    world.drain();
    let mut left = Left { dead_jobs: Some(BTreeSet::new()), ..Left::default() };
    for job in &world.jobs {
        let counts = left.queues.entry(job.submit.queue.clone()).or_default();
        match job.state {
            State::Done(_) => counts.completed += 1,
            State::Cancelled | State::Expired => counts.gone += 1,
            State::Purged { was_done } => {
                counts.purged += 1;
                counts.completed += u64::from(was_done);
            }
            State::Dead => {
                counts.dead += 1;
                left.dead_jobs.as_mut().map(|dead| dead.insert(job.id));
            }
            _ => counts.open += 1,
        }
    }
    (History { ops: world.ops }, left)
}

impl World {
    fn step(&mut self) {
        let pause = if self.dice.percent(5) { 400 * MS } else { 4 * MS };
        self.pass(pause);
        let client = self.dice.within(0..CLIENTS as u64) as usize;
        if self.free_at[client] >= self.now {
            return;
        }
        // Nobody hears of one in ten, and half of these are not done.
        let lost = self.dice.percent(10);
        let done = !lost || self.dice.percent(50);
        let what = match self.dice.within(0..10) {
            0..2 => self.meddle(lost, done),
            _ if client < PRODUCERS => self.submit(lost, done),
            _ => self.work(lost, done),
        };
        self.record(client, what);
    }

    fn pass(&mut self, most: Ns) {
        self.now += self.dice.within(1..most);
        let now = self.now;
        for job in &mut self.jobs {
            let waits = matches!(job.state, State::Waiting(_) | State::Delayed(_));
            if waits && job.attempts == 0 && job.expires <= now {
                job.state = State::Expired;
            }
            match job.state {
                State::Leased { until, .. } if until <= now => job.failed(false, now, &mut self.dice),
                State::Delayed(until) if until <= now => {
                    self.lsn += 1;
                    job.state = State::Waiting(self.lsn.cast_signed());
                }
                _ => {}
            }
        }
    }

    fn record(&mut self, client: usize, what: What) {
        let early = self.now - self.dice.within(0..2 * MS);
        let start = early.max(self.free_at[client] + 1).min(self.now);
        let end = self.now + self.dice.within(0..2 * MS);
        self.free_at[client] = end;
        self.ops.push(Op { client, start, end, what });
    }

    fn number(&mut self) -> u64 {
        self.lsn += self.dice.within(1..4);
        self.lsn
    }

    fn submit(&mut self, lost: bool, done: bool) -> What {
        let key = if self.dice.percent(30) { format!("k{}", self.dice.within(0..60)) } else { String::new() };
        let text = if key.is_empty() { format!("{:016x}", self.dice.draw()) } else { key.clone() };
        let ttl_ms = if key.is_empty() && self.dice.percent(10) { self.dice.within(50..2_000) } else { 0 };
        let submit = Submit {
            keep_ms: if self.dice.percent(50) { self.dice.within(1..3_000) } else { 0 },
            ttl_ms,
            queue: QUEUES[self.dice.within(0..2) as usize].to_string(),
            key,
            priority: self.dice.within(0..3) as u8,
            max_attempts: self.dice.within(0..4) as u16,
            delay_ms: if self.dice.percent(20) { self.dice.within(100..900) } else { 0 },
            payload: Payload::of(text.as_bytes()),
        };
        let submitted = done.then(|| self.enter(&submit));
        let entered = submitted.and_then(|answer| self.jobs.iter_mut().find(|job| job.id == answer.job));
        if let Some(job) = entered.filter(|_| !lost) {
            job.is_known = true;
        }
        What::Submit(submit, heard(lost, submitted))
    }

    fn enter(&mut self, submit: &Submit) -> Submitted {
        if let Some(at) = self.keys.get(&submit.key) {
            return Submitted { job: self.jobs[*at].id, duplicate: true };
        }
        if !submit.key.is_empty() {
            self.keys.insert(submit.key.clone(), self.jobs.len());
        }
        let id = self.number();
        let prompt = submit.delay_ms == 0;
        let due = self.now + submit.delay_ms * MS;
        let state = if prompt { State::Waiting(id.cast_signed()) } else { State::Delayed(due) };
        let expires = if submit.ttl_ms == 0 { Ns::MAX } else { self.now + submit.ttl_ms * MS };
        let submit = submit.clone();
        self.jobs.push(Job { id, submit, attempts: 0, lease_ms: 0, is_known: false, is_marked: false, expires, state });
        Submitted { job: id, duplicate: false }
    }

    fn work(&mut self, lost: bool, done: bool) -> What {
        let recent = self.leases.len().saturating_sub(12);
        let from = if self.dice.percent(90) { recent } else { 0 };
        let lease = self.dice.pick(&self.leases[from..]).copied();
        let Some(lease) = lease.filter(|_| self.dice.percent(60)) else { return self.poll(lost, done) };
        if self.dice.percent(10) {
            let lives = done.then(|| self.beat(lease));
            return What::Heartbeat(lease, heard(lost, lives));
        }
        let ending = match self.dice.within(0..10) {
            0 => Ending::Fail { for_good: true },
            1 | 2 => Ending::Fail { for_good: false },
            3 => Ending::Release { delay_ms: 0 },
            4 => Ending::Release { delay_ms: 200 },
            _ => Ending::Ack,
        };
        let ended = if done { self.end(ending, lease) } else { Ok(()) };
        let outcome = ended.map_or_else(Outcome::Refused, |()| heard(lost, Some(())));
        What::End(ending, lease, if lost { Outcome::Unknown } else { outcome })
    }

    fn poll(&mut self, lost: bool, done: bool) -> What {
        let mut queues = QUEUES.map(String::from).to_vec();
        queues.truncate(self.dice.within(1..3) as usize);
        if self.dice.percent(50) {
            queues = vec![QUEUES[1].to_string()];
        }
        let (jobs_max, lease_ms) = (self.dice.within(1..4) as u16, self.dice.within(100..2_000) as u32);
        let poll = Poll { queues, jobs_max, wait_ms: 0, lease_ms };
        let given = done.then(|| self.grant(&poll));
        if !lost {
            let heard = given.iter().flatten().map(|d| Lease { job: d.job, lease: d.lease });
            self.leases.extend(heard);
        }
        What::Poll(poll, heard(lost, given))
    }

    fn grant(&mut self, poll: &Poll) -> Vec<Delivery> {
        let mut given = Vec::new();
        for queue in &poll.queues {
            while given.len() < usize::from(poll.jobs_max) && self.closed[place(queue)] <= self.now {
                let line = self.jobs.iter_mut().filter(|job| job.submit.queue == *queue);
                let waiting = line.filter_map(|job| match job.state {
                    State::Waiting(place) => Some(((job.submit.priority, place), job)),
                    _ => None,
                });
                let Some((_, job)) = waiting.min_by_key(|(place, _)| *place) else { break };
                self.lsn += 1;
                job.attempts += 1;
                job.lease_ms = poll.lease_ms;
                let until = self.now + u64::from(poll.lease_ms) * MS;
                job.state = State::Leased { lease: self.lsn, until };
                given.push(Delivery {
                    job: job.id,
                    lease: self.lsn,
                    queue: queue.clone(),
                    key: job.submit.key.clone(),
                    priority: job.submit.priority,
                    attempt: job.attempts,
                    max_attempts: job.submit.attempts_max(),
                    lease_ms: poll.lease_ms,
                    payload: job.submit.payload,
                });
            }
        }
        given
    }

    fn leased(&mut self, wanted: Lease) -> Option<&mut Job> {
        let job = self.jobs.iter_mut().find(|job| job.id == wanted.job)?;
        matches!(job.state, State::Leased { lease, .. } if lease == wanted.lease).then_some(job)
    }

    fn beat(&mut self, lease: Lease) -> bool {
        let now = self.now;
        let Some(job) = self.leased(lease) else { return false };
        job.state = State::Leased { lease: lease.lease, until: now + u64::from(job.lease_ms) * MS };
        true
    }

    fn end(&mut self, ending: Ending, lease: Lease) -> Result<(), u16> {
        let (now, front) = (self.now, -(self.number().cast_signed()));
        let (mut dice, keeps) = (self.dice.fork(lease.lease), self.keeps);
        let Some(job) = self.leased(lease) else { return Err(LEASE_LOST) };
        if job.is_marked {
            job.state = State::Cancelled;
            return Err(CANCELLED);
        }
        match ending {
            Ending::Ack => {
                let own_ms = job.submit.keep_ms;
                let keep_ms = if own_ms == 0 { keeps[place(&job.submit.queue)] } else { own_ms };
                job.state = State::Done(now + keep_ms * MS);
            }
            Ending::Fail { for_good } => job.failed(for_good, now, &mut dice),
            Ending::Release { delay_ms } => {
                job.attempts -= 1;
                let due = State::Delayed(now + delay_ms * MS);
                job.state = if delay_ms == 0 { State::Waiting(front) } else { due };
            }
        }
        Ok(())
    }

    /// Everything that comes is acked, until nothing is open.
    fn drain(&mut self) {
        let open = |job: &Job| matches!(job.state, State::Waiting(_) | State::Delayed(_) | State::Leased { .. });
        for _ in 0..DRAIN_STEPS {
            if !self.jobs.iter().any(open) {
                return;
            }
            self.pass(40 * MS);
            let client = PRODUCERS;
            let queues = QUEUES.map(String::from).to_vec();
            let poll = Poll { queues, jobs_max: 8, wait_ms: 0, lease_ms: 2_000 };
            self.now = self.now.max(self.free_at[client] + 1);
            let given = self.grant(&poll);
            self.record(client, What::Poll(poll, Outcome::Ok(given.clone())));
            for delivery in given {
                let lease = Lease { job: delivery.job, lease: delivery.lease };
                self.now = self.free_at[client] + 1;
                assert_eq!(self.end(Ending::Ack, lease), Ok(()), "its lease lives");
                self.record(client, What::End(Ending::Ack, lease, Outcome::Ok(())));
            }
        }
        panic!("the drain has no end");
    }
}

fn heard<T>(lost: bool, answer: Option<T>) -> Outcome<T> {
    answer.filter(|_| !lost).map_or(Outcome::Unknown, Outcome::Ok)
}
