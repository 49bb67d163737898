//! A segment as a mapped file. This file and `block` are the only ones with `unsafe` in them.
//!
//! Promises: one writer copies into the map at and after the published end, and readers get slices that lie before
//! it. So no byte is ever written while a reference to it lives. The file is really allocated before it is mapped (a
//! store into a hole on a full disk would be a SIGBUS), and the directory's lock keeps other daemons away. It does
//! not: protect against a stranger who truncates the file while the daemon runs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{Advice, Mmap, MmapOptions, MmapRaw};

use super::{Lend, Payload, SegmentWriter, SharedFile};

/// A mapped segment, shared between the writer, the sync thread and replies that send from it.
#[derive(Debug)]
pub struct MappedSegment {
    file: File,
    map: MmapRaw,
    /// Bytes before this are never written again while the segment is in use.
    published: AtomicU32,
}

/// The one writer of a mapped segment.
#[derive(Debug)]
pub struct MappedWriter {
    segment: Arc<MappedSegment>,
}

/// Maps a file for writing; the bytes before `published` are what it holds already.
pub fn map_segment(file: File, bytes: u32, published: u32) -> io::Result<MappedWriter> {
    if file.metadata()?.len() != u64::from(bytes) || published > bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the segment's file has another size"));
    }
    let map = MmapOptions::new().len(bytes as usize).map_raw(&file)?;
    // No read-ahead: it would bring large folios, and a folio is dirty as a whole. Each sync of a small record would
    // write all of it.
    map.advise(Advice::Random)?;
    let published = AtomicU32::new(published);
    Ok(MappedWriter { segment: Arc::new(MappedSegment { file, map, published }) })
}

/// A file as it is, to be looked at while nobody writes it.
#[derive(Debug)]
struct MappedFile(Mmap);

/// Maps a whole file for reading, and has the system read all of it now, so that a bad sector is an error here. It is
/// a signal only if the system gives a page up, has to read it again, and finds it bad by then.
/// A system older than Linux 5.14 cannot do that.
pub fn map_to_read(file: &File) -> io::Result<Payload> {
    let length = u32::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: nobody writes the file while the map lives: the caller holds the directory's lock and looks at files
    // that are written no more, or not yet again. What a stranger does to it is not guarded against, as above.
    let map = unsafe { Mmap::map(file)? };
    // Many pages at a time.
    map.advise(Advice::Sequential)?;
    map.advise(Advice::PopulateRead)?;
    Ok(Payload::Lent { segment: Arc::new(MappedFile(map)), offset: 0, length })
}

impl Lend for MappedFile {
    fn slice(&self, offset: u32, length: u32) -> &[u8] {
        &self.0[offset as usize..][..length as usize]
    }
}

impl SegmentWriter for MappedWriter {
    fn bytes(&self) -> u32 {
        self.segment.bytes()
    }

    fn write_at(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let start = offset as usize;
        let fits = start.checked_add(bytes.len()).is_some_and(|end| end <= self.segment.map.len());
        assert!(fits, "a write lies within its segment");
        assert!(offset >= self.segment.published.load(Ordering::Relaxed), "published bytes are not written again");
        let target = self.segment.map.as_mut_ptr();
        // SAFETY: `target + start .. + bytes.len()` lies within the mapping (checked above), which lives as long as
        // `self.segment`. `&mut self` makes this the only writer (a `MappedWriter` is made once per mapping and is
        // not `Clone`), and `slice` hands out only bytes before `published`, which this does not touch; `bytes`
        // therefore does not overlap the target either.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target.add(start), bytes.len()) };
        Ok(())
    }

    fn publish(&mut self, end: u32) -> io::Result<()> {
        assert!(end as usize <= self.segment.map.len(), "the published end lies within the segment");
        // There is one writer, so a plain store will do. A locked instruction would wait for all stores into the map.
        let published = &self.segment.published;
        published.store(end.max(published.load(Ordering::Relaxed)), Ordering::Release);
        Ok(())
    }

    fn published(&self, offset: u32, length: u32) -> Option<&[u8]> {
        Some(self.segment.slice(offset, length))
    }

    fn shared(&self) -> Arc<dyn SharedFile> {
        Arc::clone(&self.segment) as Arc<dyn SharedFile>
    }
}

impl Lend for MappedSegment {
    fn slice(&self, offset: u32, length: u32) -> &[u8] {
        let end = offset.checked_add(length).expect("offsets are 32 bits wide");
        assert!(end <= self.published.load(Ordering::Acquire), "only published bytes are lent");
        // SAFETY: the range lies within the mapping (`published` never exceeds its length) and the mapping lives as
        // long as `self`. No one writes before `published`: the writer asserts it, and `published` only grows.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(offset as usize), length as usize) }
    }
}

impl SharedFile for MappedSegment {
    fn bytes(&self) -> u32 {
        u32::try_from(self.map.len()).expect("a segment is within its limit")
    }

    fn read_at(&self, offset: u32, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, u64::from(offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn payload(self: Arc<Self>, offset: u32, length: u32) -> io::Result<Payload> {
        self.slice(offset, length);
        Ok(Payload::Lent { segment: self, offset, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped() -> MappedWriter {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        map_segment(file, 8192, 0).unwrap()
    }

    #[test]
    fn what_was_written_and_published_can_be_lent_and_read_from_the_file() {
        let mut writer = mapped();
        writer.write_at(100, b"falcon").unwrap();
        writer.publish(106).unwrap();
        let shared = writer.shared();
        let mut read = [0; 6];
        shared.read_at(100, &mut read).unwrap();
        assert_eq!(&read, b"falcon");
        assert_eq!(shared.payload(100, 6).unwrap().as_slice(), b"falcon");
    }

    #[test]
    #[should_panic(expected = "only published bytes are lent")]
    fn unpublished_bytes_are_not_lent() {
        let mut writer = mapped();
        writer.write_at(0, b"x").unwrap();
        let _ = writer.shared().payload(0, 1);
    }

    #[test]
    #[should_panic(expected = "published bytes are not written again")]
    fn published_bytes_are_not_written_again() {
        let mut writer = mapped();
        writer.publish(10).unwrap();
        let _ = writer.write_at(9, b"x");
    }

    #[test]
    #[should_panic(expected = "a write lies within its segment")]
    fn no_write_leaves_the_segment() {
        let _ = mapped().write_at(8190, b"xyz");
    }

    #[test]
    fn a_file_can_be_looked_at_in_place() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"falcon", 8186).unwrap();
        let view = map_to_read(&file).unwrap();
        assert!(matches!(view, Payload::Lent { length: 8192, .. }));
        assert_eq!(&view.as_slice()[8180..], b"\0\0\0\0\0\0falcon");
    }

    #[test]
    fn a_file_of_another_size_is_not_mapped() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        assert!(map_segment(file, 8192, 0).is_err());
    }
}
