//! Sessions: who is connected, and what waits to be sent to whom.
//!
//! Promise: a reply that was written with a gate leaves when its LSN was reached, and not before.
//! It does not: know jobs; that a session has leases is a list of numbers here.

use std::collections::VecDeque;

use bytes::BufMut;
use slab::Slab;

use super::outbox::{Outbox, Stream};
use super::workers::WorkerId;
use crate::ids::{JobId, LeaseId, Lsn, SessionId};
use crate::limits::{FRAME_BODY_BYTES_MAX, HELLO_BODY_BYTES_MAX, REPLY_BYTES_WAITING_MAX, WAITING_POLLS_MAX};
use crate::protocol::{Reply, frame};
use crate::roles::Role;
use crate::wal::Payload;

/// One connection or local source.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    /// What it called itself in Hello.
    pub name: Box<str>,
    /// Who has the token that it said, if that has a name.
    pub holder: Option<Box<str>>,
    /// What it may do, by the token that it said.
    pub role: Role,
    /// Whether Hello was answered with `HelloOk`.
    pub greeted: bool,
    /// Whether it says when it begins a job. Of others each delivery counts as an attempt.
    pub says_begun: bool,
    /// Whether its leases are not cut when it ends.
    pub leases_stay: bool,
    /// Whether it sends signs of life. One that does is taken for dead when it is silent.
    pub beats: bool,
    /// Whether it is to be closed when everything was sent.
    pub closing: bool,
    /// The worker that it is a connection of.
    pub worker: Option<WorkerId>,
    outbox: Outbox,
    /// Its requests that wait, by their number among all that are parked.
    pub parked: Vec<u32>,
    /// Leases that were handed to it or that it named; some may have ended or moved to another session.
    leases: Vec<(JobId, LeaseId)>,
    leases_swept_at: usize,
    /// Whether it is on the list of sessions with something to send.
    listed: bool,
}

/// What may be taken from a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    Open {
        body_bytes_max: usize,
    },
    /// Nothing before it was sent something.
    Stalled,
    /// Nothing that it sends counts any more.
    Closed,
}

#[derive(Debug, Default)]
pub struct Sessions {
    sessions: Slab<Session>,
    count: u64,
    /// Which sessions have replies that wait for which LSN, in the order of LSNs.
    gates: VecDeque<(Lsn, SessionId)>,
    /// Sessions with something to send or to be closed.
    ready: Vec<SessionId>,
}

impl Session {
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Who it is, for log lines: what it called itself, and whose token it has.
    pub fn whom(&self) -> String {
        match &self.holder {
            Some(holder) => format!("{} (token {holder:?})", self.name),
            None => self.name.to_string(),
        }
    }

    /// What may be taken from it now.
    pub fn intake(&self) -> Intake {
        let is_stalled = self.parked.len() >= WAITING_POLLS_MAX || self.is_full();
        match (self.closing, is_stalled, self.greeted) {
            (true, _, _) => Intake::Closed,
            (_, true, _) => Intake::Stalled,
            (_, _, true) => Intake::Open { body_bytes_max: FRAME_BODY_BYTES_MAX },
            (_, _, false) => Intake::Open { body_bytes_max: HELLO_BODY_BYTES_MAX },
        }
    }

    /// Notes a lease that it holds. The list is swept when it has doubled, so this costs O(1) on average.
    pub fn holds(&mut self, job: JobId, lease: LeaseId, is_held: impl Fn(JobId, LeaseId) -> bool) {
        if self.leases.len() >= self.leases_swept_at {
            self.leases.retain(|(job, lease)| is_held(*job, *lease));
            self.leases_swept_at = (2 * self.leases.len()).max(16);
        }
        self.leases.push((job, lease));
    }

    /// Whether it may hold a lease.
    pub fn may_hold_leases(&self) -> bool {
        !self.leases.is_empty()
    }

    /// Whether what tells it of this lease still waits to be sent.
    pub fn has_untold(&self, lease: LeaseId) -> bool {
        self.outbox.holds(lease)
    }

    /// Whether it leaves so much unread that it is handed nothing more.
    pub fn is_full(&self) -> bool {
        self.outbox.waiting_bytes() >= REPLY_BYTES_WAITING_MAX
    }

    /// The leases that it may hold.
    pub fn leases(&self) -> impl Iterator<Item = (JobId, LeaseId)> {
        self.leases.iter().copied()
    }

    /// The same, the newest first.
    pub fn newest_leases(&self) -> impl Iterator<Item = (JobId, LeaseId)> {
        self.leases.iter().rev().copied()
    }

    /// The same, which are off its list from now on.
    pub fn take_leases(&mut self) -> Vec<(JobId, LeaseId)> {
        std::mem::take(&mut self.leases)
    }
}

impl Sessions {
    /// Adds a session that has not said Hello.
    pub fn open(&mut self) -> SessionId {
        let place = self.sessions.vacant_entry();
        self.count += 1;
        let id = SessionId::new(self.count, place.key());
        place.insert(Session {
            id,
            name: Box::default(),
            holder: None,
            role: Role::Read,
            greeted: false,
            says_begun: false,
            leases_stay: false,
            beats: false,
            closing: false,
            worker: None,
            outbox: Outbox::default(),
            parked: Vec::new(),
            leases: Vec::new(),
            leases_swept_at: 16,
            listed: false,
        });
        id
    }

