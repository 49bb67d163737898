//! Corners of the log's keeping, each of which was once wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::hand::*;
use falconqueue::job::Settings;
use falconqueue::master::{Config, Input, Master, Progress, SyncMode, Urgency};
use falconqueue::protocol::{Backup, Read, Request, Snapshot, Submit, SubmitJob};
use falconqueue::wal::{DirDevice, LogDevice, MemoryDevice, SegmentIo};

fn names(device: &MemoryDevice) -> Vec<String> {
    device.names().unwrap()
}

fn reopen(device: MemoryDevice, sync: SyncMode) -> Result<(), String> {
    let config = Config { sync, ..config() };
    Master::open(config, Arc::new(device), &Progress::default()).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn a_read_behind_the_end_of_a_mapped_file_is_answered_with_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let device = DirDevice::open(dir.path(), SegmentIo::Map).unwrap();
    let config = Config { segment_bytes: 16 << 20, ..config() };
    let opened = Master::open(config, Arc::new(device), &Progress::default()).unwrap();
    let mut hand = Hand::new();
    hand.master = opened.master;
    hand.master.start(hand.now);
    let client = hand.connect();
    hand.put(client, job("q"));
    hand.ask(client, &Request::Backup(Backup {}));
    hand.ask(client, &Request::Read(Read { file: 0, offset: u32::MAX, bytes: 1 }));
}

#[test]
fn a_read_behind_the_end_of_a_file_is_answered_with_nothing() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("q"));
    hand.ask(client, &Request::Backup(Backup {}));
    hand.ask(client, &Request::Read(Read { file: 0, offset: u32::MAX, bytes: 1 }));
}

#[test]
fn a_snapshot_that_fails_while_the_state_is_visited_is_answered_and_tried_again() {
    let device = MemoryDevice::default();
    let cfg = Config { segment_bytes: 64 << 20, beside: true, sync: SyncMode::Never, ..config() };
    let opened = Master::open(cfg, Arc::new(device.clone()), &Progress::default()).unwrap();
    let mut hand = Hand::new();
    hand.master = opened.master;
    hand.device = device.clone();
    hand.master.start(hand.now);
    let client = hand.connect();
    let with = |n: u16| SubmitJob {
        settings: Settings { timeout_ms: 100_000 + u32::from(n), ..attempts(5 + n % 7) },
        payload: &[7; 8],
        ..job("q")
    };
    let jobs: Vec<SubmitJob<'_>> = (0..1000).map(with).collect();
    for _ in 0..300 {
        hand.send(client, &Request::Submit(Submit::of(&jobs)));
    }
    hand.heard(client);
    device.limit_space(Some(100_000));
    hand.send(client, &Request::Snapshot(Snapshot {}));
    let begun = Instant::now();
    let mut turns = 0u32;
    let mut said = Vec::new();
    while begun.elapsed() < Duration::from_secs(30) && said.is_empty() {
        if turns == 200 {
            device.limit_space(None);
        }
        turns += 1;
        hand.now = hand.now.plus(falconqueue::time::Millis(3));
        hand.master.begin_turn(hand.now).unwrap();
        hand.master.finish_turn(hand.now).unwrap();
        hand.sync();
        std::thread::sleep(Duration::from_millis(3));
        said = hand.heard(client);
    }
    assert!(!said.is_empty(), "the snapshot is never answered");
}

#[test]
fn queues_that_were_only_polled_stay_out_of_a_snapshot() {
    let mut hand = Hand::new();
    let client = hand.connect();
    hand.put(client, job("first"));
    let poller = hand.connect();
    let all: Vec<String> = (0..9_999).map(|n| format!("p{n}")).collect();
    for chunk in all.chunks(32) {
        let queues: Vec<&str> = chunk.iter().map(String::as_str).collect();
        hand.send(poller, &poll(&queues, 1, 300_000));
    }
    hand.snapshot(client);
    hand.master.take(poller, Input::Gone, hand.now).unwrap();
    hand.turn().unwrap();
    hand.put(client, job("second"));
    let after = reopen(hand.device.kill(), SyncMode::Always);
    assert!(after.is_ok(), "{after:?}");
}

