//! The log on a device in memory: what is appended, synced, marked, and found again.

mod holes;
mod later;
mod readings;

use std::sync::Arc;

use super::device::memory::MemoryDevice;
use super::error::WalError;
use super::segment::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::segment::record::{KIND_MARK, Stamp, encode_start};
use super::*;
use crate::ids::Lsn;
use crate::time::{Millis, Timestamp};

const SEGMENT: u32 = 8192;

type Seen = Vec<(u64, Vec<u8>)>;

/// Keeps what it is given: the blocks of a snapshot under LSN 0, then the records.
impl Restore for Seen {
    fn block(&mut self, _kind: u32, body: &[u8]) -> Result<(), WalError> {
        self.push((0, body.to_vec()));
        Ok(())
    }

    fn loaded(&mut self, _lsn: Lsn, _at: Timestamp) -> Result<(), WalError> {
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        self.push((record.head.lsn.0, record.body.to_vec()));
        Ok(())
    }
}

fn open_with(device: &MemoryDevice, segment_bytes: u32) -> Result<(Wal, Seen), WalError> {
    let mut seen = Vec::new();
    let config = WalConfig { segment_bytes, log_id: 7, beside: false };
    let wal = Wal::open(Arc::new(device.clone()), config, &Progress::default(), &mut seen)?;
    Ok((wal, seen))
}

fn open(device: &MemoryDevice) -> Result<(Wal, Seen), WalError> {
    open_with(device, SEGMENT)
}

/// A log that was just begun.
fn fresh() -> (MemoryDevice, Wal) {
    let device = MemoryDevice::default();
    let (wal, _) = open(&device).unwrap();
    (device, wal)
}

fn append(wal: &mut Wal, bodies: &[&[u8]]) -> Appended {
    wal.begin_group(bodies.iter().map(|body| record_bytes(body.len())).sum()).unwrap();
    let mut last = None;
    for (left, body) in (0..bodies.len()).rev().zip(bodies) {
        let record = NewRecord { at: Timestamp(5), kind: 1, head: &body[..1], tail: &body[1..], more: left > 0 };
        last = Some(wal.append(&record).unwrap());
    }
    last.unwrap()
}

fn sync(wal: &mut Wal) {
    let outcome = wal.sync_request().unwrap().run();
    wal.synced(&outcome).unwrap();
}

/// Appends each as a group of its own.
fn append_each(wal: &mut Wal, bodies: &[&[u8]]) {
    for body in bodies {
        append(wal, &[body]);
    }
}

fn append_synced(wal: &mut Wal, bodies: &[&[u8]]) -> Appended {
    let appended = append(wal, bodies);
    sync(wal);
    appended
}

fn lsns(seen: &[(u64, Vec<u8>)]) -> Vec<u64> {
    seen.iter().map(|(lsn, _)| *lsn).collect()
}

/// The records that are found when it is opened.
fn found(device: &MemoryDevice) -> Vec<u64> {
    lsns(&open(device).unwrap().1)
}

/// Where the record of this LSN begins in a segment's content.
fn place(content: &[u8], lsn: u64) -> usize {
    let records = &content[SEGMENT_HEADER_BYTES..];
    let found = records.windows(8).position(|bytes| bytes == lsn.to_le_bytes());
    found.expect("the record is there") + SEGMENT_HEADER_BYTES - 8
}

/// Flips a bit of a record.
fn flip(device: &MemoryDevice, segment: u64, lsn: u64, byte: usize) {
    device.damage(Lsn(segment), |content| {
        let record = place(content, lsn);
        content[record + byte] ^= 1;
    });
}

/// Takes a record away, and all that follows it in its segment.
fn zero_from(device: &MemoryDevice, segment: u64, lsn: u64) {
    device.damage(Lsn(segment), |content| {
        let record = place(content, lsn);
        content[record..].fill(0);
    });
}

#[test]
fn a_fresh_log_is_empty_and_survives_a_crash() {
    let device = MemoryDevice::default();
    drop(open(&device).unwrap());
    let (wal, seen) = open(&device.crash()).unwrap();
    assert_eq!((wal.last_lsn(), seen.len()), (Lsn(0), 0));
}

#[test]
fn what_was_synced_survives_and_the_rest_does_not() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"one"]);
    append_synced(&mut wal, &[b"two"]);
    assert_eq!(wal.durable(), Lsn(2));
    append(&mut wal, &[b"three"]);
    let (after, seen) = open(&device.crash()).unwrap();
    assert_eq!(seen, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    assert_eq!(after.next_lsn(), Lsn(3));
    assert_eq!(found(&device.kill()), [1, 2, 3], "a killed process loses nothing");
}

