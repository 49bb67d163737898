//! Spare segments are made ahead, beside the loop: then the next segment costs the loop a rename, and not the writing
//! of 64 MiB. A segment that nothing needs becomes a spare as it is. That saves the writing, and the file system
//! keeps its place.
//!
//! A spare begins as room: allocated, not written. One of them is written with zeros ahead. A sync of what was stored
//! into a fresh allocation has to write metadata too, which costs a sixth of the submits. The others only keep their
//! place.
//!
//! Promise: before a spare is used, it is really allocated, and its name is durable. So what is written into it can
//! never be found under the name that it had before.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::spare_file::{SpareFile, SpareOutcome, Task, epoch_before};
use crate::ids::Lsn;
use crate::wal::device::{LogDevice, SharedFile};
use crate::wal::error::is_lack_of_space;
use crate::wal::{beside, names};

/// The spares, and what is done about them.
#[derive(Debug)]
pub struct Spares {
    device: Arc<dyn LogDevice>,
    bytes: u32,
    /// How many there should be.
    wanted: usize,
    /// Whether the log takes more than it may: then none is kept that is not wanted.
    is_over: bool,
    ready: Vec<SpareFile>,
    next_number: u64,
    /// Segments that nothing needs any more.
    given: VecDeque<Given>,
    under_way: Option<UnderWay>,
    /// Whether work is done by a thread, or at once.
    beside: bool,
}

#[derive(Debug)]
struct Given {
    segment: String,
    /// Whether it has the size of the segments to come.
    fits: bool,
    shared: Arc<dyn SharedFile>,
}

/// A task that a thread carries out. A spare that is being written counts, but is not among those that are ready.
#[derive(Debug)]
struct UnderWay {
    thread: JoinHandle<SpareOutcome>,
    written: Option<SpareFile>,
}

impl Spares {
    /// Takes over the spares that are there. Those of another size are removed, and so is what a daemon that is gone
    /// was making. Nothing tells whether a spare was a segment before, so each is taken for one that was.
    pub fn new(device: Arc<dyn LogDevice>, bytes: u32, beside: bool) -> io::Result<Self> {
        let mut ready = Vec::new();
        let mut next_number = 1;
        for name in device.names()? {
            let written = names::spare_number(&name);
            match written.or_else(|| names::room_number(&name)) {
                Some(number) if device.bytes(&name)? == u64::from(bytes) => {
                    next_number = next_number.max(number + 1);
                    ready.push(SpareFile { name, is_written: written.is_some(), used_before: true });
                }
                Some(_) => device.remove(&name)?,
                None if names::is_being_made(&name) => device.remove(&name)?,
                None => {}
            }
        }
        let (given, under_way) = (VecDeque::new(), None);
        let wanted = ready.len().max(1);
        let is_over = false;
        Ok(Spares { device, bytes, wanted, is_over, ready, next_number, given, under_way, beside })
    }

    /// No epoch above this was in use: neither above `last`, nor in a spare that was a segment for a moment. `next` is
    /// where the log goes on.
    pub fn last_epoch(&self, last: u32, next: Lsn) -> io::Result<u32> {
        let mut highest = last;
        for spare in &self.ready {
            highest = highest.max(epoch_before(&*self.device, &spare.name, self.bytes, next)?);
        }
        Ok(highest + u32::try_from(self.ready.len()).expect("spares are few"))
    }

    /// Says how many there should be; at least one.
    pub fn want(&mut self, count: usize) {
        self.wanted = count.max(1);
    }

    /// Says whether the log takes more than it may.
    pub fn set_over(&mut self, is_over: bool) {
        self.is_over = is_over;
    }

    pub fn count(&self) -> usize {
        let written = self.under_way.as_ref().and_then(|under_way| under_way.written.as_ref());
        self.ready.len() + usize::from(written.is_some())
    }

    /// How many files there are: spares, ready or being made, and segments that are still to be removed.
    pub fn files(&self) -> u64 {
        (self.ready.len() + self.given.len() + usize::from(self.under_way.is_some())) as u64
    }

