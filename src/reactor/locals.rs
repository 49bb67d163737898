//! Sources in the same process: their frames come by a channel, their replies leave by one.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use crate::codec::{Field, Reader};
use crate::ids::SessionId;
use crate::limits::FRAME_BODY_BYTES_MAX;
use crate::master::local::{LocalEvent, LocalMessage};
use crate::master::{Input, Intake, Master, WalError};
use crate::protocol::Hello;
use crate::protocol::frame::next_in;
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub struct Locals {
    sessions: HashMap<u64, SessionId>,
    replies: HashMap<SessionId, Sender<Vec<u8>>>,
    closed: bool,
}

impl Locals {
    /// Whether there are none, and will be none; or the loop is to end without waiting for them.
    pub fn are_closed(&self) -> bool {
        self.closed
    }

    /// Takes everything that local sources said; says whether there was anything.
    pub fn read(
        &mut self,
        messages: &Receiver<LocalMessage>,
        master: &mut Master,
        now: Timestamp,
    ) -> Result<bool, WalError> {
        let mut any = false;
        loop {
            let LocalMessage { source, what } = match messages.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.closed = true;
                    break;
                }
            };
            any = true;
            if let LocalEvent::Open { hello, replies } = what {
                self.open(source, &hello, replies, master);
                continue;
            }
            self.closed |= matches!(what, LocalEvent::Stop);
            let Some(id) = self.sessions.get(&source).copied() else { continue };
            match what {
                LocalEvent::Open { .. } | LocalEvent::Stop => {}
                LocalEvent::Frames(frames) => receive(master, id, &frames, now)?,
                LocalEvent::EndOfInput => master.take(id, Input::Ended, now)?,
                LocalEvent::Closed => {
                    self.sessions.remove(&source);
                    self.replies.remove(&id);
                    master.take(id, Input::Gone, now)?;
                }
            }
        }
        Ok(any)
    }

    /// Lets a source in. One whose Hello is none finds its replies at an end.
    fn open(&mut self, source: u64, hello: &[u8], replies: Sender<Vec<u8>>, master: &mut Master) {
        if let Ok(hello) = Hello::read(&mut Reader::new(hello), "Hello") {
            let id = master.connected_within(&hello);
            self.sessions.insert(source, id);
            self.replies.insert(id, replies);
        }
    }

    /// Sends what may leave to a local source; says whether the session is one.
    pub fn write(&mut self, id: SessionId, master: &mut Master) -> bool {
        let Some(replies) = self.replies.get(&id) else { return false };
        let Some(outbox) = master.outbox(id) else { return true };
        let mut frames = Vec::with_capacity(outbox.ready_bytes());
        while outbox.ready_bytes() > 0 {
            let mut pieces = [IoSlice::new(&[]); 16];
            let count = outbox.fill(&mut pieces);
            let before = frames.len();
            pieces[..count].iter().for_each(|piece| frames.extend_from_slice(piece));
            outbox.consume(frames.len() - before);
        }
        if !frames.is_empty() {
            // A source that is gone says so by its own message.
            let _ = replies.send(frames);
        }
        if master.is_done(id) {
            self.replies.remove(&id);
        }
        true
    }
}

fn receive(master: &mut Master, id: SessionId, mut frames: &[u8], now: Timestamp) -> Result<(), WalError> {
    // What a source within the process sends is taken also while replies to it pile up: it takes them soon.
    while !matches!(master.intake(id), Intake::Closed) {
        match next_in(frames, FRAME_BODY_BYTES_MAX) {
            Ok(Some((header, frame_bytes))) => {
                let body = &frames[frame_bytes - header.body_bytes..frame_bytes];
                master.take(id, Input::Frame(&header, body), now)?;
                frames = &frames[frame_bytes..];
            }
            Ok(None) => break,
            Err(bad) => {
                master.take(id, Input::BadHeader(&bad), now)?;
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::JobId;
    use crate::master::local::LocalDoor;
    use crate::master::{Config, Progress};
    use crate::protocol::{List, Poll, Request, Submit, SubmitJob};
    use crate::wal::MemoryDevice;

    /// A job of a standalone master's worker is only held until that says that it is begun.
    #[test]
    fn a_local_source_says_when_it_begins_a_job() {
        let config = Config { beside: false, ..Config::default() };
        let opened = Master::open(config, Arc::new(MemoryDevice::default()), &Progress::default()).unwrap();
        let (mut master, now) = (opened.master, Timestamp(1));
        master.start(now);
        let (door, messages) = LocalDoor::new(|| {});
        let hello = Hello { says_begun: Some(true), ..Hello::new("standalone", b"") };
        let source = door.open(&hello).unwrap();
        let jobs = [SubmitJob { queue: "q", ..SubmitJob::default() }];
        let poll = Poll { queues: List::lent(&["q"]), free: 1, lease_ms: 10_000, ..Poll::default() };
        let mut frames = Vec::new();
        Request::from(Submit::of(&jobs)).encode(1, &mut frames);
        Request::from(poll).encode(2, &mut frames);
        source.send(frames).unwrap();
        assert!(Locals::default().read(&messages, &mut master, now).unwrap());
        master.finish_turn(now).unwrap();
        let lease = master.queues().live_lease(JobId(1)).expect("it was handed out");
        assert_eq!(lease.begun_at, None);
    }
}
