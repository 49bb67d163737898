//! What a job may have besides: how long it is kept, until when it may be begun, its backoff and its headers, from the
//! command line and from a jobs file, as far as its worker.

use std::fs;

use crate::harness::*;
use serde_json::{Value, json};

fn show(master: &Master, job: u64) -> Value {
    master.cli(&["--output", "json", "job", "show", &job.to_string()]).expect(0).json().remove(0)
}

#[test]
fn a_submit_says_how_a_job_is_kept_retried_and_expires() {
    let master = Master::fresh(&[]);
    let settings = ["--keep", "10m", "--ttl", "1h", "--backoff", "exponential:250ms..1h"];
    let id = master.submit(&[&["q", "x", "--header", "Trace-Id=a=b", "--header", "lang="], &settings[..]].concat())[0];
    let known = show(&master, id);
    assert_eq!((number(&known, "keep_s"), text(&known, "backoff")), (600, "exponential:250ms..1h"));
    assert_eq!(known["headers"], json!({"Trace-Id": "a=b", "lang": ""}));
    assert_eq!(moment(&known, "expires_at") - moment(&known, "submitted_at"), 3_600_000);
    let table = master.cli(&["job", "show", &id.to_string()]).expect(0).out;
    assert!(tells(&table, "header", "Trace-Id=a=b") && table.contains("backoff"), "{table}");

    let plain = show(&master, master.submit(&["q", "x"])[0]);
    for name in ["keep_s", "backoff", "headers", "expires_at", "first_ms"] {
        assert!(plain[name].is_null(), "{name} in {plain}");
    }
    for bad in
        [["--keep", "8761h"], ["--ttl", "0s"], ["--backoff", "10s"], ["--header", "no value"], ["--header", "a b=c"]]
    {
        master.cli(&[&["submit", "q", "x"], &bad[..]].concat()).expect(2);
    }
    master.cli(&["submit", "q", "x", "--header", "a-b=1", "--header", "A_B=2"]).expect(2);
    assert_eq!(master.stats().totals.pending, 2);
}

#[test]
fn a_kept_job_shows_until_when_and_one_that_was_not_begun_in_time_has_expired() {
    let master = Master::fresh(&[]);
    let id = master.submit(&["q", "x", "--keep", "10m", "--ttl", "50ms"])[0];
    master.cli(&["wait", &id.to_string()]).expect(1);
    let known = show(&master, id);
    assert_eq!(text(&known, "standing"), "expired");
    let kept_ms = moment(&known, "kept_until") - moment(&known, "ended_at");
    assert!(known.get("ending").is_none(), "no attempt failed: {known}");
    assert!((590_000..=601_000).contains(&kept_ms), "{known}");
}

#[test]
fn a_jobs_file_says_the_same() {
    let master = Master::fresh(&[]);
    let home = scratch();
    let path = home.path().join("jobs.json");
    let rich = r#"{"id": "a", "payload": 1, "keep_ms": 1500, "ttl_ms": 60000, "backoff": "fixed:10s",
        "headers": {"Trace-Id": "7", "lang": "de"}}"#;
    fs::write(&path, format!(r#"[{rich}, {{"id": "b", "payload": 2}}]"#)).unwrap();
    let ids = master.submit(&["q", "--file", path.to_str().unwrap()]);
    let known = show(&master, ids[0]);
    assert_eq!((number(&known, "keep_s"), text(&known, "backoff")), (2, "fixed:10s"));
    assert_eq!(known["headers"], json!({"Trace-Id": "7", "lang": "de"}));
    assert!(show(&master, ids[1])["keep_s"].is_null());
    let file = path.to_str().unwrap();
    for option in [["--keep", "1m"], ["--ttl", "1m"], ["--backoff", "fixed:1s"], ["--header", "a=b"]] {
        master.cli(&[&["submit", "q", "--file", file], &option[..]].concat()).expect(2);
    }
    fs::write(&path, r#"[{"id": "c", "payload": 1, "headers": {"a b": "c"}}]"#).unwrap();
    let refused = master.cli(&["submit", "q", "--file", file]).expect(2);
    assert!(refused.err.contains("header") && refused.err.contains("line 1"), "{}", refused.err);
}

#[test]
fn headers_are_variables_of_the_command() {
    let master = Master::fresh(&[]);
    let script = "printf '%s|%s|%s' \"$FALCON_HEADER_TRACE_ID\" \"$FALCON_HEADER_LANG\" \"${FALCON_HEADER_X-none}\"";
    let _worker = master.worker(&["--queue", "q"], &["sh", "-c", script]);
    let submit = ["--output", "quiet", "submit", "q", "x", "--wait"];
    let with = master.cli(&[&submit[..], &["--header", "trace-id=a b", "--header", "Lang=groß"]].concat()).expect(0);
    assert_eq!(with.out, "a b|groß|none");
    assert_eq!(master.cli(&submit).expect(0).out, "||none");
}