#[test]
fn a_snapshot_right_after_a_cut_covers_a_segment_that_is_there() {
    let big = Config { segment_bytes: 16 << 20, ..config() };
    let mut hand = Hand::open(big.clone(), MemoryDevice::default(), START);
    let client = hand.connect();
    for _ in 0..400 {
        hand.put(client, job("q"));
    }
    // not synced: a torn group
    hand.send(client, &Request::Submit(Submit::of(&[job("q"), job("q")])));
    let device = hand.device.kill();
    let newest = *device.segments().last().unwrap();
    device.damage(newest, |content| {
        let last = content.iter().rposition(|byte| *byte != 0).unwrap();
        content[last] ^= 1;
    });
    let device = device.kill();
    let cfg = Config { sync: SyncMode::Never, ..big };
    let mut hand = Hand::open(cfg, device, hand.now);
    let client = hand.connect();
    hand.send(client, &Request::Snapshot(Snapshot {}));
    for _ in 0..20 {
        hand.turn().unwrap();
        if let Some(request) = hand.master.sync_request(hand.now, Urgency::Quiet) {
            hand.master.synced(&request.run()).unwrap();
        }
    }
    let after = reopen(hand.device.crash(), SyncMode::Never);
    assert!(after.is_ok(), "{after:?}");
}

#[test]
fn a_torn_tail_on_a_full_disk_is_no_obstacle() {
    let mut hand = Hand::new();
    let client = hand.connect();
    for _ in 0..100 {
        hand.put(client, job("q"));
    }
    let payload = [7u8; 3000];
    hand.send(client, &Request::Submit(Submit::of(&[SubmitJob { payload: &payload, ..job("q") }])));
    let device = hand.device.kill();
    for name in names(&device).iter().filter(|name| name.ends_with("spare")) {
        device.remove(name).unwrap();
    }
    let newest = *device.segments().last().unwrap();
    device.damage(newest, |content| {
        let last = content.iter().rposition(|byte| *byte != 0).unwrap();
        content[last] ^= 1;
    });
    let device = device.kill();
    device.limit_space(Some(0));
    let files = names(&device);
    for _ in 0..4 {
        assert_eq!(reopen(device.clone(), SyncMode::Always), Ok(()));
        assert_eq!(names(&device), files, "nothing piles up");
    }
}

#[test]
fn a_snapshot_gets_its_name_only_when_the_log_is_durable_up_to_it() {
    let config = Config { sync: SyncMode::Never, ..config() };
    let mut hand = Hand::open(config, MemoryDevice::default(), START);
    let client = hand.connect();
    hand.send(client, &Request::Submit(Submit::of(&[job("q")])));
    hand.send(client, &Request::Snapshot(Snapshot {}));
    let is_named = |hand: &Hand| !falconqueue::wal::names::snapshots(&names(&hand.device)).is_empty();
    for _ in 0..20 {
        hand.turn().unwrap();
    }
    assert!(hand.master.wants_sync() && !is_named(&hand), "{:?}", names(&hand.device));
    assert_eq!(reopen(hand.device.crash(), SyncMode::Never), Ok(()));
    assert!(hand.sync());
    hand.turn().unwrap();
    hand.turn().unwrap();
    assert!(is_named(&hand), "{:?}", names(&hand.device));
}

#[test]
fn a_segment_is_kept_as_long_as_the_snapshot_before_the_last_needs_it() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let mut without_the_last = 0;
    for _ in 0..300 {
        // Nothing lives in a segment once it is full: its jobs are done.
        hand.put(client, SubmitJob { payload: &[b'x'; 2000], ..job("q") });
        let got = hand.take(client, "q");
        assert!(hand.ack(client, got.job, got.lease));
        hand.pass(100);
        hand.sync();
        let left = hand.device.crash();
        let snapshots: Vec<String> =
            names(&left).into_iter().filter(|name| name.rsplit('.').next() == Some("snap")).collect();
        if let [_, last] = &snapshots[..] {
            left.remove(last).unwrap();
            left.sync_names().unwrap();
            without_the_last += 1;
            let again = Hand::open(config(), left, hand.now);
            assert_eq!(again.master.queues().describe(), hand.master.queues().describe());
        }
    }
    assert!(without_the_last >= 50, "{without_the_last}");
}

/// Time alone ends what is kept, and no record says so: a replay comes to the moment of the last record, where it is
/// kept still.
#[test]
fn a_segment_is_kept_until_a_record_is_behind_the_time_of_what_was_kept_in_it() {
    let mut hand = Hand::new();
    let client = hand.connect();
    for _ in 0..20 {
        for _ in 0..40 {
            hand.put(client, SubmitJob { payload: &[b'x'; 2000], keep_ms: Some(5000), ..job("q") });
            let got = hand.take(client, "q");
            assert!(hand.ack(client, got.job, got.lease));
            hand.pass(10);
            hand.sync();
        }
        hand.pass(10_000);
        hand.pass(1000);
        Hand::open(config(), hand.device.kill(), hand.now);
        Hand::open(config(), hand.device.crash(), hand.now);
    }
    assert!(hand.device.segments().len() <= 4, "what is behind that time is given up");
}
