//! A device in memory, for tests: what was synced survives a crash, the rest does not.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{LogDevice, Payload, Segment, SegmentWriter};
use crate::ids::Lsn;

/// A device in memory: what was synced survives `crash`, the rest does not.
#[derive(Clone, Debug, Default)]
pub struct MemoryDevice {
    inner: Arc<Mutex<MemoryInner>>,
}

#[derive(Debug, Default)]
struct MemoryInner {
    segments: BTreeMap<Lsn, Arc<MemorySegment>>,
    durable_names: Vec<Lsn>,
    spare: Option<u32>,
    /// Segments that may still be made.
    spares_left: Option<u32>,
    syncs_fail: Arc<AtomicBool>,
}

#[derive(Debug)]
struct MemorySegment {
    content: Mutex<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
    syncs_fail: Arc<AtomicBool>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDevice {
    /// The device as a power cut leaves it: only what was synced.
    #[must_use]
    pub fn crash(&self) -> MemoryDevice {
        let inner = locked(&self.inner);
        let after = MemoryDevice::default();
        for first in &inner.durable_names {
            let durable = locked(&inner.segments[first].durable).clone();
            after.put(*first, durable);
        }
        after
    }

    /// The device as a killed process leaves it: all that was written.
    #[must_use]
    pub fn kill(&self) -> MemoryDevice {
        let after = MemoryDevice::default();
        for (first, segment) in &locked(&self.inner).segments {
            after.put(*first, locked(&segment.content).clone());
        }
        after
    }

    /// From now on every sync fails.
    pub fn fail_syncs(&self) {
        locked(&self.inner).syncs_fail.store(true, Ordering::Relaxed);
    }

    /// From now on only this many segments can be made; `None` lifts the limit.
    pub fn limit_segments(&self, left: Option<u32>) {
        locked(&self.inner).spares_left = left;
    }

    /// Changes bytes of a segment behind the log's back.
    pub fn damage(&self, first: Lsn, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut locked(&locked(&self.inner).segments[&first].content));
    }

    fn put(&self, first: Lsn, content: Vec<u8>) {
        let mut inner = locked(&self.inner);
        let segment = MemorySegment {
            durable: Mutex::new(content.clone()),
            content: Mutex::new(content),
            syncs_fail: Arc::clone(&inner.syncs_fail),
        };
        inner.segments.insert(first, Arc::new(segment));
        inner.durable_names.push(first);
    }

    fn segment(&self, first: Lsn) -> io::Result<Arc<MemorySegment>> {
        locked(&self.inner).segments.get(&first).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl LogDevice for MemoryDevice {
    fn segments(&self) -> io::Result<Vec<Lsn>> {
        Ok(locked(&self.inner).segments.keys().copied().collect())
    }

    fn read(&self, first: Lsn, content: &mut Vec<u8>) -> io::Result<()> {
        content.clone_from(&locked(&self.segment(first)?.content));
        Ok(())
    }

    fn make_spare(&self, bytes: u32) -> io::Result<()> {
        let mut inner = locked(&self.inner);
        if let Some(left) = &mut inner.spares_left {
            *left = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        inner.spare = Some(bytes);
        Ok(())
    }

    fn adopt_spare(&self, first: Lsn) -> io::Result<Box<dyn SegmentWriter>> {
        let mut inner = locked(&self.inner);
        if inner.segments.contains_key(&first) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = inner.spare.take().ok_or(io::ErrorKind::NotFound)? as usize;
        let zeros = || Mutex::new(vec![0; bytes]);
        let syncs_fail = Arc::clone(&inner.syncs_fail);
        let segment = Arc::new(MemorySegment { content: zeros(), durable: zeros(), syncs_fail });
        inner.segments.insert(first, Arc::clone(&segment));
        Ok(Box::new(MemoryWriter(segment)))
    }

    fn open(&self, first: Lsn, _end: u32) -> io::Result<Box<dyn SegmentWriter>> {
        Ok(Box::new(MemoryWriter(self.segment(first)?)))
    }

    fn cut(&self, first: Lsn, from: u32, bytes: u32) -> io::Result<String> {
        let segment = self.segment(first)?;
        for content in [&segment.content, &segment.durable] {
            let mut content = locked(content);
            content.truncate(from as usize);
            content.resize(bytes as usize, 0);
        }
        Ok(String::from("nowhere"))
    }

    fn cut_whole(&self, first: Lsn) -> io::Result<Option<String>> {
        let mut inner = locked(&self.inner);
        inner.segments.remove(&first);
        inner.durable_names.retain(|name| *name != first);
        Ok(None)
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut inner = locked(&self.inner);
        inner.durable_names = inner.segments.keys().copied().collect();
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryWriter(Arc<MemorySegment>);

impl SegmentWriter for MemoryWriter {
    fn write_at(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let start = offset as usize;
        locked(&self.0.content)[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn publish(&mut self, _end: u32) {}

    fn shared(&self) -> Arc<dyn Segment> {
        Arc::clone(&self.0) as Arc<dyn Segment>
    }
}

impl Segment for MemorySegment {
    fn bytes(&self) -> u32 {
        u32::try_from(locked(&self.content).len()).expect("a segment is within its limit")
    }

    fn read_at(&self, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        bytes.copy_from_slice(&locked(&self.content)[start..start + bytes.len()]);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.syncs_fail.load(Ordering::Relaxed) {
            return Err(io::Error::other("the test said so"));
        }
        locked(&self.durable).clone_from(&locked(&self.content));
        Ok(())
    }

    fn payload(self: Arc<Self>, offset: u32, length: u32) -> io::Result<Payload> {
        let (start, end) = (offset as usize, (offset + length) as usize);
        Ok(Payload::Owned(locked(&self.content)[start..end].into()))
    }
}
