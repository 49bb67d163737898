//! Operations, drawn.

use crate::frames::{
    CANCEL, CANCEL_NOW, GroupSettings, PURGE, QueueSettings, REQUEUE, Rate, Updated, WAY_BOTH, WAY_IN, WAY_OUT,
};
use falconqueue::job::IfFailed;
use falconqueue::protocol::Stage;
use proptest::option::weighted;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub struct NewJobs {
    pub queue: usize,
    pub group: usize,
    /// For so long, or until it is handed out.
    pub unique: (Option<u64>, bool),
    pub on_duplicate: Option<u8>,
    /// Of the first one.
    pub key: usize,
    pub count: usize,
    pub priority: u8,
    pub delay_ms: u64,
    pub max_attempts: u16,
    pub keep_ms: Option<u64>,
    pub ttl_ms: Option<u64>,
    pub backoff: Option<(u32, u32)>,
    pub has_headers: bool,
    pub bytes: usize,
    /// What they wait for: by id, by place in the request, or by key.
    pub after: Vec<(u8, usize)>,
    pub if_failed: IfFailed,
    pub with_results: bool,
    /// The name of the batch that they are members of.
    pub batch: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Submit(NewJobs),
    Poll { client: usize, first: usize, both: bool, jobs_max: u16 },
    Ack { pick: usize, stale: bool, bytes: usize },
    AckThen { pick: usize, stale: bool, then: NewJobs },
    Fail { pick: usize, for_good: bool, stale: bool, retry_in: Option<u64> },
    Release { pick: usize, delay_ms: u64, stale: bool },
    Heartbeat { client: usize, pick: usize, stage: Stage },
    Get { client: usize, pick: usize },
    Text { pick: usize },
    Mend { change: u8, pick: usize },
    Update { pick: usize, to: Updated },
    Pause { queue: usize, way: u8, for_ms: u64 },
    Resume { queue: usize, way: u8 },
    Set { queue: usize, settings: QueueSettings },
    SetGroup { queue: usize, group: usize, settings: GroupSettings },
    Delete { queue: usize },
    BeginBatch { name: usize },
    EndBatch { name: usize },
    CancelBatch { name: usize },
    ShowBatch { name: usize },
    Wait { picks: Vec<usize>, any: bool, wait_ms: u32 },
    Idle { queue: Option<usize>, wait_ms: u32 },
    Pass(u64),
    Disconnect { client: usize },
    Snapshot,
    Kill,
    PowerCut,
}

const QUEUE: std::ops::Range<usize> = 0..2;
const PICK: std::ops::Range<usize> = 0..1000;

fn stale() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.2)
}

fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0u64), 1 => 1u64..20_000]
}

/// So long that something happens before it is over, and that it is over before the end.
fn while_ms() -> impl Strategy<Value = u64> {
    prop_oneof![1u64..500, 500u64..12_000, 12_000u64..1_000_000]
}

fn backoff() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![Just((700, 700)), Just((100, 3000)), Just((5000, 60_000))]
}

fn max_attempts() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 1u16..4, 1 => Just(14u16)]
}

fn way() -> impl Strategy<Value = u8> {
    prop_oneof![Just(WAY_IN), Just(WAY_OUT), Just(WAY_BOTH)]
}

/// What a job waits for, what then, whether it wants results, and its batch.
fn waits() -> impl Strategy<Value = (Vec<(u8, usize)>, IfFailed, bool, Option<usize>)> {
    let named = prop_oneof![
        6 => PICK.prop_map(|pick| (0, pick)),
        1 => Just((1, 0)),
        1 => (1usize..4).prop_map(|key| (2, key)),
        1 => (0usize..2).prop_map(|name| (3, name)),
    ];
    let if_failed = prop_oneof![Just(IfFailed::Cancel), Just(IfFailed::Run), Just(IfFailed::Wait)];
    let after = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(named, 1..4)];
    (after, if_failed, any::<bool>(), weighted(0.3, 0usize..2))
}

fn new_jobs() -> impl Strategy<Value = NewJobs> {
    let what = (QUEUE, 0usize..4, prop_oneof![6 => Just(1usize), 1 => 2usize..4], 0u8..3, delay());
    let attempts = prop_oneof![1 => Just(0u16), 5 => max_attempts()];
    let keep_ms = weighted(0.5, prop_oneof![Just(0u64), while_ms()]);
    let more = (attempts, keep_ms, weighted(0.2, while_ms()), weighted(0.2, backoff()), any::<bool>(), 0usize..40);
    let group = prop_oneof![1 => Just(0usize), 2 => 0usize..3];
    let unique = (weighted(0.2, while_ms()), prop::bool::weighted(0.3), weighted(0.5, 0u8..3));
    (what, more, group, unique, waits()).prop_map(
        |((queue, key, count, priority, delay_ms), more, group, unique, waits)| {
            let (after, if_failed, with_results, batch) = waits;
            let (max_attempts, keep_ms, ttl_ms, backoff, has_headers, bytes) = more;
            NewJobs {
                queue,
                group,
                unique: (unique.0, unique.1),
                on_duplicate: unique.2,
                key,
                count,
                priority,
                delay_ms,
                max_attempts,
                keep_ms,
                ttl_ms,
                backoff,
                has_headers,
                bytes,
                after,
                if_failed,
                with_results,
                batch,
            }
        },
    )
}

fn update() -> impl Strategy<Value = Step> {
    let ttl_ms = prop_oneof![1 => Just(0u64), 2 => while_ms()];
    let to = (weighted(0.5, 0u8..3), weighted(0.3, max_attempts()), weighted(0.3, delay()), weighted(0.2, ttl_ms));
    (PICK, to).prop_map(|(pick, (priority, max_attempts, delay_ms, ttl_ms))| Step::Update {
        pick,
        to: Updated { priority, max_attempts, delay_ms, ttl_ms },
    })
}

