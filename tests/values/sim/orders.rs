//! Workers that are told to be quiet, to go on, or to stop, and do so; and that say so by their heartbeats.

use std::collections::BTreeMap;

use falconqueue::ids::SessionId;
use falconqueue::master::WalError;
use falconqueue::protocol::{Demand, Heartbeat, HeldLease, List, Order, Request, Stage};

use crate::frames::{NOT_FOUND, Reply};

use super::client::What;
use super::{Held, Sim};

/// What a worker is to be told; it is one for the master once it has polled.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    pub name: &'static str,
    pub has_polled: bool,
    order: Option<u8>,
}

/// The workers, as the master and they themselves know them.
#[derive(Debug, Default)]
pub struct Crew {
    pub workers: BTreeMap<SessionId, Worker>,
    /// Which of those that there are now take no new jobs, and which were told to stop.
    pub is_quiet: [bool; 2],
    pub stops: Vec<usize>,
}

/// The answer to an order, of which so many workers were to be told.
pub fn order_told(count: u32, reply: &Reply) {
    match reply {
        Reply::OrderOk(told) => assert_eq!(*told, count, "so many workers are told"),
        Reply::Error { code: NOT_FOUND, .. } => assert_eq!(count, 0, "a worker is not known"),
        other => panic!("an order was answered by {other:?}"),
    }
}

impl Sim {
    /// A worker's connection is made.
    pub fn is_worker(&mut self, session: SessionId, name: &'static str) {
        self.crew.workers.insert(session, Worker { name, has_polled: false, order: None });
    }

    pub fn send_order(&mut self) -> Result<(), WalError> {
        let name = ["", "worker-1", "worker-2"][self.random.index(3)];
        let what = [Demand::Quiet, Demand::Resume, Demand::Resume, Demand::Stop][self.random.index(4)];
        let mut count = 0;
        if !self.net.is_broken(self.producer) {
            let named = self.crew.workers.values_mut().filter(|worker| name.is_empty() || worker.name == name);
            for worker in named.filter(|worker| worker.has_polled) {
                worker.order = Some(what.code());
                count += 1;
            }
        }
        self.send(self.producer, &Request::Order(Order { name, what }), What::Tell(count))?;
        Ok(())
    }

    /// Leases that a worker still needs; none, and it is a sign of life.
    pub fn send_heartbeat(&mut self, session: SessionId) -> Result<(), WalError> {
        let leases: Vec<HeldLease> =
            self.held.iter().map(|held| HeldLease { job: held.job, lease: held.lease, stage: Stage::Begun }).collect();
        let is_broken = self.net.is_broken(session);
        let worker = self.crew.workers.get_mut(&session).filter(|worker| worker.has_polled && !is_broken);
        let order = worker.and_then(|worker| worker.order.take());
        let quiet = self.workers.iter().position(|worker| *worker == session).is_some_and(|at| self.crew.is_quiet[at]);
        let beat = Heartbeat { leases: List::lent(&leases), quiet: quiet.then_some(true) };
        self.send(session, &Request::Heartbeat(beat), What::Beat(order, self.held.clone()))?;
        Ok(())
    }

    /// The answer to a heartbeat: what is lost, and the order, once.
    pub fn take_in_beat(&mut self, session: SessionId, held: &[Held], order: Option<u8>, reply: Reply) {
        let (leases, told) = match reply {
            Reply::HeartbeatOk(leases) => (leases, None),
            Reply::Ordered(leases, told) => (leases, Some(told)),
            other => panic!("a heartbeat was answered by {other:?}"),
        };
        assert_eq!((told, leases.len()), (order, held.len()), "what a worker is told");
        for (held, (job, want, _)) in held.iter().zip(&leases) {
            assert_eq!(held.job.0, *job);
            let has_lease = self.history.truth.of(*job).is_some_and(|fate| fate.lease == Some(held.lease));
            assert!(*want != 1 || !has_lease, "job {job} is told to be lost");
            if *want == 1 {
                self.held.retain(|own| own.lease != held.lease);
            }
        }
        let Some(place) = self.workers.iter().position(|worker| *worker == session) else { return };
        match told.map(|code| (code == Demand::Stop.code(), code == Demand::Quiet.code())) {
            Some((true, _)) => self.crew.stops.push(place),
            Some((_, quiet)) => self.crew.is_quiet[place] = quiet,
            None => {}
        }
    }
}
