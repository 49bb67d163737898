//! How jobs end, and what can be done about it: a part of `apply`.

use super::Queues;
use super::apply::{Applied, text};
use super::counters::Counters;
use super::deadlines::NIL;
use super::entry::{Entry, Text};
use super::events::{Ack, Cancel, Expire, Part, Purge, Replace, Requeue, Update};
use super::sides::NEVER;
use crate::ids::{JobId, Location, QueueId};
use crate::job::{Before, Standing};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

impl Queues {
    pub(super) fn apply_ack(&mut self, at: Timestamp, ack: &Ack<'_>, result_at: Location) -> Applied<()> {
        let result = text(result_at, ack.result)?;
        let kept_until = self.later(ack.kept_until)?;
        let slot = self.end_attempt(ack.job, ack.lease)?;
        if let Some(until) = kept_until {
            let side = self.sides.made(&mut self.table[slot]);
            self.usage.remove(std::mem::replace(&mut side.text, result));
            self.usage.add(result);
            self.keys.stays(ack.job, ack.key_until);
            self.keep(slot, Standing::Completed, at, until);
        } else {
            let queue = self.remove_job(slot);
            self.keys.gone(ack.job, ack.key_until, &self.registry.queue(queue).name);
            self.count_end(ack.job, queue, Standing::Completed, at);
        }
        self.after.note_over(Before::job(ack.job));
        Ok(())
    }

    pub(super) fn apply_cancel(&mut self, at: Timestamp, cancel: &Cancel<'_>) -> Applied<()> {
        let slot = self.table.slot(cancel.job).ok_or("there is no such job")?;
        let entry = &self.table[slot];
        if !cancel.ends {
            if entry.standing != Standing::InFlight {
                return Err("the job is not in flight");
            }
            self.preserve(slot);
            self.sides.made(&mut self.table[slot]).is_cancelled = !is_planted(Bug::CancelForgotten);
            return Ok(());
        }
        if entry.standing.is_ended() && entry.standing != Standing::Dead {
            return Err("the job has ended");
        }
        let (kept_until, failed_until) = (self.later(cancel.kept_until)?, self.later(cancel.failed_until)?);
        self.leave_state_and_lease(slot);
        self.end(slot, Standing::Cancelled, at, kept_until);
        self.note_failed(cancel.job, at, failed_until);
        Ok(())
    }

    pub(super) fn apply_expire(&mut self, at: Timestamp, expire: &Expire) -> Applied<()> {
        let slot = self.table.slot(expire.job).ok_or("there is no such job")?;
        let entry = &self.table[slot];
        if !entry.standing.is_queued() || (entry.attempts > 0 && !is_planted(Bug::BegunExpires)) {
            return Err("the job was begun, or does not wait");
        }
        if self.sides.rare(entry).is_none_or(|rare| rare.expires_at > at) {
            return Err("the job's time is not over");
        }
        let (kept_until, failed_until) = (self.later(expire.kept_until)?, self.later(expire.failed_until)?);
        self.leave_state(slot);
        self.end(slot, Standing::Expired, at, kept_until);
        self.note_failed(expire.job, at, failed_until);
        Ok(())
    }

    pub(super) fn apply_purge(&mut self, at: Timestamp, purge: &Purge<'_>) -> Applied<()> {
        let slot = self.table.slot(purge.job).ok_or("there is no such job")?;
        if self.table[slot].standing == Standing::InFlight {
            return Err("the job is in flight");
        }
        let failed_until = self.later(purge.failed_until)?;
        let standing = self.table[slot].standing;
        self.leave_state(slot);
        let queue = self.remove_job(slot);
        self.leave_key(purge.job, queue);
        self.registry.queue_mut(queue).counters.purged += 1;
        if !standing.is_ended() || standing == Standing::Dead {
            self.count_member(purge.job, at, |counters| &mut counters.purged);
        }
        if standing == Standing::Completed {
            self.after.note_over(Before::job(purge.job));
        } else {
            self.note_failed(purge.job, at, failed_until);
        }
        Ok(())
    }

    pub(super) fn apply_requeue(&mut self, at: Timestamp, requeue: &Requeue<'_>) -> Applied<()> {
        let slot = self.table.slot(requeue.job).ok_or("there is no such job")?;
        if self.table[slot].standing != Standing::Dead {
            return Err("the job is not dead");
        }
        self.leave_state(slot);
        let entry = &mut self.table[slot];
        entry.attempts = if is_planted(Bug::RequeueCounted) { entry.attempts } else { 0 };
        self.expires_no_more(slot);
        self.keys.goes_on(requeue.job);
        self.after.tombstones.remove(requeue.job);
        self.note_death(requeue.job, at, false);
        self.enter_waiting(slot, Timestamp(0), None);
        Ok(())
    }

