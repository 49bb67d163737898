//! What the master decides by itself, asked by no client: the ends of leases, marks, ticks of schedules, which poll is
//! served, the ends of waits, snapshots, cleaning, queues that are forgotten.
//!
//! Everything of that kind is here, behind two functions that a turn calls. A master that only follows another one is a
//! master that does not call them.

use super::backoff::{USUAL, backoff};
use super::decisions::{cancelled, failed_until, forget_idle, kept_until, story_bytes_max, write_story};
use super::keeping::Kept;
use super::{Master, Timestamp};
use crate::ids::{JobId, LeaseId};
use crate::job::{Before, Ending, Standing, StoryText};
use crate::limits::{LOOKS_PER_TURN, QUEUE_IDLE_MS, RECORD_OVERHEAD_BYTES_MAX};
use crate::planted::{Bug, is_planted};
use crate::protocol::{ErrorCode, Refusal, Reply, SnapshotOk};
use crate::queue::events::{Admit, Cancel, Dead, DeathReason, Expire, Ready, Release, ReleaseReason, Timeout};
use crate::queue::{BatchStep, Event, Settled};
use crate::time::Millis;
use crate::wal::WalError;

/// How long what needs room on a full disk is put off.
const FULL_RETRY: Millis = Millis(500);

/// How often it is looked which queues have been idle for long.
const IDLE_LOOK: Millis = Millis(60_000);

/// How often it is looked whether sessions have many leases on their lists that have ended.
const SWEEP_EVERY: Millis = Millis(5000);

/// Queues that are forgotten in one turn.
const FORGOTTEN_PER_TURN: usize = 64;

impl Master {
    /// At the beginning of a turn: leases that have run out are ended, and a log that has fallen silent gets its mark.
    pub(super) fn decide_at_begin(&mut self, now: Timestamp) -> Result<(), WalError> {
        if self.journal.mark_at().is_some_and(|at| at <= now) {
            self.journal.mark(now)?;
        }
        for job in self.journal.queues.take_run_out(now) {
            self.end_lease(job, now)?;
        }
        self.expire(now)?;
        self.call_off_abandoned(now)?;
        self.carry_out_ticks(now)
    }

    /// Ends the jobs that were not begun in time. There is room: it was kept for their end.
    fn expire(&mut self, now: Timestamp) -> Result<(), WalError> {
        for job in self.journal.queues.take_expired(now) {
            let kept_until = kept_until(Some(self.journal.queues.keep_s(job)), now);
            let failed_until = failed_until(kept_until, now, self.config.key_window);
            self.journal.record_alone(now, &Expire { job, kept_until, failed_until }.into())?;
        }
        Ok(())
    }

    /// Ends the waits of jobs whose time has come, as many as one turn takes. There is room: it was kept for that.
    fn settle(&mut self, now: Timestamp) -> Result<(), WalError> {
        let mut left = LOOKS_PER_TURN;
        while let Some(step) = self.journal.queues.next_batch_step(&mut left) {
            let event = match step {
                BatchStep::Admit(batch, upto) => Admit { batch, upto }.into(),
                BatchStep::Cancel(batch, job) => self.cancelling(job, Before::batch(batch), now),
            };
            self.journal.record_alone(now, &event)?;
        }
        // A large batch does not hold the others up.
        let mut left = LOOKS_PER_TURN;
        while let Some((job, settled)) = self.journal.queues.next_settled(&mut left) {
            let event = match settled {
                Settled::Ready => Ready { job }.into(),
                Settled::Failed(before) => self.cancelling(job, before, now),
            };
            self.journal.record_alone(now, &event)?;
        }
        Ok(())
    }

