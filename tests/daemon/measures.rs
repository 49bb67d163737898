//! Measures of a real daemon, asked for by the client of the library.

use falconqueue::client::{Client, Remote};

use crate::harness::wire::*;
use crate::harness::{Master, SOON, wait_until};

#[test]
fn a_daemon_tells_what_it_counted_and_measured() {
    let master = Master::fresh(&[]);
    let client = Client::new(Remote::new(&master.address, "measures", b""));
    master.submit(&["mail", "one"]);
    master.submit(&["mail", "two"]);
    let _worker = master.worker(&["--queue", "mail"], &["cat"]);
    master.wait_completed(2);
    let told = client.measures().unwrap();
    let mail = told.queue("mail").unwrap();
    let figures = ["submitted", "delivered", "acked", "failed", "ready", "workers"].map(|name| mail.figure(name));
    assert_eq!(figures, [Some(2), Some(2), Some(2), Some(0), Some(0), Some(1)]);
    assert_eq!(mail.figure("oldest_ready_ms"), None);
    for name in ["wait_seconds", "run_seconds"] {
        let histogram = mail.histogram(name).unwrap();
        assert_eq!((histogram.count(), histogram.bounds.len() + 1), (2, histogram.counts.len()), "{name}");
    }
    let sync = told.histogram("sync_seconds").unwrap();
    assert!(sync.count() > 0 && sync.sum > 0.0 && sync.sum < 60.0, "{sync:?}");
    let records = told.histogram("sync_records").unwrap();
    assert!(records.sum >= 6.0, "{records:?}");
    let turns = told.histogram("turn_seconds").unwrap();
    assert!(turns.count() > 5 && turns.sum > 0.0, "{turns:?}");
    let stats = master.stats();
    assert_eq!((told.figure("syncs"), told.figure("records")), (Some(stats.syncs), Some(stats.records)));
    assert!(told.figure("started_ms").unwrap() > 1_600_000_000_000);
    assert!(told.figure("jobs_memory_bytes").is_some() && told.figure("snapshot_age_ms").is_none());
    assert_eq!((told.figure("workers_idle"), told.figure("workers_busy"), &*told.sync), (Some(1), Some(0), "always"));
    let mut wire = master.connect();
    assert!(matches!(wire.ask(&Request::new(9, Body::default().plain())), Reply::SnapshotOk { .. }));
    assert!(client.measures().unwrap().figure("snapshot_age_ms").unwrap() < 60_000);
    master.stop();
}

#[test]
fn workers_are_told_by_what_they_do() {
    let master = Master::fresh(&[]);
    let client = Client::new(Remote::new(&master.address, "measures", b""));
    let states = || {
        let told = client.measures().unwrap();
        ["workers_busy", "workers_idle", "workers_quiet"].map(|name| told.figure(name).unwrap())
    };
    assert_eq!(states(), [0, 0, 0]);
    let mut wire = Wire::silent(&master.address);
    wire.ask(&hello_of_worker("w", 7));
    wire.put("q", "x");
    wire.ask(&sign_of_life(false));
    assert_eq!(states(), [0, 1, 0]);
    let got = delivered(wire.ask(&poll(&["q"], 1, 0, 10_000))).pop().unwrap();
    assert_eq!(states(), [1, 0, 0]);
    wire.ask(&ack(&[(got.job, got.lease, b"")]));
    assert_eq!(states(), [0, 1, 0]);
    wire.ask(&sign_of_life(true));
    assert_eq!(states(), [0, 0, 1]);
    drop(wire);
    wait_until("its end", SOON, || states() == [0, 0, 0]);
    master.stop();
}
