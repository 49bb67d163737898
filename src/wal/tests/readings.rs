//! What is read beside the one who appends: texts, and the records of one subject page by page.

use super::*;
use crate::ids::Location;
use crate::limits::{TEXTS_BYTES_MAX, TEXTS_MAX};

/// A log of this many records of 300 bytes, each full of its number, on a device in memory.
fn numbered(records: u8) -> (MemoryDevice, Wal) {
    let (device, mut wal) = fresh();
    for number in 1..=records {
        append(&mut wal, &[&[number; 300]]);
    }
    sync(&mut wal);
    (device, wal)
}

/// A log in real files.
fn in_files(dir: &std::path::Path, segment_io: SegmentIo) -> Wal {
    let device = Arc::new(DirDevice::open(dir, segment_io).unwrap());
    let config = WalConfig { segment_bytes: 64 << 10, log_id: 7, beside: false };
    Wal::open(device, config, &Progress::default(), &mut Vec::new()).unwrap()
}

fn batch(texts: &[(u64, Location, u32)]) -> TextBatch {
    let mut batch = TextBatch::default();
    assert!(texts.iter().all(|(number, at, bytes)| batch.add(Text { number: *number, at: *at, bytes: *bytes })));
    batch
}

fn texts_of(reading: TextsReading) -> Vec<(u64, Option<Vec<u8>>)> {
    reading.run(|| false).into_iter().map(|(number, text)| (number, text.ok())).collect()
}

fn any(_kind: u8, _body: &[u8]) -> bool {
    true
}

fn page(wal: &Wal, from: u64, bounds: LogBounds) -> LogPage {
    wal.log_reading(Lsn(from), bounds).run(any, || false).unwrap()
}

fn lsns_of(page: &LogPage) -> Vec<u64> {
    page.records.iter().map(|record| record.lsn.0).collect()
}

fn small(records: usize, bytes: usize, read_bytes: u64) -> LogBounds {
    LogBounds { records, bytes, read_bytes }
}

/// Puts a snapshot of nothing behind all that is there.
fn take_snapshot(wal: &mut Wal) {
    let mut snapshot = wal.begin_snapshot(Timestamp(5)).unwrap();
    snapshot.block(7, b"state".to_vec());
    snapshot.finish();
    snapshot.publish();
    wal.snapshot_published(KeptSnapshot { lsn: wal.last_lsn(), bytes: 100, at: Timestamp(5) });
}

#[test]
fn texts_are_read_in_memory_and_from_real_files() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [dir.path().join("map"), dir.path().join("pwrite")];
    for path in &paths {
        std::fs::create_dir(path).unwrap();
    }
    let logs = [fresh().1, in_files(&paths[0], SegmentIo::Map), in_files(&paths[1], SegmentIo::Pwrite)];
    for mut wal in logs {
        let first = append(&mut wal, &[b"+first"]).tail_at;
        while wal.stats().segments < 3 {
            append(&mut wal, &[&[1; 3000]]);
        }
        let last = append(&mut wal, &[b"+last"]).tail_at;
        let reading = wal.texts_reading(batch(&[(7, last, 4), (9, first, 5), (8, first, 2)]));
        let expected =
            [(7, &b"last"[..]), (9, b"first"), (8, b"fi")].map(|(number, text)| (number, Some(text.to_vec())));
        let read = std::thread::spawn(move || texts_of(reading)).join().unwrap();
        assert_eq!(read, expected);
    }
}

#[test]
fn a_text_that_cannot_be_read_is_told_and_the_others_are_read() {
    let (device, mut wal) = fresh();
    let texts = [b"+one", b"+two"].map(|text| append(&mut wal, &[text]).tail_at);
    let reading = wal.texts_reading(batch(&[(1, texts[0], 3), (2, texts[1], 3)]));
    device.damage(Lsn(1), |content| content.truncate(texts[1].offset as usize));
    assert_eq!(texts_of(reading), [(1, Some(b"one".to_vec())), (2, None)]);
}

#[test]
fn a_batch_of_texts_has_bounds() {
    let text = |bytes| Text { number: 0, at: Location { epoch: 1, offset: 0 }, bytes };
    let mut many = TextBatch::default();
    assert!(many.is_empty());
    assert!((0..TEXTS_MAX).all(|_| many.add(text(1))));
    assert!(!many.add(text(1)));
    let mut long = TextBatch::default();
    let half = u32::try_from(TEXTS_BYTES_MAX / 2).unwrap();
    assert!(long.add(text(half)) && long.add(text(half)) && !long.add(text(1)));
    let mut huge = TextBatch::default();
    assert!(huge.add(text(2 * half + 1)), "a first one is always taken");
    assert!(!huge.add(text(0)));
}

#[test]
fn nothing_more_is_read_once_nobody_waits() {
    let (_, wal) = numbered(60);
    let at = Location { epoch: 1, offset: 100 };
    assert_eq!(wal.texts_reading(batch(&[(1, at, 3)])).run(|| true).len(), 0);
    let looks = std::cell::Cell::new(0);
    let is_over = || looks.replace(looks.get() + 1) > 0;
    let page = wal.log_reading(Lsn(1), LogBounds::default()).run(any, is_over).unwrap();
    assert!(!page.records.is_empty() && page.records.len() < 40, "one segment: {:?}", lsns_of(&page));
}

