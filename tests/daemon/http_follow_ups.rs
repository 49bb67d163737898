//! Workers over HTTP say what follows from a job, and are told what came of the jobs before it.

use serde_json::{Value, json};

use super::http::Contract;
use crate::harness::http::HttpMaster;
use crate::harness::{SOON, number, wait_until};

/// Asks, and holds what is sent and what comes back against the contract.
#[track_caller]
fn tell(master: &HttpMaster, path: &str, body: &Value) -> Value {
    let answer = master.send("POST", &format!("/api/v1{path}"), body);
    Contract::of(master).check("POST", path, Some(body), &answer);
    answer.json()
}

/// Takes a job, which must be there.
#[track_caller]
fn take(master: &HttpMaster, queue: &str) -> Value {
    let taken = tell(master, "/poll", &json!({"queues": [queue], "wait": "0s", "lease": "5m"}));
    assert_eq!(taken["jobs"].as_array().map(Vec::len), Some(1), "{taken}");
    taken["jobs"][0].clone()
}

/// A report on a job that was taken.
fn report(taken: &Value, more: Value) -> Value {
    let mut item = json!({"job": taken["job"], "lease": taken["lease"]});
    item.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    item
}

fn standing(master: &HttpMaster, job: u64) -> String {
    let shown = master.get(&format!("/api/v1/jobs/{job}")).expect(200).json();
    shown["standing"].as_str().expect("a word").to_owned()
}

fn submitted(job: u64, queue: &str) -> Value {
    json!({"job": job, "queue": queue, "key": null, "duplicate": false})
}

#[test]
fn what_follows_from_a_job_is_there_with_its_ack_and_its_results_come_with_the_next() {
    let master = HttpMaster::fresh(&[]);
    tell(&master, "/jobs?queue=q", &json!([{"payload": 1, "keep_ms": 60_000}, {"payload": 2}]));
    let (first, second) = (take(&master, "q"), take(&master, "q"));
    let then = json!([
        {"payload": "a", "keep_ms": 60_000},
        {"payload": "b", "keep_ms": 60_000, "queue": "bytes"},
        {"payload": "c", "delay_ms": 3_600_000},
        {"payload": "sum", "queue": "sum", "after": [1, "item:0", "item:1", "item:2"], "if_failed": "run",
         "with_results": true},
    ]);
    let items = json!([report(&first, json!({"result": "of 1", "then": then})), report(&second, json!({"then": []}))]);
    let acked = tell(&master, "/ack", &json!({"items": items}));
    let made = json!([submitted(3, "q"), submitted(4, "bytes"), submitted(5, "q"), submitted(6, "sum")]);
    assert_eq!(acked["items"], json!([{"job": 1, "done": true, "then": made}, {"job": 2, "done": true}]));
    let next = take(&master, "q");
    assert_eq!((&next["payload"], next.get("results")), (&json!("\"a\""), None), "it was not asked for");
    tell(&master, "/ack", &json!({"items": [report(&next, json!({"result": "of a"}))]}));
    let _worker = master.master.worker(&["--queue", "bytes"], &["printf", r"\377\001"]);
    wait_until("the bytes", SOON, || standing(&master, 4) == "completed");
    tell(&master, "/jobs/change/cancel", &json!({"jobs": [5]}));
    let results = json!([
        {"job": 1, "result": "of 1"}, {"job": 3, "result": "of a"}, {"job": 4, "result_hex": "ff01"},
        {"job": 5, "result": null},
    ]);
    assert_eq!(take(&master, "sum")["results"], results);
    master.master.stop();
}

#[test]
fn what_cannot_follow_leaves_the_job_as_it_is_and_others_are_done() {
    let master = HttpMaster::fresh(&[]);
    tell(&master, "/jobs?queue=q", &json!([{"payload": 1}, {"payload": 2}, {"payload": 3}]));
    let [first, second, third] = [(); 3].map(|()| take(&master, "q"));
    let plain = report(&second, json!({}));
    for (then, why) in [
        (json!([{"payload": 1}, {"paylod": 2}]), "unknown field `paylod`"),
        (json!(vec![json!({"payload": 1}); 1001]), "what follows from job 1: "),
    ] {
        let items = json!({"items": [plain, report(&first, json!({"then": then}))]});
        let said = master.send("POST", "/api/v1/ack", &items).problem(400, "BadValue");
        assert!(said.contains(why), "{said}");
        assert_eq!(standing(&master, 2), "in-flight", "nothing is reported of a request that cannot be read");
    }
    let never = report(&first, json!({"then": [{"payload": 4}, {"payload": 5, "after": [1_000_000]}]}));
    let follows = report(&third, json!({"then": [{"payload": 6}]}));
    let acked = tell(&master, "/ack", &json!({"items": [never, plain, follows]}));
    let [refused, done, followed] = [0, 1, 2].map(|place| &acked["items"][place]);
    let told = (&refused["done"], &refused["refused"], &refused["retry"]);
    assert_eq!(told, (&json!(false), &json!("NotFound"), &json!(false)), "{refused}");
    assert!(refused["detail"].as_str().is_some_and(|why| why.contains("there never was a job 1000000")), "{refused}");
    assert_eq!(done, &json!({"job": 2, "done": true}));
    assert_eq!(followed["then"].as_array().map(Vec::len), Some(1), "{followed}");
    assert_eq!(standing(&master, 1), "in-flight");
    let in_line = master.get("/api/v1/jobs?state=pending").expect(200).json();
    assert_eq!(
        (&in_line["jobs"][0]["job"], in_line["jobs"].as_array().map(Vec::len)),
        (&followed["then"][0]["job"], Some(1))
    );
    // What was carried out is carried out once, whether a queue is named or has to be asked for.
    for queue in [json!({}), json!({"queue": "q"})] {
        let mut next = json!({"payload": 7});
        next.as_object_mut().expect("an object").extend(queue.as_object().expect("an object").clone());
        let again = tell(&master, "/ack", &json!({"items": [report(&third, json!({"then": [next]}))]}));
        assert_eq!(again["items"][0]["refused"], "LeaseLost", "{again}");
    }
    master.master.stop();
}

#[test]
fn results_that_do_not_fit_into_an_answer_are_left_out_of_it() {
    let master = HttpMaster::fresh(&[]);
    let earlier = vec![json!({"payload": 1, "keep_ms": 600_000}); 20];
    tell(&master, "/jobs?queue=q", &earlier.into());
    let after: Vec<u64> = (1..=20).collect();
    let sum = json!({"payload": 2, "queue": "sum", "after": after, "with_results": true});
    tell(&master, "/jobs", &sum);
    for _ in 0..2 {
        let taken = tell(&master, "/poll", &json!({"queues": ["q"], "max": 10, "wait": "0s", "lease": "5m"}));
        let result = json!({"result": "x".repeat(1 << 16)});
        let items = taken["jobs"].as_array().expect("jobs").iter().map(|job| report(job, result.clone()));
        tell(&master, "/ack", &json!({"items": items.collect::<Vec<_>>()}));
    }
    let results = take(&master, "sum")["results"].as_array().expect("results").clone();
    let (told, left): (Vec<&Value>, Vec<&Value>) = results.iter().partition(|result| result.get("left_out").is_none());
    assert!(told.iter().all(|told| told["result"].as_str().is_some_and(|text| text.len() == 1 << 16)));
    assert_eq!((told.len(), left.len()), (16, 4), "1 MiB of them is told");
    let found = master.get(&format!("/api/v1/jobs/{}/result", number(left[0], "job"))).expect(200);
    assert_eq!(found.body.len(), 1 << 16);
    master.master.stop();
}
