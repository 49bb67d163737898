//! A snapshot that is taken in slices, with anything at all happening between them, holds the state as it was when it was
//! begun; and what a replay of the rest makes of it is the state at the end.

use falconqueue::ids::{JobId, LeaseId, Location, Lsn};
use falconqueue::queue::{DeathReason, Enqueue, Event, Queues, Restoring, Slice};
use falconqueue::time::Timestamp;
use proptest::prelude::*;

/// Something that happens, as far as it can; the numbers pick among what is there.
#[derive(Clone, Debug)]
enum Step {
    Enqueue { key: u8, priority: u8, due: u64, payload: u8, plain: bool },
    Dispatch { pick: usize },
    End { pick: usize, how: u8, at: u64 },
    Move { pick: usize },
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
        1 => (0u64..60).prop_map(Step::Pass),
        3 => Just(Step::Slice),
    ]
}

const QUEUES: [&str; 3] = ["a", "b", "c"];
const PAYLOADS: [&[u8]; 3] = [b"", b"short", &[7; 300]];
const KEYS: [&str; 6] = ["", "", "k1", "k2", "k3", "k4"];

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
    Move(JobId, &'static [u8]),
}

fn location(lsn: u64) -> Location {
    Location { epoch: u32::try_from(lsn / 20 + 1).unwrap(), offset: u32::try_from(lsn * 100).unwrap() }
}

fn apply(queues: &mut Queues, lsn: u64, now: u64, applied: &Applied) -> Result<(), String> {
    let event = match *applied {
        Applied::Enqueue(job, queue, key, priority, due) => Event::Enqueue(Enqueue {
            job: job.id,
            queue: QUEUES[queue],
            key,
            priority,
            max_attempts: job.max_attempts,
            due_at: Timestamp(due),
            timeout_ms: u32::from(priority) * 1000,
            payload: job.payload,
        }),
        Applied::Dispatch(job, attempt) => Event::Dispatch { job, lease_ms: 1000, attempt, worker: "w" },
        Applied::End(job, lease, how, at, has_key) => match how {
            0 => {
                let key_until = Timestamp(if has_key { now + at } else { 0 });
                Event::Ack { job, lease, key_until, result: b"" }
            }
            1 => Event::Retry { job, lease, retry_at: Timestamp(at), error: "it broke" },
            2 => Event::Timeout { job, lease, retry_at: Timestamp(at) },
            3 => Event::Dead { job, lease, reason: DeathReason::ForGood, error: "never" },
            _ => Event::Release { job, lease, due_at: Timestamp(at) },
        },
        Applied::Move(job, payload) => Event::Move { job, payload },
    };
    queues.apply(Lsn(lsn), Timestamp(now), &event, location(lsn)).map_err(|broken| broken.to_string())
}

impl Run {
    fn step(&mut self, step: &Step) {
        let applied = match *step {
            Step::Enqueue { key, priority, due, payload, plain } => {
                let key = KEYS[usize::from(key)];
                let key = if self.queues.job_of_key(key).is_some() { "" } else { key };
                let id = self.queues.next_job();
                let max_attempts = if plain { 5 } else { 2 };
                let priority = if plain { 128 } else { priority };
                let payload = PAYLOADS[usize::from(payload)];
                let has_key = !key.is_empty();
                let job = Known { id, payload, attempts: 0, max_attempts, lease: None, has_key };
                self.jobs.push(job);
                let due = if due == 0 { 0 } else { self.now + due };
                Applied::Enqueue(job, usize::try_from(id.0).unwrap() % 3, key, priority, due)
            }
            Step::Dispatch { pick } => {
                let Some(queue) = self.queues.queue(QUEUES[pick % 3]) else { return };
                let Some(front) = self.queues.front(queue).map(|front| front.id) else { return };
                let job = self.jobs.iter_mut().find(|job| job.id == front).unwrap();
                job.attempts += 1;
                job.lease = Some(LeaseId(self.lsn + 1));
                Applied::Dispatch(front, job.attempts)
            }
            Step::End { pick, how, at } => {
                let held: Vec<usize> =
                    (0..self.jobs.len()).filter(|job| self.jobs[*job].lease.is_some()).collect();
                let Some(index) = held.get(pick % held.len().max(1)).copied() else { return };
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
            Step::Move { pick } => {
                let with: Vec<Known> =
                    self.jobs.iter().filter(|job| !job.payload.is_empty()).copied().collect();
                let Some(job) = with.get(pick % with.len().max(1)) else { return };
                Applied::Move(job.id, job.payload)
            }
            Step::Pass(span) => {
                self.now += span;
                self.queues.advance(Timestamp(self.now));
                return;
            }
            Step::Slice => return,
        };
        self.lsn += 1;
        apply(&mut self.queues, self.lsn, self.now, &applied).unwrap();
        self.log.push((self.lsn, self.now, applied));
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

        let mut blocks = Vec::new();
        let mut slices = during.iter();
        let mut slice = run.queues.begin_snapshot();
        while slice != Slice::Done {
            if let Slice::Block(kind, body) = slice {
                blocks.push((kind, body));
            }
            for step in slices.by_ref() {
                run.step(step);
                if matches!(step, Step::Slice) {
                    break;
                }
            }
            slice = run.queues.snapshot_slice(slots);
        }
        run.queues.check();

        let mut restored = Queues::default();
        let mut restoring = Restoring::default();
        for (kind, body) in &blocks {
            restoring.block(&mut restored, *kind, body).unwrap();
        }
        restoring.finish(&mut restored);
        restored.check();
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
