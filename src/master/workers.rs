//! Workers: who takes jobs, as told by Hello, Poll and Heartbeat, and what each is to be told.
//!
//! Promises: sessions that share an instance are one worker, which is there as long as one of them is; a session
//! without an instance is a worker by itself from its first poll on, and costs nothing here before that. An order is
//! handed over once. A poll of the same queues as the one before costs a comparison of numbers.
//! It does not: know jobs, leases or what waits; all of it is gone with the process.

use std::collections::HashMap;

use slab::Slab;

use crate::ids::{QueueId, SessionId};
use crate::protocol::{Demand, Hello};
use crate::time::Timestamp;

/// The number of a worker among those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId(u32);

#[derive(Debug)]
pub struct Worker {
    pub name: Box<str>,
    /// 0 for none.
    pub instance: u64,
    pub host: Box<str>,
    pub pid: u32,
    pub software: Box<str>,
    pub concurrency: u16,
    pub sessions: Vec<SessionId>,
    pub heard_at: Timestamp,
    /// It takes no new jobs for now, as it says.
    pub quiet: bool,
    /// What it is to be told.
    order: Option<Demand>,
    polled: Polled,
}

/// The queues of a worker's newest poll.
#[derive(Debug, Default)]
struct Polled {
    /// Their numbers, and how many had been given by then: a number is given again once its queue is gone.
    ids: Vec<QueueId>,
    given: u64,
    names: Vec<Box<str>>,
}

#[derive(Debug, Default)]
pub struct Workers {
    workers: Slab<Worker>,
    by_instance: HashMap<u64, WorkerId>,
}

impl Worker {
    /// Whether its newest poll named this queue.
    pub fn serves(&self, queue: &str) -> bool {
        self.polled.names.iter().any(|name| **name == *queue)
    }

    /// The queues of its newest poll, the preferred one first.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.polled.names.iter().map(|name| &**name)
    }
}

impl Workers {
    /// A session came by a Hello that names an instance.
    pub fn greeted(&mut self, session: SessionId, hello: &Hello<'_>, now: Timestamp) -> WorkerId {
        let id = match self.by_instance.get(&hello.instance) {
            Some(id) => *id,
            None => self.add(hello.instance, now),
        };
        let worker = &mut self.workers[id.0 as usize];
        worker.name = hello.name.into();
        worker.host = hello.host.unwrap_or_default().into();
        worker.pid = hello.pid.unwrap_or_default();
        worker.software = hello.software.unwrap_or_default().into();
        worker.concurrency = hello.concurrency.unwrap_or_default();
        worker.sessions.push(session);
        worker.heard_at = now;
        if worker.sessions.len() == 1 {
            let Worker { name, host, pid, software, concurrency, .. } = worker;
            log::info!("worker {name} came: pid {pid} on {host}, {software}, up to {concurrency} jobs at once");
        }
        id
    }

    /// A session polls for the first time that named no instance.
    pub fn unnamed(&mut self, session: SessionId, name: &str, now: Timestamp) -> WorkerId {
        let id = self.add(0, now);
        let worker = &mut self.workers[id.0 as usize];
        worker.name = name.into();
        worker.sessions.push(session);
        // One over HTTP comes with each poll.
        log::debug!("worker {name} came");
        id
    }

    fn add(&mut self, instance: u64, now: Timestamp) -> WorkerId {
        let worker = Worker {
            name: Box::default(),
            instance,
            host: Box::default(),
            pid: 0,
            software: Box::default(),
            concurrency: 0,
            sessions: Vec::new(),
            heard_at: now,
            quiet: false,
            order: None,
            polled: Polled::default(),
        };
        let id = WorkerId(u32::try_from(self.workers.insert(worker)).expect("fewer workers than connections"));
        if instance != 0 {
            self.by_instance.insert(instance, id);
        }
        id
    }

    /// A session of a worker is gone, and the worker with its last one.
    pub fn left(&mut self, id: WorkerId, session: SessionId) {
        let worker = &mut self.workers[id.0 as usize];
        worker.sessions.retain(|own| *own != session);
        if worker.sessions.is_empty() {
            let Worker { instance, name, .. } = self.workers.remove(id.0 as usize);
            self.by_instance.remove(&instance);
            let level = if instance == 0 { log::Level::Debug } else { log::Level::Info };
            log::log!(level, "worker {name} is gone");
        }
    }

