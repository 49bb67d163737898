//! What the HTTP server refuses, and how it says so: each error is a problem of the contract.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::Contract;
use crate::harness::http::{AT_ONCE, Answer, Ask, HttpMaster};
use crate::harness::{FALCOND, Master, Process, SOON, number, scratch, wait_for, wait_until};
use falconqueue::limits::HTTP_WAITS_MAX;

const MIB: usize = 1 << 20;

fn post<'a>(path: &'a str, body: &Value) -> Ask<'a> {
    Ask::new("POST", path).json(body)
}

#[test]
fn what_is_not_understood_is_told_with_what_was_meant() {
    let master = HttpMaster::fresh(&[]);
    let contract = Contract::of(&master);
    let jobs = "/api/v1/jobs";
    let text = |bytes: &[u8], kind: &str| Ask::new("POST", jobs).header("Content-Type", kind).body(bytes);
    let cases = [
        (
            Ask::new("GET", "/api/v1/jobs?quue=mail"),
            400,
            "BadValue",
            "\"quue\" is not known here; did you mean \"queue\"?",
        ),
        (Ask::new("GET", "/api/v1/jobs?limit=0"), 400, "BadValue", "it takes 1 to 1024"),
        (Ask::new("GET", "/api/v1/jobs?limit=1&limit=2"), 400, "BadValue", "limit is there 2 times"),
        (Ask::new("GET", "/api/v1/jobs?state=ded"), 400, "BadValue", "\"ded\" is no state"),
        (Ask::new("GET", "/api/v1/jobs/x"), 400, "BadValue", "`x`"),
        (Ask::new("GET", "/api/v1/jobs/%ff"), 400, "BadValue", "UTF-8"),
        (Ask::new("GET", "/api/v1/jobs/1/wait?timeout=6m"), 400, "BadValue", "it takes up to 5m"),
        (Ask::new("GET", "/api/v1/batches/b?wait=6m"), 400, "BadValue", "it takes up to 5m"),
        (Ask::new("GET", "/api/v1/queues/a%20b"), 400, "BadQueueName", "queue name \"a b\""),
        (Ask::new("GET", "/api/v1/jobs/1"), 404, "NotFound", "there is no job 1"),
        (Ask::new("POST", "/api/v1/workers/w/dance"), 404, "NotFound", "quiet, resume or stop"),
        (text(b"{\"payload\": 1}", "text/plain"), 415, "NotJson", "application/json"),
        (Ask::new("POST", jobs).body(b"{}"), 415, "NotJson", "application/json"),
        (text(b"{\"payload\": ", "application/json"), 400, "BadValue", "the body: "),
        (text(b"", "application/json"), 400, "BadValue", "the body: "),
        (post(jobs, &json!({"payload": 1, "prioritty": 1})), 400, "BadValue", "unknown field `prioritty`"),
        (post(jobs, &json!({"payload": 1, "timeout_ms": 99})), 400, "BadValue", "it takes 100 to "),
        (post("/api/v1/jobs/change/cancel", &json!({"jobs": [1], "filter": {}})), 400, "BadValue", "not by both"),
        (post("/api/v1/jobs/change/mend", &json!({"jobs": [1]})), 400, "BadValue", "\"mend\""),
        (post("/api/v1/poll", &json!({"queues": ["q"], "lease": "25h"})), 400, "BadValue", "lease"),
    ];
    for (ask, status, name, words) in cases {
        let answer = master.ask(&ask);
        contract.is_problem(&answer);
        let said = answer.problem(status, name);
        assert!(said.contains(words), "{words}: {said}");
    }
    master.master.stop();
}

#[test]
fn strangers_are_refused() {
    let master = HttpMaster::fresh(&["--http-name", "queue.example"]);
    let stats = Ask::new("GET", "/api/v1/stats");
    for host in ["evil.example", "127.0.0.2", ""] {
        let said = master.ask(&stats.clone().host(host)).problem(421, "WrongHost");
        assert!(said.contains("--http-name"), "{said}");
    }
    for host in ["localhost", "queue.example:8443", "[::1]:1"] {
        master.ask(&stats.clone().host(host)).expect(200);
    }
    let submit = Ask::new("POST", "/api/v1/queues/q/jobs").body(b"x");
    for origin in ["https://evil.example", "null"] {
        let said = master.ask(&submit.clone().header("Origin", origin)).problem(403, "WrongOrigin");
        assert!(said.contains(origin), "{said}");
    }
    let own = format!("http://{}", master.at);
    master.ask(&submit.header("Origin", &own)).expect(201);
    assert_eq!(number(&master.get("/api/v1/jobs/count").json(), "count"), 1);
    master.master.stop();
}