    pub fn wanted(&self) -> u64 {
        self.wanted as u64
    }

    /// Takes a segment that nothing needs. It becomes a spare if there is place for one more; else it is removed. So a
    /// log that is written round and round never has to make one. Its map is given back beside the loop: for 64 MiB
    /// that takes the system some milliseconds.
    pub fn give(&mut self, segment: String, shared: Arc<dyn SharedFile>) {
        self.given.push_back(Given { segment, fits: shared.bytes() == self.bytes, shared });
    }

    /// Takes in what came of the last task, and begins the next one beside the loop. Unless a spare is `urgent`, none
    /// is made: a segment may be given up in time to become one. What fails is tried again at the next call.
    pub fn proceed(&mut self, urgent: bool) -> io::Result<()> {
        if self.under_way.as_ref().is_some_and(|under_way| !under_way.thread.is_finished()) {
            return Ok(());
        }
        self.collect()?;
        let Some(task) = self.next_task(urgent) else { return Ok(()) };
        if !self.beside {
            return self.run(task);
        }
        let written = task.written();
        let (device, bytes) = (Arc::clone(&self.device), self.bytes);
        let run = move || task.run(&*device, bytes);
        match beside::spawn("falcon-spare", run) {
            Ok(thread) => self.under_way = Some(UnderWay { thread, written }),
            Err(error) => {
                self.ready.extend(written);
                log::warn!("no thread to make a spare segment: {error}; made later");
            }
        }
        Ok(())
    }

    fn run(&mut self, task: Task) -> io::Result<()> {
        let written = task.written();
        let outcome = task.run(&*self.device, self.bytes);
        self.done(outcome, written)
    }

    /// Takes in what came of a task. What could not be written stays room.
    fn done(&mut self, outcome: SpareOutcome, written: Option<SpareFile>) -> io::Result<()> {
        match outcome {
            Ok(spare) => self.ready.extend(spare),
            Err(error) => {
                self.ready.extend(written);
                return Err(error);
            }
        }
        Ok(())
    }

    /// How many are kept at most: one more than is wanted, while the log may be as large. Else one would come and go
    /// with each job at the edge, and one would be written for each segment that is given up.
    fn kept_max(&self) -> usize {
        self.wanted + usize::from(!self.is_over)
    }

    /// Whether there is anything left to do; making a spare only counts if one is `urgent`.
    pub fn is_busy(&self, urgent: bool) -> bool {
        let lacks_some = self.count() < self.wanted;
        let has_surplus = self.count() > self.kept_max();
        let has_work = self.under_way.is_some() || !self.given.is_empty() || has_surplus || self.lacks_written();
        has_work || (urgent && lacks_some)
    }

    fn has_written(&self) -> bool {
        self.ready.iter().any(|spare| spare.is_written)
    }

    fn lacks_written(&self) -> bool {
        !self.ready.is_empty() && !self.has_written()
    }

    /// Takes a spare, if possible one that is written. Waits until there is one; an error if
    /// there is no space for one.
    pub fn take(&mut self) -> io::Result<SpareFile> {
        if !self.has_written() {
            unless_short_of_space(self.collect())?;
        }
        if self.ready.is_empty() {
            self.wait_for_one_more()?;
            unless_short_of_space(self.writing().map_or(Ok(()), |task| self.run(task)))?;
        }
        let written = self.ready.iter().position(|spare| spare.is_written);
        Ok(self.ready.remove(written.unwrap_or(0)))
    }

    /// Waits until there is one spare more than now.
    pub fn wait_for_one_more(&mut self) -> io::Result<()> {
        let before = self.count();
        self.want(self.wanted.max(before + 1));
        while self.count() == before {
            // What is under way is waited for only if it makes one more: a spare that is being written is counted
            // already, and takes long.
            if self.under_way.as_ref().is_some_and(|under_way| under_way.written.is_none()) {
                self.collect()?;
            }
            if self.count() == before {
                let task = self.next_task(true).expect("one is wanted");
                self.run(task)?;
            }
        }
        Ok(())
    }

