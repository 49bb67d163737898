//! What people do beside the work.

use super::*;

impl World {
    pub fn meddle(&mut self, lost: bool, done: bool) -> What {
        match self.dice.within(0..20) {
            0..8 => self.mend(lost, done),
            8..14 => self.wait(lost, done),
            14..17 => self.read(lost, done),
            17..19 => self.gate(lost, done),
            _ => self.keep(lost, done),
        }
    }

    /// A recent job, mostly.
    fn some_job(&mut self) -> Option<usize> {
        let recent = if self.dice.percent(70) { 20 } else { 1_000 };
        let from = self.jobs.len().saturating_sub(recent);
        let known: Vec<usize> = (from..self.jobs.len()).filter(|at| self.jobs[*at].is_known).collect();
        self.dice.pick(&known).copied()
    }

    fn mend(&mut self, lost: bool, done: bool) -> What {
        let is_dead = |job: &Job| job.is_known && matches!(job.state, State::Dead);
        let dead: Vec<usize> = (0..self.jobs.len()).filter(|at| is_dead(&self.jobs[*at])).collect();
        let change = self.drawn_change();
        let at = if change == Change::Requeue { self.dice.pick(&dead).copied() } else { self.some_job() };
        // Keys are remembered for ever here, so that no job with one may be cancelled.
        let at = at.filter(|at| change == Change::Requeue || self.jobs[*at].submit.key.is_empty());
        let Some(at) = at else { return self.read(lost, done) };
        let id = self.jobs[at].id;
        let outcome = if done { self.change(at, change) } else { Ok(()) };
        let outcome = outcome.map_or_else(Outcome::Refused, |()| heard(lost, Some(())));
        What::Mend(change, id, if lost { Outcome::Unknown } else { outcome })
    }

    fn drawn_change(&mut self) -> Change {
        let both = self.dice.percent(80);
        let update = Update {
            priority: (both || self.dice.percent(50)).then(|| self.dice.within(10..14) as u8),
            max_attempts: (both || self.dice.percent(50)).then(|| self.dice.within(4..8) as u16),
            delay_ms: self.dice.percent(30).then(|| self.dice.below(2) * self.dice.within(50..300)),
        };
        let all = [Change::Cancel, Change::CancelNow, Change::Requeue, Change::Purge, Change::Update(update)];
        let chosen = if self.dice.percent(30) { 4 } else { self.dice.index(4) };
        all[chosen]
    }

    /// Priority, bound of attempts and delay of a job, all at once.
    fn update(job: &mut Job, update: Update, (now, back): (Ns, i64)) -> Result<(), u16> {
        let waits = matches!(job.state, State::Waiting(_) | State::Delayed(_));
        let is_open = waits || matches!(job.state, State::Leased { .. });
        let least = job.attempts + u16::from(waits);
        if !is_open || update.max_attempts.is_some_and(|max| max < least) || (!waits && update.delay_ms.is_some()) {
            return Err(WRONG_STATE);
        }
        job.submit.priority = update.priority.unwrap_or(job.submit.priority);
        job.submit.max_attempts = update.max_attempts.unwrap_or(job.submit.max_attempts);
        match update.delay_ms {
            Some(0) => job.state = State::Waiting(back),
            Some(delay_ms) => job.state = State::Delayed(now + delay_ms * MS),
            None if update.priority.is_some() && matches!(job.state, State::Waiting(_)) => {
                job.state = State::Waiting(back);
            }
            None => {}
        }
        Ok(())
    }

    fn change(&mut self, at: usize, change: Change) -> Result<(), u16> {
        self.lsn += 1;
        let (now, back) = (self.now, self.lsn.cast_signed());
        let job = &mut self.jobs[at];
        match (change, &job.state) {
            (Change::Requeue, State::Dead) => {
                (job.attempts, job.expires, job.state) = (0, Ns::MAX, State::Waiting(back));
            }
            (Change::Requeue, _) | (Change::Purge, State::Leased { .. }) => return Err(WRONG_STATE),
            (Change::Update(update), _) => return World::update(job, update, (now, back)),
            (Change::Purge, State::Done(until)) if *until > now => job.state = State::Purged { was_done: true },
            (_, State::Done(until)) => return Err(if *until > now { WRONG_STATE } else { NOT_FOUND }),
            (_, State::Cancelled | State::Expired | State::Purged { .. }) => return Err(NOT_FOUND),
            (Change::Purge, _) => job.state = State::Purged { was_done: false },
            (Change::Cancel, State::Leased { .. }) => job.is_marked = true,
            _ => job.state = State::Cancelled,
        }
        Ok(())
    }

    fn wait(&mut self, lost: bool, done: bool) -> What {
        let count = self.dice.within(1..4);
        let places: Vec<usize> = (0..count).filter_map(|_| self.some_job()).collect();
        let ends = places.iter().map(|at| (self.jobs[*at].id, self.stands(*at))).collect();
        let jobs = places.iter().map(|at| self.jobs[*at].id).collect();
        let wait = Wait { jobs, any: self.dice.percent(50), wait_ms: 0 };
        What::Wait(wait, heard(lost, done.then_some(ends)))
    }

    fn stands(&self, at: usize) -> u8 {
        match self.jobs[at].state {
            State::Waiting(_) => 0,
            State::Delayed(_) => 1,
            State::Leased { .. } => 2,
            State::Dead => 3,
            State::Done(until) if until > self.now => 4,
            // What was cancelled or has expired is kept as long as the job says, which this leaves open.
            State::Cancelled => 5,
            State::Expired => 6,
            State::Done(_) | State::Purged { .. } => 254,
        }
    }

    fn read(&mut self, lost: bool, done: bool) -> What {
        let Some(at) = self.some_job() else { return What::Read(0, Outcome::Refused(NOT_FOUND)) };
        let (id, stands) = (self.jobs[at].id, self.stands(at));
        let outcome = match stands {
            4 => heard(lost, done.then_some(())),
            5 | 6 | 254 => Outcome::Refused(NOT_FOUND),
            _ => Outcome::Refused(WRONG_STATE),
        };
        What::Read(id, if lost { Outcome::Unknown } else { outcome })
    }

    fn gate(&mut self, lost: bool, done: bool) -> What {
        let queue = QUEUES[self.dice.index(2)].to_string();
        let for_ms = self.dice.percent(70).then(|| self.dice.within(20..400));
        if done {
            self.closed[place(&queue)] = for_ms.map_or(0, |for_ms| self.now + for_ms * MS);
        }
        What::Gate(Gate { queue, for_ms }, heard(lost, done.then_some(())))
    }

    fn keep(&mut self, lost: bool, done: bool) -> What {
        let queue = QUEUES[self.dice.index(2)].to_string();
        let keep_ms = self.dice.below(4) * 1_000;
        if done {
            self.keeps[place(&queue)] = keep_ms;
        }
        What::Keep(Keep { queue, keep_ms }, heard(lost, done.then_some(())))
    }
}
