//! Leases: the right of one worker to one attempt until a deadline.
//!
//! A lease's id, job and length come from its DISPATCH. Its deadline, the connection that holds it, and whether its
//! job was begun are volatile on purpose: after a restart every lease gets its full length again, and every job that
//! was handed out counts as begun.

use std::collections::HashMap;

use super::chunks::{Chunks, Slot};
use super::deadlines::{NIL, NO_CELL, Node, Nodes, Wheel};
use crate::ids::{JobId, LeaseId, SessionId};
use crate::limits::TIMEOUT_GRACE_MS;
use crate::time::{Millis, Timestamp};

/// What a DISPATCH granted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Granted {
    /// The LSN of the DISPATCH.
    pub id: LeaseId,
    pub job: JobId,
    /// Full length.
    pub lease_ms: u32,
    /// The number of the worker's name.
    pub worker: u32,
    pub given_at: Timestamp,
    /// Where its job stood in line.
    pub order: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Lease {
    pub granted: Granted,
    /// Who holds it; 0 is nobody (after a restart).
    pub holder: SessionId,
    /// Since when its job may have been started; nothing while it is only held.
    pub begun_at: Option<Timestamp>,
    /// When it runs out.
    pub deadline: Timestamp,
    /// It does not last past this: its job's time is over, and the grace to say so.
    pub last_deadline: Timestamp,
    prev: u32,
    next: u32,
    cell: u16,
}

/// How far a job is, as its worker has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HowFar {
    pub percent: u8,
    pub told_at: Timestamp,
    /// For people.
    pub text: Box<str>,
}

#[derive(Debug, Default)]
pub struct Leases {
    leases: Chunks<Lease>,
    /// The one that was granted last.
    newest: u32,
    wheel: Wheel,
    /// By the number of the lease; most jobs tell nothing.
    progress: HashMap<u32, HowFar>,
}

/// The line of free places goes by `next`.
impl Slot for Lease {
    fn vacant() -> Lease {
        Lease::default()
    }

    fn next_free(&self) -> u32 {
        self.next
    }

    fn set_next_free(&mut self, next: u32) {
        self.next = next;
    }
}

impl Nodes for Chunks<Lease> {
    fn node(&self, index: u32) -> Node {
        let lease = &self[index];
        Node { at: lease.deadline, prev: lease.prev, next: lease.next, cell: lease.cell }
    }

    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
        let lease = &mut self[index];
        (lease.prev, lease.next, lease.cell) = (prev, next, cell);
    }
}

impl Leases {
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    pub fn lease(&self, index: u32) -> &Lease {
        &self.leases[index]
    }

    /// The jobs of all that are there.
    pub fn granted(&self) -> impl Iterator<Item = JobId> {
        self.live().into_iter().map(|index| self.leases[index].granted.job)
    }

    /// The numbers of all that are there.
    fn live(&self) -> Vec<u32> {
        let is_live = |index: &u32| self.leases.look(*index).is_some_and(|lease| lease.granted.id != LeaseId(0));
        (0..self.leases.slots_end()).filter(is_live).collect()
    }

