//! Spare segments: enough of them are made ready ahead, beside the loop, so that the next segment costs the loop a rename
//! and not the writing of 64 MiB. A segment that nothing needs any more becomes a spare as it is: that saves
//! the writing, and the file system keeps its place.
//!
//! Promise: a spare is really allocated, and its name is durable, before it is used: what is written into it can never
//! be found under the name that it had before.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::names;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::storage::{LogDevice, Segment};
use crate::limits::SEGMENT_PAGE_BYTES;

/// A segment that is ready to be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpareFile {
    /// Its name.
    pub name: String,
    /// Whether it was a segment before.
    pub used_before: bool,
}

/// The spares, and what is done about them.
#[derive(Debug)]
pub struct Spares {
    device: Arc<dyn LogDevice>,
    bytes: u32,
    /// How many there should be.
    wanted: usize,
    ready: Vec<SpareFile>,
    next_number: u64,
    /// Segments that nothing needs any more.
    given: VecDeque<Given>,
    under_way: Option<JoinHandle<Outcome>>,
    /// Whether work is done by a thread, or at once.
    beside: bool,
}

#[derive(Debug)]
struct Given {
    segment: String,
    /// Whether it has the size of the segments to come.
    fits: bool,
    /// Whether it is to be kept although enough spares are ready.
    keep: bool,
    shared: Arc<dyn Segment>,
}

type Outcome = io::Result<Option<SpareFile>>;

#[derive(Debug)]
enum Task {
    Make(String),
    Reuse { segment: String, spare: String, shared: Arc<dyn Segment> },
    Remove(String, Option<Arc<dyn Segment>>),
}

