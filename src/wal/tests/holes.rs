//! What recovery decides about holes: torn tails, lost headers, and damage to what was durable.

use super::*;

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on_in_a_fresh_segment() {
    let (device, mut wal) = fresh();
    append_each(&mut wal, &[b"kept", b"torn record"]);
    let torn = device.kill();
    flip(&torn, 1, 2, 42);
    let (mut wal, seen) = open(&torn).unwrap();
    assert_eq!(lsns(&seen), [1]);
    append_synced(&mut wal, &[b"after the cut"]);
    let (wal, seen) = open(&torn.crash()).unwrap();
    assert_eq!(seen[1], (2, b"after the cut".to_vec()));
    assert_eq!(wal.stats().segments, 2);
}

#[test]
fn unsynced_records_behind_a_hole_do_not_come_back() {
    let (device, mut wal) = fresh();
    append_each(&mut wal, &[b"one", b"two", b"three"]);
    let holed = device.kill();
    holed.damage(Lsn(1), |content| {
        let (second, third) = (place(content, 2), place(content, 3));
        content[second..third].fill(0);
    });
    let (mut wal, seen) = open(&holed).unwrap();
    assert_eq!(lsns(&seen), [1]);
    append(&mut wal, &[b"two again"]);
    let (_, seen) = open(&holed.kill()).unwrap();
    assert_eq!(seen, [(1, b"one".to_vec()), (2, b"two again".to_vec())]);
}

