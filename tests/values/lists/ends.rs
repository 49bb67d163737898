//! How jobs end, how long they stay after that, and what can be done about it.

use super::{Job, KEY_WINDOW_MS, Look, Model, NEVER, Place, State};
use crate::frames::{NOT_FOUND, WRONG_STATE};
use falconqueue::job::Unique;
use falconqueue::time::{Millis, Timestamp};

impl Job {
    /// It has completed, and another one waits for its result.
    fn keep_for_others(&mut self, now: Timestamp) {
        let until = now.plus(Millis(KEY_WINDOW_MS));
        let own = if self.is_gone { until } else { self.kept_until };
        (self.kept_until, self.is_gone) = (own.max(until), false);
    }
}

impl Model {
    pub fn end(&mut self, id: u64, state: State) {
        self.leave_line(id);
        let now = self.now;
        let is_wanted = self.behind(id).first().is_some_and(|first| self.jobs[first].waits.with_results);
        let job = self.jobs.get_mut(&id).unwrap();
        let settings = &self.rules[job.queue].settings;
        let own = job.keep_s.or(settings.keep_s).filter(|keep_s| *keep_s > 0);
        let keep_s = if state == State::Dead { settings.dead_keep_s } else { own };
        (job.kept_until, job.is_gone) = match keep_s {
            Some(keep_s) => (now.plus(Millis(1000 * u64::from(keep_s))), false),
            None => (NEVER, state != State::Dead),
        };
        if is_wanted && state == State::Completed {
            job.keep_for_others(now);
        }
        (job.ended_at, job.is_marked) = (Some(now), false);
        let remembered = now.plus(Millis(KEY_WINDOW_MS));
        let (count, key_until, standing) = match state {
            State::Dead => (&mut self.tally.died[job.queue], remembered, 3),
            State::Completed => (&mut self.tally.completed, remembered, 4),
            State::Cancelled => (&mut self.tally.cancelled, now, 5),
            State::Expired => (&mut self.tally.expired, now, 6),
            other => panic!("{other:?} is no end"),
        };
        *count += 1;
        // A key that was freed stays so.
        let is_free = job.key_until.is_some_and(|until| until <= now);
        let failed_from = if keep_s.is_some() { job.kept_until } else { now };
        job.state = state;
        if job.unique != Unique::Until {
            job.key_until = Some(if is_free { Timestamp(0) } else { key_until });
        }
        if matches!(standing, 5 | 6) {
            self.failed(id, failed_from);
        }
        self.member_ended(id);
        self.looks.push(Look::Behind(id));
        self.settle();
        self.became(id, Some(standing));
    }

    /// Cancels a job, gently or at once; the status.
    pub fn cancel(&mut self, id: u64, at_once: bool) -> u16 {
        let Some(job) = self.there(id) else { return NOT_FOUND };
        match job.state {
            State::Cancelled => return 0,
            State::Completed | State::Expired => return WRONG_STATE,
            State::InFlight { .. } if !at_once => self.job(id).is_marked = true,
            _ => self.end(id, State::Cancelled),
        }
        0
    }

    /// A dead job gets all its attempts again.
    pub fn requeue(&mut self, id: u64) -> u16 {
        let now = self.now;
        match self.there(id) {
            None => return NOT_FOUND,
            Some(job) if job.state != State::Dead => return WRONG_STATE,
            Some(_) if self.batch_of(id).is_some_and(|batch| self.batches[batch].is_called_off) => return WRONG_STATE,
            Some(_) => {}
        }
        let job = self.job(id);
        (job.attempts, job.expires_at, job.failed_until) = (0, None, None);
        // What was freed stays free.
        if job.unique != Unique::Until {
            job.key_until = job.key_until.filter(|until| *until <= now).map(|_| Timestamp(0));
        }
        self.wait(id, None, Place::Last);
        if let Some(batch) = self.batch_of(id) {
            self.note_batch(batch);
        }
        self.became(id, None);
        0
    }

    pub fn purge(&mut self, id: u64) -> u16 {
        let now = self.now;
        match self.there(id) {
            None => return NOT_FOUND,
            Some(job) if job.state.is_in_flight() => return WRONG_STATE,
            Some(_) => {}
        }
        self.leave_line(id);
        let job = self.job(id);
        let (had_ended, was_dead) = (job.state.has_ended(), job.state == State::Dead);
        job.is_gone = true;
        if job.unique != Unique::Until {
            job.key_until = Some(now);
        }
        if !had_ended {
            (job.state, job.kept_until) = (State::Cancelled, now);
            self.became(id, Some(5));
        }
        if !had_ended || was_dead {
            self.failed(id, now);
            self.member_ended(id);
        }
        self.looks.push(Look::Behind(id));
        self.tally.purged += 1;
        self.settle();
        0
    }

    /// Another payload of so many bytes and other times for a job, if it was not begun.
    pub fn replace(&mut self, id: u64, queue: usize, bytes: u64, delay_ms: u64, ttl_ms: Option<u64>) {
        let (now, of_queue) = (self.now, self.rules[queue].settings.ttl_ms);
        let Some(job) = self.there(id) else { return };
        if !job.state.is_waiting() || job.attempts > 0 || job.ended_at.is_some() || job.queue != queue {
            return;
        }
        let place = if job.state == State::Pending { Place::Kept } else { Place::Last };
        let job = self.job(id);
        job.waits.delay_ms = delay_ms;
        (job.bytes, job.expires_at) = (bytes, ttl_ms.or(of_queue).map(|ttl_ms| now.plus(Millis(ttl_ms))));
        if self.jobs[&id].state != State::Waiting {
            self.wait_in_turn(id, Some(now.plus(Millis(delay_ms))), place);
        }
    }

    pub fn count(&self, wanted: impl Fn(&Job) -> bool) -> u64 {
        self.jobs.values().filter(|job| !job.is_gone && wanted(job)).count() as u64
    }
}
