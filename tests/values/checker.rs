//! The judge of histories is judged: it lets good ones pass, and flags each way to spoil them by its name.

use std::collections::BTreeSet;

use crate::dice::Dice;
use crate::history::mutate::{ALL, Scene};
use crate::history::*;

const SEEDS: u64 = 25;
const STEPS: usize = 800;
/// Victims of each mutation in each history.
const PICKS: u64 = 2;

#[track_caller]
fn expect_good(history: &History, left: &Left, what: &str) {
    let found = check(history, left);
    assert!(found.is_empty(), "{what}: {found:#?}");
}

#[test]
fn made_up_good_histories_pass() {
    let (mut unknown, mut repeated, mut dead) = (0, 0, 0);
    for seed in 0..4 * SEEDS {
        let (history, mut left) = synth::history(seed, STEPS);
        expect_good(&history, &left, &format!("seed {seed}"));
        dead += left.dead_jobs.take().unwrap().len();
        expect_good(&history, &left, &format!("seed {seed}, without the names of the dead"));
        for op in &history.ops {
            match &op.what {
                What::Submit(_, Outcome::Unknown) | What::Poll(_, Outcome::Unknown) => unknown += 1,
                What::Poll(_, Outcome::Ok(given)) => {
                    repeated += given.iter().filter(|given| given.attempt > 1).count();
                }
                _ => {}
            }
        }
    }
    assert!(unknown > 1_000 && repeated > 1_000 && dead > 500, "{unknown} {repeated} {dead}");
}

#[test]
fn every_mutation_is_flagged_by_its_name() {
    let histories: Vec<_> = (0..SEEDS).map(|seed| (seed, synth::history(seed, STEPS))).collect();
    for mutation in ALL {
        let mut spoiled = 0;
        for (seed, (history, left)) in &histories {
            for pick in 0..PICKS {
                let mut scene = Scene::new(history, left, Dice::new(*seed).fork(pick + 1));
                if (mutation.spoil)(&mut scene).is_some() {
                    spoiled += 1;
                    let rules: BTreeSet<Rule> = check(&scene.history, &scene.left).iter().map(|v| v.rule).collect();
                    let why = format!("{} (seed {seed}, pick {pick}): {rules:?}", mutation.name);
                    assert!(rules.contains(&mutation.rule), "{why}");
                }
            }
        }
        assert!(spoiled >= SEEDS, "{}: only {spoiled} victims", mutation.name);
    }
}

/// A history by hand: one queue, one line for each thing that was asked, times in milliseconds.
struct Script(History);

impl Script {
    fn new() -> Script {
        Script(History::default())
    }

    fn op(mut self, ms: (Ns, Ns), what: What) -> Script {
        self.0.ops.push(Op { client: 0, start: ms.0 * MS, end: ms.1 * MS, what });
        self
    }

    fn submit(self, ms: (Ns, Ns), name: &str, outcome: Outcome<Submitted>) -> Script {
        self.op(ms, What::Submit(submit(name), outcome))
    }

    fn put(self, ms: (Ns, Ns), name: &str, job: u64) -> Script {
        self.submit(ms, name, Outcome::Ok(Submitted { job, duplicate: false }))
    }

    fn polled(self, ms: (Ns, Ns), outcome: Outcome<Vec<Delivery>>) -> Script {
        let poll = Poll { queues: vec!["q".into()], jobs_max: 9, wait_ms: 0, lease_ms: 1_000 };
        self.op(ms, What::Poll(poll, outcome))
    }

    /// Job, lease and attempt, of the submit with this name.
    fn got(self, ms: (Ns, Ns), name: &str, (job, lease, attempt): (u64, u64, u16)) -> Script {
        let of = submit(name);
        let (queue, key, priority, payload) = (of.queue, of.key, of.priority, of.payload);
        let (lease_ms, max_attempts) = (1_000, of.max_attempts);
        let delivery = Delivery { job, lease, queue, key, priority, attempt, max_attempts, lease_ms, payload };
        self.polled(ms, Outcome::Ok(vec![delivery]))
    }

