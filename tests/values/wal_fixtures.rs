//! Logs of format version 1 that are kept in the repository: each loads, or is refused, the same for ever.
//!
//! A directory of `tests/fixtures/log-v1` holds a data directory and `expected.txt`: what became of it, and the state.
//! They were written once, by `cargo test --test values wal_fixtures -- --ignored`; writing them again would defeat
//! their purpose, but for a new format version beside the old one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::hand::*;
use falconqueue::ids::{Lsn, SessionId};
use falconqueue::job::Settings;
use falconqueue::master::{Config, Master, Progress, WalError};
use falconqueue::protocol::SubmitJob;
use falconqueue::wal::{DirDevice, LogDevice, MemoryDevice, SegmentIo, names};

const SMALL: u32 = 16 << 10;
const EXPECTED: &str = "expected.txt";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log-v1")
}

/// Opens a log in a directory: the state, or why not.
fn outcome(dir: &Path) -> String {
    let device = DirDevice::open(dir, SegmentIo::Auto).expect("the directory");
    let config = Config { segment_bytes: SMALL, beside: false, ..Config::default() };
    match Master::open(config, Arc::new(device), &Progress::default()) {
        Ok(opened) => {
            opened.master.queues().check();
            format!("serves\n{}\n", opened.master.queues().describe().join("\n"))
        }
        Err(error) => format!("refused: {}\n", place(&error)),
    }
}

/// What was refused and where; the words for a person may change.
fn place(error: &WalError) -> String {
    match error {
        WalError::Damaged { segment, offset, lsn, .. } => {
            format!("damaged segment {segment} byte {offset} LSN {lsn}")
        }
        WalError::Later { file, lsn, .. } => format!("later version: {file:?} {lsn:?}"),
        WalError::Header { segment, fault } => format!("header of segment {segment}: {fault:?}"),
        WalError::Missing { from, to, .. } => format!("missing records {from} to {to}"),
        WalError::Snapshot { name, offset, .. } => format!("damaged snapshot {name} byte {offset}"),
        WalError::Replay { why } => format!("replay: {why}"),
        WalError::Gone { epoch, texts } => format!("{texts} texts gone with the segment of epoch {epoch}"),
        other => format!("{other:?}"),
    }
}

fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a temporary directory");
    for entry in fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("a file");
        if entry.file_name() != EXPECTED {
            fs::copy(entry.path(), to.path().join(entry.file_name())).expect("a copy");
        }
    }
    to
}

#[test]
fn every_log_that_was_kept_loads_or_is_refused_as_it_was() {
    let mut count = 0;
    for entry in fs::read_dir(fixtures()).expect("the fixtures") {
        let dir = entry.expect("a fixture").path();
        let expected = fs::read_to_string(dir.join(EXPECTED)).expect("what is expected");
        let copy = copied(&dir);
        let before = contents(copy.path());
        assert_eq!(outcome(copy.path()), expected, "{}", dir.display());
        let is_as_it_was = contents(copy.path()) == before;
        assert!(is_as_it_was || expected.starts_with("serves"), "{}: what is refused is not changed", dir.display());
        // What was mended stays mended, and what was refused is refused again.
        assert_eq!(outcome(copy.path()), expected, "{} the second time", dir.display());
        count += 1;
    }
    assert_eq!(count, CASES.len());
}

/// Every file and its content.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir, "").into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

type Change = fn(&Path);

/// The fixtures, and what was done to a clean log to get each.
const CASES: &[(&str, Change)] = &[
    ("clean", |_| {}),
    ("torn-tail", |dir| {
        let (path, content) = last_segment(dir);
        let end = last_record_end(&content);
        fs::write(path, [&content[..end - 9], &vec![0; content.len() - end + 9]].concat()).unwrap();
    }),
    ("cut-off-file", |dir| {
        let (path, content) = last_segment(dir);
        fs::write(path, &content[..last_record_end(&content)]).unwrap();
    }),
    ("record-after-a-hole", |dir| {
        let (path, mut content) = last_segment(dir);
        let end = last_record_end(&content);
        let torn = content[72..136].to_vec();
        content[end + 512..end + 576].copy_from_slice(&torn);
        fs::write(path, content).unwrap();
    }),
    ("damaged-record", |dir| flip(&segments(dir).pop().unwrap(), 120)),
    ("damaged-payload-that-a-snapshot-covers", |dir| flip(&segments(dir)[0], 130)),
    ("damaged-header", |dir| flip(&segments(dir).pop().unwrap(), 20)),
    ("zeroed-sector", |dir| {
        let path = &segments(dir)[1];
        let mut content = fs::read(path).unwrap();
        content[512..1024].fill(0);
        fs::write(path, content).unwrap();
    }),
    ("missing-segment", |dir| fs::remove_file(segments(dir).pop().unwrap()).unwrap()),
    ("missing-payloads", |dir| fs::remove_file(&segments(dir)[0]).unwrap()),
    ("later-version", |dir| {
        let (path, mut content) = last_segment(dir);
        content[8] = 2;
        fs::write(path, content).unwrap();
    }),
    ("later-snapshot", |dir| {
        let path = &snapshots(dir)[1];
        let mut content = fs::read(path).unwrap();
        content[8] = 2;
        fs::write(path, content).unwrap();
    }),
    ("damaged-newest-snapshot", |dir| flip(&snapshots(dir)[1], 100)),
    ("cut-off-newest-snapshot", |dir| {
        let path = &snapshots(dir)[1];
        let content = fs::read(path).unwrap();
        fs::write(path, &content[..content.len() - 1]).unwrap();
    }),
    ("both-snapshots-damaged", |dir| snapshots(dir).iter().for_each(|path| flip(path, 100))),
    ("left-behind", |dir| {
        fs::write(dir.join("00000099.spare.tmp"), b"half made").unwrap();
        fs::write(dir.join("00000000000000009999.snap.tmp"), b"half made").unwrap();
    }),
];

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = all.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect();
    all.sort();
    all
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    files(dir, ".wal")
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    files(dir, ".snap")
}

