//! A snapshot that is taken in slices, with anything at all happening between them, holds the state as it was when it
//! was begun; and what a replay of the rest makes of it is the state at the end.

use falconqueue::ids::{BatchId, JobId, Location, Lsn};
use std::sync::LazyLock;

use falconqueue::codec::{DecodeError, Field, List};
use falconqueue::job::{
    Attempt, Backoff, Before, BeforeList, Header, HeadersText, IfFailed, Settings, Standing, Story, StoryText,
};
use falconqueue::queue::events::{
    Ack, Admit, Begin, CallOff, Cancel, Dead, DeathReason, Dispatch, End, Enqueue, Expire, Forget, Move, Part, Pause,
    Purge, Ready, Release, ReleaseReason, Replace, Requeue, Resume, Retry, Set, SetGroup, Timeout, Update,
};
use falconqueue::queue::{Event, JobFacts, Queues, Restoring, Slice, TextAt};
use falconqueue::rules::{GroupSettings, QueueSettings, Rate, Way};
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
    Mend { pick: usize, how: u8, at: u64 },
    Rule { pick: usize, how: u8, at: u64 },
    Batch { pick: usize, how: u8 },
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
        4 => (0usize..100, 0u8..5, moment.clone()).prop_map(|(pick, how, at)| Step::End { pick, how, at }),
        4 => (0usize..100, 0u8..6, moment.clone()).prop_map(|(pick, how, at)| Step::Mend { pick, how, at }),
        2 => (0usize..100, 0u8..12, moment).prop_map(|(pick, how, at)| Step::Rule { pick, how, at }),
        1 => (0usize..100).prop_map(|pick| Step::Move { pick }),
        1 => (0usize..100).prop_map(|pick| Step::Forget { pick }),
        2 => (0usize..2, 0u8..8).prop_map(|(pick, how)| Step::Batch { pick, how }),
        1 => (0u64..60).prop_map(Step::Pass),
        3 => Just(Step::Slice),
    ]
}

const QUEUES: [&str; 3] = ["a", "b", "c"];
const PAYLOADS: [&[u8]; 3] = [b"", b"short", &[7; 300]];
const GROUPS: [&str; 3] = ["x", "y", "z"];
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

#[derive(Default)]
struct Run {
    queues: Queues,
    now: u64,
    lsn: u64,
    /// What was applied since the snapshot was begun: LSN, moment, and the step that it came from.
    log: Vec<(u64, u64, Applied)>,
}

/// An event as it stands in its record: kind and body.
type Applied = (u8, Vec<u8>);

fn encoded<'e>(event: impl Into<Event<'e>>) -> Applied {
    let (event, mut body) = (event.into(), Vec::new());
    let tail = event.encode_head(&mut body);
    body.extend_from_slice(tail);
    (event.kind(), body)
}

fn location(lsn: u64) -> Location {
    Location { epoch: u32::try_from(lsn / 20 + 1).unwrap(), offset: u32::try_from(lsn * 100).unwrap() }
}

