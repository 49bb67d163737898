//! Views: what the master tells of itself. Nothing changes here, but for its way to a stop.

use super::Master;
use crate::ids::SessionId;
use crate::protocol::{Counts, ErrorCode, List, QueueCounts, Refusal, Reply, Stats};
use crate::queue::counters::Counters;
use crate::time::Timestamp;

impl Master {
    pub(super) fn stats(&mut self, id: SessionId, correlation: u64, now: Timestamp) {
        let counters = self.queues.counters();
        let queues: Vec<QueueCounts<'_>> =
            counters.iter().map(|(name, counters)| QueueCounts { name, counts: counts(counters) }).collect();
        let wal = self.wal.stats();
        let reply = Reply::StatsOk(Stats {
            uptime_ms: now.since(self.started_at).0,
            connections: u32::try_from(self.sessions.len()).unwrap_or(u32::MAX),
            waiting_polls: u32::try_from(self.waiters.len()).unwrap_or(u32::MAX),
            records: wal.records,
            syncs: wal.syncs,
            durable_lsn: wal.durable.0,
            segments: wal.segments,
            log_bytes: wal.bytes,
            totals: counts(&self.queues.totals()),
            queues: List::lent(&queues),
        });
        let gate = self.gate();
        if let Some(session) = self.sessions.session_mut(id) {
            reply.encode(correlation, &mut session.outbox.stream(gate.is_some()).bytes);
        }
        self.close_gate(gate, id);
    }

    /// Takes no more jobs and polls: those that wait are refused, so that their clients come back later.
    pub fn begin_stop(&mut self) {
        self.stopping = true;
        for id in self.sessions.ids() {
            let Some(session) = self.sessions.session_mut(id) else { continue };
            for number in std::mem::take(&mut session.polls) {
                let waiter = self.take_waiter(number);
                let refusal = Refusal::new(ErrorCode::ShuttingDown, "the master is stopping; try again soon");
                self.reply_at_once(id, waiter.correlation, &Reply::Error(refusal));
            }
        }
    }

    /// How many snapshots were taken since the log was opened.
    #[must_use]
    pub fn snapshots(&self) -> u64 {
        self.checkpoint.taken()
    }

    /// Whether a sync is under way.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.wal.is_syncing()
    }
}

fn counts(counters: &Counters) -> Counts {
    let Counters { pending, delayed, in_flight, completed, dead, cancelled } = *counters;
    Counts { pending, delayed, in_flight, completed, dead, cancelled }
}
