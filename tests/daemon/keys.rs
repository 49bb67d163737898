//! Keys: held to the end of a job and for a window after it, free afterwards, and a difference is said.

use serde_json::json;

use crate::harness::*;

fn submit(master: &Master, args: &[&str]) -> Run {
    let all = [&["--output", "json", "submit"], args].concat();
    master.cli(&all)
}

#[test]
fn the_key_of_a_dead_job_is_free_after_its_window_also_after_a_restart() {
    let dir = scratch();
    for restarts in [false, true] {
        let queue = format!("q{restarts}");
        let master = Master::start(dir.path(), &["--key-window", "2s"]);
        let args = [&queue, "first", "--key", &queue, "--max-attempts", "1"];
        let first = number(&submit(&master, &args).expect(0).json()[0], "job");
        let worker = master.worker(&["--queue", &queue], &["false"]);
        wait_until("it to be dead", SOON, || master.stats().totals.dead == 1 + u64::from(restarts));
        drop(worker);
        let again = submit(&master, &[&queue, "first", "--key", &queue]).expect(0).json();
        assert_eq!((number(&again[0], "job"), &again[0]["holder"]["standing"]), (first, &json!("dead")));
        let master = if restarts {
            master.cli(&["snapshot"]).expect(0);
            master.kill();
            Master::start(dir.path(), &["--key-window", "2s"])
        } else {
            master
        };
        let mended = wait_for("the key to be free", SOON, || {
            let told = submit(&master, &[&queue, "mended", "--key", &queue]).expect(0).json().remove(0);
            (told["duplicate"] == json!(false)).then_some(told)
        });
        assert!(number(&mended, "job") > first);
        // The dead one does not get it back.
        let shown = master.cli(&["--output", "json", "job", "show", &first.to_string()]).expect(0).json();
        assert_eq!((&shown[0]["standing"], shown[0].get("key")), (&json!("dead"), None));
        master.stop();
    }
}

