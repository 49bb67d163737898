//! `falcon-cli storage` and `GET /api/v1/storage`: the same files as are on disk, told in three ways.

use serde_json::{Value, json};

use crate::harness::http::HttpMaster;
use crate::harness::{SOON, number, scratch, wait_until};

#[test]
fn the_files_that_are_told_are_those_on_disk() {
    let dir = scratch();
    let web = HttpMaster::start(dir.path(), &[]);
    web.master.submit(&["q", "a payload"]);
    web.master.cli(&["snapshot"]).expect(0);
    let (mut told, mut as_json) = (Value::Null, Value::Null);
    let without_spares = |told: &Value| {
        let segments = told["segments"].as_array().expect("segments");
        segments.iter().filter(|segment| segment["state"] != "spare").cloned().collect::<Vec<_>>()
    };
    // A log that has just become idle gets a mark, and spares are made by the way.
    wait_until("two answers to tell the same of a log at rest", SOON, || {
        told = web.get("/api/v1/storage").expect(200).json();
        as_json = web.master.cli(&["-o", "json", "storage"]).expect(0).json().remove(0);
        without_spares(&as_json) == without_spares(&told)
    });
    let snapshot = std::fs::metadata(dir.path().join(format!("{:020}.snap", 1))).expect("a snapshot").len();
    let active = &told["segments"][0];
    assert_eq!((&active["first_lsn"], &active["state"], &told["left_out"]), (&json!(1), &json!("active"), &json!(0)));
    let file = std::fs::metadata(dir.path().join(format!("{:020}.wal", 1))).expect("a segment").len();
    assert_eq!(number(active, "bytes"), file);
    assert!(number(active, "used_bytes") > number(active, "live_bytes") && number(active, "live_bytes") > 0);
    let [kept] = &told["snapshots"].as_array().expect("snapshots")[..] else { panic!("{told}") };
    assert_eq!((number(kept, "lsn"), number(kept, "bytes")), (1, snapshot));
    assert!(kept["made_at"].as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{told}");
    let stats = web.get("/api/v1/stats").expect(200).json();
    assert_eq!(number(&stats["wal"], "live_bytes"), number(active, "live_bytes"));

    assert_eq!(as_json["snapshots"], told["snapshots"]);
    let table = web.master.cli(&["storage"]).expect(0).out;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows[1][0], rows[1][1]), ("1", "active"), "{table}");
    assert!(table.contains("TOTAL") && table.contains("snapshot at LSN 1, "), "{table}");
    let quiet = web.master.cli(&["-o", "quiet", "storage"]).expect(0).out;
    let figures: Vec<u64> = quiet.split_whitespace().map(|figure| figure.parse().expect("a number")).collect();
    assert_eq!(figures[1..3], [number(active, "used_bytes"), number(active, "live_bytes")]);
    web.master.stop();
}
