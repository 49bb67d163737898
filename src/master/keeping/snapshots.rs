//! Snapshots while serving: a slice of the state each turn, written beside the loop, checked, and published when
//! the log is durable up to its LSN.
//!
//! One is due when the log has grown so far that a start would take noticeably longer without it (see [`interval`]), or
//! when somebody asks.

use super::super::journal::Journal;
use super::Kept;
use crate::ids::Lsn;
use crate::planted::{Bug, is_planted};
use crate::queue::Slice;
use crate::time::{Millis, Timestamp};
use crate::wal::{KeptSnapshot, SnapshotOutcome, SnapshotWriter, WalError};

/// Slots visited in one turn: a fraction of a millisecond.
const SLOTS_PER_TURN: u32 = 4096;

/// The state is visited no further while this much waits to be written.
const QUEUED_BYTES_MAX: usize = 1 << 20;

/// How long to wait for the writer before it is looked at again.
const LOOK_AGAIN: Millis = Millis(2);

/// How long after one that could not be written the next is tried.
const RETRY: Millis = Millis(500);

/// How far the log may grow before the next snapshot, in sizes of the last. A start replays 1,200 MB of log a second,
/// where a snapshot of as many waiting jobs loads in two thirds of the time (600,000 jobs of 256 bytes: 198 MB in
/// 0.17 s, against 6 MB in 0.12 s), so with eight a start is some hundredths longer than right after a snapshot, and
/// snapshots are an eighth of what is written.
const SNAPSHOTS_GROWN: u64 = 8;

/// How far the log may grow before the next snapshot. What lies behind the last two is kept for a replay, dead or not,
/// so it is no more than a quarter of what lives, and as little as possible where the log is near its bound.
fn interval(segment_bytes: u64, snapshot_bytes: u64, live_bytes: u64, bound_left: u64) -> u64 {
    let least = (segment_bytes / 4).max(snapshot_bytes);
    if bound_left < 2 * segment_bytes {
        return least;
    }
    least.max((SNAPSHOTS_GROWN * snapshot_bytes).min(live_bytes / 4))
}

/// The snapshot that is being taken, and what decides about the next.
#[derive(Debug, Default)]
pub struct Snapshots {
    stage: Stage,
    /// What the log had written when the last one was begun.
    begun_at_bytes: u64,
    retry_at: Timestamp,
    /// How many were taken since the log was opened.
    pub taken: u64,
    /// When the last of these was.
    pub taken_at: Timestamp,
    /// Whether one that failed has been told of.
    told: bool,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    /// The state is visited.
    Taking(SnapshotWriter),
    /// The rest is written and checked.
    Finishing(SnapshotWriter),
    /// The log has to be durable up to its LSN.
    Waiting(SnapshotWriter),
    /// It gets its name.
    Publishing(SnapshotWriter),
}

impl Snapshots {
    /// Somebody asks: it is tried at once.
    pub fn asked(&mut self) {
        self.retry_at = Timestamp(0);
    }

