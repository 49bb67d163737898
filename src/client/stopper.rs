//! Stopping a client from another thread.

use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ClientError, Ender};

/// Makes a client take no more jobs, from any thread: a poll that waits is answered at once, without losing a job
/// that was handed out at that moment. Reports of jobs that are held still go through.
#[derive(Clone, Default)]
pub struct Stopper {
    state: Arc<Mutex<StopState>>,
}

#[derive(Default)]
struct StopState {
    stopped: bool,
    /// Ends the link's sending side, while a poll waits.
    polling: Option<Ender>,
}

impl Stopper {
    /// Stops the client.
    pub fn stop(&self) {
        let mut state = self.locked();
        state.stopped = true;
        if let Some(end) = &state.polling {
            end(Shutdown::Write);
        }
    }

    /// Ends a poll that waits although the client was stopped: the master does not answer.
    pub fn abort(&self) {
        if let Some(end) = &self.locked().polling {
            end(Shutdown::Both);
        }
    }

    pub(super) fn check(&self) -> Result<(), ClientError> {
        if self.locked().stopped { Err(ClientError::Stopped) } else { Ok(()) }
    }

    /// A poll begins, which `end` ends.
    pub(super) fn begin_poll(&self, end: Ender) -> Result<(), ClientError> {
        let mut state = self.locked();
        if state.stopped {
            return Err(ClientError::Stopped);
        }
        state.polling = Some(end);
        Ok(())
    }

    /// The poll has ended. Says whether the client was stopped meanwhile, and its link with it.
    pub(super) fn end_poll(&self) -> bool {
        let mut state = self.locked();
        state.polling = None;
        state.stopped
    }

    fn locked(&self) -> MutexGuard<'_, StopState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
