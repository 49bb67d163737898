use super::*;
use crate::ids::{JobId, LeaseId, Location, Lsn};
use crate::queue::events::{Ack, Dispatch, Enqueue, Forget, Retry};

/// A state, and what is measured of its events.
#[derive(Default)]
struct Fed {
    queues: Queues,
    measures: Measures,
    lsn: u64,
}

impl Fed {
    fn feed(&mut self, at: u64, event: Event<'_>) -> LeaseId {
        let at = Timestamp(at);
        self.measures.turn_begins(&self.queues, at);
        self.queues.advance(at);
        self.lsn += 1;
        self.measures.note(&self.queues, &event, at);
        self.queues.apply(Lsn(self.lsn), at, &event, Location::default()).unwrap();
        if let Event::Enqueue(enqueue) = event {
            let queue = self.queues.queue(enqueue.queue).unwrap();
            self.measures.submitted(&self.queues, queue);
        }
        LeaseId(self.lsn)
    }

    fn submit(&mut self, at: u64, job: u64, due_at: u64) {
        let due_at = Timestamp(due_at);
        self.feed(at, Enqueue { job: JobId(job), queue: "q", due_at, ..Enqueue::default() }.into());
    }

    fn deliver(&mut self, at: u64, job: u64, attempt: u16) -> LeaseId {
        self.feed(at, Dispatch { job: JobId(job), attempt, lease_ms: 10_000, worker: "w" }.into())
    }

    fn of(&self) -> &OfQueue {
        self.measures.queues().find(|(name, _)| *name == "q").expect("it is measured").1
    }

    fn told(&self, what: Count) -> u64 {
        self.of().counts()[what as usize]
    }
}

#[test]
fn waits_begin_when_a_job_is_ready_whatever_kept_it_before() {
    let mut fed = Fed::default();
    fed.submit(100, 1, 0);
    fed.submit(200, 2, 5000);
    let first = fed.deliver(103, 1, 1);
    assert_eq!(fed.of().wait.sum(), 3);
    fed.feed(400, Retry { job: JobId(1), lease: first, retry_at: Timestamp(7000), ..Retry::default() }.into());
    fed.measures.turn_begins(&fed.queues, Timestamp(5000));
    fed.queues.advance(Timestamp(5000));
    fed.deliver(5040, 2, 1);
    assert_eq!(fed.of().wait.sum(), 43, "from its time on");
    fed.measures.turn_begins(&fed.queues, Timestamp(7000));
    fed.queues.advance(Timestamp(7000));
    fed.deliver(7500, 1, 2);
    assert_eq!((fed.of().wait.sum(), fed.told(Count::Delivered)), (543, 3));
    assert_eq!([Count::Failed, Count::Retried, Count::Acked].map(|what| fed.told(what)), [1, 1, 0]);
    assert_eq!(fed.of().run.sum(), 297);
}

#[test]
fn who_runs_for_longest_is_known_also_of_jobs_that_ran_before_the_start() {
    let mut fed = Fed::default();
    (1..=3).for_each(|job| fed.submit(10, job, 0));
    let leases = [1, 2, 3].map(|job| fed.deliver(100 * job, job, 1));
    assert_eq!(fed.of().oldest_running(), Some(Timestamp(100)));
    let mut restored = Fed { queues: fed.queues, lsn: fed.lsn, measures: Measures::default() };
    restored.measures.start(&restored.queues);
    assert_eq!((restored.of().oldest_running(), restored.told(Count::Delivered)), (Some(Timestamp(100)), 0));
    for (job, oldest) in [(1, Some(200)), (3, Some(200)), (2, None)] {
        let ack = Ack { job: JobId(job), lease: leases[job as usize - 1], ..Ack::default() };
        restored.feed(1000, ack.into());
        assert_eq!(restored.of().oldest_running(), oldest.map(Timestamp));
    }
    assert_eq!((restored.told(Count::Acked), restored.of().run.sum()), (3, 900 + 700 + 800));
    restored.feed(2000, Forget { queue: "q", by: None }.into());
    assert_eq!(restored.told(Count::Acked), 3, "what was counted stays");
}