#[test]
fn damage_to_what_was_durable_is_refused_with_its_place() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"one"]);
    append_synced(&mut wal, &[b"two"]);
    append(&mut wal, &[b"three names two as durable"]);
    for lsn in [1, 2] {
        let damaged = device.kill();
        let mut at = 0;
        damaged.damage(Lsn(1), |content| {
            at = place(content, lsn);
            content[at + 41] ^= 4;
        });
        match open(&damaged) {
            Err(WalError::Damaged { offset, lsn: missing, durable, .. }) => {
                assert_eq!((offset as usize, missing, durable), (at, Lsn(lsn), Lsn(2)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn damage_in_a_segment_that_durable_ones_continue_is_refused() {
    let (device, mut wal) = fresh();
    for number in 0..40u8 {
        append_synced(&mut wal, &[&[number; 300]]);
    }
    device.damage(Lsn(1), |content| content[100] ^= 1);
    assert!(matches!(open(&device), Err(WalError::Damaged { lsn: Lsn(1), .. })));
}

#[test]
fn a_hole_at_the_unsynced_end_of_a_segment_takes_the_next_one_with_it() {
    let (device, mut wal) = fresh();
    append_synced(&mut wal, &[b"one"]);
    append_each(&mut wal, &[&[2; 5000], &[3; 5000]]);
    assert_eq!(device.segments(), [Lsn(1), Lsn(3)]);
    let holed = device.kill();
    zero_from(&holed, 1, 2);
    let (wal, seen) = open(&holed).unwrap();
    assert_eq!(lsns(&seen), [1]);
    assert_eq!(wal.next_lsn(), Lsn(2));
}

#[test]
fn a_segment_that_was_named_but_never_begun_is_no_obstacle() {
    let (device, mut wal) = fresh();
    append_synced(&mut wal, &[b"one"]);
    let after = device.crash();
    after.create(&names::segment(Lsn(2))).unwrap().append(&[0; SEGMENT as usize]).unwrap();
    assert_eq!(found(&after), [1]);
}

#[test]
fn a_missing_segment_and_a_foreign_one_are_refused() {
    let (device, mut wal) = fresh();
    for number in 0..60u8 {
        append_synced(&mut wal, &[&[number; 300]]);
    }
    let firsts = device.segments();
    assert!(firsts.len() > 2);
    let without_first = device.kill();
    without_first.remove(&names::segment(firsts[0])).unwrap();
    assert!(matches!(open(&without_first), Err(WalError::Missing { .. })));
    let without_second = device.kill();
    without_second.remove(&names::segment(firsts[1])).unwrap();
    assert!(matches!(open(&without_second), Err(WalError::Damaged { .. })));
    let foreign = device.kill();
    foreign.damage(firsts[1], |content| {
        let mut header = SegmentHeader::decode(content).unwrap();
        header.log_id = 8;
        content[..SEGMENT_HEADER_BYTES].copy_from_slice(&header.encode());
    });
    let error = open(&foreign).unwrap_err().to_string();
    assert!(error.contains("another log"), "{error}");
}

#[test]
fn records_of_an_older_epoch_are_the_end_and_are_written_over() {
    let (device, mut wal) = fresh();
    append_synced(&mut wal, &[b"one"]);
    device.damage(Lsn(1), |content| {
        let head =
            RecordHead { lsn: Lsn(2), at: Timestamp(1), term: 0, epoch: 0, durable: Lsn(0), kind: 1, more: false };
        let at = place(content, 1) + record_bytes(3);
        let mut left_over = Vec::new();
        encode_start(&head, Stamp::new(7, 0).seed, b"old", b"", &mut left_over);
        content[at..at + left_over.len()].copy_from_slice(&left_over);
    });
    let (mut wal, seen) = open(&device).unwrap();
    assert_eq!((lsns(&seen), wal.stats().segments), (vec![1], 1));
    append(&mut wal, &[b"x"]);
    assert_eq!(open(&device.kill()).unwrap().1[1], (2, b"x".to_vec()));
}

#[test]
fn a_torn_first_record_does_not_keep_the_log_from_going_on() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"torn"]);
    let torn = device.kill();
    torn.damage(Lsn(1), |content| content[SEGMENT_HEADER_BYTES + 41] ^= 1);
    let (mut wal, seen) = open(&torn).unwrap();
    assert_eq!((lsns(&seen), wal.next_lsn()), (vec![], Lsn(1)));
    append_synced(&mut wal, &[b"fresh"]);
    assert_eq!(open(&torn.crash()).unwrap().1, [(1, b"fresh".to_vec())]);
}

/// Three segments, of which nothing after the first record was synced.
fn unsynced_segments() -> MemoryDevice {
    let (device, mut wal) = fresh();
    append_synced(&mut wal, &[b"one"]);
    for number in 2..6u8 {
        append(&mut wal, &[&[number; 5000]]);
    }
    assert_eq!(device.segments(), [Lsn(1), Lsn(3), Lsn(4), Lsn(5)]);
    device.kill()
}

#[test]
fn an_unsynced_header_that_was_lost_ends_the_log_there() {
    let device = unsynced_segments();
    device.damage(Lsn(3), |content| content[..4096].fill(0));
    let (mut wal, seen) = open(&device).unwrap();
    assert_eq!(lsns(&seen), [1, 2]);
    append(&mut wal, &[b"three again"]);
    assert_eq!(found(&device.kill()), [1, 2, 3]);
}

#[test]
fn a_header_that_was_synced_and_is_lost_is_refused() {
    let (device, mut wal) = fresh();
    for number in 1..5u8 {
        append_synced(&mut wal, &[&[number; 5000]]);
    }
    device.damage(Lsn(2), |content| content[..64].fill(0));
    assert!(matches!(open(&device), Err(WalError::Header { segment: Lsn(2), .. })));
}

#[test]
fn a_last_segment_of_an_unknown_version_is_refused() {
    let device = unsynced_segments();
    device.damage(Lsn(5), |content| content[8] = 2);
    let error = open(&device).unwrap_err().to_string();
    assert!(error.contains("written by a later falcond: it has format version 2"), "{error}");
}

#[test]
fn a_payload_that_looks_like_a_record_proves_nothing() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"one"]);
    let head = RecordHead { lsn: Lsn(3), at: Timestamp(1), term: 0, epoch: 1, durable: Lsn(3), kind: 1, more: false };
    let mut forged = Vec::new();
    encode_start(&head, 0, b"", b"", &mut forged);
    append(&mut wal, &[&forged]);
    let torn = device.kill();
    flip(&torn, 1, 2, 0);
    assert_eq!(found(&torn), [1]);
}

