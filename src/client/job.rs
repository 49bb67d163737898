//! Jobs, as a producer hands them in and as a worker gets them.

use std::time::Duration;

use super::{BootTime, Client, ClientError};
use crate::ids::{JobId, LeaseId};
use crate::job::{Backoff, Before, HeadersText, IfFailed, OnDuplicate};
use crate::protocol::{
    self, AckItem, After, AfterBy, Delivery, FailItem, HeldLease, List, Poll, ReleaseItem, Stage, SubmitJob,
};

/// One attempt at a job, as it was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// The lease under which it may be run.
    pub lease: LeaseId,
    /// Its queue.
    pub queue: String,
    /// Its key, or empty.
    pub key: String,
    /// Its group, or empty.
    pub group: String,
    /// Its priority.
    pub priority: u8,
    /// 1 for the first delivery.
    pub attempt: u16,
    /// How many there may be.
    pub max_attempts: u16,
    /// The attempt may run this long; `None` for no bound.
    pub timeout: Option<Duration>,
    /// How long the lease is.
    pub lease_length: Duration,
    /// How long the poll had waited when it was handed out.
    pub waited: Duration,
    /// Until when the lease certainly lives, unless it is extended.
    pub lease_ends_at: BootTime,
    /// Names and values that were submitted with it.
    pub headers: Vec<(String, String)>,
    /// What it is to be given the results of; see [`Job::results`].
    pub(crate) results_of: Vec<Before>,
    /// The payload.
    pub payload: Vec<u8>,
    pub(crate) teller: Teller,
}

/// Through which the master is told of a job. Jobs are the same whoever tells of them.
#[derive(Clone, Debug)]
pub(crate) struct Teller(Client);

impl Teller {
    pub(crate) fn client(&self) -> &Client {
        &self.0
    }
}

impl PartialEq for Teller {
    fn eq(&self, _: &Teller) -> bool {
        true
    }
}

impl Eq for Teller {}

/// What became of a job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The job, or the one that holds its key.
    pub job: JobId,
    /// Whether its key is held by another job: then no further one was made.
    pub duplicate: bool,
    /// Whether that one has the payload and the times of this submit now.
    pub replaced: bool,
    /// What is known of that one.
    pub holder: Option<KeyHolder>,
}

/// A job that holds a key with which another one was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// Its queue.
    pub queue: String,
    /// Where it stands, as [`Standing::code`](crate::job::Standing::code) has it.
    pub standing: u8,
    /// Whether it was submitted with another payload.
    pub payload_differs: bool,
    /// Whether it was submitted to another queue.
    pub queue_differs: bool,
}

impl From<protocol::Submitted<'_>> for Submitted {
    fn from(told: protocol::Submitted<'_>) -> Self {
        let holder = told.queue.filter(|_| told.duplicate).map(|queue| KeyHolder {
            queue: queue.to_owned(),
            standing: told.standing.unwrap_or_default(),
            payload_differs: told.payload_differs.unwrap_or(false),
            queue_differs: told.queue_differs.unwrap_or(false),
        });
        Submitted { job: told.job, duplicate: told.duplicate, replaced: told.replaced.unwrap_or(false), holder }
    }
}

impl Job {
    /// A job that came in answer to a poll which was sent then: the lease began when the poll had waited.
    pub(super) fn delivered(delivery: &Delivery<'_>, polled_at: BootTime, teller: &Client) -> Job {
        let millis = |count: u32| Duration::from_millis(u64::from(count));
        let lease_length = millis(delivery.lease_ms);
        Job {
            id: delivery.job,
            lease: delivery.lease,
            queue: delivery.queue.to_owned(),
            key: delivery.key.to_owned(),
            group: delivery.group.unwrap_or_default().to_owned(),
            priority: delivery.settings.priority,
            attempt: delivery.attempt,
            max_attempts: delivery.settings.max_attempts,
            timeout: (delivery.settings.timeout_ms > 0).then(|| millis(delivery.settings.timeout_ms)),
            lease_length,
            waited: millis(delivery.waited_ms),
            lease_ends_at: polled_at.plus(millis(delivery.waited_ms)).plus_certainly(lease_length),
            headers: headers(delivery),
            results_of: delivery.results_of.map(|before| before.0.iter().collect()).unwrap_or_default(),
            payload: delivery.payload.to_owned(),
            teller: Teller(teller.clone()),
        }
    }
}

