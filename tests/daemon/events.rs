//! What happens, as it happens: by `falcon-cli events`, and as a stream over HTTP.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::http::{Contract, guarded};
use crate::harness::http::{Ask, HttpMaster};
use crate::harness::*;

/// A stream of events that is read.
struct Stream(BufReader<TcpStream>);

#[derive(Debug)]
struct Message {
    event: String,
    id: u64,
    data: Value,
}

impl Stream {
    fn open(master: &HttpMaster, ask: &Ask<'_>) -> Stream {
        let mut stream = Stream(BufReader::new(master.begin(ask)));
        let head: Vec<String> = std::iter::from_fn(|| Some(stream.line()).filter(|line| !line.is_empty())).collect();
        assert!(head[0].ends_with("200 OK"), "{head:?}");
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        stream
    }

    fn of(master: &HttpMaster, path: &str) -> Stream {
        Stream::open(master, &Ask::new("GET", path))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// The next message, between the pieces that HTTP cuts it into; none where the stream has ended.
    fn next(&mut self) -> Option<Message> {
        let (mut event, mut id) = (String::new(), 0);
        loop {
            let line = self.line();
            match line.split_once(": ") {
                Some(("event", word)) => word.clone_into(&mut event),
                Some(("id", number)) => id = number.parse().expect("an LSN"),
                Some(("data", data)) => {
                    let data = serde_json::from_str(data).expect("JSON in one line");
                    return Some(Message { event, id, data });
                }
                _ if line == "0" => return None,
                _ => {}
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, event: &str) -> Message {
        let message = self.next().expect("a message");
        assert_eq!(message.event, event, "{message:?}");
        message
    }
}

const EVENTS: &str = "/api/v1/events";

fn submit(master: &HttpMaster, queue: &str) -> u64 {
    let path = format!("/api/v1/queues/{queue}/jobs");
    number(&master.ask(&Ask::new("POST", &path).body(b"x")).expect(201).json(), "job")
}

#[test]
fn the_life_of_a_job_comes_in_order_and_once() {
    let master = HttpMaster::fresh(&[]);
    let mut all = Stream::of(&master, EVENTS);
    let hello = all.expect("hello");
    assert_eq!(hello.data, json!({"lsn": hello.id}));
    let job = submit(&master, "mail");
    let other = submit(&master, "other");
    let poll = json!({"queues": ["mail"], "wait": "10s"});
    let delivery = master.send("POST", "/api/v1/poll", &poll).expect(200).json()["jobs"][0].clone();
    let item = json!({"job": delivery["job"], "lease": delivery["lease"]});
    master.send("POST", "/api/v1/ack", &json!({"items": [item]})).expect(200);
    let seen: Vec<Message> = (0..4).map(|_| all.expect("job")).collect();
    let words: Vec<(&str, u64)> =
        seen.iter().map(|one| (one.data["event"].as_str().unwrap(), number(&one.data, "job"))).collect();
    assert_eq!(words, [("ENQUEUE", job), ("ENQUEUE", other), ("DISPATCH", job), ("ACK", job)]);
    assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id) && seen[0].data["queue"] == "mail", "{seen:?}");
    assert_eq!(seen[3].data["lsn"], seen[3].id);
    master.send("POST", "/api/v1/queues/mail/pause", &json!({})).expect(200);
    let paused = all.expect("change");
    assert_eq!((&paused.data["event"], &paused.data["job"]), (&"PAUSE".into(), &Value::Null));

    // What was told before is told again to whoever goes on from there.
    let id = seen[1].id.to_string();
    let mut again = Stream::open(&master, &Ask::new("GET", EVENTS).header("Last-Event-ID", &id));
    assert_eq!(again.expect("hello").id, seen[1].id);
    assert_eq!((again.expect("job").id, again.expect("job").id), (seen[2].id, seen[3].id));
    assert_eq!(again.expect("change").id, paused.id);
    master.master.stop();
    assert!(all.next().is_none() && again.next().is_none(), "a stream ends with its master");
}

#[test]
fn a_stream_tells_what_is_wanted_of_it() {
    let master = HttpMaster::fresh(&[]);
    let contract = Contract::of(&master);
    let first = submit(&master, "mail");
    let of = |query: &str| {
        let mut stream = Stream::of(&master, &format!("{EVENTS}?{query}"));
        stream.expect("hello");
        stream
    };
    let job = format!("job={first}");
    let (mut by_queue, mut by_job, mut by_event) = (of("queue=mail"), of(&job), of("event=cancel,purge"));
    submit(&master, "other");
    let second = submit(&master, "mail");
    let cancel = json!({"jobs": [first]});
    master.send("POST", "/api/v1/jobs/change/cancel", &cancel).expect(200);
    let told = |message: Message| (message.data["event"].clone(), number(&message.data, "job"));
    assert_eq!(told(by_queue.expect("job")), ("ENQUEUE".into(), second));
    assert_eq!(told(by_queue.expect("job")), ("CANCEL".into(), first));
    assert_eq!(told(by_job.expect("job")), ("CANCEL".into(), first));
    assert_eq!(told(by_event.expect("job")), ("CANCEL".into(), first));
    for bad in ["event=acked", "job=x", "quue=mail", "after=-1"] {
        contract.is_problem(&master.get(&format!("{EVENTS}?{bad}")).expect(400));
    }
    master.master.stop();
}

#[test]
fn of_a_flood_a_stream_hears_that_it_has_to_look_again() {
    let master = HttpMaster::fresh(&[]);
    let mut stream = Stream::of(&master, EVENTS);
    let begin = stream.expect("hello").id;
    let jobs: Vec<Value> = (0..1000).map(|number| json!({"payload": number})).collect();
    master.send("POST", "/api/v1/jobs?queue=bulk", &Value::Array(jobs)).expect(201);
    let resync = stream.expect("resync");
    assert!(number(&resync.data, "missed") >= 1000 && resync.id > begin, "{resync:?}");
    let job = submit(&master, "mail");
    assert_eq!(number(&stream.expect("job").data, "job"), job, "after it all goes on");
    // An LSN that this log has not reached.
    let mut ahead = Stream::of(&master, &format!("{EVENTS}?after=1000000000"));
    ahead.expect("hello");
    ahead.expect("resync");
    master.master.stop();
}

#[test]
fn who_does_not_read_costs_no_memory_and_is_told_to_look_again() {
    let master = HttpMaster::fresh(&[]);
    let mut slow = Stream::of(&master, EVENTS);
    let mut quick = Stream::of(&master, EVENTS);
    quick.expect("hello");
    let path = format!("/api/v1/jobs?queue={}", "q".repeat(64));
    let jobs = Value::Array((0..190).map(|number| json!({"payload": number})).collect());
    // Each round is told to both at least once, until the slow one has as much on its way as it may have, and more
    // than that was told to the quick one.
    for _ in 0..40 {
        master.send("POST", &path, &jobs).expect(201);
        (0..190).for_each(|_| drop(quick.expect("job")));
    }
    slow.expect("hello");
    let jobs = std::iter::from_fn(|| slow.next().filter(|one| one.event == "job"));
    let told: Vec<Message> = jobs.take(40 * 190).collect();
    assert!(told.len() < 40 * 190 && told.windows(2).all(|pair| pair[0].id < pair[1].id), "{}", told.len());
    let job = submit(&master, "mail");
    let last = std::iter::from_fn(|| slow.next()).find(|one| one.data["queue"] == "mail").expect("a message");
    assert_eq!(number(&last.data, "job"), job, "after it all goes on");
    master.master.stop();
}

#[test]
fn streams_are_so_many_and_need_the_role_to_look() {
    let (dir, master) = guarded();
    master.get(EVENTS).problem(401, "Unauthorized");
    let ask = Ask::new("GET", EVENTS).token("r-secret");
    let mut streams: Vec<Stream> = (0..512).map(|_| Stream::open(&master, &ask)).collect();
    let refused = master.ask(&ask).expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    drop(streams.split_off(1));
    // Nothing is to be told to those who left: they are missed before it is time to break the silence.
    wait_until("a place", Duration::from_secs(5), || {
        Ask::new("HEAD", EVENTS).token("r-secret").of(&master.at).unwrap().status == 200
    });
    fs::write(dir.path().join("tokens"), "ops:admin:a-secret\n").expect("tokens");
    master.master.signal(Signal::HUP);
    let mut first = streams.remove(0);
    first.expect("hello");
    assert!(first.next().is_none(), "its token is gone");
    master.master.stop();
}

#[test]
fn a_command_shows_what_happens_until_it_has_seen_enough() {
    let master = Master::fresh(&[]);
    let mut watch = Command::new(FALCON_CLI)
        .args(["--master", &master.address, "--output", "json", "events", "--queue", "mail", "--count", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("falcon-cli");
    let mut said = BufReader::new(watch.stderr.take().expect("stderr"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    assert!(line.contains("watching what happens behind LSN"), "{line}");
    master.submit(&["other", "x"]);
    let job = master.submit(&["mail", "x"])[0];
    master.cli(&["job", "cancel", &job.to_string()]).expect(0);
    let reader = thread::spawn(move || watch.wait_with_output().expect("its end"));
    let output = reader.join().expect("its output");
    assert!(output.status.success());
    let lines: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let words: Vec<&Value> = lines.iter().map(|line| &line["event"]).collect();
    assert_eq!(words, ["ENQUEUE", "CANCEL"], "{lines:?}");
    assert_eq!(lines[0]["job"], job);

    let after = ["events", "--after", "1", "--count", "1"];
    let table = master.cli(&after).expect(0).out;
    assert!(table.contains("ENQUEUE") && table.contains("mail"), "{table}");
    let quiet = master.cli(&["--output", "quiet", "events", "--after", "1", "--count", "1"]).expect(0).out;
    assert!(quiet.trim().ends_with(&format!("ENQUEUE {job}")), "{quiet}");
    let wrong = master.cli(&["events", "--event", "enque"]).expect(2);
    assert!(wrong.err.contains("did you mean \"ENQUEUE\"?"), "{}", wrong.err);
}
