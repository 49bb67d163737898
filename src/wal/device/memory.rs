//! A device in memory, for tests and simulation. What was synced survives a power cut; of the rest any subset of the
//! 512-byte sectors does, and of the changed names those that were changed first. It counts operations, lets a
//! watcher look before each, runs out of space, fails syncs and reads, and loses its power, all on demand.
//!
//! A sync that fails does as Linux does: what it should have written is taken for written, and never is.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory_file::MemoryFile;
use super::{LogDevice, NewFile, SegmentWriter, SharedFile};
use crate::ids::Lsn;
use crate::limits::SEGMENT_PAGE_BYTES;
use crate::wal::names;

/// Called before each operation that changes something.
type Watcher = Arc<dyn Fn(&MemoryDevice) + Send + Sync>;

/// What is done to which file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// The verb: create, write, zero, sync, rename, remove, or sync-names.
    pub verb: &'static str,
    /// The file; empty if none is named.
    pub name: String,
}

#[derive(Clone, Default)]
pub struct MemoryDevice {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<u64, MemoryFile>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// The names after each change since they were last synced.
    changes: Vec<BTreeMap<String, u64>>,
    operations: u64,
    /// The newest operation, while somebody watches.
    operation: Operation,
    syncs: u64,
    /// Operations that are still carried out.
    power_left: Option<u64>,
    /// Which syncs fail, counted from 1 for the first since it was set: from, to.
    failing_syncs: Option<(u64, u64)>,
    /// Bytes of files that cannot be read while somebody serves from them.
    unreadable: Vec<(u64, Range<usize>)>,
    /// Bytes that all files may have together.
    space: Option<u64>,
    cannot_allocate: bool,
    watcher: Option<Watcher>,
}

impl fmt::Debug for MemoryDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDevice").field("names", &self.locked().names).finish_non_exhaustive()
    }
}

impl MemoryDevice {
    /// The device as a power cut leaves it if only what was synced has arrived.
    #[must_use]
    pub fn crash(&self) -> MemoryDevice {
        self.crash_with(&mut |_| 0)
    }

    /// The device as a power cut may leave it: `pick(n)` draws a number below `n`, to say which of the unsynced
    /// sectors and names have arrived.
    #[must_use]
    pub fn crash_with(&self, pick: &mut dyn FnMut(u64) -> u64) -> MemoryDevice {
        let disk = self.locked();
        let arrived = pick(disk.changes.len() as u64 + 1);
        let names = match usize::try_from(arrived).ok().and_then(|count| count.checked_sub(1)) {
            None => &disk.durable_names,
            Some(last) => &disk.changes[last],
        };
        disk.left(names, |file| file.after_crash(pick))
    }

    /// The device as a killed process leaves it: all that was written.
    #[must_use]
    pub fn kill(&self) -> MemoryDevice {
        let disk = self.locked();
        disk.left(&disk.names, MemoryFile::after_kill)
    }

    pub fn fail_syncs(&self) {
        self.fail_sync(1, u64::MAX);
    }

    /// The syncs from the `from`th to the `to`th from now on fail, counted from 1.
    pub fn fail_sync(&self, from: u64, to: u64) {
        let mut disk = self.locked();
        disk.failing_syncs = Some((disk.syncs.saturating_add(from), disk.syncs.saturating_add(to)));
    }

    /// From now on these bytes of a segment cannot be read while it is served from, as on a bad sector.
    pub fn fail_reads(&self, first: Lsn, bytes: Range<usize>) {
        let mut disk = self.locked();
        let id = disk.names[&names::segment(first)];
        disk.unreadable.push((id, bytes));
    }

    /// From now on it cannot allocate, as some file systems cannot.
    pub fn forget_to_allocate(&self) {
        self.locked().cannot_allocate = true;
    }

    /// From now on all files together may have this many bytes more than now; `None` lifts the limit.
    pub fn limit_space(&self, more_bytes: Option<u64>) {
        let mut disk = self.locked();
        disk.space = more_bytes.map(|more| disk.used_bytes() + more);
    }

    /// After this many more operations every one fails, and changes nothing.
    pub fn power_off_after(&self, operations: u64) {
        self.locked().power_left = Some(operations);
    }

    /// Calls `watcher` before each operation that changes something; it may look at what a crash would leave.
    pub fn watch(&self, watcher: impl Fn(&MemoryDevice) + Send + Sync + 'static) {
        self.locked().watcher = Some(Arc::new(watcher));
    }

