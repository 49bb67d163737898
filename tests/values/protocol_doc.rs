//! Each hex dump of `protocol.md` is decoded, and is what the code writes for the values that its caption names.

mod batches;
mod measures;
mod recent;
mod schedules;

use std::fmt::Write;

use falconqueue::codec::Field;
use falconqueue::ids::{JobId, LeaseId, Lsn, SessionId};
use falconqueue::job::{Attempt, Backoff, Ending, Settings, Standing, Story};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::*;
use falconqueue::queue::{Event, events};
use falconqueue::rules::{GroupSettings, QueueSettings, Rate, Way};
use falconqueue::time::Timestamp;

const JOB: JobId = JobId(7);
const LEASE: LeaseId = LeaseId(9);
const SETTINGS: Settings = Settings { timeout_ms: 30_000, max_attempts: 3, priority: 128 };

fn hello() -> Hello<'static> {
    Hello {
        instance: 0x0123_4567_89AB_CDEF,
        host: Some("box"),
        pid: Some(421),
        software: Some("falcon-worker 0.1.0"),
        concurrency: Some(4),
        ..Hello::new("nc", b"secret")
    }
}

fn poll<'a>(queues: &'a [&'a str]) -> Poll<'a> {
    Poll {
        queues: List::lent(queues),
        free: 1,
        wait_ms: 30_000,
        lease_ms: 10_000,
        extra: Some(16),
        payload_bytes_max: Some(1 << 20),
    }
}

const UPDATE: Updated = Updated { priority: Some(5), max_attempts: None, delay_ms: Some(0), ttl_ms: None };

const FILTER: Filter<'_> = Filter {
    queue: Some("mail"),
    standings: Some(1 << Standing::Dead.code()),
    key_prefix: None,
    older_than_ms: None,
    younger_than_ms: None,
    error: Some("route"),
    error_kind: None,
    group: None,
};

const RULES: QueueSettings = QueueSettings {
    keep_s: Some(600),
    dead_keep_s: None,
    backoff: Some(Backoff { first_ms: 1000, most_ms: 60_000 }),
    max_attempts: None,
    depth_max: Some(100_000),
    bytes_max: None,
    timeout_ms: None,
    ttl_ms: None,
    running_max: Some(8),
    group_running_max: None,
    strict: None,
    rate: Some(RATE),
    group_rate: None,
};

const GROUP_RULES: GroupSettings = GroupSettings { weight: Some(3), running_max: Some(2), rate: None };

const GROUP_ROW: GroupRow<'_> =
    GroupRow { name: "acme", settings: GROUP_RULES, jobs: 5, in_flight: 2, before: None, token_in_ms: None };

const RATE: Rate = Rate { tokens: 30, per_ms: 60_000, burst: 5 };

const ROW: JobRow<'_> = JobRow {
    job: JOB,
    queue: "mail",
    key: "order-5",
    standing: 3,
    priority: 128,
    attempts: 3,
    max_attempts: 3,
    submitted_at: Timestamp(1_000_000),
    due_at: Timestamp(0),
    ended_at: Some(Timestamp(1_008_000)),
    error: Some("no route"),
    error_kind: Some(0x0123_4567_89AB_CDEF),
    worker: None,
    begun_at: None,
    percent: None,
    progress: None,
    group: None,
};

const ERROR: ErrorCount<'_> = ErrorCount {
    kind: 0x0123_4567_89AB_CDEF,
    count: 3,
    job: JOB,
    error: "no route",
    first_at: Some(Timestamp(1_001_000)),
    last_at: Some(Timestamp(1_008_000)),
};

const REASON: Reason<'_> = Reason { cause: 2, text: "it is delayed", count: None, left_ms: Some(9000) };

