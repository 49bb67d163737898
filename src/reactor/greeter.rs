//! While the log is read, whoever connects is told how far that is, and to come back. In the first moments they are
//! left to wait: most logs are read sooner than anyone would come back.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::Listener;
use super::stream::Stream;
use crate::master::Progress;
use crate::protocol::{ErrorCode, Refusal, Reply};

/// How often it is looked whether the log has been read.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long those who connect are left to wait.
const PATIENCE: Duration = Duration::from_millis(250);

const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long a connection that was told is kept, so that its unread request does not turn the answer into a reset.
const LINGER: Duration = Duration::from_secs(1);

const LINGERING_MAX: usize = 256;

impl Listener {
    /// Answers connections with `Starting` while `is_reading`, and says how far `progress` is.
    pub fn greet_while(
        &mut self,
        progress: &Progress,
        is_reading: impl Fn() -> bool,
        say: impl Fn(&str),
    ) -> io::Result<()> {
        let mut poll = Poll::new()?;
        self.register(poll.registry(), Token(0))?;
        let mut events = Events::with_capacity(16);
        let mut lingering: VecDeque<(Instant, Stream)> = VecDeque::new();
        let begun_at = Instant::now();
        let mut tell_at = begun_at + TELL_EVERY;
        while is_reading() {
            match poll.poll(&mut events, Some(LOOK_EVERY)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => outcome?,
            }
            self.is_ready |= !events.is_empty();
            let now = Instant::now();
            if self.is_ready && now >= begun_at + PATIENCE {
                self.accept_some(|stream| lingering.push_back((now + LINGER, tell(stream, progress))));
            }
            while lingering.len() > LINGERING_MAX || lingering.front().is_some_and(|(until, _)| *until <= now) {
                lingering.pop_front();
            }
            if now >= tell_at {
                tell_at = now + TELL_EVERY;
                say(&how_far(progress));
            }
        }
        self.deregister(poll.registry())?;
        self.is_ready = true;
        Ok(())
    }
}

fn how_far(progress: &Progress) -> String {
    let (done, total) = progress.bytes();
    format!("{} % of {} MiB", progress.per_cent(), (total.max(done)) >> 20)
}

/// Tells a connection, as far as a fresh socket takes it, and closes our side of it.
fn tell(mut stream: Stream, progress: &Progress) -> Stream {
    let text = format!("the master is starting: {} of its log is read; try again soon", how_far(progress));
    let mut frame = Vec::new();
    Reply::Error(Refusal::new(ErrorCode::Starting, text)).encode(0, &mut frame);
    // One that is gone already need not be told.
    let _ = stream.write(&frame).and_then(|_| stream.shutdown(Shutdown::Write));
    let _ = stream.read(&mut [0; 4096]);
    stream
}
