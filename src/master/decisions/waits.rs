//! Waits for the ends of jobs, and until nothing is to run: answered at once if that is so, and parked otherwise.

use super::super::answers::Answer;
use super::super::journal::Journal;
use super::super::parked::{Caller, Parked, Wish};
use super::super::waits::{End, Quiet};
use super::super::{Master, Timestamp};
use super::batches::batch_reply;
use crate::ids::{JobId, SessionId};
use crate::job::Standing;
use crate::limits::{WAITED_JOBS_ALL_MAX, WAITED_PROGRESS_MAX};
use crate::protocol::{
    ErrorCode, Header, Idle, IdleOk, JobEnd, List, Refusal, Reply, Wait, WaitOk, WaitProgress, WaitedProgress,
};
use crate::queue::Batch;
use crate::time::Millis;

/// What a wait comes to when it is asked.
pub(super) enum Waited<'s> {
    Answered(Answer<'s>),
    /// The number of the parked request.
    Parked(u32),
}

pub(super) fn wait<'s>(
    (journal, parked): (&mut Journal, &mut Parked),
    id: SessionId,
    header: &Header,
    wait: &Wait<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Result<Waited<'s>, Refusal> {
    let stands: Vec<JobEnd> = wait.jobs.iter().map(|job| end_of(journal, job)).collect();
    let has_ended = |end: &JobEnd| Standing::from_code(end.standing).is_none_or(Standing::is_ended);
    let is_over = if wait.any { stands.iter().any(has_ended) } else { stands.iter().all(has_ended) };
    if is_over || wait.wait_ms == 0 {
        let reply = WaitOk { jobs: List::lent(&stands), progress: None };
        return Ok(Waited::Answered(Answer::told::<Wait<'_>>(&reply, written)));
    }
    if parked.waits.waited() + stands.len() > WAITED_JOBS_ALL_MAX {
        let text = format!("{WAITED_JOBS_ALL_MAX} jobs are waited for already; try again later, or wait for fewer");
        return Err(Refusal::new(ErrorCode::Unavailable, text));
    }
    let number = parked.park(caller(id, header, wait.wait_ms, now), Wish::Ends, &[]);
    let ends = stands.iter().map(|end| (end.job, Some(end.standing).filter(|_| has_ended(end))));
    parked.waits.add(number, ends.collect(), wait.any);
    if let Some(since) = wait.progress_since {
        parked.waits.wants_progress(number, since);
        // What was told before this came.
        let is_new = |job: &JobId| journal.queues.progress(*job).is_some_and(|told| told.told_at >= since);
        if let Some(job) = wait.jobs.iter().find(is_new) {
            parked.waits.progressed(job, now);
        }
    }
    journal.is_watched = true;
    Ok(Waited::Parked(number))
}

pub(super) fn idle<'s>(
    (journal, parked): (&mut Journal, &mut Parked),
    id: SessionId,
    header: &Header,
    idle: &Idle<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Waited<'s> {
    let stands = idle_of(journal, idle.queue);
    if stands.left == 0 || idle.wait_ms == 0 {
        return Waited::Answered(Answer::told::<Idle<'_>>(&stands, written));
    }
    let number = parked.park(caller(id, header, idle.wait_ms, now), Wish::Idle, &[]);
    parked.waits.add_idle(number, idle.queue);
    Waited::Parked(number)
}

pub(super) fn caller(session: SessionId, header: &Header, wait_ms: u32, now: Timestamp) -> Caller {
    let deadline = now.plus(Millis(u64::from(wait_ms)));
    Caller { session, correlation: header.correlation, since: now, deadline }
}

/// Where a job stands, or that it never was, or is gone.
fn end_of(journal: &Journal, job: JobId) -> JobEnd {
    let known = journal.queues.standing(job).map(Standing::code);
    let was_given = job != JobId(0) && job < journal.queues.next_job();
    let standing = known.unwrap_or(if was_given { JobEnd::GONE } else { JobEnd::NEVER_WAS });
    JobEnd { job, standing }
}

fn idle_of(journal: &Journal, queue: &str) -> IdleOk {
    let (left, delayed) = journal.queues.busy(queue);
    let (died, dead) = journal.queues.deaths(queue);
    IdleOk { left, delayed, died, dead }
}

impl Master {
    /// Answers the waits that are over.
    pub(in super::super) fn answer_waits(&mut self) {
        if self.parked.waits.len() == 0 {
            self.journal.is_watched = false;
            self.journal.ended.clear();
            return;
        }
        let mut over = Vec::new();
        self.parked.waits.note(self.journal.ended.drain(..), &mut over);
        let queues = &self.journal.queues;
        let is_idle = |what: &Quiet| match what {
            Quiet::Queue(queue) => queues.busy(queue).0 == 0,
            Quiet::Batch(name) => queues.batch_named(name).and_then(|id| queues.batch(id)).is_none_or(Batch::is_over),
        };
        self.parked.waits.note_idle(self.journal.wal.last_lsn(), is_idle, &mut over);
        let told = self.parked.waits.tells_due(self.turn_at).filter(|number| !over.contains(number));
        let told: Vec<u32> = told.collect();
        over.extend(told);
        for number in over {
            self.answer_wait(number);
        }
        self.journal.is_watched = self.parked.waits.has_jobs();
    }

    /// Answers a wait with how it stands now.
    pub(in super::super) fn answer_wait(&mut self, number: u32) {
        let quiet = self.parked.waits.quiet_of(number).cloned();
        let since = self.parked.waits.progress_since(number);
        let ends = self.parked.waits.remove(number);
        let (caller, _) = self.unpark(number);
        let gate = self.journal.gate();
        match quiet {
            Some(Quiet::Queue(queue)) => {
                let reply = Reply::IdleOk(idle_of(&self.journal, &queue));
                return self.sessions.write(caller.session, caller.correlation, gate, &reply);
            }
            Some(Quiet::Batch(name)) => {
                let sessions = &mut self.sessions;
                let write = |reply: &Reply<'_>| sessions.write(caller.session, caller.correlation, gate, reply);
                return batch_reply(&self.journal, &name, write);
            }
            None => {}
        }
        let told = |(job, end): &End| match end {
            Some(standing) => JobEnd { job: *job, standing: *standing },
            None => end_of(&self.journal, *job),
        };
        let jobs: Vec<JobEnd> = ends.iter().map(told).collect();
        let (at, told) = (self.turn_at, since.map(|since| progress(&self.journal, &ends, since)));
        let progress = told.as_ref().map(|told| WaitProgress { at, jobs: List::lent(told) });
        let reply = Reply::WaitOk(WaitOk { jobs: List::lent(&jobs), progress });
        self.sessions.write(caller.session, caller.correlation, gate, &reply);
    }
}

/// How far jobs are of which that was told from a moment on, the newest first.
fn progress<'j>(journal: &'j Journal, jobs: &[End], since: Timestamp) -> Vec<WaitedProgress<'j>> {
    let known = jobs.iter().filter_map(|(job, _)| Some((*job, journal.queues.progress(*job)?)));
    let mut known: Vec<_> = known.filter(|(_, told)| told.told_at >= since).collect();
    known.sort_by_key(|(_, told)| std::cmp::Reverse(told.told_at));
    let told = known.into_iter().take(WAITED_PROGRESS_MAX);
    told.map(|(job, told)| WaitedProgress { job, percent: told.percent, text: &told.text }).collect()
}
