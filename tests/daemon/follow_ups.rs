//! Commands that are given the results of the jobs before theirs, and that say what follows.

use serde_json::json;

use crate::harness::*;

fn results_of(master: &Master, queue: &str, key: &str) -> String {
    let id = wait_for("what follows", SOON, || {
        let run = master.cli(&["--output", "quiet", "job", "list", "--queue", queue, "--key-prefix", key]);
        Some(run.expect(0).out.trim().to_owned()).filter(|id| !id.is_empty())
    });
    master.cli(&["wait", &id]).expect(0);
    master.cli(&["job", "result", &id]).expect(0).out
}

#[test]
fn a_command_says_what_follows_by_a_file_and_is_told_what_came_before_by_another() {
    let master = Master::fresh(&[]);
    let script = r#"
        payload=$(cat)
        case $payload in
            first)
                printf '[{"payload":"a","keep":"1h"},{"payload":"b","keep":"1h"},' >"$FALCON_THEN"
                printf '{"payload":"sum","key":"sum","keep":"1h","after":["item:0","item:1"],"with_results":true}]' \
                    >>"$FALCON_THEN";;
            sum) cat "$FALCON_RESULTS";;
            *) printf 'of %s' "$payload";;
        esac"#;
    let _worker = master.worker(&["--queue", "q"], &["sh", "-c", script]);
    master.cli(&["submit", "q", "first", "--wait"]).expect(0);
    let told = results_of(&master, "q", "sum");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!([{"job": 2, "result": "of a"}, {"job": 3, "result": "of b"}]));
}

#[test]
fn what_cannot_follow_fails_the_job_and_what_is_refused_for_a_while_is_tried_again() {
    let master = Master::fresh(&[]);
    let script = r#"printf '%s' "$(cat)" >"$FALCON_THEN""#;
    let _worker = master.worker(&["--queue", "q"], &["sh", "-c", script]);
    for (then, why) in [
        ("no list", "what is to follow from it: expected"),
        (r#"[{"payload":"x","after":[1000000]}]"#, "what follows from it was refused: there never was a job 1000"),
    ] {
        let failed = master.cli(&["submit", "q", then, "--max-attempts", "1", "--wait"]).expect(1);
        assert!(failed.out.contains(why) || failed.err.contains(why), "{then}: {} {}", failed.out, failed.err);
    }
    master.cli(&["queue", "pause", "later", "--in"]).expect(0);
    let id = master.cli(&["--output", "quiet", "submit", "q", r#"[{"queue":"later","payload":"x"}]"#]).expect(0).out;
    let id = id.trim();
    wait_until("it to be begun", SOON, || master.cli(&["job", "explain", id]).expect(0).out.contains("runs it since"));
    master.cli(&["queue", "resume", "later"]).expect(0);
    wait_until("both", SOON, || {
        let later = master.cli(&["--output", "quiet", "job", "list", "--queue", "later"]).expect(0).out;
        !later.is_empty() && master.cli(&["wait", id]).status == 5
    });
}

#[test]
fn a_command_that_stays_says_it_in_its_answer() {
    let master = Master::fresh(&[]);
    let script = r#"
import json, sys
for line in sys.stdin:
    job = json.loads(line)
    answer = {"job": job["job"], "ok": True, "result": json.dumps(job.get("results"))}
    if job["payload"] == "first":
        answer["result"] = "one"
        answer["then"] = [{"payload": "last", "key": "last", "keep": "1h", "after": [job["job"]], "with_results": True}]
    print(json.dumps(answer), flush=True)
"#;
    let _worker = master.worker(&["--queue", "q", "--reuse"], &["python3", "-c", script]);
    let first = master.cli(&["--output", "quiet", "submit", "q", "first", "--keep", "1h"]).expect(0).out;
    let told = results_of(&master, "q", "last");
    let first: u64 = first.trim().parse().unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!([{"job": first, "result": "one"}]));
}
