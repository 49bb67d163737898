//! Looks: what the master tells of itself and of its jobs. Nothing changes here.

use super::super::Master;
use super::super::answers::{Answer, Decided};
use super::super::journal::Journal;
use super::Scratch;
use crate::protocol::{
    ErrorCode, Figure, Get, GetOk, JobProgress, Leased, List, Past, QueueFigures, Refusal, Stats, StatsOk,
};
use crate::queue::PastView;
use crate::queue::counters::Counters;
use crate::time::Timestamp;

/// The figures of a queue, or of all.
fn figures(counters: &Counters) -> [Figure<'static>; 6] {
    counters.figures().map(|(name, value)| Figure { name, value })
}

pub(super) fn stats<'s>(master: &Master, now: Timestamp, written: &'s mut Vec<u8>) -> Answer<'s> {
    let queues = &master.journal.queues;
    let wal = master.journal.wal.stats();
    let mut all = figures(&queues.totals()).to_vec();
    all.extend(
        [
            ("uptime_ms", now.since(master.started_at).0),
            ("connections", master.sessions.len() as u64),
            ("turned_away", master.strangers.turned_away),
            ("memory_bytes", master.memory.own_bytes),
            ("mapped_bytes", master.memory.mapped_bytes),
            ("waiting_polls", master.parked.polls() as u64),
            ("queues", queues.durable_queues() as u64),
            ("records", wal.records),
            ("syncs", wal.syncs),
            ("durable_lsn", wal.durable.0),
            ("segments", u64::from(wal.segments)),
            ("log_bytes", wal.bytes),
            ("live_bytes", queues.live_bytes()),
            ("written_bytes", wal.written_bytes),
            ("moved_bytes", master.keeping.cleaning.moved_bytes),
            ("snapshots", master.keeping.snapshots.taken),
        ]
        .map(|(name, value)| Figure { name, value }),
    );
    let counters = queues.counters();
    let by_queue: Vec<_> = counters.iter().map(|(name, counters)| (*name, figures(counters))).collect();
    let by_queue: Vec<_> =
        by_queue.iter().map(|(name, figures)| QueueFigures { name, figures: List::lent(figures) }).collect();
    let reply = StatsOk { figures: List::lent(&all), queues: List::lent(&by_queue) };
    Answer::told::<Stats>(&reply, written)
}

/// Everything that is known of a job.
pub(super) fn get<'s>(journal: &Journal, get: Get, now: Timestamp, scratch: &'s mut Scratch) -> Decided<'s> {
    let Some(facts) = journal.queues.facts(get.job) else {
        let text = format!("there is no job {}: it is completed, or was never there", get.job);
        return Err(Refusal::new(ErrorCode::NotFound, text).into());
    };
    read_story(journal, facts.past, &mut scratch.story)?;
    let view = facts.view;
    let reply = GetOk {
        job: view.id,
        queue: view.queue,
        key: view.key,
        standing: facts.standing.code(),
        settings: view.settings,
        submitted_at: facts.submitted_at,
        due_at: facts.due_at.unwrap_or_default(),
        attempts: view.attempts,
        payload_bytes: view.payload_bytes,
        lease: facts.lease.map(|lease| Leased {
            lease: lease.id,
            worker: lease.worker,
            begun_at: lease.begun_at.unwrap_or_default(),
            remaining_ms: lease.deadline.since(now).0,
        }),
        past: facts.past.map(|past| Past { ended_at: past.ended_at, ending: past.ending.code() }),
        progress: facts.progress.map(|told| JobProgress {
            percent: told.percent,
            told_at: told.told_at,
            text: &told.text,
        }),
        story: &scratch.story,
    };
    Ok(Answer::told::<Get>(&reply, &mut scratch.written))
}

fn read_story(journal: &Journal, past: Option<PastView>, story: &mut Vec<u8>) -> Result<(), Refusal> {
    story.clear();
    let Some(past) = past.filter(|past| past.story_bytes > 0) else { return Ok(()) };
    // A look does no harm: what cannot be read here does not end the service of all others.
    journal.read(past.story_at, past.story_bytes, story).map_err(|error| {
        let text = format!("the log cannot be read where the job's attempts are: {error}");
        Refusal::new(ErrorCode::Unavailable, text)
    })
}
