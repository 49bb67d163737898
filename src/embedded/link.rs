//! The link of a client to the master in its own process.

use std::io;
use std::net::Shutdown;
use std::time::Instant;

use crate::client::{ClientError, Connector, Link, WorkerFacts};
use crate::master::local::{LocalDoor, LocalEnd};
use crate::protocol::{FrameBuffer, Hello};

/// Makes links to the master in this process, by a client of this name.
#[derive(Clone)]
pub struct Local {
    door: LocalDoor,
    name: String,
    says_begun: bool,
    leases_stay: bool,
}

impl Local {
    /// Links through this door.
    pub fn new(door: LocalDoor, name: &str) -> Local {
        Local { door, name: name.to_owned(), says_begun: false, leases_stay: false }
    }

    /// The same, and it is promised to the master to say by [`Client::say`](crate::client::Client::say) when a job is
    /// begun, as a pool does.
    #[must_use]
    pub fn saying_begun(self) -> Local {
        Local { says_begun: true, ..self }
    }

    /// The same, and its leases last as long as they were asked for, whatever becomes of its links.
    #[must_use]
    pub fn leaving_leases(self) -> Local {
        Local { leases_stay: true, ..self }
    }
}

impl Connector for Local {
    fn connect(&self, facts: &WorkerFacts, _deadline: Instant) -> Result<Box<dyn Link>, ClientError> {
        let unreachable = |_| ClientError::Unreachable { address: "(this process)".to_owned(), source: gone() };
        let (says_begun, leases_stay) = (self.says_begun.then_some(true), self.leases_stay.then_some(true));
        let hello = Hello { says_begun, leases_stay, ..facts.hello(&self.name, b"") };
        Ok(Box::new(LocalLink(self.door.open(&hello).map_err(unreachable)?)))
    }
}

struct LocalLink(LocalEnd);

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the master in this process has stopped")
}

impl Link for LocalLink {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map(|()| bytes.len()).map_err(|_| gone())
    }

    fn receive(&self, into: &mut FrameBuffer, deadline: Instant) -> io::Result<()> {
        let wait = deadline.saturating_duration_since(Instant::now());
        let frames = self.0.receive(wait).map_err(|_| gone())?.ok_or(io::ErrorKind::TimedOut)?;
        into.push(&frames);
        Ok(())
    }

    fn end(&self, _how: Shutdown) {
        // Within the process the master always answers; ending the sending side is enough.
        self.0.end_input();
    }
}