    fn next_task(&mut self, urgent: bool) -> Option<Task> {
        let lacks_some = self.count() < self.wanted;
        let has_place = self.count() < self.kept_max();
        let spare = names::spare(self.next_number);
        match self.given.pop_front() {
            Some(Given { segment, fits: true, shared }) if has_place => {
                self.next_number += 1;
                Some(Task::Reuse { segment, spare, shared })
            }
            Some(Given { segment, shared, .. }) => Some(Task::Remove(segment, Some(shared))),
            None if urgent && lacks_some => {
                self.next_number += 1;
                Some(Task::Make(self.next_number - 1))
            }
            None if self.count() > self.kept_max() => {
                let room = self.ready.iter().position(|spare| !spare.is_written);
                Some(Task::Remove(self.ready.remove(room.unwrap_or(0)).name, None))
            }
            None => self.writing(),
        }
    }

    /// Room is to be written if nothing else is ready.
    fn writing(&mut self) -> Option<Task> {
        self.lacks_written().then(|| Task::Write(self.ready.remove(0)))
    }

    /// Waits for what is under way.
    fn collect(&mut self) -> io::Result<()> {
        let Some(UnderWay { thread, written }) = self.under_way.take() else { return Ok(()) };
        let outcome = thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
        self.done(outcome, written)
    }
}

/// Lets a lack of space pass: it is met again, and told, when the next spare is made.
fn unless_short_of_space(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if is_lack_of_space(&error) { Ok(()) } else { Err(error) })
}

