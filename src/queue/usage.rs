//! What lives in which segment of the log: how many payloads, and what it would take to move them.

use std::collections::VecDeque;

use crate::ids::Location;

/// What a MOVE adds to its payload: the record's header and the job's id.
const MOVE_HEAD_BYTES: u64 = 48;

/// What lives in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentUse {
    /// Payloads.
    pub jobs: u32,
    /// Bytes of the records that it would take to move them.
    pub bytes: u64,
}

/// All segments with live payloads, by epoch.
#[derive(Debug, Default)]
pub struct Usage {
    first: u32,
    segments: VecDeque<SegmentUse>,
    total: u64,
}

/// Bytes that a payload keeps alive in the log: those of the record that would move it. None if it is empty.
#[must_use]
pub fn live_bytes(payload_bytes: u32) -> u64 {
    if payload_bytes == 0 { 0 } else { MOVE_HEAD_BYTES + u64::from(payload_bytes).next_multiple_of(8) }
}

impl Usage {
    /// A payload lives there.
    pub fn add(&mut self, at: Location, payload_bytes: u32) {
        if payload_bytes > 0 {
            let place = self.place(at.epoch);
            place.jobs += 1;
            place.bytes += live_bytes(payload_bytes);
            self.total += live_bytes(payload_bytes);
        }
    }

    /// It lives there no more.
    pub fn remove(&mut self, at: Location, payload_bytes: u32) {
        if payload_bytes > 0 {
            let place = self.place(at.epoch);
            place.jobs -= 1;
            place.bytes -= live_bytes(payload_bytes);
            self.total -= live_bytes(payload_bytes);
            while self.segments.len() > 1 && self.segments.front().is_some_and(|front| front.jobs == 0) {
                self.segments.pop_front();
                self.first += 1;
            }
        }
    }

    /// What lives in the segment of this epoch.
    pub fn of(&self, epoch: u32) -> SegmentUse {
        let index = epoch.checked_sub(self.first).and_then(|index| self.segments.get(index as usize));
        index.copied().unwrap_or_default()
    }

    /// Bytes that live in all segments.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The epochs in which something lives, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = u32> {
        (self.first..).zip(&self.segments).filter(|(_, used)| used.jobs > 0).map(|(epoch, _)| epoch)
    }

    fn place(&mut self, epoch: u32) -> &mut SegmentUse {
        if self.segments.is_empty() {
            self.first = epoch;
        }
        while epoch < self.first {
            self.segments.push_front(SegmentUse::default());
            self.first -= 1;
        }
        let index = (epoch - self.first) as usize;
        if index >= self.segments.len() {
            self.segments.resize(index + 1, SegmentUse::default());
        }
        &mut self.segments[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32) -> Location {
        Location { epoch, offset: 0 }
    }

    #[test]
    fn payloads_are_counted_where_they_live() {
        let mut usage = Usage::default();
        for (epoch, bytes) in [(7, 1), (9, 8), (5, 9), (9, 0)] {
            usage.add(at(epoch), bytes);
        }
        assert_eq!(usage.of(9), SegmentUse { jobs: 1, bytes: 56 });
        assert_eq!(usage.of(5), SegmentUse { jobs: 1, bytes: 64 });
        assert_eq!(usage.of(8), SegmentUse::default());
        assert_eq!((usage.total(), usage.epochs().collect::<Vec<_>>()), (176, vec![5, 7, 9]));
        usage.remove(at(5), 9);
        usage.remove(at(7), 1);
        assert_eq!((usage.segments.len(), usage.of(9).jobs), (1, 1), "what is past is forgotten");
        usage.remove(at(9), 8);
        assert_eq!(usage.total(), 0);
    }
}
