//! A segment: its header and its records. Of the first byte bit 0 makes the checksums right, and bit 1 the LSNs and
//! epochs, too.

use std::convert::Infallible;

use falconqueue::ids::Lsn;
use falconqueue::wal::fuzzing::{
    RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, Stamp, encode_start, record_at, scan, valid_after,
};
use falconqueue::wal::{Record, record_bytes};

use crate::bytes::u32_at;
use crate::{seeds, whole};

pub fn run(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let mut segment = rest.to_vec();
    if how & 1 == 1 {
        whole::segment(&mut segment, how & 2 == 2);
    }
    let header = SegmentHeader::decode(&segment);
    if let Ok(header) = header {
        assert_eq!(header.encode(), segment[..SEGMENT_HEADER_BYTES], "one way to write it");
    }
    // Without a header the records are read as if they were of the log that it names.
    let id = segment.get(16..32).and_then(|id| id.first_chunk()).copied().unwrap_or_default();
    let epoch = segment.get(32..36).map_or(0, |bytes| u32_at(bytes, 0));
    let first = header.map_or(Lsn(1), |header| header.first_lsn);
    let stamp = Stamp::new(u128::from_le_bytes(id), epoch);
    read(&segment, stamp, first);
    let search_from = SEGMENT_HEADER_BYTES as u32;
    let any = valid_after(&segment, search_from, stamp.seed, &(0..=u32::MAX), Lsn(0));
    assert!(any.records * RECORD_HEADER_BYTES <= segment.len());
    for offset in (0..segment.len() as u32 + 16).step_by(8).take(64) {
        // A record may begin anywhere for all that the reader knows.
        let _ = record_at(&segment, offset, stamp);
    }
}

fn read(segment: &[u8], stamp: Stamp, first: Lsn) {
    let mut next = first;
    let scanned = scan(segment, stamp, first, &mut |record: &Record<'_>| {
        assert_eq!(record.head.lsn, next, "records stand in the order of their LSNs");
        assert_eq!(record.head.epoch, stamp.epoch);
        assert!(record.head.durable <= record.head.lsn);
        next = record.head.lsn.next();
        same_again(record, stamp);
        Ok::<(), Infallible>(())
    });
    let Ok(end) = scanned;
    assert_eq!(end.next_lsn, next, "what was visited is what there is");
    assert!(end.offset.is_multiple_of(8) && end.offset as usize <= segment.len().max(SEGMENT_HEADER_BYTES) + 7);
}

/// Written again, the record is the same.
fn same_again(record: &Record<'_>, stamp: Stamp) {
    let mut out = Vec::new();
    let (head, tail) = record.body.split_at(record.body.len() / 2);
    let crc = encode_start(&record.head, stamp.seed, head, tail, &mut out);
    out.extend_from_slice(tail);
    out.resize(record_bytes(record.body.len()), 0);
    let again = record_at(&out, 0, stamp).expect("what was just written");
    assert_eq!((again.head, again.body, again.crc), (record.head, record.body, crc));
    // A lag that reaches before the first record names none, as the largest one does.
    assert!(crc == record.crc || record.head.durable == Lsn(0) || record.head.term != 0, "one way to write it");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (name, content) in seeds::fixture() {
        if !name.contains(".wal") {
            continue;
        }
        for how in 0..4 {
            all.push([&[how], &content[..content.len().min(1500)]].concat());
        }
    }
    all
}