/// The headers of a delivery; they were held against their form when it was read.
fn headers(delivery: &Delivery<'_>) -> Vec<(String, String)> {
    let headers = delivery.headers.map(|headers| headers.read().unwrap_or_default()).unwrap_or_default();
    headers.iter().map(|header| (header.name.to_owned(), header.value.to_owned())).collect()
}

impl Job {
    /// Tells the master how far it is, from 0 to 100 percent, with a text for people: of a longer one the first 200
    /// bytes. It is shown with the job as long as this attempt lasts. `Refused` by `LeaseLost` once another worker may
    /// have the job.
    pub fn progress(&self, percent: u8, text: &str) -> Result<(), ClientError> {
        self.teller.0.progress(self.id, self.lease, percent, text)
    }

    /// The same, but the master is told of it by this client, as where the one that polls is about to stop.
    #[must_use]
    pub fn told_by(self, client: &Client) -> Job {
        Job { teller: Teller(client.clone()), ..self }
    }

    /// Reports that it did its work, with a result of up to 64 KiB. With `text_optional` the report is taken also where
    /// there is no room for the result.
    #[must_use]
    pub fn done<'r>(&self, result: &'r [u8]) -> AckItem<'r> {
        AckItem { job: self.id, lease: self.lease, result, ..AckItem::default() }
    }

    /// Whether it is to be given the results of those that it waited for.
    #[must_use]
    pub fn wants_results(&self) -> bool {
        !self.results_of.is_empty()
    }

    /// Reports that it did not, and why; it is tried again while it has attempts left.
    #[must_use]
    pub fn failed<'e>(&self, error: &'e str) -> FailItem<'e> {
        FailItem { job: self.id, lease: self.lease, error, ..FailItem::default() }
    }

    /// Gives it back unharmed.
    #[must_use]
    pub fn given_back(&self) -> ReleaseItem {
        ReleaseItem { job: self.id, lease: self.lease, delay_ms: 0 }
    }

    /// Its lease, of a job that is at this stage.
    #[must_use]
    pub fn held(&self, stage: Stage) -> HeldLease {
        HeldLease { job: self.id, lease: self.lease, stage }
    }
}

impl<'a> Poll<'a> {
    /// Asks for one job of these queues, the preferred one first, under a lease of 10 s, and does not wait for it.
    #[must_use]
    pub fn of(queues: &'a [&'a str]) -> Poll<'a> {
        Poll { queues: List::lent(queues), free: 1, lease_ms: 10_000, ..Poll::default() }
    }

    /// The same for up to this many jobs: 1 to 1,024.
    #[must_use]
    pub fn with_free(self, free: u16) -> Poll<'a> {
        Poll { free, ..self }
    }

    /// The same, but it waits for a first job, in whole milliseconds: up to 5 minutes.
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Poll<'a> {
        Poll { wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX), ..self }
    }

    /// The same under leases of this length, in whole milliseconds: 100 ms to 24 hours.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Poll<'a> {
        Poll { lease_ms: u32::try_from(lease.as_millis()).unwrap_or(u32::MAX), ..self }
    }
}

#[cfg(test)]
impl Job {
    /// Any job.
    pub(crate) fn sample() -> Job {
        let delivery = Delivery { job: JobId(7), lease: LeaseId(9), queue: "q", attempt: 1, ..Delivery::default() };
        let nobody = Client::new(super::Remote::new("127.0.0.1:1", "test", b""));
        Job { max_attempts: 5, ..Job::delivered(&delivery, BootTime::now(), &nobody) }
    }
}

