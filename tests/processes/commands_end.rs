//! Commands end with their worker, however that ends, and with them all that they started, wherever it went.
//!
//! `FALCON_WORKER_KILLS` says how often a worker with 40 commands is killed.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::harness::wire::{Job, job};
use crate::harness::*;

/// The variable by which what a worker started is known, and the worker and its reaper with it.
const PLACE: &str = "TEST_PLACE";

/// A worker in a process group of its own, all of whose descendants can be found.
fn worker_at(place: &Place, master: &Master, options: &[&str], command: &[&str]) -> Process {
    let mut worker = Command::new(FALCON_WORKER);
    worker.env(PLACE, place.path("")).env_remove("FALCON_MASTER").process_group(0);
    worker.args(["--master", &master.address, "--queue", "q"]).args(options).arg("--").args(command);
    Process::spawn(&mut worker, b"")
}

/// All that still runs of what was started for this place: by its environment, or by its command line if that was
/// cleared.
fn left(place: &Place) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.parse::<u32>().is_ok());
    let names_place = |file: String| {
        let content = fs::read(file).unwrap_or_default();
        content.windows(place.path("").len()).any(|window| window == place.path("").as_bytes())
    };
    let is_here = |pid: &String| ["environ", "cmdline"].iter().any(|file| names_place(format!("/proc/{pid}/{file}")));
    pids.filter(|pid| is_running(pid) && is_here(pid)).collect()
}

fn wait_nobody_left(place: &Place) {
    wait_until("the end of all that was started", SOON, || left(place).is_empty());
}

/// The child of the worker that is its reaper.
fn reaper_of(worker: u32) -> Option<String> {
    let tasks = fs::read_dir(format!("/proc/{worker}/task")).ok()?.flatten();
    let children: String = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    let is_reaper = |pid: &&str| {
        is_running(pid)
            && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"falcon-reaper\0"))
    };
    children.split_ascii_whitespace().find(is_reaper).map(str::to_owned)
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().expect("a number")).expect("a process id")
}

/// Shell: a process in the group, one in a session of its own, one there without its environment, and one that is kin
/// by its group alone; none of them ends by SIGTERM. Each leaves a file `NAME-JOB` with its pid.
fn family(place: &Place) -> String {
    let one = |name: &str| {
        let file = place.path(name);
        format!("trap '' TERM HUP; echo $$ > '{file}-'$FALCON_JOB_ID; {}", place.for_ever())
    };
    let bare = place.path("bare");
    format!(
        "setsid sh -c '{setsid}' & env -i setsid sh -c '{cleared}' x $FALCON_JOB_ID & (sh -c '{group}' &) ; {leader}",
        setsid = one("setsid").replace('\'', "\""),
        cleared = format!("trap \"\" TERM; echo $$ > \"{bare}-$1\"; {}", place.for_ever()).replace('\'', "\""),
        group = one("group").replace('\'', "\""),
        leader = one("leader"),
    )
}

const FAMILY: [&str; 4] = ["setsid-", "bare-", "group-", "leader-"];

fn wait_family(place: &Place, jobs: usize) {
    wait_until("the families to run", SOON, || FAMILY.iter().all(|name| place.count(name) == jobs));
}

#[test]
fn a_worker_that_is_killed_takes_its_commands_with_it() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    master.connect().put_all(&vec![job("q", family(&place)); 4]);
    let worker = worker_at(&place, &master, &["--concurrency", "4"], &["sh"]);
    wait_family(&place, 4);
    let begun = Instant::now();
    worker.kill();
    wait_nobody_left(&place);
    println!("nobody was left after {:.0?}", begun.elapsed());
    master.stop();
}

#[test]
fn so_does_one_that_is_killed_with_its_process_group() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    master.connect().put("q", family(&place));
    let worker = worker_at(&place, &master, &[], &["sh"]);
    wait_family(&place, 1);
    kill_process_group(pid(&worker.id().to_string()), Signal::KILL).expect("a signal sent");
    wait_nobody_left(&place);
    master.stop();
}

