//! `falcon-cli job log` from outside: what happened to one job, as far as the log still tells it.

use crate::harness::wire::{LogPage, NOT_FOUND, PAYLOAD_BYTES_MAX, Reply, Wire, job, log};
use crate::harness::*;
use crate::logs::files;
use serde_json::Value;

/// What happened to a job, told as JSON, and what is said about it on stderr.
#[track_caller]
fn log_of(master: &Master, id: u64) -> (Vec<Value>, String) {
    let run = master.cli(&["--output", "json", "job", "log", &id.to_string()]).expect(0);
    (run.json(), run.err)
}

/// The names alone.
#[track_caller]
fn names(master: &Master, id: u64) -> Vec<String> {
    let run = master.cli(&["--output", "quiet", "job", "log", &id.to_string()]).expect(0);
    run.out.lines().map(str::to_owned).collect()
}

/// These events without one of their fields.
fn without<'e>(events: impl Iterator<Item = &'e Value>, field: &str) -> Vec<Value> {
    let without = |event: &Value| {
        let fields = event.as_object().expect("an object").iter().filter(|(name, _)| *name != field);
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    events.map(without).map(Value::Object).collect()
}

/// A job that failed once and then was done.
fn retried(wire: &mut Wire, queue: &str) -> u64 {
    let first = wire.put_and_take(queue);
    assert_eq!(wire.fail(&first, false, "no route to the mail host"), 0);
    let second = wire.take(queue);
    assert_eq!((second.job, second.attempt, wire.ack(&second)), (first.job, 2, 0));
    first.job
}

const RETRIED: [&str; 5] = ["ENQUEUE", "DISPATCH", "RETRY", "DISPATCH", "ACK"];

#[test]
fn the_story_of_a_job_that_is_gone_is_told_in_three_ways() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let (before, id, after) = (wire.put("q", "before"), retried(&mut wire, "mail"), wire.put("q", "after"));
    assert_eq!(names(&master, id), RETRIED);
    let (told, said) = log_of(&master, id);
    assert_eq!(said, "");
    // It is what the dump tells, without what is the disk's alone.
    let dump = master.dump();
    assert_eq!(told, without(dump.of_job(id).into_iter(), "term"));
    assert!(told.iter().all(|event| text(event, "at").len() == 24 && text(event, "at").ends_with('Z')));
    assert_eq!(told[2]["error"], "no route to the mail host");
    let table = master.cli(&["--utc", "job", "log", &id.to_string()]).expect(0).out;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), RETRIED.len(), "{table}");
    for ((line, event), name) in lines.iter().zip(&told).zip(RETRIED) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (date, time) = text(event, "at").split_once('T').expect("a date and a time");
        let (lsn, time, job) = (number(event, "lsn").to_string(), format!("{}Z", &time[..8]), format!("job={id}"));
        assert_eq!(words[..5], [&lsn, date, &time, name, &job], "{line}");
    }
    assert!(lines[2].contains("error=no route to the mail host"), "{table}");
    for other in [before, after] {
        assert_eq!(names(&master, other), ["ENQUEUE"]);
    }
}

#[test]
fn a_job_that_never_was_is_not_found() {
    let master = Master::fresh(&[]);
    let never = |id: &str| {
        let run = master.cli(&["job", "log", id]).expect(3);
        assert!(run.out.is_empty() && run.err.contains("there never was a job"), "{}", run.err);
    };
    never("1");
    let id = master.submit(&["q", "x"])[0];
    never("0");
    never(&(id + 1).to_string());
    master.connect().expect_refused(&log(id + 1, 0), NOT_FOUND);
    master.cli(&["job", "log", "x"]).expect(2);
    assert_eq!(names(&master, id), ["ENQUEUE"]);
}