    /// The operation that a watcher was called for last.
    pub fn operation(&self) -> Operation {
        self.locked().operation.clone()
    }

    /// Syncs that were asked for, of files and of names, so far.
    pub fn syncs(&self) -> u64 {
        self.locked().syncs
    }

    /// Operations that changed something, so far.
    pub fn operations(&self) -> u64 {
        self.locked().operations
    }

    pub fn used_bytes(&self) -> u64 {
        self.locked().used_bytes()
    }

    /// Changes bytes of a segment behind the log's back.
    pub fn damage(&self, first: Lsn, change: impl FnOnce(&mut Vec<u8>)) {
        self.damage_file(&names::segment(first), change);
    }

    /// Changes bytes of a file behind the log's back.
    pub fn damage_file(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.locked();
        let id = disk.names[name];
        let file = disk.files.get_mut(&id).expect("a name leads to a file");
        change(Arc::make_mut(&mut file.content));
        // What came to a disk by itself survives what comes after.
        file.make_dirty();
    }

    /// First LSNs of all segments, ascending.
    pub fn segments(&self) -> Vec<Lsn> {
        let names: Vec<String> = self.locked().names.keys().cloned().collect();
        names::segments(&names)
    }

    fn locked(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation that changes something.
    fn operate(&self, verb: &'static str, name: impl FnOnce(&Disk) -> String) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.locked();
        if let Some(watcher) = disk.watcher.clone() {
            disk.operation = Operation { verb, name: name(&disk) };
            drop(disk);
            watcher(self);
            disk = self.locked();
        }
        if let Some(left) = &mut disk.power_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the power is gone"))?;
        }
        disk.operations += 1;
        Ok(disk)
    }
}

impl Disk {
    /// The name of a file that is open; empty if it has none any more.
    fn name_of(&self, id: u64) -> String {
        let named = self.names.iter().find(|(_, named)| **named == id);
        named.map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn left(&self, names: &BTreeMap<String, u64>, mut file: impl FnMut(&MemoryFile) -> MemoryFile) -> MemoryDevice {
        let mut files = BTreeMap::new();
        for id in names.values() {
            files.insert(*id, file(&self.files[id]));
        }
        let after = MemoryDevice::default();
        *after.locked() = Disk {
            files,
            next_file: self.next_file,
            names: names.clone(),
            durable_names: names.clone(),
            ..Disk::default()
        };
        after
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|id| self.files[id].content.len() as u64).sum()
    }

    fn id(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, id: u64, at: usize, bytes: &[u8]) -> io::Result<()> {
        // Counted only where it matters: it takes a look at all files.
        let free = self.space.map(|space| space.saturating_sub(self.used_bytes()));
        let Some(file) = self.files.get_mut(&id) else { return Ok(()) };
        let grows_by = (at + bytes.len()).saturating_sub(file.content.len()) as u64;
        if grows_by > 0 && free.is_some_and(|free| grows_by > free) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write(at, bytes);
        Ok(())
    }

    fn names_changed(&mut self) {
        self.changes.push(self.names.clone());
    }

    /// Counts a sync; says whether it fails.
    fn count_sync(&mut self) -> bool {
        self.syncs += 1;
        self.failing_syncs.is_some_and(|(from, to)| (from..=to).contains(&self.syncs))
    }

    fn sync(&mut self, id: u64) -> io::Result<()> {
        let fails = self.count_sync();
        let Some(file) = self.files.get_mut(&id) else { return Ok(()) };
        if fails {
            file.dirty.clear();
            return Err(io::Error::other("the test said so"));
        }
        file.sync();
        Ok(())
    }
}