#[test]
fn what_a_command_left_behind_ends_with_a_worker_that_leaves_in_order() {
    for signal in [Signal::HUP, Signal::QUIT, Signal::TERM] {
        let place = Place::new();
        let master = Master::fresh(&[]);
        let left_behind = format!(": > \"{}\"; trap \"\" TERM HUP; {}", place.path("left"), place.for_ever());
        let script = format!(
            "setsid sh -c '{}' & : > '{}'; {}; echo finished",
            left_behind.replace('\'', "\""),
            place.path("began"),
            place.until("go")
        );
        let id = master.connect().put("q", script);
        let worker = worker_at(&place, &master, &[], &["sh"]);
        wait_until("both to run", SOON, || place.has("began") && place.has("left"));
        worker.signal(signal);
        wait_until("the worker to have stopped polling", SOON, || master.stats().waiting_polls == 0);
        place.mark("go");
        worker.finish().expect(0);
        wait_nobody_left(&place);
        assert_eq!(text(master.dump().last(id, "ACK"), "result"), "finished\n", "{signal:?}");
        master.stop();
    }
}

#[test]
fn a_job_whose_time_is_up_is_stopped_with_all_that_it_started() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&[Job { timeout_ms: 2_000, max_attempts: 1, ..job("q", family(&place)) }]);
    let worker = worker_at(&place, &master, &[], &["sh"]);
    wait_family(&place, 1);
    wait_until("the dead job", SOON, || wire.stats().totals.dead == 1);
    let stays = [worker.id().to_string(), reaper_of(worker.id()).expect("a reaper")];
    assert!(left(&place).iter().all(|pid| stays.contains(pid)), "it is said when nobody is left");
    master.stop();
}

#[test]
fn a_job_whose_lease_is_lost_is_stopped_with_all_that_it_started() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put("q", format!("[ $FALCON_ATTEMPT -gt 1 ] && exit; {}", family(&place)));
    let worker = worker_at(&place, &master, &["--lease", "1s"], &["sh"]);
    wait_family(&place, 1);
    worker.signal(Signal::STOP);
    wait_until("the lease to run out", SOON, || wire.stats().totals.in_flight == 0);
    worker.signal(Signal::CONT);
    // The worker and its reaper stay.
    wait_until("the end of the family", SOON, || left(&place).len() == 2);
    master.wait_completed(1);
    master.stop();
}

#[test]
fn a_job_that_is_given_back_by_a_leaving_worker_is_stopped_with_all_that_it_started() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let id = master.connect().put("q", family(&place));
    let worker = worker_at(&place, &master, &["--shutdown-limit", "100ms"], &["sh"]);
    wait_family(&place, 1);
    let begun = Instant::now();
    worker.signal(Signal::TERM);
    worker.finish().expect(0);
    // 2 s after the limit, and something for a machine that is busy with other tests.
    assert!(begun.elapsed() < Duration::from_millis(100 + 2_500), "it took {:.1?}", begun.elapsed());
    assert_eq!(left(&place), [""; 0]);
    assert_eq!(master.dump().story(id), ["ENQUEUE", "DISPATCH", "RELEASE"]);
    master.stop();
}

/// Shell: fifty children that hold the pipes and do not end.
fn fifty(place: &Place) -> String {
    let (child, for_ever) = (place.path("child-$n"), place.for_ever());
    let all_run = format!("while [ $(ls '{}' | grep -c child-) -lt 50 ]; do sleep 0.02; done", place.path(""));
    format!("n=0; while [ $n -lt 50 ]; do n=$((n+1)); (: > \"{child}\"; {for_ever}) & done; {all_run}; echo done")
}

