//! `falcon-cli` from outside: the ways to submit, the three outputs, the exit statuses, and what is
//! refused before anything is submitted.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use crate::harness::wire::{Counts, Job, PAYLOAD_BYTES_MAX, job};
use crate::harness::*;
use serde_json::{Value, json};

/// Files for one test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(scratch())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_string()
    }
}

/// The payloads of this queue, in the order of their delivery.
fn payloads(master: &Master, queue: &str) -> Vec<Vec<u8>> {
    let jobs = master.connect().poll(&[queue], 1_024, 0, 60_000);
    jobs.into_iter().map(|d| d.payload).collect()
}

#[test]
fn a_payload_comes_from_the_line_a_file_or_stdin() {
    let (master, files) = (Master::fresh(&[]), Files::new());
    let binary: Vec<u8> = (0..=255).collect();
    let file = files.write("payload", &binary);
    let mut ids = master.submit(&["q", "hello there"]);
    ids.extend(master.submit(&["q", "--payload-file", &file]));
    ids.extend(master.submit_input(&["q", "-"], b"from\nstdin\0\xFF"));
    ids.extend(master.submit(&["q", "größer"]));
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted_by(|a, b| a < b));
    let expected = [b"hello there", &binary[..], b"from\nstdin\0\xFF", "größer".as_bytes()];
    assert_eq!(payloads(&master, "q"), expected);
}

#[test]
fn a_job_per_line() {
    let (master, files) = (Master::fresh(&[]), Files::new());
    let file = files.write("lines", "one\n two \nthe last without an end");
    assert_eq!(master.submit(&["file", "--lines", &file]).len(), 3);
    let expected = [&b"one"[..], b" two ", b"the last without an end"];
    assert_eq!(payloads(&master, "file"), expected);

    let many: String = (0..3_000).map(|n| format!("line {n}\n")).collect();
    let ids = master.submit_input(&["stdin", "--lines", "-"], many.as_bytes());
    assert_eq!(ids.len(), 3_000);
    assert!(ids.is_sorted_by(|a, b| a < b));
    let first = payloads(&master, "stdin");
    assert!(first.iter().enumerate().all(|(n, p)| p == format!("line {n}").as_bytes()));
}

#[test]
fn the_settings_of_a_job_are_those_of_the_command_line() {
    let master = Master::fresh(&[]);
    let plain = master.submit(&["q", "x"])[0];
    let settings = ["--key", "k", "--priority", "0", "--delay", "1h", "--max-attempts", "7"];
    let full = master.submit(&[&["q", "x", "--timeout", "30s"], &settings[..]].concat())[0];
    let dump = master.dump();
    let fields = |job: u64| {
        let record = dump.last(job, "ENQUEUE");
        let fields = ["queue", "key", "priority", "max_attempts", "timeout_ms", "payload_bytes", "payload"];
        fields.map(|field| record[field].clone())
    };
    assert_eq!(json!(fields(plain)), json!(["q", null, 128, 5, 0, 1, "x"]));
    assert_eq!(json!(fields(full)), json!(["q", "k", 0, 7, 30_000, 1, "x"]));
    assert!(dump.last(plain, "ENQUEUE")["due_at"].is_null());
    let delayed = dump.last(full, "ENQUEUE");
    assert!(moment(delayed, "due_at") >= moment(delayed, "at") + 3_600_000);
}

#[test]
fn submit_speaks_in_three_ways() {
    let master = Master::fresh(&[]);
    let json_of = |args: &[&str]| {
        let run = master.cli(&[&["--output", "json", "submit"], args].concat()).expect(0);
        assert_eq!(run.out.lines().count(), run.json().len(), "one object per line");
        run.json()
    };
    let first = json_of(&["q", "x", "--key", "k"]).remove(0);
    let id = number(&first, "job");
    assert_eq!(first, json!({"job": id, "queue": "q", "key": "k", "duplicate": false}));
    let again = json_of(&["q", "y", "--key", "k"]);
    let holder = json!({"queue": "q", "standing": "pending", "payload_differs": true, "queue_differs": false});
    assert_eq!(again, [json!({"job": id, "queue": "q", "key": "k", "duplicate": true, "holder": holder})]);
    let plain = json_of(&["other", "y"]).remove(0);
    let other = number(&plain, "job");
    assert!(other > id);
    assert_eq!(plain, json!({"job": other, "queue": "other", "key": null, "duplicate": false}));

    let quiet = master.cli(&["--output", "quiet", "submit", "q", "x", "--key", "k"]).expect(0);
    assert_eq!(quiet.out, format!("{id}\n"));
    for args in [&["submit", "q", "x", "--key", "k"][..], &["--output", "table", "submit", "q", "x", "--key", "k"]] {
        let table = master.cli(args).expect(0);
        assert!(table.out.contains(&id.to_string()), "the table has the id: {}", table.out);
    }
}

