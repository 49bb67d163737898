//! `falcon-cli snapshot` and `falcon-cli wal` from outside.

mod common;

use common::*;
use serde_json::json;

#[test]
fn a_snapshot_is_on_disk_when_it_is_told_and_told_in_three_ways() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    master.submit_input(&["q", "--lines", "-"], b"a\nb\nc\n");
    let told = master.cli(&["snapshot", "--output", "json"]).expect(0).json().remove(0);
    let file = |lsn: u64| dir.path().join(format!("{lsn:020}.snap"));
    let bytes = std::fs::metadata(file(3)).expect("the snapshot at LSN 3").len();
    assert_eq!(told, json!({"lsn": 3, "bytes": bytes}));
    master.submit(&["q", "d"]);
    assert_eq!(master.cli(&["snapshot", "--output", "quiet"]).expect(0).out, "4\n");
    assert!(file(4).exists());
    let table = master.cli(&["snapshot"]).expect(0).out;
    assert!(table.contains("LSN 4") && table.contains("bytes"), "{table}");
    master.kill();
    let master = Master::start(dir.path(), &[]);
    assert_eq!(master.stats().totals.pending, 4);
}
