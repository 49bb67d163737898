//! Workers at hand: who is there, what they are told to do by a command or a signal, and how far their jobs are.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::wire::{self, *};
use crate::harness::*;
use rustix::process::Signal;
use serde_json::Value;

/// All workers, as `falcon-cli worker list` tells them.
fn list(master: &Master) -> Vec<Value> {
    master.cli(&["--output", "json", "worker", "list"]).expect(0).json()
}

fn names(master: &Master) -> Vec<String> {
    master.cli(&["--output", "quiet", "worker", "list"]).expect(0).out.lines().map(str::to_owned).collect()
}

/// The one worker of this name, if it is there.
fn find(master: &Master, name: &str) -> Option<Value> {
    let mut found: Vec<Value> = list(master).into_iter().filter(|worker| worker["name"] == name).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

fn wait_state(master: &Master, name: &str, state: &str) {
    wait_until(&format!("{name} to be {state}"), SOON, || {
        find(master, name).is_some_and(|worker| worker["state"] == state)
    });
}

fn named(master: &Master, name: &str, command: &[&str]) -> Process {
    worker(&master.address, &["--queue", "q", "--name", name], command)
}

/// Shell: leave a mark, and wait for another one.
fn waits(place: &Place, began: &str, go: &str) -> String {
    format!("echo > '{}'; {}", place.path(began), place.until(go))
}

#[test]
fn workers_are_listed_with_what_they_do() {
    let master = Master::fresh(&[]);
    let place = Place::new();
    let producer = master.submit(&["q", &waits(&place, "began", "go")])[0];
    assert_eq!(names(&master), [""; 0], "a producer is none");
    let options = ["--queue", "q", "--queue", "bulk", "--concurrency", "3", "--name", "mine"];
    let mine = master.worker(&options, &["sh"]);
    place.wait_content("began");
    wait_state(&master, "mine", "polling");
    let known = find(&master, "mine").unwrap();
    assert_eq!((&known["queues"], &known["pid"]), (&serde_json::json!(["q", "bulk"]), &mine.id().into()));
    assert_eq!((&known["begun"], &known["held"], &known["concurrency"]), (&1.into(), &0.into(), &3.into()));
    assert_eq!((&known["jobs"][0]["job"], &known["jobs"][0]["stage"]), (&producer.into(), &"begun".into()));
    assert!(text(&known, "software").starts_with("falcon-worker ") && !text(&known, "host").is_empty(), "{known}");
    assert!(number(&known, "silent_ms") < 10_000, "{known}");

    let table = master.cli(&["worker", "list"]).expect(0).out;
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.starts_with("NAME") && table.contains("1/3"), "{table}");
    let shown = master.cli(&["worker", "show", "mine"]).expect(0).out;
    assert!(shown.contains(&format!("{producer} under lease")) && shown.contains("q,bulk"), "{shown}");
    let unknown = master.cli(&["worker", "show", "nobody"]).expect(3);
    assert!(unknown.err.contains("nobody") && unknown.err.contains("worker list"), "{}", unknown.err);
    place.mark("go");
    master.wait_completed(1);
    wait_until("the job to be off the list", SOON, || find(&master, "mine").unwrap()["begun"] == 0);
}

#[test]
fn a_worker_that_died_is_gone_and_one_that_came_back_is_there_once() {
    let home = scratch();
    let port = Port::reserve();
    let master = Master::start_at(home.path(), &port.address, &[]);
    let stays = named(&master, "stays", &["sh"]);
    let dies = named(&master, "dies", &["sh"]);
    wait_until("both", SOON, || names(&master) == ["dies", "stays"]);
    dies.kill();
    wait_until("its end to be known", SOON, || names(&master) == ["stays"]);
    master.kill();
    let master = Master::start_at(home.path(), &port.address, &[]);
    wait_state(&master, "stays", "polling");
    assert_eq!(names(&master), ["stays"]);
    // Its second connection is made for the first report.
    master.submit(&["q", "exit 0"]);
    master.wait_completed(1);
    assert_eq!(names(&master), ["stays"]);
    drop(stays);
}

