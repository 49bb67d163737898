//! The files of the log, told one by one. However long the log is, only so many of its segments are looked at.

use super::super::Master;
use super::super::answers::Answer;
use crate::limits::STORAGE_SEGMENTS_MAX;
use crate::protocol::{List, SegmentFacts, SegmentState, SnapshotFacts, Storage, StorageOk};
use crate::queue::ByClock;

pub(super) fn storage<'s>(master: &Master, written: &'s mut Vec<u8>) -> Answer<'s> {
    let wal = &master.journal.wal;
    let segments: Vec<SegmentFacts> = segments(master).take(STORAGE_SEGMENTS_MAX).collect();
    let all = wal.stats().segments as usize + wal.spare_segments();
    let snapshots = wal.snapshots().iter().map(|kept| {
        let made_at = master.ticks.on_the_wall(ByClock::Log, kept.at);
        SnapshotFacts { lsn: kept.lsn, bytes: kept.bytes, made_at }
    });
    let snapshots: Vec<SnapshotFacts> = snapshots.collect();
    let reply = StorageOk {
        left_out: all.saturating_sub(segments.len()) as u64,
        segments: List::lent(&segments),
        snapshots: List::lent(&snapshots),
    };
    Answer::told::<Storage>(&reply, written)
}

/// The one that is written, the full ones, newest first, and the spares.
fn segments(master: &Master) -> impl Iterator<Item = SegmentFacts> {
    let (wal, queues) = (&master.journal.wal, &master.journal.queues);
    let in_use = wal.newest_segments().enumerate().map(|(place, stats)| SegmentFacts {
        first: stats.first,
        bytes: stats.bytes.into(),
        used_bytes: stats.used_bytes.into(),
        live_bytes: queues.live_in(stats.epoch).bytes,
        state: if place == 0 { SegmentState::Active } else { SegmentState::Full },
    });
    let spare =
        SegmentFacts { bytes: wal.segment_bytes().into(), state: SegmentState::Spare, ..SegmentFacts::default() };
    in_use.chain(std::iter::repeat_n(spare, wal.spare_segments()))
}