#[test]
fn global_options_stand_before_or_behind_the_command() {
    let master = Master::fresh(&[]);
    let address = master.address.as_str();
    let nobody = Port::reserve();
    let quiet = ["--output", "quiet", "--master", address];
    let before = cli(&[&quiet[..], &["submit", "q", "x"]].concat()).expect(0);
    let behind = cli(&[&["submit", "q", "x"], &quiet[..]].concat()).expect(0);
    let env = [("FALCON_MASTER", address)];
    let by_env = cli_with(&["submit", "--output", "quiet", "q", "x"], &env, b"").expect(0);
    let env = [("FALCON_MASTER", nobody.address.as_str())];
    let flag_wins = cli_with(&[&["submit", "q", "x"], &quiet[..]].concat(), &env, b"").expect(0);
    let ids = [before, behind, by_env, flag_wins].map(|run| run.out.trim().parse::<u64>().unwrap());
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(master.stats().totals.pending, 4);
}

#[test]
fn an_unreachable_master_gives_69() {
    let (nobody, files) = (Port::reserve(), Files::new());
    let file = files.write("lines", "one\n");
    let address = nobody.address.as_str();
    let commands = [&["stats"][..], &["submit", "q", "x"], &["submit", "q", "--lines", &file]];
    // Each tries for a second, so they try at once.
    thread::scope(|scope| {
        for command in commands {
            scope.spawn(move || {
                let run = cli(&[&["--master", address], command].concat()).expect(69);
                assert_eq!(run.out, "");
                assert!(run.err.contains(address), "the sentence names the address: {}", run.err);
            });
            scope.spawn(move || cli_with(command, &[("FALCON_MASTER", address)], b"").expect(69));
        }
    });
}

#[test]
fn durations_have_a_unit() {
    let master = Master::fresh(&[]);
    let good = [("250ms", 250), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)];
    for (written, ms) in good {
        let id = master.submit(&["q", "x", "--timeout", written, "--delay", written])[0];
        let dump = master.dump();
        let record = dump.last(id, "ENQUEUE");
        assert_eq!(number(record, "timeout_ms"), ms);
        let delay_ms = moment(record, "due_at") - moment(record, "at");
        assert!((ms..ms + 100).contains(&delay_ms), "{written} became {delay_ms} ms");
    }
    let bad = ["5", "5x", "-1s", "1.5s", "", "s", "5 s", "99999999999999999999h", "18446744073709551615h"];
    for written in bad {
        for option in ["--timeout", "--delay"] {
            let run = master.cli(&["submit", "q", "x", &format!("{option}={written}")]).expect(2);
            assert_eq!(run.out, "");
        }
    }
    assert_eq!(master.stats().totals.pending + master.stats().totals.delayed, 4);
}

#[test]
fn bad_usage_gives_2() {
    let master = Master::fresh(&[]);
    let file = Files::new().write("f", "x");
    let bad: [&[&str]; 12] = [
        &[],
        &["no-such-command"],
        &["submit"],
        &["submit", "q", "x", "--priority", "256"],
        &["submit", "q", "x", "--priority=-1"],
        &["submit", "q", "x", "--priority", "high"],
        &["submit", "q", "x", "--max-attempts", "many"],
        &["submit", "q", "x", "--no-such-option"],
        &["submit", "q", "x", "--payload-file", &file],
        &["--output", "yaml", "stats"],
        &["wal"],
        &["wal", "dump"],
    ];
    for args in bad {
        let run = master.cli(args);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{args:?}: {}", run.err);
        assert!(!run.err.trim().is_empty(), "{args:?}");
    }
    assert_eq!(master.stats().totals, Counts::default());
    cli(&["--help"]).expect(0);
}