/// A thread that is still at work is waited for, so that no file appears after the lock was given up.
impl Drop for Spares {
    fn drop(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            let _ = under_way.thread.join();
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

    fn spares_of(device: &MemoryDevice) -> Spares {
        Spares::new(Arc::new(device.clone()), BYTES, false).unwrap()
    }

    fn fresh() -> (MemoryDevice, Spares) {
        let device = MemoryDevice::default();
        let spares = spares_of(&device);
        (device, spares)
    }

    /// Gives segments up.
    fn give(spares: &mut Spares, device: &MemoryDevice, segments: &[&str]) {
        for name in segments {
            device.create(name).unwrap().append(&[1; BYTES as usize]).unwrap();
            spares.give((*name).to_owned(), device.open(name, 0).unwrap().shared());
        }
    }

    #[test]
    fn as_many_are_made_as_are_wanted() {
        let (device, mut spares) = fresh();
        spares.want(2);
        spares.proceed(false).unwrap();
        assert_eq!(spares.count(), 0, "there is time");
        while spares.is_busy(true) {
            spares.proceed(true).unwrap();
        }
        assert_eq!(names(&device.crash()), [names::room(1), names::room(2)]);
        assert_eq!(names(&device), [names::spare(1), names::room(2)], "one is written");
        assert_eq!(spares.take().unwrap(), SpareFile { name: names::spare(1), is_written: true, used_before: false });
        spares.proceed(false).unwrap();
        let now = names(&device);
        assert_eq!(now, [names::spare(1), names::spare(2)], "the next is written, also while there is time");
        assert!(spares.is_busy(true) && !spares.is_busy(false));
    }

    #[test]
    fn where_nothing_can_be_allocated_all_are_written() {
        let device = MemoryDevice::default();
        device.forget_to_allocate();
        let mut spares = spares_of(&device);
        spares.want(2);
        (0..2).for_each(|_| spares.proceed(true).unwrap());
        assert_eq!(names(&device.crash()), [names::spare(1), names::spare(2)]);
        assert_eq!(device.bytes(&names::spare(2)).unwrap(), u64::from(BYTES));
    }

    #[test]
    fn room_is_used_as_it_is_before_anybody_waits_for_its_writing() {
        let (_, mut spares) = fresh();
        spares.want(2);
        (0..2).for_each(|_| spares.proceed(true).unwrap());
        assert_eq!(spares.take().unwrap().name, names::room(1));
        assert_eq!(spares.count(), 1);
    }

    #[test]
    fn what_could_not_be_written_stays_room() {
        for beside in [false, true] {
            let device = MemoryDevice::default();
            let mut spares = Spares::new(Arc::new(device.clone()), BYTES, beside).unwrap();
            spares.wait_for_one_more().unwrap();
            device.fail_syncs();
            let mut outcome = spares.proceed(false);
            while beside && outcome.is_ok() {
                assert_eq!(spares.count(), 1, "it counts while it is written");
                outcome = spares.proceed(false);
            }
            assert!(outcome.is_err());
            assert_eq!((spares.count(), spares.take().unwrap().name), (1, names::room(spares.next_number - 1)));
        }
    }

    /// The next one is under way, and cannot be made, at the moment when what is there is needed.
    #[test]
    fn what_is_ready_is_taken_although_there_is_no_space_for_another() {
        for beside in [false, true] {
            let device = MemoryDevice::default();
            let mut spares = Spares::new(Arc::new(device.clone()), BYTES, beside).unwrap();
            spares.wait_for_one_more().unwrap();
            device.limit_space(Some(0));
            spares.want(2);
            assert_eq!(spares.proceed(true).is_err(), !beside, "told, or still under way");
            assert_eq!(spares.take().unwrap().name, names::room(1));
            assert_eq!(spares.take().unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn a_segment_becomes_a_spare_under_a_durable_name_or_goes() {
        let (device, mut spares) = fresh();
        spares.set_over(true);
        give(&mut spares, &device, &["a", "b"]);
        spares.proceed(true).unwrap();
        assert_eq!(names(&device.crash()), [names::spare(1), "b".to_owned()]);
        spares.proceed(true).unwrap();
        assert_eq!(names(&device), [names::spare(1)]);
        assert!(spares.take().unwrap().used_before);
    }

    #[test]
    fn one_more_than_is_wanted_is_kept_for_the_next_segment() {
        let (device, mut spares) = fresh();
        give(&mut spares, &device, &["a", "b", "c"]);
        (0..3).for_each(|_| spares.proceed(false).unwrap());
        assert_eq!(names(&device), [names::spare(1), names::spare(2)]);
        assert!(spares.take().unwrap().used_before);
        assert!(!spares.is_busy(true), "nothing has to be made");
        give(&mut spares, &device, &["d"]);
        spares.proceed(false).unwrap();
        spares.set_over(true);
        assert!(spares.is_busy(false), "the log takes too much");
        spares.proceed(false).unwrap();
        assert_eq!(spares.count(), 1);
    }

    #[test]
    fn more_than_one_above_what_is_wanted_are_removed() {
        let (device, mut spares) = fresh();
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
        let mut spares = spares_of(&device);
        assert_eq!(names(&device), [names::spare(7)]);
        assert_eq!(spares.take().unwrap(), SpareFile { name: names::spare(7), is_written: true, used_before: true });
        spares.proceed(true).unwrap();
        assert_eq!(names(&device), [names::spare(7), names::room(8)], "the number is not used again");
        drop(spares);
        let mut spares = spares_of(&device);
        assert_eq!(spares.count(), 2);
        assert_eq!(spares.take().unwrap(), SpareFile { name: names::spare(7), is_written: true, used_before: true });
        assert_eq!(spares.take().unwrap(), SpareFile { name: names::room(8), is_written: false, used_before: true });
    }

    #[test]
    fn what_could_not_be_made_leaves_nothing_behind_and_is_tried_again() {
        let (device, mut spares) = fresh();
        device.limit_space(Some(5000));
        assert_eq!(spares.proceed(true).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(names(&device).is_empty());
        device.limit_space(None);
        spares.proceed(true).unwrap();
        assert_eq!(spares.count(), 1);
    }
}
