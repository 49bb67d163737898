//! `falcon-cli wal repair` of a log in which a job's payload was replaced by one that is as long.

use crate::harness::*;
use crate::logs::{files, find, flip};

#[test]
fn a_job_that_was_replaced_keeps_its_newest_payload_across_a_repair() {
    let dir = scratch();
    let path = dir.path().to_str().unwrap();
    let master = Master::start(dir.path(), &[]);
    let first = ["q", "<one>", "--key", "k", "--delay", "1h"];
    master.cli(&[&["submit"], &first[..]].concat()).expect(0);
    master.cli(&["submit", "q", "<two>", "--key", "k", "--delay", "1h", "--on-duplicate", "replace"]).expect(0);
    master.cli(&["snapshot"]).expect(0);
    let mut wire = master.connect();
    wire.put("q", "<spoiled>");
    wire.put("q", "<last>");
    // A mark vouches for the newest record, with a sync of its own.
    let syncs = wire.stats().syncs;
    wait_until("the mark of a log that has fallen silent", SOON, || wire.stats().syncs > syncs);
    master.kill();
    let segment = files(dir.path(), "wal")[0].clone();
    flip(&segment, find(&segment, b"<spoiled>"));
    falcond_refuses(&["--data-dir", path, "--listen", "127.0.0.1:0"], 65);
    cli(&["wal", "repair", "--yes", path]).expect(0);
    let master = Master::start(dir.path(), &[]);
    assert_eq!(master.cli(&["job", "payload", "1"]).expect(0).out, "<two>");
    assert_eq!(master.cli(&["job", "payload", "key:k"]).expect(0).out, "<two>");
    master.stop();
}