/// Calls `take` with the name and the bytes of every reply to who operates the queues.
fn for_each_operating_reply(mut take: impl FnMut(&str, Reply<'_>)) {
    let figures = [Figure { name: "pending", value: 1 }];
    let facts = QueueFacts {
        figures: List::lent(&figures),
        settings: RULES,
        polled: true,
        pause_in: None,
        pause_out: Some(QueuePause { left_ms: 600_000, reason: "deploy" }),
    };
    let done = [ItemStatus { job: JOB, status: ErrorCode::WrongState.code(), text_lost: None }];
    let ends = [JobEnd { job: JOB, standing: Standing::Completed.code() }];
    take("FindOk", Reply::FindOk(FindOk { job: JOB }));
    take("TextOk", Reply::TextOk(TextOk { text: b"done" }));
    take("WaitOk", Reply::WaitOk(WaitOk { jobs: List::lent(&ends), progress: None }));
    let progress = [WaitedProgress { job: JOB, percent: 40, text: "parsed" }];
    let progress = Some(WaitProgress { at: Timestamp(1_004_000), jobs: List::lent(&progress) });
    let ends = [JobEnd { job: JOB, standing: Standing::InFlight.code() }];
    take("WaitOk with progress", Reply::WaitOk(WaitOk { jobs: List::lent(&ends), progress }));
    take("IdleOk", Reply::IdleOk(IdleOk { left: 0, delayed: 2, died: 3, dead: 1 }));
    take("MendOk", Reply::MendOk(MendOk { items: List::lent(&done) }));
    take("PauseOk", Reply::PauseOk(Done {}));
    take("ShowQueueOk", Reply::ShowQueueOk(facts));
    let jobs = List::lent(&[ROW]);
    take("ListJobsOk", Reply::ListJobsOk(ListJobsOk { jobs, next: JobId(6), looked: 1 }));
    let errors = List::lent(&[ERROR]);
    take("CountJobsOk", Reply::CountJobsOk(CountJobsOk { count: 3, errors, next: JobId(0), looked: 40 }));
    let (next, since) = (JobId(0), Timestamp(1_009_000));
    take("MendAllOk", Reply::MendAllOk(MendAllOk { done: 3, refused: 0, next, since, looked: 40 }));
    take("GroupsOk", Reply::GroupsOk(GroupsOk { groups: List::lent(&[GROUP_ROW]), next: 0 }));
    take("ExplainOk", Reply::ExplainOk(ExplainOk { reasons: List::lent(&[REASON]) }));
}

const MAIL: SubmitJob<'_> = SubmitJob {
    queue: "mail",
    key: "order-5",
    settings: SETTINGS,
    delay_ms: 1500,
    keep_ms: None,
    backoff: None,
    ttl_ms: None,
    headers: None,
    group: None,
    unique_for_ms: None,
    unique_until_start: None,
    on_duplicate: None,
    after: None,
    if_failed: None,
    with_results: None,
    payload: b"hello",
};

/// Every request of who operates the queues.
fn operating_requests() -> Vec<Request<'static>> {
    vec![
        Find { key: "order-5" }.into(),
        Text { job: JOB, what: TextKind::Result }.into(),
        Wait { jobs: List::lent(&[JOB]), any: false, wait_ms: 30_000, progress_since: None }.into(),
        Idle { queue: "mail", wait_ms: 30_000 }.into(),
        Mend { change: Change::Update, jobs: List::lent(&[JOB]), update: Some(UPDATE) }.into(),
        Pause { queue: "mail", way: Way::Out, for_ms: 600_000, reason: Some("deploy") }.into(),
        Resume { queue: "mail", way: Way::Both }.into(),
        SetQueue { queue: "mail", settings: RULES }.into(),
        DeleteQueue { queue: "mail" }.into(),
        ShowQueue { queue: "mail" }.into(),
        Drain { on: true }.into(),
        ListJobs { filter: FILTER, from: JobId(0), newest_first: true, limit: 100 }.into(),
        CountJobs { filter: FILTER, from: JobId(0), by_error: true }.into(),
        MendAll { change: Change::Requeue, filter: FILTER, from: JobId(0), since: Timestamp(0), update: None }.into(),
        Explain { job: JOB }.into(),
        ExplainQueue { queue: "mail" }.into(),
        SetGroup { queue: "mail", group: "acme", settings: GROUP_RULES }.into(),
        Groups { queue: "mail", from: 0, group: None }.into(),
    ]
}