fn last_segment(dir: &Path) -> (PathBuf, Vec<u8>) {
    let path = segments(dir).pop().unwrap();
    let content = fs::read(&path).unwrap();
    (path, content)
}

/// Where the last record ends, by the lengths alone.
fn last_record_end(content: &[u8]) -> usize {
    let mut at = 72;
    loop {
        let length = u32::from_le_bytes(content[at + 4..at + 8].try_into().unwrap()) as usize;
        if length == 0 {
            return at;
        }
        at += length.next_multiple_of(8);
    }
}

fn flip(path: &Path, byte: usize) {
    let mut content = fs::read(path).unwrap();
    content[byte] ^= 1;
    fs::write(path, content).unwrap();
}

/// A log with jobs in every state, snapshots, moved payloads and segments that were used before.
fn write_clean(dir: &Path) {
    let config = Config { segment_bytes: SMALL, ..config() };
    let mut hand = Hand::open(config, MemoryDevice::default(), START);
    let client = hand.connect();
    let keyed = SubmitJob { key: "first", payload: b"the oldest job stays", ..job("kept") };
    hand.put(client, keyed);
    for round in 0..400u32 {
        hand.put(client, SubmitJob { payload: &[b'p'; 64], ..job("work") });
        let got = hand.take(client, "work");
        match round % 40 {
            0 => assert!(hand.fail(client, got.job, got.lease, true)),
            1 => assert!(hand.release(client, got.job, got.lease, 3_600_000)),
            _ => assert!(hand.ack(client, got.job, got.lease)),
        }
        hand.pass(10);
        hand.sync();
    }
    fill(&mut hand, client);
    assert!(hand.master.snapshots() > 2 && hand.device.segments()[0] > Lsn(1), "segments were given up");
    assert!(hand.log().iter().any(|(name, job)| (*name, *job) == ("MOVE", 1)), "the oldest job was moved");
    for name in hand.device.names().unwrap() {
        let content = hand.device.read(&name).unwrap();
        if names::spare_number(&name).is_none() && names::room_number(&name).is_none() {
            fs::write(dir.join(name), content).unwrap();
        }
    }
}

/// Jobs that fill a segment, lines of jobs in several states, and keys.
fn fill(hand: &mut Hand, client: SessionId) {
    // These stay where they are: a segment of theirs is full of what lives.
    let bulk = [SubmitJob { payload: &[b'b'; 600], ..job("bulk") }; 9];
    for _ in 0..2 {
        hand.submit(client, &bulk);
    }
    for _ in 0..60 {
        hand.put(client, SubmitJob { payload: &[b'p'; 64], ..job("work") });
        let got = hand.take(client, "work");
        assert!(hand.ack(client, got.job, got.lease));
        hand.pass(10);
        hand.sync();
    }
    for priority in [200, 100, 0] {
        hand.put(
            client,
            SubmitJob { settings: Settings { priority, timeout_ms: 5000, max_attempts: 3 }, ..job("lines") },
        );
    }
    hand.put(client, SubmitJob { delay_ms: 86_400_000, key: "later", ..job("lines") });
    hand.take(client, "lines");
    let ended = hand.put(client, SubmitJob { key: "done", ..job("keys") });
    let got = hand.take(client, "keys");
    assert!(got.job == ended && hand.ack(client, got.job, got.lease));
    hand.pass(200);
    hand.sync();
}

#[test]
#[ignore = "writes the fixtures; see the head of this file"]
fn write_the_fixtures() {
    let clean = tempfile::tempdir().unwrap();
    write_clean(clean.path());
    for (name, change) in CASES {
        let dir = fixtures().join(name);
        fs::create_dir_all(&dir).unwrap();
        let copy = copied(clean.path());
        change(copy.path());
        for entry in fs::read_dir(copy.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
        }
        fs::write(dir.join(EXPECTED), outcome(copy.path())).unwrap();
    }
}
