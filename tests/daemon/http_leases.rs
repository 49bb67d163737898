//! Leases over HTTP are bound to no connection, polls end with those who asked, and the server starts and stops with
//! the master.

use std::fs;
use std::io::{Read, Write};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::http::{AT_ONCE, Answer, Ask, HttpMaster};
use crate::harness::{Master, SOON, number, wait_until};

fn submit(master: &HttpMaster, queue: &str) -> u64 {
    let answer = master.ask(&Ask::new("POST", &format!("/api/v1/queues/{queue}/jobs")).body(b"x")).expect(201);
    number(&answer.json(), "job")
}

fn stat(master: &HttpMaster, name: &str) -> u64 {
    number(&master.get("/api/v1/stats").expect(200).json(), name)
}

fn poll(queue: &str, wait: &str) -> Value {
    json!({"queues": [queue], "wait": wait, "lease": "5m"})
}

/// Takes a job, which must be there: its id and its lease.
fn take(master: &HttpMaster, queue: &str) -> (u64, u64) {
    let taken = master.send("POST", "/api/v1/poll", &poll(queue, "0s")).expect(200).json();
    (number(&taken["jobs"][0], "job"), number(&taken["jobs"][0], "lease"))
}

#[test]
fn a_lease_stays_when_the_connection_of_its_poll_is_gone() {
    let master = HttpMaster::fresh(&["--grace", "0s"]);
    submit(&master, "q");
    submit(&master, "q");
    let (job, lease) = take(&master, "q");
    // With a grace of nothing the job of a worker that leaves waits again at once; this one's does not.
    let mut worker = master.master.connect();
    worker.take("q");
    drop(worker);
    wait_until("the job of the one who left", SOON, || {
        let count = master.get("/api/v1/jobs/count?state=in-flight").expect(200).json();
        number(&count, "count") == 1
    });
    let shown = master.get(&format!("/api/v1/jobs/{job}")).expect(200).json();
    assert_eq!((&shown["standing"], number(&shown, "lease")), (&json!("in-flight"), lease));
    let beat = master.send("POST", "/api/v1/heartbeat", &json!({"leases": [{"job": job, "lease": lease}]})).expect(200);
    assert_eq!(beat.json()["leases"][0]["want"], "go-on");
    assert!(number(&beat.json()["leases"][0], "remaining_ms") > 200_000, "{}", beat.text());
    let items = json!({"items": [{"job": job, "lease": lease, "result": "done"}]});
    let acked = master.send("POST", "/api/v1/ack", &items).expect(200).json();
    assert_eq!(acked["items"][0], json!({"job": job, "done": true}));
    let again = master.send("POST", "/api/v1/ack", &items).expect(200).json();
    assert_eq!(again["items"][0]["refused"], "LeaseLost", "it has ended: {again}");
    master.master.stop();
}

#[test]
fn a_poll_ends_with_the_one_who_asked() {
    let master = HttpMaster::fresh(&[]);
    for _ in 0..3 {
        let polling = master.begin(&Ask::new("POST", "/api/v1/poll").json(&poll("q", "5m")));
        wait_until("the poll", SOON, || stat(&master, "waiting_polls") == 1);
        drop(polling);
        wait_until("the end of the poll", AT_ONCE, || stat(&master, "waiting_polls") == 0);
    }
    let job = submit(&master, "q");
    let shown = master.get(&format!("/api/v1/jobs/{job}")).expect(200).json();
    assert_eq!((&shown["standing"], &shown["attempts"]), (&json!("pending"), &json!(0)));
    assert_eq!(take(&master, "q").0, job);
    assert_eq!(master.master.dump().story(job), ["ENQUEUE", "DISPATCH"]);
    master.master.stop();
}

#[test]
fn a_poll_is_answered_when_a_job_comes() {
    let master = HttpMaster::fresh(&[]);
    let polling = master.begin(&Ask::new("POST", "/api/v1/poll").json(&poll("q", "5m")));
    wait_until("the poll", SOON, || stat(&master, "waiting_polls") == 1);
    let job = submit(&master, "q");
    let told = Answer::read(polling).expect("an answer").expect(200).json();
    assert_eq!((&told["jobs"][0]["job"], &told["jobs"][0]["payload"]), (&json!(job), &json!("x")));
    master.master.stop();
}

#[test]
fn sigterm_stops_it_with_a_poll_waiting_and_connections_open() {
    let master = HttpMaster::fresh(&[]);
    let mut idle = master.silent();
    idle.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", master.at).as_bytes()).unwrap();
    assert!(idle.read(&mut [0; 1024]).is_ok_and(|bytes| bytes > 0), "it is answered, and stays open");
    let _silent = master.silent();
    let polling = master.begin(&Ask::new("POST", "/api/v1/poll").json(&poll("q", "5m")));
    wait_until("the poll", SOON, || stat(&master, "waiting_polls") == 1);
    let begun = Instant::now();
    master.master.stop_by(Signal::TERM);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let told = Answer::read(polling);
    assert!(told.as_ref().is_none_or(|answer| answer.status == 503), "{told:?}");
}

#[test]
fn it_is_ready_when_it_listens_and_alive_before() {
    let master = HttpMaster::fresh(&[]);
    assert_eq!(master.get("/healthz").expect(200).text(), "alive\n");
    assert_eq!(master.get("/readyz").expect(200).text(), "ready\n");
    master.master.stop();
}

/// The names of the threads of a process.
fn threads(master: &Master) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", master.id())).expect("tasks");
    let names = tasks.filter_map(|task| fs::read_to_string(task.expect("a task").path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn without_the_option_nothing_of_it_is_there() {
    let with = HttpMaster::fresh(&[]);
    assert!(threads(&with.master).iter().any(|name| name == "falcon-http"), "{:?}", threads(&with.master));
    with.master.stop();
    let without = Master::fresh(&["--log", "info"]);
    assert!(!threads(&without).iter().any(|name| name.starts_with("falcon-http")), "{:?}", threads(&without));
    assert!(!without.stderr().contains("HTTP"), "{}", without.stderr());
    without.stop();
}