/// A wait that asks how far its job is.
fn wait_for_progress() -> Request<'static> {
    let progress_since = Some(Timestamp(1_003_000));
    Wait { jobs: List::lent(&[JOB]), any: false, wait_ms: 30_000, progress_since }.into()
}

/// Calls `take` with the name and the bytes of every request that the page shows.
fn for_each_request(mut take: impl FnMut(&str, Vec<u8>)) {
    let jobs = [MAIL];
    let ack = [AckItem { job: JOB, lease: LEASE, text_optional: Some(true), result: b"done" }];
    let fail = [FailItem { job: JOB, lease: LEASE, for_good: false, error: "no route", ..FailItem::default() }];
    let release = [ReleaseItem { job: JOB, lease: LEASE, delay_ms: 0 }];
    let held = [HeldLease { job: JOB, lease: LEASE, stage: Stage::Begun }];
    let queues = ["mail", "bulk"];
    let mut all: Vec<Request<'_>> = vec![
        hello().into(),
        Submit::of(&jobs).into(),
        poll(&queues).into(),
        Ack { items: List::lent(&ack) }.into(),
        Fail { items: List::lent(&fail) }.into(),
        Release { items: List::lent(&release) }.into(),
        Heartbeat { leases: List::lent(&held), quiet: Some(true) }.into(),
        Stats {}.into(),
        Snapshot {}.into(),
        Backup {}.into(),
        Read { file: 1, offset: 1 << 20, bytes: 1 << 20 }.into(),
        Get { job: JOB }.into(),
        Workers { name: "" }.into(),
        Order { name: "box:421", what: Demand::Quiet }.into(),
        Progress { job: JOB, lease: LEASE, percent: 40, text: "parsed" }.into(),
        Log { job: JOB, from: Lsn(0) }.into(),
    ];
    all.extend(operating_requests());
    all.extend(schedules::requests());
    all.extend(batches::requests());
    let figures: [Request<'_>; 3] = [Measure {}.into(), Recent { after: Lsn(30), most: 200 }.into(), Storage {}.into()];
    all.extend(figures);
    assert_eq!(all.len(), Request::KINDS.len(), "each request is shown");
    let named = all.into_iter().zip(Request::KINDS.iter().map(|(_, name)| *name));
    for (request, name) in named.chain([(wait_for_progress(), "Wait for progress")]) {
        let mut bytes = Vec::new();
        request.encode(u64::from(request.kind()), &mut bytes);
        let (header, body) = split_frame(&bytes).unwrap();
        assert_eq!(Request::decode(header.kind, body).unwrap(), request);
        take(name, bytes);
    }
}

const HELLO_OK: HelloOk<'_> = HelloOk {
    version: VERSION,
    session: SessionId(1 << 20),
    software: "falcond 0.1.0",
    body_bytes_max: 8 << 20,
    payload_bytes_max: 1 << 20,
    items_max: 1024,
    silence_ms: Some(15_000),
};

const AGAIN: Submitted<'_> = Submitted {
    job: JOB,
    duplicate: true,
    queue: Some("mail"),
    standing: Some(1),
    payload_differs: Some(true),
    queue_differs: Some(false),
    replaced: None,
};

const DELIVERY: Delivery<'_> = Delivery {
    job: JOB,
    lease: LEASE,
    queue: "mail",
    key: "order-5",
    settings: SETTINGS,
    attempt: 1,
    lease_ms: 10_000,
    waited_ms: 1250,
    headers: None,
    group: None,
    results_of: None,
    payload: b"hello",
};

const FILES: [BackupFile<'_>; 2] = [
    BackupFile { name: "00000000000000000030.snap", bytes: 260, size: 260 },
    BackupFile { name: "00000000000000000001.wal", bytes: 3000, size: 64 << 20 },
];