#[test]
fn fifty_children_that_hold_the_pipes_keep_no_job_from_its_end_and_end_with_the_worker() {
    for signal in [Signal::KILL, Signal::TERM] {
        let place = Place::new();
        let master = Master::fresh(&[]);
        let id = master.connect().put("q", fifty(&place));
        let worker = worker_at(&place, &master, &[], &["sh"]);
        wait_until("the children to run", SOON, || place.count("child-") == 50);
        let begun = Instant::now();
        master.wait_completed(1);
        assert!(begun.elapsed() < Duration::from_secs(2), "acked at once, and not after {:.1?}", begun.elapsed());
        assert_eq!(text(master.dump().last(id, "ACK"), "result"), "done\n");
        assert!(left(&place).len() >= 50, "they go on while the worker lives");
        worker.signal(signal);
        wait_nobody_left(&place);
        drop(worker);
        master.stop();
    }
}

#[test]
fn processes_that_stay_end_with_a_worker_that_is_killed() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&vec![job("q", ""); 2]);
    let script = format!("read job; export FALCON_JOB_ID=$$; {}", family(&place));
    let options = ["--reuse", "--concurrency", "2"];
    let worker = worker_at(&place, &master, &options, &["sh", "-c", &script]);
    wait_family(&place, 2);
    worker.kill();
    wait_nobody_left(&place);
    master.stop();
}

#[test]
fn a_job_that_is_stopped_ends_its_process_that_stays_with_all_that_this_started() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    wire.put_all(&[Job { timeout_ms: 2_000, max_attempts: 1, ..job("q", "") }]);
    let script = format!("read job; export FALCON_JOB_ID=$$; {}", family(&place));
    let _worker = worker_at(&place, &master, &["--reuse"], &["sh", "-c", &script]);
    wait_family(&place, 1);
    wait_until("the dead job", SOON, || wire.stats().totals.dead == 1);
    wait_until("the end of the family", SOON, || left(&place).len() == 2);
    master.stop();
}

#[test]
fn commands_of_a_master_with_workers_of_its_own_end_when_it_is_killed() {
    let place = Place::new();
    let dir = scratch();
    let mut falcond = Command::new(FALCOND);
    falcond.env(PLACE, place.path("")).process_group(0).arg("--data-dir").arg(dir.path());
    falcond.args(["--listen", "127.0.0.1:0", "--segment-bytes", "16777216"]);
    falcond.args(["--workers", "2", "--queue", "q", "--", "sh"]);
    let master = Master::serving(Process::spawn(&mut falcond, b""), dir.path());
    master.connect().put_all(&vec![job("q", family(&place)); 2]);
    wait_family(&place, 2);
    master.kill();
    wait_nobody_left(&place);
}

#[test]
fn a_reaper_that_is_killed_is_replaced_and_one_that_gets_another_signal_stays() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    master.connect().put("q", family(&place));
    let worker = worker_at(&place, &master, &[], &["sh"]);
    wait_family(&place, 1);
    let first = reaper_of(worker.id()).expect("a reaper");
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
        kill_process(pid(&first), signal).expect("a signal sent");
    }
    let status = || fs::read_to_string(format!("/proc/{first}/status")).unwrap_or_default();
    let is_pending = |line: &str| line.starts_with("ShdPnd:") && !line.ends_with("\t0000000000000000");
    wait_until("the signals to arrive", SOON, || !status().lines().any(is_pending));
    assert!(is_running(&first), "these do not end it");
    kill_process(pid(&first), Signal::KILL).expect("a signal sent");
    // It has its name from when it is ready.
    let is_ready = |pid: &String| {
        *pid != first && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "falcon-reaper\n")
    };
    wait_for("another reaper", SOON, || reaper_of(worker.id()).filter(is_ready));
    assert!(worker.stderr().contains("starting another"), "{}", worker.stderr());
    assert!(left(&place).len() >= 2 + FAMILY.len(), "the commands go on meanwhile");
    worker.kill();
    wait_nobody_left(&place);
    master.stop();
}

