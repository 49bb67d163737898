//! Looks: what the master tells of itself and of its jobs. Nothing changes here.

use super::super::Master;
use super::super::answers::Answer;
use crate::protocol::{Figure, List, QueueFigures, Stats, StatsOk};
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
            ("waiting_polls", master.parked.polls() as u64),
            ("queues", queues.durable_queues() as u64),
            ("records", wal.records),
            ("syncs", wal.syncs),
            ("durable_lsn", wal.durable.0),
            ("segments", u64::from(wal.segments)),
            ("log_bytes", wal.bytes),
            ("live_bytes", queues.live_bytes()),
            ("snapshots", master.keeping.snapshots_taken()),
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
