//! Connections that take too long or hold too much: they are looked at four times a second.
//!
//! | what | how long | then |
//! | --- | --- | --- |
//! | no valid Hello | 5 s | `HelloNeeded` |
//! | a frame that was begun stands still | 10 s | `TooSlow` |
//! | a worker says nothing | `--silence` | closed: nobody is there to be told |
//! | the last words are not read, or the other side does not close | 1 s | closed |
//!
//! What unfinished frames hold, of all connections together, has a bound too. Past it the one that has been unfinished
//! for longest goes, of those that hold no lease while there are any.

use super::{Conn, Reactor};
use crate::ids::SessionId;
use crate::limits::{FRAME_PAUSE_MS_MAX, HELLO_MS_MAX, UNFINISHED_BYTES_MAX};
use crate::master::{Input, Intake, Master, WalError};
use crate::time::{Millis, Timestamp};

/// How often connections are looked at.
const LOOK_EVERY: Millis = Millis(250);

/// What is wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    NoHello,
    FrameStands,
    Silent,
    /// It was told all, and its time to close is over.
    Lingers,
}

impl Reactor {
    /// When connections are to be looked at next.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        (self.conns_open > 0).then_some(self.look_at)
    }

    /// Ends connections that take too long.
    pub(super) fn drop_late(&mut self, now: Timestamp) -> Result<(), WalError> {
        if self.next_look().is_none_or(|at| at > now) {
            return Ok(());
        }
        self.look_at = now.plus(LOOK_EVERY);
        for place in 0..self.conns.len() {
            let Some(conn) = &self.conns[place] else { continue };
            let id = conn.session();
            match fault(conn, &self.master, now) {
                None => {}
                Some(Fault::NoHello) => self.master.take(id, Input::NoHello, now)?,
                Some(Fault::FrameStands) => {
                    self.master.take(id, Input::TooSlow("a frame was begun and did not go on for 10 s"), now)?;
                }
                Some(Fault::Silent) => {
                    log::info!("session {id} was silent for {}; it is taken for dead", self.master.silence());
                    self.drop_connection(id, now)?;
                }
                Some(Fault::Lingers) => self.drop_connection(id, now)?,
            }
        }
        Ok(())
    }

    /// Nobody is to blame for a time in which the loop itself stood still.
    pub(super) fn forgive(&mut self, gap: Millis) {
        for conn in self.conns.iter_mut().flatten() {
            conn.heard_at = conn.heard_at.plus(gap);
            conn.since = conn.since.plus(gap);
        }
    }

    /// Ends connections until what unfinished frames hold is within its bound again.
    pub(super) fn bound_unfinished(&mut self, now: Timestamp) -> Result<(), WalError> {
        while self.unfinished_bytes > UNFINISHED_BYTES_MAX {
            let Some(id) = self.longest_unfinished() else { return Ok(()) };
            log::debug!("session {id} is cut off: unfinished frames hold {} bytes", self.unfinished_bytes);
            self.drop_connection(id, now)?;
        }
        Ok(())
    }

    fn longest_unfinished(&self) -> Option<SessionId> {
        let halves = self.conns.iter().flatten().filter(|conn| conn.held_bytes() > 0);
        let rank = |conn: &&Conn| (self.master.may_hold_leases(conn.session()), conn.half_since, conn.session());
        halves.min_by_key(rank).map(Conn::session)
    }
}

fn fault(conn: &Conn, master: &Master, now: Timestamp) -> Option<Fault> {
    if let Some(until) = conn.linger_until() {
        return (until <= now).then_some(Fault::Lingers);
    }
    let id = conn.session();
    // What would be over before the next look is over now: nothing takes longer than it may.
    let is_over = |since: Timestamp, limit: Millis| since.plus(limit) < now.plus(LOOK_EVERY);
    if master.intake(id) == Intake::Closed {
        return is_over(conn.heard_at, master.silence()).then_some(Fault::Lingers);
    }
    if !master.is_greeted(id) {
        return is_over(conn.since, Millis(HELLO_MS_MAX)).then_some(Fault::NoHello);
    }
    if conn.half_since.is_some() && is_over(conn.heard_at, Millis(FRAME_PAUSE_MS_MAX)) && conn.waits_for_rest(master) {
        return Some(Fault::FrameStands);
    }
    (is_over(conn.heard_at, master.silence()) && !conn.has_unread() && master.may_not_be_silent(id))
        .then_some(Fault::Silent)
}
