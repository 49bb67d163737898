//! Signs of life: a link over which neither side says anything for long is taken for dead, by both.

use std::time::Duration;

use super::{Client, ClientError, frame_of, moment_after};
use crate::protocol::{Heartbeat, List, Request};

/// How often it is looked whether a link is open.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Client {
    /// Says over the open link that this client is there, if nothing was said for nearly a third of the time after
    /// which the master takes it for dead; and ends the link, with the calls that are open on it, if the master did not
    /// answer that for the rest of the time. Returns when to call it again. A client that waits for jobs needs a thread
    /// that does so: a proxy may keep a connection open to a host that is gone.
    ///
    /// Where no link is open none is needed, but for a client that is quiet: one is opened then, so that the master
    /// knows of it and can tell it to take jobs again. That is what may fail.
    pub fn keep_alive(&self) -> Result<Duration, ClientError> {
        let line = self.shared.locked();
        let quiet = line.quiet;
        let open = line.polling.clone().or_else(|| line.channel.clone());
        let stays = quiet && !line.stopped;
        drop(line);
        let channel = if stays { Some(self.open(moment_after(self.timeout))?) } else { open };
        let Some(channel) = channel else { return Ok(LOOK_EVERY) };
        let beat = Heartbeat { leases: List::default(), quiet: quiet.then_some(true) };
        let frame = frame_of(&Request::from(beat)).expect("an empty Heartbeat is within all bounds");
        Ok(channel.keep_alive(&frame, quiet))
    }
}