impl Spares {
    /// The spares that are there already, but for those of another size, which are removed, and so is what a daemon that
    /// is gone was making. Whether the files were segments before is not known, so all are taken for such.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(device: Arc<dyn LogDevice>, bytes: u32, beside: bool) -> io::Result<Self> {
        let mut ready = Vec::new();
        let mut next_number = 1;
        for name in device.names()? {
            match names::spare_number(&name) {
                Some(number) if device.bytes(&name)? == u64::from(bytes) => {
                    next_number = next_number.max(number + 1);
                    ready.push(SpareFile { name, used_before: true });
                }
                Some(_) => device.remove(&name)?,
                None if names::is_being_made(&name) => device.remove(&name)?,
                None => {}
            }
        }
        let (given, under_way) = (VecDeque::new(), None);
        let wanted = ready.len().max(1);
        Ok(Spares { device, bytes, wanted, ready, next_number, given, under_way, beside })
    }

    /// The highest epoch that a spare may have had while it was a segment for a moment, or `last` if that is higher.
    ///
    /// # Errors
    /// What the system says.
    pub fn last_epoch(&self, last: u32) -> io::Result<u32> {
        let mut highest = last;
        for spare in &self.ready {
            let mut head = [0; SEGMENT_HEADER_BYTES];
            self.device.open(&spare.name, self.bytes)?.shared().read_at(0, &mut head)?;
            highest = highest.max(SegmentHeader::decode(&head).map_or(0, |header| header.epoch));
        }
        Ok(highest + u32::try_from(self.ready.len()).expect("spares are few"))
    }

    /// Says how many there should be; at least one.
    pub fn want(&mut self, count: usize) {
        self.wanted = count.max(1);
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Bytes of the spares, ready or being made, and of segments that are still to be removed.
    pub fn held_bytes(&self) -> u64 {
        let count = self.ready.len() + self.given.len() + usize::from(self.under_way.is_some());
        count as u64 * u64::from(self.bytes)
    }

    /// Takes a segment that nothing needs any more: it becomes a spare if one is lacking, or one more if that is to be
    /// `keep`t, or goes. A log that is written round and round so never has to make one.
    /// Its map goes with it, beside the loop: giving 64 MiB back takes the system some milliseconds.
    pub fn give(&mut self, segment: String, shared: Arc<dyn Segment>, keep: bool) {
        self.given.push_back(Given { segment, fits: shared.bytes() == self.bytes, keep, shared });
    }

    /// Does the next thing that is to be done, beside the loop, and collects what was. Unless one is `urgent`, no spare is
    /// made: a segment may be given up in time to become one.
    ///
    /// # Errors
    /// What the system said of what was done; it is tried again at the next call.
    pub fn proceed(&mut self, urgent: bool) -> io::Result<()> {
        if self.under_way.as_ref().is_some_and(|making| !making.is_finished()) {
            return Ok(());
        }
        self.collect()?;
        if !self.is_busy(urgent) {
            return Ok(());
        }
        let Some(task) = self.next_task() else { return Ok(()) };
        let (device, bytes) = (Arc::clone(&self.device), self.bytes);
        let run = move || task.run(&*device, bytes);
        if !self.beside {
            self.ready.extend(run()?);
            return Ok(());
        }
        match std::thread::Builder::new().name(String::from("falcon-spare")).spawn(run) {
            Ok(making) => self.under_way = Some(making),
            Err(error) => log::warn!("no thread to make a spare segment: {error}; made later"),
        }
        Ok(())
    }

    /// How many are kept at most: one more than is wanted. Else one would come and go with each job at the edge, and one
    /// would be written anew for each segment that is given up.
    fn kept_max(&self) -> usize {
        self.wanted + 1
    }

    /// Whether there is anything left to do; making a spare only counts if one is `urgent`.
    pub fn is_busy(&self, urgent: bool) -> bool {
        let lacks_some = self.ready.len() < self.wanted;
        let has_surplus = self.ready.len() > self.kept_max();
        self.under_way.is_some() || !self.given.is_empty() || has_surplus || (urgent && lacks_some)
    }

    /// Takes a spare; waits until there is one.
    ///
    /// # Errors
    /// What the system says.
    pub fn take(&mut self) -> io::Result<SpareFile> {
        if self.ready.is_empty() {
            self.wait_for_one_more()?;
        }
        Ok(self.ready.remove(0))
    }

    /// Waits until there is one spare more than now.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait_for_one_more(&mut self) -> io::Result<()> {
        let before = self.ready.len();
        self.want(self.wanted.max(before + 1));
        while self.ready.len() == before {
            self.collect()?;
            if self.ready.len() == before {
                let task = self.next_task().expect("one is wanted");
                self.ready.extend(task.run(&*self.device, self.bytes)?);
            }
        }
        Ok(())
    }

    fn next_task(&mut self) -> Option<Task> {
        let lacks_some = self.ready.len() < self.wanted;
        let has_place = self.ready.len() < self.kept_max();
        let spare = names::spare(self.next_number);
        match self.given.pop_front() {
            Some(Given { segment, fits: true, keep, shared }) if lacks_some || (keep && has_place) => {
                self.next_number += 1;
                Some(Task::Reuse { segment, spare, shared })
            }
            Some(Given { segment, shared, .. }) => Some(Task::Remove(segment, Some(shared))),
            None if lacks_some => {
                self.next_number += 1;
                Some(Task::Make(spare))
            }
            None => {
                let surplus = self.ready.len() > self.kept_max();
                surplus.then(|| self.ready.pop()).flatten().map(|spare| Task::Remove(spare.name, None))
            }
        }
    }

    /// Waits for what is under way.
    fn collect(&mut self) -> io::Result<()> {
        if let Some(making) = self.under_way.take() {
            let made = making.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))?;
            self.ready.extend(made);
        }
        Ok(())
    }
}

impl Task {
    fn run(self, device: &dyn LogDevice, bytes: u32) -> Outcome {
        match self {
            Task::Make(name) => {
                let being_made = names::being_made(&name);
                make(device, &being_made, &name, bytes).inspect_err(|_| {
                    // A partial file would keep the space that is lacking; the error that led here says more
                    // than one of the removal would.
                    let _ = device.remove(&being_made);
                })?;
                Ok(Some(SpareFile { name, used_before: false }))
            }
            Task::Reuse { segment, spare, shared } => {
                drop(shared);
                device.rename(&segment, &spare)?;
                device.sync_names()?;
                Ok(Some(SpareFile { name: spare, used_before: true }))
            }
            Task::Remove(segment, shared) => {
                drop(shared);
                device.remove(&segment).map(|()| None)
            }
        }
    }
}

fn make(device: &dyn LogDevice, being_made: &str, name: &str, bytes: u32) -> io::Result<()> {
    let mut file = device.create(being_made)?;
    // One page a write: with larger ones the page cache holds the file in large folios, and each sync of a small
    // record then writes a megabyte.
    let zeros = [0; SEGMENT_PAGE_BYTES];
    for _ in 0..bytes as usize / SEGMENT_PAGE_BYTES {
        file.append(&zeros)?;
    }
    file.sync()?;
    device.rename(being_made, name)?;
    device.sync_names()
}

