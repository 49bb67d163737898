//! Snapshots while serving: a slice of the state each turn, written beside the loop, checked, and published when the log is
//! durable up to its LSN.
//!
//! One is due when the log has grown by a quarter of a segment, or by the size of the last snapshot if that is
//! more, so that writing snapshots costs no more than writing the log; or when somebody asks.

use super::Master;
use crate::ids::{Lsn, SessionId};
use crate::planted::{Bug, is_planted};
use crate::protocol::{ErrorCode, Refusal, Reply};
use crate::queue::Slice;
use crate::time::{Millis, Timestamp};
use crate::wal::{SnapshotOutcome, SnapshotWriter, WalError};

/// Slots visited in one turn: a fraction of a millisecond.
const SLOTS_PER_TURN: u32 = 4096;

/// The state is visited no further while this much waits to be written.
const QUEUED_BYTES_MAX: usize = 1 << 20;

/// Most requests for a snapshot that wait.
const ASKED_MAX: usize = 1024;

/// How long to wait for the writer before it is looked at again.
const LOOK_AGAIN: Millis = Millis(2);

/// How long after one that could not be written the next is tried.
const RETRY: Millis = Millis(500);

/// The snapshot that is being taken, and what decides about the next.
#[derive(Debug, Default)]
pub struct Checkpoint {
    stage: Stage,
    /// What the log had written when the last one was begun.
    begun_at_bytes: u64,
    retry_at: Timestamp,
    taken: u64,
    /// Whether one that failed has been told of.
    told: bool,
    /// Who asked, and under which correlation.
    asked: Vec<(SessionId, u64)>,
    /// Who asked while one was under way that does not hold all they know of: they get the next.
    asked_next: Vec<(SessionId, u64)>,
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

impl Checkpoint {
    /// How many were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the log has to be made durable for it, whatever the settings say.
    pub fn wants_sync(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// When a turn is due for it.
    pub fn next_deadline(&self, turn_at: Timestamp, durable: Lsn) -> Option<Timestamp> {
        match &self.stage {
            Stage::Idle if self.asked.is_empty() => None,
            Stage::Idle => Some(self.retry_at),
            Stage::Taking(writer) if writer.queued_bytes() < QUEUED_BYTES_MAX => Some(turn_at),
            Stage::Waiting(writer) => (writer.lsn() <= durable).then_some(turn_at),
            Stage::Taking(_) | Stage::Finishing(_) | Stage::Publishing(_) => Some(turn_at.plus(LOOK_AGAIN)),
        }
    }
}

impl Master {
    /// Notes that a session asks for a snapshot; it is answered when that is on disk.
    pub(super) fn snapshot_asked(&mut self, id: SessionId, correlation: u64) {
        let checkpoint = &mut self.checkpoint;
        if checkpoint.asked.len() + checkpoint.asked_next.len() >= ASKED_MAX {
            let text = format!("{ASKED_MAX} requests wait for a snapshot already; try again later");
            let refusal = Refusal::new(ErrorCode::Unavailable, text);
            return self.reply_at_once(id, correlation, &Reply::Error(refusal));
        }
        checkpoint.retry_at = Timestamp(0);
        match checkpoint.stage {
            Stage::Idle => checkpoint.asked.push((id, correlation)),
            _ => checkpoint.asked_next.push((id, correlation)),
        }
    }

    /// The turn's share of work on a snapshot.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn work_on_snapshot(&mut self, now: Timestamp) -> Result<(), WalError> {
        match std::mem::take(&mut self.checkpoint.stage) {
            Stage::Idle => self.begin_snapshot_if_due(now),
            Stage::Taking(mut writer) => {
                if let Some(SnapshotOutcome::Failed(error)) = writer.outcome() {
                    return self.snapshot_failed(error, now);
                }
                self.checkpoint.stage = self.take_slices(writer);
                Ok(())
            }
            Stage::Waiting(mut writer) => {
                self.checkpoint.stage =
                    if writer.lsn() <= self.wal.durable() || is_planted(Bug::SnapshotEarly) {
                        writer.publish();
                        Stage::Publishing(writer)
                    } else {
                        Stage::Waiting(writer)
                    };
                Ok(())
            }
            Stage::Finishing(mut writer) => match writer.outcome() {
                None => {
                    self.checkpoint.stage = Stage::Finishing(writer);
                    Ok(())
                }
                Some(SnapshotOutcome::Failed(error)) => self.snapshot_failed(error, now),
                Some(_) => {
                    self.checkpoint.stage = Stage::Waiting(writer);
                    self.work_on_snapshot(now)
                }
            },
            Stage::Publishing(mut writer) => match writer.outcome() {
                None => {
                    self.checkpoint.stage = Stage::Publishing(writer);
                    Ok(())
                }
                Some(SnapshotOutcome::Published(bytes)) => {
                    self.snapshot_published(&writer, bytes);
                    Ok(())
                }
                Some(SnapshotOutcome::Failed(error)) => self.snapshot_failed(error, now),
                Some(SnapshotOutcome::Written) => unreachable!("it was written before it was published"),
            },
        }
    }

