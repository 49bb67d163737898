//! Signs of life over the links of a pool, from a thread for each: none of them waits for another. What the master
//! tells the pool to do comes with their answers, and is done by these threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client::{Client, ClientError, Demand};

/// How long opening a link may take: a pool that leaves waits for it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause after a link could not be opened.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Pulse {
    state: Mutex<PulseState>,
    changed: Condvar,
}

#[derive(Default)]
struct PulseState {
    /// The pool is over.
    over: bool,
    /// What the master told the pool to do.
    orders: VecDeque<Demand>,
    /// How often there was something that the master is to know at once.
    news: u64,
}

impl Pulse {
    /// Keeps a client's link alive until the pool is over, and has done what the master says. `failed` is told why a
    /// link could not be opened.
    pub fn beat(&self, client: &Client, obey: impl Fn(Demand), failed: impl Fn(ClientError)) {
        let mut client = client.clone();
        client.set_timeout(OPEN_TIMEOUT);
        let mut was_open = true;
        loop {
            let news = self.locked().news;
            let kept = client.keep_alive();
            let is_open = kept.is_ok();
            let wait = kept.unwrap_or_else(|error| {
                if was_open || error.is_for_good() {
                    failed(error);
                }
                RETRY
            });
            was_open = is_open;
            let state = self.locked();
            let rests = |state: &mut PulseState| !state.over && state.orders.is_empty() && state.news == news;
            let waited = self.changed.wait_timeout_while(state, wait, rests);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.over {
                return;
            }
            let order = state.orders.pop_front();
            drop(state);
            order.into_iter().for_each(&obey);
        }
    }

    /// The master tells the pool to do this.
    pub fn take(&self, order: Demand) {
        self.locked().orders.push_back(order);
        self.changed.notify_all();
    }

    /// The master is to hear of the pool at once.
    pub fn hasten(&self) {
        self.locked().news += 1;
        self.changed.notify_all();
    }

    pub fn end(&self) {
        self.locked().over = true;
        self.changed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, PulseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
