//! A directory of segments on a real file system, and the lock that keeps a second daemon away.
//!
//! | name | what |
//! | --- | --- |
//! | `lock` | locked while a daemon runs; holds its process id |
//! | `00000000000000000001.wal` | a segment, named by its first LSN |
//! | `spare` | a segment of zeros, ready to be named |
//! | `spare.tmp` | one that is being made |
//! | `….cut` | bytes that recovery took out of the log, kept for a person |
//!
//! A file is created, filled, synced, renamed, and the directory is synced; only then is it relied on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::WalError;
use super::mmap::map_segment;
use super::storage::{LogDevice, SegmentWriter};
use crate::ids::Lsn;
use crate::limits::SEGMENT_PAGE_BYTES;

const LOCK: &str = "lock";
const SPARE: &str = "spare";
const SPARE_BEING_MADE: &str = "spare.tmp";
const SEGMENT_SUFFIX: &str = ".wal";

/// The right to be the one daemon of a directory, as long as this lives.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes the directory if it is not there, and locks it, before anything in it is read.
    ///
    /// # Errors
    /// `Locked` if another process has it, `Io` if it cannot be made or opened.
    pub fn take(dir: &Path) -> Result<DirLock, WalError> {
        let shown = dir.display();
        fs::create_dir_all(dir).map_err(WalError::io(format!("making the data directory {shown}")))?;
        let path = dir.join(LOCK);
        let doing = || WalError::io(format!("opening the lock file {}", path.display()));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(doing())?;
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

/// A directory of segments.
#[derive(Debug)]
pub struct DirDevice {
    path: PathBuf,
    dir: File,
}

impl DirDevice {
    /// Opens a directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<DirDevice> {
        let dir = File::open(path)?;
        if !dir.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(DirDevice { path: path.to_owned(), dir })
    }

    /// Removes what an earlier daemon was still making. Only for the holder of the lock.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        for name in [SPARE_BEING_MADE, SPARE] {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn segment_path(&self, first: Lsn) -> PathBuf {
        self.path.join(format!("{first:020}{SEGMENT_SUFFIX}"))
    }

    /// A path `….cut` that does not exist yet.
    fn cut_path(&self, first: Lsn, from: u32) -> PathBuf {
        let mut number = 0;
        loop {
            let path = self.path.join(format!("{first:020}-{from}-{number}.cut"));
            if !path.exists() {
                return path;
            }
            number += 1;
        }
    }

    fn fill_spare(&self, bytes: u32) -> io::Result<()> {
        let being_made = self.path.join(SPARE_BEING_MADE);
        let file = File::create(&being_made)?;
        // One page a write: with larger ones the page cache holds the file in large folios, and each
        // sync of a small record then writes a megabyte.
        let zeros = [0; SEGMENT_PAGE_BYTES];
        for _ in 0..bytes as usize / SEGMENT_PAGE_BYTES {
            (&file).write_all(&zeros)?;
        }
        file.sync_all()?;
        fs::rename(being_made, self.path.join(SPARE))
    }
}

impl LogDevice for DirDevice {
    fn segments(&self) -> io::Result<Vec<Lsn>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let first = name.to_str().and_then(|name| name.strip_suffix(SEGMENT_SUFFIX));
            let digits =
                first.filter(|name| name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()));
            if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
                all.push(Lsn(first));
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    fn read(&self, first: Lsn, content: &mut Vec<u8>) -> io::Result<()> {
        content.clear();
        File::open(self.segment_path(first))?.read_to_end(content)?;
        Ok(())
    }

    fn make_spare(&self, bytes: u32) -> io::Result<()> {
        self.fill_spare(bytes).inspect_err(|_| {
            // A partial file would keep the space that is lacking; the error that led here says more
            // than one of the removal would.
            let _ = fs::remove_file(self.path.join(SPARE_BEING_MADE));
        })
    }

    fn adopt_spare(&self, first: Lsn) -> io::Result<Box<dyn SegmentWriter>> {
        let path = self.segment_path(first);
        if path.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, path.display().to_string()));
        }
        fs::rename(self.path.join(SPARE), &path)?;
        self.open(first, 0)
    }

    fn open(&self, first: Lsn, end: u32) -> io::Result<Box<dyn SegmentWriter>> {
        let file = OpenOptions::new().read(true).write(true).open(self.segment_path(first))?;
        let bytes = u32::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "the segment is over 4 GiB"))?;
        Ok(Box::new(map_segment(file, bytes, end)?))
    }

    fn cut(&self, first: Lsn, from: u32, bytes: u32) -> io::Result<String> {
        let file = OpenOptions::new().read(true).write(true).open(self.segment_path(first))?;
        let mut tail = Vec::new();
        let mut reader = &file;
        reader.seek(io::SeekFrom::Start(u64::from(from)))?;
        reader.read_to_end(&mut tail)?;
        let kept_bytes = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let path = self.cut_path(first, from);
        let mut kept = File::create_new(&path)?;
        kept.write_all(&tail[..kept_bytes])?;
        kept.sync_all()?;
        self.dir.sync_all()?;
        file.write_all_at(&vec![0; bytes.saturating_sub(from) as usize], u64::from(from))?;
        file.sync_all()?;
        Ok(path.display().to_string())
    }

    fn cut_whole(&self, first: Lsn) -> io::Result<Option<String>> {
        let mut content = Vec::new();
        self.read(first, &mut content)?;
        let kept = if content.iter().all(|byte| *byte == 0) {
            fs::remove_file(self.segment_path(first))?;
            None
        } else {
            let path = self.cut_path(first, 0);
            fs::rename(self.segment_path(first), &path)?;
            Some(path.display().to_string())
        };
        self.dir.sync_all()?;
        Ok(kept)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.dir.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_spare_becomes_a_segment_of_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let device = DirDevice::open(dir.path()).unwrap();
        device.make_spare(16_384).unwrap();
        let mut writer = device.adopt_spare(Lsn(7)).unwrap();
        writer.write_at(0, b"abc").unwrap();
        assert_eq!(device.segments().unwrap(), [Lsn(7)]);
        let mut content = Vec::new();
        device.read(Lsn(7), &mut content).unwrap();
        assert_eq!((&content[..4], content.len()), (&b"abc\0"[..], 16_384));
        assert!(device.adopt_spare(Lsn(8)).is_err(), "there is one spare only");
    }

    #[test]
    fn a_cut_keeps_the_bytes_and_leaves_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let device = DirDevice::open(dir.path()).unwrap();
        device.make_spare(8192).unwrap();
        device.adopt_spare(Lsn(1)).unwrap().write_at(100, b"torn").unwrap();
        let kept = device.cut(Lsn(1), 100, 8192).unwrap();
        assert_eq!(fs::read(kept).unwrap(), b"torn");
        let mut content = Vec::new();
        device.read(Lsn(1), &mut content).unwrap();
        assert!(content.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn files_of_other_names_are_not_segments() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "lock",
            "x.wal",
            "5.wal",
            "+0000000000000000005.wal",
            "00000000000000000001.wal.bak",
            "00000000000000000003.wal",
        ] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        assert_eq!(DirDevice::open(dir.path()).unwrap().segments().unwrap(), [Lsn(3)]);
    }
}
