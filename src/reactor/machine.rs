//! What the machine has left: memory of this process, as the system tells it, and room on the disk.

use std::path::Path;

use super::disk::DiskWatch;
use crate::master::{Memory, Room};
use crate::time::{Millis, Timestamp};

/// How often it is looked at how much memory there is. What comes in meanwhile is a few megabytes.
const MEMORY_EVERY: Millis = Millis(100);

#[derive(Debug)]
pub struct Machine {
    memory_at: Timestamp,
    disk: DiskWatch,
}

impl Machine {
    /// With the log in this directory.
    pub fn new(dir: &Path) -> Machine {
        Machine { memory_at: Timestamp(0), disk: DiskWatch::new(dir) }
    }

    /// The room that there was at the last look.
    pub fn room(&self) -> Room {
        let (disk_bytes, disk_free_bytes) = self.disk.bytes();
        Room { disk_bytes, disk_free_bytes, descriptors_max: 0 }
    }

    /// Looks when it is time to; gives how much memory there is.
    pub fn look(&mut self, now: Timestamp) -> Option<Memory> {
        if now < self.memory_at {
            return None;
        }
        self.memory_at = now.plus(MEMORY_EVERY);
        self.disk.look(now);
        Some(memory_now().unwrap_or_default())
    }
}

/// What it has now; nothing where the system does not say.
fn memory_now() -> Option<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    read(&status)
}

fn read(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    Some(Memory { own_bytes: field("RssAnon")?, mapped_bytes: field("RssFile")? + field("RssShmem")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_told_from_what_is_mapped() {
        let status = "Name:\tfalcond\nVmRSS:\t  99 kB\nRssAnon:\t    1000 kB\nRssFile:\t     20 kB\nRssShmem:\t 3 kB\n";
        assert_eq!(read(status), Some(Memory { own_bytes: 1000 << 10, mapped_bytes: 23 << 10 }));
        assert_eq!(read("Name:\tfalcond\n"), None);
        assert!(memory_now().is_some_and(|memory| memory.own_bytes > 0));
    }
}
