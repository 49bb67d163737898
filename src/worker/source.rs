//! Where a worker gets its jobs: from a master over TCP, or from the master in the same process. Both speak the same
//! frames through the same client, and both go through the master's one door.

use std::io;
use std::net::Shutdown;
use std::time::Instant;

use crate::client::{Client, ClientError, Ender, Frame, Link, TcpLink};
use crate::limits::FRAME_HEADER_BYTES;
use crate::master::local::{LocalDoor, LocalEnd};
use crate::protocol::frame::split_frame;

/// Makes clients, one for each thread of a pool.
pub type MakeClient = Box<dyn Fn() -> Client + Send + Sync>;

/// Clients of the master at `HOST:PORT`.
pub fn remote(address: String, name: String, token: Vec<u8>) -> MakeClient {
    Box::new(move || Client::new(TcpLink::new(&address, &name, &token).saying_begun()))
}

/// Clients of the master in this process.
pub fn local(door: LocalDoor, name: String) -> MakeClient {
    Box::new(move || {
        let link = LocalLink { door: door.clone(), name: name.clone(), end: None, waiting: Vec::new() };
        Client::new(link)
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
        let stop = self.end.as_ref().ok_or_else(gone)?.stopper();
        // Within the process the master always answers; ending the sending side is enough.
        Ok(Box::new(move |_: Shutdown| stop()))
    }
}