#[test]
fn a_worker_that_is_told_to_be_quiet_takes_nothing_until_it_resumes() {
    let master = Master::fresh(&[]);
    let _first = named(&master, "first", &["sh", "-c", "cat >/dev/null; echo first"]);
    let _second = named(&master, "second", &["sh", "-c", "cat >/dev/null; echo second"]);
    wait_state(&master, "second", "polling");
    wait_state(&master, "first", "polling");
    let told = master.cli(&["--output", "json", "worker", "quiet", "first"]).expect(0);
    assert_eq!(told.json()[0]["workers"], 1);
    wait_state(&master, "first", "quiet");
    let lines: String = (0..20).map(|n| format!("{n}\n")).collect();
    master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    master.wait_completed(20);
    let dump = master.dump();
    assert!(dump.of("ACK").iter().all(|ack| ack["result"] == "second\n"));
    assert!(dump.of("DISPATCH").iter().all(|dispatch| dispatch["worker"] == "second"));

    assert_eq!(master.cli(&["--output", "quiet", "worker", "quiet", "all"]).expect(0).out, "2\n");
    wait_state(&master, "second", "quiet");
    let id = master.submit(&["q", "x"])[0];
    master.cli(&["worker", "resume", "first"]).expect(0);
    wait_until("its end", SOON, || master.dump().story(id).contains(&"ACK"));
    assert_eq!(text(master.dump().last(id, "ACK"), "result"), "first\n");
    let unknown = master.cli(&["worker", "quiet", "third"]).expect(3);
    assert!(unknown.err.contains("third") && unknown.err.contains("worker list"), "{}", unknown.err);
    master.cli(&["worker", "stop", ""]).expect(2);
}

#[test]
fn sigtstp_makes_a_worker_quiet_while_it_goes_on_and_sigcont_resumes() {
    let master = Master::fresh(&[]);
    let place = Place::new();
    let script = waits(&place, "began", "go");
    let running = master.submit(&["q", &script])[0];
    let quiet = named(&master, "quiet", &["sh"]);
    place.wait_content("began");
    quiet.signal(Signal::TSTP);
    wait_state(&master, "quiet", "quiet");
    let waiting = master.submit(&["q", "echo other"])[0];
    place.mark("go");
    wait_until("the end of what it ran", SOON, || master.dump().story(running).contains(&"ACK"));
    let other = named(&master, "other", &["sh"]);
    wait_until("the other one to take it", SOON, || master.dump().story(waiting).contains(&"ACK"));
    assert_eq!(text(master.dump().last(waiting, "DISPATCH"), "worker"), "other");
    other.signal(Signal::TERM);
    other.finish().expect(0);
    let last = master.submit(&["q", "exit 0"])[0];
    quiet.signal(Signal::CONT);
    wait_until("its end", SOON, || master.dump().story(last).contains(&"ACK"));
    assert_eq!(text(master.dump().last(last, "DISPATCH"), "worker"), "quiet");
}

#[test]
fn what_a_quiet_worker_only_holds_is_given_back_uncounted() {
    let master = Master::fresh(&[]);
    let place = Place::new();
    let options = ["--queue", "q", "--name", "mine", "--prefetch", "4", "--lease", "60s"];
    let running = master.submit(&["q", &waits(&place, "began", "go")])[0];
    let held = [0; 4].map(|_| master.submit(&["q", "exit 0", "--max-attempts", "1"])[0]);
    let mine = master.worker(&options, &["sh"]);
    place.wait_content("began");
    wait_until("all to be held", SOON, || find(&master, "mine").is_some_and(|worker| worker["held"] == 4));
    mine.signal(Signal::TSTP);
    wait_until("all to be given back", SOON, || master.stats().totals.pending == 4);
    assert_eq!(find(&master, "mine").unwrap()["begun"], 1);
    place.mark("go");
    wait_until("the end of what it ran", SOON, || master.dump().story(running).contains(&"ACK"));
    mine.signal(Signal::CONT);
    wait_until("the end of the others", SOON, || master.stats().totals.completed == 5);
    assert!(held.iter().all(|id| master.dump().story(*id).last() == Some(&"ACK")));
}

#[test]
fn a_worker_that_is_told_to_stop_finishes_its_job_and_leaves() {
    let master = Master::fresh(&[]);
    let place = Place::new();
    let id = master.submit(&["q", &waits(&place, "began", "go")])[0];
    let mine = named(&master, "mine", &["sh"]);
    let other = worker(&master.address, &["--queue", "elsewhere", "--name", "idle"], &["sh"]);
    place.wait_content("began");
    wait_state(&master, "idle", "polling");
    master.cli(&["worker", "stop", "mine"]).expect(0);
    wait_until("it to stop", SOON, || mine.stderr().contains("stopping"));
    place.mark("go");
    mine.finish().expect(0);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "ACK"]);
    // An idle one hears of it by its next sign of life.
    master.cli(&["worker", "stop", "all"]).expect(0);
    other.finish().expect(0);
    wait_until("nobody to be left", SOON, || names(&master).is_empty());
    assert_eq!(master.cli(&["--output", "quiet", "worker", "stop", "all"]).expect(0).out, "0\n");
}

