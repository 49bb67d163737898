//! What was counted and measured, told. The time that it takes is bounded by the queues that have measures of their
//! own, and by the connections; it grows with no number of jobs or queues.

use super::super::answers::Answer;
use super::super::measures::{Count, Histogram, Kind, OfQueue};
use super::super::sessions::Session;
use super::super::workers::Worker;
use super::super::{Master, SOFTWARE, SyncMode};
use super::looks;
use crate::ids::QueueId;
use crate::limits::{MEASURED_LEASES_MAX, MEASURED_SCHEDULES_MAX};
use crate::protocol::{
    Figure, HistogramCounts, HistogramKind, List, Measure, MeasureOk, MeasuredHistogram, MeasuredQueue,
    MeasuredSchedule, NO_VALUE,
};
use crate::queue::{ByClock, Queues, Standings};
use crate::time::Timestamp;

/// Figures of a queue that are not counts: what is so now.
const NOW_NAMES: [&str; 12] = [
    "ready",
    "delayed",
    "waiting",
    "in_flight",
    "dead",
    "kept",
    "oldest_ready_ms",
    "oldest_running_ms",
    "running_max",
    "tokens",
    "tokens_max",
    "workers",
];

/// The values of a row: those of [`NOW_NAMES`], then the counts.
type Values = [u64; NOW_NAMES.len() + Count::NAMES.len()];

/// A row that is about to be told.
struct Row<'m> {
    name: &'m str,
    values: Values,
    histograms: [HistogramCounts<'m>; 2],
}

pub(super) fn measure<'s>(master: &Master, now: Timestamp, written: &'s mut Vec<u8>) -> Answer<'s> {
    let measures = &master.journal.measures;
    let rows = rows(master, now);
    let queues: Vec<MeasuredQueue<'_>> = rows.iter().map(Row::told).collect();
    let names: Vec<&str> = NOW_NAMES.into_iter().chain(Count::NAMES).collect();
    let kinds = [&measures.other().wait, &measures.other().run].map(|of| kind(of.kind()));
    let histograms = [&measures.sync, &measures.sync_records, &measures.turn];
    let histograms = histograms.map(|of| MeasuredHistogram { kind: kind(of.kind()), values: counts(of) });
    let figures: Vec<Figure<'_>> = figures(master, now).map(|(name, value)| Figure { name, value }).collect();
    let schedules = schedules(master);
    let sync = match master.config.sync {
        SyncMode::Always => "always".to_owned(),
        SyncMode::Never => "never".to_owned(),
        SyncMode::Every(interval) => interval.to_string(),
    };
    let reply = MeasureOk {
        software: SOFTWARE,
        sync: &sync,
        figures: List::lent(&figures),
        histograms: List::lent(&histograms),
        queue_figures: List::lent(&names),
        queue_histograms: List::lent(&kinds),
        queues: List::lent(&queues),
        schedules: List::lent(&schedules),
    };
    Answer::told::<Measure>(&reply, written)
}

impl<'m> Row<'m> {
    fn new(name: &'m str, of: &'m OfQueue, so_now: [u64; NOW_NAMES.len()]) -> Row<'m> {
        let mut values: Values = [NO_VALUE; _];
        let all = so_now.iter().chain(of.counts());
        values.iter_mut().zip(all).for_each(|(value, told)| *value = *told);
        Row { name, values, histograms: [&of.wait, &of.run].map(counts) }
    }

    fn told(&self) -> MeasuredQueue<'_> {
        let Row { name, values, histograms } = self;
        MeasuredQueue { name, values: List::lent(values), histograms: List::lent(histograms) }
    }
}

fn kind(of: &'static Kind) -> HistogramKind<'static> {
    HistogramKind { name: of.name, per_unit: of.per_unit, bounds: List::lent(of.bounds) }
}

fn counts(of: &Histogram) -> HistogramCounts<'_> {
    HistogramCounts { counts: List::lent(of.counts()), sum: of.sum() }
}

/// The queues that have measures of their own, and last all others.
fn rows(master: &Master, now: Timestamp) -> Vec<Row<'_>> {
    let (queues, measures) = (&master.journal.queues, &master.journal.measures);
    let workers = master.workers.by_queue();
    let mut left = queues.all_standings();
    let mut rows = Vec::new();
    for (name, of) in measures.queues() {
        let id = queues.queue(name);
        let standings = id.map(|id| queues.standings(id)).unwrap_or_default();
        left = less(left, standings);
        let limits = id.map(|id| queues.limits(id)).unwrap_or_default();
        let (tokens, tokens_max) = limits.tokens.map_or((NO_VALUE, NO_VALUE), |(has, most)| (has, most));
        let ready_at = id.and_then(|id: QueueId| measures.oldest_ready(queues, id));
        let ages = [ready_at, of.oldest_running()].map(|at| at.map_or(NO_VALUE, |at| now.since(at).0));
        let workers = workers.get(name).copied().unwrap_or(0);
        let rest = [limits.running_max.unwrap_or(NO_VALUE), tokens, tokens_max, workers];
        rows.push(Row::new(name, of, so_now(standings, ages, rest)));
    }
    // Which of many queues has the oldest ready job would take a look at each.
    let ages = [NO_VALUE, measures.other().oldest_running().map_or(NO_VALUE, |at| now.since(at).0)];
    rows.push(Row::new("", measures.other(), so_now(left, ages, [NO_VALUE; 4])));
    rows
}

