//! Writing a snapshot beside the loop. A thread takes the blocks, syncs the file and reads it back; on request it
//! gives the file its name. Without threads (in a simulation) each step is done at once.
//!
//! Promise: a snapshot has its name only if every byte of it was read back from the disk and found right.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use super::file::{BlockWriter, KEPT, KIND_SEGMENTS, SnapshotHeader, encode_covered};
use super::reading::check_file;
use crate::ids::Lsn;
use crate::limits::BESIDE_BYTES_PER_SYNC;
use crate::time::Timestamp;
use crate::wal::device::{LogDevice, NewFile};
use crate::wal::error::WalError;
use crate::wal::segment::Covered;
use crate::wal::{beside, names};

#[derive(Debug)]
pub struct SnapshotWriter {
    lsn: Lsn,
    at: Timestamp,
    way: Way,
}

#[derive(Debug)]
enum Way {
    AtOnce(Box<SnapshotFile>, Option<SnapshotOutcome>),
    Beside {
        steps: Option<Sender<Step>>,
        outcomes: Receiver<SnapshotOutcome>,
        queued: Arc<AtomicUsize>,
        thread: Option<JoinHandle<()>>,
    },
}

#[derive(Debug)]
enum Step {
    Block(u32, Vec<u8>),
    Finish,
    Publish,
}

#[derive(Debug)]
pub enum SnapshotOutcome {
    /// Everything is written and checked, and can be published.
    Written,
    /// It has its name; this many bytes.
    Published(u64),
    Failed(WalError),
}

impl SnapshotWriter {
    /// Begins a snapshot, `beside` the loop or each step at once.
    pub fn begin(
        device: Arc<dyn LogDevice>,
        header: SnapshotHeader,
        covered: &[Covered],
        beside: bool,
    ) -> Result<SnapshotWriter, WalError> {
        let (lsn, at) = (header.lsn, header.at);
        let segments = encode_covered(covered);
        if !beside {
            let writing = SnapshotFile::begin(device, header, &segments)?;
            return Ok(SnapshotWriter { lsn, at, way: Way::AtOnce(Box::new(writing), None) });
        }
        let (steps, todo) = mpsc::channel();
        let (done, outcomes) = mpsc::channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&queued);
        let thread = beside::spawn("falcon-snapshot", move || {
            let begun = SnapshotFile::begin(device, header, &segments);
            let outcome = begun.and_then(|writing| writing.carry_out(todo, &done, &taken));
            if let Err(error) = outcome {
                // Nobody listens if the daemon is stopping.
                let _ = done.send(SnapshotOutcome::Failed(error));
            }
        })
        .map_err(WalError::io("starting the snapshot thread"))?;
        let way = Way::Beside { steps: Some(steps), outcomes, queued, thread: Some(thread) };
        Ok(SnapshotWriter { lsn, at, way })
    }

    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// When it was begun.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Bytes that were handed over and not written yet.
    pub fn queued_bytes(&self) -> usize {
        match &self.way {
            Way::AtOnce(..) => 0,
            Way::Beside { queued, .. } => queued.load(Ordering::Relaxed),
        }
    }

    /// Hands a block over; `kind` is 2 or above.
    pub fn block(&mut self, kind: u32, body: Vec<u8>) {
        if let Way::Beside { queued, .. } = &self.way {
            queued.fetch_add(body.len(), Ordering::Relaxed);
        }
        self.step(Step::Block(kind, body));
    }

    /// There are no more blocks: [`SnapshotOutcome::Written`] follows.
    pub fn finish(&mut self) {
        self.step(Step::Finish);
    }

    /// The log is durable up to the snapshot's LSN: it gets its name, [`SnapshotOutcome::Published`] follows.
    pub fn publish(&mut self) {
        self.step(Step::Publish);
    }

    /// What became of it, if that is known.
    pub fn outcome(&mut self) -> Option<SnapshotOutcome> {
        match &mut self.way {
            Way::AtOnce(_, outcome) => outcome.take(),
            Way::Beside { outcomes, .. } => outcomes.try_recv().ok(),
        }
    }

    fn step(&mut self, step: Step) {
        match &mut self.way {
            Way::AtOnce(_, Some(SnapshotOutcome::Failed(_))) => {}
            Way::AtOnce(writing, outcome) => {
                *outcome = writing.step(step).unwrap_or_else(|error| Some(SnapshotOutcome::Failed(error)));
            }
            Way::Beside { steps, .. } => {
                if let Some(steps) = steps {
                    // A thread that failed has gone; it has said so.
                    let _ = steps.send(step);
                }
            }
        }
    }
}

