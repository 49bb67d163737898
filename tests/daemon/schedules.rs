//! `falcon-cli schedule`: recurring jobs, in all three outputs, and what is refused.

use std::fs;
use std::path::Path;

use crate::harness::*;
use serde_json::{Value, json};

fn schedule(master: &Master, args: &[&str]) -> Value {
    let run = master.cli(&[&["--output", "json", "schedule"], args].concat()).expect(0);
    assert_eq!(run.out.lines().count(), 1, "{}", run.out);
    run.json().remove(0)
}

fn plainly(master: &Master, args: &[&str]) -> String {
    master.cli(&[&["schedule"], args].concat()).expect(0).out
}

fn quietly(master: &Master, args: &[&str]) -> String {
    master.cli(&[&["--output", "quiet", "schedule"], args].concat()).expect(0).out
}

/// A time of the year that is far off whenever this runs, and one that never comes before the test ends.
const FAR: &str = "0 0 29 2 *";

#[test]
fn a_schedule_is_added_shown_and_taken_away() {
    let master = Master::fresh(&[]);
    let added = plainly(&master, &["add", "report", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "mail", "daily"]);
    assert!(added.starts_with("schedule report is added; it is due next at 2"), "{added}");
    let again = schedule(&master, &["add", "report", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "mail", "daily"]);
    assert_eq!((text(&again, "change"), &again["paused"]), ("same", &json!(false)));
    let all = ["--jitter", "30s", "--missed", "all:3", "--overlap", "skip", "--priority", "5", "--max-attempts", "2"];
    let more = ["--timeout", "1m", "--keep", "10m", "--ttl", "1h", "--backoff", "fixed:1s", "--header", "team=a"];
    let when = ["add", "report", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "mail", "daily"];
    assert_eq!(text(&schedule(&master, &[&when[..], &all, &more, &["--group", "acme"]].concat()), "change"), "changed");

    let known = schedule(&master, &["show", "report"]);
    let next = known["next"].as_array().filter(|next| next.len() == 5).expect("five ticks");
    assert!(next.iter().all(|tick| text(tick, "shown")[10..].starts_with("T02:30:00+0")), "{known}");
    for (name, value) in [
        ("schedule", json!("report")),
        ("queue", json!("mail")),
        ("group", json!("acme")),
        ("cron", json!("30 2 * * *")),
        ("tz", json!("Europe/Berlin")),
        ("jitter", json!("30s")),
        ("missed", json!("all:3")),
        ("overlap", json!("skip")),
        ("priority", json!(5)),
        ("max_attempts", json!(2)),
        ("timeout", json!("1m")),
        ("keep", json!("10m")),
        ("ttl", json!("1h")),
        ("backoff", json!("fixed:1s")),
        ("headers", json!({"team": "a"})),
        ("payload", json!("daily")),
        ("paused", json!(false)),
        ("put_off", Value::Null),
        ("last", json!([])),
    ] {
        assert_eq!(known[name], value, "{name}");
    }
    let shown = plainly(&master, &["show", "report"]);
    assert!(shown.contains("\nnext          2") && shown.lines().count() == 22, "{shown}");
}

