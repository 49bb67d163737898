//! What the loop asks about its connections, and takes from them.

use super::outbox::Outbox;
use super::sessions::{Intake, Session};
use super::{Config, Master};
use crate::ids::SessionId;
use crate::time::Millis;

impl Master {
    /// What may be taken from this session now.
    pub fn intake(&self, id: SessionId) -> Intake {
        self.sessions.session(id).map_or(Intake::Closed, Session::intake)
    }

    /// Whether the session is over: it is closing, and all was sent to it.
    pub fn is_done(&self, id: SessionId) -> bool {
        self.sessions.is_done(id)
    }

    /// Whether this session has said a valid Hello.
    pub fn is_greeted(&self, id: SessionId) -> bool {
        self.sessions.session(id).is_some_and(|session| session.greeted)
    }

    /// Whether this session may hold a lease.
    pub fn may_hold_leases(&self, id: SessionId) -> bool {
        self.sessions.session(id).is_some_and(Session::may_hold_leases)
    }

    /// Whether this session is taken for dead if it is silent for [`silence`](Self::silence): a job would be handed to
    /// it, or it has promised to send signs of life.
    pub fn may_not_be_silent(&self, id: SessionId) -> bool {
        let polls = |session: &Session| session.parked.iter().any(|number| self.parked.ends_with_input(*number));
        self.sessions.session(id).is_some_and(|session| session.beats || polls(session))
    }

    /// From now on these settings hold, but for what the log was opened with.
    pub fn reconfigure(&mut self, config: Config) {
        let Config { sync, segment_bytes, seed, beside, .. } = self.config;
        self.config = Config { sync, segment_bytes, seed, beside, ..config };
    }

    /// How long such a session may be silent.
    pub fn silence(&self) -> Millis {
        self.config.silence
    }

    /// What waits to be sent to this session.
    pub fn outbox(&mut self, id: SessionId) -> Option<&mut Outbox> {
        self.sessions.outbox(id)
    }

    /// Takes the next session that may have something to send or is done.
    pub fn next_ready(&mut self) -> Option<SessionId> {
        self.sessions.next_ready()
    }
}
