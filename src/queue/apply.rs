//! `apply`: the only function that changes what is durable.

mod enqueue;

use std::fmt;

use super::entry::{Entry, Text};
use super::events::{Dead, Dispatch, Move, Part, Release, ReleaseReason};
use super::groups::Home;
use super::leases::Granted;
use super::sides::NEVER;
use super::{Event, Queues};
use crate::ids::{JobId, LeaseId, Location, Lsn};
use crate::job::{Before, Ending, Standing, StoryText};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// An event that does not fit the state: the log was not written by this state machine, or is damaged in a way
/// that its checksums do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    lsn: Lsn,
    event: &'static str,
    job: Option<JobId>,
    why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { lsn, event, job, why } = self;
        write!(f, "record {lsn}, {event}")?;
        if let Some(job) = job {
            write!(f, " of job {job},")?;
        }
        write!(f, " does not fit what came before it: {why}")
    }
}

impl std::error::Error for Broken {}

pub(super) type Applied<T> = Result<T, &'static str>;

impl Queues {
    /// Carries out one event: `lsn` and `at` are those of its record; `tail_at` is where its tail lies in the log.
    ///
    /// # Errors
    /// When the event does not fit the state; but for the time, the state is then unchanged.
    pub fn apply(&mut self, lsn: Lsn, at: Timestamp, event: &Event<'_>, tail_at: Location) -> Result<(), Broken> {
        self.advance(at);
        self.faded.clear();
        let outcome = match event {
            Event::Enqueue(job) => self.apply_enqueue(lsn, at, job, tail_at),
            Event::Dispatch(dispatch) => self.apply_dispatch(lsn, at, dispatch),
            Event::Ack(ack) => self.apply_ack(at, ack, tail_at),
            Event::Retry(retry) => self
                .has_attempts(retry.job)
                .and_then(|()| self.fail_attempt(retry.job, retry.lease, at, Ending::Failed, retry.story, tail_at))
                .map(|slot| self.enter_waiting(slot, retry.retry_at, None)),
            Event::Timeout(timeout) => self
                .has_attempts(timeout.job)
                .and_then(|()| {
                    self.fail_attempt(timeout.job, timeout.lease, at, Ending::LeaseRanOut, timeout.story, tail_at)
                })
                .map(|slot| self.enter_waiting(slot, timeout.retry_at, None)),
            Event::Dead(dead) => self.apply_dead(at, dead, tail_at),
            Event::Release(release) => self.give_back(release),
            Event::Ready(ready) => self.apply_ready(at, ready.job),
            Event::Move(moved) => self.apply_move(moved, tail_at),
            Event::Forget(forget) => self.apply_forget(forget.queue),
            Event::Cancel(cancel) => self.apply_cancel(at, cancel),
            Event::Requeue(requeue) => self.apply_requeue(at, requeue),
            Event::Purge(purge) => self.apply_purge(at, purge),
            Event::Expire(expire) => self.apply_expire(at, expire),
            Event::Update(update) => self.apply_update(update),
            Event::Replace(replace) => self.apply_replace(at, replace, tail_at),
            Event::Pause(pause) => self.apply_pause(pause),
            Event::Resume(resume) => self.apply_resume(resume),
            Event::Set(set) => self.apply_set(set),
            Event::SetGroup(set) => self.apply_set_group(set),
            of_many => self.apply_of_many(at, of_many),
        };
        outcome.map_err(|why| Broken { lsn, event: event.name(), job: event.job(), why })
    }

    /// Events of batches and schedules.
    fn apply_of_many(&mut self, at: Timestamp, event: &Event<'_>) -> Applied<()> {
        match event {
            Event::Begin(begin) => self.apply_begin(begin),
            Event::End(end) => self.apply_end(at, end.batch),
            Event::Admit(admit) => self.apply_admit(at, admit.batch, admit.upto),
            Event::CallOff(called_off) => self.apply_call_off(at, called_off.batch),
            Event::Schedule(schedule) => self.apply_schedule(schedule),
            Event::Unschedule(unschedule) => self.apply_unschedule(unschedule),
            Event::Tick(tick) => self.apply_tick(at, tick),
            Event::Suspend(suspend) => self.apply_suspend(suspend),
            Event::Continue(goes_on) => self.apply_continue(goes_on),
            other => unreachable!("{} is carried out before", other.name()),
        }
    }

    fn apply_dead(&mut self, at: Timestamp, dead: &Dead<'_>, story_at: Location) -> Applied<()> {
        let kept_until = self.later(dead.kept_until)?.unwrap_or(NEVER);
        let slot = self.fail_attempt(dead.job, dead.lease, at, dead.reason.ending(), dead.story, story_at)?;
        self.rest(slot, Standing::Dead, kept_until);
        self.note_death(dead.job, at, true);
        self.after.note_over(Before::job(dead.job));
        let queue = self.groups.queue_of(self.table[slot].home);
        self.registry.queue_mut(queue).counters.died += 1;
        self.keys.stays(dead.job, dead.key_until.unwrap_or_default());
        Ok(())
    }

