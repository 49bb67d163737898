//! Random operations against a naive model: every answer of the master is predicted by lists that a reader can
//! check by eye, every invariant of the indexes is held after every step, and what a crash leaves is what was.

use std::collections::BTreeMap;

use crate::frames::{NOT_FOUND, Reply, is_error};
use crate::hand::*;
use crate::lists::*;
use falconqueue::ids::{JobId, SessionId};
use falconqueue::job::Settings;
use falconqueue::master::Input;
use falconqueue::protocol::{Get, Request, Stage, SubmitJob};
use falconqueue::queue::Event;
use falconqueue::time::{Millis, Timestamp};
use proptest::prelude::*;

const QUEUES: [&str; 2] = ["a", "b"];
const KEYS: [&str; 4] = ["", "k1", "k2", "k3"];
const LEASE_MS: u64 = 10_000;

#[derive(Clone, Debug)]
enum Step {
    Submit { queue: usize, key: usize, priority: u8, delay_ms: u64, max_attempts: u16 },
    Poll { client: usize, first: usize, both: bool, jobs_max: u16 },
    Ack { pick: usize, stale: bool },
    Fail { pick: usize, for_good: bool, stale: bool },
    Release { pick: usize, delay_ms: u64, stale: bool },
    Heartbeat { client: usize, pick: usize, stage: Stage },
    Get { client: usize, pick: usize },
    Pass(u64),
    Disconnect { client: usize },
    Snapshot,
    Kill,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let any_pick = 0usize..1000;
    let delay = prop_oneof![4 => Just(0u64), 1 => 1u64..20_000];
    let span = prop_oneof![5 => 0u64..500, 3 => 500u64..12_000, 1 => 12_000u64..5_000_000];
    prop_oneof![
        8 => (0usize..2, 0usize..4, 0u8..3, delay.clone(), prop_oneof![4 => 1u16..4, 1 => Just(14u16)]).prop_map(
            |(queue, key, priority, delay_ms, max_attempts)| {
                Step::Submit { queue, key, priority, delay_ms, max_attempts }
            }
        ),
        8 => (0usize..2, 0usize..2, any::<bool>(), 1u16..4)
            .prop_map(|(client, first, both, jobs_max)| Step::Poll { client, first, both, jobs_max }),
        4 => (any_pick.clone(), prop::bool::weighted(0.2)).prop_map(|(pick, stale)| Step::Ack { pick, stale }),
        3 => (any_pick.clone(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(pick, for_good, stale)| Step::Fail { pick, for_good, stale }),
        2 => (any_pick.clone(), delay, prop::bool::weighted(0.2))
            .prop_map(|(pick, delay_ms, stale)| Step::Release { pick, delay_ms, stale }),
        3 => (0usize..2, any_pick.clone(), prop_oneof![Just(Stage::Held), Just(Stage::Begun)])
            .prop_map(|(client, pick, stage)| Step::Heartbeat { client, pick, stage }),
        3 => (0usize..2, any_pick).prop_map(|(client, pick)| Step::Get { client, pick }),
        5 => span.prop_map(Step::Pass),
        1 => (0usize..2).prop_map(|client| Step::Disconnect { client }),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
    ]
}

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
    model: Model,
}

