//! Mending: jobs are cancelled, requeued, purged and updated, each by itself. Cancelling, and purging what waits or
//! is dead, have their room kept, but for the name of who did it, so that a full disk does not stop them.

use super::super::answers::{Answer, Decided};
use super::super::journal::Journal;
use super::Scratch;
use super::reports::{failed_until, kept_until};
use super::submit::due_at;
use crate::ids::JobId;
use crate::job::Standing;
use crate::limits::RECORD_OVERHEAD_BYTES_MAX;
use crate::protocol::{Change, ErrorCode, ItemStatus, List, Mend, MendOk, Updated};
use crate::queue::events::{Cancel, Purge, Requeue, Update};
use crate::queue::{Event, JobFacts};
use crate::time::{Millis, Timestamp};
use crate::wal::WalError;

/// Changes the jobs that are named.
pub(super) fn mend<'s>(
    journal: &mut Journal,
    (by, key_window): (&str, Millis),
    mend: &Mend<'_>,
    now: Timestamp,
    scratch: &'s mut Scratch,
) -> Decided<'s> {
    let update = mend.update.unwrap_or_default();
    let changing = Changing { by, change: mend.change, update, key_window, now };
    scratch.statuses.clear();
    for job in mend.jobs.iter() {
        let status = changing.job(journal, job)?.map_or(0, ErrorCode::code);
        scratch.statuses.push(ItemStatus { job, status, text_lost: None });
    }
    let Scratch { statuses, written, .. } = scratch;
    Ok(Answer::told::<Mend<'_>>(&MendOk { items: List::lent(statuses) }, written))
}

/// A change of jobs that somebody asked for.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Changing<'c> {
    pub by: &'c str,
    pub change: Change,
    pub update: Updated,
    /// How long it is known of a job that is gone that it did not complete.
    pub key_window: Millis,
    pub now: Timestamp,
}

impl Changing<'_> {
    /// Changes a job; tells why it was not done, if it was not. What is there already is done.
    pub fn job(&self, journal: &mut Journal, job: JobId) -> Result<Option<ErrorCode>, WalError> {
        let Some(facts) = journal.queues.facts(job) else { return Ok(Some(ErrorCode::NotFound)) };
        match self.change {
            Change::Cancel | Change::CancelNow => self.cancel(journal, job),
            Change::Purge if facts.standing == Standing::InFlight => Ok(Some(ErrorCode::WrongState)),
            // What is kept goes by itself, and no room is kept to purge it.
            Change::Purge if facts.standing.is_ended() && facts.standing != Standing::Dead => {
                // What it came to is told already, of one that did not complete by its tombstone.
                let event = Purge { job, by: Some(self.by), failed_until: None };
                self.write_if_room(journal, event.into(), 0)
            }
            Change::Purge => {
                let by = self.by_if_room(journal)?;
                let failed_until = failed_until(None, self.now, self.key_window);
                self.write(journal, Purge { job, by, failed_until }.into())
            }
            Change::Requeue if facts.standing != Standing::Dead => Ok(Some(ErrorCode::WrongState)),
            // It would be cancelled again.
            Change::Requeue if facts.batch.is_some_and(|batch| batch.is_called_off) => Ok(Some(ErrorCode::WrongState)),
            Change::Requeue => {
                let event = Requeue { job, by: Some(self.by) };
                self.write_if_room(journal, event.into(), 1)
            }
            Change::Update if !self.fits(&facts) => Ok(Some(ErrorCode::WrongState)),
            Change::Update if self.update == Updated::default() => Ok(None),
            Change::Update => {
                let event = self.updating(job);
                self.write_if_room(journal, event, 0)
            }
        }
    }

    fn cancel(&self, journal: &mut Journal, job: JobId) -> Result<Option<ErrorCode>, WalError> {
        let Some(facts) = journal.queues.facts(job) else { return Ok(Some(ErrorCode::NotFound)) };
        let is_waited_for = facts.standing == Standing::InFlight && self.change == Change::Cancel;
        match facts.standing {
            Standing::Cancelled => return Ok(None),
            Standing::Completed | Standing::Expired => return Ok(Some(ErrorCode::WrongState)),
            _ if is_waited_for && facts.more.is_cancelled => return Ok(None),
            _ => {}
        }
        let by = self.by_if_room(journal)?;
        let kept_until = kept_until(Some(journal.queues.keep_s(job)), self.now).filter(|_| !is_waited_for);
        let failed_until = failed_until(kept_until, self.now, self.key_window).filter(|_| !is_waited_for);
        self.write(journal, Cancel { job, ends: !is_waited_for, kept_until, by, failed_until, before: None }.into())
    }

    /// Whether an update can be carried out on this job.
    fn fits(&self, facts: &JobFacts<'_>) -> bool {
        let Updated { max_attempts, delay_ms, ttl_ms, .. } = self.update;
        let attempts = facts.view.attempts;
        let waits = facts.standing.is_queued();
        let least = (attempts + u16::from(waits)).max(1);
        let has_attempts = max_attempts.is_none_or(|max| max >= least);
        let has_time = delay_ms.is_none() || facts.standing != Standing::Waiting;
        let needs_wait = delay_ms.is_some() || ttl_ms.is_some();
        // One that was begun does not expire.
        let may_expire = ttl_ms.is_none_or(|ttl_ms| ttl_ms == 0 || attempts == 0);
        !facts.standing.is_ended() && has_attempts && has_time && (waits || !needs_wait) && may_expire
    }

    fn updating(&self, job: JobId) -> Event<'_> {
        let Updated { priority, max_attempts, delay_ms, ttl_ms } = self.update;
        let expires_at = |ttl_ms| if ttl_ms == 0 { Timestamp(0) } else { self.now.plus(Millis(ttl_ms)) };
        Update {
            job,
            priority,
            by: Some(self.by),
            max_attempts,
            due_at: delay_ms.map(|delay_ms| due_at(delay_ms, self.now)),
            expires_at: ttl_ms.map(expires_at),
        }
        .into()
    }

    /// Who did it, where there is room to say so.
    fn by_if_room(&self, journal: &mut Journal) -> Result<Option<&str>, WalError> {
        Ok(journal.has_room(RECORD_OVERHEAD_BYTES_MAX, 0, self.now)?.then_some(self.by))
    }

    fn write(&self, journal: &mut Journal, event: Event<'_>) -> Result<Option<ErrorCode>, WalError> {
        journal.record_alone(self.now, &event)?;
        Ok(None)
    }

    fn write_if_room(
        &self,
        journal: &mut Journal,
        event: Event<'_>,
        more: usize,
    ) -> Result<Option<ErrorCode>, WalError> {
        if !journal.has_room(RECORD_OVERHEAD_BYTES_MAX, more, self.now)? {
            return Ok(Some(ErrorCode::StorageFull));
        }
        self.write(journal, event)
    }
}
