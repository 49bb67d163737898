//! Jobs that follow from another one: they are handed in with its ack, by one step of the master, or not at all.

use std::time::Duration;

use super::{Client, ClientError, Job, Pending, Submitted};
use crate::codec::{Field, Reader};
use crate::ids::JobId;
use crate::job::Awaited;
use crate::protocol::{AckItem, AckThen, ErrorCode, List, Refusal, Request, Submit, SubmitJob};

/// Jobs to be handed in with an ack, as they go to the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUps {
    /// A list of them, written.
    list: Vec<u8>,
}

impl FollowUps {
    /// These jobs, 1 to 1,000. `Refused` where one is out of its bounds.
    pub fn of(jobs: &[SubmitJob<'_>]) -> Result<FollowUps, ClientError> {
        let then = AckThen { item: AckItem::default(), jobs: List::lent(jobs) };
        Request::from(then).check().map_err(ClientError::Refused)?;
        let mut list = Vec::new();
        Submit::of(jobs).jobs.write(&mut list);
        Ok(FollowUps { list })
    }

    /// How many bytes they take on their way to the master.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn jobs(&self) -> List<'_, SubmitJob<'_>> {
        List::read(&mut Reader::new(&self.list), "jobs").expect("it was written by the same code")
    }
}

impl Client {
    /// Reports an attempt that did its work, and hands in what follows from it: the job is done and they are there, or
    /// neither. What became of each. `Refused` as a Submit would be, by `LeaseLost` once another worker may have the
    /// job, and by `Cancelled`.
    pub fn ack_then(&self, item: AckItem<'_>, then: &FollowUps) -> Result<Vec<Submitted>, ClientError> {
        self.ack_then_begin(item, then)?.wait()
    }

    /// The same, begun: it has been sent, or soon will be.
    pub(crate) fn ack_then_begin(&self, item: AckItem<'_>, then: &FollowUps) -> Result<PendingAckThen, ClientError> {
        self.begin(AckThen { item, jobs: then.jobs() }, Duration::ZERO).map(PendingAckThen)
    }
}

/// An ack with follow-ups that is under way.
pub(crate) struct PendingAckThen(Pending);

impl PendingAckThen {
    /// Waits until the job is done and the others are there: what became of each, in order.
    pub(crate) fn wait(self) -> Result<Vec<Submitted>, ClientError> {
        let answer = self.0.wait()?;
        let reply = answer.read::<AckThen<'_>>()?;
        let code = ErrorCode::from_code(reply.status);
        match reply.status {
            0 => Ok(reply.jobs.iter().map(Into::into).collect()),
            _ if code == ErrorCode::LeaseLost => refused(code, "its lease was lost before the report came"),
            _ => refused(code, "it was cancelled, and what came of it is dropped"),
        }
    }
}

fn refused<T>(code: ErrorCode, text: &str) -> Result<T, ClientError> {
    Err(ClientError::Refused(Refusal::new(code, text)))
}

/// What came of a job that another one waited for: its result, if it completed and is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierResult {
    /// The job.
    pub job: JobId,
    /// Its result; nothing if it did not complete, or is kept no more.
    pub result: Option<Vec<u8>>,
}

impl Job {
    /// The results of the jobs that it waited for, if it was submitted to be given them, in the order of their ids.
    /// Those of a batch are not told.
    pub fn results(&self) -> Result<Vec<EarlierResult>, ClientError> {
        self.awaited_jobs().map(|job| self.result_of(job)).collect()
    }

    /// The jobs whose results it is to be given, in the order of their ids.
    pub(crate) fn awaited_jobs(&self) -> impl Iterator<Item = JobId> + '_ {
        self.results_of.iter().filter_map(|before| match before.what() {
            Awaited::Job(job) => Some(job),
            Awaited::Batch(_) => None,
        })
    }

    /// What came of one of them.
    pub(crate) fn result_of(&self, job: JobId) -> Result<EarlierResult, ClientError> {
        let result = match self.teller.client().result(job) {
            Err(ClientError::Refused(Refusal { code: ErrorCode::NotFound | ErrorCode::WrongState, .. })) => None,
            result => Some(result?),
        };
        Ok(EarlierResult { job, result })
    }
}