#[test]
fn what_a_killed_daemon_wrote_is_durable_before_it_is_told() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"one"]);
    let (after, _) = open(&device).unwrap();
    assert_eq!(after.durable(), Lsn(1));
    assert_eq!(found(&device.crash()), [1]);
}

#[test]
fn payloads_are_lent_from_where_they_were_put() {
    let (mut wal, _) = open(&MemoryDevice::default()).unwrap();
    let first = append(&mut wal, &[b"+payload"]);
    append(&mut wal, &[&[b'x'; 5000]]);
    append(&mut wal, &[&[b'y'; 5000]]);
    assert_eq!(wal.stats().segments, 2);
    assert_eq!(wal.payload(first.tail_at, 7).unwrap().as_slice(), b"payload");
}

#[test]
fn segments_follow_one_another_without_gaps() {
    let (device, mut wal) = fresh();
    for number in 0..100u8 {
        append(&mut wal, &[&[number; 300]]);
    }
    sync(&mut wal);
    assert!(wal.stats().segments > 3);
    let (mut wal, seen) = open(&device.crash()).unwrap();
    assert_eq!(lsns(&seen), (1..=100).collect::<Vec<_>>());
    append_synced(&mut wal, &[b"more"]);
    assert_eq!(open(&device.crash()).unwrap().1.len(), 100, "the copy that crashed is a log of its own");
}

#[test]
fn a_group_is_recovered_whole_or_not_at_all() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"alone"]);
    append(&mut wal, &[b"first", b"second", b"third"]);
    assert_eq!(found(&device.kill()), [1, 2, 3, 4]);
    let torn = device.kill();
    zero_from(&torn, 1, 4);
    let (wal, seen) = open(&torn).unwrap();
    assert_eq!(lsns(&seen), [1], "the group's last record is gone, and the group with it");
    assert_eq!(wal.next_lsn(), Lsn(2));
}

#[test]
fn one_sync_is_under_way_at_a_time_and_covers_what_came_before_it() {
    let (mut wal, _) = open(&MemoryDevice::default()).unwrap();
    assert!(wal.sync_request().is_none(), "nothing to sync");
    append(&mut wal, &[b"one"]);
    let request = wal.sync_request().unwrap();
    append(&mut wal, &[b"two"]);
    assert!(wal.sync_request().is_none(), "one is under way");
    wal.synced(&request.run()).unwrap();
    assert_eq!(wal.durable(), Lsn(1));
    sync(&mut wal);
    assert_eq!((wal.durable(), wal.has_unsynced()), (Lsn(2), false));
}

#[test]
fn a_failed_sync_is_an_error_and_makes_nothing_durable() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"one"]);
    device.fail_syncs();
    let outcome = wal.sync_request().unwrap().run();
    assert!(wal.synced(&outcome).is_err());
    assert_eq!(wal.durable(), Lsn(0));
}

#[test]
fn what_a_failed_sync_left_in_memory_only_is_not_believed() {
    for bytes in [3, 5000] {
        let (device, mut wal) = fresh();
        append_synced(&mut wal, &[&vec![b'x'; bytes]]);
        append(&mut wal, &[b"two"]);
        device.fail_sync(1, 1);
        assert!(wal.sync_request().unwrap().run().result.is_err());
        assert_eq!(found(&device), [1], "after a record of {bytes} bytes");
    }
}

#[test]
fn without_room_for_a_next_segment_new_jobs_are_refused_and_the_reserve_serves_the_rest() {
    let (device, mut wal) = fresh();
    device.limit_space(Some(u64::from(SEGMENT)));
    let mut accepted = 0;
    let mut now = Timestamp(1000);
    while wal.room_for_jobs(300, 0, now).is_ok() {
        append(&mut wal, &[&[0; 200]]);
        accepted += 1;
        now = now.plus(Millis(1));
    }
    assert!(accepted > 40, "the spare was used: {accepted}");
    append(&mut wal, &[&[0; 1000]]);
    assert!(wal.room_for_jobs(300, 0, now).is_err());
    device.limit_space(None);
    let later = now.plus(room::SPARE_RETRY);
    let _ = wal.room_for_jobs(300, 0, later);
    wal.room_for_jobs(300, 0, later).unwrap();
}

#[test]
fn room_is_made_before_a_job_has_to_wait_for_it() {
    let (mut wal, _) = open(&MemoryDevice::default()).unwrap();
    let reserved = u64::from(SEGMENT) * 3 / 8;
    for job in 0..200 {
        wal.want_room(reserved);
        wal.proceed(Timestamp(0)).unwrap();
        assert!(wal.has_room(300, reserved + wal.fixed_reserve()), "before job {job}");
        append(&mut wal, &[&[b'x'; 200]]);
    }
    assert!(wal.stats().segments > 5);
}

