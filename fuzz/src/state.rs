//! The state that a row of events makes: what does not fit is refused, and what was taken keeps every invariant and
//! comes back from a snapshot. An input is a row of steps:
//!
//! | bytes | |
//! | --- | --- |
//! | u8 | kind |
//! | u8 | bit 0: the event is made to fit the state; the rest, times 16, is how many ms pass |
//! | u16 | length of the body |
//! | … | body |

use std::sync::LazyLock;

use falconqueue::codec::{List, Reader};
use falconqueue::ids::{JobId, LeaseId, Location, Lsn};
use falconqueue::job::{Before, BeforeList};
use falconqueue::queue::Event;
use falconqueue::queue::Queues;
use falconqueue::queue::events::{
    Ack, Cancel, Dead, Dispatch, Enqueue, Expire, Purge, Ready, Release, Replace, Requeue, Retry, Timeout, Update,
};
use falconqueue::time::Timestamp;

use crate::event::{body, decode};
use crate::same;

/// The oldest jobs, for others to wait for.
static OLDEST: LazyLock<Vec<Before>> = LazyLock::new(|| (1..=8).map(|job| Before::job(JobId(job))).collect());

pub fn run(input: &[u8]) {
    let (mut queues, mut reader) = (Queues::default(), Reader::new(input));
    let (mut lsn, mut at) = (Lsn(0), Timestamp(1_000_000));
    while let Some((kind, how, body)) = step(&mut reader) {
        let Some(event) = decode(kind, body) else { continue };
        let event = if how & 1 == 1 { fitted(event, &queues) } else { event };
        (lsn, at) = (lsn.next(), Timestamp(at.0 + u64::from(how >> 1) * 16));
        let tail_at = Location { epoch: 1, offset: lsn.0 as u32 * 8 };
        let before = (queues.count(), queues.next_job());
        if queues.apply(lsn, at, &event, tail_at).is_err() {
            assert_eq!((queues.count(), queues.next_job()), before, "what does not fit changes nothing");
        }
    }
    queues.check();
    same::comes_back(queues, at);
}

fn step<'a>(reader: &mut Reader<'a>) -> Option<(u8, u8, &'a [u8])> {
    let (kind, how) = (reader.u8("kind").ok()?, reader.u8("how").ok()?);
    let bytes = usize::from(reader.u16("bytes").ok()?).min(reader.rest().len());
    Some((kind, how, reader.take("body", bytes).ok()?))
}

/// The same about a job that is there, with its live lease.
fn fitted<'a>(event: Event<'a>, queues: &Queues) -> Event<'a> {
    let next = queues.next_job();
    let Some(named) = event.job() else { return event };
    let job = JobId(1 + named.0 % next.0.max(2).saturating_sub(1));
    let facts = queues.facts(job);
    let lease = facts.and_then(|facts| facts.lease).map_or(LeaseId(0), |lease| lease.id);
    match event {
        Event::Enqueue(event) => {
            let before = event.before.and_then(|_| oldest(named.0, next));
            Enqueue { job: next, before, ..event }.into()
        }
        Event::Dispatch(event) => {
            let attempt = facts.map_or(0, |facts| facts.view.attempts).saturating_add(1);
            Dispatch { job, attempt, ..event }.into()
        }
        Event::Ack(event) => Ack { job, lease, ..event }.into(),
        Event::Retry(event) => Retry { job, lease, ..event }.into(),
        Event::Timeout(event) => Timeout { job, lease, ..event }.into(),
        Event::Dead(event) => Dead { job, lease, ..event }.into(),
        Event::Release(event) => Release { job, lease, ..event }.into(),
        Event::Cancel(event) => Cancel { job, ..event }.into(),
        Event::Requeue(event) => Requeue { job, ..event }.into(),
        Event::Purge(event) => Purge { job, ..event }.into(),
        Event::Expire(event) => Expire { job, ..event }.into(),
        Event::Update(event) => Update { job, ..event }.into(),
        Event::Replace(event) => Replace { job, ..event }.into(),
        Event::Ready(_) => Ready { job }.into(),
        // About a queue, a group or a schedule; or of a length that has to fit.
        _ => event,
    }
}