    /// The next deadline, or a moment before it.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wheel.next_deadline()
    }

    /// Grants a lease, whose job counts as begun; returns its number.
    pub fn grant(&mut self, granted: Granted, timeout_ms: u32) -> u32 {
        let last_deadline = last_deadline(granted.given_at, timeout_ms);
        let deadline = granted.given_at.plus(Millis(u64::from(granted.lease_ms))).min(last_deadline);
        let (holder, begun_at) = (SessionId(0), Some(granted.given_at));
        let (prev, next, cell) = (NIL, NIL, NO_CELL);
        let lease = Lease { granted, holder, begun_at, deadline, last_deadline, prev, next, cell };
        let index = self.leases.insert(lease);
        self.wheel.insert(&mut self.leases, index);
        self.newest = index;
        index
    }

    /// Notes who holds the lease that was granted last, and whether that one will say when it begins the job.
    pub fn hold_newest(&mut self, holder: SessionId, says_begun: bool) {
        let lease = &mut self.leases[self.newest];
        lease.holder = holder;
        if says_begun {
            lease.begun_at = None;
            lease.last_deadline = Timestamp(u64::MAX);
            let full = lease.granted.given_at.plus(Millis(u64::from(lease.granted.lease_ms)));
            if lease.deadline < full {
                self.move_to(self.newest, full);
            }
        }
    }

    /// Notes that a job may be started from now on: its attempt counts, and its time runs.
    pub fn begin(&mut self, index: u32, timeout_ms: u32, now: Timestamp) {
        let lease = &mut self.leases[index];
        if lease.begun_at.is_none() {
            lease.begun_at = Some(now);
            lease.last_deadline = last_deadline(now, timeout_ms);
        }
    }

    /// Ends a lease; returns the number of its worker's name.
    pub fn end(&mut self, index: u32) -> u32 {
        self.wheel.remove(&mut self.leases, index);
        if !self.progress.is_empty() && self.progress.remove(&index).is_some() && self.progress.is_empty() {
            // Its memory goes back with it.
            self.progress = HashMap::default();
        }
        self.leases.remove(index).granted.worker
    }

    /// Notes how far the job of a lease is.
    pub fn note_progress(&mut self, index: u32, how_far: HowFar) {
        self.progress.insert(index, how_far);
    }

    /// How far the job of a lease is, if that was told.
    pub fn progress(&self, index: u32) -> Option<&HowFar> {
        self.progress.get(&index)
    }

    /// Extends a lease to its full length from `now`, held by `holder`; returns what is left of it.
    pub fn extend(&mut self, index: u32, holder: SessionId, now: Timestamp) -> Millis {
        let lease = &mut self.leases[index];
        lease.holder = holder;
        let full = now.plus(Millis(u64::from(lease.granted.lease_ms)));
        let deadline = full.min(lease.last_deadline);
        self.move_to(index, deadline);
        deadline.since(now)
    }

    /// Shortens a lease to end at `deadline` at the latest.
    pub fn cut(&mut self, index: u32, deadline: Timestamp) {
        if self.leases[index].deadline > deadline {
            self.move_to(index, deadline);
        }
    }

    /// Gives every lease its full length from `now`, and nobody holds it: after a restart.
    pub fn renew_all(&mut self, now: Timestamp) {
        for index in self.live() {
            let lease = &mut self.leases[index];
            lease.holder = SessionId(0);
            lease.begun_at.get_or_insert(lease.granted.given_at);
            let full = now.plus(Millis(u64::from(lease.granted.lease_ms)));
            lease.last_deadline = lease.last_deadline.max(full);
            self.move_to(index, full);
        }
    }

    /// Lets every lease last so much longer.
    pub fn prolong_all(&mut self, gap: Millis) {
        for index in self.live() {
            let lease = &mut self.leases[index];
            lease.last_deadline = lease.last_deadline.plus(gap);
            let deadline = lease.deadline.plus(gap);
            self.move_to(index, deadline);
        }
    }

    /// Takes out of the wheel what has run out by `now`; the caller ends those leases. They come in
    /// the order of their deadlines, equal ones in the order of their ids.
    pub fn take_run_out(&mut self, now: Timestamp) -> Vec<JobId> {
        let mut due = Vec::new();
        self.wheel.advance(&mut self.leases, now, &mut due);
        due.sort_unstable_by_key(|index| {
            let lease = &self.leases[*index];
            (lease.deadline, lease.granted.id)
        });
        due.into_iter().map(|index| self.leases[index].granted.job).collect()
    }

    /// Gives a lease another deadline, whether or not it has run out.
    pub fn move_to(&mut self, index: u32, deadline: Timestamp) {
        self.wheel.remove(&mut self.leases, index);
        self.leases[index].deadline = deadline;
        self.wheel.insert(&mut self.leases, index);
    }

    /// Whether every lease waits in the wheel.
    pub fn check(&self) {
        assert_eq!(self.wheel.len(), self.leases.len(), "every lease has a deadline");
        assert!(self.progress.keys().all(|index| self.live().contains(index)), "only live leases have progress");
    }
}

/// When a job must have ended that may be started at `begun_at`.
fn last_deadline(begun_at: Timestamp, timeout_ms: u32) -> Timestamp {
    match timeout_ms {
        0 => Timestamp(u64::MAX),
        ms => begun_at.plus(Millis(u64::from(ms) + TIMEOUT_GRACE_MS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(timeout_ms: u32) -> (Leases, u32) {
        let mut leases = Leases::default();
        let index = leases.grant(lease(9, 1000), timeout_ms);
        (leases, index)
    }

    fn lease(id: u64, lease_ms: u32) -> Granted {
        Granted { id: LeaseId(id), job: JobId(id - 8), lease_ms, worker: 0, given_at: Timestamp(0), order: 0 }
    }

    #[test]
    fn a_lease_runs_out_unless_it_is_extended() {
        let (mut leases, index) = granted(0);
        assert!(leases.take_run_out(Timestamp(999)).is_empty());
        assert_eq!(leases.extend(index, SessionId(3), Timestamp(999)), Millis(1000));
        assert!(leases.take_run_out(Timestamp(1998)).is_empty());
        assert_eq!(leases.take_run_out(Timestamp(1999)), [JobId(1)]);
    }

    #[test]
    fn what_was_told_of_a_job_goes_with_its_lease() {
        let (mut leases, index) = granted(0);
        leases.note_progress(index, HowFar { percent: 40, told_at: Timestamp(5), text: "parsed".into() });
        leases.check();
        assert_eq!(leases.progress(index).map(|told| (told.percent, &*told.text)), Some((40, "parsed")));
        leases.end(index);
        assert_eq!(leases.grant(lease(11, 1000), 0), index, "another one has its number");
        assert_eq!(leases.progress(index), None);
    }

    #[test]
    fn a_cut_only_shortens() {
        let (mut leases, index) = granted(0);
        leases.cut(index, Timestamp(2000));
        assert_eq!(leases.lease(index).deadline, Timestamp(1000));
        leases.cut(index, Timestamp(500));
        assert_eq!(leases.take_run_out(Timestamp(500)), [JobId(1)]);
    }

    #[test]
    fn no_lease_lasts_past_its_jobs_time() {
        let (mut leases, index) = granted(2000);
        let long = leases.grant(lease(10, 60_000), 2000);
        assert_eq!(leases.lease(long).deadline, Timestamp(7000));
        assert_eq!(leases.extend(index, SessionId(3), Timestamp(6500)), Millis(500));
    }

    #[test]
    fn a_restart_gives_the_full_length_again_even_past_the_jobs_time() {
        let (mut leases, index) = granted(100);
        leases.renew_all(Timestamp(50_000));
        assert_eq!(leases.lease(index).deadline, Timestamp(51_000));
        assert_eq!(leases.extend(index, SessionId(3), Timestamp(50_500)), Millis(500));
        leases.check();
    }
}
