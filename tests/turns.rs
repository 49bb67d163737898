//! What one turn of the loop does with much that comes at once, and what it gives the disk and when. A daemon that is
//! stopped for a moment finds all of it in its next turn.

mod common;

use common::faults::{Calls, or_skip, strace, traced_falcond};
use common::frames::{job, submit};
use common::wire::Wire;
use common::*;
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

#[test]
fn a_long_payload_comes_straight_to_its_place() {
    let name = "a_long_payload_comes_straight_to_its_place";
    if or_skip(name, strace()).is_none() {
        return;
    }
    let home = scratch();
    let (data, log) = (home.path().join("data"), home.path().join("calls"));
    let master = Master::serving(traced_falcond(&data, &log, "recvfrom", &[]), &data);
    let mut wire = master.connect();
    let jobs = 5;
    for _ in 0..jobs {
        wire.put("q", vec![b'x'; 64 << 10]);
    }
    master.stop();
    // A read of 64 KiB goes to memory that all connections share, and what came is moved from there. The first long frame
    // of a connection is not foreseen.
    let calls = Calls::of(&log);
    let moved: u64 =
        calls.lines().iter().filter(|call| call.contains(", 65536, 0,")).map(|call| came(call)).sum();
    assert!(moved < 2 * (64 << 10), "{moved} bytes of {jobs} payloads were moved");
}

/// What a call gave back, if it was no error.
fn came(call: &str) -> u64 {
    call.rsplit(" = ").next().and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[test]
fn a_spare_segment_goes_to_the_disk_piece_by_piece() {
    let name = "a_spare_segment_goes_to_the_disk_piece_by_piece";
    if or_skip(name, strace()).is_none() {
        return;
    }
    let home = scratch();
    let (data, log) = (home.path().join("data"), home.path().join("calls"));
    let master = Master::serving(traced_falcond(&data, &log, "pwrite64,fsync", &[]), &data);
    // The log's first segment was a spare.
    master.stop();
    let (mut whole, mut most, mut unsynced) = (0, 0, 0);
    for call in Calls::of(&log).lines().iter().filter(|call| call.contains(".room>")) {
        if call.contains(" fsync(") {
            unsynced = 0;
        } else {
            let bytes = call.split(", ").nth(2).and_then(|field| field.parse::<u64>().ok());
            unsynced += bytes.unwrap_or_else(|| panic!("no length in {call:?}"));
            whole += bytes.unwrap_or(0);
            most = most.max(unsynced);
        }
    }
    assert!(whole >= 16 << 20, "{whole} bytes of a segment of 16 MiB were seen");
    assert!(most <= BESIDE_BYTES_MAX, "{most} bytes were given to the disk at once");
}