    /// A job that is in no state was begun once.
    pub(super) fn expires_no_more(&mut self, slot: u32) {
        let entry = &mut self.table[slot];
        if self.sides.rare(entry).is_some() {
            self.sides.rare_made(entry).expires_at = NEVER;
        }
    }

    pub(super) fn apply_update(&mut self, update: &Update<'_>) -> Applied<()> {
        let slot = self.table.slot(update.job).ok_or("there is no such job")?;
        let entry = &self.table[slot];
        if entry.standing.is_ended() {
            return Err("the job has ended");
        }
        let is_waiting = entry.standing.is_queued();
        let least = entry.attempts + u16::from(is_waiting);
        if update.max_attempts.is_some_and(|max| max < least.max(1)) {
            return Err("the job has had as many attempts");
        }
        let has_time = is_waiting && entry.standing != Standing::Waiting;
        if (!has_time && update.due_at.is_some()) || (!is_waiting && update.expires_at.is_some()) {
            return Err("the job does not wait, or waits for others");
        }
        if !is_waiting {
            self.preserve(slot);
            self.change_settings(slot, update);
            return Ok(());
        }
        let (due_at, order, delay_ms) = match entry.standing {
            Standing::Delayed => (entry.due_at(), None, None),
            Standing::Pending => (Timestamp(0), Some(entry.order()), None),
            _ => (Timestamp(0), None, Some(entry.delay_ms())),
        };
        let order = order.filter(|_| update.priority.is_none());
        self.keeping_its_turn(entry.home, |queues| {
            queues.leave_state(slot);
            queues.change_settings(slot, update);
            match delay_ms {
                Some(delay_ms) => queues.hold_back(slot, delay_ms),
                None => queues.enter_waiting(slot, update.due_at.unwrap_or(due_at), order),
            }
        });
        Ok(())
    }

    fn change_settings(&mut self, slot: u32, update: &Update<'_>) {
        let entry = &mut self.table[slot];
        entry.settings.max_attempts = update.max_attempts.unwrap_or(entry.settings.max_attempts);
        entry.settings.priority = update.priority.unwrap_or(entry.settings.priority);
        if let Some(at) = update.expires_at {
            self.sides.rare_made(entry).expires_at = if at.0 == 0 { NEVER } else { at };
        }
    }

    pub(super) fn apply_replace(&mut self, at: Timestamp, replace: &Replace<'_>, payload_at: Location) -> Applied<()> {
        let slot = self.table.slot(replace.job).ok_or("there is no such job")?;
        let payload = text(payload_at, replace.payload)?;
        let entry = &self.table[slot];
        let has_past = self.sides.side(entry).is_some_and(|side| side.ended_at() != Timestamp(0));
        if !entry.standing.is_queued() || entry.attempts > 0 || has_past {
            return Err("the job was begun, or does not wait");
        }
        let (standing, home) = (entry.standing, entry.home);
        let order = (standing == Standing::Pending).then(|| entry.order());
        let due_at = if is_planted(Bug::ReplacedInPart) { Timestamp(0) } else { replace.due_at };
        self.keeping_its_turn(home, |queues| {
            queues.leave_state(slot);
            queues.replace(slot, replace, payload);
            match standing {
                Standing::Waiting => queues.hold_back(slot, due_at.since(at).0),
                _ => queues.enter_waiting(slot, due_at, order),
            }
        });
        Ok(())
    }

    fn replace(&mut self, slot: u32, replace: &Replace<'_>, payload: Text) {
        let entry = &mut self.table[slot];
        self.usage.remove(std::mem::replace(&mut entry.payload, payload));
        self.usage.add(payload);
        if replace.expires_at.is_some() || self.sides.rare(entry).is_some() {
            self.sides.rare_made(entry).expires_at = replace.expires_at.unwrap_or(NEVER);
        }
        self.keys.set_digest(replace.job, replace.digest);
    }

    /// A moment until which something lasts, if one is said: it is not over yet, and comes.
    pub(super) fn later(&self, until: Option<Timestamp>) -> Applied<Option<Timestamp>> {
        match until {
            Some(until) if until <= self.now || until == NEVER => Err("it lasts until a moment that is past or never"),
            until => Ok(until),
        }
    }