#[test]
fn a_worker_that_waits_for_jobs_hears_of_an_order_at_once() {
    // Its own sign of life is due after 18 s only.
    let master = Master::fresh(&["--silence", "1m"]);
    let mine = named(&master, "mine", &["sh"]);
    wait_state(&master, "mine", "polling");
    let asked_at = Instant::now();
    master.cli(&["worker", "quiet", "mine"]).expect(0);
    wait_state(&master, "mine", "quiet");
    assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}", asked_at.elapsed());
    mine.signal(Signal::CONT);
    wait_state(&master, "mine", "polling");
    let asked_at = Instant::now();
    let told = master.cli(&["worker", "stop", "mine"]).expect(0);
    assert_eq!(told.out, "1 worker is told to stop, with its next sign of life\n");
    mine.finish().expect(0);
    assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}", asked_at.elapsed());
}

#[test]
fn a_quiet_worker_stays_quiet_over_a_restart_of_the_master_and_can_be_resumed_then() {
    let home = scratch();
    let port = Port::reserve();
    let master = Master::start_at(home.path(), &port.address, &[]);
    let _mine = named(&master, "mine", &["sh"]);
    wait_state(&master, "mine", "polling");
    master.cli(&["worker", "quiet", "mine"]).expect(0);
    wait_state(&master, "mine", "quiet");
    master.kill();
    let master = Master::start_at(home.path(), &port.address, &[]);
    master.submit(&["q", "exit 0"]);
    wait_state(&master, "mine", "quiet");
    assert_eq!(master.dump().count("DISPATCH"), 0);
    master.cli(&["worker", "resume", "mine"]).expect(0);
    master.wait_completed(1);
}

#[test]
fn workers_within_the_master_are_there_too_and_do_what_they_are_told() {
    let home = scratch();
    let args = ["--workers", "2", "--queue", "q", "--", "sh"];
    let master = Master::start(home.path(), &args);
    wait_state(&master, "standalone", "polling");
    let known = find(&master, "standalone").unwrap();
    assert_eq!((&known["concurrency"], &known["queues"][0]), (&2.into(), &"q".into()));
    assert!(text(&known, "software").starts_with("falcond "), "{known}");
    master.cli(&["worker", "quiet", "standalone"]).expect(0);
    wait_state(&master, "standalone", "quiet");
    let id = master.submit(&["q", "exit 0"])[0];
    assert_eq!(dump(home.path()).story(id), ["ENQUEUE"]);
    master.cli(&["worker", "resume", "all"]).expect(0);
    master.wait_completed(1);
}

#[test]
fn a_command_tells_how_far_its_job_is_and_whether_it_still_has_it() {
    let home = scratch();
    let token = home.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let token = token.to_str().unwrap();
    let master = Master::fresh(&["--token-file", token]);
    let place = Place::new();
    let script = format!(
        "'{FALCON_CLI}' job progress 40 'parsed' && '{FALCON_CLI}' job alive && echo alive; {}; env | grep secret",
        waits(&place, "told", "go")
    );
    let with_token = |args: &[&str]| master.cli(&[&["--token-file", token], args].concat());
    let submitted = with_token(&["--output", "quiet", "submit", "q", &script]).expect(0).out;
    let id = submitted.trim();
    let mut mine = Command::new(FALCON_WORKER);
    mine.current_dir(home.path()).args(["--master", &master.address, "--queue", "q", "--token-file", "token"]);
    let _mine = Process::spawn(mine.args(["--", "sh", "-c", "cd /; exec sh"]), b"");
    place.wait_content("told");
    let known = &with_token(&["--output", "json", "job", "show", id]).expect(0).json()[0];
    assert_eq!((&known["percent"], &known["progress"]), (&40.into(), &"parsed".into()));
    assert!(now_ms() - moment(known, "told_at") < 60_000, "{known}");
    assert!(with_token(&["job", "show", id]).expect(0).out.contains("parsed"));
    let table = with_token(&["job", "list"]).expect(0).out;
    assert!(table.lines().nth(1).is_some_and(|row| row.contains("40%") && row.ends_with("parsed")), "{table}");
    let listed = &with_token(&["--output", "json", "job", "list"]).expect(0).json()[0];
    assert_eq!((&listed["percent"], &listed["progress"]), (&40.into(), &"parsed".into()));

    let lease = number(known, "lease").to_string();
    let lease = ["--job", id, "--lease", &lease];
    let ask = |command: &[&str]| with_token(&[command, &lease].concat());
    place.mark("go");
    let ended = || master.dump().of_job(id.parse().unwrap()).len() > 2;
    wait_until("the end of the job", SOON, ended);
    // `grep` found no token, and nothing but the script's own word was taken for the result.
    assert!(text(master.dump().last(id.parse().unwrap(), "RETRY"), "error").contains("exit status 1"));
    let lost = ask(&["--output", "json", "job", "alive"]).expect(1);
    assert_eq!(lost.json()[0]["alive"], false);
    let lost = ask(&["job", "progress", "90"]).expect(6);
    assert!(lost.err.contains("LeaseLost"), "{}", lost.err);
}

