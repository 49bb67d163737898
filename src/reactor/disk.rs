//! How full the disk of the log is: told when it passes a mark on its way up, and when it has room again.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::time::{Millis, Timestamp};

/// Per cent that are told of.
const MARKS: [u64; 3] = [80, 90, 95];

/// How often it is looked at.
const LOOK_EVERY: Millis = Millis(10_000);

#[derive(Debug)]
pub struct DiskWatch {
    dir: PathBuf,
    /// The highest mark that is passed; 0 for none.
    passed: u64,
    look_at: Timestamp,
    /// All of it, and what is free.
    bytes: (u64, u64),
}

impl DiskWatch {
    pub fn new(dir: &Path) -> DiskWatch {
        DiskWatch { dir: dir.to_owned(), passed: 0, look_at: Timestamp(0), bytes: (0, 0) }
    }

    /// Looks when it is time to.
    pub fn look(&mut self, now: Timestamp) {
        if now < self.look_at {
            return;
        }
        self.look_at = now.plus(LOOK_EVERY);
        // Where the system does not say, nothing is told.
        let Ok(facts) = statvfs(&self.dir) else { return };
        let free_bytes = facts.f_bavail * facts.f_frsize;
        self.bytes = (facts.f_blocks * facts.f_frsize, free_bytes);
        // As df counts it: what only root may use is in neither.
        let used = facts.f_blocks - facts.f_bfree;
        let per_cent = (used * 100).div_ceil((used + facts.f_bavail).max(1));
        let Some(is_more) = self.note(per_cent) else { return };
        let (dir, free_mib) = (self.dir.display(), free_bytes >> 20);
        if is_more {
            log::warn!(
                "the disk of {dir} is {per_cent} % full, {free_mib} MiB are free; a full one takes no more jobs"
            );
        } else {
            log::info!("the disk of {dir} is {per_cent} % full, {free_mib} MiB are free again");
        }
    }

    /// Its size and what is free, in bytes, at the last look.
    pub fn bytes(&self) -> (u64, u64) {
        self.bytes
    }

    /// Notes how full it is; says whether that is more or less than was told last, if it has to be told.
    fn note(&mut self, per_cent: u64) -> Option<bool> {
        let passed = MARKS.into_iter().rev().find(|mark| per_cent >= *mark).unwrap_or(0);
        // One that stays at a mark is not told of again and again.
        let is_less = passed < self.passed && per_cent + 2 < self.passed;
        if passed <= self.passed && !is_less {
            return None;
        }
        let is_more = passed > self.passed;
        self.passed = passed;
        Some(is_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_told_once_on_the_way_up_and_once_when_there_is_room_again() {
        let mut disk = DiskWatch::new(Path::new("/"));
        let told = [79, 80, 85, 91, 89, 90, 96, 100, 94, 92, 91, 50, 80].map(|per_cent| disk.note(per_cent));
        let (more, less) = (Some(true), Some(false));
        assert_eq!(told, [None, more, None, more, None, None, more, None, None, less, None, less, more],);
    }
}
