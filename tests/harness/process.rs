//! A running binary: what it says is collected, and it never outlives its value.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::wait::{SOON, wait_for, wait_until};

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
    /// The same with this as its stdin.
    pub fn spawn_on(command: &mut Command, stdin: OwnedFd) -> Process {
        Process::started(command, Stdio::from(stdin))
    }

    pub fn spawn(command: &mut Command, input: &[u8]) -> Process {
        let mut process = Process::started(command, Stdio::piped());
        let mut stdin = process.child.stdin.take().expect("stdin");
        let input = input.to_vec();
        // A process may leave without reading all of it, so a broken pipe here is no failure.
        thread::spawn(move || stdin.write_all(&input).is_ok());
        process
    }

    fn started(command: &mut Command, stdin: Stdio) -> Process {
        let mut child = command
            .env_remove("FALCON_TOKEN_FILE")
            .env_remove("FALCON_RETRY_FOR")
            .env_remove("RUST_LOG")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let out = Capture::of(child.stdout.take().expect("stdout"));
        let err = Capture::of(child.stderr.take().expect("stderr"));
        Process { child, out, err }
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("a signal sent");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
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
