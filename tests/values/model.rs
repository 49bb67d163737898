//! Random operations against a naive model: every answer of the master is predicted by lists that a reader can
//! check by eye, every invariant of the indexes is held after every step, and what a crash leaves is what was.

mod after;
mod batches;
mod looks;
mod mending;
mod steps;

use crate::frames::{
    self, ACK_OK, CANCELLED, FAIL_OK, KEY_HELD, LEASE_LOST, NOT_FOUND, RELEASE_OK, Reply, Request, WRONG_STATE,
    fail_for, heartbeat_at, is_error, keyed, status, submit_to_batch, submitted,
};
use crate::hand::{Hand, START};
use crate::lists::{FAILED, FOR_GOOD, GROUPS, Job, Model, NOBODY, Place, State, Waits};
use batches::BATCHES;
use falconqueue::ids::SessionId;
use falconqueue::job::{OnDuplicate, Unique};
use falconqueue::master::Input;
use falconqueue::protocol::Stage;
use falconqueue::queue::Event;
use falconqueue::time::{Millis, Timestamp};
use proptest::prelude::*;
use steps::{NewJobs, Step, step};

const QUEUES: [&str; 2] = ["a", "b"];
const KEYS: [&str; 4] = ["", "k1", "k2", "k3"];
const LEASE_MS: u64 = 10_000;

/// What a job gets that says nothing, and whose queue says nothing.
const ATTEMPTS: u16 = 5;

/// The newest retry moment of a job, from the log.
fn retry_at(hand: &Hand, id: u64) -> Option<Timestamp> {
    let all = hand.events(|event| match event {
        Event::Retry(retry) if retry.job.0 == id => Some(retry.retry_at),
        Event::Timeout(timeout) if timeout.job.0 == id => Some(timeout.retry_at),
        _ => None,
    });
    all.into_iter().flatten().next_back()
}

struct Run {
    hand: Hand,
    clients: [SessionId; 2],
    /// Who waits for ends.
    waiter: SessionId,
    model: Model,
}

