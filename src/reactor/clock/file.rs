//! The file `clock` in the data directory: how far log time was, so that no moment is lost that passed without a
//! record.
//!
//! | offset | size | field |
//! | ---: | ---: | --- |
//! | 0 | 8 | magic, `FALCNCLK` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | 0 |
//! | 16 | 8 | log time, ms since 1970 |
//! | 24 | 8 | `CLOCK_BOOTTIME` at that moment, ms |
//! | 32 | 16 | which start of a machine that counts from |
//! | 48 | 8 | FNV-1a of all before it |
//!
//! Little-endian. Log and snapshots need nothing of it: where it is gone or cannot be read, time goes on from the
//! newest record and the system's clock. A killed daemon loses nothing of it, a power cut the last half minute.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::log_time::{Pair, Saved};
use crate::codec::Reader;
use crate::time::{Millis, Timestamp};

const MAGIC: &[u8; 8] = b"FALCNCLK";
const VERSION: u32 = 1;
const BYTES: usize = 56;

#[derive(Debug)]
pub struct ClockFile {
    /// None once it could not be used, which is said once.
    file: Option<File>,
    saved: Option<Saved>,
    boot_id: [u8; 16],
}

impl ClockFile {
    /// Opens or makes it.
    pub fn open(dir: &Path) -> ClockFile {
        let path = dir.join("clock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.inspect_err(|error| log::warn!("{}: {error}; {LOST}", path.display())).ok();
        let mut bytes = [0; BYTES];
        let saved = file.as_ref().and_then(|file| file.read_exact_at(&mut bytes, 0).ok()).and_then(|()| decode(&bytes));
        ClockFile { file, saved, boot_id: boot_id() }
    }

    /// What an earlier run left.
    pub fn saved(&self) -> Option<Saved> {
        self.saved
    }

    /// Which start of the machine this is.
    pub fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }

    /// Writes it; `for_good` waits until it is durable.
    pub fn save(&mut self, pair: Pair, for_good: bool) {
        let Some(file) = &self.file else { return };
        let bytes = encode(&Saved { pair, boot_id: self.boot_id });
        let written = file.write_all_at(&bytes, 0).and_then(|()| if for_good { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            log::warn!("writing the file clock: {error}; {LOST}");
            self.file = None;
        }
    }
}

const LOST: &str = "time in which nothing is written to the log may not count after a restart";

fn encode(saved: &Saved) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&saved.pair.log.0.to_le_bytes());
    out.extend_from_slice(&saved.pair.boot.0.to_le_bytes());
    out.extend_from_slice(&saved.boot_id);
    out.extend_from_slice(&hash(&out).to_le_bytes());
    out
}

/// None for what is not whole, or of another version.
fn decode(bytes: &[u8; BYTES]) -> Option<Saved> {
    let mut reader = Reader::new(bytes);
    let magic = reader.array::<8>("magic").ok()?;
    let version = reader.u32("version").ok()?;
    reader.u32("nothing").ok()?;
    let (log, boot) = (reader.u64("log time").ok()?, reader.u64("boot time").ok()?);
    let boot_id = reader.array("boot id").ok()?;
    let sum = reader.u64("sum").ok()?;
    let is_whole = &magic == MAGIC && version == VERSION && sum == hash(&bytes[..BYTES - 8]);
    is_whole.then_some(Saved { pair: Pair { log: Timestamp(log), boot: Millis(boot) }, boot_id })
}

/// 64 bits of FNV-1a (Fowler, Noll, Vo).
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The system's name for this start of the machine, with that of the time namespace, whose clock is its own.
fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // Older systems have none.
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    let text = text + &namespace.to_string_lossy();
    let halves = [hash(text.as_bytes()), hash(format!("{text}.").as_bytes())];
    let mut id = [0; 16];
    id[..8].copy_from_slice(&halves[0].to_le_bytes());
    id[8..].copy_from_slice(&halves[1].to_le_bytes());
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_comes_back_and_what_is_broken_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let pair = Pair { log: Timestamp(1_700_000_000_000), boot: Millis(5_000) };
        let mut file = ClockFile::open(dir.path());
        assert_eq!(file.saved(), None);
        file.save(pair, true);
        let saved = ClockFile::open(dir.path()).saved().unwrap();
        assert_eq!((saved.pair, saved.boot_id), (pair, file.boot_id()));
        let path = dir.path().join("clock");
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            std::fs::write(&path, &broken).unwrap();
            assert_eq!(ClockFile::open(dir.path()).saved(), None, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(ClockFile::open(dir.path()).saved(), None, "{at} bytes");
        }
    }
}
