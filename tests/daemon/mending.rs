//! `falcon-cli job requeue`, `cancel`, `purge` and `update`: by names and by filters, and what a worker does about a
//! job that is cancelled.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::wire::*;
use crate::harness::*;
use rustix::process::Signal;
use serde_json::{Value, json};

fn mend(master: &Master, args: &[&str], status: i32) -> Run {
    master.cli(&[&["--output", "json", "job"], args].concat()).expect(status)
}

fn standing(master: &Master, job: u64) -> String {
    let run = master.cli(&["--output", "quiet", "job", "show", &job.to_string()]);
    if run.status == 3 { "gone".to_owned() } else { run.expect(0).out.trim().to_owned() }
}

/// So many dead jobs of this queue, by this error.
fn dead(master: &Master, queue: &str, count: usize, error: &str) -> Vec<u64> {
    let mut wire = master.connect();
    let died = |wire: &mut Wire| {
        let got = wire.put_and_take(queue);
        wire.fail(&got, true, error);
        got.job
    };
    (0..count).map(|_| died(&mut wire)).collect()
}

#[test]
fn jobs_are_changed_by_their_names_a_row_each() {
    let master = Master::fresh(&[]);
    let died = dead(&master, "q", 2, "no");
    let names = died.iter().map(u64::to_string).collect::<Vec<_>>();
    let told = mend(&master, &["requeue", &names[0]], 0).json();
    assert_eq!(told, [json!({"job": died[0], "done": true})]);
    assert_eq!(standing(&master, died[0]), "pending");
    let run = mend(&master, &["requeue", &names[0], &names[1]], 6);
    let expected =
        [json!({"job": died[0], "done": false, "refused": "WrongState"}), json!({"job": died[1], "done": true})];
    assert_eq!(run.json(), expected);
    assert!(run.err.contains("1 of 2 jobs was not requeued"), "{}", run.err);
    let run = mend(&master, &["cancel", "999", &names[0]], 3);
    assert_eq!(run.json()[0], json!({"job": 999, "done": false, "refused": "NotFound"}));
    let table = master.cli(&["job", "purge", "999", &names[1]]).expect(3).out;
    assert!(table.contains("not purged: there is no such job") && table.contains(" purged\n"), "{table}");
    let kept = master.submit(&["q", "x"])[0].to_string();
    let quiet = master.cli(&["--output", "quiet", "job", "cancel", "999", &kept]).expect(3);
    assert_eq!(quiet.out, format!("{kept}\n"), "those that were changed");
    assert_eq!(master.dump().count("CANCEL"), 2);
}

#[test]
fn an_update_changes_what_it_names() {
    let master = Master::fresh(&[]);
    let id = master.submit(&["q", "x", "--priority", "9"])[0];
    let name = id.to_string();
    let show = || master.cli(&["--output", "json", "job", "show", &name]).expect(0).json().remove(0);
    mend(&master, &["update", &name, "--priority", "3", "--max-attempts", "7"], 0);
    assert_eq!((number(&show(), "priority"), number(&show(), "max_attempts")), (3, 7));
    mend(&master, &["update", &name, "--run-in", "1h", "--ttl", "2h"], 0);
    let known = show();
    assert_eq!((text(&known, "standing"), number(&known, "priority")), ("delayed", 3));
    assert!(moment(&known, "expires_at") > moment(&known, "due_at"), "{known}");
    mend(&master, &["update", &name, "--delay", "0s", "--ttl", "0s"], 0);
    let known = show();
    assert_eq!((text(&known, "standing"), &known["expires_at"]), ("pending", &Value::Null));
    let mut wire = master.connect();
    let nothing = wire.ask(&update(&[id, 999], &Updated::default()));
    assert!(matches!(&nothing, Reply::Done(_, statuses) if *statuses == [(id, 0), (999, NOT_FOUND)]), "{nothing:?}");
    assert_eq!(master.dump().count("UPDATE"), 3, "nothing is written where nothing changes");
    wire.take("q");
    mend(&master, &["update", &name, "--delay", "1h"], 6);
    mend(&master, &["update", &name], 2);
    mend(&master, &["update", &name, "--max-attempts", "0"], 2);
}

#[test]
fn jobs_are_changed_by_filters_when_that_was_said_to_be_right() {
    let master = Master::fresh(&[]);
    dead(&master, "mail", 3, "no route");
    dead(&master, "mail", 1, "bad address");
    dead(&master, "bulk", 2, "no route");
    let pending = master.submit(&["mail", "x"])[0];
    let by_route = ["requeue", "--queue", "mail", "--error", "no route"];
    let asked = mend(&master, &by_route, 2);
    assert!(asked.err.contains("nothing was changed") && asked.err.contains("--yes"), "{}", asked.err);
    assert_eq!(mend(&master, &[&by_route[..], &["--dry-run"]].concat(), 0).json(), [json!({"count": 3})]);
    assert_eq!(master.dump().count("REQUEUE"), 0);
    let done = mend(&master, &[&by_route[..], &["--yes"]].concat(), 0).json();
    assert_eq!(done, [json!({"done": 3, "refused": 0})], "the pending one is not meant");
    assert_eq!(mend(&master, &[&by_route[..], &["--yes"]].concat(), 0).json()[0]["done"], 0);

    assert_eq!(mend(&master, &["cancel", "--queue", "mail", "--state", "pending", "--yes"], 0).json()[0]["done"], 4);
    assert_eq!(standing(&master, pending), "gone");
    let table = master.cli(&["job", "purge", "--state", "dead", "--yes"]).expect(0).out;
    assert_eq!(table, "3 jobs were purged\n");
    let delayed = master.submit(&["bulk", "x", "--delay", "1h"])[0];
    let quiet = master.cli(&["--output", "quiet", "job", "update", "--queue", "bulk", "--delay", "0s", "--yes"]);
    assert_eq!(quiet.expect(0).out, "1\n");
    assert_eq!(standing(&master, delayed), "pending");
    let refused = mend(&master, &["requeue", "--queue", "bulk", "--state", "pending", "--yes"], 6);
    assert_eq!(refused.json(), [json!({"done": 0, "refused": 1})]);
}

