//! Moments and spans as people read and write them: local time, UTC with `--utc`, durations of several units.

use crate::harness::wire::job;
use crate::harness::*;
use serde_json::Value;

/// `falcon-cli` by the clock of this zone.
fn cli_in(zone: &str, master: &Master, args: &[&str]) -> Run {
    cli_with(&[&["--master", &master.address], args].concat(), &[("TZ", zone)], b"")
}

fn shown(master: &Master, id: u64) -> Value {
    master.cli(&["--output", "json", "job", "show", &id.to_string()]).expect(0).json().remove(0)
}

/// The line of a fact.
fn fact(out: &str, name: &str) -> String {
    let line = out.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {out}")).trim_start().to_owned()
}

#[test]
fn people_see_the_time_of_their_wall_and_programs_utc() {
    let master = Master::fresh(&[]);
    let id = master.submit(&["q", "x", "--delay", "2h30m"])[0];
    let (at, name) = (shown(&master, id)["submitted_at"].clone(), id.to_string());
    let (date, time) = at.as_str().unwrap().split_once('T').unwrap();
    let told = |zone: &str, utc: &[&str]| {
        let out = cli_in(zone, &master, &[utc, &["job", "show", &name]].concat()).expect(0).out;
        assert!(fact(&out, "due at").ends_with(" (in 2 h)"), "{out}");
        fact(&out, "submitted at")
    };
    let utc = format!("{date} {}Z (", &time[..8]);
    for zone in ["Asia/Tokyo", "UTC"] {
        let told = told(zone, &["--utc"]);
        assert!(told.starts_with(&utc) && (told.ends_with(" s ago)") || told.ends_with("now)")), "{told}");
    }
    let tokyo = told("Asia/Tokyo", &[]);
    let hour = (time[..2].parse::<u8>().unwrap() + 9) % 24;
    assert_eq!(tokyo[11..19], format!("{hour:02}{}", &time[2..8]), "{tokyo}");
    assert!(!tokyo.contains('Z'), "{tokyo}");
    let json = |zone: &str| cli_in(zone, &master, &["--output", "json", "job", "log", &name]).expect(0).out;
    assert_eq!(json("Asia/Tokyo"), json("UTC"));
    let list = master.cli(&["job", "list"]).expect(0).out;
    assert!(list.lines().nth(1).is_some_and(|row| row.ends_with(" s") && !row.contains(date)), "{list}");
}

#[test]
fn durations_have_several_units_in_every_command() {
    let master = Master::fresh(&[]);
    for (written, ms) in [("90s", 90_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("1d12h", 129_600_000)] {
        let told = shown(&master, master.submit(&["q", "x", "--delay", written])[0]);
        let delay = moment(&told, "due_at") - moment(&told, "submitted_at");
        assert!((ms..ms + 1000).contains(&delay), "{written} is {delay} ms");
    }
    master.cli(&["queue", "set", "q", "--dead-keep", "1d12h", "--rate", "5/1m30s"]).expect(0);
    let set = master.cli(&["--output", "json", "queue", "show", "q"]).expect(0).json().remove(0);
    assert_eq!(number(&set["settings"], "dead_keep_ms"), 129_600_000);
    let wrong = master.cli(&["submit", "q", "x", "--delay", "30m1h"]).expect(2);
    assert!(wrong.err.contains("1h30m"), "{}", wrong.err);
}

#[test]
fn a_job_is_submitted_for_a_moment() {
    let master = Master::fresh(&[]);
    let due = |id: u64| moment(&shown(&master, id), "due_at");
    let tomorrow = shown(&master, master.submit(&["q", "x", "--delay", "1d"])[0]);
    let (at, named) = (text(&tomorrow, "due_at"), moment(&tomorrow, "due_at"));
    let plain = at[..19].replace('T', " ");
    let submit = |zone: &str, args: &[&str]| {
        let all = [&["--output", "quiet", "submit", "q", "x", "--at"], args].concat();
        let run = cli_in(zone, &master, &all).expect(0);
        assert_eq!(run.err, "");
        due(run.out.trim().parse().unwrap())
    };
    let is_named = |due: u64, hours: i64| {
        let off = due.cast_signed() - (named - named % 1000).cast_signed() - hours * 3_600_000;
        assert!((0..5000).contains(&off), "{off} ms off");
    };
    is_named(submit("Asia/Tokyo", &[&plain, "--utc"]), 0);
    is_named(submit("Asia/Tokyo", &[&plain]), -9);
    is_named(submit("Asia/Tokyo", &[&format!("{}+02:00", &at[..19])]), -2);
    is_named(submit("Asia/Tokyo", &[&format!("{}Z", &at[..19])]), 0);

    let past = cli_in("UTC", &master, &["submit", "q", "x", "--at", "2020-02-29 12:00"]).expect(0);
    assert!(past.err.contains("2020-02-29 12:00:00 (") && past.err.contains("at once"), "{}", past.err);
    let newest = master.cli(&["--output", "quiet", "job", "show", "last"]).expect(0).out;
    assert_eq!(newest, "pending\n");
    for (wrong, why) in [("tomorrow", "as in '2026-12-24 18:00'"), ("2999-01-01 00:00", "more than")] {
        let refused = master.cli(&["submit", "q", "x", "--at", wrong]).expect(2);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    master.cli(&["submit", "q", "x", "--at", &plain, "--delay", "1s"]).expect(2);
    let lines = master.submit_input(&["q", "--lines", "-", "--at", &at[..19], "--utc"], b"a\nb\n");
    for id in lines {
        is_named(due(id), 0);
    }
}

#[test]
fn what_was_before_is_left_out() {
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let first = wire.put_all(&[job("q", "a")])[0];
    wait_until("a second to pass", SOON, || {
        let told = shown(&master, first);
        now_ms() > moment(&told, "submitted_at") + 1500
    });
    master.cli(&["job", "cancel", &first.to_string()]).expect(0);
    let dir = master.dir.to_str().unwrap();
    let events = |args: &[&str], since: &str| {
        let all = [&["--output", "json"], args, &["--since", since]].concat();
        let run = master.cli(&all).expect(0);
        run.json().iter().map(|event| text(event, "event").to_owned()).collect::<Vec<_>>()
    };
    let name = first.to_string();
    for args in [&["job", "log", &name][..], &["wal", "dump", dir]] {
        assert_eq!(events(args, "2h"), ["ENQUEUE", "CANCEL"], "{args:?}");
        assert_eq!(events(args, "1s"), ["CANCEL"], "{args:?}");
    }
    let second = wire.put("q", "b");
    let list = |since: &str| master.cli(&["--output", "quiet", "job", "list", "--since", since]).expect(0).out;
    assert_eq!(list("1s"), format!("{second}\n"), "that was submitted since");
}