#[test]
fn jobs_are_told_of_while_eight_workers_run_them() {
    const JOBS: usize = 150;
    const DONE: [&str; 3] = ["ENQUEUE", "DISPATCH", "ACK"];
    let master = Master::fresh(&[]);
    let worker = master.worker(&["--queue", "q", "--concurrency", "8"], &["true"]);
    let lines: String = (0..JOBS).map(|number| format!("{number}\n")).collect();
    let ids = master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    let mut wire = master.connect();
    let mut rounds = 0;
    while wire.stats().totals.completed < JOBS as u64 {
        for id in ids.iter().step_by(10) {
            let Reply::LogOk(LogPage { events, next: 0, .. }) = wire.ask(&log(*id, 0)) else { panic!("a whole log") };
            let kinds: Vec<u8> = events.iter().map(|event| event.kind).collect();
            // A job that was held by a worker which then had no free slot may have been given back.
            assert!([1, 2, 3].starts_with(&kinds) || kinds.contains(&7), "{kinds:?}");
        }
        rounds += 1;
    }
    assert!(rounds > 0);
    let dump = master.dump();
    for id in ids.iter().step_by(25) {
        let told = names(&master, *id);
        assert_eq!(told, dump.story(*id));
        assert_eq!((told.first().map(String::as_str), told.last().map(String::as_str)), (Some(DONE[0]), Some(DONE[2])));
    }
    worker.kill();
}

#[test]
fn a_restart_changes_nothing_in_what_is_told() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    let id = retried(&mut master.connect(), "mail");
    let before = log_of(&master, id);
    master.kill();
    let master = Master::start(dir.path(), &[]);
    assert_eq!(log_of(&master, id), before);
    master.stop();
    let master = Master::start(dir.path(), &[]);
    assert_eq!(log_of(&master, id), before);
}

/// Jobs of a mebibyte each, of which nothing happens.
fn fill(wire: &mut Wire, jobs: usize) {
    for _ in 0..jobs {
        wire.put_all(&[job("backlog", vec![b'x'; PAYLOAD_BYTES_MAX])]);
    }
}

#[test]
fn a_story_over_several_segments_is_told_whole() {
    for segment_io in ["map", "pwrite"] {
        let master = Master::fresh(&["--sync", "never", "--segment-io", segment_io]);
        let mut wire = master.connect();
        let first = wire.put_and_take("mail");
        fill(&mut wire, 20);
        wire.fail(&first, false, "not yet");
        fill(&mut wire, 20);
        let second = wire.take("mail");
        fill(&mut wire, 20);
        wire.ack(&second);
        let stats = wire.stats();
        assert!(stats.segments >= 4, "{} segments", stats.segments);
        let (told, said) = log_of(&master, first.job);
        assert_eq!((names(&master, first.job), said.as_str()), (RETRIED.map(str::to_owned).to_vec(), ""));
        assert!(number(&told[4], "lsn") > number(&told[2], "lsn") + 20);
    }
}

#[test]
fn it_is_said_how_far_the_log_reaches_back() {
    let master = Master::fresh(&["--sync", "never"]);
    let mut wire = master.connect();
    let id = retried(&mut wire, "mail");
    let old = files(&master.dir, "wal")[0].clone();
    let mut rounds = 0;
    while files(&master.dir, "wal").contains(&old) {
        for _ in 0..10 {
            wire.put("churn", vec![b'x'; PAYLOAD_BYTES_MAX]);
            let delivery = wire.take("churn");
            wire.ack(&delivery);
        }
        rounds += 1;
        assert!(rounds < 20, "a segment is given up");
    }
    // Cleaning goes on for a while: what was told is held against two looks that agree.
    let mut first_kept = || {
        let Reply::LogOk(page) = wire.ask(&log(id, 0)) else { panic!("a LogOk") };
        page.missing.last().map(|run| run.1 + 1)
    };
    let (kept, told, said) = wait_for("the log to be at rest", SOON, || {
        let before = first_kept();
        let (told, said) = log_of(&master, id);
        (before == first_kept()).then_some((before, told, said))
    });
    assert_eq!(told, [] as [Value; 0], "its records were given up");
    let begin = "falcon-cli: the log reaches back to record ";
    let rest = said.lines().next().and_then(|line| line.strip_prefix(begin));
    let (reaches, rest) = rest.and_then(|rest| rest.split_once(", of ")).unwrap_or_else(|| panic!("{said}"));
    let (date, rest) = rest.split_once("; ").expect("a date and a clause");
    assert!(date.len() == 19 && &date[10..11] == " ", "by the clock on the wall: {date}");
    assert_eq!(rest, format!("what happened to job {id} before is not in it"));
    assert_eq!(kept, reaches.parse().ok());
    // Of a job that came after all that, nothing is missing.
    let (told, said) = log_of(&master, wire.put("q", "x"));
    assert_eq!((told.len(), said.as_str()), (1, ""));
}