impl LogDevice for MemoryDevice {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.locked().names.keys().cloned().collect())
    }

    fn bytes(&self, name: &str) -> io::Result<u64> {
        let disk = self.locked();
        Ok(disk.files[&disk.id(name)?].content.len() as u64)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let disk = self.locked();
        Ok(disk.files[&disk.id(name)?].content.to_vec())
    }

    fn read_piece(&self, name: &str, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let disk = self.locked();
        let content = &disk.files[&disk.id(name)?].content;
        let from = usize::try_from(offset).map_or(content.len(), |offset| offset.min(content.len()));
        Ok(content[from..].iter().take(bytes).copied().collect())
    }

    fn distrust(&self, name: &str, from: u32) -> io::Result<()> {
        let mut disk = self.locked();
        let id = disk.id(name)?;
        if let Some(file) = disk.files.get_mut(&id) {
            // What was dirty is written first; what a failed sync gave up is not there any more.
            file.sync();
            let page_start = from as usize / SEGMENT_PAGE_BYTES * SEGMENT_PAGE_BYTES;
            let content = Arc::make_mut(&mut file.content);
            content.truncate(page_start);
            content.extend_from_slice(file.durable.get(page_start..).unwrap_or_default());
        }
        Ok(())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let mut disk = self.operate("create", |_| name.to_owned())?;
        let id = disk.next_file;
        disk.next_file += 1;
        disk.files.insert(id, MemoryFile::default());
        disk.names.insert(name.to_owned(), id);
        disk.names_changed();
        Ok(Box::new(MemoryHandle { device: self.clone(), id, bytes: 0 }))
    }

    fn open(&self, name: &str, _published: u32) -> io::Result<Box<dyn SegmentWriter>> {
        let disk = self.locked();
        let id = disk.id(name)?;
        let bytes = disk.files[&id].content.len();
        Ok(Box::new(MemoryHandle { device: self.clone(), id, bytes }))
    }

    fn zero(&self, name: &str, from: u32, to: u32) -> io::Result<()> {
        let mut disk = self.operate("zero", |_| name.to_owned())?;
        let id = disk.id(name)?;
        disk.write(id, from as usize, &vec![0; to.saturating_sub(from) as usize])?;
        drop(disk);
        self.operate("sync", |_| name.to_owned())?.sync(id)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.operate("rename", |_| from.to_owned())?;
        let id = disk.id(from)?;
        disk.names.remove(from);
        disk.names.insert(to.to_owned(), id);
        disk.names_changed();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.operate("remove", |_| name.to_owned())?;
        disk.id(name)?;
        disk.names.remove(name);
        disk.names_changed();
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut disk = self.operate("sync-names", |_| String::new())?;
        if disk.count_sync() {
            return Err(io::Error::other("the test said so"));
        }
        disk.changes.clear();
        let names = disk.names.clone();
        disk.files.retain(|id, _| names.values().any(|named| named == id));
        disk.durable_names = names;
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryHandle {
    device: MemoryDevice,
    id: u64,
    bytes: usize,
}

impl MemoryHandle {
    fn operate(&self, verb: &'static str) -> io::Result<MutexGuard<'_, Disk>> {
        self.device.operate(verb, |disk| disk.name_of(self.id))
    }
}

impl NewFile for MemoryHandle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.operate("write")?.write(self.id, self.bytes, bytes)?;
        self.bytes += bytes.len();
        Ok(())
    }

    fn allocate(&mut self, bytes: u32) -> io::Result<bool> {
        if self.device.locked().cannot_allocate {
            return Ok(false);
        }
        self.append(&vec![0; bytes as usize])?;
        Ok(true)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.operate("sync")?.sync(self.id)
    }
}

impl SegmentWriter for MemoryHandle {
    fn bytes(&self) -> u32 {
        SharedFile::bytes(self)
    }

    fn write_at(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        assert!(offset as usize + bytes.len() <= self.bytes, "a write lies within its segment");
        self.operate("write")?.write(self.id, offset as usize, bytes)
    }

    fn publish(&mut self, _end: u32) -> io::Result<()> {
        Ok(())
    }

    fn shared(&self) -> Arc<dyn SharedFile> {
        Arc::new(MemoryHandle { device: self.device.clone(), id: self.id, bytes: self.bytes })
    }
}

impl SharedFile for MemoryHandle {
    fn bytes(&self) -> u32 {
        u32::try_from(self.bytes).expect("a segment is within its limit")
    }

    fn read_at(&self, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
        let disk = self.device.locked();
        let file = disk.files.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let wanted = offset as usize..offset as usize + bytes.len();
        let is_hit = |bad: &Range<usize>| bad.start < wanted.end && wanted.start < bad.end;
        if disk.unreadable.iter().any(|(id, bad)| *id == self.id && is_hit(bad)) {
            return Err(io::Error::other("a bad sector"));
        }
        let from = file.content.get(wanted);
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.operate("sync")?.sync(self.id)
    }
}
