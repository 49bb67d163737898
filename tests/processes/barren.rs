//! A worker that can begin nothing gives back what it gets, and leaves. It takes half a minute, and is the first test
//! by its name, so that the others run beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::harness::wire::{Job, job};
use crate::harness::*;

#[test]
fn a_worker_that_can_begin_nothing_leaves_with_72() {
    let dir = scratch();
    let program = dir.path().join("no-interpreter");
    fs::write(&program, "echo hi\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let master = Master::fresh(&[]);
    let id = master.connect().put_all(&[Job { max_attempts: 1, ..job("q", "") }])[0];
    let mut worker = master.worker(&["--queue", "q"], &[program.to_str().unwrap()]);
    wait_until("a worker that gives up", Duration::from_mins(1), || worker.exited().is_some());
    let run = worker.finish().expect(72);
    let last = run.err.lines().last().unwrap_or_default();
    assert!(last.contains("no job could be begun here for 30 s") && last.contains("format"), "{}", run.err);
    let totals = master.stats().totals;
    assert_eq!((totals.dead, totals.pending + totals.delayed), (0, 1));
    assert!(master.dump().story(id).iter().all(|event| ["ENQUEUE", "DISPATCH", "RELEASE"].contains(event)));
    master.stop();
}
