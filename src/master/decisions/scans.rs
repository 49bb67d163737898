//! Lists, counts and changes by filter: a scan is begun and parked, and what came of it is told.

use super::super::answers::Answer;
use super::super::journal::Journal;
use super::super::parked::{Caller, Parked, Wish};
use super::super::reading::{Read, TextsFor, Wanted};
use super::super::scans::{Aim, JobError, KindCount, Scan, Scans, Slice, Words};
use super::super::{Master, Timestamp};
use super::looks::some;
use crate::ids::{JobId, SessionId};
use crate::limits::{SCAN_MS_MAX, SCANS_MAX};
use crate::protocol::{
    CountJobsOk, ErrorCode, ErrorCount, Filter, Header, JobRow, List, ListJobsOk, MendAll, MendAllOk, Refusal, Reply,
    Request,
};
use crate::queue::{JobFacts, Sought};
use crate::time::Millis;
use crate::wal::WalError;

/// The first page of a change by filter changes nothing: it fixes the moment by which a job has to be one that is
/// meant, so that every later page can be asked for again.
pub(super) fn first_page<'s>(mend: &MendAll<'_>, now: Timestamp, written: &'s mut Vec<u8>) -> Answer<'s> {
    let next = mend.from.max(JobId(1));
    Answer::told::<MendAll<'_>>(&MendAllOk { next, since: now, ..MendAllOk::default() }, written)
}

