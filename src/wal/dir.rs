//! A directory on a real file system, and the lock that keeps a second daemon away. What its files are called is
//! told in `names`.
//!
//! A file is created, filled, synced, renamed, and the directory is synced; only then is it relied on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, fstatfs};
use rustix::io::{Errno, retry_on_intr};

use super::device::mapped::{map_segment, map_to_read};
use super::device::pwrite::plain_segment;
use super::device::{LogDevice, NewFile, Payload, SegmentWriter};
use super::error::WalError;
use super::names::LOCK;
use crate::limits::{BESIDE_BYTES_PER_SYNC, SEGMENT_PAGE_BYTES};

impl FromStr for SegmentIo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(SegmentIo::Auto),
            "map" => Ok(SegmentIo::Map),
            "pwrite" => Ok(SegmentIo::Pwrite),
            _ => Err(String::from("it takes auto, map or pwrite")),
        }
    }
}

/// File systems that write in place, or keep the pages of an allocated file. A store into a map always finds its
/// place there. The numbers are those of `linux/magic.h`: ext2 to ext4, XFS, tmpfs.
const SAFE_TO_MAP: [u64; 3] = [0xEF53, 0x5846_5342, 0x0102_1994];

/// The largest page that Linux uses on any machine.
const SYSTEM_PAGE_BYTES_MAX: u32 = 64 << 10;

/// How segments are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SegmentIo {
    /// Through a map where that is safe on a full disk, else by `pwrite`.
    #[default]
    Auto,
    Map,
    Pwrite,
}

/// The right to be the one daemon of a directory, as long as this lives.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes the directory if it is not there, and locks it, before anything in it is read.
    pub fn take(dir: &Path) -> Result<DirLock, WalError> {
        let shown = dir.display();
        fs::create_dir_all(dir).map_err(WalError::io(format!("making the data directory {shown}")))?;
        let path = dir.join(LOCK);
        let doing = || WalError::io(format!("opening the lock file {}", path.display()));
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(doing())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let told = file.read_to_string(&mut holder).is_ok_and(|bytes| bytes > 0);
                let holder = if told { format!(" (process {})", holder.trim()) } else { String::new() };
                return Err(WalError::Locked { dir: dir.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => {
                return Err(WalError::io(format!("locking {}", path.display()))(error));
            }
        }
        file.set_len(0).map_err(doing())?;
        writeln!(file, "{}", std::process::id()).map_err(doing())?;
        Ok(DirLock { _file: file })
    }
}

#[derive(Debug)]
pub struct DirDevice {
    path: PathBuf,
    dir: File,
    mapped: bool,
    /// Whether nobody else writes here.
    is_locked: bool,
}

impl DirDevice {
    pub fn open(path: &Path, segment_io: SegmentIo) -> io::Result<DirDevice> {
        let dir = File::open(path)?;
        if !dir.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mapped = match segment_io {
            SegmentIo::Auto => {
                let kind = fstatfs(&dir)?.f_type;
                u64::try_from(kind).is_ok_and(|kind| SAFE_TO_MAP.contains(&kind))
            }
            SegmentIo::Map => true,
            SegmentIo::Pwrite => false,
        };
        Ok(DirDevice { path: path.to_owned(), dir, mapped, is_locked: false })
    }

    /// The same, in the hands of the one process that may write: files can be looked at in place.
    #[must_use]
    pub fn locked(self, _lock: &DirLock) -> DirDevice {
        DirDevice { is_locked: true, ..self }
    }

