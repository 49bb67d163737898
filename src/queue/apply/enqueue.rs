//! A job is accepted.

use super::{Applied, text};
use crate::ids::{JobId, Location, Lsn};
use crate::job::Unique;
use crate::limits::{JOB_ID_END, JOB_IDS_AHEAD_MAX};
use crate::planted::{Bug, is_planted};
use crate::queue::Queues;
use crate::queue::entry::{Entry, Text};
use crate::queue::events::Enqueue;
use crate::queue::sides::NEVER;
use crate::time::Timestamp;

impl Queues {
    pub(super) fn apply_enqueue(
        &mut self,
        lsn: Lsn,
        at: Timestamp,
        job: &Enqueue<'_>,
        payload_at: Location,
    ) -> Applied<()> {
        self.is_next(lsn, job.job)?;
        self.may_enter(job)?;
        let payload = text(payload_at, job.payload)?;
        let headers = headers_of(job, payload_at)?;
        let queue = self.registry.used(job.queue).ok_or("there are too many queues")?;
        let home = self.home(queue, job.group.unwrap_or_default());
        self.next_job = JobId(job.job.0 + 1);
        if !job.key.is_empty() {
            self.keys.hold(job.key, job.job, job.digest.unwrap_or(0), unique(job));
        }
        let slot = self.table.insert(Entry {
            id: job.job,
            payload,
            home,
            settings: job.settings,
            submitted_at: at.into(),
            ..Entry::vacant()
        });
        self.enter_group(home);
        self.join(job);
        self.usage.add(payload);
        if headers.bytes > 0 || job.keep_s.is_some() || job.backoff.is_some() || job.expires_at.is_some() {
            self.settle(slot, job, headers);
        }
        self.enter_first(slot, job);
        Ok(())
    }

    /// Whether there is a place for a job as it says of itself.
    fn may_enter(&self, job: &Enqueue<'_>) -> Applied<()> {
        if !job.key.is_empty() && self.keys.held(job.key).is_some() {
            return Err("its key is still remembered for another job");
        }
        if self.lacks_group(job.queue, job.group.unwrap_or_default()) {
            return Err("there are too many groups");
        }
        is_sane(job)?;
        self.may_wait(job)?;
        self.may_join(job)?;
        self.later(job.key_until).map(drop)
    }

    /// Puts a job that was just accepted where it begins.
    fn enter_first(&mut self, slot: u32, job: &Enqueue<'_>) {
        if job.before.is_some() {
            self.enter_waits(slot, job);
        } else if job.batch.is_some() && !is_planted(Bug::BatchEarly) {
            self.hold_back(slot, job.delay_ms.unwrap_or_default());
        } else {
            self.enter_waiting(slot, job.due_at, None);
        }
    }

    /// Whether a new job can have this id.
    fn is_next(&self, lsn: Lsn, id: JobId) -> Applied<()> {
        if id < self.next_job || id.0 >= JOB_ID_END {
            return Err("its id is not above all ids before it");
        }
        // The table takes memory for all ids between the oldest job and the newest.
        if id.0 > lsn.0.saturating_add(JOB_IDS_AHEAD_MAX) {
            return Err("its id is far above the number of records");
        }
        Ok(())
    }

    /// What a plain job does not have.
    fn settle(&mut self, slot: u32, job: &Enqueue<'_>, headers: Text) {
        let entry = &mut self.table[slot];
        if let Some(keep_s) = job.keep_s {
            self.sides.set_keep_s(entry, keep_s);
        }
        if headers.bytes > 0 || job.backoff.is_some() || job.expires_at.is_some() {
            let rare = self.sides.rare_made(entry);
            (rare.headers, rare.backoff) = (headers, job.backoff);
            rare.expires_at = job.expires_at.unwrap_or(NEVER);
            self.usage.add(headers);
        }
    }
}

/// Whether a job can be what it is said to be, whatever the state is.
fn is_sane(job: &Enqueue<'_>) -> Applied<()> {
    if job.settings.max_attempts == 0 {
        return Err("it may never be tried");
    }
    // In a snapshot no name stands for a queue that is gone.
    if job.queue.is_empty() {
        return Err("it names no queue");
    }
    if job.backoff.is_some_and(|backoff| backoff.first_ms == 0) {
        return Err("its backoff is none");
    }
    Ok(())
}

/// How long its key is held.
fn unique(job: &Enqueue<'_>) -> (Unique, Option<Timestamp>) {
    match (job.key_until, job.key_until_start) {
        (Some(until), _) => (Unique::Until, Some(until)),
        (None, Some(true)) => (Unique::UntilStart, None),
        _ => (Unique::ToEnd, None),
    }
}

/// Where the headers of a job lie: right before its payload.
fn headers_of(job: &Enqueue<'_>, payload_at: Location) -> Applied<Text> {
    let headers = job.headers.unwrap_or_default().0;
    let before = u32::try_from(headers.len()).map_err(|_| "its headers are too many")?;
    let offset = payload_at.offset.checked_sub(before).ok_or("its headers lie before its record")?;
    text(Location { offset, ..payload_at }, headers)
}