/// Some of the oldest jobs, if there was one before this.
fn oldest(number: u64, next: JobId) -> Option<BeforeList<'static>> {
    let most = (next.0 - 1).min(OLDEST.len() as u64);
    let count = (most > 0).then(|| 1 + number % most)?;
    Some(BeforeList(List::lent(&OLDEST[..count as usize])))
}

fn put(event: &Event<'_>, how: u8, out: &mut Vec<u8>) {
    let body = body(event);
    out.extend_from_slice(&[event.kind(), how]);
    out.extend_from_slice(&u16::try_from(body.len()).expect("a short sample").to_le_bytes());
    out.extend_from_slice(&body);
}

/// What can become of a job.
fn ends() -> [Event<'static>; 12] {
    let (story, kept_until) = (falconqueue::job::StoryText(b"story"), Some(Timestamp(1_003_000)));
    [
        Ack { result: b"done", key_until: Timestamp(2_000_000), ..Ack::default() }.into(),
        Retry { retry_at: Timestamp(1_000_500), story, ..Retry::default() }.into(),
        Timeout { retry_at: Timestamp(1_000_500), story, ..Timeout::default() }.into(),
        Dead { story, ..Dead::default() }.into(),
        Release { due_at: Timestamp(1_000_400), ..Release::default() }.into(),
        Ack { result: b"done", kept_until, ..Ack::default() }.into(),
        Cancel { ends: true, kept_until, ..Cancel::default() }.into(),
        Cancel::default().into(),
        Requeue::default().into(),
        Purge::default().into(),
        Expire { kept_until, ..Expire::default() }.into(),
        Update { priority: Some(3), expires_at: Some(Timestamp(1_002_000)), ..Update::default() }.into(),
    ]
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for seed in 0..4 {
        let mut row = Vec::new();
        for event in Event::samples(&mut { seed }) {
            let mut alone = Vec::new();
            put(&event, 0, &mut alone);
            all.push(alone);
            put(&event, 1, &mut row);
        }
        all.push(row);
    }
    // Lives of a job, each as long as it can be.
    let enqueue = Enqueue { queue: "q", key: "k", payload: b"payload", ..Enqueue::default() };
    let again = Enqueue { queue: "q", ..Enqueue::default() };
    let given = Event::from(Dispatch { lease_ms: 1000, worker: "w", ..Dispatch::default() });
    let ends = ends();
    for end in &ends {
        let mut life = Vec::new();
        for event in [&enqueue.into(), &again.into(), &given, end, &given, &ends[1], &given, end] {
            put(event, 33, &mut life);
        }
        all.push(life);
    }
    all.extend(lives_of_two(&ends));
    all
}

/// Of a job that ends in each way, and of one that waits for it and is then let go or cancelled.
fn lives_of_two(ends: &[Event<'_>]) -> Vec<Vec<u8>> {
    let first = Enqueue { queue: "q", payload: b"payload", ..Enqueue::default() };
    let before = Some(BeforeList(List::lent(&OLDEST[..1])));
    let waits = Enqueue { queue: "q", before, delay_ms: Some(100), ..Enqueue::default() };
    let kept_until = Some(Timestamp(1_003_000));
    let cascade = Cancel { job: JobId(1), ends: true, kept_until, before: Some(OLDEST[0]), ..Cancel::default() };
    // Number 0 comes to stand for the first job, 1 for the second.
    let given = [0, 1].map(|job| Event::from(Dispatch { job: JobId(job), lease_ms: 1000, worker: "w", attempt: 1 }));
    let settled = [Ready { job: JobId(1) }.into(), Event::from(cascade)];
    let mut all = Vec::new();
    for (end, settled) in ends.iter().flat_map(|end| settled.iter().map(move |settled| (end, settled))) {
        let mut life = Vec::new();
        for event in [&first.into(), &waits.into(), &given[0], end, settled, &given[1], end] {
            put(event, 33, &mut life);
        }
        all.push(life);
    }
    all
}