#[test]
fn a_job_may_be_told_of_by_whoever_names_its_lease() {
    let master = Master::fresh(&[]);
    let mut holder = master.connect();
    let job = holder.put_and_take("q");
    let (id, lease) = (job.job.to_string(), job.lease.to_string());
    let ask = |command: &[&str]| master.cli(&[command, &["--job", &id, "--lease", &lease]].concat());
    assert_eq!(ask(&["job", "alive"]).expect(0).out, "");
    assert_eq!(ask(&["--output", "json", "job", "alive"]).expect(0).json()[0]["alive"], true);
    ask(&["job", "progress", "101"]).expect(2);
    assert_eq!(ask(&["job", "progress", "80", &"é".repeat(150)]).expect(0).out, "");
    let known = &master.cli(&["--output", "json", "job", "show", &id]).expect(0).json()[0];
    assert_eq!(text(known, "progress"), "é".repeat(100), "cut where a letter ends");
    master.cli(&["job", "alive", "--job", "999", "--lease", "1"]).expect(1);
    master.cli(&["job", "alive", "--job", "999"]).expect(2);
}

#[test]
fn asking_whether_a_lease_lives_does_not_take_it_over() {
    let master = Master::fresh(&["--grace", "100ms"]);
    let mut holder = Wire::silent(&master.address);
    assert!(matches!(holder.ask(&hello_of_worker("mine", 9)), wire::Reply::HelloOk { .. }));
    let job = holder.put_and_take("q");
    let (id, lease) = (job.job.to_string(), job.lease.to_string());
    let alive = || master.cli(&["job", "alive", "--job", &id, "--lease", &lease]);
    alive().expect(0);
    assert_eq!(find(&master, "mine").unwrap()["begun"], 1, "it is still the one who took it");
    let mut other = master.connect();
    assert!(matches!(other.ask(&progress(job.job, job.lease, 5, "")), wire::Reply::ProgressOk));
    drop(holder);
    wait_until("the lease to end with its holder's connection", SOON, || alive().status == 1);
    expect_error(other.ask(&progress(job.job, job.lease, 6, "")), LEASE_LOST);
}

#[test]
fn an_order_is_heard_by_a_stranger_that_follows_the_page() {
    let master = Master::fresh(&[]);
    let mut mine = Wire::silent(&master.address);
    mine.ask(&hello_of_worker("mine", 9));
    let known = match mine.ask(&workers("mine")) {
        wire::Reply::WorkersOk(mut known) => known.pop().unwrap(),
        other => panic!("a WorkersOk, not {other:?}"),
    };
    assert_eq!((known.instance, &*known.host, known.pid, &*known.software), (9, "box", 421, "mine 1"));
    assert_eq!((known.concurrency, known.polls, known.queues.len()), (4, 0, 0));
    assert_eq!(mine.ask(&order("mine", 1)), wire::Reply::OrderOk(1));
    assert_eq!(mine.ask(&sign_of_life(false)), wire::Reply::Ordered(Vec::new(), 1));
    assert_eq!(mine.ask(&sign_of_life(true)), wire::Reply::HeartbeatOk(Vec::new()));
    assert_eq!(find(&master, "mine").unwrap()["quiet"], true);
    assert!(wire::is_error(&mine.ask(&order("mine", 9)), NOT_UNDERSTOOD));
    assert!(wire::is_error(&mine.ask(&order("other", 1)), NOT_FOUND));
}
