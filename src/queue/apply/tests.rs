//! What does not fit the state is refused, and changes nothing.

use super::*;
use crate::limits::JOB_IDS_AHEAD_MAX;
use crate::queue::events::{Enqueue, Retry, Timeout};

const AT: Timestamp = Timestamp(10);

fn enqueue() -> Enqueue<'static> {
    Enqueue { job: JobId(1), queue: "q", ..Enqueue::default() }
}

fn take<'e>(queues: &mut Queues, lsn: u64, event: impl Into<Event<'e>>) -> Result<(), Broken> {
    let taken = queues.apply(Lsn(lsn), AT, &event.into(), Location::default());
    queues.check();
    taken
}

#[test]
fn a_job_without_a_queue_or_far_above_the_records_is_refused() {
    let mut queues = Queues::default();
    assert!(take(&mut queues, 1, Enqueue { queue: "", ..enqueue() }).is_err());
    let far = JobId(1 + JOB_IDS_AHEAD_MAX + 1);
    assert!(take(&mut queues, 1, Enqueue { job: far, ..enqueue() }).is_err());
    take(&mut queues, 2, Enqueue { job: far, ..enqueue() }).unwrap();
}

#[test]
fn no_attempt_can_follow_the_last() {
    let mut queues = Queues::default();
    let settings = crate::job::Settings { max_attempts: 1, ..Default::default() };
    take(&mut queues, 1, Enqueue { settings, ..enqueue() }).unwrap();
    take(&mut queues, 2, Dispatch { job: JobId(1), attempt: 1, ..Dispatch::default() }).unwrap();
    let (job, lease) = (JobId(1), LeaseId(2));
    assert!(take(&mut queues, 3, Retry { job, lease, ..Retry::default() }).is_err());
    assert!(take(&mut queues, 3, Timeout { job, lease, ..Timeout::default() }).is_err());
    assert_eq!(queues.totals().in_flight, 1, "what does not fit changes nothing");
}
