//! The harness of the tests from outside: real binaries on 127.0.0.1, each test with a directory
//! and a port of its own, every process killed on drop, every wait with a deadline.
//!
//! Nothing here uses the crate `falconqueue`. What a test knows of the product it knows as a
//! stranger would: from the command line and from `protocol.md` (modules [`frames`] and [`wire`]).

#![allow(dead_code)]

pub mod faults;
pub mod frames;
pub mod logs;
pub mod wire;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use wire::{Stats, Wire};

pub const FALCOND: &str = env!("CARGO_BIN_EXE_falcond");
pub const FALCON_WORKER: &str = env!("CARGO_BIN_EXE_falcon-worker");
pub const FALCON_CLI: &str = env!("CARGO_BIN_EXE_falcon-cli");

/// The deadline of a wait whose length is not what the test is about.
pub const SOON: Duration = Duration::from_secs(20);

/// Small segments start faster; tests about segments give their own size.
const SMALL_SEGMENT: &str = "16777216";

/// A directory that goes with the test.
pub fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("falcon-test-").tempdir().expect("a temporary directory")
}

/// Waits until the condition is met; past the deadline the test fails with the name of the wait.
pub fn wait_until(what: &str, deadline: Duration, mut met: impl FnMut() -> bool) {
    wait_for(what, deadline, || met().then_some(()));
}

/// Waits until there is something to find, and gives it back.
pub fn wait_for<T>(what: &str, deadline: Duration, mut find: impl FnMut() -> Option<T>) -> T {
    let end_at = Instant::now() + deadline;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < end_at, "waited {deadline:?} for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The wall clock as the log writes it.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("a clock after 1970").as_millis()).expect("a clock before the end")
}

/// True while the process runs; one that is dead but not yet collected by its parent does not run.
pub fn is_running(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.trim())) else {
        return false;
    };
    let state = stat.rsplit(')').next().unwrap_or("").trim_start();
    !state.starts_with(['Z', 'X'])
}

/// What a finished process left.
#[derive(Debug)]
pub struct Run {
    /// The exit status, or 128 and the signal.
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The exit status must be this one; whatever is not success must say why on stderr.
    #[track_caller]
    pub fn expect(self, status: i32) -> Run {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(status == 0 || !self.err.trim().is_empty(), "status {status} without a sentence");
        self
    }

    /// The output as JSON values, one after the other.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        serde_json::Deserializer::from_str(&self.out)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|e| panic!("{e} in this output:\n{}", self.out))
    }
}

/// What a pipe gave so far.
#[derive(Clone, Default)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: Arc<AtomicBool>,
}

impl Capture {
    fn of(mut pipe: impl Read + Send + 'static) -> Capture {
        let capture = Capture::default();
        let writer = capture.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n) = pipe.read(&mut buffer)
                && n > 0
            {
                writer.bytes.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
            writer.ended.store(true, Ordering::Release);
        });
        capture
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn whole(&self) -> String {
        wait_until("the end of a pipe", SOON, || self.ended.load(Ordering::Acquire));
        self.text()
    }
}

/// A running binary: its output is collected, and it never outlives this value.
pub struct Process {
    child: Child,
    out: Capture,
    err: Capture,
}

impl Process {
    pub fn spawn(command: &mut Command, input: &[u8]) -> Process {
        let mut child = command
            .env_remove("FALCON_TOKEN_FILE")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let out = Capture::of(child.stdout.take().expect("stdout"));
        let err = Capture::of(child.stderr.take().expect("stderr"));
        let mut stdin = child.stdin.take().expect("stdin");
        let input = input.to_vec();
        // A process may leave without reading all of it, so a broken pipe here is no failure.
        thread::spawn(move || stdin.write_all(&input).is_ok());
        Process { child, out, err }
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("a signal sent");
    }

    pub fn stdout(&self) -> String {
        self.out.text()
    }

    pub fn stderr(&self) -> String {
        self.err.text()
    }

