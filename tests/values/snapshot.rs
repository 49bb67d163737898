//! A snapshot that is taken in slices, with anything at all happening between them, holds the state as it was when it
//! was begun; and what a replay of the rest makes of it is the state at the end.

use falconqueue::ids::{JobId, LeaseId, Location, Lsn};
use std::sync::LazyLock;

use falconqueue::codec::{DecodeError, Field, List};
use falconqueue::job::{Attempt, Settings, Story, StoryText};
use falconqueue::queue::events::{
    Ack, Dead, DeathReason, Dispatch, Enqueue, Forget, Move, Part, Release, ReleaseReason, Retry, Timeout,
};
use falconqueue::queue::{Event, Queues, Restoring, Slice, TextAt};
use falconqueue::time::Timestamp;
use proptest::prelude::*;

/// Something that happens, as far as it can; the numbers pick among what is there.
#[derive(Clone, Debug)]
enum Step {
    Enqueue { key: u8, priority: u8, due: u64, payload: u8, plain: bool },
    Dispatch { pick: usize },
    End { pick: usize, how: u8, at: u64 },
    Move { pick: usize },
    Forget { pick: usize },
    Pass(u64),
    Slice,
}

fn step() -> impl Strategy<Value = Step> {
    let moment = prop_oneof![2 => Just(0u64), 1 => 1u64..50, 1 => 1u64..100_000];
    prop_oneof![
        4 => (0u8..6, 0u8..3, moment.clone(), 0u8..3, any::<bool>()).prop_map(|(key, priority, due, payload, plain)| {
            Step::Enqueue { key, priority, due, payload, plain }
        }),
        4 => (0usize..100).prop_map(|pick| Step::Dispatch { pick }),
        4 => (0usize..100, 0u8..5, moment).prop_map(|(pick, how, at)| Step::End { pick, how, at }),
        1 => (0usize..100).prop_map(|pick| Step::Move { pick }),
        1 => (0usize..100).prop_map(|pick| Step::Forget { pick }),
        1 => (0u64..60).prop_map(Step::Pass),
        3 => Just(Step::Slice),
    ]
}

const QUEUES: [&str; 3] = ["a", "b", "c"];
const PAYLOADS: [&[u8]; 3] = [b"", b"short", &[7; 300]];
const KEYS: [&str; 6] = ["", "", "k1", "k2", "k3", "k4"];

const WORKERS: [&str; 2] = ["w", "another"];

/// What jobs that failed went through.
struct OneStory(LazyLock<Vec<u8>>);

static STORY: OneStory = OneStory(LazyLock::new(|| {
    let attempts = [Attempt { begun_at: Timestamp(5), ended_at: Timestamp(6), worker: "w", ..Attempt::default() }];
    let mut out = Vec::new();
    Story { attempts: List::lent(&attempts), error: "it broke" }.write(&mut out);
    out
}));

impl OneStory {
    fn text(&self) -> StoryText<'_> {
        StoryText(&self.0)
    }
}

/// What is known of a job beside the state, to make events that fit.
#[derive(Clone, Copy)]
struct Known {
    id: JobId,
    payload: &'static [u8],
    attempts: u16,
    max_attempts: u16,
    lease: Option<LeaseId>,
    has_key: bool,
}

#[derive(Default)]
struct Run {
    queues: Queues,
    now: u64,
    lsn: u64,
    jobs: Vec<Known>,
    /// What was applied since the snapshot was begun: LSN, moment, and the step that it came from.
    log: Vec<(u64, u64, Applied)>,
}

