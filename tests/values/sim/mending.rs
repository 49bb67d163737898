//! Clients that cancel, requeue, purge and update jobs, wait for their ends, read what is kept, and pause queues; and
//! what they may be told.

use std::collections::BTreeSet;

use falconqueue::ids::JobId;
use falconqueue::master::WalError;
use falconqueue::protocol::{Change, List, Mend, Pause, Request, Resume, Text, TextKind, Updated, Wait};
use falconqueue::rules::Way;
use falconqueue::time::{Millis, Timestamp};

use crate::frames::{NOT_FOUND, Reply, STORAGE_FULL};
use crate::truth::WAITING;

use super::Sim;
use super::client::What;
use super::load::QUEUES;

/// A wait that was asked.
#[derive(Debug)]
pub struct Asked {
    jobs: Vec<u64>,
    any: bool,
    until: Timestamp,
    /// Those that had ended before.
    ended_before: BTreeSet<u64>,
}

impl Sim {
    /// One thing of all that a person does.
    pub fn meddle(&mut self) -> Result<(), WalError> {
        match self.random.below(if self.load.is_rough { 26 } else { 20 }) {
            20..=23 => self.send_rule(),
            24..=25 => self.send_order(),
            0..=8 => self.send_mend(),
            9..=12 => self.send_wait(),
            13..=15 => self.send_read(),
            _ => self.send_pause(),
        }
    }

    /// Of the jobs that the clients know, one.
    fn known_job(&mut self) -> Option<JobId> {
        let jobs: Vec<JobId> = self.told.jobs.keys().copied().collect();
        // An id that nobody was told yet is no job that a client knows.
        let last = Some(self.told.last_job).filter(|last| *last > 0)?;
        let any = JobId(1 + self.random.below(last));
        if self.random.one_in(8) { Some(any) } else { self.random.pick(&jobs).copied() }
    }

    fn send_mend(&mut self) -> Result<(), WalError> {
        let change =
            [Change::Cancel, Change::Cancel, Change::CancelNow, Change::Requeue, Change::Purge, Change::Update];
        let change = change[self.random.index(6)];
        let jobs: BTreeSet<JobId> = (0..=self.random.below(2)).filter_map(|_| self.known_job()).collect();
        let jobs: Vec<JobId> = jobs.into_iter().collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let update = Updated {
            priority: self.random.one_in(2).then_some(128),
            max_attempts: self.random.one_in(3).then_some(4),
            delay_ms: self.random.one_in(3).then_some(200),
            ttl_ms: None,
        };
        let update = (change == Change::Update).then_some(update);
        for job in &jobs {
            self.told.mending(*job, change);
        }
        let mend = Mend { change, jobs: List::lent(&jobs), update };
        self.send(self.producer, &Request::Mend(mend), What::Mend(change, jobs.clone()))?;
        Ok(())
    }

    fn send_wait(&mut self) -> Result<(), WalError> {
        let count = 1 + self.random.below(3);
        let jobs: Vec<JobId> = (0..count).filter_map(|_| self.known_job()).collect();
        if jobs.is_empty() || !self.history.follows {
            return Ok(());
        }
        let (any, wait_ms) = (self.random.one_in(2), self.random.below(4) as u32 * 3000);
        self.wait_for(&jobs, any, wait_ms)
    }

    /// The same wait, whose answer was lost.
    pub fn wait_again(&mut self, asked: &Asked) -> Result<(), WalError> {
        let jobs: Vec<JobId> = asked.jobs.iter().map(|job| JobId(*job)).collect();
        self.wait_for(&jobs, asked.any, asked.until.since(self.now).0 as u32)
    }

    fn wait_for(&mut self, jobs: &[JobId], any: bool, wait_ms: u32) -> Result<(), WalError> {
        self.follow();
        let ids: Vec<u64> = jobs.iter().map(|job| job.0).collect();
        let has_ended = |id: &&u64| self.history.truth.of(**id).is_some_and(|fate| fate.end.is_some());
        let ended_before = ids.iter().filter(has_ended).copied().collect();
        let asked = Asked { jobs: ids, any, until: self.now.plus(Millis(wait_ms.into())), ended_before };
        let wait = Wait { jobs: List::lent(jobs), any, wait_ms, progress_since: None };
        self.send(self.watcher, &Request::Wait(wait), What::Wait(asked))?;
        Ok(())
    }

