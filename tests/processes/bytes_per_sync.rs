//! What a sync writes to the device, as the device itself counts it. The page cache decides that: where it holds a
//! segment in large pieces, a sync of one small job writes a whole piece.

use std::thread;
use std::time::Duration;

use crate::faults::{Disk, or_skip};
use crate::harness::*;

const JOBS: u64 = 500;

/// A job of 64 bytes costs its page of the log, and now and then one of the file system's journal.
const BYTES_PER_SYNC_MAX: u64 = 16 * 1024;

/// Waits until nobody writes to the device any more: the segment that is made ahead is there.
fn wait_silence(disk: &Disk) {
    let mut before = disk.bytes_written();
    wait_until("a device that is silent", SOON, || {
        // Longer than the daemon takes to mark a log that has fallen silent.
        thread::sleep(Duration::from_millis(700));
        let now = disk.bytes_written();
        std::mem::replace(&mut before, now) == now
    });
}

/// Submits jobs one at a time, each with a sync of its own; gives the bytes that one sync cost.
#[track_caller]
fn bytes_per_sync(disk: &Disk, master: &Master) -> u64 {
    let mut wire = master.connect();
    wait_silence(disk);
    let before = (disk.bytes_written(), wire.stats());
    for _ in 0..JOBS {
        wire.put("q", [b'x'; 64]);
    }
    let after = (disk.bytes_written(), wire.stats());
    assert_eq!(before.1.segments, after.1.segments, "all in one segment");
    let syncs = after.1.syncs - before.1.syncs;
    assert!((JOBS..JOBS + 20).contains(&syncs), "{syncs} syncs of {JOBS} jobs");
    (after.0 - before.0) / syncs
}

#[test]
fn a_sync_of_a_small_job_writes_little() {
    let name = "a_sync_of_a_small_job_writes_little";
    let Some(disk) = or_skip(name, Disk::ext4(256)) else { return };
    let master = Master::start(&disk.data(), &[]);
    let bytes = bytes_per_sync(&disk, &master);
    println!("{bytes} bytes per sync in a log that was just begun");
    assert!(bytes <= BYTES_PER_SYNC_MAX, "{bytes} bytes per sync");
    master.stop();
}

#[test]
fn a_sync_writes_little_in_a_segment_that_was_read_back_from_the_disk() {
    let name = "a_sync_writes_little_in_a_segment_that_was_read_back_from_the_disk";
    let Some(disk) = or_skip(name, Disk::ext4(256)) else { return };
    let master = Master::start(&disk.data(), &[]);
    // The kernel reads ahead in pieces that grow, so the end of the log has to lie well inside the segment.
    for _ in 0..5 {
        master.connect().put("q", vec![b'x'; 1_000_000]);
    }
    master.stop();
    disk.remount();
    // What most devices have; the loop devices' own differs from machine to machine.
    disk.read_ahead(128);
    let master = Master::start(&disk.data(), &[]);
    let bytes = bytes_per_sync(&disk, &master);
    println!("{bytes} bytes per sync after a restart with nothing cached");
    assert!(bytes <= BYTES_PER_SYNC_MAX, "{bytes} bytes per sync");
    master.stop();
}
