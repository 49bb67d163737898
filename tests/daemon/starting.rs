//! A master that is still reading its log, as its clients meet it. A listener stands in for it, so that it takes as
//! long as the test wants; then a real master comes to the same port.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::harness::frames::{Body, header};
use crate::harness::*;

const TEXT: &str = "the master is starting: 40 % of 800 MiB of its log is read; try again soon";

/// Answers every connection with the error 16, `Starting`.
struct Starting {
    stop: Arc<AtomicBool>,
    told: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Starting {
    fn at(address: &str) -> Starting {
        let listener = TcpListener::bind(address).expect("a listener");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&told));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let Ok((mut stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let Body(body) = Body::default().u16(16).u8(1).text(TEXT).plain();
                let frame = [header(body.len(), 0x80FF, 0, 0), body].concat();
                // Whoever has left already need not be told.
                stream.write_all(&frame).ok();
                stream.shutdown(Shutdown::Write).ok();
                stream.read_to_end(&mut Vec::new()).ok();
                count.fetch_add(1, Ordering::Release);
            }
        });
        Starting { stop, told, thread: Some(thread) }
    }

    fn told(&self) -> usize {
        self.told.load(Ordering::Acquire)
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().expect("it runs").join().expect("it ends");
    }
}

#[test]
fn a_command_says_how_far_the_master_is_and_ends_with_69() {
    let port = Port::reserve();
    let starting = Starting::at(&port.address);
    let address = port.address.as_str();
    thread::scope(|scope| {
        for command in [&["stats"][..], &["snapshot"], &["submit", "q", "x"]] {
            scope.spawn(move || {
                let run = cli(&[&["--master", address], command].concat()).expect(69);
                let waits = format!("falcon-cli: {TEXT}; it is waited for, as long as --retry-for says");
                assert_eq!((run.out.as_str(), run.err), ("", format!("{waits}\nfalcon-cli: {TEXT}\n")));
            });
        }
    });
    assert!(starting.told() > 3, "it is waited for");
    let at_once = cli(&["--master", address, "--retry-for", "0s", "stats"]).expect(69);
    assert_eq!(at_once.err, format!("falcon-cli: {TEXT}\n"));
}

#[test]
fn a_command_waits_for_a_master_that_comes() {
    let (dir, port) = (scratch(), Port::reserve());
    let line = ["--master", &port.address, "--retry-for", "1m", "--output", "quiet", "submit", "q", "x"];
    let submit = Process::spawn(std::process::Command::new(FALCON_CLI).args(line).env("FALCON_RETRY_FOR", "0s"), b"");
    wait_until("its one line about it", SOON, || submit.stderr().contains("no master can be reached"));
    let starting = Starting::at(&port.address);
    wait_until("a submit that came back", SOON, || starting.told() >= 2);
    drop(starting);
    let master = Master::start_at(dir.path(), &port.address, &[]);
    let run = submit.finish().expect(0);
    assert_eq!((run.out.as_str(), run.err.lines().count()), ("1\n", 1), "{}", run.err);
    assert_eq!(master.stats().totals.pending, 1);
}

#[test]
fn a_worker_comes_back_until_the_master_serves() {
    let (dir, port) = (scratch(), Port::reserve());
    let starting = Starting::at(&port.address);
    let worker = worker(&port.address, &["--queue", "q"], &["cat"]);
    wait_until("a worker that came back", SOON, || starting.told() >= 3);
    wait_until("its one line about it", SOON, || worker.stderr().contains(TEXT));
    drop(starting);
    let master = Master::start_at(dir.path(), &port.address, &[]);
    master.submit(&["q", "x"]);
    master.wait_completed(1);
    assert_eq!(worker.stderr().matches("trying again").count(), 1, "{}", worker.stderr());
}

#[test]
fn a_worker_that_runs_a_job_reports_it_once_the_master_serves_again() {
    let (dir, port, place) = (scratch(), Port::reserve(), Place::new());
    let master = Master::start_at(dir.path(), &port.address, &[]);
    let _worker = worker(&port.address, &["--queue", "q", "--lease", "30s"], &["sh"]);
    let job = master.submit(&["q", &format!("touch {}; {}", place.path("runs"), place.until("go on"))])[0];
    wait_until("the job runs", SOON, || place.has("runs"));
    master.kill();
    let starting = Starting::at(&port.address);
    place.mark("go on");
    wait_until("reports that were put off", SOON, || starting.told() >= 3);
    drop(starting);
    let master = Master::start_at(dir.path(), &port.address, &[]);
    master.wait_completed(1);
    assert_eq!(master.dump().story(job), ["ENQUEUE", "DISPATCH", "ACK"]);
}