/// Begins a scan; gives the number of the parked request.
pub(super) fn begin(
    (journal, parked, scans): (&Journal, &mut Parked, &mut Scans),
    (session, by, key_window): (SessionId, &str, Millis),
    header: &Header,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<u32, Refusal> {
    if scans.len() >= SCANS_MAX {
        let text = format!("{SCANS_MAX} lists, counts and changes by filter are under way already; try again later");
        return Err(Refusal::new(ErrorCode::Unavailable, text));
    }
    let (aim, filter, from, newest_first) = match request {
        Request::ListJobs(list) => {
            (Aim::List { limit: usize::from(list.limit) }, list.filter, list.from, list.newest_first)
        }
        Request::CountJobs(count) => (Aim::Count { by_error: count.by_error }, count.filter, count.from, false),
        Request::MendAll(mend) => {
            let since = mend.since;
            let update = mend.update.unwrap_or_default();
            let aim = Aim::Mend { change: mend.change, update, by: by.into(), key_window, since };
            (aim, mend.filter, mend.from, false)
        }
        other => unreachable!("{} is no scan", other.kind()),
    };
    let mut sought = sought(&filter, now);
    if let Aim::Mend { since, .. } = &aim {
        // What came, or came to something, while it goes on is not met again.
        let after = since.plus(Millis(1));
        sought.before = Some(sought.before.map_or(after, |before| before.min(after)));
        sought.ended_before = Some(after);
    }
    let words = Words { error: filter.error.map(Into::into), kind: filter.error_kind };
    let deadline = now.plus(Millis(SCAN_MS_MAX));
    let caller = Caller { session, correlation: header.correlation, since: now, deadline };
    let number = parked.park(caller, Wish::Scan, &[]);
    scans.begin(Scan::new(number, aim, sought, words, journal.queues.walk(from, newest_first)));
    Ok(number)
}

fn sought(filter: &Filter<'_>, now: Timestamp) -> Sought {
    let ago = |span: u64| Timestamp(now.0.saturating_sub(span));
    Sought {
        queue: filter.queue.map(str::to_owned),
        standings: filter.standings.unwrap_or(0),
        key_prefix: filter.key_prefix.map(str::to_owned),
        group: filter.group.map(str::to_owned),
        from: filter.younger_than_ms.map(ago),
        before: filter.older_than_ms.map(|span| ago(span).plus(Millis(1))),
        ended_before: None,
        with_story: false,
    }
}

impl Master {
    /// A slice of a scan, if one is due.
    pub(in super::super) fn scan(&mut self, now: Timestamp) -> Result<(), WalError> {
        match self.scans.work(&mut self.journal, now)? {
            None | Some(Slice::More) => {}
            Some(Slice::Done(scan)) => self.answer_scan(&scan),
            Some(Slice::Texts(number, batch)) => {
                let session = self.parked.caller(number).session;
                let words = self.scans.words(number);
                let wanted = Wanted::Texts(self.journal.wal.texts_reading(batch), TextsFor::Scan(words));
                self.reading.ask(session, number, wanted);
            }
        }
        Ok(())
    }

    /// Takes the errors that a scan asked for. Without them nobody knows which jobs are meant.
    pub(in super::super) fn scan_read(&mut self, number: u32, read: Result<Read, WalError>) {
        match read {
            Ok(Read::Errors(errors)) => self.scans.texts_read(number, errors),
            Ok(Read::Texts(_) | Read::Log(_)) => unreachable!("a scan asks for errors"),
            Err(error) => {
                let (caller, _) = self.unpark(number);
                let text = format!("the errors of jobs cannot be read from the log: {error}");
                let reply = Reply::Error(Refusal::new(ErrorCode::Unavailable, text));
                self.sessions.write(caller.session, caller.correlation, None, &reply);
            }
        }
    }

    /// Ends a scan before its page does, at its deadline or at the master's: what it came to is told, and where the
    /// next page goes on.
    pub(in super::super) fn end_scan(&mut self, number: u32) {
        if let Some(scan) = self.scans.take(number) {
            self.answer_scan(&scan);
        }
    }

    /// Tells what came of a scan that is over.
    fn answer_scan(&mut self, scan: &Scan) {
        let (caller, _) = self.unpark(scan.number);
        let gate = self.journal.gate();
        let (next, looked) = (scan.next(), scan.looked);
        match &scan.aim {
            Aim::List { .. } => {
                let facts = scan.found.rows.iter().filter_map(|(job, error)| {
                    let facts = self.journal.queues.facts(*job)?;
                    Some(row(&facts, error.as_ref()))
                });
                let rows: Vec<JobRow<'_>> = facts.collect();
                let reply = Reply::ListJobsOk(ListJobsOk { jobs: List::lent(&rows), next, looked });
                self.sessions.write(caller.session, caller.correlation, gate, &reply);
            }
            Aim::Count { .. } => {
                let mut kinds: Vec<&KindCount> = scan.found.kinds.iter().collect();
                kinds.sort_by_key(|kind| (std::cmp::Reverse(kind.count), kind.job));
                let errors: Vec<ErrorCount<'_>> = kinds.into_iter().map(error_count).collect();
                let errors = List::lent(&errors);
                let reply = Reply::CountJobsOk(CountJobsOk { count: scan.found.count, errors, next, looked });
                self.sessions.write(caller.session, caller.correlation, gate, &reply);
            }
            Aim::Mend { since, .. } => {
                let (done, refused) = (scan.found.count, scan.found.refused);
                let reply = Reply::MendAllOk(MendAllOk { done, refused, next, since: *since, looked });
                self.sessions.write(caller.session, caller.correlation, gate, &reply);
            }
        }
    }
}

fn error_count(kind: &KindCount) -> ErrorCount<'_> {
    let KindCount { kind, count, job, text, first_at, last_at } = kind;
    ErrorCount { kind: *kind, count: *count, job: *job, error: text, first_at: *first_at, last_at: *last_at }
}

fn row<'j>(facts: &JobFacts<'j>, error: Option<&'j JobError>) -> JobRow<'j> {
    let view = facts.view;
    JobRow {
        job: view.id,
        queue: view.queue,
        key: view.key,
        standing: facts.standing.code(),
        priority: view.settings.priority,
        attempts: view.attempts,
        max_attempts: view.settings.max_attempts,
        submitted_at: facts.submitted_at,
        due_at: facts.due_at.unwrap_or_default(),
        ended_at: facts.past.map(|past| past.ended_at),
        error: error.map(|error| error.text.as_str()),
        error_kind: error.map(|error| error.kind),
        worker: facts.lease.map(|lease| lease.worker),
        begun_at: facts.lease.and_then(|lease| lease.begun_at),
        percent: facts.progress.map(|told| told.percent),
        progress: facts.progress.map(|told| &*told.text).filter(|text| !text.is_empty()),
        group: some(view.group),
    }
}