#[test]
fn an_epoch_is_never_used_twice() {
    let device = unsynced_segments();
    device.damage(Lsn(3), |content| content[..4096].fill(0));
    let (wal, _) = open(&device).unwrap();
    assert_eq!(wal.segments.iter().map(|held| held.covered.epoch).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn a_mark_vouches_for_the_newest_group() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"one"]);
    assert!(!wal.wants_mark(), "it is not durable yet");
    sync(&mut wal);
    assert!(wal.wants_mark());
    wal.append_mark(Timestamp(9)).unwrap();
    assert!(!wal.wants_mark() && wal.has_unsynced());
    sync(&mut wal);
    assert!(!wal.wants_mark() && !wal.has_unsynced(), "one is enough");
    let damaged = device.crash();
    flip(&damaged, 1, 1, 41);
    assert!(matches!(open(&damaged), Err(WalError::Damaged { lsn: Lsn(1), .. })));
}

#[test]
fn a_torn_first_record_behind_a_mark_does_not_keep_the_log_from_going_on() {
    let (device, mut wal) = fresh();
    append(&mut wal, &[b"one"]);
    append_synced(&mut wal, &[&[2; 8000]]);
    wal.append_mark(Timestamp(1)).unwrap();
    append_synced(&mut wal, &[&[3; 8000]]);
    wal.append_mark(Timestamp(1)).unwrap();
    wal.roll().unwrap();
    wal.write_record(
        wal.last_lsn(),
        &NewRecord { at: Timestamp(1), kind: KIND_MARK, head: &[], tail: &[], more: false },
    )
    .unwrap();
    append(&mut wal, &[b"torn"]);
    let torn = device.kill();
    flip(&torn, 4, 4, 41);
    let (mut wal, seen) = open(&torn).unwrap();
    assert_eq!(lsns(&seen), [1, 2, 3]);
    append(&mut wal, &[b"four again"]);
    assert_eq!(found(&torn.kill()), [1, 2, 3, 4]);
}

#[test]
fn a_lost_header_is_refused_although_the_epochs_before_it_have_a_gap() {
    let device = unsynced_segments();
    zero_from(&device, 1, 2);
    let (mut wal, seen) = open(&device).unwrap();
    assert_eq!(lsns(&seen), [1]);
    for body in [b"two", b"six", b"ten"] {
        append_synced(&mut wal, &[body]);
    }
    device.damage(Lsn(2), |content| content[..64].fill(0));
    assert!(matches!(open(&device), Err(WalError::Header { segment: Lsn(2), .. })));
}

#[test]
fn a_header_that_claims_more_than_a_segment_can_have_is_refused() {
    let (device, mut wal) = fresh();
    append_synced(&mut wal, &[b"one"]);
    append(&mut wal, &[b"two"]);
    // The end is torn, so that the file would be filled with zeros as far as its header says.
    device.damage(Lsn(1), |content| {
        content[36..40].copy_from_slice(&(crate::limits::SEGMENT_BYTES_MAX + 4096).to_le_bytes());
        let crc = crc32fast::hash(&content[16..SEGMENT_HEADER_BYTES]);
        content[12..16].copy_from_slice(&crc.to_le_bytes());
        let record = place(content, 2);
        content[record + 40] ^= 1;
    });
    let before = device.operations();
    let error = open(&device).unwrap_err();
    assert!(matches!(error, WalError::Segment { segment: Lsn(1), .. }), "{error}");
    assert_eq!(device.operations(), before, "nothing is changed");
}
