//! The files of the log, told one by one, come to the figures of the log.

use falconqueue::ids::SessionId;
use falconqueue::limits::STORAGE_SEGMENTS_MAX;
use falconqueue::protocol::SubmitJob;

use crate::frames::{self, ACTIVE, FULL, Reply, SPARE, Storage};
use crate::hand::*;

const PAYLOAD: &[u8] = &[b'x'; 20_000];

fn storage(hand: &mut Hand, client: SessionId) -> Storage {
    match hand.ask_frame(client, &frames::storage()) {
        Reply::StorageOk(told) => told,
        other => panic!("{other:?}"),
    }
}

/// Holds the sums of what is told against the figures of the log.
fn hold_against(told: &Storage, hand: &mut Hand, client: SessionId) {
    let Reply::MeasureOk(measured) = hand.ask_frame(client, &frames::measure()) else { panic!("no measures") };
    let in_use = || told.segments.iter().filter(|segment| segment.state != SPARE);
    assert_eq!(in_use().count() as u64, measured.figures["segments"]);
    assert_eq!(in_use().map(|segment| segment.bytes).sum::<u64>(), measured.figures["log_bytes"]);
    let live_bytes = told.segments.iter().map(|segment| segment.live_bytes).sum::<u64>();
    assert_eq!(live_bytes, measured.figures["live_bytes"]);
    assert_eq!(told.left_out, 0);
    for segment in &told.segments {
        assert!(segment.live_bytes <= segment.used_bytes && segment.used_bytes <= segment.bytes, "{segment:?}");
        assert_eq!(segment.state == SPARE, segment.first == 0, "{segment:?}");
    }
    let states: Vec<u8> = told.segments.iter().map(|segment| segment.state).collect();
    assert!(states[0] == ACTIVE && states[1..].is_sorted() && !states[1..].contains(&ACTIVE), "{states:?}");
    assert!(in_use().is_sorted_by(|newer, older| newer.first > older.first), "newest first");
}

#[test]
fn what_is_told_of_each_segment_comes_to_the_figures_of_the_log() {
    let mut hand = Hand::new();
    let client = hand.connect();
    while storage(&mut hand, client).segments.iter().filter(|segment| segment.state == FULL).count() < 3 {
        hand.put(client, SubmitJob { payload: PAYLOAD, ..job("q") });
    }
    let full = storage(&mut hand, client);
    hold_against(&full, &mut hand, client);
    assert_eq!(full.segments.iter().filter(|segment| segment.state == SPARE).count(), full.segments.len() - 4);
    assert!(full.segments[..4].iter().all(|segment| segment.used_bytes > 0));
    let oldest = full.segments[3];
    assert!(oldest.first == 1 && oldest.live_bytes > 0, "{oldest:?}");
    let first = hand.take(client, "q");
    assert!(hand.ack(client, first.job, first.lease));
    let after = storage(&mut hand, client);
    hold_against(&after, &mut hand, client);
    let fell = oldest.live_bytes - after.segments.iter().find(|segment| segment.first == 1).unwrap().live_bytes;
    assert!((PAYLOAD.len() as u64..PAYLOAD.len() as u64 + 100).contains(&fell), "it fell by {fell}");
    let mut again = hand.restart(false);
    let client = again.connect();
    let told = storage(&mut again, client);
    hold_against(&told, &mut again, client);
}

#[test]
fn snapshots_are_told_with_the_moment_of_their_begin_also_after_a_restart() {
    let mut hand = Hand::new();
    let client = hand.connect();
    assert_eq!(storage(&mut hand, client).snapshots, []);
    let mut taken = Vec::new();
    for _ in 0..3 {
        hand.put(client, job("q"));
        hand.pass(5000);
        let at = hand.now.0;
        taken.push((hand.snapshot(client), at));
    }
    let told = storage(&mut hand, client).snapshots;
    let lsns: Vec<u64> = told.iter().map(|(lsn, ..)| *lsn).collect();
    assert_eq!(lsns, [taken[1].0, taken[2].0], "the last two are kept");
    for ((_, bytes, made_at), (_, at)) in told.iter().zip(&taken[1..]) {
        assert!(*bytes > 0 && at.abs_diff(*made_at) < 5000, "{bytes} bytes at {made_at}, {at}");
    }
    let mut again = hand.restart(false);
    let client = again.connect();
    assert_eq!(storage(&mut again, client).snapshots, told);
}

#[test]
fn no_more_segments_are_told_than_may_be() {
    let mut hand = Hand::new();
    let client = hand.connect();
    let mut last = Storage::default();
    while last.left_out < 3 {
        // Each takes most of a segment.
        (0..50).for_each(|_| drop(hand.put(client, SubmitJob { payload: &[b'x'; 50_000], ..job("q") })));
        last = storage(&mut hand, client);
        assert!(last.segments.len() <= STORAGE_SEGMENTS_MAX);
    }
    assert_eq!((last.segments.len(), last.segments[0].state), (STORAGE_SEGMENTS_MAX, ACTIVE));
}
