//! Leases: the right of one worker to one attempt until a deadline.
//!
//! A lease's id, job and length come from its DISPATCH. Its deadline and the connection that holds it are
//! volatile on purpose: after a restart every lease gets its full length again.

use slab::Slab;

use super::deadlines::{NIL, NO_CELL, Node, Nodes, Wheel};
use crate::ids::{JobId, LeaseId, SessionId};
use crate::limits::TIMEOUT_GRACE_MS;
use crate::time::{Millis, Timestamp};

/// What a DISPATCH granted.
#[derive(Clone, Copy, Debug)]
pub struct Granted {
    /// The LSN of the DISPATCH.
    pub id: LeaseId,
    pub job: JobId,
    /// Full length.
    pub lease_ms: u32,
    /// The number of the worker's name.
    pub worker: u32,
    pub begun_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Lease {
    pub granted: Granted,
    /// Who holds it; 0 is nobody (after a restart).
    pub holder: SessionId,
    /// When it runs out.
    pub deadline: Timestamp,
    /// It does not last past this: its job's time is over, and the grace to say so.
    pub last_deadline: Timestamp,
    prev: u32,
    next: u32,
    cell: u16,
}

#[derive(Debug, Default)]
pub struct Leases {
    leases: Slab<Lease>,
    /// The one that was granted last.
    newest: u32,
    wheel: Wheel,
}

impl Nodes for Slab<Lease> {
    fn node(&self, index: u32) -> Node {
        let lease = &self[index as usize];
        Node { at: lease.deadline, prev: lease.prev, next: lease.next, cell: lease.cell }
    }

    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
        let lease = &mut self[index as usize];
        (lease.prev, lease.next, lease.cell) = (prev, next, cell);
    }
}

impl Leases {
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    pub fn lease(&self, index: u32) -> &Lease {
        &self.leases[index as usize]
    }

    /// The next deadline, or a moment before it.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wheel.next_deadline()
    }

    /// Grants a lease; returns its number.
    pub fn grant(&mut self, granted: Granted, timeout_ms: u32) -> u32 {
        let last_deadline = match timeout_ms {
            0 => Timestamp(u64::MAX),
            ms => granted.begun_at.plus(Millis(u64::from(ms) + TIMEOUT_GRACE_MS)),
        };
        self.grant_until(granted, last_deadline, granted.begun_at)
    }

    /// Grants a lease from `at` that does not last past `last_deadline`; returns its number.
    pub fn grant_until(&mut self, granted: Granted, last_deadline: Timestamp, at: Timestamp) -> u32 {
        let deadline = at.plus(Millis(u64::from(granted.lease_ms))).min(last_deadline);
        let holder = SessionId(0);
        let (prev, next, cell) = (NIL, NIL, NO_CELL);
        let lease = Lease { granted, holder, deadline, last_deadline, prev, next, cell };
        let index = u32::try_from(self.leases.insert(lease)).expect("fewer leases than jobs");
        self.wheel.insert(&mut self.leases, index);
        self.newest = index;
        index
    }

    pub fn hold_newest(&mut self, holder: SessionId) {
        if let Some(lease) = self.leases.get_mut(self.newest as usize) {
            lease.holder = holder;
        }
    }

    /// Ends a lease; returns the number of its worker's name.
    pub fn end(&mut self, index: u32) -> u32 {
        self.wheel.remove(&mut self.leases, index);
        self.leases.remove(index as usize).granted.worker
    }

    /// Extends a lease to its full length from `now`, held by `holder`; returns what is left of it.
    pub fn extend(&mut self, index: u32, holder: SessionId, now: Timestamp) -> Millis {
        let lease = &mut self.leases[index as usize];
        lease.holder = holder;
        let full = now.plus(Millis(u64::from(lease.granted.lease_ms)));
        let deadline = full.min(lease.last_deadline);
        self.move_to(index, deadline);
        deadline.since(now)
    }

    /// Shortens a lease to end at `deadline` at the latest.
    pub fn cut(&mut self, index: u32, deadline: Timestamp) {
        if self.leases[index as usize].deadline > deadline {
            self.move_to(index, deadline);
        }
    }

    /// Gives every lease its full length from `now`, and nobody holds it: after a restart.
    pub fn renew_all(&mut self, now: Timestamp) {
        let indexes: Vec<usize> = self.leases.iter().map(|(index, _)| index).collect();
        for index in indexes {
            let lease = &mut self.leases[index];
            lease.holder = SessionId(0);
            let full = now.plus(Millis(u64::from(lease.granted.lease_ms)));
            lease.last_deadline = lease.last_deadline.max(full);
            self.move_to(u32::try_from(index).expect("fewer leases than jobs"), full);
        }
    }

    /// Takes out of the wheel what has run out by `now`; the caller ends those leases. They come in
    /// the order of their deadlines, equal ones in the order of their ids.
    pub fn take_run_out(&mut self, now: Timestamp) -> Vec<JobId> {
        let mut due = Vec::new();
        self.wheel.advance(&mut self.leases, now, &mut due);
        due.sort_unstable_by_key(|index| {
            let lease = &self.leases[*index as usize];
            (lease.deadline, lease.granted.id)
        });
        due.into_iter().map(|index| self.leases[index as usize].granted.job).collect()
    }

    /// Gives a lease another deadline, whether or not it has run out.
    pub fn move_to(&mut self, index: u32, deadline: Timestamp) {
        self.wheel.remove(&mut self.leases, index);
        self.leases[index as usize].deadline = deadline;
        self.wheel.insert(&mut self.leases, index);
    }

    /// Whether every lease waits in the wheel.
    pub fn check(&self) {
        assert_eq!(self.wheel.len(), self.leases.len(), "every lease has a deadline");
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
        Granted { id: LeaseId(id), job: JobId(id - 8), lease_ms, worker: 0, begun_at: Timestamp(0) }
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