#[test]
fn a_terminal_that_hangs_up_takes_no_reaper_with_it() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    master.connect().put("q", family(&place));
    // A worker that leads the session of a terminal, which hangs up when this has read something.
    let code = format!(
        "import os, pty, sys\npid, terminal = pty.fork()\n\
         if pid == 0: os.execv('{FALCON_WORKER}', ['falcon-worker'] + sys.argv[1:])\n\
         print(pid, flush=True)\nsys.stdin.read(1)\nos.close(terminal)\nos.waitpid(pid, 0)"
    );
    let mut terminal = Command::new("python3");
    terminal.env(PLACE, place.path("")).args(["-c", &code, "--master", &master.address, "--queue", "q", "--", "sh"]);
    let mut terminal =
        terminal.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(terminal.stdout.take().unwrap()), &mut line).unwrap();
    wait_family(&place, 1);
    drop(terminal.stdin.take());
    // The end of a terminal is an order to stop.
    wait_until("the worker to have stopped polling", SOON, || master.stats().waiting_polls == 0);
    kill_process(pid(&line), Signal::KILL).expect("a signal sent");
    terminal.wait().unwrap();
    wait_nobody_left(&place);
    master.stop();
}

/// The state and the parent of a process, if there is one.
fn state_and_parent(pid: &str) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().map(str::to_owned);
    Some((fields.next()?, fields.next()?.parse().ok()?))
}

#[test]
fn orphans_come_to_the_worker_and_are_reaped_and_those_without_a_trace_end_with_it() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let mut wire = master.connect();
    let orphan = |name: &str, until: String| {
        let file = place.path(name);
        let inner = format!("echo $$ > \"{file}\"; {until}").replace('\'', "\"");
        // Nothing ties it to its command once that has ended.
        format!("env -i setsid sh -c '{inner}' > /dev/null 2>&1 & while [ ! -e '{file}' ]; do sleep 0.01; done")
    };
    let worker = worker_at(&place, &master, &[], &["sh"]);
    wire.put("q", orphan("stays", place.for_ever()));
    master.wait_completed(1);
    let stays = place.wait_content("stays");
    wait_until("the orphan to come", SOON, || {
        state_and_parent(&stays).is_some_and(|(_, parent)| parent == worker.id())
    });
    wire.put("q", orphan("goes", place.until("go")));
    master.wait_completed(2);
    let goes = place.wait_content("goes");
    place.mark("go");
    // It is reaped in a look that came after the other one, which the reaper knows of by then.
    wait_until("the orphan to be reaped", SOON, || !Path::new(&format!("/proc/{}", goes.trim())).exists());
    assert!(is_running(&stays));
    worker.kill();
    wait_nobody_left(&place);
    master.stop();
}

/// How often a worker is killed unless `FALCON_WORKER_KILLS` says so, and with how many commands.
const KILLS: u32 = 4;
const COMMANDS: usize = 40;

#[test]
fn kills_of_workers_with_forty_commands_leave_nobody_behind() {
    let kills = env::var("FALCON_WORKER_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let master = Master::fresh(&[]);
    let begun = Instant::now();
    let mut ends = Vec::new();
    for _ in 0..kills {
        let place = Place::new();
        // In a session of their own every other time, with a child each.
        let child = format!("{}; :", place.for_ever()).replace('\'', "\"");
        let mark = place.path("began-$FALCON_JOB_ID");
        let script = format!(
            "[ $((FALCON_JOB_ID % 2)) = 0 ] && own=setsid; $own sh -c '{child}' & : > \"{mark}\"; exec sleep 1000"
        );
        master.connect().put_all(&vec![Job { max_attempts: 1, ..job("q", script) }; COMMANDS]);
        let concurrency = COMMANDS.to_string();
        let worker = worker_at(&place, &master, &["--concurrency", &concurrency, "--lease", "60s"], &["sh"]);
        wait_until("all commands to run", SOON, || place.count("began-") == COMMANDS);
        let killed_at = Instant::now();
        worker.kill();
        wait_nobody_left(&place);
        ends.push(killed_at.elapsed());
    }
    ends.sort();
    println!(
        "{kills} kills of workers with {COMMANDS} commands in {:.0?}; nobody was left after {:.0?} (median) and {:.0?} \
         (longest)",
        begun.elapsed(),
        ends[ends.len() / 2],
        ends[ends.len() - 1]
    );
    master.stop();
}