#[test]
fn segments_of_another_size_than_todays_setting_are_used_as_they_are() {
    for (before, after) in [(8192, 65536), (65536, 8192)] {
        let device = MemoryDevice::default();
        let (mut wal, _) = open_with(&device, before).unwrap();
        for _ in 0..(before / 1100) {
            append(&mut wal, &[&[1; 1000]]);
        }
        let (mut wal, _) = open_with(&device.kill(), after).unwrap();
        for _ in 0..100 {
            wal.room_for_jobs(1100, 0, Timestamp(0)).unwrap();
            append(&mut wal, &[&[2; 1000]]);
        }
    }
}

#[test]
fn marks_take_no_lsn_and_the_log_goes_on_after_them() {
    let (device, mut wal) = fresh();
    for number in 1..=60u8 {
        assert_eq!(append_synced(&mut wal, &[&[number; 300]]).lsn, Lsn(u64::from(number)));
        wal.append_mark(Timestamp(9)).unwrap();
        sync(&mut wal);
    }
    let (wal, seen) = open(&device.crash()).unwrap();
    assert_eq!(lsns(&seen), (1..=60).collect::<Vec<_>>());
    assert_eq!((wal.next_lsn(), wal.stats().records), (Lsn(61), 60));
    assert!(!wal.wants_mark(), "what is on disk vouches already");
}

#[test]
fn only_short_payloads_that_were_just_written_are_looked_at_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let device = Arc::new(DirDevice::open(dir.path(), SegmentIo::Map).unwrap());
    let config = WalConfig { segment_bytes: 16 << 20, log_id: 7, beside: false };
    let mut wal = Wal::open(device, config, &Progress::default(), &mut Vec::new()).unwrap();
    let first = append(&mut wal, &[b"1payload"]).tail_at;
    assert_eq!(wal.fresh_payload(first, 7), Some(&b"payload"[..]));
    let long = append(&mut wal, &[&[7; 8 << 10]]).tail_at;
    assert_eq!((wal.fresh_payload(long, 4 << 10).is_some(), wal.fresh_payload(long, 8000)), (true, None));
    for _ in 0..14 {
        append(&mut wal, &[&vec![0; 600 << 10]]);
    }
    assert_eq!(wal.fresh_payload(first, 7), None, "more than 8 MiB was written since");
    let before = append(&mut wal, &[b"1payload"]).tail_at;
    while wal.stats().segments == 1 {
        append(&mut wal, &[&vec![0; 100 << 10]]);
    }
    assert_eq!(wal.fresh_payload(before, 7), None, "it lies in another segment");
    assert_eq!(wal.payload(before, 7).unwrap().as_slice(), b"payload");
}

/// Notes what it is told, and in the end refuses the log.
#[derive(Default)]
struct Refusing(Vec<String>);

impl Restore for Refusing {
    fn begun(&mut self, lsn: Lsn) {
        self.0.push(format!("begun {lsn}"));
    }

    fn block(&mut self, kind: u32, _body: &[u8]) -> Result<(), WalError> {
        self.0.push(format!("block {kind}"));
        Ok(())
    }

    fn loaded(&mut self, lsn: Lsn, _at: Timestamp) -> Result<(), WalError> {
        self.0.push(format!("loaded {lsn}"));
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        self.0.push(format!("record {}", record.head.lsn));
        Ok(())
    }

    fn ended(&mut self, has_segment: &dyn Fn(u32) -> bool) -> Result<(), WalError> {
        self.0.push(format!("ended {:?}", [1, 2].map(has_segment)));
        Err(WalError::Gone { epoch: 2, texts: 1 })
    }
}

#[test]
fn what_is_rebuilt_hears_all_in_order_and_may_refuse_it_before_anything_is_changed() {
    let (device, mut wal) = fresh();
    append_synced(&mut wal, &[b"one"]);
    let mut snapshot = wal.begin_snapshot(Timestamp(5)).unwrap();
    snapshot.block(7, b"state".to_vec());
    snapshot.finish();
    snapshot.publish();
    append(&mut wal, &[b"two"]);
    append(&mut wal, &[b"three"]);
    flip(&device, 1, 3, 40);
    let (before, mut told) = (device.operations(), Refusing::default());
    let config = WalConfig { segment_bytes: SEGMENT, log_id: 7, beside: false };
    Wal::open(Arc::new(device.clone()), config, &Progress::default(), &mut told).unwrap_err();
    assert_eq!(told.0, ["begun 1", "block 7", "loaded 1", "record 2", "ended [true, false]"]);
    assert_eq!(device.operations(), before, "the torn tail is still there");
}