/// A snapshot that is not finished is given up, and its thread waited for: no file may appear once the lock is given
/// up.
impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if let Way::Beside { steps, thread, .. } = &mut self.way {
            drop(steps.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

#[derive(Debug)]
struct SnapshotFile {
    device: Arc<dyn LogDevice>,
    header: SnapshotHeader,
    being_made: String,
    file: Box<dyn NewFile>,
    blocks: BlockWriter,
    bytes: u64,
    unsynced: usize,
}

impl SnapshotFile {
    fn begin(device: Arc<dyn LogDevice>, header: SnapshotHeader, segments: &[u8]) -> Result<SnapshotFile, WalError> {
        let being_made = names::being_made(&names::snapshot(header.lsn));
        let file = device.create(&being_made).map_err(WalError::io("making a snapshot"))?;
        let blocks = BlockWriter::new(&header);
        let mut writing = SnapshotFile { device, header, being_made, file, blocks, bytes: 0, unsynced: 0 };
        writing.append(&header.encode())?;
        writing.block(KIND_SEGMENTS, segments)?;
        Ok(writing)
    }

    /// Carries out steps until there are none any more.
    fn carry_out(
        mut self,
        steps: Receiver<Step>,
        outcomes: &Sender<SnapshotOutcome>,
        queued: &AtomicUsize,
    ) -> Result<(), WalError> {
        for step in steps {
            let bytes = if let Step::Block(_, body) = &step { body.len() } else { 0 };
            let outcome = self.step(step)?;
            queued.fetch_sub(bytes, Ordering::Relaxed);
            if let Some(outcome) = outcome
                && outcomes.send(outcome).is_err()
            {
                break;
            }
        }
        self.give_up();
        Ok(())
    }

    /// On failure the file goes: it would keep the space that may be lacking.
    fn step(&mut self, step: Step) -> Result<Option<SnapshotOutcome>, WalError> {
        let outcome = match step {
            Step::Block(kind, body) => self.block(kind, &body).map(|()| None),
            Step::Finish => self.finish().map(|()| Some(SnapshotOutcome::Written)),
            Step::Publish => self.publish().map(|()| Some(SnapshotOutcome::Published(self.bytes))),
        };
        outcome.inspect_err(|_| self.give_up())
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> Result<(), WalError> {
        let header = self.blocks.header(kind, body);
        self.append(&header)?;
        self.append(body)
    }

    fn finish(&mut self) -> Result<(), WalError> {
        let end = self.blocks.end();
        self.append(&end)?;
        self.file.sync().map_err(WalError::io("syncing a snapshot"))?;
        if check_file(&*self.device, &self.being_made)? != (self.header, self.bytes) {
            let why = "it is not what was written".to_owned();
            return Err(WalError::Snapshot { name: self.being_made.clone(), offset: 0, why });
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), WalError> {
        let name = names::snapshot(self.header.lsn);
        let naming = || WalError::io("naming a snapshot");
        self.device.rename(&self.being_made, &name).map_err(naming())?;
        self.device.sync_names().map_err(naming())?;
        remove_old(&*self.device, KEPT).map_err(WalError::io("removing an old snapshot"))?;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WalError> {
        self.file.append(bytes).map_err(WalError::io("writing a snapshot"))?;
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.unsynced >= BESIDE_BYTES_PER_SYNC {
            self.file.sync().map_err(WalError::io("syncing a snapshot"))?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn give_up(&mut self) {
        match self.device.remove(&self.being_made) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("removing {}: {error}", self.being_made);
            }
            _ => {}
        }
    }
}

/// Removes all snapshots but the newest `kept`; says whether there were any.
pub fn remove_old(device: &dyn LogDevice, kept: usize) -> io::Result<bool> {
    let mut old = names::snapshots(&device.names()?);
    old.truncate(old.len().saturating_sub(kept));
    for lsn in &old {
        device.remove(&names::snapshot(*lsn))?;
    }
    Ok(!old.is_empty())
}
