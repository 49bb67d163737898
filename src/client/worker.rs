//! What a client is as a worker: who it says it is, which leases it needs, whether it takes jobs, what the master tells
//! it to do, and how far its jobs are. The other side of it, too: which workers there are, and what they are told.

use std::sync::Arc;
use std::time::Duration;

use super::channel::Awaited;
use super::{Answer, Client, ClientError};
use crate::codec::text_head;
use crate::ids::{JobId, LeaseId};
use crate::limits::{HOST_BYTES_MAX, PROGRESS_TEXT_BYTES_MAX, SOFTWARE_BYTES_MAX};
use crate::protocol::{Demand, Heartbeat, HeldLease, Hello, LeaseStatus, List, Order, Progress, Workers};

/// What a client says of itself as a worker, over each of its links. A producer says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerFacts {
    /// The same for all clients of one worker, and another one for each worker; 0 for none.
    pub instance: u64,
    /// Where it runs.
    pub host: String,
    /// As which process.
    pub pid: u32,
    /// Its program, and the version of that.
    pub software: String,
    /// How many jobs it runs at once.
    pub concurrency: u16,
}

impl WorkerFacts {
    /// The Hello of a client of this name.
    pub fn hello<'a>(&'a self, name: &'a str, token: &'a [u8]) -> Hello<'a> {
        let hello = Hello::new(name, token);
        if self.instance == 0 {
            return hello;
        }
        Hello {
            instance: self.instance,
            host: Some(text_head(&self.host, HOST_BYTES_MAX)),
            pid: Some(self.pid),
            software: Some(text_head(&self.software, SOFTWARE_BYTES_MAX)),
            concurrency: Some(self.concurrency),
            ..hello
        }
    }
}

/// Takes what the master tells a worker to do. It may not call the client.
pub type TakeOrder = Arc<dyn Fn(Demand) + Send + Sync>;

impl Client {
    /// From now on each link that is opened, by any clone, is one of this worker, and what the master tells it to do is
    /// handed to `take`, on a thread that waits for an answer.
    pub fn be_worker(&self, facts: WorkerFacts, take: TakeOrder) {
        let mut line = self.shared.locked();
        line.facts = facts;
        line.orders = Some(take);
    }

    /// Extends leases.
    pub fn heartbeat(&self, leases: &[HeldLease]) -> Result<Vec<LeaseStatus>, ClientError> {
        let answer = self.ask(self.beat(leases))?;
        Ok(answer.read::<Heartbeat<'_>>()?.leases.iter().collect())
    }

    /// Says how far the jobs of these leases are, and does not wait for the answer: when this returns, it was sent. A
    /// master counts an attempt from `Stage::Begun` on, if the link promised to say it.
    pub fn say(&self, leases: &[HeldLease]) -> Result<(), ClientError> {
        self.begin_as(&self.beat(leases).into(), Duration::ZERO, Awaited::No).map(drop)
    }

    fn beat<'a>(&self, leases: &'a [HeldLease]) -> Heartbeat<'a> {
        Heartbeat { leases: List::lent(leases), quiet: self.shared.locked().quiet.then_some(true) }
    }

    /// Takes no more jobs, by any clone, until it is called with `false`, and says so in each Heartbeat: polls that
    /// wait are answered at once, without losing a job that was handed out at that moment. All else goes on.
    /// [`Client::keep_alive`] tells the master of it.
    pub fn set_quiet(&self, quiet: bool) {
        let mut line = self.shared.locked();
        line.quiet = quiet;
        if quiet {
            line.end_polls();
        }
    }

    /// Tells how far a job is, from 0 to 100 percent, with a text for people: of a longer one the first 200 bytes.
    /// `Refused` by `LeaseLost` where this is not the job's live lease.
    pub fn progress(&self, job: JobId, lease: LeaseId, percent: u8, text: &str) -> Result<(), ClientError> {
        let text = text_head(text, PROGRESS_TEXT_BYTES_MAX);
        self.ask(Progress { job, lease, percent, text })?.read::<Progress<'_>>().map(drop)
    }

    /// The workers of this name, or all if it is empty; read them as the reply to [`Workers`].
    pub fn workers(&self, name: &str) -> Result<Answer, ClientError> {
        self.ask(Workers { name })
    }

    /// Tells the workers of this name, or all if it is empty, what to do; says how many. They hear it with their next
    /// Heartbeats: at once where they wait for jobs, within 1 s where a job runs, and within 5 s otherwise, unless the
    /// master was told another `--silence`. `Refused` by `NotFound` where there is none of this name.
    pub fn order(&self, name: &str, what: Demand) -> Result<u32, ClientError> {
        Ok(self.ask(Order { name, what })?.read::<Order<'_>>()?.workers)
    }
}
