//! Each hex dump of `protocol.md` is decoded, and is what the code writes for the values that its caption names.

use std::fmt::Write;

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{
    AckItem, BackupFile, Counts, Delivery, ErrorCode, FailItem, HeldLease, Hello, HelloOk, ItemStatus,
    LeaseStatus, List, Poll, QueueCounts, ReadFile, Refusal, ReleaseItem, Reply, Request, Stats, SubmitJob,
    Submitted, VERSION,
};

const JOB: JobId = JobId(7);
const LEASE: LeaseId = LeaseId(9);

/// Calls `take` with the name and the bytes of every frame that the page shows, and decodes each.
fn for_each_request(mut take: impl FnMut(&str, Vec<u8>)) {
    let jobs = [SubmitJob {
        queue: "mail",
        key: "order-5",
        priority: 128,
        max_attempts: 3,
        delay_ms: 1500,
        timeout_ms: 30_000,
        payload: b"hello",
    }];
    let ack = [AckItem { job: JOB, lease: LEASE, result: b"done" }];
    let fail = [FailItem { job: JOB, lease: LEASE, for_good: false, error: "no route" }];
    let release = [ReleaseItem { job: JOB, lease: LEASE, delay_ms: 0 }];
    let held = [HeldLease { job: JOB, lease: LEASE }];
    let poll = Poll { queues: List::lent(&["mail", "bulk"]), jobs_max: 1, wait_ms: 30_000, lease_ms: 10_000 };
    let all = [
        ("Hello", Request::Hello(Hello { version: VERSION, name: "nc", token: b"secret" })),
        ("Submit", Request::Submit(List::lent(&jobs))),
        ("Poll", Request::Poll(poll)),
        ("Ack", Request::Ack(List::lent(&ack))),
        ("Fail", Request::Fail(List::lent(&fail))),
        ("Release", Request::Release(List::lent(&release))),
        ("Heartbeat", Request::Heartbeat(List::lent(&held))),
        ("Stats", Request::Stats),
        ("Snapshot", Request::Snapshot),
        ("Backup", Request::Backup),
        ("Read", Request::Read(ReadFile { file: 1, offset: 1 << 20, bytes: 1 << 20 })),
    ];
    for (name, request) in all {
        request.check().unwrap();
        let mut bytes = Vec::new();
        request.encode(u64::from(request.kind()), &mut bytes);
        let (header, body) = split_frame(&bytes).unwrap();
        assert_eq!(Request::decode(header.kind, body).unwrap(), request);
        take(name, bytes);
    }
}