    fn end(self, ms: (Ns, Ns), ending: Ending, (job, lease): (u64, u64), outcome: Outcome<()>) -> Script {
        self.op(ms, What::End(ending, Lease { job, lease }, outcome))
    }

    fn ack(self, ms: (Ns, Ns), lease: (u64, u64), outcome: Outcome<()>) -> Script {
        self.end(ms, Ending::Ack, lease, outcome)
    }

    #[track_caller]
    fn expect(&self, completed: u64, dead: u64, rules: &[Rule]) {
        let counts = Counts { completed, dead, ..Counts::default() };
        let left = Left { queues: [("q".to_string(), counts)].into(), dead_jobs: None };
        let found = check(&self.0, &left);
        let mut broken: Vec<Rule> = found.iter().map(|v| v.rule).collect();
        broken.dedup();
        assert_eq!(broken, rules, "{found:#?}");
    }
}

/// A name with a capital is a key too; one with a digit is the priority.
fn submit(name: &str) -> Submit {
    let is_key = name.starts_with(char::is_uppercase);
    Submit {
        queue: "q".into(),
        key: if is_key { name.into() } else { String::new() },
        priority: name.parse().unwrap_or(128),
        max_attempts: 3,
        delay_ms: 0,
        keep_ms: 0,
        ttl_ms: 0,
        payload: Payload::of(name.as_bytes()),
    }
}

const OK: Outcome<()> = Outcome::Ok(());
const LOST: Outcome<()> = Outcome::Refused(LEASE_LOST);
const FAIL: Ending = Ending::Fail { for_good: false };
const RELEASE: Ending = Ending::Release { delay_ms: 0 };

#[test]
fn a_submit_without_an_answer_may_be_a_job_but_one() {
    let unheard = || Script::new().submit((0, 1), "a", Outcome::Unknown);
    unheard().expect(0, 0, &[]);
    unheard().expect(0, 1, &[Rule::Totals]);
    let seen = || unheard().got((2, 3), "a", (7, 10, 1)).ack((4, 5), (7, 10), OK);
    seen().expect(1, 0, &[]);
    seen().expect(0, 0, &[Rule::Lost, Rule::Totals]);
    let unseen = |ms| move |script: Script| script.polled((ms, ms + 1), Outcome::Unknown);
    let worn = [10, 2_000, 5_000].map(unseen).iter().fold(unheard(), |script, poll| poll(script));
    worn.expect(0, 1, &[]);
    seen().got((6, 7), "a", (8, 11, 1)).ack((8, 9), (8, 11), OK).expect(2, 0, &[Rule::SubmittedTwice]);
}

#[test]
fn a_key_may_be_asked_again() {
    let duplicate = |job| Outcome::Ok(Submitted { job, duplicate: true });
    let unheard = || Script::new().submit((0, 5), "Key", Outcome::Unknown);
    let done = |script: Script| script.got((20, 21), "Key", (7, 10, 1)).ack((22, 23), (7, 10), OK);
    done(unheard().submit((6, 7), "Key", duplicate(7))).expect(1, 0, &[]);
    done(unheard().put((6, 7), "Key", 7)).expect(1, 0, &[]);
    done(unheard()).expect(1, 0, &[]);
    done(unheard().submit((6, 7), "Key", duplicate(8))).expect(1, 0, &[Rule::TwoIdsForKey, Rule::Lost]);
    done(Script::new().submit((6, 7), "Key", duplicate(7))).expect(1, 0, &[Rule::FalseDuplicate]);
}