/// The values of [`NOW_NAMES`].
fn so_now(standings: Standings, ages: [u64; 2], rest: [u64; 4]) -> [u64; NOW_NAMES.len()] {
    let Standings { ready, delayed, waiting, in_flight, dead, kept } = standings;
    let ([oldest_ready, oldest_running], [running_max, tokens, tokens_max, workers]) = (ages, rest);
    [
        ready,
        delayed,
        waiting,
        in_flight,
        dead,
        kept,
        oldest_ready,
        oldest_running,
        running_max,
        tokens,
        tokens_max,
        workers,
    ]
}

/// What is left of all without those.
fn less(all: Standings, those: Standings) -> Standings {
    Standings {
        ready: all.ready.saturating_sub(those.ready),
        delayed: all.delayed.saturating_sub(those.delayed),
        waiting: all.waiting.saturating_sub(those.waiting),
        in_flight: all.in_flight.saturating_sub(those.in_flight),
        dead: all.dead.saturating_sub(those.dead),
        kept: all.kept.saturating_sub(those.kept),
    }
}

fn figures(master: &Master, now: Timestamp) -> impl Iterator<Item = (&'static str, u64)> {
    let (journal, keeping) = (&master.journal, &master.keeping);
    let (wal, queues) = (journal.wal.stats(), &journal.queues);
    let [busy, idle, quiet] = worker_states(master);
    let snapshots = &keeping.snapshots;
    let snapshot_age = (snapshots.taken > 0).then(|| ("snapshot_age_ms", now.since(snapshots.taken_at).0));
    let uptime = now.since(master.started_at).0;
    let own = [
        ("uptime_ms", uptime),
        ("started_ms", master.ticks.clock(ByClock::Wall, now).0.saturating_sub(uptime)),
        ("connections", master.sessions.len() as u64),
        ("turned_away", master.strangers.turned_away),
        ("waiting_polls", master.parked.polls() as u64),
        ("workers_busy", busy),
        ("workers_idle", idle),
        ("workers_quiet", quiet),
        ("stale_reports", journal.measures.stale_reports),
        ("queues", queues.durable_queues() as u64),
        ("groups", queues.groups() as u64),
        ("draining", u64::from(master.draining)),
        ("records", wal.records),
        ("syncs", wal.syncs),
        ("segments", u64::from(wal.segments)),
        ("log_bytes", wal.bytes),
        ("live_bytes", queues.live_bytes()),
        ("written_bytes", wal.written_bytes),
        ("moved_bytes", keeping.cleaning.moved_bytes),
        ("snapshots", snapshots.taken),
    ];
    own.into_iter().chain(snapshot_age).chain(of_machine(master)).chain(queues.memory())
}

/// What concerns the program and its machine.
fn of_machine(master: &Master) -> [(&'static str, u64); 7] {
    [
        ("version", looks::version()),
        ("memory_bytes", master.memory.own_bytes),
        ("mapped_bytes", master.memory.mapped_bytes),
        ("memory_max_bytes", master.config.memory_max.unwrap_or(0)),
        ("disk_bytes", master.room.disk_bytes),
        ("disk_free_bytes", master.room.disk_free_bytes),
        ("descriptors_max", master.room.descriptors_max),
    ]
}

/// How many workers have a job, have none, and take no new ones, as they say. Where workers have more leases than are
/// looked at, whoever may have one of the rest counts as busy.
fn worker_states(master: &Master) -> [u64; 3] {
    let mut left = MEASURED_LEASES_MAX;
    let mut states = [0; 3];
    for worker in master.workers.all() {
        let state = match () {
            () if worker.quiet => 2,
            () if has_job(master, worker, &mut left) => 0,
            () => 1,
        };
        states[state] += 1;
    }
    states
}

fn has_job(master: &Master, worker: &Worker, left: &mut usize) -> bool {
    let queues: &Queues = &master.journal.queues;
    let sessions = worker.sessions.iter().filter_map(|id| master.sessions.session(*id));
    let mut leases = sessions.flat_map(Session::newest_leases);
    leases.any(|(job, lease)| {
        *left = left.saturating_sub(1);
        *left == 0 || queues.is_live(job, lease)
    })
}

/// The first schedules by name.
fn schedules(master: &Master) -> Vec<MeasuredSchedule<'_>> {
    let first = master.journal.queues.schedules_behind("").take(MEASURED_SCHEDULES_MAX);
    let told = first.map(|(name, schedule)| {
        let on_the_wall = |at| master.ticks.on_the_wall(schedule.by, at);
        let next_at = if schedule.is_suspended { Timestamp(0) } else { schedule.next_at };
        let last_at = schedule.runs.last().map_or(Timestamp(0), |run| run.tick_at);
        let (last_at, next_at) = (on_the_wall(last_at), on_the_wall(next_at));
        MeasuredSchedule { name, last_at, next_at, paused: schedule.is_suspended }
    });
    told.collect()
}