impl Run {
    fn new() -> Run {
        let mut hand = Hand::new();
        let clients = [hand.connect(), hand.connect_saying_begun()];
        let model = Model { now: START, jobs: BTreeMap::new(), lines: [Vec::new(), Vec::new()], last_order: 0 };
        Run { hand, clients, model }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit { queue, key, priority, delay_ms, max_attempts } => {
                self.submit(queue, key, priority, delay_ms, max_attempts);
            }
            Step::Poll { client, first, both, jobs_max } => self.poll(client, first, both, jobs_max),
            Step::Ack { pick, stale } => self.end(pick, stale, Run::ack),
            Step::Fail { pick, for_good, stale } => {
                self.end(pick, stale, |run, id, lease, client| run.fail(id, lease, client, for_good));
            }
            Step::Release { pick, delay_ms, stale } => {
                self.end(pick, stale, |run, id, lease, client| run.release(id, lease, client, delay_ms));
            }
            Step::Heartbeat { client, pick, stage } => self.heartbeat(client, pick, stage),
            Step::Pass(span) => {
                self.hand.pass(span);
                let hand = &self.hand;
                self.model.advance(hand.now, &mut |id| retry_at(hand, id));
                self.hand.sync();
            }
            Step::Disconnect { client } => self.disconnect(client),
            Step::Get { client, pick } => self.get(client, pick),
            Step::Snapshot => {
                self.hand.snapshot(self.clients[0]);
            }
            Step::Kill => self.restart(false),
            Step::PowerCut => self.restart(true),
        }
        self.compare();
    }

    fn submit(&mut self, queue: usize, key: usize, priority: u8, delay_ms: u64, max_attempts: u16) {
        let job = SubmitJob {
            queue: QUEUES[queue],
            key: KEYS[key],
            settings: Settings { priority, max_attempts, timeout_ms: 0 },
            delay_ms,
            payload: KEYS[key].as_bytes(),
            ..SubmitJob::default()
        };
        let expected = self.model.remembered(key);
        let answer = self.hand.submit(self.clients[0], &[job]).remove(0);
        assert_eq!(answer.duplicate == 1, expected.is_some());
        if let Some(first) = expected {
            assert_eq!(answer.job, first);
            return;
        }
        let id = answer.job;
        assert!(self.model.jobs.keys().all(|known| *known < id), "ids grow");
        let (state, submitted_at, past) = (State::Pending, self.hand.now, Vec::new());
        let job = Job {
            queue,
            key,
            priority,
            attempts: 0,
            max_attempts,
            submitted_at,
            order: 0,
            state,
            key_until: None,
            past,
        };
        self.model.jobs.insert(id, job);
        self.model.wait(id, (delay_ms > 0).then(|| self.hand.now.plus(Millis(delay_ms))), Place::Last);
    }

    fn poll(&mut self, client: usize, first: usize, both: bool, jobs_max: u16) {
        let wanted: Vec<usize> = if both { vec![first, 1 - first] } else { vec![first] };
        let names: Vec<&str> = wanted.iter().map(|queue| QUEUES[*queue]).collect();
        let expected = self.model.next(&wanted, jobs_max);
        let got = self.hand.poll_ahead(self.clients[client], &names, jobs_max);
        assert_eq!(got.iter().map(|got| got.job).collect::<Vec<_>>(), expected);
        for got in got {
            let job = self.model.jobs.get_mut(&got.job).unwrap();
            job.attempts += 1;
            assert_eq!((got.attempt, got.key.as_str()), (job.attempts, KEYS[job.key]));
            assert_eq!(got.payload, KEYS[job.key].as_bytes());
            let until = self.hand.now.plus(Millis(LEASE_MS));
            let given_at = self.hand.now;
            // The second client says when it begins.
            let begun_at = (client == 0).then_some(given_at);
            job.state = State::InFlight { lease: got.lease, until, holder: client, given_at, begun_at };
            self.model.lines[job.queue].retain(|id| *id != got.job);
        }
    }

    /// Picks a job in flight, or names a lease that is none, and ends its attempt.
    fn end(&mut self, pick: usize, stale: bool, act: impl FnOnce(&mut Run, u64, u64, SessionId) -> bool) {
        let held = self.model.in_flight();
        let Some((id, lease)) = held.get(pick % held.len().max(1)).copied() else { return };
        let lease = if stale { lease + 1 } else { lease };
        let client = self.clients[pick % 2];
        assert_eq!(act(self, id, lease, client), !stale, "only the live lease counts");
    }

    fn ack(&mut self, id: u64, lease: u64, client: SessionId) -> bool {
        let done = self.hand.ack(client, id, lease);
        if done {
            let job = self.model.jobs.get_mut(&id).unwrap();
            (job.state, job.key_until) = (State::Completed, Some(self.hand.now.plus(Millis(KEY_WINDOW_MS))));
        }
        done
    }

    fn fail(&mut self, id: u64, lease: u64, client: SessionId, for_good: bool) -> bool {
        let done = self.hand.fail(client, id, lease, for_good);
        if done {
            let hand = &self.hand;
            let ending = if for_good { FOR_GOOD } else { FAILED };
            self.model.end_badly(id, ending, &mut |id| retry_at(hand, id));
        }
        done
    }

    fn release(&mut self, id: u64, lease: u64, client: SessionId, delay_ms: u64) -> bool {
        let done = self.hand.release(client, id, lease, delay_ms);
        if done {
            let due_at = (delay_ms > 0).then(|| self.hand.now.plus(Millis(delay_ms)));
            self.model.give_back(id, due_at);
        }
        done
    }

    fn heartbeat(&mut self, client: usize, pick: usize, stage: Stage) {
        let held = self.model.in_flight();
        let Some((id, lease)) = held.get(pick % held.len().max(1)).copied() else { return };
        let rest = self.hand.heartbeat_at(self.clients[client], id, lease, stage);
        assert_eq!(rest, Some(LEASE_MS as u32));
        assert_eq!(self.hand.heartbeat(self.clients[client], id, 0), None);
        let until = self.hand.now.plus(Millis(LEASE_MS));
        let job = self.model.jobs.get_mut(&id).unwrap();
        if let State::InFlight { until: was_until, holder, begun_at, .. } = &mut job.state {
            (*was_until, *holder) = (until, client);
            if stage == Stage::Begun {
                begun_at.get_or_insert(self.hand.now);
            }
        }
    }

    /// Everything that is known of a job, as the lists have it.
    fn get(&mut self, client: usize, pick: usize) {
        let ids: Vec<u64> = self.model.jobs.keys().copied().collect();
        let Some(id) = ids.get(pick % ids.len().max(1)).copied() else { return };
        let reply = self.hand.ask(self.clients[client], &Request::Get(Get { job: JobId(id) }));
        let job = &self.model.jobs[&id];
        let (standing, due_at, lease) = match job.state {
            State::Completed => return assert!(is_error(&reply, NOT_FOUND), "{reply:?}"),
            State::Pending => (0, 0, None),
            State::Delayed(at) => (1, at.0, None),
            State::InFlight { lease, until, begun_at, .. } => {
                let begun_at = begun_at.map_or(0, |at| at.0);
                (2, 0, Some((lease, "hand".to_owned(), begun_at, until.since(self.hand.now).0)))
            }
            State::Dead => (3, 0, None),
        };
        let Reply::GetOk(known) = reply else { panic!("{reply:?}") };
        assert_eq!((known.job, known.standing, known.due_at, known.lease), (id, standing, due_at, lease));
        let key = if self.model.holds_key(job) { KEYS[job.key] } else { "" };
        assert_eq!((known.queue.as_str(), known.key.as_str()), (QUEUES[job.queue], key));
        assert_eq!((known.attempts, known.submitted_at), (job.attempts, job.submitted_at.0));
        assert_eq!(known.past, job.past.last().map(|(_, ended_at, ending)| (*ended_at, *ending)));
        let history = known.history.iter().map(|past| (past.begun_at, past.ended_at, past.ending));
        let remembered = &job.past[job.past.len().saturating_sub(10)..];
        assert_eq!(history.collect::<Vec<_>>(), remembered, "attempts of job {id}");
        assert!(known.history.iter().all(|past| past.worker == "hand"));
        assert_eq!(known.error.is_empty(), job.past.is_empty());
    }

    fn disconnect(&mut self, client: usize) {
        self.hand.master.take(self.clients[client], Input::Gone, self.hand.now).unwrap();
        self.clients[client] = if client == 0 { self.hand.connect() } else { self.hand.connect_saying_begun() };
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
        for job in self.model.jobs.values_mut() {
            if let State::InFlight { until, holder, given_at, begun_at, .. } = &mut job.state {
                (*until, *holder) = (self.hand.now.plus(Millis(LEASE_MS)), NOBODY);
                // Nobody knows any more whether it was begun.
                *begun_at = Some(*given_at);
            }
        }
    }

    fn compare(&self) {
        self.hand.master.queues().check();
        let totals = self.hand.master.queues().totals();
        let count =
            |wanted: fn(&State) -> bool| self.model.jobs.values().filter(|job| wanted(&job.state)).count() as u64;
        assert_eq!(totals.pending, count(|state| *state == State::Pending));
        assert_eq!(totals.delayed, count(|state| matches!(state, State::Delayed(_))));
        assert_eq!(totals.in_flight, count(|state| matches!(state, State::InFlight { .. })));
        assert_eq!(totals.dead, count(|state| *state == State::Dead));
        assert_eq!(totals.completed, count(|state| *state == State::Completed));
        let next = self.hand.master.next_deadline();
        let earliest = self.model.jobs.values().filter_map(|job| match job.state {
            State::Delayed(at) | State::InFlight { until: at, .. } => Some(at),
            _ => None,
        });
        if let Some(earliest) = earliest.min() {
            assert!(next.is_some_and(|next| next <= earliest), "{next:?} comes before {earliest}");
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
