//! Jobs that follow from another one: they are handed in with its ack, by one step of the master, or not at all.

use super::{Client, ClientError, Job, Submitted};
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

    fn jobs(&self) -> List<'_, SubmitJob<'_>> {
        List::read(&mut Reader::new(&self.list), "jobs").expect("it was written by the same code")
    }
}

impl Client {
    /// Reports an attempt that did its work, and hands in what follows from it: the job is done and they are there, or
    /// neither. What became of each. `Refused` as a Submit would be, by `LeaseLost` once another worker may have the
    /// job, and by `Cancelled`.
    pub fn ack_then(&self, item: AckItem<'_>, then: &FollowUps) -> Result<Vec<Submitted>, ClientError> {
        let answer = self.ask(AckThen { item, jobs: then.jobs() })?;
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
        let mut results = Vec::new();
        for before in &self.results_of {
            let Awaited::Job(job) = before.what() else { continue };
            let result = match self.teller.client().result(job) {
                Err(ClientError::Refused(Refusal { code: ErrorCode::NotFound | ErrorCode::WrongState, .. })) => None,
                result => Some(result?),
            };
            results.push(EarlierResult { job, result });
        }
        Ok(results)
    }
}