    /// Whether the log has to be made durable for it, whatever the settings say.
    pub fn wants_sync(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// When a turn is due for it.
    pub fn next_deadline(&self, turn_at: Timestamp, durable: Lsn, wanted: bool) -> Option<Timestamp> {
        match &self.stage {
            Stage::Idle => wanted.then_some(self.retry_at),
            Stage::Taking(writer) if writer.queued_bytes() < QUEUED_BYTES_MAX => Some(turn_at),
            Stage::Waiting(writer) => (writer.lsn() <= durable).then_some(turn_at),
            Stage::Taking(_) | Stage::Finishing(_) | Stage::Publishing(_) => Some(turn_at.plus(LOOK_AGAIN)),
        }
    }

    /// The turn's share of work.
    pub fn work(&mut self, journal: &mut Journal, wanted: bool, now: Timestamp) -> Result<Kept, WalError> {
        match std::mem::take(&mut self.stage) {
            Stage::Idle => self.begin_if_due(journal, wanted, now),
            Stage::Taking(mut writer) => {
                if let Some(SnapshotOutcome::Failed(error)) = writer.outcome() {
                    return self.failed(journal, error, now);
                }
                self.stage = take_slices(journal, writer);
                Ok(Kept::Nothing)
            }
            Stage::Finishing(mut writer) => match writer.outcome() {
                None => Ok(self.go_on(Stage::Finishing(writer))),
                Some(SnapshotOutcome::Failed(error)) => self.failed(journal, error, now),
                Some(_) => Ok(self.publish_if_durable(journal, writer)),
            },
            Stage::Waiting(writer) => Ok(self.publish_if_durable(journal, writer)),
            Stage::Publishing(mut writer) => match writer.outcome() {
                None => Ok(self.go_on(Stage::Publishing(writer))),
                Some(SnapshotOutcome::Published(bytes)) => Ok(self.published(journal, &writer, bytes, now)),
                Some(SnapshotOutcome::Failed(error)) => self.failed(journal, error, now),
                Some(SnapshotOutcome::Written) => unreachable!("it was written before it was published"),
            },
        }
    }

    fn go_on(&mut self, stage: Stage) -> Kept {
        self.stage = stage;
        Kept::Nothing
    }

    fn publish_if_durable(&mut self, journal: &Journal, mut writer: SnapshotWriter) -> Kept {
        if writer.lsn() > journal.wal.durable() && !is_planted(Bug::SnapshotEarly) {
            return self.go_on(Stage::Waiting(writer));
        }
        writer.publish();
        self.go_on(Stage::Publishing(writer))
    }

    fn begin_if_due(&mut self, journal: &mut Journal, wanted: bool, now: Timestamp) -> Result<Kept, WalError> {
        let wal = &journal.wal;
        let grown = wal.written_bytes() - self.begun_at_bytes;
        let live_bytes = journal.queues.live_bytes();
        let left = wal.bound_left(live_bytes);
        let is_due = grown >= interval(wal.segment_bytes().into(), wal.snapshot_bytes(), live_bytes, left);
        if now < self.retry_at || (!is_due && !wanted) {
            return Ok(Kept::Nothing);
        }
        let newest = wal.last_lsn();
        if wal.snapshot_lsn() == Some(newest) || newest.0 == 0 {
            self.begun_at_bytes = wal.written_bytes();
            return Ok(Kept::Snapshot { lsn: newest, bytes: wal.snapshot_bytes() });
        }
        match wal.begin_snapshot(now) {
            Ok(mut writer) => {
                self.begun_at_bytes = wal.written_bytes();
                if let Slice::Block(kind, body) = journal.queues.begin_snapshot() {
                    writer.block(kind, body);
                }
                Ok(self.go_on(Stage::Taking(writer)))
            }
            Err(error) => self.failed(journal, error, now),
        }
    }

    fn published(&mut self, journal: &mut Journal, writer: &SnapshotWriter, bytes: u64, now: Timestamp) -> Kept {
        let lsn = writer.lsn();
        log::debug!("a snapshot at LSN {lsn} is on disk, {bytes} bytes");
        journal.wal.snapshot_published(KeptSnapshot { lsn, bytes, at: writer.at() });
        self.told = false;
        (self.taken, self.taken_at) = (self.taken + 1, now);
        Kept::Snapshot { lsn, bytes }
    }

    /// A lack of space is met by giving up the snapshot before the last, and else by trying again later; anything else
    /// is the end.
    fn failed(&mut self, journal: &mut Journal, error: WalError, now: Timestamp) -> Result<Kept, WalError> {
        journal.queues.give_up_snapshot();
        if !error.is_lack_of_space() {
            return Err(error);
        }
        self.begun_at_bytes = 0;
        if journal.wal.give_up_old_snapshots()? {
            return Ok(Kept::Nothing);
        }
        if !self.told {
            log::warn!("{error}; it is tried again, and the log grows until there is space");
            self.told = true;
        }
        self.retry_at = now.plus(RETRY);
        Ok(Kept::NoRoom(format!("the snapshot could not be written: {error}")))
    }
}

/// Visits the state as far as this turn's share and the writer's queue allow.
fn take_slices(journal: &mut Journal, mut writer: SnapshotWriter) -> Stage {
    if writer.queued_bytes() >= QUEUED_BYTES_MAX {
        return Stage::Taking(writer);
    }
    match journal.queues.snapshot_slice(SLOTS_PER_TURN) {
        Slice::Block(kind, body) => writer.block(kind, body),
        Slice::Nothing => {}
        Slice::Done => {
            writer.finish();
            return Stage::Finishing(writer);
        }
    }
    Stage::Taking(writer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn snapshots_are_as_far_apart_as_a_start_and_the_disk_allow() {
        let far = u64::MAX;
        assert_eq!(interval(64 * MIB, 0, 0, far), 16 * MIB, "a quarter of a segment");
        assert_eq!(interval(64 * MIB, 7 * MIB, 300 * MIB, far), 56 * MIB, "eight of its size");
        assert_eq!(interval(64 * MIB, 7 * MIB, 80 * MIB, far), 20 * MIB, "a quarter of what lives");
        assert_eq!(interval(64 * MIB, 7 * MIB, 200 * MIB, MIB), 16 * MIB, "the disk is nearly at its bound");
        assert_eq!(interval(64 * MIB, 70 * MIB, 80 * MIB, far), 70 * MIB, "no more than is written to the log");
    }
}
