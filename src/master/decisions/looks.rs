//! Looks: what the master tells of itself and of its jobs. Nothing changes here.

use super::super::Master;
use super::super::SyncMode;
use super::super::answers::{Answer, Decided};
use super::super::journal::Journal;
use crate::codec::Message;
use crate::ids::{JobId, QueueId};
use crate::job::{BeforeList, Ending, Standing};
use crate::protocol::{
    Call, ErrorCode, Figure, Find, FindOk, Get, GetOk, JobProgress, Leased, List, More, Past, QueueFigures, REPLY_BIT,
    Refusal, Stats, StatsOk, Text, TextKind,
};
use crate::queue::counters::Counters;
use crate::queue::{ByClock, JobFacts, MoreFacts};
use crate::time::Timestamp;
use crate::wal::{self, WalError};

/// The figures of a queue, or of all.
pub(super) fn figures(counters: &Counters) -> [Figure<'static>; 13] {
    counters.figures().map(|(name, value)| Figure { name, value })
}

pub(super) fn stats<'s>(master: &Master, now: Timestamp, written: &'s mut Vec<u8>) -> Answer<'s> {
    let queues = &master.journal.queues;
    let mut all = figures(&queues.totals()).to_vec();
    let of_master = of_master(master, now).into_iter().chain(of_program(master, now));
    all.extend(of_master.map(|(name, value)| Figure { name, value }));
    let (counters, workers) = (queues.counters(), master.workers.by_queue());
    let told = |(id, name, counters): &(QueueId, &str, &Counters)| {
        let count = workers.get(name).copied().unwrap_or(0);
        let late = of_late(&master.journal, *id, count, now).map(|(name, value)| Figure { name, value });
        let mut told = figures(counters).to_vec();
        told.extend(late);
        told
    };
    let by_queue: Vec<_> = counters.iter().map(|queue| (queue.1, told(queue))).collect();
    let by_queue: Vec<_> =
        by_queue.iter().map(|(name, figures)| QueueFigures { name, figures: List::lent(figures) }).collect();
    Answer::told::<Stats>(&StatsOk { figures: List::lent(&all), queues: List::lent(&by_queue) }, written)
}