impl Run {
    fn new() -> Run {
        let mut hand = Hand::new();
        let clients = [hand.connect(), hand.connect_saying_begun()];
        let waiter = hand.connect();
        Run { hand, clients, waiter, model: Model::new(START) }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit(ref jobs) => self.submit(jobs),
            Step::Poll { client, first, both, jobs_max } => self.poll(client, first, both, jobs_max),
            Step::Ack { pick, stale, bytes } => self.ack(pick, stale, bytes),
            Step::AckThen { pick, stale, ref then } => self.ack_then(pick, stale, then),
            Step::Fail { pick, for_good, stale, retry_in } => self.fail(pick, for_good, stale, retry_in),
            Step::Release { pick, delay_ms, stale } => self.release(pick, delay_ms, stale),
            Step::Heartbeat { client, pick, stage } => self.heartbeat(client, pick, stage),
            Step::Get { client, pick } => self.get(client, pick),
            Step::Text { pick } => self.text(pick),
            Step::Mend { change, pick } => self.mend(change, pick),
            Step::Update { pick, ref to } => self.update(pick, to),
            Step::Pause { queue, way, for_ms } => self.pause(queue, way, for_ms),
            Step::Resume { queue, way } => self.resume(queue, way),
            Step::Set { queue, ref settings } => self.set(queue, settings),
            Step::SetGroup { queue, group, ref settings } => self.set_group(queue, group, settings),
            Step::Delete { queue } => self.delete(queue),
            Step::BeginBatch { name } => self.begin_batch(name),
            Step::EndBatch { name } => self.end_batch(name),
            Step::CancelBatch { name } => self.cancel_batch(name),
            Step::ShowBatch { name } => self.show_batch(name),
            Step::Wait { ref picks, any, wait_ms } => self.wait(picks, any, wait_ms),
            Step::Idle { queue, wait_ms } => self.idle(queue, wait_ms),
            Step::Pass(span) => self.pass(span),
            Step::Disconnect { client } => self.disconnect(client),
            Step::Snapshot => drop(self.hand.snapshot(self.clients[0])),
            Step::Kill => self.restart(false),
            Step::PowerCut => self.restart(true),
        }
        self.model.expire();
        self.model.settle_waits();
        self.hold_waits();
        self.compare();
    }

    fn pass(&mut self, span: u64) {
        self.hand.pass(span);
        let hand = &self.hand;
        self.model.advance(hand.now, &mut |id| retry_at(hand, id));
        self.hand.sync();
    }

    /// The job that is submitted, the first of some or another one.
    fn asked(&self, new: &NewJobs, is_first: bool) -> frames::Job {
        let key = if is_first { KEYS[new.key] } else { "" };
        let headers = if new.has_headers { vec![("trace".to_owned(), key.to_owned())] } else { Vec::new() };
        let NewJobs { priority, max_attempts, delay_ms, keep_ms, backoff, ttl_ms, .. } = *new;
        let (unique_for_ms, until_start) = new.unique;
        let own = frames::Job {
            unique_for_ms,
            unique_until_start: until_start.then_some(true),
            on_duplicate: new.on_duplicate,
            group: GROUPS[new.group].to_owned(),
            priority,
            max_attempts,
            delay_ms,
            keep_ms,
            backoff,
            ttl_ms,
            headers,
            after: self.after(new, is_first),
            if_failed: Some(new.if_failed.code()),
            with_results: new.with_results,
            ..keyed(key, QUEUES[new.queue])
        };
        frames::Job { payload: vec![b'p'; new.bytes], ..own }
    }

    fn submit(&mut self, new: &NewJobs) {
        let first = self.model.remembered(new.key);
        let jobs: Vec<frames::Job> = (0..new.count).map(|at| self.asked(new, at == 0)).collect();
        let (batch, refused_by_batch) = self.batch_for(new.batch);
        let refused = refused_by_batch.or_else(|| self.refuses(new, &jobs, first));
        let request = match new.batch {
            Some(name) => submit_to_batch(BATCHES[name], &jobs),
            None => frames::submit(&jobs),
        };
        let reply = self.hand.ask_frame(self.clients[0], &request);
        if let Some(code) = refused {
            return assert!(is_error(&reply, code), "{reply:?} instead of {code}");
        }
        if let Some(batch) = batch {
            self.model.batches[batch].alone_until = None;
        }
        let answers = submitted(reply);
        let duplicates = answers.iter().map(|answer| answer.duplicate == 1);
        assert!(duplicates.eq((0..jobs.len()).map(|at| at == 0 && first.is_some())));
        let ids: Vec<u64> = answers.iter().map(|answer| answer.job).collect();
        self.took(new, jobs, (&ids, first), batch);
    }

    /// Jobs were taken in, and got these ids; the first of them has a key that this job holds.
    fn took(
        &mut self,
        new: &NewJobs,
        jobs: Vec<frames::Job>,
        (ids, first): (&[u64], Option<u64>),
        batch: Option<usize>,
    ) {
        assert_eq!(ids.len(), jobs.len());
        for (at, (id, job)) in ids.iter().zip(jobs).enumerate() {
            match first.filter(|_| at == 0) {
                Some(first) if new.on_duplicate == Some(OnDuplicate::Replace.code()) => {
                    assert_eq!(*id, first);
                    self.model.replace(first, new.queue, new.bytes as u64, new.delay_ms, new.ttl_ms);
                }
                Some(first) => assert_eq!(*id, first),
                None => {
                    let before = self.before(new, &job, ids[0]);
                    if let Some(batch) = batch {
                        self.model.batches[batch].members.push(*id);
                    }
                    self.accepted(*id, new, job, (if at == 0 { new.key } else { 0 }, before));
                }
            }
        }
    }

    /// A job is done and these follow from it, or neither.
    fn ack_then(&mut self, pick: usize, stale: bool, new: &NewJobs) {
        let new = &NewJobs { batch: None, ..new.clone() };
        let held = self.model.in_flight();
        let Some((id, lease)) = held.get(pick % held.len().max(1)).copied() else { return };
        let lease = if stale { lease + 1 } else { lease };
        let first = self.model.remembered(new.key);
        let jobs: Vec<frames::Job> = (0..new.count).map(|at| self.asked(new, at == 0)).collect();
        let is_marked = self.model.jobs[&id].is_marked;
        let refused = self.refuses(new, &jobs, first).filter(|_| !stale && !is_marked);
        let reply = self.hand.ask_frame(self.clients[pick % 2], &frames::ack_then(id, lease, b"r", &jobs));
        if let Some(code) = refused {
            return assert!(is_error(&reply, code), "{reply:?} instead of {code}");
        }
        let Reply::AckThenOk(status, ids) = reply else { panic!("{reply:?}") };
        let expected = if stale {
            LEASE_LOST
        } else if is_marked {
            CANCELLED
        } else {
            0
        };
        assert_eq!((status, ids.is_empty()), (expected, expected != 0));
        match status {
            0 => {
                self.took(new, jobs, (&ids, first), None);
                self.model.job(id).result = b"r".to_vec();
                self.model.end(id, State::Completed);
            }
            CANCELLED => self.model.end(id, State::Cancelled),
            _ => {}
        }
    }

    /// Why jobs are not taken, if so; the first of them has a key that this job holds.
    fn refuses(&self, new: &NewJobs, jobs: &[frames::Job], first: Option<u64>) -> Option<u16> {
        let does = |what: OnDuplicate| first.is_some() && new.on_duplicate == Some(what.code());
        if self.waits_for_none(new, jobs) {
            return Some(NOT_FOUND);
        }
        if self.may_circle(new, jobs) {
            return Some(WRONG_STATE);
        }
        if does(OnDuplicate::Refuse) {
            return Some(KEY_HELD);
        }
        let count = jobs.len() - usize::from(first.is_some());
        let replaced = u64::from(does(OnDuplicate::Replace));
        self.model.refuses(new.queue, (count as u64, replaced), new.bytes as u64)
    }

    fn accepted(&mut self, id: u64, new: &NewJobs, asked: frames::Job, (key, before): (usize, Waits)) {
        assert!(self.model.jobs.keys().all(|known| *known < id), "ids grow");
        let now = self.hand.now;
        let settings = &self.model.rules[new.queue].settings;
        let of_queue = settings.max_attempts.unwrap_or(ATTEMPTS);
        let ttl_ms = new.ttl_ms.or(settings.ttl_ms);
        let unique = match new.unique {
            _ if key == 0 => Unique::ToEnd,
            (Some(_), _) => Unique::Until,
            (None, true) => Unique::UntilStart,
            (None, false) => Unique::ToEnd,
        };
        let job = Job {
            unique,
            key_until: new.unique.0.filter(|_| key > 0).map(|span| now.plus(Millis(span))),
            group: new.group,
            priority: new.priority,
            max_attempts: if new.max_attempts == 0 { of_queue } else { new.max_attempts },
            timeout_ms: settings.timeout_ms.unwrap_or(0),
            bytes: new.bytes as u64,
            keep_s: new.keep_ms.map(|keep_ms| keep_ms.div_ceil(1000) as u32),
            backoff: new.backoff,
            expires_at: ttl_ms.map(|ttl_ms| now.plus(Millis(ttl_ms))),
            headers: asked.headers,
            ..Job::new(new.queue, key, now)
        };
        self.model.jobs.insert(id, job);
        if before.is_empty() && new.batch.is_none() {
            self.model.wait(id, Some(now.plus(Millis(new.delay_ms))), Place::Last);
        } else {
            self.holds_back(id, before);
        }
    }

    fn poll(&mut self, client: usize, first: usize, both: bool, jobs_max: u16) {
        let wanted: Vec<usize> = if both { vec![first, 1 - first] } else { vec![first] };
        let names: Vec<&str> = wanted.iter().map(|queue| QUEUES[*queue]).collect();
        let extra = if jobs_max > 1 { jobs_max / 2 } else { 0 };
        let expected = self.model.next(&wanted, (jobs_max - jobs_max / 2, extra));
        let got = self.hand.poll_ahead(self.clients[client], &names, jobs_max);
        assert_eq!(got.iter().map(|got| got.job).collect::<Vec<_>>(), expected);
        for got in got {
            let until = self.hand.now.plus(Millis(LEASE_MS));
            let given_at = self.hand.now;
            // The second client says when it begins.
            let begun_at = (client == 0).then_some(given_at);
            let lease = State::InFlight { lease: got.lease, until, holder: client, given_at, begun_at };
            // That it frees its key does not keep it from its worker.
            let key = self.key_of(got.job);
            self.model.dispatch(got.job, lease);
            let job = self.model.job(got.job);
            let told = (got.attempt, got.max_attempts, got.timeout_ms, got.priority);
            assert_eq!(told, (job.attempts, job.max_attempts, job.timeout_ms, job.priority));
            assert_eq!((got.key.as_str(), &got.headers), (key, &job.headers));
            assert_eq!(got.group, GROUPS[job.group]);
            assert_eq!(got.payload, vec![b'p'; job.bytes as usize]);
            let waits = self.model.jobs[&got.job].waits.clone();
            let results = if waits.with_results { waits.named() } else { Vec::new() };
            assert_eq!(got.results_of, results);
        }
    }

    fn key_of(&self, id: u64) -> &'static str {
        let job = &self.model.jobs[&id];
        if self.model.holds_key(job) { KEYS[job.key] } else { "" }
    }

    /// Reports on a job in flight, or by a lease that is none. Gives the job if what was reported is so.
    fn report(&mut self, pick: usize, stale: bool, kind: u16, by: impl Fn(u64, u64) -> Request) -> Option<u64> {
        let held = self.model.in_flight();
        let (id, lease) = held.get(pick % held.len().max(1)).copied()?;
        let lease = if stale { lease + 1 } else { lease };
        let told = status(self.hand.ask_frame(self.clients[pick % 2], &by(id, lease)), kind, id);
        if stale {
            assert_eq!(told, LEASE_LOST, "only the live lease counts");
            return None;
        }
        if self.model.jobs[&id].is_marked {
            assert_eq!(told, CANCELLED);
            self.model.end(id, State::Cancelled);
            return None;
        }
        assert_eq!(told, 0);
        Some(id)
    }

    fn ack(&mut self, pick: usize, stale: bool, bytes: usize) {
        let result = vec![b'r'; bytes];
        if let Some(id) = self.report(pick, stale, ACK_OK, |id, lease| frames::ack(&[(id, lease, &result)])) {
            self.model.job(id).result = result;
            self.model.end(id, State::Completed);
        }
    }

    fn fail(&mut self, pick: usize, for_good: bool, stale: bool, retry_in: Option<u64>) {
        let for_good = for_good && retry_in.is_none();
        let told = self.report(pick, stale, FAIL_OK, |id, lease| match retry_in {
            Some(retry_in) => fail_for(id, lease, "it broke", retry_in),
            None => frames::fail(&[(id, lease, for_good, "it broke")]),
        });
        if let Some(id) = told {
            let hand = &self.hand;
            let ending = if for_good { FOR_GOOD } else { FAILED };
            self.model.end_badly(id, ending, retry_in, &mut |id| retry_at(hand, id));
        }
    }

    fn release(&mut self, pick: usize, delay_ms: u64, stale: bool) {
        let due_at = self.hand.now.plus(Millis(delay_ms));
        if let Some(id) = self.report(pick, stale, RELEASE_OK, |id, lease| frames::release(id, lease, delay_ms)) {
            let job = self.model.job(id);
            if matches!(job.state, State::InFlight { begun_at: Some(_), .. }) {
                job.expires_at = None;
            }
            self.model.give_back(id, Some(due_at));
        }
    }

    fn heartbeat(&mut self, client: usize, pick: usize, stage: Stage) {
        let held = self.model.in_flight();
        let Some((id, lease)) = held.get(pick % held.len().max(1)).copied() else { return };
        let want = if self.model.jobs[&id].is_marked { 2 } else { 0 };
        let stage_code = u8::from(stage == Stage::Begun);
        let reply = self.hand.ask_frame(self.clients[client], &heartbeat_at(&[(id, lease)], stage_code));
        assert_eq!(reply, Reply::HeartbeatOk(vec![(id, want, LEASE_MS as u32)]));
        let reply = self.hand.ask_frame(self.clients[client], &frames::heartbeat(&[(id, 0)]));
        assert_eq!(reply, Reply::HeartbeatOk(vec![(id, 1, 0)]));
        let until = self.hand.now.plus(Millis(LEASE_MS));
        let job = self.model.job(id);
        if let State::InFlight { until: was_until, holder, begun_at, .. } = &mut job.state {
            (*was_until, *holder) = (until, client);
            if stage == Stage::Begun {
                begun_at.get_or_insert(self.hand.now);
            }
        }
    }

    fn disconnect(&mut self, client: usize) {
        self.hand.master.take(self.clients[client], Input::Gone, self.hand.now).unwrap();
        self.clients[client] = if client == 0 { self.hand.connect() } else { self.hand.connect_saying_begun() };
        if client == 0 {
            self.model.leave_batches();
        }
        let grace = self.hand.now.plus(Millis(2000));
        for job in self.model.jobs.values_mut() {
            if let State::InFlight { until, holder, .. } = &mut job.state
                && *holder == client
            {
                *until = (*until).min(grace);
            }
        }
    }

    fn restart(&mut self, power_cut: bool) {
        let before = self.hand.master.queues().describe();
        self.hand = self.hand.restart(power_cut);
        assert_eq!(self.hand.master.queues().describe(), before, "the state from disk is the state before");
        self.clients = [self.hand.connect(), self.hand.connect_saying_begun()];
        self.waiter = self.hand.connect();
        self.model.leave_batches_anew();
        self.model.waits.clear();
        self.model.idle.clear();
        for job in self.model.jobs.values_mut() {
            if let State::InFlight { until, holder, given_at, begun_at, .. } = &mut job.state {
                (*until, *holder) = (self.hand.now.plus(Millis(LEASE_MS)), NOBODY);
                // Nobody knows any more whether it was begun.
                *begun_at = Some(*given_at);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_master_does_what_the_lists_say(steps in prop::collection::vec(step(), 1..120)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
        run.restart(false);
        run.compare();
    }
}