#[test]
fn a_difference_from_the_job_that_holds_the_key_is_said() {
    let master = Master::fresh(&[]);
    submit(&master, &["q", "first", "--key", "k", "--delay", "1h"]).expect(0);
    let same = submit(&master, &["q", "first", "--key", "k"]).expect(0);
    assert_eq!(same.err, "");
    let holder = |queue: bool, payload: bool| {
        let mut holder = json!({"queue": "q", "standing": "delayed"});
        (holder["queue_differs"], holder["payload_differs"]) = (queue.into(), payload.into());
        holder
    };
    assert_eq!(same.json()[0]["holder"], holder(false, false));
    for (queue, payload, said) in [
        ("q", "other", "with another payload"),
        ("p", "first", "with another queue;"),
        ("p", "other", "with another queue and payload"),
    ] {
        let run = submit(&master, &[queue, payload, "--key", "k"]).expect(0);
        assert!(run.err.contains(said) && run.err.contains("job 1 of queue q, which is delayed"), "{}", run.err);
        assert_eq!(run.json()[0]["holder"], holder(queue == "p", payload == "other"));
        let refused = submit(&master, &[queue, payload, "--key", "k", "--on-duplicate", "refuse"]).expect(6);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    submit(&master, &["q", "first", "--key", "k", "--on-duplicate", "refuse"]).expect(6);
    assert_eq!(master.stats().totals.delayed, 1);
    master.stop();
}

#[test]
fn a_key_is_held_as_long_as_was_asked_for() {
    let master = Master::fresh(&[]);
    let first = submit(&master, &["q", "x", "--key", "a", "--unique", "until-start"]).expect(0).json();
    let again = submit(&master, &["q", "x", "--key", "a", "--unique", "until-start"]).expect(0).json();
    assert_eq!((&again[0]["job"], &again[0]["duplicate"]), (&first[0]["job"], &json!(true)));
    let mut wire = master.connect();
    let got = wire.take("q");
    let other = submit(&master, &["q", "x", "--key", "a", "--unique", "until-start"]).expect(0).json();
    assert_eq!((number(&other[0], "job"), &other[0]["duplicate"]), (2, &json!(false)), "it was handed out");
    wire.fail(&got, false, "no");
    submit(&master, &["p", "x", "--key", "b", "--unique-for", "2s"]).expect(0);
    let got = wire.take("p");
    wire.ack(&got);
    let held = submit(&master, &["p", "x", "--key", "b"]).expect(0).json();
    assert_eq!((number(&held[0], "job"), &held[0]["duplicate"]), (got.job, &json!(true)), "it has ended");
    wait_for("the key to be free", SOON, || {
        let told = submit(&master, &["p", "x", "--key", "b"]).expect(0).json().remove(0);
        (told["duplicate"] == json!(false)).then_some(())
    });
    submit(&master, &["q", "x", "--unique", "until-start"]).expect(2);
    let run = submit(&master, &["q", "x", "--on-duplicate", "refuse"]).expect(2);
    assert!(run.err.contains("--key <KEY>|--file <FILE>"), "there is no key that it could be about: {}", run.err);
    submit(&master, &["q", "x", "--key", "c", "--unique", "until-start", "--unique-for", "1h"]).expect(2);
}

#[test]
fn a_job_that_was_not_begun_is_replaced() {
    let master = Master::fresh(&[]);
    let replace = |payload: &str, more: &[&str]| {
        let args = [&["q", payload, "--key", "k", "--on-duplicate", "replace"], more].concat();
        submit(&master, &args).expect(0).json().remove(0)
    };
    assert_eq!(replace("one", &["--delay", "1h"])["duplicate"], json!(false));
    let told = replace("two", &["--delay", "2h", "--ttl", "5h"]);
    assert_eq!((number(&told, "job"), &told["replaced"]), (1, &json!(true)));
    assert_eq!(told["holder"]["payload_differs"], json!(false));
    assert_eq!(master.cli(&["job", "payload", "1"]).expect(0).out, "two");
    let shown = master.cli(&["--output", "json", "job", "show", "1"]).expect(0).json().remove(0);
    let delay = moment(&shown, "due_at") - moment(&shown, "submitted_at");
    assert!((7_200_000..7_300_000).contains(&delay), "{shown}");
    assert!(shown.get("expires_at").is_some(), "{shown}");
    let table = master.cli(&["submit", "q", "three", "--key", "k", "--on-duplicate", "replace"]).expect(0).out;
    assert!(table.trim_end().ends_with("replaced"), "{table}");
    let events = master.cli(&["job", "log", "1"]).expect(0).out;
    assert!(events.contains("REPLACE"), "{events}");
    let mut wire = master.connect();
    assert_eq!(wire.take("q").payload, b"three");
    let told = replace("four", &[]);
    assert_eq!((number(&told, "job"), told.get("replaced")), (1, None), "it was begun");
    // Nothing of the whole request is taken where one is refused.
    let jobs = r#"[{"id": "new", "payload": 1, "queue": "q"}, {"id": "k", "payload": 2, "queue": "q"}]"#;
    let file = scratch();
    let path = file.path().join("jobs.json");
    std::fs::write(&path, jobs).unwrap();
    let refused = submit(&master, &["--file", path.to_str().unwrap(), "--on-duplicate", "refuse"]).expect(6);
    assert!(refused.err.contains("key \"k\" is held by job 1") && refused.err.contains("KeyHeld"), "{}", refused.err);
    assert_eq!(master.stats().totals.pending, 0);
}

#[test]
fn a_completed_job_is_told_by_its_key() {
    let master = Master::fresh(&[]);
    submit(&master, &["q", "first", "--key", "k"]).expect(0);
    let _worker = master.worker(&["--queue", "q"], &["true"]);
    master.wait_completed(1);
    let told = submit(&master, &["p", "first", "--key", "k"]).expect(0);
    assert_eq!(
        (&told.json()[0]["holder"]["queue"], &told.json()[0]["holder"]["standing"]),
        (&json!("q"), &json!("completed"))
    );
    master.stop();
}