#[test]
fn what_the_master_would_refuse_is_refused() {
    let (master, files) = (Master::fresh(&[]), Files::new());
    let long = files.write("long", vec![b'p'; PAYLOAD_BYTES_MAX + 1]);
    let long_line = files.write("long-line", format!("short\n{}\n", "p".repeat(PAYLOAD_BYTES_MAX + 1)));
    let key = "k".repeat(129);
    let refused: [&[&str]; 8] = [
        &["q", "--payload-file", &long],
        &["q", "--lines", &long_line],
        &["no spaces", "x"],
        &["q", "x", "--key", &key],
        &["q", "x", "--timeout", "50ms"],
        &["q", "x", "--timeout", "169h"],
        &["q", "x", "--delay", "8761h"],
        &["q", "x", "--max-attempts", "1001"],
    ];
    for args in refused {
        let run = master.cli(&[&["submit"], args].concat());
        assert!([2, 6].contains(&run.status), "status {} for {args:?}: {}", run.status, run.err);
        assert!(!run.err.trim().is_empty());
    }
    let missing = files.0.path().join("missing");
    for option in ["--payload-file", "--lines", "--file"] {
        let missing = missing.to_str().unwrap();
        let run = master.cli(&["submit", "q", option, missing]);
        assert!([2, 3].contains(&run.status), "status {}: {}", run.status, run.err);
        assert!(run.err.contains(missing), "the sentence names the file: {}", run.err);
    }
    assert_eq!(master.stats().totals, Counts::default());
}

#[test]
fn stats_speak_in_three_ways() {
    let master = Master::fresh(&[]);
    master.submit(&["mail", "x"]);
    master.submit(&["thumbs", "x", "--delay", "1h"]);
    let run = master.cli(&["stats", "--output", "json"]).expect(0);
    let stats = run.json().remove(0);
    for (queue, counts) in [("mail", [1, 0, 0, 0, 0, 0, 0]), ("thumbs", [0, 1, 0, 0, 0, 0, 0])] {
        let names = ["pending", "delayed", "waiting", "in_flight", "completed", "dead", "cancelled"];
        assert_eq!(names.map(|name| number(&stats["queues"][queue], name)), counts);
    }
    let totals =
        json!({"pending": 1, "delayed": 1, "waiting": 0, "in_flight": 0, "completed": 0, "dead": 0, "cancelled": 0});
    assert_eq!(stats["queues"].as_object().unwrap().len(), 2);
    assert_eq!(stats["totals"], totals);
    assert!(number(&stats["wal"], "records") >= 2);
    assert!(number(&stats["wal"], "syncs") >= 1);
    assert!(number(&stats["wal"], "durable_lsn") >= 2);
    assert_eq!((number(&stats, "connections"), number(&stats, "waiting_polls")), (1, 0));
    number(&stats, "uptime_ms");
    let table = master.cli(&["stats"]).expect(0);
    for word in ["mail", "thumbs", "ready", "delayed", "total"] {
        assert!(table.out.to_lowercase().contains(word), "{word} in {}", table.out);
    }
    master.cli(&["--output", "quiet", "stats"]).expect(0);
}

#[test]
fn the_log_is_told_of_a_live_and_of_a_stopped_master() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&[job("q", "text"), job("q", b"\xFF\x00"), Job { key: "k".into(), ..job("q", "") }]);
    let jobs = wire.poll(&["q"], 3, 0, 30_000);
    wire.ack(&jobs[0]);
    let dump = master.dump();
    let lsns: Vec<u64> = dump.0.iter().map(|record| number(record, "lsn")).collect();
    assert_eq!(lsns, (1..=lsns.len() as u64).collect::<Vec<_>>(), "oldest first, without gaps");
    assert!(dump.0.iter().all(|record| record["term"] == 0 && moment(record, "at") <= now_ms()));
    let enqueue = dump.of("ENQUEUE");
    assert_eq!((&enqueue[0]["payload"], &enqueue[0]["payload_bytes"]), (&json!("text"), &json!(4)));
    assert_eq!((&enqueue[1]["payload_hex"], &enqueue[1]["key"]), (&json!("ff00"), &Value::Null));
    assert_eq!((&enqueue[2]["payload"], &enqueue[2]["key"]), (&json!(""), &json!("k")));
    let dispatch = dump.of("DISPATCH")[0];
    let expected = [jobs[0].lease, jobs[0].lease, 1, 30_000];
    assert_eq!(["lsn", "lease", "attempt", "lease_ms"].map(|f| number(dispatch, f)), expected);

    let path = master.dir.to_str().unwrap().to_string();
    let table = cli(&["wal", "dump", &path]).expect(0);
    let of = |event: &str| table.out.lines().filter(|line| line.contains(event)).count();
    assert_eq!(["ENQUEUE", "DISPATCH", "ACK"].map(of), [3, 3, 1], "{}", table.out);
    cli(&["--output", "quiet", "wal", "dump", &path]).expect(0);
    assert_eq!(master.dump().0[..dump.0.len()], dump.0, "telling changes nothing");
}

