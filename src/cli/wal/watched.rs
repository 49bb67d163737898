//! A log's directory while all of it is read: it is shown how far that is. From Ctrl-C on every read fails, so that
//! what reads comes to its end soon; whoever asked for it then says so, and not what was found without those reads.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::HumanBytes;

use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Progress;
use crate::exit::{self, Failure};
use crate::wal::{DirDevice, LogDevice, NewFile, Payload, SegmentWriter, names};

#[derive(Debug)]
pub struct Watched {
    device: DirDevice,
    interrupt: Interrupt,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    progress: Progress,
    done: u64,
    of: u64,
}

impl Watched {
    /// From now on Ctrl-C only asks for the end.
    pub fn new(device: DirDevice) -> Result<Watched, Failure> {
        Ok(Watched::until(device, Interrupt::on_ctrl_c()?))
    }

    pub fn until(device: DirDevice, interrupt: Interrupt) -> Watched {
        Watched { device, interrupt, seen: Mutex::default() }
    }

    /// All files of the log are read next, so many times.
    pub fn expect_all(&self, times: u64) {
        let listed = self.device.names().unwrap_or_default();
        let snapshots = names::snapshots(&listed);
        // The newest one is read for itself, and then taken in.
        let newest = snapshots.last().copied();
        let snapshots = snapshots.into_iter().chain(newest).map(names::snapshot);
        let files = snapshots.chain(names::segments(&listed).into_iter().map(names::segment));
        let bytes: u64 = files.filter_map(|name| self.device.bytes(&name).ok()).sum();
        let mut seen = self.seen();
        seen.of = seen.done + times * bytes;
    }

    /// Ends it if Ctrl-C was pressed; `goes_on` says what was done and how it can be gone on with.
    pub fn look_at_ctrl_c(&self, goes_on: &str) -> Result<(), Failure> {
        if !self.is_stopped() {
            return Ok(());
        }
        let words = self.seen().words();
        self.end();
        Err(Failure::new(exit::FAILED, format!("stopped by Ctrl-C after {words}; {goes_on}")))
    }

    /// Takes the bar away. What is read from now on is counted anew.
    pub fn end(&self) {
        let mut seen = self.seen();
        seen.progress.end();
        *seen = Seen::default();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows how far it is with what was read now.
    fn counted<T>(&self, read: io::Result<T>, bytes: impl FnOnce(&T) -> usize) -> io::Result<T> {
        if let Ok(read) = &read {
            let mut seen = self.seen();
            seen.done += bytes(read) as u64;
            let (done, of, words) = (seen.done, seen.of.max(seen.done), seen.words());
            seen.progress.show(done, of, &words);
        }
        read
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_stopped(&self) -> bool {
        self.interrupt.is_asked()
    }

    fn unless_stopped(&self) -> io::Result<()> {
        if self.is_stopped() { Err(io::Error::other("stopped by Ctrl-C")) } else { Ok(()) }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Seen { progress: Progress::of_bytes(), done: 0, of: 0 }
    }
}

impl Seen {
    fn words(&self) -> String {
        format!("{} of {} read", HumanBytes(self.done), HumanBytes(self.of.max(self.done)))
    }
}

impl LogDevice for Watched {
    fn names(&self) -> io::Result<Vec<String>> {
        self.device.names()
    }

    fn bytes(&self, name: &str) -> io::Result<u64> {
        self.device.bytes(name)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.unless_stopped()?;
        self.counted(self.device.read(name), Vec::len)
    }

    fn read_piece(&self, name: &str, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.unless_stopped()?;
        self.counted(self.device.read_piece(name, offset, bytes), Vec::len)
    }

    fn view(&self, name: &str) -> io::Result<Payload> {
        self.unless_stopped()?;
        self.counted(self.device.view(name), |view| view.as_slice().len())
    }

    fn distrust(&self, name: &str, from: u32) -> io::Result<()> {
        self.unless_stopped()?;
        self.device.distrust(name, from)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        self.device.create(name)
    }

    fn open(&self, name: &str, published: u32) -> io::Result<Box<dyn SegmentWriter>> {
        self.device.open(name, published)
    }

    fn zero(&self, name: &str, from: u32, to: u32) -> io::Result<()> {
        self.device.zero(name, from, to)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.device.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.device.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.device.sync_names()
    }
}