    fn apply_move(&mut self, moved: &Move<'_>, tail_at: Location) -> Applied<()> {
        let slot = self.table.slot(moved.job).ok_or("there is no such job")?;
        let after = text(tail_at, moved.bytes)?;
        let before = self.part(slot, moved.part).ok_or("the job has no such part")?;
        if before.bytes != after.bytes {
            return Err("its bytes are another number");
        }
        self.preserve(slot);
        self.usage.remove(before);
        self.usage.add(after);
        let entry = &mut self.table[slot];
        match moved.part {
            Part::Payload => entry.payload = after,
            Part::Story | Part::Result => self.sides.made(entry).text = after,
            Part::Headers => self.sides.rare_made(entry).headers = after,
        }
        Ok(())
    }

    fn apply_dispatch(&mut self, lsn: Lsn, at: Timestamp, dispatch: &Dispatch<'_>) -> Applied<()> {
        let Dispatch { job, lease_ms, attempt, worker } = *dispatch;
        let slot = self.table.slot(job).ok_or("there is no such job")?;
        let entry = &self.table[slot];
        if entry.standing != Standing::Pending {
            return Err("the job is not pending");
        }
        if attempt > entry.settings.max_attempts || Some(attempt) != entry.attempts.checked_add(1) {
            return Err("it is not the job's next attempt");
        }
        let (timeout_ms, order, home) = (entry.settings.timeout_ms, entry.order(), entry.home);
        self.leave_state(slot);
        let worker = self.names.take(worker);
        let granted = Granted { id: LeaseId(lsn.0), job, lease_ms, worker, given_at: at, order };
        let lease = self.leases.grant(granted, timeout_ms);
        self.keys.started(job);
        let entry = &mut self.table[slot];
        entry.attempts = attempt;
        entry.set_lease(lease);
        self.enter_state(slot, Standing::InFlight);
        self.count_dispatch(home);
        Ok(())
    }

    /// Ends an attempt that does not count: the job waits where it stood in line, or until its time has come.
    fn give_back(&mut self, release: &Release) -> Applied<()> {
        let Release { job, lease, due_at, reason } = *release;
        let order = self.lease_index(job, lease).map(|index| self.leases.lease(index).granted.order);
        let slot = self.end_attempt(job, lease)?;
        self.table[slot].attempts -= 1;
        if reason == ReleaseReason::Begun && !is_planted(Bug::BegunExpires) {
            self.expires_no_more(slot);
        }
        self.enter_waiting(slot, due_at, order);
        Ok(())
    }

    /// Another attempt can only follow where one is left.
    fn has_attempts(&self, job: JobId) -> Applied<()> {
        let entry = &self.table[self.table.slot(job).ok_or("there is no such job")?];
        if entry.attempts < entry.settings.max_attempts { Ok(()) } else { Err("it has no attempts left") }
    }

    /// Ends the attempt of this lease; the job is then in no state, and the caller puts it into one.
    pub(super) fn end_attempt(&mut self, job: JobId, lease: LeaseId) -> Applied<u32> {
        let slot = self.table.slot(job).ok_or("there is no such job")?;
        let index = self.lease_at(slot, lease).ok_or("the lease is not the job's live lease")?;
        if self.sides.side(&self.table[slot]).is_some_and(|side| side.is_cancelled) {
            return Err("the job was cancelled");
        }
        self.leave_state(slot);
        self.end_lease(index);
        Ok(slot)
    }

    /// The same for an attempt that counts: it is remembered how it ended. With no story the one before stays.
    fn fail_attempt(
        &mut self,
        job: JobId,
        lease: LeaseId,
        ended_at: Timestamp,
        ending: Ending,
        story: StoryText<'_>,
        story_at: Location,
    ) -> Applied<u32> {
        let story = text(story_at, story.0)?;
        let slot = self.end_attempt(job, lease)?;
        let side = self.sides.made(&mut self.table[slot]);
        side.ending = Some(ending);
        side.set_ended_at(ended_at);
        if story.bytes > 0 {
            self.usage.remove(std::mem::replace(&mut side.text, story));
            self.usage.add(story);
        }
        Ok(slot)
    }

    pub(super) fn end_lease(&mut self, index: u32) {
        let worker = self.leases.end(index);
        self.names.put_back(worker);
    }

    /// Makes a job pending, at this place in line or at the end, or delayed if its time is not yet reached.
    pub(super) fn enter_waiting(&mut self, slot: u32, due_at: Timestamp, order: Option<u64>) {
        if due_at > self.now {
            self.table[slot].set_due_at(due_at);
            self.delayed.insert(&mut self.table, slot);
            self.enter_state(slot, Standing::Delayed);
        } else {
            self.enter_pending(slot, order);
        }
    }

