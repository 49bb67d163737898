//! What a later falcond wrote is refused, whatever else there is, and nothing is changed.

use super::snapshot::file::{BlockWriter, SnapshotHeader};
use super::*;

/// Three segments, of which everything was synced.
fn synced_segments() -> MemoryDevice {
    let (device, mut wal) = fresh();
    for number in 1..4u8 {
        append_synced(&mut wal, &[&[number; 5000]]);
    }
    assert_eq!(device.segments(), [Lsn(1), Lsn(2), Lsn(3)]);
    device.kill()
}

/// Refused, in the name of this file; returns the sentence.
#[track_caller]
fn refused(device: &MemoryDevice, file: &str) -> String {
    let before = device.operations();
    let error = open(device).unwrap_err();
    assert!(error.is_later(), "{error}");
    assert_eq!(device.operations(), before, "nothing is changed");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{file} was written by a later falcond: ")), "{text}");
    text
}

/// Writes a record anew, so that it is whole by its checksum.
fn rewrite(content: &mut [u8], at: usize, byte: usize, value: u8) {
    content[at + byte] = value;
    let length = u32::from_le_bytes(content[at + 4..at + 8].try_into().unwrap()) as usize;
    let crc = segment::crc_of(Stamp::new(7, 0).seed, [&content[at + 4..at + length], &[]]);
    content[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_later_version_of_any_segment_is_refused_also_behind_damage() {
    for first in [1, 2, 3] {
        let device = synced_segments();
        device.damage(Lsn(first), |content| content[8] = 2);
        refused(&device, &names::segment(Lsn(first)));
        device.damage(Lsn(if first == 1 { 2 } else { 1 }), |content| content[200] ^= 1);
        refused(&device, &names::segment(Lsn(first)));
    }
}

#[test]
fn unknown_flags_of_a_header_are_refused_and_nonsense_is_damage() {
    for (byte, value) in [(64, 2), (64, 3), (66, 1), (68, 1)] {
        let device = synced_segments();
        device.damage(Lsn(3), |content| {
            content[byte] = value;
            let crc = crc32fast::hash(&content[16..SEGMENT_HEADER_BYTES]);
            content[12..16].copy_from_slice(&crc.to_le_bytes());
        });
        refused(&device, &names::segment(Lsn(3)));
    }
    for (byte, value) in [(8, 0), (9, 1), (0, 0)] {
        let device = synced_segments();
        device.damage(Lsn(3), |content| content[byte] = value);
        assert!(matches!(open(&device), Err(WalError::Header { segment: Lsn(3), .. })), "{byte}");
    }
}

#[test]
fn an_unknown_flag_of_a_record_is_refused_also_at_the_unsynced_end() {
    for (byte, value) in [(37, 2), (37, 0x81), (38, 1), (39, 1)] {
        let device = synced_segments();
        device.damage(Lsn(3), |content| rewrite(content, SEGMENT_HEADER_BYTES, byte, value));
        let text = refused(&device, &names::segment(Lsn(3)));
        assert!(text.contains("record 3 has the flags 0x"), "{text}");
    }
}

#[test]
fn a_spare_of_a_later_version_is_refused() {
    let device = synced_segments();
    let mut head = SegmentHeader { epoch: 9, ..header_of_first(&device) }.encode();
    head[8] = 2;
    head.resize(SEGMENT as usize, 0);
    device.create(&names::spare(77)).unwrap().append(&head).unwrap();
    refused(&device, &names::spare(77));
}

fn header_of_first(device: &MemoryDevice) -> SegmentHeader {
    SegmentHeader::decode(&device.read_piece(&names::segment(Lsn(1)), 0, 100).unwrap()).unwrap()
}

#[test]
fn a_snapshot_of_a_later_version_is_not_passed_over() {
    let device = synced_segments();
    let header = SnapshotHeader { log_id: 7, lsn: Lsn(2), at: Timestamp(1) };
    let mut content = header.encode();
    content.extend_from_slice(&BlockWriter::new(&header).end());
    content[8] = 2;
    device.create(&names::snapshot(Lsn(2))).unwrap().append(&content).unwrap();
    refused(&device, &names::snapshot(Lsn(2)));
    device.damage_file(&names::snapshot(Lsn(2)), |content| content[20] ^= 1);
    assert_eq!(open(&device).unwrap().1.len(), 3, "one that is damaged is passed over");
}

/// Knows no record and no block.
struct Stranger;

impl Stranger {
    fn later<T>(lsn: Option<Lsn>) -> Result<T, WalError> {
        Err(WalError::Later { file: None, lsn, what: "an event of kind 9".to_owned() })
    }
}

impl Restore for Stranger {
    fn block(&mut self, _kind: u32, _body: &[u8]) -> Result<(), WalError> {
        Stranger::later(None)
    }

    fn loaded(&mut self, _lsn: Lsn, _at: Timestamp) -> Result<(), WalError> {
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        Stranger::later(Some(record.head.lsn))
    }
}

#[test]
fn what_is_rebuilt_may_refuse_a_record_and_the_file_is_named() {
    let device = synced_segments();
    let error = inspect(&device, &mut Stranger).unwrap_err();
    assert_eq!(
        error.to_string(),
        "00000000000000000001.wal was written by a later falcond: record 1 has an event of kind 9; start the falcond \
         that wrote it. Nothing was changed"
    );
}
