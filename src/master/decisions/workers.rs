//! Workers, Order: who takes jobs, and what they are told to do.

use super::super::Master;
use super::super::answers::{Answer, Decided};
use super::super::journal::Journal;
use super::super::sessions::{Session, Sessions};
use super::super::workers::{Worker, Workers};
use crate::codec::Field;
use crate::ids::{QueueId, SessionId};
use crate::limits::{WORKER_JOBS_TOLD_MAX, WORKERS_BYTES_MAX};
use crate::protocol::{self, ErrorCode, KnownWorker, List, Order, OrderOk, Refusal, Stage, WorkerJob, WorkersOk};
use crate::queue::Queues;
use crate::time::Timestamp;
use crate::words::{counted, is};

/// Notes that a session polls these queues, and is a worker if it was none.
pub(super) fn note_poll(
    workers: &mut Workers,
    sessions: &mut Sessions,
    id: SessionId,
    queues: &Queues,
    named: &[QueueId],
    now: Timestamp,
) {
    let Some(session) = sessions.session_mut(id) else { return };
    let name = &session.name;
    let worker = *session.worker.get_or_insert_with(|| workers.unnamed(id, name, now));
    workers.polls(worker, named, queues.numbers_given(), |queue| queues.queue_name(queue));
}

/// Will tell workers what to do.
pub(super) fn order<'s>(workers: &mut Workers, order: &Order<'_>, whom: &str, written: &'s mut Vec<u8>) -> Decided<'s> {
    let Order { name, what } = *order;
    let count = workers.order(name, what);
    if count == 0 && !name.is_empty() {
        return Err(unknown(name).into());
    }
    let workers = counted(count as u64, "worker");
    log::info!("{workers} {} told to {}, by {whom}", is(count as u64), what.word());
    let count = u32::try_from(count).expect("fewer workers than connections");
    Ok(Answer::at_once::<Order<'_>>(&OrderOk { workers: count }, written))
}

fn unknown(name: &str) -> Refusal {
    let text = format!("no worker called {name:?} is connected; `falcon-cli worker list` shows those that are");
    Refusal::new(ErrorCode::NotFound, text)
}

/// A worker's jobs, and how many it only holds and has begun.
#[derive(Default)]
struct Had {
    jobs: Vec<WorkerJob>,
    held: u32,
    begun: u32,
}

fn had(journal: &Journal, sessions: &Sessions, worker: &Worker, now: Timestamp) -> Had {
    let mut had = Had::default();
    for session in worker.sessions.iter().filter_map(|id| sessions.session(*id)) {
        for (job, lease) in session.leases() {
            let live = journal.queues.live_lease(job).filter(|live| (live.id, live.holder) == (lease, session.id()));
            let Some(live) = live else { continue };
            let stage = if live.begun_at.is_some() { Stage::Begun } else { Stage::Held };
            had.jobs.push(WorkerJob { job, lease, stage, had_ms: now.since(live.given_at).0 });
        }
    }
    had.jobs.sort_unstable_by_key(|job| job.lease);
    had.jobs.dedup_by_key(|job| job.lease);
    had.begun = had.jobs.iter().map(|job| u32::from(job.stage == Stage::Begun)).sum();
    had.held = u32::try_from(had.jobs.len()).expect("fewer jobs than 2^32") - had.begun;
    had.jobs.truncate(WORKER_JOBS_TOLD_MAX);
    had
}

/// Which workers there are, as many as one reply takes.
pub(super) fn workers<'s>(
    master: &Master,
    asked: &protocol::Workers<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    let all = master.workers.named(asked.name);
    if all.is_empty() && !asked.name.is_empty() {
        return Err(unknown(asked.name).into());
    }
    let polls = |session: &Session| session.parked.iter().any(|number| master.parked.ends_with_input(*number));
    let queues: Vec<Vec<&str>> = all.iter().map(|worker| worker.queues().collect()).collect();
    let had: Vec<Had> = all.iter().map(|worker| had(&master.journal, &master.sessions, worker, now)).collect();
    let known = all.iter().zip(queues.iter().zip(&had)).map(|(worker, (queues, had))| KnownWorker {
        name: &worker.name,
        instance: worker.instance,
        host: &worker.host,
        pid: worker.pid,
        software: &worker.software,
        concurrency: worker.concurrency,
        silent_ms: now.since(worker.heard_at).0,
        quiet: worker.quiet,
        polls: worker.sessions.iter().filter_map(|id| master.sessions.session(*id)).any(polls),
        held: had.held,
        begun: had.begun,
        queues: List::lent(queues),
        jobs: List::lent(&had.jobs),
    });
    written.clear();
    let mut has_room = |known: &KnownWorker<'_>| {
        known.write(written);
        written.len() <= WORKERS_BYTES_MAX
    };
    let told: Vec<_> = known.take_while(|known| has_room(known)).collect();
    let left_out = u32::try_from(all.len() - told.len()).expect("fewer workers than connections");
    let reply = WorkersOk { workers: List::lent(&told), left_out: (left_out > 0).then_some(left_out) };
    Ok(Answer::told::<protocol::Workers<'_>>(&reply, written))
}
