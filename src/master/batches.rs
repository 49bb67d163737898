//! Who fills which batch. An open batch that nobody fills any more is called off after [`BATCH_ALONE_MS`]: half of it
//! would wait for ever otherwise.
//!
//! All of this is volatile. After a restart each open batch waits as long for somebody to come back.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{BatchId, SessionId};
use crate::limits::BATCH_ALONE_MS;
use crate::time::{Millis, Timestamp};

#[derive(Debug, Default)]
pub struct Fillers {
    /// Sessions that have begun an open batch, or given it members.
    by_batch: BTreeMap<BatchId, BTreeSet<SessionId>>,
    by_session: BTreeMap<SessionId, BTreeSet<BatchId>>,
    /// Open batches that nobody fills, by when they are called off.
    alone: BTreeSet<(Timestamp, BatchId)>,
}

impl Fillers {
    /// Nobody fills these now.
    pub fn begin(&mut self, open: impl Iterator<Item = BatchId>, now: Timestamp) {
        for batch in open {
            self.by_batch.insert(batch, BTreeSet::new());
            self.alone.insert((now.plus(Millis(BATCH_ALONE_MS)), batch));
        }
    }

    pub fn fills(&mut self, session: SessionId, batch: BatchId) {
        if self.by_batch.entry(batch).or_default().insert(session) {
            self.by_session.entry(session).or_default().insert(batch);
            self.alone.retain(|(_, alone)| *alone != batch);
        }
    }

    /// A session is gone.
    pub fn left(&mut self, session: SessionId, now: Timestamp) {
        for batch in self.by_session.remove(&session).unwrap_or_default() {
            let Some(sessions) = self.by_batch.get_mut(&batch) else { continue };
            sessions.remove(&session);
            if sessions.is_empty() {
                self.alone.insert((now.plus(Millis(BATCH_ALONE_MS)), batch));
            }
        }
    }

    /// For so long nobody could come back: that does not count.
    pub fn prolong(&mut self, gap: Millis) {
        self.alone = self.alone.iter().map(|(at, batch)| (at.plus(gap), *batch)).collect();
    }

    /// A batch takes no members any more.
    pub fn sealed(&mut self, batch: BatchId) {
        for session in self.by_batch.remove(&batch).unwrap_or_default() {
            if let Some(batches) = self.by_session.get_mut(&session) {
                batches.remove(&batch);
                if batches.is_empty() {
                    self.by_session.remove(&session);
                }
            }
        }
        self.alone.retain(|(_, alone)| *alone != batch);
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.alone.first().map(|(at, _)| *at)
    }

    /// The first batch that was alone for too long.
    pub fn first_due(&self, now: Timestamp) -> Option<BatchId> {
        self.alone.first().filter(|(at, _)| *at <= now).map(|(_, batch)| *batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: u64 = BATCH_ALONE_MS;

    #[test]
    fn a_batch_is_alone_when_the_last_who_filled_it_is_gone_and_nobody_comes_back() {
        let mut fillers = Fillers::default();
        let (one, two, batch) = (SessionId(1), SessionId(2), BatchId(7));
        fillers.fills(one, batch);
        fillers.fills(two, batch);
        fillers.left(one, Timestamp(10));
        assert_eq!(fillers.next_deadline(), None);
        fillers.left(two, Timestamp(20));
        assert_eq!(fillers.next_deadline(), Some(Timestamp(20 + ALONE)));
        assert_eq!(fillers.first_due(Timestamp(19 + ALONE)), None);
        fillers.fills(SessionId(3), batch);
        assert_eq!(fillers.next_deadline(), None, "somebody came back");
        fillers.left(SessionId(3), Timestamp(30));
        assert_eq!(fillers.first_due(Timestamp(30 + ALONE)), Some(batch));
    }

    #[test]
    fn time_in_which_nobody_could_come_back_does_not_count() {
        let mut fillers = Fillers::default();
        fillers.begin([BatchId(1), BatchId(2)].into_iter(), Timestamp(10));
        fillers.prolong(Millis(3 * ALONE));
        assert_eq!(fillers.first_due(Timestamp(9 + 4 * ALONE)), None);
        assert_eq!(fillers.first_due(Timestamp(10 + 4 * ALONE)), Some(BatchId(1)));
    }

    #[test]
    fn one_that_is_sealed_is_forgotten() {
        let mut fillers = Fillers::default();
        fillers.begin([BatchId(1), BatchId(2)].into_iter(), Timestamp(0));
        fillers.fills(SessionId(1), BatchId(1));
        fillers.sealed(BatchId(1));
        fillers.sealed(BatchId(2));
        fillers.left(SessionId(1), Timestamp(5));
        assert!(fillers.by_batch.is_empty() && fillers.by_session.is_empty() && fillers.alone.is_empty());
    }
}
