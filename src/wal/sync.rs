//! Making the log durable beside the loop. A request says what to sync, and which LSN is durable then. A helper
//! thread carries out one request at a time, and touches nothing else.
//!
//! The first sync that fails is the last: its outcome goes to the master, which stops.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use super::device::{LogDevice, SharedFile};
use crate::ids::Lsn;
use crate::planted::{Bug, is_planted};

#[derive(Debug)]
pub struct SyncRequest {
    pub(super) lsn: Lsn,
    pub(super) newest: Arc<dyn SharedFile>,
    /// Segments before it that no sync has covered.
    pub(super) full: Vec<Arc<dyn SharedFile>>,
    /// Set when a segment was made since the last sync.
    pub(super) names: Option<Arc<dyn LogDevice>>,
}

#[derive(Debug)]
pub struct SyncOutcome {
    /// Everything up to this is durable, if it worked.
    pub lsn: Lsn,
    pub result: io::Result<()>,
}

impl SyncRequest {
    pub fn run(self) -> SyncOutcome {
        let segments = self.full.iter().chain([&self.newest]).try_for_each(|segment| segment.sync());
        let result = segments.and_then(|()| {
            let names = self.names.filter(|_| !is_planted(Bug::NamesNotSynced));
            names.map_or(Ok(()), |device| device.sync_names())
        });
        SyncOutcome { lsn: self.lsn, result }
    }
}

#[derive(Debug)]
pub struct SyncThread {
    requests: Option<SyncSender<SyncRequest>>,
    outcomes: Receiver<SyncOutcome>,
    thread: Option<JoinHandle<()>>,
}

impl SyncThread {
    /// Starts the thread; it calls `wake` after each outcome.
    pub fn start(wake: impl Fn() + Send + 'static) -> io::Result<SyncThread> {
        // One sync is under way at a time, so channels of fixed room are enough, and nothing is allocated.
        let (requests, todo) = mpsc::sync_channel::<SyncRequest>(1);
        let (done, outcomes) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(String::from("falcon-sync")).spawn(move || {
            for request in todo {
                if done.send(request.run()).is_err() {
                    return;
                }
                wake();
            }
        })?;
        Ok(SyncThread { requests: Some(requests), outcomes, thread: Some(thread) })
    }

    pub fn submit(&self, request: SyncRequest) {
        let sent = self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok());
        assert!(sent, "the sync thread lives as long as this");
    }

    /// The outcome of the request, if it is there.
    pub fn outcome(&self) -> Option<SyncOutcome> {
        self.outcomes.try_recv().ok()
    }

    /// Waits for the outcome of the request that was handed over.
    pub fn wait(&self) -> io::Result<SyncOutcome> {
        self.outcomes.recv().map_err(|_| io::Error::other("the sync thread is gone"))
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