fn for_each_reply(mut take: impl FnMut(&str, Vec<u8>)) {
    let hello = HelloOk {
        version: VERSION,
        session: SessionId(1 << 20),
        software: "falcond 0.1.0",
        body_bytes_max: 8 << 20,
        payload_bytes_max: 1 << 20,
        items_max: 1024,
    };
    let submitted = [Submitted { job: JOB, duplicate: false }];
    let deliveries = [Delivery {
        job: JOB,
        lease: LEASE,
        queue: "mail",
        key: "order-5",
        priority: 128,
        attempt: 1,
        max_attempts: 3,
        timeout_ms: 30_000,
        lease_ms: 10_000,
        payload: b"hello",
    }];
    let done = [ItemStatus { job: JOB, refused: None }];
    let lost = [ItemStatus { job: JOB, refused: Some(ErrorCode::LeaseLost) }];
    let leases = [LeaseStatus { job: JOB, stop: false, remaining_ms: 10_000 }];
    let counts = Counts { pending: 1, delayed: 2, in_flight: 3, completed: 4, dead: 5, cancelled: 0 };
    let queues = [QueueCounts { name: "mail", counts }];
    let stats = Stats {
        uptime_ms: 60_000,
        connections: 2,
        waiting_polls: 1,
        records: 30,
        syncs: 12,
        durable_lsn: 30,
        segments: 1,
        log_bytes: 64 << 20,
        totals: counts,
        queues: List::lent(&queues),
    };
    let files = [
        BackupFile { name: "00000000000000000030.snap", bytes: 260, size: 260 },
        BackupFile { name: "00000000000000000001.wal", bytes: 3000, size: 64 << 20 },
    ];
    let refusal = Refusal::new(ErrorCode::StorageFull, "no room");
    let all = [
        ("HelloOk", Reply::HelloOk(hello)),
        ("SubmitOk", Reply::SubmitOk(List::lent(&submitted))),
        ("PollOk", Reply::PollOk(List::lent(&deliveries))),
        ("AckOk", Reply::AckOk(List::lent(&done))),
        ("FailOk", Reply::FailOk(List::lent(&lost))),
        ("ReleaseOk", Reply::ReleaseOk(List::lent(&done))),
        ("HeartbeatOk", Reply::HeartbeatOk(List::lent(&leases))),
        ("StatsOk", Reply::StatsOk(stats)),
        ("SnapshotOk", Reply::SnapshotOk { lsn: 30, bytes: 260 }),
        ("BackupOk", Reply::BackupOk(List::lent(&files))),
        ("ReadOk", Reply::ReadOk(b"FALCNWAL")),
        ("Error", Reply::Error(refusal)),
        ("Starting", Reply::Error(Refusal::new(ErrorCode::Starting, "40 % is read"))),
    ];
    for (name, reply) in all {
        let mut bytes = Vec::new();
        // Starting is said before any request was read.
        let correlation = if name == "Starting" { 0 } else { u64::from(reply.kind() & 0xff) };
        reply.encode(correlation, &mut bytes);
        let (header, body) = split_frame(&bytes).unwrap();
        assert_eq!(Reply::decode(header.kind, body).unwrap(), reply);
        take(name, bytes);
    }
}

fn page() -> String {
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
        let _ =
            writeln!(text, "{:08x}  {:<23}  {:<23}  |{shown}|", line * 16, left.join(" "), right.join(" "));
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
fn the_page_lists_every_error_code_with_its_manners() {
    let page = page();
    for code in ErrorCode::ALL {
        let word = |yes: bool| if yes { "yes" } else { "no" };
        let row = format!(
            "| {} | `{code:?}` | {} | {} |",
            code.code(),
            word(code.retry_may_help()),
            word(code.closes())
        );
        assert!(page.contains(&row), "protocol.md lacks the row {row}");
    }
}

#[test]
fn the_page_names_the_bounds_of_the_code() {
    use falconqueue::limits::*;
    let page = page();
    let grouped = |number: u64| {
        let digits = number.to_string();
        let from_end = digits.len();
        let with_commas = digits.char_indices().map(|(at, digit)| {
            let comma = at > 0 && (from_end - at).is_multiple_of(3);
            if comma { format!(",{digit}") } else { digit.to_string() }
        });
        with_commas.collect::<String>()
    };
    for (name, bound) in [
        ("frame body", FRAME_BODY_BYTES_MAX as u64),
        ("body before Hello", HELLO_BODY_BYTES_MAX as u64),
        ("payload", PAYLOAD_BYTES_MAX as u64),
        ("result", RESULT_BYTES_MAX as u64),
        ("error text", ERROR_TEXT_BYTES_MAX as u64),
        ("items", ITEMS_MAX as u64),
        ("waiting polls", WAITING_POLLS_MAX as u64),
        ("delay", DELAY_MS_MAX),
        ("timeout", TIMEOUT_MS_MAX),
        ("wait", u64::from(WAIT_MS_MAX)),
        ("lease", u64::from(LEASE_MS_MAX)),
        ("attempts", u64::from(ATTEMPTS_MAX)),
        ("queues", QUEUES_MAX as u64),
        ("piece of a file", u64::from(READ_BYTES_MAX)),
    ] {
        assert!(page.contains(&grouped(bound)), "protocol.md lacks the bound of {name}, {}", grouped(bound));
    }
}
