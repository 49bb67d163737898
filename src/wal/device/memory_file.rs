//! A file of a device in memory: what it holds, what is durable of that, and which sectors a power cut may take or
//! leave.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Default)]
pub struct MemoryFile {
    /// What a reader sees.
    pub content: Arc<Vec<u8>>,
    /// What a power cut leaves for certain.
    pub durable: Arc<Vec<u8>>,
    /// Sectors that were written since the last sync.
    pub dirty: BTreeSet<usize>,
}

impl MemoryFile {
    /// Writes bytes, and makes the file longer where they end behind it.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        let content = Arc::make_mut(&mut self.content);
        if content.len() < end {
            content.resize(end, 0);
        }
        content[at..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(at / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
    }

    /// Every sector counts as written since the last sync.
    pub fn make_dirty(&mut self) {
        self.dirty.extend(0..self.content.len().div_ceil(SECTOR_BYTES));
    }

    pub fn sync(&mut self) {
        if self.durable.len() == self.content.len() {
            for sector in std::mem::take(&mut self.dirty) {
                write_sector(&self.content, Arc::make_mut(&mut self.durable), sector);
            }
        } else {
            // Sectors that a failed sync gave up stay what they are; a longer file has none of these.
            self.dirty.clear();
            self.durable = Arc::clone(&self.content);
        }
    }

    /// The file as a killed process leaves it: the system writes what is in memory.
    pub fn after_kill(&self) -> MemoryFile {
        let (content, durable) = (Arc::clone(&self.content), Arc::clone(&self.content));
        MemoryFile { content, durable, dirty: BTreeSet::new() }
    }

    /// The file as a power cut may leave it; `pick(n)` draws a number below `n`.
    pub fn after_crash(&self, pick: &mut dyn FnMut(u64) -> u64) -> MemoryFile {
        let mut content = Arc::clone(&self.durable);
        // None, all, or any of the sectors: the first two are likelier to be asked for than to be drawn.
        let odds = pick(4);
        for sector in &self.dirty {
            if odds == 1 || (odds > 1 && pick(2) == 1) {
                write_sector(&self.content, Arc::make_mut(&mut content), *sector);
            }
        }
        MemoryFile { durable: Arc::clone(&content), content, dirty: BTreeSet::new() }
    }
}

fn write_sector(from: &[u8], to: &mut Vec<u8>, sector: usize) {
    let start = sector * SECTOR_BYTES;
    let end = (start + SECTOR_BYTES).min(from.len());
    if to.len() < end {
        to.resize(end, 0);
    }
    to[start..end].copy_from_slice(&from[start..end]);
}