#[test]
fn schedules_are_listed_and_taken_away() {
    let master = Master::fresh(&[]);
    quietly(&master, &["add", "report", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "mail", "daily"]);
    quietly(&master, &["add", "beat", "--every", "1h", "mail", "-"]);
    let list = plainly(&master, &["list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[0].starts_with("SCHEDULE") && lines[1].contains("every 1h") && lines[2].contains("30 2 * * * Eu"));
    assert_eq!(quietly(&master, &["list"]), "beat\nreport\n");
    assert_eq!(quietly(&master, &["show", "report"]), "report\n");
    let rows = master.cli(&["--output", "json", "schedule", "list"]).expect(0).json();
    assert_eq!((&rows[0]["every_ms"], &rows[1]["tz"]), (&json!(3_600_000), &json!("Europe/Berlin")));

    assert_eq!(schedule(&master, &["remove", "beat"]), json!({"schedule": "beat", "removed": true}));
    assert_eq!(quietly(&master, &["list"]), "report\n");
    assert_eq!(
        plainly(&master, &["remove", "report"]),
        "schedule report is removed; the jobs that it made are left alone\n"
    );
}

#[test]
fn a_schedule_makes_jobs_that_tell_their_tick_and_goes_on_after_a_restart() {
    let dir = scratch();
    let master = Master::start(dir.path(), &[]);
    quietly(&master, &["add", "beat", "--every", "1s", "q", "tick"]);
    let mut wire = master.connect();
    let got = wire.poll(&["q"], 1, 10_000, 30_000).remove(0);
    let names: Vec<&str> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, &got.headers[0].1[..], &got.payload[..]), (vec!["schedule", "tick"], "beat", &b"tick"[..]));
    wire.ack(&got);
    master.kill();
    let master = Master::start(dir.path(), &[]);
    let mut wire = master.connect();
    let next = wire.poll(&["q"], 1, 10_000, 30_000).remove(0);
    assert!(next.headers[1].1 > got.headers[1].1, "{next:?}");
    let shown = master.cli(&["job", "show", &next.job.to_string()]).expect(0).out;
    assert!(shown.contains("schedule=beat") && shown.contains("tick=2"), "{shown}");
    wait_until("two runs are told", SOON, || {
        schedule(&master, &["show", "beat"])["last"].as_array().unwrap().len() >= 2
    });
    let last = schedule(&master, &["show", "beat"])["last"][0].clone();
    assert_eq!((text(&last, "outcome"), &last["asked"]), ("made", &json!(false)));
    assert!(plainly(&master, &["list"]).contains(": job "));
    let run =
        master.worker(&["--queue", "q"], &["sh", "-c", "printf %s \"$FALCON_HEADER_SCHEDULE $FALCON_HEADER_TICK\""]);
    master.wait_completed(2);
    drop(run);
}

#[test]
fn the_jobs_of_a_schedule_are_in_its_group_also_after_a_restart() {
    let (dir, files) = (scratch(), scratch());
    let master = Master::start(dir.path(), &[]);
    quietly(&master, &["add", "beat", "--every", "1s", "--group", "acme", "q", "x"]);
    quietly(&master, &["add", "far", "--cron", FAR, "r", "x"]);
    let mut wire = master.connect();
    let got = wire.poll(&["q"], 1, 10_000, 30_000).remove(0);
    assert_eq!(got.group, "acme");
    wire.ack(&got);
    let list = plainly(&master, &["list"]);
    assert!(list.lines().nth(1).is_some_and(|line| line.contains("acme")), "{list}");
    let rows = master.cli(&["--output", "json", "schedule", "list"]).expect(0).json();
    assert_eq!((&rows[0]["group"], rows[1].get("group")), (&json!("acme"), None));

    let text = "[[schedule]]\nname = 'beat'\nevery = '1s'\nqueue = 'q'\npayload = 'x'\ngroup = 'beta'\n";
    let file = write(files.path(), "s.toml", text);
    assert!(plainly(&master, &["apply", &file]).contains("group: acme -> beta"));
    master.kill();
    let master = Master::start(dir.path(), &[]);
    let id = quietly(&master, &["run", "beat"]);
    let shown = master.cli(&["--output", "json", "job", "show", id.trim()]).expect(0).json();
    assert_eq!(shown[0]["group"], json!("beta"));
}