#[test]
fn the_log_of_a_stopped_master_is_told_and_a_missing_one_gives_3() {
    let dir = scratch();
    for stop in [Master::stop, Master::kill] {
        let master = Master::start(dir.path(), &[]);
        master.submit(&["q", "x"]);
        stop(master);
        let before = dump(dir.path());
        assert_eq!(before.0, dump(dir.path()).0);
    }
    assert_eq!(dump(dir.path()).counts(), [2, 0, 0]);
    let missing = dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    let run = cli(&["wal", "dump", missing]).expect(3);
    assert!(run.err.contains(missing) && run.out.is_empty(), "{run:?}");
    assert!(!fs::exists(missing).unwrap(), "to ask does not make it");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let master = Master::fresh(&["--sync", "never"]);
    let lines: String = (0..3_000).map(|n| format!("a line of some length with its number {n}\n")).collect();
    master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    for output in ["table", "json"] {
        let mut dump = Command::new(FALCON_CLI)
            .args(["--output", output, "wal", "dump", master.dir.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(64, dump.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'));
        // The pipe is closed now, with most of the log unread.
        let status = wait_for("the end of the dump", SOON, || dump.try_wait().unwrap());
        let mut said = String::new();
        dump.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    }
}

#[test]
fn job_show_tells_all_that_is_kept_of_a_job() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let full = Job { priority: 7, max_attempts: 9, timeout_ms: 60_000, payload: b"hello".to_vec(), ..job("mail", "") };
    let id = wire.put_all(&[Job { key: "order-5".to_owned(), ..full }])[0];
    let show = |output: &str| master.cli(&["--output", output, "job", "show", &id.to_string()]).expect(0);
    assert_eq!(show("quiet").out, "pending\n");
    let got = wire.take("mail");
    let told = show("json").json().remove(0);
    assert_eq!((text(&told, "standing"), number(&told, "lease")), ("in-flight", got.lease));
    assert_eq!((text(&told, "worker"), text(&told, "queue"), text(&told, "key")), ("a test", "mail", "order-5"));
    let settings = ["priority", "max_attempts", "timeout_ms", "attempts", "payload_bytes"];
    assert_eq!(settings.map(|name| number(&told, name)), [7, 9, 60_000, 1, 5]);
    assert!(number(&told, "remaining_ms") <= 30_000 && now_ms() - moment(&told, "submitted_at") < 60_000);
    wire.fail(&got, false, "no\nroute");
    let told = show("json").json().remove(0);
    assert_eq!((text(&told, "standing"), text(&told, "ending")), ("delayed", "failed"));
    assert_eq!((text(&told, "error"), &told["lease"]), ("no\nroute", &Value::Null));
    let history = &told["history"][0];
    assert_eq!((text(history, "worker"), text(history, "ending")), ("a test", "failed"));
    assert!(moment(history, "begun_at") <= moment(history, "ended_at"));
    let table = show("table").out;
    assert!(tells(&table, "standing", "delayed") && tells(&table, "error", r"no\nroute"), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("attempt ")).count(), 1, "{table}");
}

#[test]
fn job_show_of_no_job_ends_with_3() {
    let master = Master::fresh(&[]);
    let run = master.cli(&["job", "show", "7"]).expect(3);
    assert!(run.err.contains("no job 7"), "{}", run.err);
    master.cli(&["job", "show", "seven"]).expect(2);
}