    /// Takes the leases that have ended off lists of more than so many, and gives their memory back.
    pub fn sweep(&mut self, leases_max: usize, is_live: impl Fn(JobId, LeaseId) -> bool) {
        for (_, session) in &mut self.sessions {
            if session.leases.len() > leases_max {
                session.leases.retain(|(job, lease)| is_live(*job, *lease));
                session.leases.shrink_to_fit();
                session.leases_swept_at = (2 * session.leases.len()).max(16);
            }
        }
    }

    pub fn close(&mut self, id: SessionId) -> Option<Session> {
        self.session(id)?;
        Some(self.sessions.remove(id.place()))
    }

    /// The session of this id, if it is still there.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.place()).filter(|session| session.id == id)
    }

    pub fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.place()).filter(|session| session.id == id)
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether everything is done and it may be closed.
    pub fn is_done(&self, id: SessionId) -> bool {
        self.session(id)
            .is_none_or(|session| session.closing && session.parked.is_empty() && session.outbox.waiting_bytes() == 0)
    }

    pub fn outbox(&mut self, id: SessionId) -> Option<&mut Outbox> {
        self.session_mut(id).map(|session| &mut session.outbox)
    }

    pub fn next_ready(&mut self) -> Option<SessionId> {
        let id = self.ready.pop()?;
        if let Some(session) = self.session_mut(id) {
            session.listed = false;
        }
        Some(id)
    }

    /// Writes a reply that leaves when `gate` was reached, or at once.
    pub fn write(&mut self, id: SessionId, correlation: u64, gate: Option<Lsn>, reply: &Reply<'_>) {
        let Some(stream) = self.stream(id, gate.is_some()) else { return };
        reply.encode(correlation, &mut stream.bytes);
        self.close_gate(gate, id);
    }

    /// Writes a reply whose body is there already.
    pub fn write_body(&mut self, id: SessionId, correlation: u64, gate: Option<Lsn>, kind: u16, body: &[u8]) {
        let Some(stream) = self.stream(id, gate.is_some()) else { return };
        let start = frame::begin_frame(&mut stream.bytes, kind, correlation);
        stream.bytes.extend_from_slice(body);
        frame::finish_frame(&mut stream.bytes, start, 0);
        self.close_gate(gate, id);
    }

    /// Writes a reply of this kind whose only field is bytes of a file.
    pub fn write_piece(
        &mut self,
        id: SessionId,
        correlation: u64,
        gate: Option<Lsn>,
        kind: u16,
        piece: Option<Payload>,
    ) {
        let Some(stream) = self.stream(id, gate.is_some()) else { return };
        let length = piece.as_ref().map_or(0, |piece| piece.as_slice().len());
        let start = frame::begin_frame(&mut stream.bytes, kind, correlation);
        // No extras, then the length.
        stream.bytes.put_u8(0);
        stream.bytes.put_u32_le(u32::try_from(length).expect("a piece is within its limit"));
        frame::finish_frame(&mut stream.bytes, start, length);
        if let Some(piece) = piece {
            stream.splice(piece);
        }
        self.close_gate(gate, id);
    }

    /// Where a reply is written that may leave at once, or that is held; [`Sessions::close_gate`] completes it.
    pub fn stream(&mut self, id: SessionId, held: bool) -> Option<&mut Stream> {
        self.session_mut(id).map(|session| session.outbox.stream(held))
    }

    /// Completes what was written to a session's stream: it leaves when `gate` was reached, or at once.
    pub fn close_gate(&mut self, gate: Option<Lsn>, id: SessionId) {
        let Some(session) = self.session_mut(id) else { return };
        let Some(lsn) = gate else { return self.list_ready(id) };
        session.outbox.close_gate(lsn);
        if self.gates.back() != Some(&(lsn, id)) {
            self.gates.push_back((lsn, id));
        }
    }

    /// Lets everything go that waits for an LSN up to this one.
    pub fn release(&mut self, reached: Lsn) {
        while let Some((lsn, id)) = self.gates.front().copied()
            && lsn <= reached
        {
            self.gates.pop_front();
            if let Some(session) = self.session_mut(id) {
                session.outbox.release(reached);
                self.list_ready(id);
            }
        }
    }

    /// Notes that a session may have something to send, or is done.
    pub fn list_ready(&mut self, id: SessionId) {
        if let Some(session) = self.session_mut(id)
            && !session.listed
        {
            session.listed = true;
            self.ready.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_meets_the_session_that_has_its_place_now() {
        let mut sessions = Sessions::default();
        let first = sessions.open();
        assert!(sessions.close(first).is_some());
        let second = sessions.open();
        assert_eq!(first.place(), second.place());
        assert!(sessions.session(first).is_none() && sessions.close(first).is_none());
        assert!(sessions.session(second).is_some());
    }

    #[test]
    fn ended_leases_do_not_pile_up() {
        let mut sessions = Sessions::default();
        let id = sessions.open();
        let session = sessions.session_mut(id).unwrap();
        for number in 0..100_000 {
            session.holds(JobId(number), LeaseId(number), |_, _| false);
        }
        assert!(session.leases.len() <= 16);
    }
}
