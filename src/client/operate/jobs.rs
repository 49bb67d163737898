//! Jobs by their ids and keys: which one holds a key, their texts, and changes of each by itself.

use crate::client::{Client, ClientError};
use crate::codec::Field;
use crate::ids::JobId;
use crate::job::{Header, HeadersText};
use crate::limits::ITEMS_MAX;
use crate::protocol::{self, Change, Find, ItemStatus, List, Mend, TextKind, Updated};

/// Headers as they go with a job: lend them to [`SubmitJob::with_headers`](crate::client::SubmitJob::with_headers) as
/// a `HeadersText`. Bounds are held against them when the job is submitted.
pub fn headers(pairs: &[(&str, &str)]) -> Vec<u8> {
    let headers: Vec<Header<'_>> = pairs.iter().map(|(name, value)| Header { name, value }).collect();
    let mut out = Vec::new();
    List::lent(&headers).write(&mut out);
    out
}

impl Client {
    /// The job that holds a key. `Refused` by `NotFound` where none does.
    pub fn find(&self, key: &str) -> Result<JobId, ClientError> {
        Ok(self.ask(Find { key })?.read::<Find<'_>>()?.job)
    }

    /// The payload of a job. `Refused` by `NotFound` once it has ended and is not kept.
    pub fn payload(&self, job: JobId) -> Result<Vec<u8>, ClientError> {
        self.text(job, TextKind::Payload)
    }

    /// The result of a completed job that is kept. `Refused` by `WrongState` where it is not completed.
    pub fn result(&self, job: JobId) -> Result<Vec<u8>, ClientError> {
        self.text(job, TextKind::Result)
    }

    /// The names and values that were submitted with a job.
    pub fn headers(&self, job: JobId) -> Result<Vec<(String, String)>, ClientError> {
        let text = self.text(job, TextKind::Headers)?;
        let not_headers = |error| ClientError::NotTheProtocol { why: format!("headers of job {job}: {error}") };
        let headers = HeadersText(&text).read().map_err(not_headers)?;
        Ok(headers.iter().map(|header| (header.name.to_owned(), header.value.to_owned())).collect())
    }

    fn text(&self, job: JobId, what: TextKind) -> Result<Vec<u8>, ClientError> {
        Ok(self.ask(protocol::Text { job, what })?.read::<protocol::Text>()?.text.to_owned())
    }

    /// Changes jobs, each by itself, and tells what became of each, in order. Of more than 1,024 the first ones are
    /// changed before the others are asked for.
    pub fn mend(&self, change: Change, update: Updated, jobs: &[JobId]) -> Result<Vec<ItemStatus>, ClientError> {
        let update = of_update(change, update);
        let mut statuses = Vec::with_capacity(jobs.len());
        for some in jobs.chunks(ITEMS_MAX) {
            let answer = self.ask(Mend { change, jobs: List::lent(some), update })?;
            statuses.extend(answer.read::<Mend<'_>>()?.items.iter());
        }
        Ok(statuses)
    }
}

/// What an update changes, where the change is one.
pub(super) fn of_update(change: Change, update: Updated) -> Option<Updated> {
    (change == Change::Update).then_some(update)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        let bytes = headers(&[("Trace-Id", "7"), ("lang", "")]);
        let read: Vec<(String, String)> = HeadersText(&bytes)
            .read()
            .unwrap()
            .iter()
            .map(|header| (header.name.to_owned(), header.value.to_owned()))
            .collect();
        assert_eq!(read, [("Trace-Id".to_owned(), "7".to_owned()), ("lang".to_owned(), String::new())]);
    }
}