    /// Waits until the process has left by itself.
    #[track_caller]
    pub fn finish(mut self) -> Run {
        let status = wait_for("the end of a process", 3 * SOON, || self.exited());
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Run { status, out: self.out.whole(), err: self.err.whole() }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("try_wait")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- stderr of process {}:\n{}", self.child.id(), self.err.text());
        }
        // Both fail only for a process that has left already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port that stays ours while nobody listens on it: bound, but not listening. So a master can
/// come, go and come back on it, and a connect in between is refused.
pub struct Port {
    _held: OwnedFd,
    pub address: String,
}

impl Port {
    pub fn reserve() -> Port {
        let flags = SocketFlags::CLOEXEC;
        let held = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let held = held.expect("a socket");
        net::sockopt::set_socket_reuseaddr(&held, true).expect("SO_REUSEADDR");
        net::bind(&held, &std::net::SocketAddrV4::new([127, 0, 0, 1].into(), 0)).expect("bind");
        let bound = net::getsockname(&held).expect("getsockname");
        let bound = std::net::SocketAddrV4::try_from(bound).expect("an IPv4 address");
        Port { _held: held, address: bound.to_string() }
    }
}

/// A `falcond` that must refuse to start: it leaves by itself and never says that it listens.
#[track_caller]
pub fn falcond_refuses(args: &[&str], status: i32) -> Run {
    let small = ["--segment-bytes", SMALL_SEGMENT];
    let sized = args.contains(&small[0]);
    let args = [if sized { &[] } else { &small[..] }, args].concat();
    let run = Process::spawn(Command::new(FALCOND).args(args), b"").finish().expect(status);
    assert_eq!(run.out, "", "a master that does not serve says nothing on stdout");
    run
}

/// A running `falcond`.
pub struct Master {
    process: Process,
    pub address: String,
    pub dir: PathBuf,
    own_dir: Option<TempDir>,
}

impl Master {
    /// On a directory of its own.
    pub fn fresh(args: &[&str]) -> Master {
        let dir = scratch();
        let mut master = Master::start(dir.path(), args);
        master.own_dir = Some(dir);
        master
    }

    pub fn start(dir: &Path, args: &[&str]) -> Master {
        Master::start_at(dir, "127.0.0.1:0", args)
    }

    pub fn start_at(dir: &Path, listen: &str, args: &[&str]) -> Master {
        let mut command = Command::new(FALCOND);
        command.arg("--data-dir").arg(dir).args(["--listen", listen]);
        if !args.contains(&"--segment-bytes") {
            command.args(["--segment-bytes", SMALL_SEGMENT]);
        }
        Master::serving(Process::spawn(command.args(args), b""), dir)
    }

    /// Waits until it says that it listens.
    pub fn serving(mut process: Process, dir: &Path) -> Master {
        let line = wait_for("the line `listening on`", SOON, || {
            let line = process.stdout().split_once('\n').map(|(line, _)| line.to_string());
            assert!(line.is_some() || process.exited().is_none(), "falcond left");
            line
        });
        let address = line.strip_prefix("listening on ").expect("`listening on HOST:PORT`").to_string();
        Master { process, address, dir: dir.to_path_buf(), own_dir: None }
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Memory of its own that it has from the system, in bytes.
    pub fn anonymous_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).expect("status");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("KiB") * 1024
    }

    /// Waits until it has left by itself.
    #[track_caller]
    pub fn finish(self) -> Run {
        self.process.finish()
    }

    /// Stops it by a signal: it must exit with 0, having said one line on stdout in all its life.
    #[track_caller]
    pub fn stop_by(self, signal: Signal) {
        self.process.signal(signal);
        let run = self.process.finish().expect(0);
        assert_eq!(run.out, format!("listening on {}\n", self.address));
    }

    /// SIGTERM.
    #[track_caller]
    pub fn stop(self) {
        self.stop_by(Signal::TERM);
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.process.kill();
    }

    /// A connection that has said Hello.
    pub fn connect(&self) -> Wire {
        Wire::greeted(&self.address)
    }

    pub fn stats(&self) -> Stats {
        self.connect().stats()
    }

    /// Waits until so many jobs are completed.
    #[track_caller]
    pub fn wait_completed(&self, jobs: u64) {
        let mut wire = self.connect();
        let what = format!("{jobs} completed jobs");
        wait_until(&what, 3 * SOON, || wire.stats().totals.completed >= jobs);
    }

    pub fn cli(&self, args: &[&str]) -> Run {
        self.cli_input(args, b"")
    }

    pub fn cli_input(&self, args: &[&str], input: &[u8]) -> Run {
        let mut all = vec!["--master", &self.address];
        all.extend(args);
        cli_with(&all, &[], input)
    }

