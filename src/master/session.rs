//! Sessions: what the master knows of each connection or local source.

use slab::Slab;

use super::outbox::Outbox;
use crate::ids::{JobId, LeaseId, SessionId};
use crate::limits::{FRAME_BODY_BYTES_MAX, HELLO_BODY_BYTES_MAX, REPLY_BYTES_WAITING_MAX, WAITING_POLLS_MAX};
use crate::queue::Queues;
use crate::time::Timestamp;
use crate::wal::Backup;

/// One connection or local source.
#[derive(Debug)]
pub struct Session {
    /// Its id; also tells which place it has.
    pub id: SessionId,
    /// What it called itself in Hello.
    pub name: Box<str>,
    /// Whether Hello was answered with `HelloOk`.
    pub greeted: bool,
    /// Whether it is to be closed when everything was sent.
    pub closing: bool,
    /// What waits to be sent.
    pub outbox: Outbox,
    /// Its polls that wait, by their number among all waiting polls.
    pub polls: Vec<u32>,
    /// Leases that were handed to it or that it named; some may have ended or moved to another session.
    leases: Vec<(JobId, LeaseId)>,
    leases_swept_at: usize,
    /// Whether it is on the list of sessions with something to send.
    pub listed: bool,
    /// The backup that it reads, and when it last did.
    pub backup: Option<(Backup, Timestamp)>,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: Slab<Session>,
    count: u64,
}

impl Session {
    /// The longest body that it may send now.
    pub fn body_bytes_max(&self) -> usize {
        if self.greeted { FRAME_BODY_BYTES_MAX } else { HELLO_BODY_BYTES_MAX }
    }

    /// Whether it has to be sent something before more is read from it.
    pub fn is_stalled(&self) -> bool {
        self.polls.len() >= WAITING_POLLS_MAX || self.outbox.waiting_bytes() >= REPLY_BYTES_WAITING_MAX
    }

    /// Whether everything is done and it may be closed.
    pub fn is_done(&self) -> bool {
        self.closing && self.polls.is_empty() && self.outbox.waiting_bytes() == 0
    }

    /// Notes a lease that it holds. The list is swept when it has doubled, so this costs O(1) on average.
    pub fn holds(&mut self, job: JobId, lease: LeaseId, queues: &Queues) {
        if self.leases.len() >= self.leases_swept_at {
            let id = self.id;
            self.leases.retain(|(job, lease)| {
                queues.live_lease(*job).is_some_and(|live| live.id == *lease && live.holder == id)
            });
            self.leases_swept_at = (2 * self.leases.len()).max(16);
        }
        self.leases.push((job, lease));
    }

    /// The leases that it may hold.
    pub fn take_leases(&mut self) -> Vec<(JobId, LeaseId)> {
        std::mem::take(&mut self.leases)
    }
}

impl Sessions {
    /// Adds a session.
    pub fn open(&mut self) -> SessionId {
        let place = self.sessions.vacant_entry();
        self.count += 1;
        let id = SessionId::new(self.count, place.key());
        place.insert(Session {
            id,
            name: "".into(),
            greeted: false,
            closing: false,
            outbox: Outbox::default(),
            polls: Vec::new(),
            leases: Vec::new(),
            leases_swept_at: 16,
            listed: false,
            backup: None,
        });
        id
    }

    /// Removes a session.
    pub fn close(&mut self, id: SessionId) -> Option<Session> {
        self.session(id)?;
        Some(self.sessions.remove(id.place()))
    }

    /// The session of this id, if it is still there.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.place()).filter(|session| session.id == id)
    }

    /// The session of this id, if it is still there.
    pub fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.place()).filter(|session| session.id == id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Their ids.
    pub fn ids(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|(_, session)| session.id).collect()
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
            session.holds(JobId(number), LeaseId(number), &Queues::default());
        }
        assert!(session.leases.len() <= 16);
    }
}
