//! The end of the loop: the log is made durable, and what that releases is sent.

use std::time::{Duration, Instant};

use mio::Events;

use super::{Conn, Reactor, ReactorError, conn_of, system};
use crate::ids::SessionId;
use crate::master::LastSync;

/// How long replies may take to leave.
const LAST_WRITES: Duration = Duration::from_secs(1);

impl Reactor {
    pub(super) fn finish(&mut self) -> Result<(), ReactorError> {
        self.master.begin_stop();
        loop {
            match self.master.last_sync(self.clock.now())? {
                LastSync::Wanted(request) => self.sync.submit(request),
                LastSync::UnderWay => {}
                LastSync::Done => break,
            }
            let outcome = self.sync.wait().map_err(system("waiting for the last sync"))?;
            self.master.synced(&outcome)?;
        }
        let until = Instant::now() + LAST_WRITES;
        let mut events = Events::with_capacity(1024);
        self.write_ready(self.clock.now())?;
        while self.has_unsent() && Instant::now() < until {
            self.wait(&mut events, Some(until.saturating_duration_since(Instant::now())))?;
            for event in &events {
                let id = SessionId(event.token().0 as u64);
                let Some(conn) = conn_of(&mut self.conns, id) else { continue };
                let now = self.clock.now();
                if conn.note(event, &mut self.master, now)? {
                    self.drop_connection(id, now)?;
                } else {
                    self.write_one(id, now)?;
                }
            }
        }
        Ok(())
    }

    fn has_unsent(&mut self) -> bool {
        let ids: Vec<SessionId> = self.conns.iter().flatten().map(Conn::session).collect();
        ids.into_iter().any(|id| self.master.outbox(id).is_some_and(|outbox| outbox.ready_bytes() > 0))
    }
}