#[test]
fn an_ack_without_an_answer_may_have_been_done() {
    let unheard = || {
        let given = Script::new().put((0, 1), "a", 7).got((2, 3), "a", (7, 10, 1));
        given.ack((4, 5), (7, 10), Outcome::Unknown)
    };
    unheard().expect(1, 0, &[]);
    unheard().expect(0, 0, &[Rule::Lost]);
    unheard().ack((6, 7), (7, 10), OK).expect(1, 0, &[]);
    unheard().ack((6, 7), (7, 10), LOST).expect(1, 0, &[]);
    let again = || unheard().got((1_502, 1_503), "a", (7, 12, 2));
    again().ack((1_504, 1_505), (7, 12), OK).expect(1, 0, &[]);
    again().ack((1_504, 1_505), (7, 10), OK).expect(1, 0, &[Rule::StaleEnding, Rule::DeliveredAfterAck]);
    // It came in the lease, or before the backoff; there was an ending that nobody heard of.
    let soon = |ms| unheard().got((ms, ms), "a", (7, 12, 2)).ack((1_504, 1_505), (7, 12), OK);
    soon(500).expect(1, 0, &[Rule::TooEarly]);
    soon(1_400).expect(1, 0, &[Rule::TooEarly]);
}

#[test]
fn an_attempt_that_nobody_saw_counts() {
    let put = || Script::new().put((0, 1), "a", 7);
    let third = |script: Script| script.got((5_000, 5_001), "a", (7, 30, 3)).ack((5_002, 5_003), (7, 30), OK);
    let unheard = |script: Script, ms| script.polled((ms, ms + 5), Outcome::Unknown);
    third(unheard(unheard(put(), 10), 2_000)).expect(1, 0, &[]);
    third(unheard(put(), 10)).expect(1, 0, &[Rule::AttemptNumber]);
    third(unheard(unheard(put(), 10), 6_000)).expect(1, 0, &[Rule::AttemptNumber]);
    unheard(unheard(unheard(put(), 10), 2_000), 9_000).expect(0, 1, &[]);
    unheard(unheard(put(), 10), 2_000).expect(0, 1, &[Rule::Lost, Rule::Totals]);
}

#[test]
fn a_release_is_not_counted() {
    let first = || Script::new().put((0, 1), "a", 7).got((2, 3), "a", (7, 10, 1));
    let next = |script: Script, attempt| script.got((600, 601), "a", (7, 12, attempt)).ack((602, 603), (7, 12), OK);
    next(first().end((4, 5), RELEASE, (7, 10), OK), 1).expect(1, 0, &[]);
    next(first().end((4, 5), RELEASE, (7, 10), Outcome::Unknown), 1).expect(1, 0, &[]);
    next(first().end((4, 5), RELEASE, (7, 10), OK), 2).expect(1, 0, &[Rule::AttemptNumber]);
    next(first().end((4, 5), FAIL, (7, 10), OK), 2).expect(1, 0, &[]);
    next(first().end((4, 5), FAIL, (7, 10), OK), 1).expect(1, 0, &[Rule::AttemptNumber]);
    next(first().end((4, 5), RELEASE, (7, 10), LOST), 2).expect(1, 0, &[Rule::TwoLeases, Rule::RefusedAlive]);
}

#[test]
fn what_is_not_certain_is_not_flagged() {
    let both = || Script::new().put((0, 9), "a", 8).put((0, 9), "b", 7);
    let done = |script: Script| script.ack((30, 31), (7, 11), OK).ack((30, 31), (8, 12), OK);
    // The submits overlapped, so their ids may be either way; the leases must follow the ids.
    done(both().got((10, 11), "b", (7, 11, 1)).got((10, 11), "a", (8, 12, 1))).expect(2, 0, &[]);
    let wrong = both().got((10, 11), "b", (7, 12, 1)).got((10, 11), "a", (8, 11, 1));
    wrong.ack((30, 31), (7, 12), OK).ack((30, 31), (8, 11), OK).expect(2, 0, &[Rule::LineOrder]);
    // The poll was there before the urgent job was.
    let urgent = |ms| Script::new().put((0, 1), "200", 7).put(ms, "3", 8).got((5, 9), "200", (7, 11, 1));
    done(urgent((4, 6)).got((10, 11), "3", (8, 12, 1))).expect(2, 0, &[]);
    done(urgent((2, 3)).got((10, 11), "3", (8, 12, 1))).expect(2, 0, &[Rule::PriorityOrder]);
}