fn apply(queues: &mut Queues, lsn: u64, now: u64, (kind, body): &Applied) -> Result<(), String> {
    let event = Event::decode(*kind, body).unwrap();
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
                let (job, attempt) = self.queues.front(queue).map(|front| (front.id, front.attempts + 1))?;
                encoded(Dispatch { job, lease_ms: 1000, attempt, worker: WORKERS[pick % WORKERS.len()] })
            }
            Step::End { pick, how, at } => {
                let held: Vec<JobId> = self.those(|facts| facts.lease.is_some());
                self.end(*held.get(pick % held.len().max(1))?, how, at)
            }
            Step::Mend { pick, how, at } => {
                let all = self.those(|_| true);
                self.mend(*all.get(pick % all.len().max(1))?, how, at)?
            }
            Step::Rule { pick, how, at } => self.rule(QUEUES[pick % 3], how, at),
            Step::Move { pick } => {
                let with: Vec<TextAt> = self.queues.texts().collect();
                let text = with.get(pick % with.len().max(1))?;
                let zeros = vec![0; text.bytes as usize];
                let bytes = if text.part == Part::Story { STORY.text().0 } else { &zeros[..] };
                encoded(Move { job: text.job, part: text.part, bytes })
            }
            Step::Forget { pick } => {
                let idle: Vec<_> = self.queues.idle_queues(Timestamp(u64::MAX)).collect();
                let queue = idle.get(pick % idle.len().max(1))?;
                let name = self.queues.queue_name(*queue);
                encoded(Forget { queue: name, by: None })
            }
            Step::Batch { pick, how } => self.batch(["one", "two"][pick], how)?,
            Step::Pass(_) | Step::Slice => return None,
        })
    }

    /// What comes next for a batch of this name, or its end.
    fn batch(&self, name: &str, how: u8) -> Option<Applied> {
        let by = Some("someone");
        let Some(batch) = self.queues.batch_named(name) else {
            let newest = BatchId(self.queues.newest_batch().0 + 1);
            return Some(encoded(Begin { batch: newest, name, known_ms: 10 * u64::from(how), by }));
        };
        let known = self.queues.batch(batch)?;
        match how {
            0 if !known.is_called_off && !known.is_over() => Some(encoded(CallOff { batch, by })),
            1..4 if !known.is_sealed => Some(encoded(End { batch, by })),
            4.. if known.is_sealed && !known.is_called_off && known.admitted < known.last() => {
                Some(encoded(Admit { batch, upto: JobId(known.last().0.min(known.admitted.0 + 9)) }))
            }
            _ => None,
        }
    }

    /// The jobs of which this holds, by their ids.
    fn those(&self, holds: impl Fn(&JobFacts<'_>) -> bool) -> Vec<JobId> {
        let ids = (1..self.queues.next_job().0).map(JobId);
        ids.filter(|id| self.queues.facts(*id).is_some_and(|facts| holds(&facts))).collect()
    }

    fn after(&self, span: u64) -> Timestamp {
        Timestamp(if span == 0 { 0 } else { self.now + span })
    }

    /// A job; a key that is in use is left out.
    fn enqueue(&self, key: &str, priority: u8, due: u64, payload: &[u8], max_attempts: u16) -> Applied {
        let key = if self.queues.job_of_key(key).is_some() { "" } else { key };
        let id = self.queues.next_job();
        let is_plain = priority == 128;
        // Some that are there or were, two of them at most.
        let before: Vec<Before> = [id.0 / 2, id.0 / 3].iter().map(|id| Before::job(JobId(*id))).collect();
        let before = if id.0 > 5 && id.0 % 5 > 2 { before } else { Vec::new() };
        // A batch is forgotten long before some of the jobs that have waited for it.
        let of_batch = self.queues.batch_named("one").filter(|_| id.0 % 7 < 2 && !id.0.is_multiple_of(2));
        let before = [before, of_batch.map(Before::batch).into_iter().collect()].concat();
        let batch = self.queues.open_batches().next().filter(|_| id.0.is_multiple_of(2));
        let waits = !before.is_empty() || batch.is_some();
        let (mut headers, names) = (Vec::new(), [Header { name: "trace", value: "7" }]);
        List::lent(&names).write(&mut headers);
        encoded(Enqueue {
            job: id,
            queue: QUEUES[usize::try_from(id.0).unwrap() % 3],
            key,
            settings: Settings { priority, max_attempts, timeout_ms: u32::from(priority) * 1000 },
            due_at: if waits { Timestamp(0) } else { self.after(due) },
            batch,
            before: (!before.is_empty()).then(|| BeforeList(List::lent(&before))),
            if_failed: (!before.is_empty()).then(|| IfFailed::ALL[usize::try_from(id.0 % 3).unwrap()]),
            delay_ms: (waits && id.0.is_multiple_of(2)).then_some(due),
            with_results: (!before.is_empty() && id.0 % 3 == 1).then_some(true),
            digest: (!key.is_empty()).then_some(id.0),
            keep_s: id.0.is_multiple_of(4).then_some(u32::try_from(id.0 % 3).unwrap()),
            backoff: (!is_plain && due > 9).then_some(Backoff { first_ms: 7, most_ms: 9 }),
            expires_at: (!is_plain && id.0.is_multiple_of(2)).then_some(Timestamp(self.now + due + 20)),
            key_until: (!key.is_empty() && id.0 % 5 == 1).then(|| Timestamp(self.now + due + 5)),
            key_until_start: (!key.is_empty() && id.0 % 5 == 2).then_some(true),
            group: (!id.0.is_multiple_of(3)).then(|| GROUPS[usize::try_from(id.0 / 3 % 3).unwrap()]),
            headers: (!is_plain).then_some(HeadersText(&headers)),
            payload,
        })
    }

    /// Ends the attempt of a job that is in flight; the last one cannot be tried again, and one that was cancelled
    /// ends.
    fn end(&self, job: JobId, how: u8, at: u64) -> Applied {
        let live = self.queues.live_lease(job).unwrap();
        let how = if live.attempts == live.max_attempts && (1..=2).contains(&how) { 3 } else { how };
        let (lease, kept) = (live.id, (at % 3 == 1).then(|| Timestamp(self.now + 1 + at)));
        let failed_until = (at % 4 < 3).then(|| Timestamp(self.now + 3 + at));
        let key_until = live.has_key.then_some(Timestamp(self.now + at));
        if live.is_cancelled {
            return encoded(Cancel { job, ends: true, kept_until: kept, by: None, failed_until, before: None });
        }
        match how {
            0 => {
                let (key_until, result) = (key_until.unwrap_or_default(), PAYLOADS[usize::try_from(at % 3).unwrap()]);
                encoded(Ack { job, lease, key_until, text_lost: None, kept_until: kept, result })
            }
            1 => encoded(Retry { job, lease, retry_at: self.after(at), story: STORY.text() }),
            // No room for a story: the one before stays.
            2 => encoded(Timeout { job, lease, retry_at: self.after(at), story: StoryText::default() }),
            3 => {
                let (reason, story) = (DeathReason::ForGood, STORY.text());
                encoded(Dead { job, lease, reason, text_lost: None, key_until, kept_until: kept, story })
            }
            _ => encoded(Release { job, lease, due_at: self.after(at), reason: ReleaseReason::Reported }),
        }
    }

    /// What a person does to a job, where it can be done.
    fn mend(&self, job: JobId, how: u8, at: u64) -> Option<Applied> {
        let facts = self.queues.facts(job).unwrap();
        let (by, kept_until) = (Some("someone"), (at % 2 == 1).then(|| Timestamp(self.now + at)));
        let (waits, flies) = (facts.standing.is_queued(), facts.lease.is_some());
        let failed_until = (at % 4 < 3).then(|| Timestamp(self.now + 3 + at));
        match how {
            0 if flies || waits || facts.standing == Standing::Dead => {
                let before = facts.waits.map(|waits| waits.before[0]);
                let ends = !flies || at == 0;
                Some(encoded(Cancel { job, ends, kept_until, by, failed_until, before }))
            }
            1 if facts.standing == Standing::Waiting => {
                let is_admitted = facts.batch.is_none_or(|batch| job <= batch.admitted);
                (is_admitted && facts.waits.is_some()).then(|| encoded(Ready { job }))
            }
            1 if facts.standing == Standing::Dead => Some(encoded(Requeue { job, by })),
            2 if !flies => Some(encoded(Purge { job, by, failed_until })),
            3 if waits => {
                let (priority, max_attempts) = (at.is_multiple_of(2).then_some(3), Some(facts.view.attempts + 2));
                let expires_at = (facts.view.attempts == 0).then(|| self.after(at));
                let has_time = facts.standing != Standing::Waiting;
                let due_at = (has_time && at % 5 < 3).then(|| self.after(at));
                Some(encoded(Update { job, priority, by, max_attempts, due_at, expires_at }))
            }
            5 if waits && facts.view.attempts == 0 && facts.past.is_none() => {
                let (due_at, payload) = (self.after(at), PAYLOADS[usize::try_from(at % 3).unwrap()]);
                let expires_at = at.is_multiple_of(2).then(|| Timestamp(self.now + at + 9));
                Some(encoded(Replace { job, due_at, digest: at, expires_at, payload }))
            }
            4 if waits && facts.view.attempts == 0 => {
                let is_over = facts.more.expires_at.is_some_and(|at| at <= Timestamp(self.now));
                is_over.then(|| encoded(Expire { job, kept_until, failed_until }))
            }
            _ => None,
        }
    }

    fn rule(&self, queue: &str, how: u8, at: u64) -> Applied {
        let (by, way) = (Some("someone"), Way::ALL[usize::from(how % 3)]);
        match how {
            0..3 => encoded(Pause { queue, way, until: self.after(at), reason: Some("why"), by }),
            3..6 => encoded(Resume { queue, way, by }),
            6..9 => encoded(Set { queue, settings: settings(at), by }),
            _ => {
                let number = usize::try_from(at).unwrap();
                let group = ["", "x", "y", "z"][number % 4];
                let settings = GroupSettings {
                    weight: (number % 5 > 2).then_some(2),
                    running_max: (number % 3 == 1).then_some(1),
                    rate: (number % 7 > 3).then_some(RATES[number % 2]),
                };
                encoded(SetGroup { queue, group, settings, by })
            }
        }
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

const RATES: [Rate; 2] = [Rate { tokens: 1, per_ms: 20, burst: 1 }, Rate { tokens: 3, per_ms: 100, burst: 2 }];

fn settings(at: u64) -> QueueSettings {
    let number = usize::try_from(at).unwrap();
    QueueSettings {
        depth_max: (at > 0).then_some(at),
        running_max: (number % 5 == 1).then_some(2),
        group_running_max: (number % 3 == 1).then_some(1),
        strict: (number % 4 > 1).then_some(true),
        rate: (number % 7 > 4).then_some(RATES[number % 2]),
        group_rate: (number % 11 > 5).then_some(RATES[number / 2 % 2]),
        ..QueueSettings::default()
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
        ("a block", 12, &[][..]),
        ("where a job stands", 3, &[8, 2, 0, 0]),
        // Flags of three bytes: the first one that is not there.
        ("a flag", 3, &[0x80, 0x80, 0x01]),
    ];
    for (what, kind, body) in unknown {
        assert!(taken_in(kind, body).unwrap_err().is_unknown(), "{what}");
    }
    // Flags, id 1, queue 0, submitted at 0; then attempts or what a lease needs.
    let impossible = [
        ("in flight before its first attempt", &[2, 2, 0, 0, 2, 1, 0, 0, 0, 0][..]),
        ("more attempts than it gets", &[16, 2, 0, 0, 100, 2]),
        ("a job with the id 0", &[0, 0, 0, 0, 2]),
        ("a queue that is not there", &[0, 2, 7, 0, 2]),
    ];
    for (what, body) in impossible {
        let error = taken_in(3, body).unwrap_err();
        assert!(!error.is_unknown(), "{what}: {error}");
    }
    let first_place = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
    assert_eq!(taken_in(3, &[&[0, 2, 0, 0][..], &first_place].concat()), Ok(()), "a pending job of the queue");
}