#[test]
fn names_and_filters_do_not_go_together_and_neither_is_no_choice() {
    let master = Master::fresh(&[]);
    let id = master.submit(&["q", "x"])[0].to_string();
    for command in ["requeue", "cancel", "purge"] {
        mend(&master, &[command, "--yes"], 2);
        mend(&master, &[command, &id, "--state", "pending", "--yes"], 2);
        mend(&master, &[command, &id, "--queue", "q", "--yes"], 2);
    }
    assert_eq!(master.stats().totals.pending, 1);
}

#[test]
fn many_jobs_are_changed_page_by_page_and_ctrl_c_stops_between_two() {
    let master = Master::fresh(&["--sync", "never"]);
    let lines: String = (0..35_000).map(|n| format!("{n}\n")).collect();
    master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    let mut cli = Command::new(FALCON_CLI);
    cli.env_remove("FALCON_MASTER").args(["--master", &master.address, "job", "cancel", "--queue", "q", "--yes"]);
    let cancels = Process::spawn(&mut cli, b"");
    let cancelled = || master.connect().stats().totals.cancelled;
    wait_until("the first page to be under way", SOON, || cancelled() > 0);
    cancels.signal(Signal::INT);
    let run = cancels.finish().expect(1);
    assert!(run.err.contains("stopped by Ctrl-C after 10000 of 35000 jobs"), "{run:?}");
    assert_eq!((run.out.as_str(), cancelled()), ("10000 jobs were cancelled\n", 10_000));
    let rest = mend(&master, &["cancel", "--queue", "q", "--yes"], 0).json();
    assert_eq!(rest, [json!({"done": 25_000, "refused": 0})]);
    assert_eq!(master.stats().totals.pending, 0);
}

#[test]
fn a_change_of_many_goes_on_where_the_connection_broke() {
    let (home, port) = (scratch(), Port::reserve());
    let master = Master::start_at(home.path(), &port.address, &["--sync", "never"]);
    let lines: String = (0..35_000).map(|n| format!("{n}\n")).collect();
    master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    let mut cli = Command::new(FALCON_CLI);
    cli.env_remove("FALCON_MASTER").args(["--master", &master.address, "job", "cancel", "--queue", "q", "--yes"]);
    let cancels = Process::spawn(&mut cli, b"");
    wait_until("the first page to be under way", SOON, || master.connect().stats().totals.cancelled > 0);
    master.kill();
    let master = Master::start_at(home.path(), &port.address, &["--sync", "never"]);
    cancels.finish().expect(0);
    let totals = master.stats().totals;
    assert_eq!((totals.pending, totals.cancelled), (0, 35_000));
}

#[test]
fn a_cancelled_job_is_stopped_with_its_process_group() {
    let master = Master::fresh(&[]);
    let place = Place::new();
    let script = format!("sleep 300 & echo $! >'{0}.new'; mv '{0}.new' '{0}'; wait", place.path("sleeps"));
    let id = master.submit(&["q", &script, "--keep", "10m"])[0];
    let _worker = master.worker(&["--queue", "q"], &["sh"]);
    let sleeps = place.wait_content("sleeps");
    mend(&master, &["cancel", &id.to_string()], 0);
    let asked_at = Instant::now();
    wait_until("the end of the command", Duration::from_secs(2), || !is_running(&sleeps));
    let run = mend_wait(&master, id);
    assert!(asked_at.elapsed() < Duration::from_secs(4), "{:?}", asked_at.elapsed());
    assert!(run.err.contains(&format!("job {id} is cancelled")), "{}", run.err);
    assert_eq!(standing(&master, id), "cancelled");
    assert!(fs::exists(place.path("open")).unwrap(), "the test itself has not let it go");
}

fn mend_wait(master: &Master, job: u64) -> Run {
    master.cli(&["wait", &job.to_string(), "--timeout", "20s"]).expect(1)
}

#[test]
fn what_a_worker_says_of_a_cancelled_job_is_refused() {
    const CANCELLED: u16 = 21;
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let ids = [0, 1].map(|_| master.submit(&["q", "x", "--keep", "10m"])[0]);
    let held = ids.map(|_| wire.take("q"));
    let names = ids.map(|id| id.to_string());
    mend(&master, &["cancel", &names[0]], 0);
    let shown = master.cli(&["--output", "json", "job", "show", &names[0]]).expect(0).json().remove(0);
    assert_eq!((text(&shown, "standing"), &shown["cancelled"]), ("in-flight", &Value::Bool(true)));
    assert_eq!(wire.ack(&held[0]), CANCELLED);
    assert_eq!(standing(&master, ids[0]), "cancelled");
    mend(&master, &["cancel", "--force", &names[1]], 0);
    assert_eq!(standing(&master, ids[1]), "cancelled", "without a word of its worker");
    assert_eq!(wire.ack(&held[1]), LEASE_LOST);
    assert_eq!(master.dump().count("ACK"), 0);
}
