//! Signs of life over the links of a pool, from a thread for each: none of them waits for another.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::client::Client;

/// Whether the pool is over.
#[derive(Default)]
pub struct Pulse {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Pulse {
    /// Keeps a client's link alive until the pool is over.
    pub fn beat(&self, client: &Client) {
        loop {
            let wait = client.keep_alive();
            let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.changed.wait_timeout_while(over, wait, |over| !*over);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
    }

    pub fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}
