//! Joins what threads submit at the same time into one request.
//!
//! Promises: while one request is under way, the jobs that come meanwhile wait for it and leave together in the next;
//! a job that comes alone leaves at once, or after `linger`. A job that the master refuses harms no other: each of a
//! refused batch is then submitted by itself.
//!
//! The wait is named as in Kafka's producers, whose `linger.ms` does the same.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{Client, ClientError, Submitted, moment_after};
use crate::codec::Field;
use crate::limits::{FRAME_BODY_BYTES_MAX, ITEMS_MAX};
use crate::protocol::{Call, Request, Submit, SubmitJob};

/// Bytes of a Submit beside its jobs: their number, and how many extras it has.
const SUBMIT_BYTES: usize = 3;

/// Submits jobs one by one for many threads, and sends them in batches. Lend it to them, or share it by an `Arc`.
pub struct Batcher {
    client: Client,
    linger: Duration,
    gathered: Mutex<Gathered>,
    /// The batch that is gathered was taken, or is full.
    changed: Condvar,
}

/// What waits to be sent.
#[derive(Default)]
struct Gathered {
    batch: Arc<Batch>,
    jobs: Vec<u8>,
    count: usize,
    /// A job has come that does not fit.
    is_full: bool,
    /// Whether a thread sends a batch, or is about to.
    is_led: bool,
}

/// Jobs that are sent together.
#[derive(Default)]
struct Batch {
    ended: Condvar,
    outcome: OnceLock<Result<Vec<Submitted>, ClientError>>,
}

impl Gathered {
    fn has_room(&self, job_bytes: usize) -> bool {
        self.count < ITEMS_MAX && SUBMIT_BYTES + self.jobs.len() + job_bytes <= FRAME_BODY_BYTES_MAX
    }
}

impl Batcher {
    /// A batcher that sends what it has when nothing is under way, or `linger` later.
    pub fn new(client: Client, linger: Duration) -> Batcher {
        Batcher { client, linger, gathered: Mutex::default(), changed: Condvar::new() }
    }

    /// Submits a job, perhaps together with others, and waits until it is taken.
    pub fn submit(&self, job: &SubmitJob<'_>) -> Result<Submitted, ClientError> {
        let one = [*job];
        Request::from(Submit::of(&one)).check().map_err(ClientError::Refused)?;
        let mut written = Vec::with_capacity(job.payload.len() + 64);
        job.write(&mut written);
        let mut gathered = self.locked();
        while !gathered.has_room(written.len()) {
            gathered.is_full = true;
            self.changed.notify_all();
            gathered = self.changed.wait(gathered).unwrap_or_else(PoisonError::into_inner);
        }
        let (batch, place) = (Arc::clone(&gathered.batch), gathered.count);
        gathered.jobs.extend_from_slice(&written);
        gathered.count += 1;
        if !gathered.has_room(0) {
            self.changed.notify_all();
        }
        while batch.outcome.get().is_none() {
            if gathered.is_led {
                gathered = batch.ended.wait(gathered).unwrap_or_else(PoisonError::into_inner);
            } else {
                gathered = self.lead(gathered);
            }
        }
        drop(gathered);
        match batch.outcome.get() {
            Some(Ok(submitted)) => submitted.get(place).cloned().ok_or_else(|| {
                let why = format!("{} jobs were answered, this is number {place}", submitted.len());
                ClientError::NotTheProtocol { why }
            }),
            Some(Err(ClientError::Refused(_))) => self.client.submit(&one)?.pop().ok_or_else(none_answered),
            Some(Err(error)) => Err(error.copied()),
            None => Err(none_answered()),
        }
    }

    /// Sends the batch that is gathered, which the caller's job is in, and tells everybody in it what came of it.
    fn lead<'g>(&'g self, mut gathered: MutexGuard<'g, Gathered>) -> MutexGuard<'g, Gathered> {
        gathered.is_led = true;
        let until = moment_after(self.linger);
        while gathered.has_room(0) && !gathered.is_full && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            gathered = self.changed.wait_timeout(gathered, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (batch, count) = (std::mem::take(&mut gathered.batch), std::mem::take(&mut gathered.count));
        let jobs = std::mem::take(&mut gathered.jobs);
        gathered.is_full = false;
        self.changed.notify_all();
        drop(gathered);
        let outcome = self.send(&jobs, count);
        let mut gathered = self.locked();
        batch.outcome.get_or_init(|| outcome);
        gathered.is_led = false;
        batch.ended.notify_all();
        // One of those that came meanwhile sends the next.
        gathered.batch.ended.notify_one();
        gathered
    }

    fn send(&self, jobs: &[u8], count: usize) -> Result<Vec<Submitted>, ClientError> {
        let count = u16::try_from(count).expect("a batch is within its limit");
        let body = [&count.to_le_bytes()[..], jobs, &[0]].concat();
        let request = Request::decode(Submit::KIND, &body).map_err(ClientError::Refused)?;
        let answer = self.client.ask(request)?;
        Ok(answer.read::<Submit<'_>>()?.jobs.iter().map(Submitted::from).collect())
    }

    fn locked(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn none_answered() -> ClientError {
    ClientError::NotTheProtocol { why: "a Submit of one job was answered with none".to_owned() }
}