#[test]
fn what_is_too_large_is_refused_and_what_just_fits_is_taken() {
    let master = HttpMaster::fresh(&[]);
    let raw = |bytes: usize| Ask::new("POST", "/api/v1/queues/q/jobs").body(&vec![b'x'; bytes]);
    let made = master.ask(&raw(MIB)).expect(201).json();
    let back = master.get(&format!("/api/v1/jobs/{}/payload", made["job"])).expect(200);
    assert_eq!(back.body.len(), MIB);
    let refused = master.ask(&raw(MIB + 1)).problem(413, "BodyTooLarge");
    assert!(refused.contains("1048576"), "{refused}");
    assert_eq!(number(&master.get("/api/v1/jobs/count").json(), "count"), 1);
    // A head that is too long is answered, if the reason is heard before the connection is gone.
    let long = Ask::new("GET", "/healthz").header("X-Long", &"x".repeat(9000));
    let answer = Answer::read(master.begin(&long));
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 431), "{answer:?}");
    let many = (0..70).fold(Ask::new("GET", "/healthz"), |ask, _| ask.header("X-Many", "x"));
    let answer = Answer::read(master.begin(&many));
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 431), "{answer:?}");
    master.ask(&Ask::new("GET", "/healthz").header("X-Long", &"x".repeat(4000))).expect(200);
    master.master.stop();
}

#[test]
fn a_queue_that_is_full_or_paused_takes_no_more() {
    let master = HttpMaster::fresh(&[]);
    master.send("PATCH", "/api/v1/queues/full/settings", &json!({"depth_max": 1})).expect(200);
    let submit = Ask::new("POST", "/api/v1/queues/full/jobs").body(b"x");
    master.ask(&submit).expect(201);
    let answer = master.ask(&submit);
    let told = answer.json();
    assert_eq!((&told["retry"], told["code"].is_u64()), (&json!(true), true), "{told}");
    answer.problem(429, "QueueFull");
    master.send("POST", "/api/v1/queues/shut/pause", &json!({"way": "in", "reason": "night"})).expect(200);
    let said = master.ask(&Ask::new("POST", "/api/v1/queues/shut/jobs").body(b"x")).problem(429, "QueuePaused");
    assert!(said.contains("night"), "{said}");
    let deleted = master.ask(&Ask::new("DELETE", "/api/v1/queues/full")).problem(409, "WrongState");
    assert!(deleted.contains("full"), "{deleted}");
    master.master.stop();
}

#[test]
fn a_lease_that_is_lost_is_told() {
    let master = HttpMaster::fresh(&[]);
    master.ask(&Ask::new("POST", "/api/v1/queues/q/jobs").body(b"x")).expect(201);
    let taken = master.send("POST", "/api/v1/poll", &json!({"queues": ["q"]})).expect(200).json();
    let (job, lease) = (number(&taken["jobs"][0], "job"), number(&taken["jobs"][0], "lease"));
    let wrong = json!({"job": job, "lease": lease + 1});
    for verb in ["ack", "fail", "release"] {
        let told = master.send("POST", &format!("/api/v1/{verb}"), &json!({"items": [wrong]})).expect(200).json();
        assert_eq!(told["items"][0], json!({"job": job, "done": false, "refused": "LeaseLost"}), "{verb}");
    }
    let far = json!({"job": job, "lease": lease + 1, "percent": 5});
    let said = master.send("POST", "/api/v1/progress", &far).problem(409, "LeaseLost");
    assert!(said.contains("not the live lease"), "{said}");
    master.send("POST", "/api/v1/jobs/change/cancel", &json!({"jobs": [job]})).expect(200);
    let beat = master.send("POST", "/api/v1/heartbeat", &json!({"leases": [{"job": job, "lease": lease}]}));
    assert_eq!(beat.expect(200).json()["leases"][0]["want"], "cancelled");
    master.master.stop();
}

