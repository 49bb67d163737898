//! The program around the loop: what it is told, and asked.

use std::time::Duration;

use crate::master::Config;

/// All of it is called between turns, by the loop's own thread.
pub trait Host {
    /// A signal says stop, each time more urgently: local sources are to end.
    fn stop(&mut self);

    /// The settings are to be read again (SIGHUP): gives those that hold from now on, if they can be used.
    fn reload(&mut self) -> Option<Config> {
        None
    }

    /// The loop turns.
    fn beat(&mut self) {}

    /// How often it has to be seen to turn at least.
    fn beat_every(&self) -> Option<Duration> {
        None
    }
}

/// One that wants nothing but to be told to stop.
impl<F: FnMut()> Host for F {
    fn stop(&mut self) {
        self();
    }
}