    /// `falcon-cli submit` that must work; gives the job ids.
    #[track_caller]
    pub fn submit(&self, args: &[&str]) -> Vec<u64> {
        self.submit_input(args, b"")
    }

    #[track_caller]
    pub fn submit_input(&self, args: &[&str], input: &[u8]) -> Vec<u64> {
        let mut all = vec!["--output", "quiet", "submit"];
        all.extend(args);
        let run = self.cli_input(&all, input).expect(0);
        run.out.lines().map(|id| id.parse().expect("a job id")).collect()
    }

    /// `falcon-worker` with these options, running this command for each job.
    pub fn worker(&self, options: &[&str], command: &[&str]) -> Process {
        worker(&self.address, options, command)
    }

    #[track_caller]
    pub fn dump(&self) -> Dump {
        dump(&self.dir)
    }
}

pub fn worker(address: &str, options: &[&str], command: &[&str]) -> Process {
    let mut worker = Command::new(FALCON_WORKER);
    worker.env_remove("FALCON_MASTER").args(["--master", address]);
    Process::spawn(worker.args(options).arg("--").args(command), b"")
}

pub fn cli(args: &[&str]) -> Run {
    cli_with(args, &[], b"")
}

pub fn cli_with(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> Run {
    let mut cli = Command::new(FALCON_CLI);
    cli.env_remove("FALCON_MASTER").envs(env.iter().copied()).args(args);
    Process::spawn(&mut cli, input).finish()
}

/// The log as `falcon-cli wal dump` tells it.
pub struct Dump(pub Vec<Value>);

#[track_caller]
pub fn dump(dir: &Path) -> Dump {
    let run = cli(&["--output", "json", "wal", "dump", dir.to_str().expect("a plain path")]);
    Dump(run.expect(0).json())
}

impl Dump {
    /// The records of this event, oldest first.
    pub fn of(&self, event: &str) -> Vec<&Value> {
        self.0.iter().filter(|record| record["event"] == event).collect()
    }

    pub fn count(&self, event: &str) -> usize {
        self.of(event).len()
    }

    /// How many ENQUEUE, DISPATCH and ACK.
    pub fn counts(&self) -> [usize; 3] {
        ["ENQUEUE", "DISPATCH", "ACK"].map(|event| self.count(event))
    }

    /// The records of one job, oldest first.
    pub fn of_job(&self, job: u64) -> Vec<&Value> {
        self.0.iter().filter(|record| record["job"] == job).collect()
    }

    /// What happened to one job, in the order in which it did.
    pub fn story(&self, job: u64) -> Vec<&str> {
        self.of_job(job).into_iter().map(|record| text(record, "event")).collect()
    }

    /// The newest record of this event and job.
    #[track_caller]
    pub fn last(&self, job: u64, event: &str) -> &Value {
        let found = self.of_job(job).into_iter().rfind(|record| record["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} of job {job} in {:#?}", self.of_job(job)))
    }
}

#[track_caller]
pub fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {value}"))
}

#[track_caller]
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

/// A directory through which a test and the commands of its jobs speak. A command that waits here
/// ends when the test does, even if its worker was killed.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        let place = Place(scratch());
        place.mark("open");
        place
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a plain path").to_string()
    }

    /// Leaves a file for the commands to find.
    pub fn mark(&self, name: &str) {
        fs::write(self.path(name), "").expect("a mark");
    }

    pub fn has(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    /// The content of a file that a command writes in one go.
    pub fn wait_content(&self, name: &str) -> String {
        wait_for(name, SOON, || {
            let content = fs::read_to_string(self.path(name)).ok();
            content.filter(|content| content.ends_with('\n'))
        })
    }

    /// How many files begin like this.
    pub fn count(&self, prefix: &str) -> usize {
        let names = fs::read_dir(self.0.path()).expect("the place");
        names.filter(|n| n.as_ref().unwrap().file_name().to_string_lossy().starts_with(prefix)).count()
    }

    /// Shell: wait until the test leaves this mark.
    pub fn until(&self, mark: &str) -> String {
        let (open, mark) = (self.path("open"), self.path(mark));
        format!("while [ -e '{open}' ] && [ ! -e '{mark}' ]; do sleep 0.02; done")
    }

    /// Shell: do not come to an end.
    pub fn for_ever(&self) -> String {
        self.until("never")
    }
}