/// A job that has failed once, with the story of that.
fn get_ok(story: &[u8]) -> GetOk<'_> {
    GetOk {
        job: JOB,
        queue: "mail",
        key: "order-5",
        standing: Standing::Delayed.code(),
        settings: SETTINGS,
        submitted_at: Timestamp(1_000_000),
        due_at: Timestamp(1_009_000),
        attempts: 1,
        payload_bytes: 5,
        lease: None,
        progress: None,
        past: Some(Past { ended_at: Timestamp(1_008_000), ending: Ending::Failed.code() }),
        more: None,
        story,
    }
}

fn story() -> Vec<u8> {
    let (begun_at, ended_at) = (Timestamp(1_001_000), Timestamp(1_008_000));
    let attempts = [Attempt { begun_at, ended_at, ending: Ending::Failed, worker: "w" }];
    let mut out = Vec::new();
    Story { attempts: List::lent(&attempts), error: "no route" }.write(&mut out);
    out
}

/// The ACK of the job, as it stands in the log.
const ACKED: &[u8] = b"\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0done";

const EVENTS: [LoggedEvent<'_>; 1] = [LoggedEvent { lsn: Lsn(11), at: Timestamp(1_010_000), kind: 3, body: ACKED }];

const MISSING: [Missing; 1] = [Missing { first: Lsn(1), last: Lsn(8), next_at: Timestamp(1_009_500) }];

fn log_ok() -> LogOk<'static> {
    LogOk { events: List::lent(&EVENTS), next: Lsn(0), missing: Some(List::lent(&MISSING)) }
}

/// The first attempt at a job that tells how far it is.
fn get_ok_in_flight<'a>() -> GetOk<'a> {
    let lease = Leased { lease: LEASE, worker: "box:421", begun_at: Timestamp(1_001_000), remaining_ms: 9000 };
    GetOk {
        standing: Standing::InFlight.code(),
        due_at: Timestamp(0),
        lease: Some(lease),
        past: None,
        progress: Some(JobProgress { percent: 40, told_at: Timestamp(1_003_000), text: "parsed" }),
        ..get_ok(b"")
    }
}

const JOBS: [WorkerJob; 1] = [WorkerJob { job: JOB, lease: LEASE, stage: Stage::Begun, had_ms: 2500 }];

fn worker() -> KnownWorker<'static> {
    KnownWorker {
        name: "box:421",
        instance: 0x0123_4567_89AB_CDEF,
        host: "box",
        pid: 421,
        software: "falcon-worker 0.1.0",
        concurrency: 4,
        silent_ms: 800,
        quiet: false,
        polls: true,
        held: 0,
        begun: 1,
        queues: List::lent(&["mail", "bulk"]),
        jobs: List::lent(&JOBS),
    }
}

