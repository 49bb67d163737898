//! Lists, counts and changes by filter, a page at a time. A page may hold nothing and not be the last.

use std::time::Duration;

use super::jobs::of_update;
use crate::client::{Client, ClientError};
use crate::ids::JobId;
use crate::limits::SCAN_MS_MAX;
use crate::protocol::{Change, CountJobs, ErrorCount, Filter, JobRow, ListJobs, MendAll, Updated};
use crate::time::Timestamp;

/// How much longer such a request may take: it goes in slices, and others have their turns.
const SCAN_WAIT: Duration = Duration::from_millis(SCAN_MS_MAX);

/// What a list tells of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedJob {
    /// The job.
    pub job: JobId,
    /// Its queue.
    pub queue: String,
    /// Its key, or empty.
    pub key: String,
    /// Where it stands, as [`Standing::code`](crate::job::Standing::code) has it.
    pub standing: u8,
    /// Its priority.
    pub priority: u8,
    /// Attempts so far.
    pub attempts: u16,
    /// How many there may be.
    pub max_attempts: u16,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Until when it is delayed, if it is.
    pub due_at: Option<Timestamp>,
    /// When it ended, or its last attempt, if that did.
    pub ended_at: Option<Timestamp>,
    /// Why its last attempt failed, the beginning of it.
    pub error: Option<String>,
    /// Which kind of error that is; see [`ErrorKind`].
    pub error_kind: Option<u64>,
    /// Who has it.
    pub worker: Option<String>,
    /// Since when it may have been started.
    pub begun_at: Option<Timestamp>,
    /// How far it is, in percent, as its worker has told.
    pub percent: Option<u8>,
    /// And its words, if it has told any.
    pub progress: Option<String>,
    /// Its group, if it is in one.
    pub group: Option<String>,
}

/// A page of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsPage {
    /// The jobs.
    pub jobs: Vec<ListedJob>,
    /// Where the next page begins, if there is one.
    pub next: Option<JobId>,
}

/// Jobs whose last attempts failed for the same reason, but for numbers and ids in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorKind {
    /// The number of this kind, for a filter.
    pub kind: u64,
    /// How many jobs.
    pub count: u64,
    /// One of them.
    pub job: JobId,
    /// The beginning of its error.
    pub error: String,
    /// When the first of these attempts ended, if the master tells.
    pub first_at: Option<Timestamp>,
    /// When the last of them did.
    pub last_at: Option<Timestamp>,
}

impl ErrorKind {
    /// Adds what another page tells of the same kind.
    pub fn add(&mut self, other: &ErrorKind) {
        self.count += other.count;
        self.first_at = self.first_at.into_iter().chain(other.first_at).min();
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// How many jobs of a page are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountPage {
    /// How many.
    pub count: u64,
    /// The most frequent kinds of their errors first, where that was asked for. Those past 1,000 are in the count
    /// alone.
    pub errors: Vec<ErrorKind>,
    /// Where the next page begins, if there is one.
    pub next: Option<JobId>,
}

/// What came of a page of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MendPage {
    /// How many jobs were changed.
    pub done: u64,
    /// Of how many that was refused.
    pub refused: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<JobId>,
    /// When the first page was asked for; the next page has to say it.
    pub since: Timestamp,
}

impl From<JobRow<'_>> for ListedJob {
    fn from(row: JobRow<'_>) -> Self {
        ListedJob {
            job: row.job,
            queue: row.queue.to_owned(),
            key: row.key.to_owned(),
            standing: row.standing,
            priority: row.priority,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            submitted_at: row.submitted_at,
            due_at: Some(row.due_at).filter(|at| at.0 > 0),
            ended_at: row.ended_at,
            error: row.error.map(str::to_owned),
            error_kind: row.error_kind,
            worker: row.worker.map(str::to_owned),
            begun_at: row.begun_at,
            percent: row.percent,
            progress: row.progress.map(str::to_owned),
            group: row.group.map(str::to_owned),
        }
    }
}

impl From<ErrorCount<'_>> for ErrorKind {
    fn from(told: ErrorCount<'_>) -> Self {
        let ErrorCount { kind, count, job, error, first_at, last_at } = told;
        ErrorKind { kind, count, job, error: error.to_owned(), first_at, last_at }
    }
}

impl Client {
    /// Lists jobs by their ids, from this one on, or all: up to `limit`, 1 to 1,024.
    pub fn list(
        &self,
        filter: Filter<'_>,
        from: Option<JobId>,
        newest_first: bool,
        limit: u16,
    ) -> Result<JobsPage, ClientError> {
        let from = from.unwrap_or_default();
        let answer = self.begin(ListJobs { filter, from, newest_first, limit }, SCAN_WAIT)?.wait()?;
        let told = answer.read::<ListJobs<'_>>()?;
        Ok(JobsPage { jobs: told.jobs.iter().map(ListedJob::from).collect(), next: page_after(told.next) })
    }

    /// Counts jobs, from this one on, or all; by the errors of their last attempts, too, and then only those that have
    /// one.
    pub fn count(&self, filter: Filter<'_>, from: Option<JobId>, by_error: bool) -> Result<CountPage, ClientError> {
        let from = from.unwrap_or_default();
        let answer = self.begin(CountJobs { filter, from, by_error }, SCAN_WAIT)?.wait()?;
        let told = answer.read::<CountJobs<'_>>()?;
        let errors = told.errors.iter().map(ErrorKind::from).collect();
        Ok(CountPage { count: told.count, errors, next: page_after(told.next) })
    }

    /// Changes jobs that are meant, behind `before`, the page before. Without one, nothing is changed yet: the page
    /// that comes back fixes which jobs may be meant, so that each page after it can be asked for again. None is then
    /// cancelled, requeued or purged twice; an update counts its delays from each time that it is carried out.
    pub fn mend_all(
        &self,
        change: Change,
        update: Updated,
        filter: Filter<'_>,
        before: Option<MendPage>,
    ) -> Result<MendPage, ClientError> {
        let MendPage { next, since, .. } = before.unwrap_or_default();
        let request =
            MendAll { change, filter, from: next.unwrap_or_default(), since, update: of_update(change, update) };
        let answer = self.begin(request, SCAN_WAIT)?.wait()?;
        let told = answer.read::<MendAll<'_>>()?;
        Ok(MendPage { done: told.done, refused: told.refused, next: page_after(told.next), since: told.since })
    }
}

fn page_after(next: JobId) -> Option<JobId> {
    Some(next).filter(|next| next.0 > 0)
}
