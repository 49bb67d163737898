//! A walk through the whole HTTP API: what is sent and what comes back is as the contract has it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::http::{BASE, Contract};
use crate::harness::http::{Answer, Ask, HttpMaster};
use crate::harness::{SOON, number, wait_until};

struct Walk {
    master: HttpMaster,
    contract: Contract,
    done: RefCell<BTreeSet<(String, String)>>,
}

impl Walk {
    #[track_caller]
    fn checked(&self, method: &str, path: &str, body: Option<&Value>, ask: &Ask<'_>) -> Answer {
        let answer = self.master.ask(ask);
        let operation = self.contract.check(method, path, body, &answer);
        self.done.borrow_mut().insert(operation);
        answer
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.checked("GET", path, None, &Ask::new("GET", &format!("{BASE}{path}"))).json()
    }

    #[track_caller]
    fn bytes(&self, path: &str) -> Answer {
        self.checked("GET", path, None, &Ask::new("GET", &format!("{BASE}{path}")))
    }

    #[track_caller]
    fn tell(&self, method: &str, path: &str, body: Value) -> Value {
        self.checked(method, path, Some(&body), &Ask::new(method, &format!("{BASE}{path}")).json(&body)).json()
    }

    /// What has no body.
    #[track_caller]
    fn order(&self, method: &str, path: &str) -> Value {
        self.checked(method, path, None, &Ask::new(method, &format!("{BASE}{path}"))).json()
    }

    /// Takes a job, which must be there: its id and its lease.
    #[track_caller]
    fn take(&self, queue: &str) -> (u64, u64) {
        let taken = self.tell("POST", "/poll", json!({"queues": [queue], "wait": "0s", "lease": "5m"}));
        (number(&taken["jobs"][0], "job"), number(&taken["jobs"][0], "lease"))
    }
}

#[test]
fn all_answers_are_as_the_contract_says() {
    let master = HttpMaster::fresh(&[]);
    let walk = Walk { contract: Contract::of(&master), master, done: RefCell::default() };
    submits(&walk);
    looks(&walk);
    leases(&walk);
    ends(&walk);
    changes(&walk);
    queues(&walk);
    groups(&walk);
    workers(&walk);
    schedules(&walk);
    batches(&walk);
    walk.get("/stats");
    walk.get("/storage");
    walk.get("/history");
    walk.get("/openapi.json");
    let all = walk.contract.operations();
    let all: BTreeSet<_> = all.iter().map(|known| (known.method.to_owned(), known.path.to_owned())).collect();
    let left: Vec<_> = all.difference(&*walk.done.borrow()).cloned().collect();
    // A stream has no end.
    assert_eq!(left, [("get".to_owned(), "/events".to_owned())], "not walked");
    walk.master.master.stop();
}

fn submits(walk: &Walk) {
    let full = json!({
        "payload": {"to": "ada"}, "key": "k", "queue": "mail", "group": "g", "priority": 3, "max_attempts": 2,
        "timeout_ms": 60_000, "keep_ms": 600_000, "ttl_ms": 600_000, "backoff": "exponential:1s..1h",
        "headers": {"Trace-Id": "7"}, "unique": "until-start",
    });
    let first = walk.tell("POST", "/jobs", full);
    assert_eq!(first, json!({"job": 1, "queue": "mail", "key": "k", "duplicate": false}));
    let many = json!([
        {"payload": "x", "delay_ms": 3_600_000, "unique_for_ms": 5000, "id": "late"},
        {"payload": null, "queue": "after", "after": [1, "key:k", "item:0"], "if_failed": "run", "with_results": true},
    ]);
    let many = walk.tell("POST", "/jobs?queue=two", many);
    assert_eq!((&many["jobs"][0]["queue"], &many["jobs"][1]["queue"]), (&json!("two"), &json!("after")));
    let again = walk.tell("POST", "/jobs?on_duplicate=replace", json!({"payload": 2, "key": "k", "queue": "mail"}));
    assert_eq!((&again["duplicate"], &again["replaced"]), (&json!(true), &json!(true)));
    let raw = "/queues/raw/jobs?key=order-17&delay=0s&priority=3&max_attempts=2&timeout=1m&keep=10m&ttl=1h\
               &backoff=fixed:10ms&group=g&header=a%3Db&header=c%3Dd&unique_for=1m";
    let bytes = [0xff, 0x00, 0x0a];
    let made = walk.checked("POST", raw, None, &Ask::new("POST", &format!("{BASE}{raw}")).body(&bytes)).json();
    let path = format!("/jobs/{}/payload", made["job"]);
    let back = walk.bytes(&path);
    assert_eq!((back.body.as_slice(), back.header("x-content-type-options")), (&bytes[..], "nosniff"));
    let later = "/queues/later/jobs?after=1,key:k&if_failed=cancel&with_results=1&unique_until_start&key=z";
    walk.order("POST", later);
}

