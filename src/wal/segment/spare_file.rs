//! What is done to one spare segment: it is allocated, written, made of a segment that nothing needs, or removed.
//!
//! Promise: once a file is a spare, its name is durable. A step that fails leaves what was there.

use std::io;
use std::sync::Arc;

use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::ids::Lsn;
use crate::limits::{BESIDE_BYTES_PER_SYNC, SEGMENT_PAGE_BYTES};
use crate::planted::{Bug, is_planted};
use crate::wal::device::{LogDevice, SharedFile};
use crate::wal::names;

/// A segment that is ready to be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpareFile {
    pub name: String,
    /// Whether it is more than allocated; its name says so, too.
    pub is_written: bool,
    pub used_before: bool,
}

/// The spare that there is then, if any.
pub type SpareOutcome = io::Result<Option<SpareFile>>;

#[derive(Debug)]
pub enum Task {
    Make(u64),
    Write(SpareFile),
    /// Makes one of a segment.
    Reuse {
        segment: String,
        spare: String,
        shared: Arc<dyn SharedFile>,
    },
    /// Removes a file; what is mapped of it goes first.
    Remove(String, Option<Arc<dyn SharedFile>>),
}

impl Task {
    /// The spare that it writes.
    pub fn written(&self) -> Option<SpareFile> {
        if let Task::Write(spare) = self { Some(spare.clone()) } else { None }
    }

    /// Does it; `bytes` is the size of a spare.
    pub fn run(self, device: &dyn LogDevice, bytes: u32) -> SpareOutcome {
        match self {
            Task::Make(number) => {
                let being_made = names::being_made(&names::spare(number));
                make(device, &being_made, number, bytes)
                    .inspect_err(|_| {
                        // A partial file would keep the space that is lacking. The error that led here says more than
                        // one of the removal.
                        let _ = device.remove(&being_made);
                    })
                    .map(Some)
            }
            Task::Write(SpareFile { name, used_before, .. }) => {
                device.zero(&name, 0, bytes)?;
                let spare = names::spare(names::room_number(&name).expect("only room is written"));
                // It does not matter if the name does not last: the zeros are then written again.
                device.rename(&name, &spare)?;
                Ok(Some(SpareFile { name: spare, is_written: true, used_before }))
            }
            Task::Reuse { segment, spare, shared } => {
                drop(shared);
                device.rename(&segment, &spare)?;
                device.sync_names()?;
                Ok(Some(SpareFile { name: spare, is_written: true, used_before: true }))
            }
            Task::Remove(segment, shared) => {
                drop(shared);
                device.remove(&segment).map(|()| None)
            }
        }
    }
}

/// Allocates a spare; where that cannot be done, it is written.
fn make(device: &dyn LogDevice, being_made: &str, number: u64, bytes: u32) -> io::Result<SpareFile> {
    let mut file = device.create(being_made)?;
    let is_written = !file.allocate(bytes)?;
    if is_written {
        // One page a write. After larger writes the page cache holds the file in large folios, and each sync of a
        // small record writes a megabyte.
        let zeros = [0; SEGMENT_PAGE_BYTES];
        for page in 1..=bytes as usize / SEGMENT_PAGE_BYTES {
            file.append(&zeros)?;
            if (page * SEGMENT_PAGE_BYTES).is_multiple_of(BESIDE_BYTES_PER_SYNC) {
                file.sync()?;
            }
        }
    }
    file.sync()?;
    let name = if is_written { names::spare(number) } else { names::room(number) };
    device.rename(being_made, &name)?;
    device.sync_names()?;
    Ok(SpareFile { name, is_written, used_before: false })
}

/// The epoch that a spare had as a segment, or 0. One that was to begin at `next` or later was a segment for a moment,
/// until a power cut took its name back. It is emptied: with that name again, its old header and records would be
/// taken for the new ones if a crash came before these.
pub fn epoch_before(device: &dyn LogDevice, spare: &str, bytes: u32, next: Lsn) -> io::Result<u32> {
    let mut head = [0; SEGMENT_HEADER_BYTES];
    device.open(spare, bytes)?.shared().read_at(0, &mut head)?;
    let Ok(SegmentHeader { epoch, first_lsn, .. }) = SegmentHeader::decode(&head) else { return Ok(0) };
    if first_lsn >= next && !is_planted(Bug::SpareRevived) {
        device.zero(spare, 0, bytes)?;
    }
    Ok(epoch)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::wal::MemoryDevice;

    #[test]
    fn where_nothing_can_be_allocated_no_sync_has_much_to_write() {
        let device = MemoryDevice::default();
        device.forget_to_allocate();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watched = Arc::clone(&seen);
        device.watch(move |device| watched.lock().unwrap().push(device.operation().verb));
        let bytes = 4 * BESIDE_BYTES_PER_SYNC as u32;
        let made = Task::Make(7).run(&device, bytes).unwrap();
        assert_eq!(made, Some(SpareFile { name: names::spare(7), is_written: true, used_before: false }));
        let verbs = seen.lock().unwrap();
        let writes: Vec<_> = verbs.split(|verb| *verb != "write").map(<[_]>::len).collect();
        let pages = BESIDE_BYTES_PER_SYNC / SEGMENT_PAGE_BYTES;
        assert_eq!(writes.iter().filter(|count| **count > 0).collect::<Vec<_>>(), [&pages; 4]);
        assert!(verbs.iter().filter(|verb| **verb == "sync").count() >= 4, "{verbs:?}");
    }

    #[test]
    fn a_new_spare_is_whole_after_a_power_cut() {
        for can_allocate in [true, false] {
            let device = MemoryDevice::default();
            if !can_allocate {
                device.forget_to_allocate();
            }
            let bytes = (BESIDE_BYTES_PER_SYNC + SEGMENT_PAGE_BYTES) as u32;
            let made = Task::Make(7).run(&device, bytes).unwrap().unwrap();
            assert_eq!(device.crash().bytes(&made.name).unwrap(), u64::from(bytes));
        }
    }

    const SPARE_BYTES: u32 = 8192;

    #[test]
    fn a_spare_that_was_to_be_the_next_segment_is_emptied() {
        let (device, name) = (MemoryDevice::default(), names::spare(1));
        let header = SegmentHeader {
            log_id: 1,
            epoch: 7,
            segment_bytes: SPARE_BYTES,
            first_lsn: Lsn(5),
            durable: Lsn(4),
            before_end: 0,
            before_crc: 0,
            used_before: false,
        };
        let mut content = header.encode();
        content.resize(SPARE_BYTES as usize, 1);
        let mut file = device.create(&name).unwrap();
        file.append(&content).unwrap();
        file.sync().unwrap();
        device.sync_names().unwrap();
        assert_eq!(epoch_before(&device, &name, SPARE_BYTES, Lsn(6)).unwrap(), 7, "it was a segment long ago");
        assert_eq!(device.crash().read(&name).unwrap(), content);
        assert_eq!(epoch_before(&device, &name, SPARE_BYTES, Lsn(5)).unwrap(), 7);
        assert_eq!(device.crash().read(&name).unwrap(), [0; SPARE_BYTES as usize]);
    }
}
