//! The end of the loop. For a moment whoever sends is still answered, by `ShuttingDown` where it asks for work; then
//! everyone is told goodbye, behind all replies, and has a while to close; the log gets its last sync.

use mio::Events;

use super::{Conn, Host, Reactor, ReactorError, system};
use crate::ids::SessionId;
use crate::limits::{LAST_ANSWERS_MS, LAST_CLOSE_MS};
use crate::master::LastSync;
use crate::time::Millis;

/// Slices of waiting connections that are taken before nobody listens any more.
const LAST_SLICES: usize = 64;

impl Reactor {
    pub(super) fn finish(&mut self, events: &mut Events, host: &mut impl Host) -> Result<(), ReactorError> {
        self.master.begin_stop();
        self.turns_for(Millis(LAST_ANSWERS_MS), events, host)?;
        // Those who still wait to be taken are told, too.
        for _ in 0..LAST_SLICES {
            self.accept(self.turn_at)?;
        }
        self.listener = None;
        let ids: Vec<SessionId> = self.conns.iter().flatten().map(Conn::session).collect();
        for id in ids {
            self.master.say_goodbye(id);
        }
        self.turns_for(Millis(LAST_CLOSE_MS), events, host)?;
        loop {
            match self.master.last_sync(self.clock.now())? {
                LastSync::Wanted(request) => self.sync.submit(request),
                LastSync::UnderWay => {}
                LastSync::Done => {
                    self.clock.save(true);
                    return Ok(());
                }
            }
            let outcome = self.sync.wait().map_err(system("waiting for the last sync"))?;
            self.master.synced(&outcome)?;
        }
    }

    /// Goes on for so long, or until nobody is connected.
    fn turns_for(&mut self, span: Millis, events: &mut Events, host: &mut impl Host) -> Result<(), ReactorError> {
        self.turn_at = self.clock.now();
        let until = self.turn_at.plus(span);
        while self.conns_open > 0 && self.turn_at < until && !self.stopping.is_now() {
            self.turn(events, Some(until), host)?;
        }
        Ok(())
    }
}
