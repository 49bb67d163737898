//! What an event is about: the job that it changes or ends, and which parts of one lie in its record.

use super::{Event, Part};
use crate::codec::Value;
use crate::ids::JobId;
use crate::job::Standing;

impl<'a> Event<'a> {
    /// Which parts of its job lie in its record, each with how far before the record's end it begins. Empty ones are
    /// left out.
    pub fn parts(&self) -> impl Iterator<Item = (Part, &'a [u8], usize)> + use<'a> {
        let tail = self.tail();
        let (tail_part, headers) = match self {
            Event::Enqueue(job) => (Some(Part::Payload), job.headers.unwrap_or_default().0),
            Event::Replace(_) => (Some(Part::Payload), &[][..]),
            Event::Ack(_) => (Some(Part::Result), &[][..]),
            Event::Retry(_) | Event::Timeout(_) | Event::Dead(_) => (Some(Part::Story), &[][..]),
            Event::Move(moved) => (Some(moved.part), &[][..]),
            _ => (None, &[][..]),
        };
        let of_tail = tail_part.map(|part| (part, tail, tail.len()));
        let of_extra = Some((Part::Headers, headers, headers.len() + tail.len()));
        of_tail.into_iter().chain(of_extra).filter(|(_, bytes, _)| !bytes.is_empty())
    }

    /// The job that it ends, and how; or the one that has not ended any more. One that is purged is cancelled to
    /// whoever waits for it.
    pub fn ends(&self) -> Option<(JobId, Option<Standing>)> {
        match self {
            Event::Ack(ack) => Some((ack.job, Some(Standing::Completed))),
            Event::Dead(dead) => Some((dead.job, Some(Standing::Dead))),
            Event::Cancel(cancel) => cancel.ends.then_some((cancel.job, Some(Standing::Cancelled))),
            Event::Purge(purge) => Some((purge.job, Some(Standing::Cancelled))),
            Event::Expire(expire) => Some((expire.job, Some(Standing::Expired))),
            Event::Requeue(requeue) => Some((requeue.job, None)),
            _ => None,
        }
    }

    /// The job that it changes, if it is about one.
    pub fn job(&self) -> Option<JobId> {
        let mut job = None;
        self.show(&mut |name, value| {
            if let ("job", Value::Number(id)) = (name, value) {
                job = Some(JobId(id));
            }
        });
        job
    }

    /// The event of a record, if it is one about this job. Each begins with its job, so that most records are passed
    /// over after a look at their first bytes.
    pub fn about(job: JobId, kind: u8, body: &[u8]) -> Option<Event<'_>> {
        if !body.starts_with(&job.0.to_le_bytes()) {
            return None;
        }
        Event::decode(kind, body).ok().filter(|event| event.job() == Some(job))
    }
}
