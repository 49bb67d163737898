//! The thread that reads from the log beside the loop. It is started when there is something to read for the first
//! time, and carries out one request at a time. Nobody waits for its end: it may hang on a failing disk.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};

use super::{ReadOutcome, ReadRequest};
use crate::wal::{WalError, spawn_beside};

pub struct ReadThread {
    wake: Arc<dyn Fn() + Send + Sync>,
    started: Option<Started>,
}

struct Started {
    requests: SyncSender<ReadRequest>,
    outcomes: Receiver<ReadOutcome>,
}

impl fmt::Debug for ReadThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThread").field("is_started", &self.started.is_some()).finish_non_exhaustive()
    }
}

impl ReadThread {
    /// A thread to be; it calls `wake` after each outcome.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> ReadThread {
        ReadThread { wake: Arc::new(wake), started: None }
    }

    /// Hands a request over. Where no thread can be started that is its outcome, at once.
    pub fn submit(&mut self, request: ReadRequest) -> Result<(), ReadOutcome> {
        let started = match self.started.take() {
            Some(started) => Ok(started),
            None => self.start(),
        };
        let started = started.map_err(|error| failed("starting the thread that reads the log", error))?;
        started.requests.send(request).map_err(|_| gone())?;
        self.started = Some(started);
        Ok(())
    }

    /// The outcome of the request, if it is there.
    pub fn outcome(&mut self) -> Option<ReadOutcome> {
        match self.started.as_ref()?.outcomes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.started = None;
                Some(gone())
            }
        }
    }

    fn start(&self) -> io::Result<Started> {
        let (requests, todo) = mpsc::sync_channel::<ReadRequest>(1);
        let (done, outcomes) = mpsc::sync_channel(1);
        let wake = Arc::clone(&self.wake);
        spawn_beside("falcon-read", move || {
            for request in todo {
                if done.send(request.run()).is_err() {
                    return;
                }
                wake();
            }
        })?;
        Ok(Started { requests, outcomes })
    }
}

fn failed(doing: &str, error: io::Error) -> ReadOutcome {
    ReadOutcome::failed(WalError::io(doing)(error))
}

fn gone() -> ReadOutcome {
    failed("reading the log", io::Error::other("the thread that reads it is gone"))
}
