//! What became of jobs and queues, counted from the log by rules that a reader can check by eye: nothing here asks the
//! state machine.

// Each crate of tests asks its own part of it.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use falconqueue::ids::JobId;
use falconqueue::queue::Event;
use falconqueue::queue::events::ReleaseReason;
use falconqueue::time::Timestamp;

/// Numbers of ends on the wire.
pub const DEAD: u8 = 3;
pub const COMPLETED: u8 = 4;
pub const CANCELLED: u8 = 5;
pub const EXPIRED: u8 = 6;
pub const GONE: u8 = 254;

/// What the log says of one job.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    queue: String,
    /// Attempts that count, since it was requeued last.
    attempts: u16,
    max_attempts: u16,
    /// Somebody cancelled it, in flight or not.
    is_cancelled: bool,
    expires_at: Option<Timestamp>,
    /// How it ended, unless it runs again.
    pub end: Option<u8>,
    /// How it ever ended.
    pub ends: BTreeSet<u8>,
}

/// Until when each way of a queue is closed.
#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    way_in: Timestamp,
    way_out: Timestamp,
}

#[derive(Default)]
pub struct Truth {
    fates: BTreeMap<u64, Fate>,
    closed: BTreeMap<String, Closed>,
}

impl Truth {
    pub fn of(&self, job: u64) -> Option<&Fate> {
        self.fates.get(&job)
    }

    /// Takes the next record in, and holds it against all before it.
    pub fn take(&mut self, event: &Event<'_>, at: Timestamp) {
        match event {
            Event::Enqueue(job) => {
                assert!(self.closed(job.queue).way_in <= at, "queue {} is paused and took job {}", job.queue, job.job);
                let fate = Fate {
                    queue: job.queue.to_owned(),
                    max_attempts: job.settings.max_attempts,
                    expires_at: job.expires_at,
                    ..Fate::default()
                };
                self.fates.insert(job.job.0, fate);
            }
            Event::Dispatch(given) => {
                let queue = self.fate(given.job).queue.clone();
                assert!(self.closed(&queue).way_out <= at, "queue {queue} is paused and gave job {}", given.job);
                let fate = self.running(given.job, "DISPATCH");
                fate.attempts += 1;
                assert_eq!(given.attempt, fate.attempts, "attempt of job {}", given.job);
                assert!(fate.attempts <= fate.max_attempts, "an attempt too many of job {}", given.job);
            }
            Event::Retry(retry) => drop(self.running(retry.job, "RETRY")),
            Event::Timeout(timeout) => drop(self.running(timeout.job, "TIMEOUT")),
            Event::Release(release) => {
                let fate = self.running(release.job, "RELEASE");
                fate.attempts -= 1;
                if release.reason == ReleaseReason::Begun {
                    fate.expires_at = None;
                }
            }
            Event::Ack(ack) => self.running(ack.job, "ACK").ends_as(COMPLETED),
            Event::Dead(dead) => self.running(dead.job, "DEAD").ends_as(DEAD),
            Event::Expire(expire) => {
                let fate = self.running(expire.job, "EXPIRE");
                assert_eq!(fate.attempts, 0, "job {} was begun and expired", expire.job);
                assert!(fate.expires_at.is_some_and(|due| due <= at), "job {} expired too early", expire.job);
                fate.ends_as(EXPIRED);
            }
            _ => self.take_order(event),
        }
    }

    /// What somebody asked for.
    fn take_order(&mut self, event: &Event<'_>) {
        match event {
            Event::Cancel(cancel) => {
                let fate = self.fate(cancel.job);
                fate.is_cancelled = true;
                if cancel.ends {
                    fate.ends_as(CANCELLED);
                }
            }
            Event::Purge(purge) => {
                let fate = self.fate(purge.job);
                if fate.end.is_none() {
                    fate.ends_as(CANCELLED);
                }
            }
            Event::Requeue(requeue) => {
                let fate = self.fate(requeue.job);
                assert_eq!(fate.end.take(), Some(DEAD), "job {} was requeued", requeue.job);
                (fate.attempts, fate.expires_at) = (0, None);
            }
            Event::Update(update) => {
                let fate = self.running(update.job, "UPDATE");
                fate.max_attempts = update.max_attempts.unwrap_or(fate.max_attempts);
                fate.expires_at = update.expires_at.or(fate.expires_at).filter(|at| at.0 > 0);
            }
            Event::Pause(pause) => {
                let until = if pause.until.0 == 0 { Timestamp(u64::MAX) } else { pause.until };
                self.close(pause.queue, (pause.way.is_in(), pause.way.is_out()), until);
            }
            Event::Resume(resume) => {
                self.close(resume.queue, (resume.way.is_in(), resume.way.is_out()), Timestamp(0));
            }
            _ => {}
        }
    }

    fn fate(&mut self, job: JobId) -> &mut Fate {
        self.fates.get_mut(&job.0).unwrap_or_else(|| panic!("job {job} was never accepted"))
    }

    /// One that has not ended, and that nobody cancelled.
    fn running(&mut self, job: JobId, what: &str) -> &mut Fate {
        let fate = self.fate(job);
        assert!(fate.end.is_none(), "a {what} of job {job}, which has ended: {fate:?}");
        assert!(!fate.is_cancelled || what == "UPDATE", "a {what} of job {job}, which was cancelled");
        fate
    }

    fn closed(&self, queue: &str) -> Closed {
        self.closed.get(queue).copied().unwrap_or_default()
    }

    fn close(&mut self, queue: &str, (way_in, way_out): (bool, bool), until: Timestamp) {
        let closed = self.closed.entry(queue.to_owned()).or_default();
        if way_in {
            closed.way_in = until;
        }
        if way_out {
            closed.way_out = until;
        }
    }
}

impl Fate {
    /// Whether a wait may be told that the job stands so; one that is gone has to have ended before that was asked.
    pub fn may_be_told(&self, standing: u8, had_ended: bool) -> bool {
        match standing {
            DEAD..=EXPIRED => self.ends.contains(&standing),
            GONE => had_ended,
            other => other < DEAD,
        }
    }

    fn ends_as(&mut self, end: u8) {
        self.end = Some(end);
        self.ends.insert(end);
    }
}