    fn begin_snapshot_if_due(&mut self, now: Timestamp) -> Result<(), WalError> {
        let checkpoint = &mut self.checkpoint;
        let grown = self.wal.written_bytes() - checkpoint.begun_at_bytes;
        let is_due = grown >= (u64::from(self.wal.segment_bytes()) / 4).max(self.wal.snapshot_bytes());
        if now < checkpoint.retry_at || (!is_due && checkpoint.asked.is_empty()) {
            return Ok(());
        }
        let newest = self.wal.last_lsn();
        if self.wal.snapshot_lsn() == Some(newest) || newest.0 == 0 {
            checkpoint.begun_at_bytes = self.wal.written_bytes();
            self.answer_snapshot(newest.0, self.wal.snapshot_bytes());
            return Ok(());
        }
        match self.wal.begin_snapshot(now) {
            Ok(mut writer) => {
                self.checkpoint.begun_at_bytes = self.wal.written_bytes();
                if let Slice::Block(kind, body) = self.queues.begin_snapshot() {
                    writer.block(kind, body);
                }
                self.checkpoint.stage = Stage::Taking(writer);
                Ok(())
            }
            Err(error) => self.snapshot_failed(error, now),
        }
    }

    /// Visits the state as far as this turn's share and the writer's queue allow.
    fn take_slices(&mut self, mut writer: SnapshotWriter) -> Stage {
        if writer.queued_bytes() >= QUEUED_BYTES_MAX {
            return Stage::Taking(writer);
        }
        match self.queues.snapshot_slice(SLOTS_PER_TURN) {
            Slice::Block(kind, body) => writer.block(kind, body),
            Slice::Nothing => {}
            Slice::Done => {
                writer.finish();
                return Stage::Finishing(writer);
            }
        }
        Stage::Taking(writer)
    }

    fn snapshot_published(&mut self, writer: &SnapshotWriter, bytes: u64) {
        let lsn = writer.lsn();
        log::debug!("a snapshot at LSN {lsn} is on disk, {bytes} bytes");
        self.wal.snapshot_published(lsn, bytes);
        self.checkpoint.told = false;
        self.checkpoint.taken += 1;
        self.cleaning.look_again();
        self.answer_snapshot(lsn.0, bytes);
    }

    fn answer_snapshot(&mut self, lsn: u64, bytes: u64) {
        for (id, correlation) in std::mem::take(&mut self.checkpoint.asked) {
            self.reply_at_once(id, correlation, &Reply::SnapshotOk { lsn, bytes });
        }
        self.checkpoint.asked = std::mem::take(&mut self.checkpoint.asked_next);
    }

    /// A lack of space is met by giving up the snapshot before the last, and else by trying again later; anything else
    /// is the end.
    fn snapshot_failed(&mut self, error: WalError, now: Timestamp) -> Result<(), WalError> {
        self.queues.give_up_snapshot();
        if !error.is_lack_of_space() {
            return Err(error);
        }
        self.checkpoint.begun_at_bytes = 0;
        if self.wal.give_up_old_snapshots()? {
            return Ok(());
        }
        if !self.checkpoint.told {
            log::warn!("{error}; it is tried again, and the log grows until there is space");
            self.checkpoint.told = true;
        }
        self.checkpoint.retry_at = now.plus(RETRY);
        let asked = std::mem::take(&mut self.checkpoint.asked);
        for (id, correlation) in asked.into_iter().chain(std::mem::take(&mut self.checkpoint.asked_next)) {
            let text = format!("the snapshot could not be written: {error}");
            self.reply_at_once(id, correlation, &Reply::Error(Refusal::new(ErrorCode::StorageFull, text)));
        }
        Ok(())
    }
}