    pub fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// Opens a file without read-ahead, which would bring it into the page cache in large folios. A folio is dirty as
    /// a whole, so each sync of a small record would write all of it, once the segment is written on or used again.
    fn open_to_read(&self, name: &str) -> io::Result<File> {
        let file = File::open(self.path_of(name))?;
        fadvise(&file, 0, None, Advice::Random)?;
        Ok(file)
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl LogDevice for DirDevice {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn bytes(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path_of(name))?.len())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open_to_read(name)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn read_piece(&self, name: &str, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut file = self.open_to_read(name)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut piece = Vec::with_capacity(bytes);
        file.take(bytes as u64).read_to_end(&mut piece)?;
        Ok(piece)
    }

    fn view(&self, name: &str) -> io::Result<Payload> {
        if self.is_locked
            && let Ok(view) = self.open_to_read(name).and_then(|file| map_to_read(&file))
        {
            return Ok(view);
        }
        // What cannot be mapped is read, which says why not.
        Ok(Payload::Owned(self.read(name)?.into()))
    }

    fn distrust(&self, name: &str, from: u32) -> io::Result<()> {
        let file = File::open(self.path_of(name))?;
        // Pages that are not written yet would stay, so they are written first. A page that is given up in part would
        // stay too.
        file.sync_data()?;
        let page_start = from - from % SYSTEM_PAGE_BYTES_MAX;
        fadvise(&file, u64::from(page_start), None, Advice::DontNeed)?;
        Ok(())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        Ok(Box::new(File::create(self.path_of(name))?))
    }

    fn open(&self, name: &str, published: u32) -> io::Result<Box<dyn SegmentWriter>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path_of(name))?;
        let bytes = u32::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "the segment is over 4 GiB"))?;
        if !self.mapped {
            return Ok(Box::new(plain_segment(file)?));
        }
        // A copy may have holes where zeros were, and a store into a hole on a full disk is a SIGBUS.
        if file.metadata()?.blocks() * 512 < u64::from(bytes) {
            fallocate(&file, FallocateFlags::empty(), 0, u64::from(bytes))?;
        }
        Ok(Box::new(map_segment(file, bytes, published)?))
    }

    fn zero(&self, name: &str, from: u32, to: u32) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path_of(name))?;
        let zeros = [0; SEGMENT_PAGE_BYTES];
        let mut at = from;
        while at < to {
            // To the next page's end, so that each write lies within a page.
            let room = SEGMENT_PAGE_BYTES as u32 - at % SEGMENT_PAGE_BYTES as u32;
            let bytes = room.min(to - at);
            file.write_all_at(&zeros[..bytes as usize], u64::from(at))?;
            at += bytes;
            if at.is_multiple_of(BESIDE_BYTES_PER_SYNC as u32) {
                file.sync_all()?;
            }
        }
        file.set_len(u64::from(to))?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path_of(from), self.path_of(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_of(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.dir.sync_all()
    }
}

impl NewFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn allocate(&mut self, bytes: u32) -> io::Result<bool> {
        match retry_on_intr(|| fallocate(&*self, FallocateFlags::empty(), 0, u64::from(bytes))) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(dir: &Path, segment_io: SegmentIo) -> DirDevice {
        DirDevice::open(dir, segment_io).unwrap()
    }

    #[test]
    fn the_lock_keeps_a_second_one_away_and_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        let error = DirLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(lock);
        DirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_file_is_made_named_written_and_read_in_both_ways() {
        for segment_io in [SegmentIo::Map, SegmentIo::Pwrite] {
            let dir = tempfile::tempdir().unwrap();
            let device = device(dir.path(), segment_io);
            let mut file = device.create("a").unwrap();
            (0..4).for_each(|_| file.append(&[0; 4096]).unwrap());
            file.sync().unwrap();
            device.rename("a", "b").unwrap();
            let mut writer = device.open("b", 0).unwrap();
            writer.write_at(0, b"abc").unwrap();
            writer.publish(3).unwrap();
            writer.shared().sync().unwrap();
            device.sync_names().unwrap();
            assert_eq!((device.names().unwrap(), device.bytes("b").unwrap()), (vec!["b".to_owned()], 16_384));
            assert_eq!(&device.read("b").unwrap()[..4], b"abc\0");
        }
    }

    #[test]
    fn zeros_go_to_the_end_wherever_they_begin() {
        let dir = tempfile::tempdir().unwrap();
        let device = device(dir.path(), SegmentIo::Auto);
        for was in [4999, 10_000] {
            device.create("a").unwrap().append(&vec![7; was]).unwrap();
            device.zero("a", 4999, 9000).unwrap();
            let content = device.read("a").unwrap();
            assert_eq!(content.len(), 9000);
            assert!(content[..4999].iter().all(|byte| *byte == 7));
            assert!(content[4999..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_file_with_holes_is_filled_before_it_is_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().blocks(), 0, "it is one hole");
        drop(device(dir.path(), SegmentIo::Map).open("a", 0).unwrap());
        assert!(fs::metadata(&path).unwrap().blocks() >= (1 << 20) / 512);
    }
}