    fn send_read(&mut self) -> Result<(), WalError> {
        let kept: Vec<JobId> = self.told.kept.keys().copied().collect();
        let Some(job) = self.random.pick(&kept).copied() else { return Ok(()) };
        let is_there = self.told.kept[&job].until > self.now;
        let text = Text { job, what: TextKind::Result };
        self.send(self.watcher, &Request::Text(text), What::Read(job, is_there))?;
        Ok(())
    }

    fn send_pause(&mut self) -> Result<(), WalError> {
        let way = [Way::In, Way::Out, Way::Both][self.random.index(3)];
        let for_ms = 500 + self.random.below(4000);
        let closed: Vec<&str> =
            QUEUES.into_iter().filter(|queue| self.master.queues().rules(queue).is_some()).collect();
        let request = match self.random.pick(&closed).copied() {
            Some(queue) if self.random.one_in(2) => Request::Resume(Resume { queue, way }),
            _ => Request::Pause(Pause { queue: QUEUES[self.random.index(3)], way, for_ms, reason: None }),
        };
        self.send(self.producer, &request, What::Order)?;
        Ok(())
    }

    /// The answer to one of these.
    pub fn take_in_mending(&mut self, what: What, reply: Reply) {
        match (what, reply) {
            (What::Mend(change, jobs), Reply::Done(_, items)) => {
                assert_eq!(jobs.len(), items.len());
                for (job, status) in items {
                    self.told.mended(JobId(job), change, status == 0);
                }
            }
            (What::Wait(asked), Reply::WaitOk(ends)) => self.waited(&asked, &ends),
            (What::Read(job, _), Reply::TextOk(result)) => {
                let kept = self.told.kept.get(&job).and_then(|kept| kept.result.as_ref());
                assert!(kept.is_none_or(|kept| *kept == result), "the result of job {job} is another one");
            }
            // It may have been purged meanwhile.
            (What::Read(job, is_there), Reply::Error { code: NOT_FOUND, .. }) => {
                let is_kept = is_there && self.told.kept.contains_key(&job);
                assert!(!is_kept, "the result of job {job} is gone before its time");
            }
            (What::Order, Reply::Settled(_) | Reply::OfSchedules(_)) => {}
            (What::Order, Reply::Error { code, .. }) => assert!([NOT_FOUND, STORAGE_FULL].contains(&code), "{code}"),
            (what, reply) => panic!("{what:?} was answered by {reply:?}"),
        }
    }

    /// A wait was answered: each end is one that the job had, and there was reason to answer.
    fn waited(&mut self, asked: &Asked, ends: &[(u64, u8)]) {
        self.waits_answered += 1;
        assert_eq!(ends.iter().map(|(job, _)| *job).collect::<Vec<_>>(), asked.jobs);
        for (job, standing) in ends {
            let fate = self.history.truth.of(*job).expect("it was accepted");
            assert!(
                fate.may_be_told(*standing, asked.ended_before.contains(job)),
                "job {job} was told to stand at {standing}, and {fate:?}"
            );
        }
        let has_ended = |(_, standing): &(u64, u8)| *standing > 2 && *standing != WAITING;
        let is_over = if asked.any { ends.iter().any(has_ended) } else { ends.iter().all(has_ended) };
        assert!(is_over || asked.until <= self.now, "{asked:?} was answered early: {ends:?}");
    }

    /// No wait is left open that is over.
    pub fn hold_waits(&self) {
        for sent in self.sent.values() {
            let What::Wait(asked) = &sent.what else { continue };
            if !self.net.is_there(sent.session) {
                continue;
            }
            let has_ended = |job: &u64| self.history.truth.of(*job).is_some_and(|fate| fate.end.is_some());
            let is_over = if asked.any { asked.jobs.iter().any(has_ended) } else { asked.jobs.iter().all(has_ended) };
            assert!(!is_over && asked.until > self.now, "{asked:?} is over and was not answered");
        }
    }
}