impl<'a> SubmitJob<'a> {
    /// A job of this queue with default settings. What is out of bounds is refused when it is submitted.
    #[must_use]
    pub fn new(queue: &'a str, payload: &'a [u8]) -> SubmitJob<'a> {
        SubmitJob { queue, payload, ..SubmitJob::default() }
    }

    /// The same with a key: submitting it again makes no second job as long as the master remembers the first.
    #[must_use]
    pub fn with_key(self, key: &'a str) -> SubmitJob<'a> {
        SubmitJob { key, ..self }
    }

    /// The same, whose key is held so long from now on, whatever becomes of the job: up to 30 days. Without it, it is
    /// held to the end of the job, and for the master's key window after that.
    #[must_use]
    pub fn with_unique_for(self, span: Duration) -> SubmitJob<'a> {
        SubmitJob { unique_for_ms: Some(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// The same, whose key is held until the job is handed out for the first time.
    #[must_use]
    pub fn with_unique_until_start(self) -> SubmitJob<'a> {
        SubmitJob { unique_until_start: Some(true), ..self }
    }

    /// The same, and says what is to be done if another job holds its key.
    #[must_use]
    pub fn with_on_duplicate(self, on_duplicate: OnDuplicate) -> SubmitJob<'a> {
        SubmitJob { on_duplicate: Some(on_duplicate), ..self }
    }

    /// The same in a group of its queue, a name of up to 64 bytes: groups have their turns one after the other.
    #[must_use]
    pub fn with_group(self, group: &'a str) -> SubmitJob<'a> {
        SubmitJob { group: Some(group), ..self }
    }

    /// The same with another priority: 0 is the most urgent, 255 the least, 128 what it has otherwise.
    #[must_use]
    pub fn with_priority(mut self, priority: u8) -> SubmitJob<'a> {
        self.settings.priority = priority;
        self
    }

    /// The same, dead after this many attempts: 1 to 1,000, and 5 otherwise.
    #[must_use]
    pub fn with_max_attempts(mut self, max_attempts: u16) -> SubmitJob<'a> {
        self.settings.max_attempts = max_attempts;
        self
    }

    /// The same, where an attempt may run this long, in whole milliseconds: 100 ms to 7 days; without it there is no
    /// bound.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> SubmitJob<'a> {
        self.settings.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        self
    }

    /// The same, kept so long after its end with its result, in whole seconds, rounded up: up to 365 days.
    #[must_use]
    pub fn with_keep(self, keep: Duration) -> SubmitJob<'a> {
        SubmitJob { keep_ms: Some(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// The same, which ends as expired if it was not handed out within this time, in whole milliseconds: up to 365
    /// days.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> SubmitJob<'a> {
        SubmitJob { ttl_ms: Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    /// The same with another wait after a failed attempt: up to 7 days.
    #[must_use]
    pub fn with_backoff(self, backoff: Backoff) -> SubmitJob<'a> {
        SubmitJob { backoff: Some(backoff), ..self }
    }

    /// The same with headers, up to 4 KiB together; see [`headers`](crate::client::headers).
    #[must_use]
    pub fn with_headers(self, headers: HeadersText<'a>) -> SubmitJob<'a> {
        SubmitJob { headers: Some(headers), ..self }
    }

    /// The same, not delivered before this has passed, in whole milliseconds: up to 365 days.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> SubmitJob<'a> {
        SubmitJob { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), ..self }
    }

    /// The same, but it waits for these to end, at most 1,000; its delay counts from then on. If one of them does not
    /// complete it is cancelled, unless something else is said.
    #[must_use]
    pub fn with_after(self, after: &'a [After<'a>]) -> SubmitJob<'a> {
        SubmitJob { after: (!after.is_empty()).then(|| List::lent(after)), ..self }
    }

    /// The same, and says what becomes of it if one that it waits for does not complete.
    #[must_use]
    pub fn with_if_failed(self, if_failed: IfFailed) -> SubmitJob<'a> {
        SubmitJob { if_failed: Some(if_failed), ..self }
    }

    /// The same, to be given the results of those that it waits for.
    #[must_use]
    pub fn with_results(self) -> SubmitJob<'a> {
        SubmitJob { with_results: Some(true), ..self }
    }
}

impl<'a> After<'a> {
    /// The job of this id, which is there or was.
    #[must_use]
    pub fn job(job: JobId) -> After<'a> {
        After { by: AfterBy::Job, number: job.0, name: "" }
    }

    /// The one at this place in the same request, from 0 on. It stands before the one that waits.
    #[must_use]
    pub fn item(place: usize) -> After<'a> {
        After { by: AfterBy::Item, number: place as u64, name: "" }
    }

    /// All jobs of the batch of this name, which is known.
    #[must_use]
    pub fn batch(name: &'a str) -> After<'a> {
        After { by: AfterBy::Batch, number: 0, name }
    }

    /// The job that holds this key, or that stands before in the same request with it.
    #[must_use]
    pub fn key(key: &'a str) -> After<'a> {
        After { by: AfterBy::Key, number: 0, name: key }
    }
}