    /// The end of a job for what became of another one, or of its batch. One in flight is told to end.
    fn cancelling(&self, job: JobId, before: Before, now: Timestamp) -> Event<'static> {
        let queues = &self.journal.queues;
        let ends = queues.standing(job) != Some(Standing::InFlight);
        let kept_until = kept_until(Some(queues.keep_s(job)), now).filter(|_| ends);
        let failed_until = failed_until(kept_until, now, self.config.key_window).filter(|_| ends);
        Cancel { job, ends, kept_until, by: None, failed_until, before: Some(before) }.into()
    }

    /// At its end: waiting polls get the jobs that are there, and the log is kept.
    pub(super) fn decide_at_end(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.scan(now)?;
        // Some were given back in this turn whose time is over.
        self.expire(now)?;
        self.settle(now)?;
        self.serve_polls(now)?;
        if !is_planted(Bug::WaitLate) {
            self.answer_waits();
        }
        let wanted = self.parked.snapshots() > 0;
        match self.keeping.work(&mut self.journal, wanted, now)? {
            Kept::Nothing => {}
            Kept::Snapshot { lsn, bytes } => {
                log::info!("a snapshot of {bytes} bytes holds everything up to record {lsn}");
                let reply = Reply::SnapshotOk(SnapshotOk { lsn: lsn.0, bytes });
                while let Some(number) = self.parked.first_for_snapshot(lsn) {
                    self.answer_parked(number, &reply);
                }
            }
            Kept::NoRoom(text) => {
                let reply = Reply::Error(Refusal::new(ErrorCode::StorageFull, text));
                while let Some(number) = self.parked.first_for_snapshot(self.journal.wal.last_lsn()) {
                    self.answer_parked(number, &reply);
                }
            }
        }
        self.sweep_sessions(now);
        if let Some((count, reason)) = self.strangers.take_untold(now) {
            log::warn!("connections that were turned away without a valid Hello: {count}; {reason}");
        }
        if now >= self.idle_look_at {
            let before = Timestamp(now.0.saturating_sub(QUEUE_IDLE_MS));
            let count = forget_idle(&mut self.journal, &self.parked, now, before, FORGOTTEN_PER_TURN, &|_| false)?;
            self.idle_look_at = if count < FORGOTTEN_PER_TURN { now.plus(IDLE_LOOK) } else { now };
        }
        Ok(())
    }

    /// Forgets the leases of sessions that have far more of them on their lists than there are.
    fn sweep_sessions(&mut self, now: Timestamp) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now.plus(SWEEP_EVERY);
        let queues = &self.journal.queues;
        let most = 2 * queues.unfinished().1 + 1024;
        self.sessions.sweep(most, |job, lease| queues.is_live(job, lease));
    }

    fn answer_parked(&mut self, number: u32, reply: &Reply<'_>) {
        let (caller, _) = self.unpark(number);
        self.sessions.write(caller.session, caller.correlation, None, reply);
    }

    /// Ends the lease of a job that was never begun: it waits where it stood in line, and the attempt does not count.
    fn give_back(&mut self, job: JobId, lease: LeaseId, now: Timestamp) -> Result<(), WalError> {
        if !self.journal.has_room(RECORD_OVERHEAD_BYTES_MAX, 1, now)? {
            self.journal.queues.postpone(job, lease, now.plus(FULL_RETRY));
            return Ok(());
        }
        log::info!("the lease {lease} of job {job} ran out before it was begun; it waits again");
        self.journal.begin_group(RECORD_OVERHEAD_BYTES_MAX)?;
        let event = Release { job, lease, due_at: Timestamp(0), reason: ReleaseReason::NeverBegun };
        self.journal.record(now, &event.into(), false)?;
        Ok(())
    }

    /// Ends the lease of a job that has run out.
    fn end_lease(&mut self, job: JobId, now: Timestamp) -> Result<(), WalError> {
        let live = self.journal.queues.live_lease(job).expect("a lease that runs out is live");
        if live.is_cancelled {
            let event = cancelled(&live, job, self.config.key_window, now);
            return self.journal.record_alone(now, &event).map(drop);
        }
        // Who was never told of it has not begun it.
        let holder = self.sessions.session(live.holder);
        let is_told = holder.is_none_or(|session| !session.has_untold(live.id));
        if (live.begun_at.is_none() || !is_told) && !is_planted(Bug::UnbegunCounted) {
            let lease = live.id;
            return self.give_back(job, lease, now);
        }
        self.end_attempt(job, now)
    }

    /// The same of a job that may have been begun: the attempt counts. Without room to write down that the job waits
    /// again, it is put off; the end of the last attempt is then written without its story.
    fn end_attempt(&mut self, job: JobId, now: Timestamp) -> Result<(), WalError> {
        const ERROR: &str = "the lease of the last attempt ran out";
        let live = self.journal.queues.live_lease(job).expect("a lease that runs out is live");
        let (lease, attempts) = (live.id, live.attempts);
        let key_until = live.has_key.then(|| now.plus(self.config.key_window));
        let kept_until = kept_until(live.dead_keep_s(), now);
        let by = live.backoff().unwrap_or(USUAL);
        let has_more = attempts < live.max_attempts;
        let bytes = RECORD_OVERHEAD_BYTES_MAX + story_bytes_max(ERROR.len());
        let has_room = self.journal.has_room(bytes, usize::from(has_more), now)?;
        if has_more && !has_room {
            self.journal.queues.postpone(job, lease, now.plus(FULL_RETRY));
            return Ok(());
        }
        log::info!("the lease {lease} of job {job} ran out (attempt {attempts})");
        let scratch = self.scratch.as_mut().expect("no request is decided meanwhile");
        let (before, out) = (&mut scratch.story_before, &mut scratch.story);
        out.clear();
        if has_room {
            let error = if has_more { "the lease ran out" } else { ERROR };
            write_story(&self.journal, job, (Ending::LeaseRanOut, error), now, before, out);
        }
        let story = StoryText(out);
        let event: Event<'_> = if has_more {
            let retry_at = now.plus(backoff(by, attempts, &mut self.random));
            Timeout { job, lease, retry_at, story }.into()
        } else {
            let text_lost = (!has_room).then_some(true);
            Dead { job, lease, reason: DeathReason::Lease, text_lost, key_until, kept_until, story }.into()
        };
        self.journal.begin_group(if has_room { bytes } else { RECORD_OVERHEAD_BYTES_MAX })?;
        self.journal.record(now, &event, false)?;
        Ok(())
    }
}