/// What concerns the master, its clients and its log.
fn of_master(master: &Master, now: Timestamp) -> [(&'static str, u64); 18] {
    let (queues, wal) = (&master.journal.queues, master.journal.wal.stats());
    [
        ("uptime_ms", now.since(master.started_at).0),
        ("connections", master.sessions.len() as u64),
        ("turned_away", master.strangers.turned_away),
        ("draining", u64::from(master.draining)),
        ("memory_bytes", master.memory.own_bytes),
        ("mapped_bytes", master.memory.mapped_bytes),
        ("waiting_polls", master.parked.polls() as u64),
        ("workers", master.workers.count() as u64),
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
}

/// What concerns the program and its machine.
fn of_program(master: &Master, now: Timestamp) -> [(&'static str, u64); 8] {
    [
        ("version", version()),
        ("wall_ms", master.ticks.clock(ByClock::Wall, now).0),
        ("has_token", u64::from(master.config.tokens.is_some())),
        ("syncs_first", u64::from(master.config.sync == SyncMode::Always)),
        ("sync_longest_ms", master.sync_times.longest(now).0),
        ("disk_bytes", master.room.disk_bytes),
        ("disk_free_bytes", master.room.disk_free_bytes),
        ("descriptors_max", master.room.descriptors_max),
    ]
}

/// The version of this program as one number: 1.2.3 is 1,002,003.
pub(super) fn version() -> u64 {
    let parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    parts.take(3).fold(0, |number, part| number * 1000 + part)
}

/// What a queue did of late: how long its oldest ready job has waited, if there is one, how many came and left, and
/// why it may stand still, where it does: its pauses, and since when nobody polls what is ready.
fn of_late(
    journal: &Journal,
    queue: QueueId,
    workers: u64,
    now: Timestamp,
) -> impl Iterator<Item = (&'static str, u64)> {
    let queues = &journal.queues;
    let oldest = queues.oldest_ready(queue);
    let (came, left) = journal.flows.last_minute(queue, now);
    let rules = queues.rules_of_queue(queue);
    let paused = |is_so: bool, figure: &'static str| is_so.then_some((figure, 1));
    let polled_at = oldest.filter(|_| workers == 0).and_then(|_| queues.polled_at(queue));
    [
        oldest.map(|at| ("oldest_ready_ms", now.since(at).0)),
        Some(("submitted_last_minute", came)),
        Some(("ended_last_minute", left)),
        Some(("workers", workers)),
        paused(rules.is_some_and(|rules| rules.pause_in.is_some()), "paused_in"),
        paused(rules.is_some_and(|rules| rules.pause_out.is_some()), "paused_out"),
        polled_at.map(|at| ("unpolled_ms", now.since(at).0)),
    ]
    .into_iter()
    .flatten()
}

/// Writes the reply that tells everything that is known of a job, up to its story; gives the place of that, if there is
/// one.
pub(super) fn get(
    journal: &Journal,
    get: Get,
    now: Timestamp,
    written: &mut Vec<u8>,
) -> Result<Option<wal::Text>, Refusal> {
    let facts = journal.queues.facts(get.job).ok_or_else(|| no_job(get.job))?;
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
        past: facts.past.map(|past| Past { ended_at: past.ended_at, ending: past.ending.map_or(0, Ending::code) }),
        more: more(&facts),
        story: &[],
        progress: facts.progress.map(|told| JobProgress {
            percent: told.percent,
            told_at: told.told_at,
            text: &told.text,
        }),
    };
    written.clear();
    reply.write_head(written);
    let past = facts.past.filter(|past| past.story_bytes > 0);
    Ok(past.map(|past| wal::Text { number: 0, at: past.story_at, bytes: past.story_bytes }))
}

fn more<'f>(facts: &JobFacts<'f>) -> Option<More<'f>> {
    let MoreFacts { keep_s, kept_until, backoff, expires_at, result, is_cancelled, delay_ms } = facts.more;
    let more = More {
        keep_s,
        kept_until,
        backoff,
        expires_at,
        headers_bytes: facts.view.headers.map(|(_, bytes)| bytes),
        result_bytes: result.map(|(_, bytes)| bytes),
        cancelled: is_cancelled.then_some(true),
        group: some(facts.view.group),
        after: facts.waits.map(|waits| BeforeList(List::lent(&waits.before))),
        if_failed: facts.waits.map(|waits| waits.if_failed),
        with_results: facts.waits.filter(|waits| waits.with_results).map(|_| true),
        delay_ms: Some(delay_ms).filter(|delay_ms| *delay_ms > 0),
        batch: facts.batch.map(|batch| &*batch.name),
    };
    (more != More::default()).then_some(more)
}

/// A name, if it is one.
pub(super) fn some(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

fn unreadable(error: WalError) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, format!("the log cannot be read where the job's texts are: {error}"))
}

/// The job that holds a key.
pub(super) fn find<'s>(journal: &Journal, find: &Find<'_>, written: &'s mut Vec<u8>) -> Decided<'s> {
    let job = journal.queues.job_of_key(find.key).ok_or_else(|| {
        let text =
            format!("no job holds the key {:?}: its job has ended and the key window is over, or never was", find.key);
        Refusal::new(ErrorCode::NotFound, text)
    })?;
    Ok(Answer::told::<Find<'_>>(&FindOk { job }, written))
}

/// Bytes of a job, sent from where they lie in the log.
pub(super) fn text<'s>(journal: &Journal, text: Text) -> Decided<'s> {
    let Text { job, what } = text;
    let facts = journal.queues.facts(job).ok_or_else(|| no_job(job))?;
    let place = match what {
        TextKind::Payload => (facts.view.payload_at, facts.view.payload_bytes),
        TextKind::Headers => facts.view.headers.unwrap_or_default(),
        TextKind::Result if facts.standing == Standing::Completed => facts.more.result.unwrap_or_default(),
        TextKind::Result => {
            let text = format!("job {job} has no result: it is {}", facts.standing.word());
            return Err(Refusal::new(ErrorCode::WrongState, text).into());
        }
    };
    let (at, bytes) = place;
    let piece = if bytes > 0 { Some(journal.wal.payload(at, bytes).map_err(unreadable)?) } else { None };
    Ok(Answer::TextPiece(REPLY_BIT | Text::KIND, piece))
}

pub(super) fn no_job(job: JobId) -> Refusal {
    let text = format!("there is no job {job}: it has ended and was not kept, or was never there");
    Refusal::new(ErrorCode::NotFound, text)
}
