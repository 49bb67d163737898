//! `falcon-cli job explain` and `queue explain`, through the real programs.

use crate::harness::*;

#[test]
fn a_job_and_its_queue_say_why_nothing_happens() {
    let master = Master::fresh(&[]);
    master.submit(&["q", "x"]);
    let said = master.cli(&["job", "explain", "1"]).expect(0);
    assert!(said.out.contains("no worker polls queue \"q\"; none has since the master began"), "{}", said.out);
    master.cli(&["queue", "pause", "q", "--reason", "deploy"]).expect(0);
    let said = master.cli(&["--output", "quiet", "job", "explain", "1"]).expect(0);
    assert_eq!(said.out, "paused\nno-worker\n");
    let said = master.cli(&["--output", "json", "queue", "explain", "q"]).expect(0);
    let causes: Vec<_> = said.json().iter().map(|reason| text(reason, "cause").to_owned()).collect();
    assert_eq!(causes, ["paused", "no-worker", "jobs-before"]);
    assert!(said.out.contains("(deploy)") && said.out.contains("\"count\":1"), "{}", said.out);
    master.cli(&["queue", "resume", "q"]).expect(0);
    master.submit(&["q", "y", "--delay", "1h"]);
    let said = master.cli(&["--output", "json", "job", "explain", "last"]).expect(0);
    let reason = said.json().remove(0);
    assert_eq!(text(&reason, "cause"), "delayed");
    assert!((3_500_000..=3_600_000).contains(&number(&reason, "left_ms")), "{reason}");
}

#[test]
fn what_is_not_there_is_said() {
    let master = Master::fresh(&[]);
    assert!(master.cli(&["job", "explain", "7"]).expect(3).err.contains("no job 7"));
    assert!(master.cli(&["queue", "explain", "q"]).expect(3).err.contains("no queue \"q\""));
}
