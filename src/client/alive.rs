//! Signs of life: a link over which neither side says anything for long is taken for dead, by both.

use std::time::Duration;

use super::{Client, frame_of};
use crate::protocol::{Heartbeat, List, Request};

/// How often a link is looked at whose master did not say how long it may be silent.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Client {
    /// Says over the open link that this client is there, if nothing was said for a third of the time after which the
    /// master takes it for dead; and ends the link, with the calls that are open on it, if the master did not answer
    /// that for the rest of the time. Returns when to call it again. A client that waits for jobs needs a thread that
    /// does so: a proxy may keep a connection open to a host that is gone.
    pub fn keep_alive(&self) -> Duration {
        let line = self.shared.locked();
        let Some(channel) = line.polling.clone().or_else(|| line.channel.clone()) else { return LOOK_EVERY };
        drop(line);
        let Some(silence) = channel.silence() else { return LOOK_EVERY };
        let frame = frame_of(&Request::from(Heartbeat { leases: List::default() }));
        channel.keep_alive(&frame.expect("an empty Heartbeat is within all bounds"), silence);
        silence / 12
    }
}