#[test]
fn who_says_nothing_is_dropped_and_holds_nobody_up() {
    let master = HttpMaster::fresh(&[]);
    let begun = Instant::now();
    let mut half: Vec<_> = (0..20).map(|_| master.silent()).collect();
    for stream in &mut half {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").expect("half a head");
    }
    let mut body = master.silent();
    let head = format!("POST /api/v1/queues/q/jobs HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\nx", master.at);
    body.write_all(head.as_bytes()).expect("half a body");
    let asked = Instant::now();
    for _ in 0..20 {
        master.get("/readyz").expect(200);
    }
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    for mut stream in half {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).expect("its end");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    let told = Answer::read(body).map(|answer| answer.status);
    assert!(told.is_none_or(|status| status == 408), "{told:?}");
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(8) && took < SOON, "{took:?}");
    assert_eq!(number(&master.get("/api/v1/jobs/count").json(), "count"), 0);
    master.master.stop();
}

#[test]
fn one_wait_more_than_may_be_is_answered_by_503_at_once() {
    let master = HttpMaster::fresh(&[]);
    let job = master.master.submit(&["q", "x"])[0];
    let path = format!("/api/v1/jobs/{job}/wait?timeout=5m");
    let wait = Ask::new("GET", &path);
    let waits: Vec<TcpStream> = (0..HTTP_WAITS_MAX).map(|_| master.begin(&wait)).collect();
    wait_until("all waits are under way", 3 * SOON, || {
        let page = master.get("/metrics").expect(200).text();
        page.contains(&format!("falconqueue_http_under_way{{kind=\"wait\"}} {HTTP_WAITS_MAX}\n"))
    });
    let begun = Instant::now();
    let refused = master.ask(&wait);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    Contract::of(&master).is_problem(&refused);
    assert_eq!((refused.header("retry-after"), &refused.json()["retry"]), ("1", &json!(true)));
    let said = refused.problem(503, "Busy");
    assert!(said.contains("as many calls are under way as may be"), "{said}");
    master.get("/api/v1/stats").expect(200);
    master.master.cli(&["job", "cancel", &job.to_string()]).expect(0);
    for waiting in waits {
        assert_eq!(Answer::read(waiting).expect("an answer").expect(200).json()["ended"], true);
    }
    master.ask(&wait).expect(200);
    master.master.stop();
}

#[test]
fn a_master_that_reads_its_log_lives_and_is_not_ready() {
    let dir = scratch();
    let first = Master::start(dir.path(), &[]);
    first.submit(&["q", "x"]);
    first.stop();
    // To open it waits for somebody who writes, and there is nobody: so the start takes as long as the test does.
    let snapshot = dir.path().join(format!("{:020}.snap", 1));
    let made = Command::new("mkfifo").arg(&snapshot).status().expect("mkfifo, of coreutils");
    assert!(made.success());
    let mut command = Command::new(FALCOND);
    command.arg("--data-dir").arg(dir.path());
    command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "info"]);
    let starting = Process::spawn(&mut command, b"");
    let at = wait_for("the line `answering HTTP on`", SOON, || {
        let said = starting.stderr();
        said.lines().find_map(|line| Some(line.split_once("answering HTTP on ")?.1.to_owned()))
    });
    let ask = |path| Ask::new("GET", path).of(&at).expect("an answer");
    assert_eq!(ask("/healthz").expect(200).text(), "alive\n");
    for path in ["/readyz", "/metrics", "/api/v1/stats", "/api/v1/history"] {
        let answer = ask(path);
        assert_eq!((answer.header("retry-after"), &answer.json()["retry"]), ("1", &json!(true)), "{path}");
        let said = answer.problem(503, "Starting");
        assert!(said.starts_with("the master is reading its log: ") && said.ends_with(" %"), "{path}: {said}");
    }
    starting.kill();
}

#[test]
fn what_is_changed_is_told_with_the_name_of_the_token() {
    let dir = scratch();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "ops:admin:o-secret\nshop:submit:s-secret\n").expect("a token file");
    let master = HttpMaster::fresh(&["--token-file", tokens.to_str().expect("a path")]);
    let job = master.ask(&Ask::new("POST", "/api/v1/queues/mail/jobs").body(b"x").token("s-secret")).expect(201);
    let job = number(&job.json(), "job");
    let by_ops = |path: &str, body: &Value| master.ask(&post(path, body).token("o-secret"));
    by_ops("/api/v1/queues/mail/pause", &json!({})).expect(200);
    by_ops("/api/v1/jobs/change/cancel", &json!({"jobs": [job]})).expect(200);
    wait_until("the line of the pause", SOON, || {
        master.master.stderr().lines().any(|line| line.contains("mail") && line.contains("http:ops"))
    });
    let log = master.ask(&Ask::new("GET", &format!("/api/v1/jobs/{job}/log")).token("o-secret")).expect(200).text();
    assert!(log.contains("\"http:ops\""), "{log}");
    master.master.stop();
}
