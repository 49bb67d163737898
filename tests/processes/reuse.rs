//! Commands that stay (`falcon-worker --reuse`): jobs go in as lines of JSON and answers come out, from handlers in
//! several languages, and from ones that misbehave.

use crate::harness::wire::{Job, job};
use crate::harness::*;

/// One of the handlers in `examples/handlers`.
fn example(name: &str) -> String {
    format!("{}/examples/handlers/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A handler of ours: Python that runs this for each job. `job` is the job, `answer` answers it.
fn python(each: &str) -> Vec<String> {
    let code = format!(
        "import json, os, sys, time\n\
         def answer(job, **more): print(json.dumps({{'job': job['job'], **more}}), flush=True)\n\
         for line in sys.stdin:\n    job = json.loads(line)\n    {}\n",
        each.replace('\n', "\n    ")
    );
    ["python3", "-c", &code].map(str::to_owned).to_vec()
}

fn reuse(master: &Master, options: &[&str], command: &[String]) -> Process {
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    master.worker(&[&["--queue", "q", "--reuse"], options].concat(), &command)
}

/// All that is known of a job, its last error among it.
fn shown(master: &Master, job: u64) -> String {
    master.cli(&["job", "show", &job.to_string()]).expect(0).out
}

#[test]
fn handlers_in_python_node_and_shell_answer_every_job() {
    for (command, name, shouts) in
        [("python3", "shout.py", true), ("node", "shout.mjs", true), ("sh", "count.sh", false)]
    {
        let master = Master::fresh(&[]);
        let lines: String = (0..300).map(|n| format!("say \"{n}\" \\ é\n")).collect();
        let ids = master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
        let command = [command.to_owned(), example(name)];
        let worker = reuse(&master, &["--concurrency", "2", "--open", "8"], &command);
        master.wait_completed(300);
        let dump = master.dump();
        assert_eq!(dump.counts(), [300, 300, 300], "{name}");
        for (n, id) in ids.iter().enumerate() {
            let result = text(dump.last(*id, "ACK"), "result").to_owned();
            let expected = if shouts { format!("SAY \"{n}\" \\ É") } else { result.clone() };
            assert_eq!(result, expected, "{name}");
        }
        worker.signal(rustix::process::Signal::TERM);
        worker.finish().expect(0);
        master.stop();
    }
}

#[test]
fn as_many_processes_as_the_concurrency_stay_and_each_has_several_jobs_open() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let lines: String = (0..6).map(|n| format!("{n}\n")).collect();
    master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    // Each process answers nothing before it has three jobs.
    let each = format!(
        "held = globals().setdefault('held', [])\nheld.append(job)\nopen('{}' + str(os.getpid()), 'w')\n\
         if len(held) == 3:\n    for one in held: answer(one, ok=True)\n    held.clear()",
        place.path("pid-")
    );
    let _worker = reuse(&master, &["--concurrency", "2", "--open", "3"], &python(&each));
    master.wait_completed(6);
    assert_eq!(place.count("pid-"), 2);
    master.stop();
}

#[test]
fn a_payload_that_is_not_text_comes_and_goes_as_base64() {
    let master = Master::fresh(&[]);
    let id = master.connect().put_all(&[Job { payload: vec![0xff, 0, 1], ..job("q", "") }])[0];
    let each = "answer(job, ok=True, result_base64=job['payload_base64'])";
    let _worker = reuse(&master, &[], &python(each));
    master.wait_completed(1);
    assert_eq!(master.dump().last(id, "ACK")["result_hex"], "ff0001");
    master.stop();
}

#[test]
fn a_process_that_misbehaves_is_replaced_and_its_jobs_fail() {
    let once = Job { max_attempts: 1, ..job("q", "") };
    let cases = [
        ("os._exit(3)", "exit status 3"),
        // Its pipe stays open in the child that it leaves behind.
        ("os.fork() or time.sleep(300); os._exit(4)", "exit status 4"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("print('hello', flush=True)", "hello"),
        ("answer({'job': 99}, ok=True)", "job 99"),
        ("print('x' * 1000000, flush=True)", "bytes"),
        ("time.sleep(100)", "within its time of 300 ms"),
        ("answer(job, ok=False, error='no such mailbox', for_good=True)", "no such mailbox"),
    ];
    for (misdeed, told) in cases {
        let master = Master::fresh(&[]);
        let mut wire = master.connect();
        let bad = wire.put_all(&[Job {
            payload: b"bad".to_vec(),
            timeout_ms: if told.contains("time") { 300 } else { 0 },
            ..once.clone()
        }])[0];
        let good = wire.put_all(&[Job { payload: b"good".to_vec(), ..once.clone() }])[0];
        let each = format!("if job['payload'] == 'bad': {misdeed}\nelse: answer(job, ok=True, result='fine')");
        let _worker = reuse(&master, &[], &python(&each));
        wait_until("the good job to be done", SOON, || master.stats().totals.completed == 1);
        let dump = master.dump();
        assert_eq!(text(dump.last(good, "ACK"), "result"), "fine");
        assert_eq!(dump.story(bad), ["ENQUEUE", "DISPATCH", "DEAD"], "{misdeed}");
        let error = shown(&master, bad);
        assert!(error.contains(told), "{misdeed}: {error}");
        master.stop();
    }
}

#[test]
fn a_job_that_is_stopped_takes_its_process_with_it_and_the_others_are_given_back() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    let lines: String = (0..2).map(|n| format!("{n}\n")).collect();
    let ids = master.submit_input(&["q", "--lines", "-"], lines.as_bytes());
    let each = format!("open('{}' + job['payload'], 'w').write(str(os.getpid()) + '\\n')", place.path("began-"));
    let worker = reuse(&master, &["--open", "2", "--shutdown-limit", "100ms"], &python(&each));
    wait_until("both to be begun", SOON, || place.count("began-") == 2);
    let process = place.wait_content("began-0");
    worker.signal(rustix::process::Signal::TERM);
    worker.finish().expect(0);
    assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "it went with the worker");
    let dump = master.dump();
    for id in ids {
        assert_eq!(dump.story(id), ["ENQUEUE", "DISPATCH", "RELEASE"]);
    }
    master.stop();
}

#[test]
fn a_process_that_is_not_needed_any_more_may_end_by_itself() {
    let place = Place::new();
    let master = Master::fresh(&[]);
    master.submit_input(&["q", "-"], b"x");
    let mut command = python("answer(job, ok=True)");
    command[2].push_str(&format!("time.sleep(0.2)\nopen('{}', 'w')\n", place.path("ended")));
    let worker = reuse(&master, &[], &command);
    master.wait_completed(1);
    worker.signal(rustix::process::Signal::TERM);
    worker.finish().expect(0);
    assert!(place.has("ended"), "its stdin ended, and it had the time to tidy up");
    master.stop();
}

#[test]
fn too_many_open_jobs_are_bad_usage() {
    let master = Master::fresh(&[]);
    let options = ["--concurrency", "100", "--open", "100"];
    let run = reuse(&master, &options, &python("pass")).finish().expect(2);
    assert!(run.err.contains("10000") && run.err.contains("1024"), "{}", run.err);
    master.stop();
}