    /// Takes a job out of its state, and ends its lease if it has one.
    pub(super) fn leave_state_and_lease(&mut self, slot: u32) {
        let lease = self.table[slot].lease();
        self.leave_state(slot);
        if let Some(lease) = lease {
            self.end_lease(lease);
        }
    }

    /// A job that is in no state has ended otherwise than by its worker's word: it is kept until then, or gone. Its key
    /// is free.
    fn end(&mut self, slot: u32, standing: Standing, at: Timestamp, kept_until: Option<Timestamp>) {
        let id = self.table[slot].id;
        if let Some(until) = kept_until {
            if !self.keys.is_settled(id) {
                self.free_key(id);
            }
            self.keep(slot, standing, at, until);
        } else {
            let queue = self.remove_job(slot);
            self.leave_key(id, queue);
            self.count_end(id, queue, standing, at);
        }
    }

    /// A job that is in no state has ended, and is kept until then.
    fn keep(&mut self, slot: u32, standing: Standing, at: Timestamp, until: Timestamp) {
        self.forget_waits(self.table[slot].id);
        let side = self.sides.made(&mut self.table[slot]);
        side.set_ended_at(at);
        side.is_cancelled = false;
        self.rest(slot, standing, until);
        let queue = self.groups.queue_of(self.table[slot].home);
        self.count_end(self.table[slot].id, queue, standing, at);
    }

    /// Puts a job that is in no state to those that have ended and are there until then.
    pub(super) fn rest(&mut self, slot: u32, standing: Standing, until: Timestamp) {
        self.table[slot].set_kept_until(until);
        if until != NEVER {
            self.kept.insert(&mut self.table, slot);
        }
        self.enter_state(slot, standing);
    }

    /// A job has ended so: it is counted in its queue and its batch.
    fn count_end(&mut self, id: JobId, queue: QueueId, standing: Standing, at: Timestamp) {
        let of: fn(&mut Counters) -> &mut u64 = match standing {
            Standing::Cancelled => |counters| &mut counters.cancelled,
            Standing::Expired => |counters| &mut counters.expired,
            _ => |counters| &mut counters.completed,
        };
        *of(&mut self.registry.queue_mut(queue).counters) += 1;
        self.count_member(id, at, of);
    }

    /// The jobs whose time to be kept is over are gone, without an event.
    pub(super) fn drop_kept(&mut self, due: &mut Vec<u32>) {
        let now = self.now;
        self.kept.advance(&mut self.table, now, due);
        due.sort_unstable_by_key(|slot| self.table[*slot].id);
        for slot in due.drain(..) {
            for part in Part::ALL {
                self.faded.extend(self.part(slot, *part).map(|text| text.at.epoch));
            }
            let Entry { id, standing, .. } = self.table[slot];
            let until = self.table[slot].kept_until();
            self.leave_state(slot);
            let queue = self.remove_job(slot);
            self.keys.leaves(id, &self.registry.queue(queue).name);
            if standing == Standing::Dead {
                self.count_member(id, until, |counters| &mut counters.purged);
                self.after.note_faded(id, until);
            }
        }
    }

    /// A job has ended, or is gone, and did not complete: that is known until then, and by who waits for it in any
    /// case.
    fn note_failed(&mut self, job: JobId, at: Timestamp, failed_until: Option<Timestamp>) {
        if let Some(until) = failed_until {
            self.after.tombstones.put(job, until);
        } else if !self.after.tombstones.has(job) {
            self.after.note_faded(job, at);
        }
        self.after.note_over(Before::job(job));
    }

    /// A job is gone that did not end by its worker's word: its key is free, unless it is held until a moment.
    fn leave_key(&mut self, job: JobId, queue: QueueId) {
        if self.keys.is_settled(job) {
            self.keys.leaves(job, &self.registry.queue(queue).name);
        } else {
            self.free_key(job);
        }
    }

    fn free_key(&mut self, job: JobId) {
        let until = if is_planted(Bug::KeyStays) { NEVER } else { Timestamp(0) };
        self.keys.gone(job, until, "");
        self.keys.advance(self.now);
    }

    /// Takes a job that is in no state out of the table; gives its queue.
    pub(super) fn remove_job(&mut self, slot: u32) -> QueueId {
        let entry = &self.table[slot];
        let (id, home, payload) = (entry.id, entry.home, entry.payload);
        let queue = self.groups.queue_of(home);
        self.usage.remove(payload);
        if entry.side != NIL {
            for text in self.sides.remove(entry) {
                self.usage.remove(text);
            }
        }
        self.table.remove(slot);
        self.forget_waits(id);
        self.leave_group(home);
        queue
    }
}