/// Calls `take` with the name and the bytes of every reply that the page shows.
fn for_each_reply(mut take: impl FnMut(&str, Vec<u8>)) {
    let submitted = [Submitted { job: JOB, ..Submitted::default() }, AGAIN];
    let done = [ItemStatus { job: JOB, status: 0, text_lost: None }];
    let lost = [ItemStatus { job: JOB, status: ErrorCode::LeaseLost.code(), text_lost: None }];
    let leases = [LeaseStatus { job: JOB, want: LeaseStatus::GO_ON, remaining_ms: 10_000 }];
    let figures = [("pending", 1), ("syncs", 12)].map(|(name, value)| Figure { name, value });
    let queues = [QueueFigures { name: "mail", figures: List::lent(&figures[..1]) }];
    let (deliveries, story, workers) = ([DELIVERY], story(), [worker()]);
    let order = Some(Demand::Quiet.code());
    let reported = |items| Reported { items: List::lent(items) };
    let all = [
        ("HelloOk", Reply::HelloOk(HELLO_OK)),
        ("SubmitOk", Reply::SubmitOk(SubmitOk { jobs: List::lent(&submitted) })),
        ("PollOk", Reply::PollOk(PollOk { jobs: List::lent(&deliveries) })),
        ("AckOk", Reply::AckOk(reported(&done))),
        ("FailOk", Reply::FailOk(reported(&lost))),
        ("ReleaseOk", Reply::ReleaseOk(reported(&done))),
        ("HeartbeatOk", Reply::HeartbeatOk(HeartbeatOk { leases: List::lent(&leases), order })),
        ("StatsOk", Reply::StatsOk(StatsOk { figures: List::lent(&figures), queues: List::lent(&queues) })),
        ("SnapshotOk", Reply::SnapshotOk(SnapshotOk { lsn: 30, bytes: 260 })),
        ("BackupOk", Reply::BackupOk(BackupOk { files: List::lent(&FILES) })),
        ("ReadOk", Reply::ReadOk(ReadOk { piece: b"FALCNWAL" })),
        ("GetOk", Reply::GetOk(get_ok(&story))),
        ("LogOk", Reply::LogOk(log_ok())),
        ("GetOk in flight", Reply::GetOk(get_ok_in_flight())),
        ("WorkersOk", Reply::WorkersOk(WorkersOk { workers: List::lent(&workers), left_out: None })),
        ("OrderOk", Reply::OrderOk(OrderOk { workers: 1 })),
        ("ProgressOk", Reply::ProgressOk(ProgressOk {})),
        ("Error", Reply::Error(Refusal::new(ErrorCode::StorageFull, "no room"))),
        ("Starting", Reply::Error(Refusal::new(ErrorCode::Starting, "40 % is read"))),
    ];
    for (name, reply) in all {
        take(name, encoded(name, &reply));
    }
    for_each_operating_reply(|name, reply| take(name, encoded(name, &reply)));
    schedules::for_each_reply(|name, reply| take(name, encoded(name, &reply)));
    batches::for_each_reply(|name, reply| take(name, encoded(name, &reply)));
    measures::for_each_reply(|name, reply| take(name, encoded(name, &reply)));
    recent::for_each_reply(|name, reply| take(name, encoded(name, &reply)));
}

fn encoded(name: &str, reply: &Reply<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Starting is said before any request was read.
    let correlation = if name == "Starting" { 0 } else { u64::from(reply.kind() & 0xff) };
    reply.encode(correlation, &mut bytes);
    let (header, body) = split_frame(&bytes).unwrap();
    assert_eq!(Reply::decode(header.kind, body).unwrap(), *reply);
    bytes
}

pub fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/protocol.md")).unwrap()
}

/// The bytes of the page's dump under this caption.
fn dump_in(page: &str, name: &str) -> Option<Vec<u8>> {
    let (_, after) = page.split_once(&format!("\n**{name}**"))?;
    let (_, block) = after.split_once("```text\n")?;
    let (block, _) = block.split_once("```")?;
    let digits: String = block.lines().flat_map(|line| line[10..59.min(line.len())].chars()).collect();
    let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// The bytes as the page shows them.
fn hex_dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let (left, right) = digits.split_at(digits.len().min(8));
        let shown: String =
            chunk.iter().map(|byte| if byte.is_ascii_graphic() { *byte as char } else { '.' }).collect();
        let _ = writeln!(text, "{:08x}  {:<23}  {:<23}  |{shown}|", line * 16, left.join(" "), right.join(" "));
    }
    text
}

#[test]
fn the_page_shows_every_frame_as_the_code_writes_it() {
    let page = page();
    let mut wrong = String::new();
    let mut compare = |name: &str, bytes: Vec<u8>| {
        if dump_in(&page, name).as_ref() != Some(&bytes) {
            let _ = write!(wrong, "\n**{name}**\n\n```text\n{}```\n", hex_dump(&bytes));
        }
    };
    for_each_request(&mut compare);
    for_each_reply(&mut compare);
    assert!(wrong.is_empty(), "the page should show:\n{wrong}");
}

#[test]
fn the_event_that_the_page_shows_is_one() {
    let ack = events::Ack { job: JOB, lease: LEASE, result: b"done", ..events::Ack::default() };
    assert_eq!(Event::decode(3, ACKED), Ok(Event::from(ack)));
}