/// A thread that is still at work is waited for, so that no file appears after the lock was given up.
impl Drop for Spares {
    fn drop(&mut self) {
        if let Some(making) = self.under_way.take() {
            let _ = making.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::MemoryDevice;

    const BYTES: u32 = 8192;

    fn names(device: &MemoryDevice) -> Vec<String> {
        device.names().unwrap()
    }

    #[test]
    fn as_many_are_made_as_are_wanted() {
        let device = MemoryDevice::default();
        let mut spares = Spares::new(Arc::new(device.clone()), BYTES, false).unwrap();
        spares.want(2);
        spares.proceed(false).unwrap();
        assert_eq!(spares.ready(), 0, "there is time");
        while spares.is_busy(true) {
            spares.proceed(true).unwrap();
        }
        assert_eq!(names(&device.crash()), [names::spare(1), names::spare(2)]);
        assert_eq!(spares.take().unwrap(), SpareFile { name: names::spare(1), used_before: false });
        assert!(spares.is_busy(true) && !spares.is_busy(false));
    }

    #[test]
    fn a_segment_becomes_a_spare_under_a_durable_name_or_goes() {
        let device = MemoryDevice::default();
        for name in ["a", "b"] {
            device.create(name).unwrap().append(&[1; BYTES as usize]).unwrap();
        }
        let mut spares = Spares::new(Arc::new(device.clone()), BYTES, false).unwrap();
        for name in ["a", "b"] {
            spares.give(name.to_owned(), device.open(name, 0).unwrap().shared(), false);
        }
        spares.proceed(true).unwrap();
        assert_eq!(names(&device.crash()), [names::spare(1), "b".to_owned()]);
        spares.proceed(true).unwrap();
        assert_eq!(names(&device), [names::spare(1)]);
        assert!(spares.take().unwrap().used_before);
    }

    #[test]
    fn one_more_than_is_wanted_is_kept_for_the_next_segment() {
        let device = MemoryDevice::default();
        for name in ["a", "b", "c"] {
            device.create(name).unwrap().append(&[1; BYTES as usize]).unwrap();
        }
        let mut spares = Spares::new(Arc::new(device.clone()), BYTES, false).unwrap();
        for name in ["a", "b", "c"] {
            spares.give(name.to_owned(), device.open(name, 0).unwrap().shared(), true);
        }
        (0..3).for_each(|_| spares.proceed(false).unwrap());
        assert_eq!(names(&device), [names::spare(1), names::spare(2)]);
        assert!(spares.take().unwrap().used_before);
        assert!(!spares.is_busy(true), "nothing has to be made");
    }

    #[test]
    fn more_than_one_above_what_is_wanted_are_removed() {
        let device = MemoryDevice::default();
        let mut spares = Spares::new(Arc::new(device.clone()), BYTES, false).unwrap();
        spares.want(3);
        (0..3).for_each(|_| spares.proceed(true).unwrap());
        spares.want(1);
        (0..9).for_each(|_| spares.proceed(true).unwrap());
        assert_eq!((names(&device).len(), spares.is_busy(true)), (2, false));
    }

    #[test]
    fn what_an_earlier_daemon_kept_ready_is_used_and_what_it_was_making_is_removed() {
        let device = MemoryDevice::default();
        let of = |name: &str, bytes: u32| {
            device.create(name).unwrap().append(&vec![1; bytes as usize]).unwrap();
        };
        of(&names::spare(7), BYTES);
        of(&names::spare(8), BYTES * 2);
        of(&names::being_made(&names::spare(9)), 5);
        let mut spares = Spares::new(Arc::new(device.clone()), BYTES, false).unwrap();
        assert_eq!(names(&device), [names::spare(7)]);
        assert_eq!(spares.take().unwrap(), SpareFile { name: names::spare(7), used_before: true });
        spares.proceed(true).unwrap();
        assert_eq!(names(&device), [names::spare(7), names::spare(8)], "the number is not used again");
    }

    #[test]
    fn what_could_not_be_made_leaves_nothing_behind_and_is_tried_again() {
        let device = MemoryDevice::default();
        let mut spares = Spares::new(Arc::new(device.clone()), BYTES, false).unwrap();
        device.limit_space(Some(5000));
        assert_eq!(spares.proceed(true).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(names(&device).is_empty());
        device.limit_space(None);
        spares.proceed(true).unwrap();
        assert_eq!(spares.ready(), 1);
    }
}
