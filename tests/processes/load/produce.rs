//! A producer: submits of all kinds, several at once, and keys that are asked again.

use std::sync::atomic::Ordering;

use super::link::{Answer, Client};
use super::{QUEUES, Shared};
use crate::harness::frames::{self, Job, Reply};
use crate::history::{Outcome, Payload, Submit, Submitted, What};

const BIG_BYTES: usize = 64 * 1024;
const SMALL_BYTES_MAX: u64 = 2 * 1024;

/// Keys that all producers ask for, each with a payload of its own.
const CONTESTED: u64 = 400;

struct Producer {
    client: Client,
    count: u64,
    /// Jobs with a key of whose submit nothing was heard.
    unheard: Vec<Job>,
    /// Jobs with a key that were accepted.
    known: Vec<Job>,
}

pub fn run(client: Client) -> Vec<crate::history::Op> {
    let mut producer = Producer { client, count: 0, unheard: Vec::new(), known: Vec::new() };
    let shared = producer.client.shared.clone();
    while shared.producing.load(Ordering::Relaxed) {
        if !shared.may_submit() {
            producer.client.rest(2..6);
        } else if producer.client.connected() {
            producer.submit(&shared);
        }
    }
    producer.client.ops
}

impl Producer {
    /// One to four requests of one to three jobs each.
    fn submit(&mut self, shared: &Shared) {
        let requests = self.client.dice.within(1..5);
        let batches: Vec<Vec<Job>> = (0..requests).map(|_| self.batch()).collect();
        let jobs = batches.iter().map(Vec::len).sum::<usize>();
        shared.allowed.fetch_sub(jobs.cast_signed() as i64, Ordering::Relaxed);
        let frames: Vec<_> = batches.iter().map(|jobs| frames::submit(jobs)).collect();
        let answers = self.client.ask_all(&frames);
        for (jobs, answer) in batches.into_iter().zip(&answers) {
            for (n, job) in jobs.into_iter().enumerate() {
                self.heard(shared, answer, n, job);
            }
        }
    }

    fn heard(&mut self, shared: &Shared, answer: &Answer, n: usize, job: Job) {
        let outcome = answer.heard.outcome(|reply| match reply {
            Reply::SubmitOk(jobs) => Outcome::Ok(Submitted { job: jobs[n].job, duplicate: jobs[n].duplicate == 1 }),
            other => panic!("a SubmitOk, not {other:?}"),
        });
        let submit = Submit {
            queue: job.queue.clone(),
            key: job.key.clone(),
            priority: job.priority,
            max_attempts: job.max_attempts,
            delay_ms: job.delay_ms,
            keep_ms: job.keep_ms.unwrap_or(0),
            ttl_ms: job.ttl_ms.unwrap_or(0),
            payload: Payload::of(&job.payload),
        };
        match &outcome {
            Outcome::Ok(answer) => {
                shared.waiting.fetch_add(i64::from(!answer.duplicate), Ordering::Relaxed);
                if job.key.is_empty() {
                    shared.known.submitted(answer.job);
                } else {
                    self.known.push(job);
                }
            }
            Outcome::Unknown if !job.key.is_empty() => self.unheard.push(job),
            _ => {}
        }
        self.client.record(answer, What::Submit(submit, outcome));
    }

    fn batch(&mut self) -> Vec<Job> {
        (0..self.client.dice.within(1..4)).map(|_| self.job()).collect()
    }

    fn job(&mut self) -> Job {
        let dice = &mut self.client.dice;
        if !self.unheard.is_empty() && dice.percent(60) {
            return self.unheard.remove(0);
        }
        if dice.percent(2)
            && let Some(job) = dice.pick(&self.known)
        {
            return job.clone();
        }
        self.count += 1;
        let name = (self.client.number as u64 + 1) << 32 | self.count;
        let key = match dice.within(0..100) {
            0..25 => format!("order-{name:x}"),
            25..30 => format!("contested-{}", dice.within(0..CONTESTED)),
            _ => String::new(),
        };
        let bytes = if dice.percent(2) { BIG_BYTES } else { dice.within(0..SMALL_BYTES_MAX) as usize };
        // Only a job with a key is known without its payload.
        let bytes = if key.is_empty() { bytes.max(8) } else { bytes };
        let mut noise = dice.fork(name);
        let mut payload = name.to_be_bytes().to_vec();
        while payload.len() < bytes {
            payload.extend(noise.draw().to_le_bytes());
        }
        payload.truncate(bytes);
        let delayed = dice.percent(10);
        Job {
            key,
            priority: *dice.pick(&[0, 64, 128, 128, 128, 200]).expect("one"),
            max_attempts: *dice.pick(&[1, 2, 3, 3, 3, 3, 4, 4]).expect("one"),
            delay_ms: if delayed { dice.within(20..400) } else { 0 },
            keep_ms: dice.percent(30).then(|| dice.within(1..5) * 1_000),
            ..frames::job(dice.pick(&QUEUES).expect("one"), payload)
        }
    }
}