#[derive(Clone)]
enum Applied {
    Enqueue(Known, usize, &'static str, u8, u64),
    Dispatch(JobId, u16),
    End(JobId, LeaseId, u8, u64, bool),
    Move(JobId, Part, &'static [u8]),
    Forget(&'static str),
}

fn location(lsn: u64) -> Location {
    Location { epoch: u32::try_from(lsn / 20 + 1).unwrap(), offset: u32::try_from(lsn * 100).unwrap() }
}

fn apply(queues: &mut Queues, lsn: u64, now: u64, applied: &Applied) -> Result<(), String> {
    let event: Event<'_> = match *applied {
        Applied::Enqueue(job, queue, key, priority, due) => Enqueue {
            job: job.id,
            queue: QUEUES[queue],
            key,
            settings: Settings { priority, max_attempts: job.max_attempts, timeout_ms: u32::from(priority) * 1000 },
            due_at: Timestamp(due),
            digest: (!key.is_empty()).then_some(lsn),
            payload: job.payload,
        }
        .into(),
        Applied::Dispatch(job, attempt) => {
            let worker = WORKERS[usize::try_from(lsn).unwrap() % WORKERS.len()];
            Dispatch { job, lease_ms: 1000, attempt, worker }.into()
        }
        Applied::End(job, lease, how, at, has_key) => match how {
            0 => {
                let key_until = Timestamp(if has_key { now + at } else { 0 });
                Ack { job, lease, key_until, ..Ack::default() }.into()
            }
            1 => Retry { job, lease, retry_at: Timestamp(at), story: STORY.text() }.into(),
            // No room for a story: the one before stays.
            2 => Timeout { job, lease, retry_at: Timestamp(at), story: StoryText::default() }.into(),
            3 => {
                let key_until = has_key.then_some(Timestamp(now + at));
                let (reason, text_lost) = (DeathReason::ForGood, None);
                Dead { job, lease, reason, text_lost, key_until, story: STORY.text() }.into()
            }
            _ => Release { job, lease, due_at: Timestamp(at), reason: ReleaseReason::Reported }.into(),
        },
        Applied::Move(job, part, bytes) => Move { job, part, bytes }.into(),
        Applied::Forget(queue) => Forget { queue }.into(),
    };
    queues.apply(Lsn(lsn), Timestamp(now), &event, location(lsn)).map_err(|broken| broken.to_string())
}

impl Run {
    fn step(&mut self, step: &Step) {
        if let Step::Pass(span) = step {
            self.now += span;
            self.queues.advance(Timestamp(self.now));
        }
        let Some(applied) = self.event(step) else { return };
        self.lsn += 1;
        apply(&mut self.queues, self.lsn, self.now, &applied).unwrap();
        self.log.push((self.lsn, self.now, applied));
    }

    /// The event that this step makes, if it makes one now.
    fn event(&mut self, step: &Step) -> Option<Applied> {
        Some(match *step {
            Step::Enqueue { key, priority, due, payload, plain } => {
                let (priority, max_attempts) = if plain { (128, 5) } else { (priority, 2) };
                let (key, payload) = (KEYS[usize::from(key)], PAYLOADS[usize::from(payload)]);
                self.enqueue(key, priority, due, payload, max_attempts)
            }
            Step::Dispatch { pick } => {
                let queue = self.queues.queue(QUEUES[pick % 3])?;
                let front = self.queues.front(queue).map(|front| front.id)?;
                let job = self.jobs.iter_mut().find(|job| job.id == front).unwrap();
                job.attempts += 1;
                job.lease = Some(LeaseId(self.lsn + 1));
                Applied::Dispatch(front, job.attempts)
            }
            Step::End { pick, how, at } => {
                let held: Vec<usize> = (0..self.jobs.len()).filter(|job| self.jobs[*job].lease.is_some()).collect();
                let index = held.get(pick % held.len().max(1)).copied()?;
                self.end(index, how, at)
            }
            Step::Move { pick } => {
                let with: Vec<TextAt> = self.queues.texts().collect();
                let text = with.get(pick % with.len().max(1))?;
                let bytes = match text.part {
                    Part::Payload => self.jobs.iter().find(|job| job.id == text.job).unwrap().payload,
                    Part::Story => STORY.text().0,
                };
                Applied::Move(text.job, text.part, bytes)
            }
            Step::Forget { pick } => {
                let idle: Vec<_> = self.queues.idle_queues(Timestamp(u64::MAX)).collect();
                let queue = idle.get(pick % idle.len().max(1))?;
                let name = self.queues.queue_name(*queue);
                Applied::Forget(QUEUES.into_iter().find(|known| *known == name).unwrap())
            }
            Step::Pass(_) | Step::Slice => return None,
        })
    }

    /// A job; a key that is in use is left out.
    fn enqueue(
        &mut self,
        key: &'static str,
        priority: u8,
        due: u64,
        payload: &'static [u8],
        max_attempts: u16,
    ) -> Applied {
        let key = if self.queues.job_of_key(key).is_some() { "" } else { key };
        let id = self.queues.next_job();
        let has_key = !key.is_empty();
        let job = Known { id, payload, attempts: 0, max_attempts, lease: None, has_key };
        self.jobs.push(job);
        let due = if due == 0 { 0 } else { self.now + due };
        Applied::Enqueue(job, usize::try_from(id.0).unwrap() % 3, key, priority, due)
    }

    /// Ends the attempt of a job that is in flight; the last one cannot be tried again.
    fn end(&mut self, index: usize, how: u8, at: u64) -> Applied {
        let job = &mut self.jobs[index];
        let how = if job.attempts == job.max_attempts && (1..=2).contains(&how) { 3 } else { how };
        let lease = job.lease.take().unwrap();
        let at = if how > 0 && at > 0 { self.now + at } else { at };
        let (id, has_key) = (job.id, job.has_key);
        match how {
            0 => drop(self.jobs.remove(index)),
            4 => job.attempts -= 1,
            _ => {}
        }
        Applied::End(id, lease, how, at, has_key)
    }

    /// Takes a snapshot while these steps happen; gives the state that is restored from it.
    fn restored_from_slices(&mut self, during: &[Step], slots: u32) -> Queues {
        let mut restored = Queues::default();
        let mut restoring = Restoring::default();
        let mut steps = during.iter();
        let mut slice = self.queues.begin_snapshot();
        while slice != Slice::Done {
            if let Slice::Block(kind, body) = slice {
                restoring.block(&mut restored, kind, &body).unwrap();
            }
            for step in steps.by_ref() {
                self.step(step);
                if matches!(step, Step::Slice) {
                    break;
                }
            }
            slice = self.queues.snapshot_slice(slots);
        }
        self.queues.check();
        restoring.finish(&mut restored).unwrap();
        restored.check();
        restored
    }
}

/// Lines that only one of two descriptions has.
fn differing(a: &[String], b: &[String]) -> Vec<String> {
    let only = |a: &[String], b: &[String], sign: &str| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    [only(a, b, "+"), only(b, a, "-")].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_in_slices_is_the_state_when_it_was_begun(
        before in prop::collection::vec(step(), 0..150),
        during in prop::collection::vec(step(), 0..150),
        slots in prop_oneof![Just(1u32), 1u32..40, Just(5000)],
    ) {
        let mut run = Run { now: 1000, ..Run::default() };
        for step in &before {
            run.step(step);
        }
        run.queues.check();
        let begun = run.queues.describe();
        run.log.clear();
        let mut restored = run.restored_from_slices(&during, slots);
        // Keys whose window ended while it was taken may be missing: nothing can ask for them any more.
        let expired = |line: &String| line.starts_with("key ") && !restored.describe().contains(line);
        let begun: Vec<String> = begun.into_iter().filter(|line| !expired(line)).collect();
        prop_assert_eq!(differing(&restored.describe(), &begun), Vec::<String>::new());

        for (lsn, at, applied) in &run.log {
            prop_assert_eq!(apply(&mut restored, *lsn, *at, applied), Ok(()));
        }
        restored.advance(Timestamp(run.now));
        run.queues.advance(Timestamp(run.now));
        restored.check();
        prop_assert_eq!(differing(&restored.describe(), &run.queues.describe()), Vec::<String>::new());
    }
}

/// A snapshot with the jobs block given, as it is taken in.
fn taken_in(kind: u32, body: &[u8]) -> Result<(), DecodeError> {
    let mut queues = Queues::default();
    let enqueue = Enqueue { job: JobId(1), queue: "q", payload: b"x", ..Enqueue::default() };
    queues.apply(Lsn(1), Timestamp(1000), &enqueue.into(), Location { epoch: 1, offset: 100 }).unwrap();
    let Slice::Block(head_kind, head) = queues.begin_snapshot() else { panic!("its first block") };
    let mut restored = Queues::default();
    let mut restoring = Restoring::default();
    restoring.block(&mut restored, head_kind, &head).unwrap();
    restoring.block(&mut restored, kind, body)
}

#[test]
fn what_only_a_later_version_knows_of_a_snapshot_is_told_from_what_cannot_be() {
    let unknown = [
        ("a block", 9, &[][..]),
        ("where a job stands", 3, &[4, 2, 0, 0]),
        // Flags of two bytes: the first one that is not there.
        ("a flag", 3, &[0x80, 0x02]),
    ];
    for (what, kind, body) in unknown {
        assert!(taken_in(kind, body).unwrap_err().is_unknown(), "{what}");
    }
    // Flags, id 1, queue 0, submitted at 0; then attempts or what a lease needs.
    let impossible = [
        ("in flight before its first attempt", &[2, 2, 0, 0, 2, 1, 0, 0, 0, 0][..]),
        ("more attempts than it gets", &[8, 2, 0, 0, 100, 2]),
        ("a job with the id 0", &[0, 0, 0, 0, 2]),
        ("a queue that is not there", &[0, 2, 7, 0, 2]),
    ];
    for (what, body) in impossible {
        let error = taken_in(3, body).unwrap_err();
        assert!(!error.is_unknown(), "{what}: {error}");
    }
    assert_eq!(taken_in(3, &[0, 2, 0, 0, 2]), Ok(()), "a pending job of the queue");
}
