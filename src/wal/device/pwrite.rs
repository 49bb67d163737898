//! A segment as a plain file, for file systems where a map is unsafe on a full disk. Where each write goes to a new
//! place, a store into a map may find none, which is a SIGBUS. Here it is an error.
//!
//! Promise: what was published is in the file before `publish` returns; one write for each publish in the usual
//! course.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{SegmentWriter, SharedFile};

/// A segment's file, shared between the writer, the sync thread and replies.
#[derive(Debug)]
struct PlainSegment {
    file: File,
    bytes: u32,
}

/// The one writer of a plain segment.
#[derive(Debug)]
pub struct PlainWriter {
    segment: Arc<PlainSegment>,
    /// Bytes that follow one another and were not written yet, and where they begin.
    pending: Vec<u8>,
    pending_at: u32,
}

pub fn plain_segment(file: File) -> io::Result<PlainWriter> {
    let bytes = u32::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let segment = Arc::new(PlainSegment { file, bytes });
    Ok(PlainWriter { segment, pending: Vec::new(), pending_at: 0 })
}

impl PlainWriter {
    fn flush(&mut self) -> io::Result<()> {
        self.segment.file.write_all_at(&self.pending, u64::from(self.pending_at))?;
        self.pending.clear();
        Ok(())
    }
}

impl SegmentWriter for PlainWriter {
    fn bytes(&self) -> u32 {
        self.segment.bytes
    }

    fn write_at(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let end = u64::from(offset) + bytes.len() as u64;
        assert!(end <= u64::from(self.segment.bytes), "a write lies within its segment");
        let pending_end = u64::from(self.pending_at) + self.pending.len() as u64;
        if !self.pending.is_empty() && u64::from(offset) != pending_end {
            self.flush()?;
        }
        if self.pending.is_empty() {
            self.pending_at = offset;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn publish(&mut self, _end: u32) -> io::Result<()> {
        self.flush()
    }

    fn shared(&self) -> Arc<dyn SharedFile> {
        Arc::clone(&self.segment) as Arc<dyn SharedFile>
    }
}

impl SharedFile for PlainSegment {
    fn bytes(&self) -> u32 {
        self.bytes
    }

    fn read_at(&self, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, u64::from(offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_is_in_the_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let mut writer = plain_segment(file).unwrap();
        writer.write_at(100, b"fal").unwrap();
        writer.write_at(103, b"con").unwrap();
        writer.write_at(4000, b"queue").unwrap();
        writer.publish(4005).unwrap();
        let shared = writer.shared();
        assert_eq!(Arc::clone(&shared).payload(100, 6).unwrap().as_slice(), b"falcon");
        let mut read = [0; 5];
        shared.read_at(4000, &mut read).unwrap();
        assert_eq!(&read, b"queue");
    }

    #[test]
    #[should_panic(expected = "a write lies within its segment")]
    fn no_write_leaves_the_segment() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let _ = plain_segment(file).unwrap().write_at(4094, b"xyz");
    }
}
