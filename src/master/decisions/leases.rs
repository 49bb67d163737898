//! Heartbeat: leases are extended, and belong to the session that named them last.

use super::super::answers::Answer;
use super::super::journal::Journal;
use super::super::sessions::Sessions;
use super::Scratch;
use crate::ids::{JobId, LeaseId, SessionId};
use crate::protocol::{Heartbeat, HeartbeatOk, HeldLease, LeaseStatus, List, Stage};
use crate::time::Timestamp;

/// Extends leases; one that names none is a sign of life.
pub(super) fn heartbeat<'s>(
    journal: &mut Journal,
    sessions: &mut Sessions,
    id: SessionId,
    heartbeat: &Heartbeat<'_>,
    now: Timestamp,
    scratch: &'s mut Scratch,
) -> Answer<'s> {
    if let Some(session) = sessions.session_mut(id) {
        session.beats = true;
    }
    let Scratch { leases: statuses, written, .. } = scratch;
    statuses.clear();
    let mut lost = false;
    for HeldLease { job, lease, stage } in heartbeat.leases.iter() {
        let held_before = journal.queues.live_lease(job).is_some_and(|live| live.holder == id);
        if stage == Stage::Begun {
            journal.queues.begin(job, lease, now);
        }
        let remaining = journal.queues.extend(job, lease, id, now);
        if remaining.is_some() && !held_before {
            hold(journal, sessions, id, job, lease);
        }
        let is_cancelled = journal.queues.is_cancelled(job);
        let want = match remaining {
            None => LeaseStatus::STOP,
            Some(_) if is_cancelled => LeaseStatus::CANCELLED,
            Some(_) => LeaseStatus::GO_ON,
        };
        lost |= want != LeaseStatus::GO_ON;
        let remaining_ms = remaining.map_or(0, |rest| u32::try_from(rest.0).unwrap_or(u32::MAX));
        statuses.push(LeaseStatus { job, want, remaining_ms });
    }
    let reply = HeartbeatOk { leases: List::lent(statuses) };
    // That a lease is lost is told of the state; that one was extended is not in the log at all.
    if lost {
        Answer::told::<Heartbeat<'_>>(&reply, written)
    } else {
        Answer::at_once::<Heartbeat<'_>>(&reply, written)
    }
}

/// Notes that a session holds a lease from now on.
pub(in super::super) fn hold(journal: &Journal, sessions: &mut Sessions, id: SessionId, job: JobId, lease: LeaseId) {
    let queues = &journal.queues;
    if let Some(session) = sessions.session_mut(id) {
        session.holds(job, lease, |job, lease| {
            queues.live_lease(job).is_some_and(|live| live.id == lease && live.holder == id)
        });
    }
}
