//! Heartbeat: leases are extended, and belong to the session that named them last. Progress: how far a job is.

use super::super::answers::{Answer, Decided};
use super::super::journal::Journal;
use super::super::sessions::Sessions;
use super::super::waits::Waits;
use super::super::workers::Workers;
use super::Scratch;
use crate::ids::{JobId, LeaseId, SessionId};
use crate::protocol::{
    Demand, ErrorCode, Heartbeat, HeartbeatOk, HeldLease, LeaseStatus, List, Progress, ProgressOk, Refusal, Stage,
};
use crate::time::{Millis, Timestamp};

/// Extends leases; one that names none is a sign of life.
pub(super) fn heartbeat<'s>(
    journal: &mut Journal,
    (sessions, workers): (&mut Sessions, &mut Workers),
    id: SessionId,
    heartbeat: &Heartbeat<'_>,
    now: Timestamp,
    scratch: &'s mut Scratch,
) -> Answer<'s> {
    let mut order = None;
    if let Some(session) = sessions.session_mut(id) {
        session.beats = true;
        order = session.worker.and_then(|worker| workers.beats(worker, heartbeat.quiet.unwrap_or(false)));
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
        let status = status(journal, job, remaining);
        lost |= status.is_stop();
        statuses.push(status);
    }
    let reply = HeartbeatOk { leases: List::lent(statuses), order: order.map(Demand::code) };
    // That a lease is lost, or its job cancelled, is told of the state; that one was extended is not in the log at all.
    if lost {
        Answer::told::<Heartbeat<'_>>(&reply, written)
    } else {
        Answer::at_once::<Heartbeat<'_>>(&reply, written)
    }
}

fn status(journal: &Journal, job: JobId, remaining: Option<Millis>) -> LeaseStatus {
    let want = match remaining {
        None => LeaseStatus::STOP,
        Some(_) if journal.queues.is_cancelled(job) => LeaseStatus::CANCELLED,
        Some(_) => LeaseStatus::GO_ON,
    };
    let remaining_ms = remaining.map_or(0, |rest| u32::try_from(rest.0).unwrap_or(u32::MAX));
    LeaseStatus { job, want, remaining_ms }
}

/// Notes how far a job is, as whoever has its live lease says.
pub(super) fn progress<'s>(
    (journal, waits): (&mut Journal, &mut Waits),
    progress: &Progress<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    let Progress { job, lease, percent, text } = *progress;
    if !journal.queues.note_progress(job, lease, percent, text, now) {
        let text = format!("the lease {lease} is not the live lease of job {job}: another worker may have it by now");
        return Err(Refusal::new(ErrorCode::LeaseLost, text).into());
    }
    waits.progressed(job, now);
    Ok(Answer::at_once::<Progress<'_>>(&ProgressOk {}, written))
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
