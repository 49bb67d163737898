//! What a master says of itself in its log, on stderr.

use crate::harness::wire::PAYLOAD_BYTES_MAX;
use crate::harness::*;

#[track_caller]
fn says(master: &Master, words: &[&str]) {
    let is_line = |line: &str| words.iter().all(|word| line.contains(word));
    wait_until(&words.join(" … "), SOON, || master.stderr().lines().any(is_line));
}

#[test]
fn it_tells_of_snapshots_and_of_segments() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    for _ in 0..20 {
        wire.put("q", vec![b'.'; PAYLOAD_BYTES_MAX]);
    }
    says(&master, &["a segment begins at record ", "there are 2"]);
    master.cli(&["snapshot"]).expect(0);
    says(&master, &["a snapshot of ", " bytes holds everything up to record "]);
}

#[test]
fn it_tells_of_backups_and_how_much_they_copy() {
    let (master, place) = (Master::fresh(&[]), scratch());
    master.submit(&["q", "x"]);
    master.cli(&["backup", place.path().join("copy").to_str().unwrap()]).expect(0);
    says(&master, &["session ", " backs up 1 file of the log"]);
}

#[test]
fn it_tells_by_whom_settings_were_changed() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x"]);
    master.cli(&["queue", "set", "q", "--running-max", "3"]).expect(0);
    says(&master, &["the settings of queue q were changed by ", "falcon-cli"]);
    master.cli(&["queue", "pause", "q", "--reason", "the printer is out of paper"]).expect(0);
    says(&master, &["queue q is paused (", " by ", "falcon-cli", ": the printer is out of paper"]);
    master.cli(&["queue", "resume", "q"]).expect(0);
    says(&master, &["queue q goes on (", ", by ", "falcon-cli"]);
}