fn looks(walk: &Walk) {
    let all = walk.get("/jobs?order=oldest");
    assert_eq!((all["jobs"].as_array().map(Vec::len), &all["next"]), (Some(5), &Value::Null));
    let first = walk.get("/jobs?order=oldest&limit=2");
    let behind = walk.get(&format!("/jobs?order=oldest&limit=2&from={}", first["next"]));
    assert_eq!(behind["jobs"][0], all["jobs"][2]);
    let some = walk.get("/jobs?queue=mail&state=pending,dead&key_prefix=k&group=g&newer_than=1h");
    assert_eq!(some["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(walk.get("/jobs?older_than=1h")["jobs"], json!([]));
    assert_eq!(walk.get("/jobs/count?state=delayed")["count"], 1);
    assert_eq!(walk.get("/jobs/1"), walk.get("/keys/k"));
    assert_eq!(walk.get("/jobs/1")["headers"]["Trace-Id"], "7");
    for job in 1..=5 {
        walk.get(&format!("/jobs/{job}"));
        walk.get(&format!("/jobs/{job}/explain"));
        walk.get(&format!("/jobs/{job}/log"));
    }
    assert_eq!(walk.get("/jobs/1/wait?timeout=0s"), json!({"job": 1, "standing": "pending", "ended": false}));
    let wait = walk.tell("POST", "/jobs/wait", json!({"jobs": [1, 99], "any": true, "timeout": "10ms"}));
    assert_eq!(wait["jobs"][1]["standing"], "never-was");
}

fn leases(walk: &Walk) {
    let (job, lease) = walk.take("mail");
    assert_eq!(job, 1);
    let item = json!({"job": job, "lease": lease});
    walk.tell("POST", "/progress", json!({"job": job, "lease": lease, "percent": 40, "text": "on it"}));
    assert_eq!(walk.get("/jobs/1")["percent"], 40);
    assert_eq!(walk.get("/jobs?state=in-flight")["jobs"][0]["progress"], "on it");
    walk.get("/jobs/1/explain");
    let beat = walk.tell("POST", "/heartbeat", json!({"leases": [item, {"job": job, "lease": lease + 1}]}));
    let wants = [&beat["leases"][0]["want"], &beat["leases"][1]["want"]];
    assert_eq!(wants, ["go-on", "stop"]);
    let given = walk.tell("POST", "/release", json!({"items": [{"job": job, "lease": lease, "delay": "0s"}]}));
    assert_eq!(given["items"][0]["done"], true);
    let lost = walk.tell("POST", "/ack", json!({"items": [item]}));
    assert_eq!(lost["items"][0], json!({"job": 1, "done": false, "refused": "LeaseLost"}));
    let (_, lease) = walk.take("mail");
    let failed = json!({"job": job, "lease": lease, "error": "no such host 7", "retry_in": "0s"});
    walk.tell("POST", "/fail", json!({"items": [failed]}));
    walk.get("/jobs/1");
    let raw = walk.tell("POST", "/poll", json!({"queues": ["raw"], "worker": "w", "max": 5, "wait": "1s"}));
    assert_eq!(raw["jobs"][0]["payload_hex"], "ff000a");
    let none = walk.tell("POST", "/poll", json!({"queues": ["raw"], "wait": "0s"}));
    assert_eq!(none, json!({"jobs": []}));
}

fn ends(walk: &Walk) {
    wait_until("the retry", SOON, || walk.get("/jobs/1")["standing"] == "pending");
    let (job, lease) = walk.take("mail");
    let failed = json!({"job": job, "lease": lease, "error": "no such host 8", "for_good": true});
    walk.tell("POST", "/fail", json!({"items": [failed]}));
    let dead = walk.get("/jobs/1");
    assert_eq!((&dead["standing"], &dead["error"]), (&json!("dead"), &json!("no such host 8")));
    assert_eq!(dead["history"].as_array().map(Vec::len), Some(2));
    walk.get("/jobs/1/log");
    let by_error = walk.get("/jobs/count?by=error");
    let kind = by_error["errors"][0]["error_kind"].as_str().expect("a kind").to_owned();
    assert_eq!(walk.get(&format!("/jobs?error_kind={kind}&error=host"))["jobs"][0]["job"], 1);
    let requeued = walk.tell("POST", "/jobs/change/requeue", json!({"jobs": [1, 99]}));
    assert_eq!(requeued["jobs"][1], json!({"job": 99, "done": false, "refused": "NotFound"}));
    let (job, lease) = walk.take("mail");
    walk.tell("POST", "/ack", json!({"items": [{"job": job, "lease": lease, "result": "sent"}]}));
    assert_eq!(walk.bytes("/jobs/1/result").body, b"sent");
    assert_eq!(walk.get("/jobs/1/wait")["standing"], "completed");
    walk.get("/jobs/1");
    walk.get("/jobs?state=completed");
    walk.get("/jobs/1/log?from=2");
}

fn changes(walk: &Walk) {
    let filter = json!({"queue": "change"});
    let jobs: Vec<Value> = (0..10).map(|n| json!({"payload": n})).collect();
    walk.tell("POST", "/jobs?queue=change", jobs.into());
    let dry = walk.tell("POST", "/jobs/change/cancel", json!({"filter": filter, "dry_run": true}));
    assert_eq!(dry, json!({"count": 10}));
    let update = json!({"priority": 1, "max_attempts": 9, "delay": "1h"});
    let done = walk.tell("POST", "/jobs/change/update", json!({"filter": filter, "update": update}));
    assert_eq!(done, json!({"done": 10, "refused": 0, "cursor": null}));
    let some = json!({"filter": {"queue": "change", "state": ["delayed"], "newer_than": "1h"}});
    assert_eq!(walk.tell("POST", "/jobs/change/cancel", some)["done"], 10);
    let begun = json!({"jobs": [4], "force": true});
    let by_id = walk.tell("POST", "/jobs/change/cancel", begun);
    assert_eq!(by_id["jobs"][0]["done"], true);
    let purged = walk.tell("POST", "/jobs/change/purge", json!({"filter": {"state": "delayed,waiting"}}));
    assert_eq!(purged["refused"], 0);
}

fn queues(walk: &Walk) {
    let set = json!({
        "keep": "10m", "dead_keep": "1d", "backoff": "fixed:1s", "max_attempts": 3, "timeout": "1m", "ttl": "1h",
        "depth_max": 5, "bytes_max": 1000, "running_max": 2, "group_running_max": 1, "strict": true,
        "rate": "100/s", "group_rate": "30/m burst 5",
    });
    let told = walk.tell("PATCH", "/queues/set/settings", set);
    assert_eq!((&told["settings"]["keep_ms"], &told["settings"]["strict"]), (&json!(600_000), &json!(true)));
    let told = walk.tell("PATCH", "/queues/set/settings", json!({"keep": null, "strict": false}));
    assert_eq!((told["settings"].get("keep_ms"), &told["settings"]["depth_max"]), (None, &json!(5)));
    let paused = walk.tell("POST", "/queues/set/pause", json!({"way": "both", "for": "1h", "reason": "night"}));
    assert_eq!(paused["paused_out"]["reason"], "night");
    walk.get("/queues/set");
    walk.get("/queues/set/explain");
    let resumed = walk.tell("POST", "/queues/set/resume", json!({"way": "in"}));
    assert_eq!((&resumed["paused_in"], resumed["paused_out"].is_object()), (&Value::Null, true));
    walk.tell("POST", "/queues/set/resume", json!({}));
    let all = walk.get("/queues");
    let names = all["queues"].as_array().expect("queues").iter().map(|queue| &queue["queue"]);
    assert!(names.clone().any(|name| name == "set"), "{all}");
    assert_eq!(walk.order("DELETE", "/queues/set"), json!({"queue": "set", "deleted": true}));
}

fn groups(walk: &Walk) {
    walk.tell("POST", "/jobs?queue=grouped", json!([{"payload": 1, "group": "a"}, {"payload": 2, "group": "b/c"}]));
    let set = json!({"weight": 5, "running_max": 2, "rate": "5/10s"});
    let told = walk.tell("PATCH", "/queues/grouped/groups/b%2Fc", set);
    assert_eq!((&told["group"], &told["weight"], &told["rate"]), (&json!("b/c"), &json!(5), &json!("5/10s")));
    let told = walk.tell("PATCH", "/queues/grouped/groups/b%2Fc", json!({"weight": null}));
    assert_eq!((&told["weight"], &told["running_max"]), (&Value::Null, &json!(2)));
    let (mut names, mut page) = (BTreeSet::new(), walk.get("/queues/grouped/groups"));
    loop {
        let groups = page["groups"].as_array().expect("groups");
        names.extend(groups.iter().map(|group| group["group"].as_str().expect("a name").to_owned()));
        if page["next"].is_null() {
            break;
        }
        page = walk.get(&format!("/queues/grouped/groups?from={}", page["next"]));
    }
    assert!(["a", "b/c"].iter().all(|name| names.contains(*name)), "{names:?}");
    walk.get("/queues/grouped/explain");
}

fn workers(walk: &Walk) {
    let worker = walk.master.master.worker(&["--queue", "worked", "--name", "hands"], &["cat"]);
    wait_until("the worker", SOON, || walk.get("/workers")["workers"][0]["state"] == "polling");
    assert_eq!(walk.get("/workers/hands")["workers"][0]["queues"], json!(["worked"]));
    assert_eq!(walk.order("POST", "/workers/hands/quiet"), json!({"workers": 1}));
    wait_until("its silence", SOON, || walk.get("/workers")["workers"][0]["state"] == "quiet");
    walk.order("POST", "/workers/all/resume");
    walk.order("POST", "/workers/hands/stop");
    worker.finish().expect(0);
    walk.master.ask(&Ask::new("POST", "/api/v1/workers/nobody/stop")).problem(404, "NotFound");
}

fn schedules(walk: &Walk) {
    let hourly = json!({
        "queue": "ticks", "every": "1h", "jitter": "1s", "missed": "all:10", "overlap": "skip", "priority": 9,
        "max_attempts": 2, "timeout": "1m", "keep": "10m", "ttl": "1h", "backoff": "fixed:1s", "group": "g",
        "headers": {"a": "b"}, "payload": {"n": 1},
    });
    assert_eq!(walk.tell("PUT", "/schedules/hourly", hourly.clone())["change"], "added");
    assert_eq!(walk.tell("PUT", "/schedules/hourly", hourly)["change"], "same");
    let daily = json!({"queue": "ticks", "cron": "0 7 * * *", "tz": "Europe/Vienna", "payload": "text"});
    let told = walk.tell("PUT", "/schedules/daily", daily);
    assert_eq!((&told["payload"], &told["tz"]), (&json!("text"), &json!("Europe/Vienna")));
    assert_eq!(walk.order("POST", "/schedules/hourly/run")["schedule"], "hourly");
    assert_eq!(walk.get("/schedules/hourly")["last"][0]["asked"], true);
    assert_eq!(walk.order("POST", "/schedules/daily/pause")["paused"], true);
    let list = walk.get("/schedules");
    assert_eq!((list["schedules"].as_array().map(Vec::len), &list["next"]), (Some(2), &Value::Null));
    assert_eq!(walk.get("/schedules?behind=daily")["schedules"][0]["schedule"], "hourly");
    assert_eq!(walk.order("POST", "/schedules/daily/resume")["paused"], false);
    assert_eq!(walk.order("DELETE", "/schedules/daily"), json!({"schedule": "daily", "removed": true}));
}

fn batches(walk: &Walk) {
    assert_eq!(walk.order("PUT", "/batches/night")["state"], "open");
    walk.tell("POST", "/jobs?queue=mail&batch=night", json!([{"payload": 1}, {"payload": 2}]));
    walk.order("POST", "/queues/mail/jobs?batch=night");
    assert_eq!(walk.get("/batches/night")["members"], 3);
    assert_eq!(walk.get("/batches")["batches"][0]["batch"], "night");
    assert_eq!(walk.get("/batches?behind=night")["batches"], json!([]));
    assert_eq!(walk.order("POST", "/batches/night/end")["state"], "running");
    assert_eq!(walk.get("/batches/night?wait=10ms")["state"], "running");
    assert_eq!(walk.order("POST", "/batches/night/cancel")["state"], "cancelled");
}