    pub fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(id.0 as usize)
    }

    /// Something was heard of a worker.
    pub fn heard(&mut self, id: WorkerId, now: Timestamp) {
        self.workers[id.0 as usize].heard_at = now;
    }

    /// A worker polls these queues, after so many numbers of queues had been given.
    pub fn polls<'q>(&mut self, id: WorkerId, queues: &[QueueId], given: u64, name: impl Fn(QueueId) -> &'q str) {
        let polled = &mut self.workers[id.0 as usize].polled;
        if polled.given == given && polled.ids == queues {
            return;
        }
        let names = queues.iter().map(|queue| name(*queue).into()).collect();
        *polled = Polled { ids: queues.to_vec(), given, names };
    }

    /// A worker has sent a Heartbeat, and says in it whether it is quiet. Gives what it is to be told, once.
    pub fn beats(&mut self, id: WorkerId, quiet: bool) -> Option<Demand> {
        let worker = &mut self.workers[id.0 as usize];
        worker.quiet = quiet;
        worker.order.take()
    }

    /// Every worker of this name, or all, will be told this, instead of what it was to be told before. Says how many.
    pub fn order(&mut self, name: &str, what: Demand) -> usize {
        let named = self.workers.iter_mut().filter(|(_, worker)| name.is_empty() || *worker.name == *name);
        named.map(|(_, worker)| worker.order = Some(what)).count()
    }

    pub fn all(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().map(|(_, worker)| worker)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// How many poll each queue, by their newest polls.
    pub fn by_queue(&self) -> HashMap<&str, u64> {
        let mut counts = HashMap::new();
        for (_, worker) in &self.workers {
            worker.queues().for_each(|queue| *counts.entry(queue).or_default() += 1);
        }
        counts
    }

    /// Every worker of this name, or all, in the order of names.
    pub fn named(&self, name: &str) -> Vec<&Worker> {
        let all = self.workers.iter().map(|(_, worker)| worker);
        let mut named: Vec<_> = all.filter(|worker| name.is_empty() || *worker.name == *name).collect();
        named.sort_by(|a, b| (&a.name, a.instance).cmp(&(&b.name, b.instance)));
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1000);

    fn hello(name: &str, instance: u64) -> Hello<'_> {
        Hello { instance, host: Some("here"), pid: Some(7), concurrency: Some(4), ..Hello::new(name, b"") }
    }

    fn names(workers: &Workers, name: &str) -> Vec<String> {
        workers.named(name).iter().map(|worker| worker.name.to_string()).collect()
    }

    #[test]
    fn sessions_of_one_instance_are_one_worker_until_the_last_is_gone() {
        let mut workers = Workers::default();
        let [polls, reports, other] = [1, 2, 3].map(SessionId);
        let id = workers.greeted(polls, &hello("b", 9), NOW);
        assert_eq!(workers.greeted(reports, &hello("b", 9), NOW), id);
        let second = workers.greeted(other, &hello("a", 8), NOW);
        assert_eq!(names(&workers, ""), ["a", "b"]);
        let worker = workers.named("b")[0];
        assert_eq!((&*worker.host, worker.pid, worker.concurrency, worker.sessions.len()), ("here", 7, 4, 2));
        workers.left(id, polls);
        assert_eq!(names(&workers, "b"), ["b"]);
        workers.left(id, reports);
        assert_eq!(names(&workers, ""), ["a"]);
        workers.left(second, other);
        assert!(workers.workers.is_empty() && workers.by_instance.is_empty());
        assert_ne!(workers.greeted(polls, &hello("b", 9), NOW), workers.unnamed(other, "b", NOW));
        assert_eq!(names(&workers, "b"), ["b", "b"]);
    }

    #[test]
    fn sessions_without_an_instance_are_workers_of_their_own() {
        let mut workers = Workers::default();
        let first = workers.unnamed(SessionId(1), "nc", NOW);
        let second = workers.unnamed(SessionId(2), "nc", NOW);
        assert_eq!(names(&workers, ""), ["nc", "nc"]);
        workers.left(first, SessionId(1));
        workers.heard(second, Timestamp(2000));
        assert_eq!(workers.named("nc")[0].heard_at, Timestamp(2000));
    }

    #[test]
    fn names_of_queues_are_copied_when_other_ones_are_polled_or_a_number_may_mean_another_queue() {
        let mut workers = Workers::default();
        let id = workers.greeted(SessionId(1), &hello("w", 9), NOW);
        let queues = |workers: &Workers| workers.named("w")[0].queues().collect::<Vec<_>>().join(" ");
        workers.polls(id, &[QueueId(0), QueueId(1)], 2, |queue| ["mail", "bulk"][queue.0 as usize]);
        assert_eq!(queues(&workers), "mail bulk");
        workers.polls(id, &[QueueId(0), QueueId(1)], 2, |_| panic!("nothing has changed"));
        workers.polls(id, &[QueueId(1)], 2, |_| "bulk");
        assert_eq!(queues(&workers), "bulk");
        workers.polls(id, &[QueueId(1)], 3, |_| "other");
        assert_eq!(queues(&workers), "other");
        let second = workers.greeted(SessionId(2), &hello("v", 8), NOW);
        workers.polls(second, &[QueueId(1), QueueId(2)], 3, |queue| ["", "other", "bulk"][queue.0 as usize]);
        let counts = workers.by_queue();
        assert_eq!(
            (workers.count(), counts.get("other"), counts.get("bulk"), counts.get("mail")),
            (2, Some(&2), Some(&1), None)
        );
    }

    #[test]
    fn an_order_is_handed_to_each_worker_of_the_name_once() {
        let mut workers = Workers::default();
        let ids = [(1, "a"), (2, "a"), (3, "b")].map(|(n, name)| workers.greeted(SessionId(n), &hello(name, n), NOW));
        assert_eq!(workers.order("c", Demand::Quiet), 0);
        assert_eq!(workers.order("a", Demand::Quiet), 2);
        assert_eq!(workers.order("a", Demand::Stop), 2, "the newest one counts");
        let handed = |workers: &mut Workers| ids.map(|id| workers.beats(id, false));
        assert_eq!(handed(&mut workers), [Some(Demand::Stop), Some(Demand::Stop), None]);
        assert_eq!(handed(&mut workers), [None; 3]);
        assert_eq!(workers.order("", Demand::Resume), 3);
        assert_eq!(workers.beats(ids[2], true), Some(Demand::Resume));
        assert!(workers.named("b")[0].quiet);
    }
}