fn set() -> impl Strategy<Value = Step> {
    let kept = (weighted(0.4, 0u32..2000), weighted(0.4, 1u32..2000));
    let of_jobs = (weighted(0.3, backoff()), weighted(0.3, 1u16..6), weighted(0.3, 3_000_000u32..4_000_000));
    let bounds = (weighted(0.3, 0u64..6), weighted(0.3, 0u64..120), weighted(0.2, while_ms()), weighted(0.4, 1u32..4));
    let limits = (weighted(0.3, 1u32..3), weighted(0.3, Just(true)), weighted(0.2, rate()), weighted(0.2, rate()));
    (QUEUE, kept, of_jobs, bounds, limits).prop_map(|(queue, kept, of_jobs, bounds, limits)| {
        let (group_running_max, strict, rate, group_rate) = limits;
        let (depth_max, bytes_max, ttl_ms, running_max) = bounds;
        let (backoff, max_attempts, timeout_ms) = of_jobs;
        let (keep_s, dead_keep_s) = kept;
        let settings = QueueSettings {
            keep_s,
            dead_keep_s,
            backoff,
            max_attempts,
            depth_max,
            bytes_max,
            timeout_ms,
            ttl_ms,
            running_max,
            group_running_max,
            strict,
            rate,
            group_rate,
        };
        Step::Set { queue, settings }
    })
}

fn rate() -> impl Strategy<Value = Rate> {
    prop_oneof![Just((1, 300, 1)), Just((3, 1000, 2)), Just((7, 10_000, 4)), (1u32..50, 1u32..20_000, 1u32..5)]
}

fn set_group() -> impl Strategy<Value = Step> {
    let settings = (weighted(0.5, 1u16..4), weighted(0.3, 1u32..3), weighted(0.3, rate()));
    (QUEUE, 0usize..3, settings).prop_map(|(queue, group, (weight, running_max, rate))| Step::SetGroup {
        queue,
        group,
        settings: GroupSettings { weight, running_max, rate },
    })
}

fn of_batch() -> impl Strategy<Value = Step> {
    let name = || 0usize..2;
    prop_oneof![
        6 => name().prop_map(|name| Step::BeginBatch { name }),
        4 => name().prop_map(|name| Step::EndBatch { name }),
        1 => name().prop_map(|name| Step::CancelBatch { name }),
        2 => name().prop_map(|name| Step::ShowBatch { name }),
    ]
}

fn mending() -> impl Strategy<Value = Step> {
    let change = prop_oneof![4 => Just(CANCEL), 2 => Just(CANCEL_NOW), 4 => Just(REQUEUE), 1 => Just(PURGE)];
    let for_ms = prop_oneof![1 => Just(0u64), 3 => while_ms()];
    let picks = prop::collection::vec(PICK, 1..4);
    let wait_ms = prop_oneof![1 => Just(0u32), 4 => 1u32..300_000];
    let of_queue = prop_oneof![1 => Just(None), 2 => QUEUE.prop_map(Some)];
    prop_oneof![
        8 => (change, PICK).prop_map(|(change, pick)| Step::Mend { change, pick }),
        4 => update(),
        2 => (QUEUE, way(), for_ms).prop_map(|(queue, way, for_ms)| Step::Pause { queue, way, for_ms }),
        2 => (QUEUE, way()).prop_map(|(queue, way)| Step::Resume { queue, way }),
        2 => set(),
        2 => set_group(),
        1 => QUEUE.prop_map(|queue| Step::Delete { queue }),
        12 => of_batch(),
        5 => (picks, any::<bool>(), wait_ms.clone())
            .prop_map(|(picks, any, wait_ms)| Step::Wait { picks, any, wait_ms }),
        2 => (of_queue, wait_ms).prop_map(|(queue, wait_ms)| Step::Idle { queue, wait_ms }),
        3 => PICK.prop_map(|pick| Step::Text { pick }),
    ]
}

fn reports() -> impl Strategy<Value = Step> {
    let retry_in = weighted(0.2, prop_oneof![1 => Just(0u64), 3 => 1u64..20_000]);
    prop_oneof![
        4 => (PICK, stale(), 0usize..20).prop_map(|(pick, stale, bytes)| Step::Ack { pick, stale, bytes }),
        1 => (PICK, stale(), new_jobs()).prop_map(|(pick, stale, then)| Step::AckThen { pick, stale, then }),
        4 => (PICK, any::<bool>(), stale(), retry_in)
            .prop_map(|(pick, for_good, stale, retry_in)| Step::Fail { pick, for_good, stale, retry_in }),
        2 => (PICK, delay(), stale()).prop_map(|(pick, delay_ms, stale)| Step::Release { pick, delay_ms, stale }),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let span = prop_oneof![5 => 0u64..500, 3 => 500u64..12_000, 1 => 12_000u64..5_000_000];
    prop_oneof![
        8 => new_jobs().prop_map(Step::Submit),
        8 => (0usize..2, QUEUE, any::<bool>(), 1u16..4)
            .prop_map(|(client, first, both, jobs_max)| Step::Poll { client, first, both, jobs_max }),
        10 => reports(),
        8 => mending(),
        3 => (0usize..2, PICK, prop_oneof![Just(Stage::Held), Just(Stage::Begun)])
            .prop_map(|(client, pick, stage)| Step::Heartbeat { client, pick, stage }),
        3 => (0usize..2, PICK).prop_map(|(client, pick)| Step::Get { client, pick }),
        5 => span.prop_map(Step::Pass),
        1 => (0usize..2).prop_map(|client| Step::Disconnect { client }),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
    ]
}