#[test]
fn pages_follow_one_another_and_hold_each_record_once() {
    let (_, wal) = numbered(60);
    for bounds in [small(7, usize::MAX, u64::MAX), small(1000, 1000, u64::MAX), small(1000, usize::MAX, 1)] {
        let (mut all, mut from, mut pages) = (Vec::new(), Some(Lsn(0)), 0);
        while let Some(lsn) = from {
            let page = page(&wal, lsn.0, bounds);
            assert!(page.missing.is_empty());
            all.extend(page.records);
            (from, pages) = (page.next, pages + 1);
        }
        assert!(pages > 2, "{bounds:?}: {pages} pages");
        let expected: Vec<KeptRecord> = (1..=60)
            .map(|number| KeptRecord { lsn: Lsn(number.into()), at: Timestamp(5), kind: 1, body: vec![number; 300] })
            .collect();
        assert_eq!(all, expected, "{bounds:?}");
    }
    let exact = page(&wal, 51, small(10, usize::MAX, u64::MAX));
    assert_eq!((lsns_of(&exact), exact.next), ((51..=60).collect(), None), "a page that is just full is the last");
    assert_eq!(page(&wal, 61, LogBounds::default()), LogPage::default());
    assert_eq!(page(&wal, u64::MAX, LogBounds::default()), LogPage::default());
}

#[test]
fn a_first_record_is_there_whatever_it_has_and_what_is_not_wanted_takes_no_place() {
    let (_, mut wal) = numbered(3);
    let long = append(&mut wal, &[&[9; 5000]]).lsn;
    let reading = wal.log_reading(Lsn(1), small(10, 100, u64::MAX));
    let page = reading.run(|_, body| body[0] == 9, || false).unwrap();
    assert_eq!((lsns_of(&page), page.next), (vec![long.0], None));
}

#[test]
fn a_record_longer_than_a_piece_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let device = Arc::new(DirDevice::open(dir.path(), SegmentIo::Auto).unwrap());
    let config = WalConfig { segment_bytes: 4 << 20, log_id: 7, beside: false };
    let mut wal = Wal::open(device, config, &Progress::default(), &mut Vec::new()).unwrap();
    for number in 0..5 {
        append(&mut wal, &[&vec![number; 1 << 20]]);
        append(&mut wal, &[b"short"]);
    }
    let page = page(&wal, 1, small(100, usize::MAX, u64::MAX));
    assert_eq!(lsns_of(&page), (1..=10).collect::<Vec<_>>());
    assert!(page.records[8].body == vec![4; 1 << 20]);
}

#[test]
fn what_comes_after_a_reading_was_made_is_not_in_it() {
    let (_, mut wal) = numbered(3);
    let reading = wal.log_reading(Lsn(1), LogBounds::default());
    for _ in 0..60 {
        append(&mut wal, &[&[9; 300]]);
    }
    assert_eq!(lsns_of(&reading.run(any, || false).unwrap()), [1, 2, 3]);
}

#[test]
fn a_segment_is_not_given_up_while_it_is_read_and_its_records_are_missing_afterwards() {
    let (_, mut wal) = numbered(60);
    let newest = wal.full_segments().last().unwrap().next;
    (0..2).for_each(|_| take_snapshot(&mut wal));
    let log = wal.log_reading(Lsn(1), LogBounds::default());
    let text = batch(&[(3, Location { epoch: 1, offset: 104 }, 2)]);
    let texts = wal.texts_reading(text);
    assert_eq!(wal.give_up_segments(0, |_| true), 0, "all are pinned");
    assert_eq!(lsns_of(&log.run(any, || false).unwrap()), (1..=60).collect::<Vec<_>>());
    assert_eq!(texts_of(texts).len(), 1);
    assert!(wal.give_up_segments(0, |_| true) > 0);
    let page = page(&wal, 1, LogBounds::default());
    let missing = MissingRecords { first: Lsn(1), last: Lsn(newest.0 - 1), next_at: Timestamp(5) };
    assert_eq!((page.missing.as_slice(), page.records[0].lsn), (&[missing][..], newest));
}

#[test]
fn runs_that_are_missing_are_told_once_where_pages_meet() {
    let (_, mut wal) = numbered(90);
    let full: Vec<_> = wal.full_segments().collect();
    assert!(full.len() >= 3, "{full:?}");
    (0..2).for_each(|_| take_snapshot(&mut wal));
    assert_eq!(wal.give_up_segments(u64::MAX / 4, |epoch| epoch == full[1].epoch), 1);
    let expected = [(full[1].first, Lsn(full[1].next.0 - 1))];
    for bounds in [LogBounds::default(), small(1, usize::MAX, u64::MAX), small(1000, usize::MAX, 1)] {
        let (mut runs, mut from) = (Vec::new(), Some(Lsn(0)));
        while let Some(lsn) = from {
            let page = page(&wal, lsn.0, bounds);
            runs.extend(page.missing.iter().map(|run| (run.first, run.last)));
            from = page.next;
        }
        assert_eq!(runs, expected, "{bounds:?}");
    }
}

#[test]
fn damage_is_an_error_of_the_reading() {
    let (device, wal) = numbered(60);
    flip(&device, 1, 5, 100);
    let outcome = wal.log_reading(Lsn(1), LogBounds::default()).run(any, || false);
    assert!(matches!(outcome, Err(WalError::Damaged { .. })), "{outcome:?}");
    let behind = wal.full_segments().next().unwrap().next.0;
    assert_eq!(page(&wal, behind, LogBounds::default()).records[0].lsn, Lsn(behind), "it is not looked at");
}
