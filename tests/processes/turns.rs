//! What one turn of the loop does with much that comes at once, and what it gives the disk and when. A daemon that is
//! stopped for a moment finds all of it in its next turn.

use crate::faults::{Calls, or_skip, strace, traced_falcond};
use crate::harness::frames::{job, submit};
use crate::harness::wire::Wire;
use crate::harness::*;
use rustix::process::Signal;

/// More than two syncs' worth of payloads, from connections that one turn reads.
const PRODUCERS: usize = 20;
const PAYLOAD_BYTES: usize = 12 << 10;

/// What may be given to the disk at once beside the sync that replies wait for.
const BESIDE_BYTES_MAX: u64 = 256 << 10;

#[test]
fn a_large_turn_does_not_wait_for_its_end_to_sync() {
    let master = Master::fresh(&[]);
    let mut producers: Vec<Wire> = (0..PRODUCERS).map(|_| master.connect()).collect();
    let before = master.stats().syncs;
    master.signal(Signal::STOP);
    let request = submit(&[job("q", vec![b'x'; PAYLOAD_BYTES])]);
    let sent: Vec<u64> = producers.iter_mut().map(|wire| wire.send(&request)).collect();
    master.signal(Signal::CONT);
    for (wire, correlation) in producers.iter_mut().zip(sent) {
        wire.reply_to(correlation);
    }
    let syncs = producers[0].stats().syncs - before;
    assert!(syncs >= 2, "{syncs} sync of {PRODUCERS} jobs of {PAYLOAD_BYTES} bytes");
    master.stop();
}

/// What a daemon calls of `traced` from its start to its end while it is used like this; none where nothing can be
/// traced.
fn calls(test: &str, traced: &str, used: impl FnOnce(&Master)) -> Option<Calls> {
    or_skip(test, strace())?;
    let home = scratch();
    let (data, log) = (home.path().join("data"), home.path().join("calls"));
    let master = Master::serving(traced_falcond(&data, &log, traced, &[]), &data);
    used(&master);
    master.stop();
    Some(Calls::of(&log))
}

#[test]
fn a_long_payload_comes_straight_to_its_place() {
    let jobs = 5;
    let calls = calls("a_long_payload_comes_straight_to_its_place", "recvfrom", |master| {
        let mut wire = master.connect();
        for _ in 0..jobs {
            wire.put("q", vec![b'x'; 64 << 10]);
        }
    });
    let Some(calls) = calls else { return };
    // A read of 64 KiB goes to memory that all connections share, and what came is moved from there. The first long
    // frame of a connection is not foreseen.
    let shared = calls.lines().iter().filter(|call| call.contains(", 65536, 0,"));
    let moved: u64 = shared.filter_map(|call| call.rsplit(" = ").next()?.parse::<u64>().ok()).sum();
    assert!(moved < 2 * (64 << 10), "{moved} bytes of {jobs} payloads were moved");
}

/// Bytes that were written to files of this kind, and the most of them that waited for a sync at any moment.
fn written(calls: &Calls, kind: &str) -> (u64, u64) {
    let (mut whole, mut most, mut unsynced) = (0, 0, 0);
    for call in calls.lines().iter().filter(|call| call.contains(kind) && !call.contains("resumed>")) {
        if call.contains(" fsync(") {
            unsynced = 0;
        } else if call.contains("write") {
            let field = call.split(", ").nth(2).and_then(|field| field.split([')', ' ']).next());
            let bytes: u64 = field.and_then(|field| field.parse().ok()).unwrap_or_else(|| panic!("{call:?}"));
            unsynced += bytes;
            whole += bytes;
            most = most.max(unsynced);
        }
    }
    (whole, most)
}

#[test]
fn a_spare_segment_goes_to_the_disk_piece_by_piece() {
    // The log's first segment is a spare before it has its name.
    let calls = calls("a_spare_segment_goes_to_the_disk_piece_by_piece", "pwrite64,fsync", |_| {});
    let Some(calls) = calls else { return };
    let (whole, most) = written(&calls, ".room>");
    assert!(whole >= 16 << 20, "{whole} bytes of a segment of 16 MiB were seen");
    assert!(most <= BESIDE_BYTES_MAX, "{most} bytes were given to the disk at once");
}

#[test]
fn a_snapshot_goes_to_the_disk_piece_by_piece() {
    let calls = calls("a_snapshot_goes_to_the_disk_piece_by_piece", "write,fsync", |master| {
        let mut wire = master.connect();
        let jobs: Vec<_> = (0..1000).map(|_| job("q", "x")).collect();
        for _ in 0..100 {
            wire.put_all(&jobs);
        }
        master.cli(&["snapshot"]).expect(0);
    });
    let Some(calls) = calls else { return };
    let (whole, most) = written(&calls, ".snap.tmp>");
    assert!(whole > 2 * BESIDE_BYTES_MAX, "{whole} bytes of a snapshot were seen");
    // A block is not cut.
    assert!(most < 2 * BESIDE_BYTES_MAX, "{most} of {whole} bytes were given to the disk at once");
}
