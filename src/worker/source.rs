//! Where a worker gets its jobs: from a master over TCP, or from the master in the same process. Both speak the same
//! frames through the same client, and both go through the master's one door.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError, Ender, Frame, Job, Link, Stopper, TcpLink};
use crate::limits::FRAME_HEADER_BYTES;
use crate::master::local::{LocalDoor, LocalEnd};
use crate::protocol::frame::split_frame;
use crate::protocol::{AckItem, FailItem, HeldLease, ItemStatus, LeaseStatus, ReleaseItem};

/// A source of jobs, and where their outcomes go.
pub trait JobSource: Send {
    /// Asks for one job of these queues, and waits for it.
    ///
    /// # Errors
    /// See [`ClientError`]; `Stopped` once it was stopped.
    fn poll(&mut self, queues: &[&str], wait: Duration, lease: Duration) -> Result<Option<Job>, ClientError>;

    /// Reports an attempt that did its work.
    ///
    /// # Errors
    /// See [`ClientError`].
    fn ack(&mut self, item: AckItem<'_>) -> Result<Vec<ItemStatus>, ClientError>;

    /// Reports an attempt that did not.
    ///
    /// # Errors
    /// See [`ClientError`].
    fn fail(&mut self, item: FailItem<'_>) -> Result<Vec<ItemStatus>, ClientError>;

    /// Gives a job back unharmed.
    ///
    /// # Errors
    /// See [`ClientError`].
    fn release(&mut self, item: ReleaseItem) -> Result<Vec<ItemStatus>, ClientError>;

    /// Extends leases.
    ///
    /// # Errors
    /// See [`ClientError`].
    fn heartbeat(&mut self, leases: &[HeldLease]) -> Result<Vec<LeaseStatus>, ClientError>;

    /// What makes it take no more jobs.
    fn stopper(&self) -> Stopper;

    /// From now on a call may take this long, beyond what a poll asks to wait.
    fn set_timeout(&mut self, timeout: Duration);
}

impl<L: Link> JobSource for Client<L> {
    fn poll(&mut self, queues: &[&str], wait: Duration, lease: Duration) -> Result<Option<Job>, ClientError> {
        Ok(Client::poll(self, queues, 1, wait, lease)?.pop())
    }

    fn ack(&mut self, item: AckItem<'_>) -> Result<Vec<ItemStatus>, ClientError> {
        Client::ack(self, &[item])
    }

    fn fail(&mut self, item: FailItem<'_>) -> Result<Vec<ItemStatus>, ClientError> {
        Client::fail(self, &[item])
    }

    fn release(&mut self, item: ReleaseItem) -> Result<Vec<ItemStatus>, ClientError> {
        Client::release(self, &[item])
    }

    fn heartbeat(&mut self, leases: &[HeldLease]) -> Result<Vec<LeaseStatus>, ClientError> {
        Client::heartbeat(self, leases)
    }

    fn stopper(&self) -> Stopper {
        Client::stopper(self)
    }

    fn set_timeout(&mut self, timeout: Duration) {
        Client::set_timeout(self, timeout);
    }
}

/// Makes sources, one for each thread of a pool.
pub type MakeSource = Box<dyn Fn() -> Box<dyn JobSource> + Send + Sync>;

/// Sources of the master at `HOST:PORT`.
#[must_use]
pub fn remote(address: String, name: String, token: Vec<u8>) -> MakeSource {
    Box::new(move || Box::new(Client::new(TcpLink::new(&address, &name, &token))))
}

/// Sources of the master in this process.
#[must_use]
pub fn local(door: LocalDoor, name: String) -> MakeSource {
    Box::new(move || {
        let link = LocalLink { door: door.clone(), name: name.clone(), end: None, waiting: Vec::new() };
        Box::new(Client::new(link))
    })
}

/// A link within the process.
struct LocalLink {
    door: LocalDoor,
    name: String,
    end: Option<LocalEnd>,
    /// Frames that came together with the last one that was taken.
    waiting: Vec<u8>,
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the master in this process has stopped")
}

impl Link for LocalLink {
    fn open(&mut self, _deadline: Instant) -> Result<(), ClientError> {
        let end = self
            .door
            .open(&self.name)
            .map_err(|_| ClientError::Unreachable { address: "(this process)".to_owned(), source: gone() })?;
        self.end = Some(end);
        self.waiting.clear();
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.end.is_some()
    }

    fn close(&mut self) {
        self.end = None;
    }

    fn send(&mut self, frames: Vec<u8>, _deadline: Instant) -> io::Result<()> {
        let end = self.end.as_ref().ok_or_else(gone)?;
        end.send(frames).map_err(|_| gone())
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Frame> {
        if self.waiting.is_empty() {
            let end = self.end.as_ref().ok_or_else(gone)?;
            let wait = deadline.saturating_duration_since(Instant::now());
            self.waiting = end.receive(wait).map_err(|_| gone())?.ok_or(io::ErrorKind::TimedOut)?;
        }
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let length = self.waiting.first_chunk::<4>().copied().map(u32::from_le_bytes);
        let length = length.ok_or_else(|| invalid("a cut frame"))? as usize + FRAME_HEADER_BYTES;
        let rest = self.waiting.split_off(length.min(self.waiting.len()));
        let frame = std::mem::replace(&mut self.waiting, rest);
        let (header, body) = split_frame(&frame).map_err(|refusal| invalid(&refusal.text))?;
        Ok(Frame { header, body: body.to_owned() })
    }

    fn ender(&self) -> io::Result<Ender> {
        let end = self.end.as_ref().ok_or_else(gone)?;
        let stop = end.stopper();
        // Within the process the master always answers; ending the sending side is enough.
        Ok(Box::new(move |_: Shutdown| stop()))
    }
}
