//! What lives in which segment of the log: how many texts, and what it would take to move them.

use std::collections::VecDeque;

use super::entry::Text;

/// What a MOVE adds to the bytes that it moves: the record's header, the job's id, which part it is, no extras.
const MOVE_HEAD_BYTES: u64 = 50;

/// What lives in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentUse {
    /// Payloads and stories.
    pub texts: u32,
    /// Bytes of the records that it would take to move them.
    pub bytes: u64,
}

/// All segments with live texts, by epoch.
#[derive(Debug, Default)]
pub struct Usage {
    /// Only those in which something lives, and the newest: an epoch that is far off costs nothing.
    segments: VecDeque<(u32, SegmentUse)>,
    total: u64,
}

/// Bytes that a text keeps alive in the log: those of the record that would move it. None if it is empty.
pub fn live_bytes(text_bytes: u32) -> u64 {
    if text_bytes == 0 { 0 } else { (MOVE_HEAD_BYTES + u64::from(text_bytes)).next_multiple_of(8) }
}

impl Usage {
    /// A text lives there.
    pub fn add(&mut self, text: Text) {
        if text.bytes > 0 {
            let index = self.place(text.at.epoch);
            let place = &mut self.segments[index].1;
            place.texts += 1;
            place.bytes += live_bytes(text.bytes);
            self.total += live_bytes(text.bytes);
        }
    }

    /// It lives there no more.
    pub fn remove(&mut self, text: Text) {
        if text.bytes > 0 {
            let index = self.place(text.at.epoch);
            let place = &mut self.segments[index].1;
            place.texts -= 1;
            place.bytes -= live_bytes(text.bytes);
            self.total -= live_bytes(text.bytes);
            // The newest is about to be written to again.
            if place.texts == 0 && index + 1 < self.segments.len() {
                self.segments.remove(index);
            }
        }
    }

    /// What lives in the segment of this epoch.
    pub fn of(&self, epoch: u32) -> SegmentUse {
        self.find(epoch).map_or(SegmentUse::default(), |index| self.segments[index].1)
    }

    /// Bytes that live in all segments.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The epochs in which something lives, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = u32> {
        self.segments.iter().filter(|(_, used)| used.texts > 0).map(|(epoch, _)| *epoch)
    }

    /// Where the segment of this epoch stands; it is there from now on.
    fn place(&mut self, epoch: u32) -> usize {
        self.find(epoch).unwrap_or_else(|index| {
            self.segments.insert(index, (epoch, SegmentUse::default()));
            index
        })
    }

    /// Where the segment of this epoch stands, or should. Most often it is the newest.
    fn find(&self, epoch: u32) -> Result<usize, usize> {
        let count = self.segments.len();
        match self.segments.back() {
            Some((newest, _)) if *newest == epoch => Ok(count - 1),
            Some((newest, _)) if *newest < epoch => Err(count),
            _ => self.segments.binary_search_by_key(&epoch, |(epoch, _)| *epoch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Location;

    fn text(epoch: u32, bytes: u32) -> Text {
        Text { at: Location { epoch, offset: 0 }, bytes }
    }

    #[test]
    fn texts_are_counted_where_they_live() {
        let mut usage = Usage::default();
        for (epoch, bytes) in [(7, 1), (9, 8), (5, 9), (9, 0)] {
            usage.add(text(epoch, bytes));
        }
        assert_eq!(usage.of(9), SegmentUse { texts: 1, bytes: 64 });
        assert_eq!(usage.of(5), SegmentUse { texts: 1, bytes: 64 });
        assert_eq!(usage.of(8), SegmentUse::default());
        assert_eq!((usage.total(), usage.epochs().collect::<Vec<_>>()), (184, vec![5, 7, 9]));
        usage.remove(text(5, 9));
        usage.remove(text(7, 1));
        assert_eq!((usage.segments.len(), usage.of(9).texts), (1, 1), "what is past is forgotten");
        usage.add(text(u32::MAX, 1));
        usage.add(text(1, 1));
        assert_eq!(usage.segments.len(), 3, "epochs that are far off take no room between them");
        usage.remove(text(u32::MAX, 1));
        usage.remove(text(1, 1));
        usage.remove(text(9, 8));
        assert_eq!(usage.total(), 0);
    }
}