    pub(super) fn enter_pending(&mut self, slot: u32, order: Option<u64>) {
        let order = order.unwrap_or_else(|| self.new_place(slot));
        self.table[slot].set_order(order);
        self.line_up(slot);
    }

    /// A place at the end of a line. Where groups are in strict order a job that is tried again stands at the front:
    /// all others of its group came after it.
    fn new_place(&mut self, slot: u32) -> u64 {
        let entry = &self.table[slot];
        let rules = if self.ruled.is_empty() { None } else { self.rules_of(entry) };
        if entry.attempts > 0 && rules.is_some_and(|rules| rules.settings.strict == Some(true)) {
            self.front = self.front.saturating_sub(1);
            return self.front;
        }
        self.back += 1;
        self.back
    }

    /// Puts a job that has its place in line there.
    pub(super) fn line_up(&mut self, slot: u32) {
        let home = self.table[slot].home;
        let id = self.groups.queue_of(home);
        match home.group() {
            None => self.registry.queue_mut(id).lines.insert(&mut self.table, slot),
            Some(group) => self.groups.line_up(group, &mut self.table, slot),
        }
        self.registry.wake(id);
        self.enter_state(slot, Standing::Pending);
    }

    pub(super) fn enter_state(&mut self, slot: u32, standing: Standing) {
        let entry = &mut self.table[slot];
        entry.standing = standing;
        let home = entry.home;
        let queue = self.registry.queue_mut(self.groups.queue_of(home));
        queue.used_at = self.now;
        *queue.counters.of(standing) += 1;
        let has_turns = queue.turns.is_some();
        let retries = is_retrying(entry);
        if standing.is_queued() {
            queue.counters.waiting_bytes += u64::from(entry.payload.bytes);
            self.retrying += usize::from(retries);
            self.held_back += usize::from(standing == Standing::Waiting);
            queue.counters.retrying += u64::from(retries);
            if entry.attempts == 0 || is_planted(Bug::BegunExpires) {
                self.sides.enter_wheel(entry, slot);
            }
        } else if standing.is_ended() {
            self.ended += 1;
            self.dead += usize::from(standing == Standing::Dead);
        }
        if has_turns {
            self.note_group(home, standing, retries, true);
        }
        if !self.batches.is_empty() {
            self.note_member(self.table[slot].id, standing, true);
        }
    }

    /// A job has left its state: its group and its batch are told.
    fn note_leaving(&mut self, slot: u32, (home, has_turns): (Home, bool), standing: Standing, retries: bool) {
        if has_turns {
            self.note_group(home, standing, retries, false);
        }
        if !self.batches.is_empty() {
            self.note_member(self.table[slot].id, standing, false);
        }
    }

    /// Takes a job out of its state: out of its line or of its wheel, if `advance` has not done that.
    pub(super) fn leave_state(&mut self, slot: u32) {
        self.preserve(slot);
        let entry = &self.table[slot];
        let (home, standing, retries) = (entry.home, entry.standing, is_retrying(entry));
        let id = self.groups.queue_of(home);
        let queue = self.registry.queue_mut(id);
        let has_turns = queue.turns.is_some();
        queue.used_at = self.now;
        *queue.counters.of(standing) -= 1;
        if entry.standing.is_queued() {
            queue.counters.waiting_bytes -= u64::from(entry.payload.bytes);
            self.retrying -= usize::from(retries);
            queue.counters.retrying -= u64::from(retries);
            self.sides.leave_wheel(entry);
        }
        match standing {
            Standing::Pending => match home.group() {
                None => queue.lines.remove(&mut self.table, slot),
                Some(group) => self.groups.leave_line(group, &mut self.table, slot),
            },
            Standing::Delayed => self.delayed.remove(&mut self.table, slot),
            Standing::Waiting => {
                self.held_back -= 1;
                self.leave_waits(self.table[slot].id);
            }
            // Its place may be what another waits for.
            Standing::InFlight if queue.rules.is_some() => self.registry.wake(id),
            Standing::InFlight => {}
            Standing::Dead | Standing::Completed | Standing::Cancelled | Standing::Expired => {
                self.dead -= usize::from(standing == Standing::Dead);
                self.kept.remove(&mut self.table, slot);
                self.ended -= 1;
            }
        }
        self.note_leaving(slot, (home, has_turns), standing, retries);
    }
}

/// Whether it waits for its time and was tried before.
fn is_retrying(entry: &Entry) -> bool {
    entry.standing == Standing::Delayed && entry.attempts > 0
}

/// The place of bytes that lie in the log; none at all lie nowhere.
pub(super) fn text(at: Location, bytes: &[u8]) -> Applied<Text> {
    let length = u32::try_from(bytes.len()).map_err(|_| "its bytes are too many")?;
    Ok(if length == 0 { Text::default() } else { Text { at, bytes: length } })
}

#[cfg(test)]
mod tests;
