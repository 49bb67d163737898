//! The way into the master from the same process: the frames of the protocol over channels instead of a socket.
//! Jobs that are taken this way go through the same door as all others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::codec::Field;
use crate::protocol::Hello;

/// What a local source tells the loop.
#[derive(Debug)]
pub struct LocalMessage {
    /// Which local source.
    pub source: u64,
    /// What it says.
    pub what: LocalEvent,
}

/// What a local source can say.
#[derive(Debug)]
pub enum LocalEvent {
    /// It is there.
    Open {
        /// What it says of itself: the body of a Hello.
        hello: Vec<u8>,
        /// Where replies go, each a whole frame or several.
        replies: Sender<Vec<u8>>,
    },
    Frames(Vec<u8>),
    /// It will send nothing more.
    EndOfInput,
    /// It is gone.
    Closed,
    /// The loop is to end, whoever is still there.
    Stop,
}

/// Where local sources are opened. May be cloned and sent to other threads.
#[derive(Clone)]
pub struct LocalDoor {
    // The order matters: the loop is woken after this way to it is gone, and sees so when it was the last.
    messages: Sender<LocalMessage>,
    count: Arc<AtomicU64>,
    wake: Wake,
}

/// Wakes the loop, also when it goes.
#[derive(Clone)]
struct Wake(Arc<dyn Fn() + Send + Sync>);

impl Drop for Wake {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// One local source: frames go in, frames come out.
pub struct LocalEnd {
    door: LocalDoor,
    source: u64,
    /// Of the thread that reads.
    replies: Mutex<Receiver<Vec<u8>>>,
}

/// The master is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterGone;

impl LocalDoor {
    /// A door, and where its messages come out: until the last copy of the door and the last source are gone. `wake` is
    /// called after each message, and after each of these has gone.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> (LocalDoor, Receiver<LocalMessage>) {
        let (messages, incoming) = mpsc::channel();
        let door = LocalDoor { messages, count: Arc::new(AtomicU64::new(0)), wake: Wake(Arc::new(wake)) };
        (door, incoming)
    }

    /// Opens a source that says this of itself; no token is asked of it.
    ///
    /// # Errors
    /// When the master is gone.
    pub fn open(&self, hello: &Hello<'_>) -> Result<LocalEnd, MasterGone> {
        let source = self.count.fetch_add(1, Ordering::Relaxed);
        let (sender, incoming) = mpsc::channel();
        let mut body = Vec::new();
        hello.write(&mut body);
        self.say(source, LocalEvent::Open { hello: body, replies: sender })?;
        Ok(LocalEnd { door: self.clone(), source, replies: Mutex::new(incoming) })
    }

    /// Ends the loop, if that only waits for its local sources to end.
    pub fn stop(&self) {
        // A master that is gone has nothing left to stop.
        let _ = self.say(self.count.fetch_add(1, Ordering::Relaxed), LocalEvent::Stop);
    }

    fn say(&self, source: u64, what: LocalEvent) -> Result<(), MasterGone> {
        self.messages.send(LocalMessage { source, what }).map_err(|_| MasterGone)?;
        (self.wake.0)();
        Ok(())
    }
}

impl LocalEnd {
    /// Sends frames.
    ///
    /// # Errors
    /// When the master is gone.
    pub fn send(&self, frames: Vec<u8>) -> Result<(), MasterGone> {
        self.door.say(self.source, LocalEvent::Frames(frames))
    }

    /// Waits for frames of the master; nothing if none came in time.
    ///
    /// # Errors
    /// When the master is gone or has closed this source.
    pub fn receive(&self, wait: Duration) -> Result<Option<Vec<u8>>, MasterGone> {
        match self.replies.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(wait) {
            Ok(frames) => Ok(Some(frames)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(MasterGone),
        }
    }

    /// Ends this source's sending side, from any thread: a poll that waits is answered.
    pub fn end_input(&self) {
        // A master that is gone has nothing left to stop.
        let _ = self.door.say(self.source, LocalEvent::EndOfInput);
    }
}

impl Drop for LocalEnd {
    fn drop(&mut self) {
        // A master that is gone needs no word of it.
        let _ = self.door.say(self.source, LocalEvent::Closed);
    }
}
