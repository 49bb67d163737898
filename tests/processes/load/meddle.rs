//! One who changes jobs and queues beside the work: cancels, requeues, purges, updates, pauses, resumes, says what a
//! queue keeps, and reads results.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::QUEUES;
use super::link::Client;
use crate::harness::frames::{self, MEND_OK, QueueSettings, Reply, Updated, WAY_BOTH, WAY_OUT};
use crate::history::{Change, Gate, Keep, Op, Outcome, Update, What};

/// What stands for a pause without an end.
const FOR_EVER_MS: u64 = 1_000_000_000;

/// A master that is there opens all queues within this.
const OPEN_LIMIT: Duration = Duration::from_secs(20);

struct Meddler {
    client: Client,
    /// Queues that were closed until somebody opens them.
    closed: Vec<&'static str>,
}

pub fn run(client: Client) -> Vec<Op> {
    let mut meddler = Meddler { client, closed: Vec::new() };
    let shared = meddler.client.shared.clone();
    while shared.producing.load(Ordering::Relaxed) {
        if meddler.client.connected() {
            meddler.turn();
            meddler.client.rest(1..6);
        }
    }
    meddler.open_all();
    meddler.client.ops
}

impl Meddler {
    fn turn(&mut self) {
        match self.client.dice.within(0..100) {
            0..70 => self.mend(),
            70..82 => self.read(),
            82..90 => self.keep(),
            _ => self.gate(),
        }
    }

    fn mend(&mut self) {
        let (change, shared) = (self.change(), self.client.shared.clone());
        let dice = &mut self.client.dice;
        let jobs = match change {
            Change::Requeue => shared.known.some_dead(dice).into_iter().collect(),
            _ => shared.known.some(dice.within(1..6), dice),
        };
        if jobs.is_empty() {
            return;
        }
        let request = match change {
            Change::Cancel => frames::mend(frames::CANCEL, &jobs),
            Change::CancelNow => frames::mend(frames::CANCEL_NOW, &jobs),
            Change::Requeue => frames::mend(frames::REQUEUE, &jobs),
            Change::Purge => frames::mend(frames::PURGE, &jobs),
            Change::Update(to) => frames::update(&jobs, &updated(to)),
        };
        let answer = self.client.ask(&request);
        for (n, job) in jobs.iter().enumerate() {
            let outcome = answer.heard.outcome(|reply| match reply {
                Reply::Done(MEND_OK, items) if items.get(n).is_some_and(|item| item.0 == *job) => match items[n].1 {
                    0 => Outcome::Ok(()),
                    code => Outcome::Refused(code),
                },
                other => panic!("what was done about job {job}, not {other:?}"),
            });
            if change != Change::Requeue && !matches!(change, Change::Update(_)) {
                shared.known.forget(*job);
            }
            self.client.record(&answer, What::Mend(change, *job, outcome));
        }
    }

    fn change(&mut self) -> Change {
        let dice = &mut self.client.dice;
        match dice.within(0..100) {
            0..15 => Change::Cancel,
            15..25 => Change::CancelNow,
            25..50 => Change::Requeue,
            50..60 => Change::Purge,
            _ => Change::Update(Update {
                priority: dice.percent(80).then(|| dice.within(100..160) as u8),
                max_attempts: dice.percent(80).then(|| dice.within(3..7) as u16),
                delay_ms: dice.percent(30).then(|| dice.below(2) * dice.within(20..300)),
            }),
        }
    }

    /// The result of a job that was acked; it may be gone by now.
    fn read(&mut self) {
        let shared = self.client.shared.clone();
        let Some(job) = shared.known.some_acked(&mut self.client.dice) else { return };
        let answer = self.client.ask(&frames::result_of(job));
        let outcome = answer.heard.outcome(|reply| match reply {
            Reply::TextOk(result) if result == b"done" => Outcome::Ok(()),
            other => panic!("the result of job {job}, not {other:?}"),
        });
        self.client.record(&answer, What::Read(job, outcome));
    }

    fn keep(&mut self) {
        let queue = *self.client.dice.pick(&QUEUES).expect("a queue");
        let keep_s = self.client.dice.below(4) as u32;
        let answer =
            self.client.ask(&frames::set_queue(queue, &QueueSettings { keep_s: Some(keep_s), ..Default::default() }));
        let outcome = answer.heard.outcome(settled);
        let keep = Keep { queue: queue.to_string(), keep_ms: u64::from(keep_s) * 1_000 };
        self.client.record(&answer, What::Keep(keep, outcome));
    }

    /// Closes a queue for a while or until it is opened, or opens one.
    fn gate(&mut self) {
        if !self.closed.is_empty() {
            return self.open(self.closed[0]);
        }
        let dice = &mut self.client.dice;
        let queue = *dice.pick(&QUEUES).expect("a queue");
        match dice.within(0..10) {
            0 => self.close(queue, FOR_EVER_MS),
            1 => self.open(queue),
            _ => {
                let for_ms = dice.within(20..200);
                self.close(queue, for_ms);
            }
        }
    }

    fn close(&mut self, queue: &'static str, for_ms: u64) {
        let way = if self.client.dice.percent(20) { WAY_BOTH } else { WAY_OUT };
        let is_for_ever = for_ms == FOR_EVER_MS;
        let answer = self.client.ask(&frames::pause(queue, way, if is_for_ever { 0 } else { for_ms }, "a test"));
        if is_for_ever {
            self.closed.push(queue);
        }
        let gate = Gate { queue: queue.to_string(), for_ms: Some(for_ms) };
        self.client.record(&answer, What::Gate(gate, answer.heard.outcome(settled)));
    }

    fn open(&mut self, queue: &'static str) {
        let answer = self.client.ask(&frames::resume(queue, WAY_BOTH));
        let outcome = answer.heard.outcome(settled);
        if outcome.ok().is_some() {
            self.closed.retain(|closed| *closed != queue);
        }
        self.client.record(&answer, What::Gate(Gate { queue: queue.to_string(), for_ms: None }, outcome));
    }

    /// Whatever anybody has closed.
    fn open_all(&mut self) {
        self.closed = QUEUES.to_vec();
        let begun = Instant::now();
        // A master that failed the test is not there any more.
        while let Some(queue) = self.closed.first().copied().filter(|_| begun.elapsed() < OPEN_LIMIT) {
            if self.client.connected() {
                self.open(queue);
            }
        }
    }
}

fn updated(to: Update) -> Updated {
    let Update { priority, max_attempts, delay_ms } = to;
    Updated { priority, max_attempts, delay_ms, ttl_ms: None }
}

fn settled(reply: &Reply) -> Outcome<()> {
    match reply {
        Reply::Settled(_) => Outcome::Ok(()),
        other => panic!("an order that is carried out, not {other:?}"),
    }
}