#[test]
fn a_schedule_is_paused_resumed_and_run() {
    let master = Master::fresh(&[]);
    quietly(&master, &["add", "far", "--cron", FAR, "--overlap", "skip", "q", "x"]);
    assert_eq!(schedule(&master, &["pause", "far"]), json!({"schedule": "far", "paused": true}));
    assert_eq!(schedule(&master, &["pause", "far"]), json!({"schedule": "far", "paused": true}), "it is already");
    assert!(plainly(&master, &["pause", "far"]).contains("schedule resume far"));
    assert_eq!(schedule(&master, &["show", "far"])["paused"], json!(true));
    assert!(plainly(&master, &["show", "far"]).contains("next if resumed  2"));
    assert!(plainly(&master, &["list"]).contains("paused"));
    let changed = plainly(&master, &["add", "far", "--cron", FAR, "--overlap", "skip", "q", "y"]);
    assert!(changed.contains("is changed; it is paused"), "{changed}");

    assert_eq!(quietly(&master, &["run", "far"]), "1\n", "also while it is paused");
    let refused = master.cli(&["schedule", "run", "far"]).expect(6).err;
    assert!(refused.contains("job 1 has not") && refused.contains("falcon-cli wait 1"), "{refused}");
    let mut wire = master.connect();
    let got = wire.take("q");
    wire.ack(&got);
    assert_eq!(schedule(&master, &["run", "far"]), json!({"schedule": "far", "job": 2}));
    let known = schedule(&master, &["show", "far"]);
    assert_eq!((&known["last"][0]["asked"], &known["last"][0]["job"]), (&json!(true), &json!(2)));

    let resumed = schedule(&master, &["resume", "far"]);
    assert_eq!((&resumed["paused"], resumed["next_at"].is_string()), (&json!(false), true));
    assert!(plainly(&master, &["resume", "far"]).contains("makes jobs again; it is due next at 2"));
    assert_eq!(quietly(&master, &["resume", "far"]), "far\n");
    let got = wire.take("q");
    wire.ack(&got);
    master.cli(&["queue", "pause", "q", "--in"]).expect(0);
    assert!(master.cli(&["schedule", "run", "far"]).expect(6).err.contains("queue resume q"));
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let master = Master::fresh(&[]);
    for name in ["show", "pause", "resume", "run", "remove"] {
        let run = master.cli(&["schedule", name, "nothing"]).expect(3);
        assert!(run.err.contains("schedule list"), "{}", run.err);
    }
    for (args, status, why) in [
        (&["--cron", "61 * * * *", "q", "x"][..], 6, "as in '*/5 * * * *'"),
        (&["--cron", "* * * * *", "--tz", "Mars/Olympus", "q", "x"], 6, "Europe/Berlin"),
        (&["--cron", "0 0 30 2 *", "q", "x"], 6, "0 0 30 2 *"),
        (&["--every", "10ms", "q", "x"], 2, "1s"),
        (&["--every", "1s", "--tz", "UTC", "q", "x"], 2, "--tz"),
        (&["--every", "1s", "--cron", "* * * * *", "q", "x"], 2, "--cron"),
        (&["q", "x"], 2, "--cron"),
        (&["--every", "1s", "q"], 2, "PAYLOAD"),
        (&["--every", "1s", "--missed", "all", "q", "x"], 2, "all:10"),
        (&["--every", "1s", "--missed", "all:1001", "q", "x"], 2, "1000"),
        (&["--every", "1s", "--overlap", "maybe", "q", "x"], 2, "allow"),
        (&["--every", "1s", "--jitter", "25h", "q", "x"], 2, "24h"),
        (&["--every", "1s", "--header", "schedule=x", "q", "x"], 6, "set by the schedule itself"),
        (&["--every", "1s", "bad queue", "x"], 2, "queue name"),
        (&["--every", "1s", "--group", "", "q", "x"], 2, "group name"),
    ] {
        let run = master.cli(&[&["schedule", "add", "s"], args].concat()).expect(status);
        assert!(run.err.contains(why), "{args:?}: {}", run.err);
    }
    assert!(master.cli(&["schedule", "add", "a b", "--every", "1s", "q", "x"]).expect(2).err.contains("schedule name"));
    let long = "x".repeat((16 << 10) + 1);
    let run = master.cli_input(&["schedule", "add", "s", "--every", "1s", "q", "-"], long.as_bytes()).expect(6);
    assert!(run.err.contains("16384"), "{}", run.err);
    assert_eq!(quietly(&master, &["list"]), "");
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const FILE: &str = r#"
[[schedule]]
name = "a"
cron = "0 7 * * *"
tz = "Europe/Berlin"
queue = "reports"
payload = "daily"

[[schedule]]
name = "b"
every = "90s"
queue = "sweeps"
payload = ""
"#;

#[test]
fn a_file_says_which_schedules_there_are() {
    let (master, dir) = (Master::fresh(&[]), scratch());
    quietly(&master, &["add", "old", "--every", "1h", "q", "x"]);
    let file = write(dir.path(), "s.toml", FILE);
    let dry = master.cli(&["--output", "json", "schedule", "apply", &file, "--dry-run", "--prune"]).expect(0);
    let changes: Vec<(String, String)> =
        dry.json().iter().map(|row| (text(row, "schedule").to_owned(), text(row, "change").to_owned())).collect();
    let of = |name: &str, change: &str| (name.to_owned(), change.to_owned());
    assert_eq!(changes, [of("a", "added"), of("b", "added"), of("old", "removed")]);
    assert!(dry.err.contains("2 would be added"), "{}", dry.err);
    assert_eq!(quietly(&master, &["list"]), "old\n", "nothing was changed");
    assert_eq!(quietly(&master, &["apply", &file]), "a\nb\n");
    assert_eq!(quietly(&master, &["list"]), "a\nb\nold\n");
    assert_eq!(quietly(&master, &["apply", &file]), "", "it is so already");

    let json = r#"{"schedule": [{"name": "a", "cron": "0 8 * * *", "tz": "Europe/Berlin", "queue": "reports",
        "payload": "daily", "keep": "1m"}]}"#;
    let other = write(dir.path(), "s.json", json);
    let dry = plainly(&master, &["apply", &other, "--dry-run"]);
    assert_eq!(dry, "changed  a  cron: 0 7 * * * -> 0 8 * * *, keep: (default) -> 1m\n");
    let run = master.cli(&["--output", "json", "schedule", "apply", &other, "--prune"]).expect(0);
    assert_eq!(run.json()[0]["differs"], json!({"cron": ["0 7 * * *", "0 8 * * *"], "keep": [null, "1m"]}));
    assert_eq!(quietly(&master, &["list"]), "a\n");
    assert_eq!(schedule(&master, &["show", "a"])["cron"], json!("0 8 * * *"));
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/schedules.toml");
    assert_eq!(quietly(&master, &["apply", example]), "morning-report\nsweep\n");
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_says_where() {
    let (master, dir) = (Master::fresh(&[]), scratch());
    for (name, from, to, status, why) in [
        ("a.toml", "every = \"90s\"", "evry = \"90s\"", 2, ["line 11", "evry"]),
        ("b.toml", "every = \"90s\"", "every = \"1ms\"", 2, ["line 11", "1s"]),
        ("c.toml", "0 7 * * *", "61 7 * * *", 6, ["line 3", "61 7 * * *"]),
        ("d.toml", "Europe/Berlin", "Europe/Atlantis", 6, ["line 3", "Atlantis"]),
        ("e.toml", "every = \"90s\"\n", "", 6, ["line 10", "neither"]),
        ("f.toml", "name = \"b\"", "name = \"a\"", 2, ["line 10", "two schedules"]),
        ("g.yaml", "", "", 2, [".toml", ".json"]),
        ("h.json", "", "", 2, ["line 2", "column"]),
    ] {
        let file = write(dir.path(), name, &FILE.replacen(from, to, 1));
        let run = master.cli(&["schedule", "apply", &file]).expect(status);
        assert!(why.iter().all(|why| run.err.contains(why)), "{name}: {}", run.err);
    }
    master.cli(&["schedule", "apply", "/nowhere/s.toml"]).expect(3);
    assert_eq!(quietly(&master, &["list"]), "");
}
