//! A handler that runs a command for each job: payload on stdin, facts in `FALCON_*` variables, stdout is the result,
//! the exit status says what came of it. No shell in between.
//!
//! | exit status | what the master is told |
//! | --- | --- |
//! | 0 | ack, with stdout as the result |
//! | 65, 78, 100 | fail for good: dead at once |
//! | 75, 111, any other, death by a signal | fail: another attempt, while there are any |
//!
//! 65, 75 and 78 are `EX_DATAERR`, `EX_TEMPFAIL` and `EX_CONFIG` of `sysexits.h`; 100 and 111 are what qmail's programs
//! use for permanent and temporary failure.
//!
//! The command leads a process group of its own. When its lease is lost, its time is up or the worker has to leave, the
//! whole group gets SIGTERM, and what is left of it SIGKILL 2 s later. A worker that is itself killed cannot stop its
//! commands: they run to their end, unacknowledged, while the job is tried elsewhere.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::cancel::{Cancel, StopReason};
use super::group::{STOP_LOOK_INTERVAL, TERM_GRACE, has_other_members, is_runnable, signal_group, timespec};
use super::handler::{Handler, Outcome};
use crate::client::Job;
use crate::limits::{ERROR_TEXT_BYTES_MAX, RESULT_BYTES_MAX};

/// How long a command is not looked at, at most.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// Bytes taken from a pipe at once, so that a command that writes without end does not keep its time from being up.
/// More than a pipe holds, so that what a command wrote before its end is all taken.
const DRAIN_BYTES_MAX: usize = 1 << 20;

/// Runs a command for each job.
#[derive(Clone, Debug)]
pub struct CommandHandler {
    program: String,
    arguments: Vec<String>,
    master: String,
}

impl CommandHandler {
    /// A handler that runs `command`, a program and its arguments.
    /// Refused if the program is not there or cannot be run: better now than at each job.
    pub fn new(command: &[String]) -> Result<CommandHandler, String> {
        let Some((program, arguments)) = command.split_first() else {
            return Err("no command was given; write it after --".to_owned());
        };
        if !is_runnable(program) {
            return Err(format!("the command {program:?} is not there or cannot be run; check its name and PATH"));
        }
        let master = String::new();
        Ok(CommandHandler { program: program.clone(), arguments: arguments.to_vec(), master })
    }

    /// The same, and the commands are told in `FALCON_MASTER` where their master is.
    #[must_use]
    pub fn with_master(self, master: String) -> CommandHandler {
        CommandHandler { master, ..self }
    }

    fn spawn(&self, job: &Job) -> io::Result<Running> {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env("FALCON_JOB_ID", job.id.to_string())
            .env("FALCON_QUEUE", &job.queue)
            .env("FALCON_ATTEMPT", job.attempt.to_string())
            .env("FALCON_MAX_ATTEMPTS", job.max_attempts.to_string())
            .env("FALCON_LEASE_ID", job.lease.to_string())
            .env("FALCON_KEY", &job.key)
            .env("FALCON_MASTER", &self.master)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Running::new(child)
    }
}

impl Handler for CommandHandler {
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome {
        let failed = |error: String| Outcome::Failed { for_good: false, error };
        let mut running = match self.spawn(job) {
            Ok(running) => running,
            Err(error) => return Outcome::NotBegun { error: format!("starting {}: {error}", self.program) },
        };
        let end = match running.wait(job, cancel) {
            Ok(end) => end,
            Err(error) => {
                // It must not run on unattended; the first error says why.
                let _ = running.stop(Duration::ZERO, cancel);
                return failed(format!("waiting for {}: {error}", self.program));
            }
        };
        match end {
            CommandEnd::Exited(status) => running.judge(job, status),
            CommandEnd::TimeUp => {
                let limit = job.timeout.unwrap_or_default();
                failed(running.error_text(&format!("stopped after its time of {} ms", limit.as_millis())))
            }
            CommandEnd::Cancelled => Outcome::Stopped,
        }
    }
}

/// How a command ended.
enum CommandEnd {
    Exited(ExitStatus),
    TimeUp,
    Cancelled,
}

/// A command that runs, and what it has said so far.
struct Running {
    child: Child,
    /// Readable once the child has ended.
    pidfd: OwnedFd,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stdin_sent: usize,
    result: Vec<u8>,
    result_was_cut: bool,
    errors: Vec<u8>,
}

impl Running {
    fn new(mut child: Child) -> io::Result<Running> {
        let pidfd = watch(&child).inspect_err(|_| {
            // It must not run on unattended; the first error says why.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Running {
            pidfd,
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            stdin_sent: 0,
            result: Vec::new(),
            result_was_cut: false,
            errors: Vec::new(),
        })
    }

    /// Feeds and drains the command until it ends, its time is up, or it is to stop.
    fn wait(&mut self, job: &Job, cancel: &Cancel) -> io::Result<CommandEnd> {
        let time_up_at = job.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if self.stdin_sent == job.payload.len() {
                self.stdin = None;
            }
            // Often, since the machine may sleep meanwhile.
            let look_at = Instant::now() + cancel.left().min(LOOK_INTERVAL_MAX);
            let look_again_at = time_up_at.into_iter().fold(look_at, Instant::min);
            let ready = self.wait_for_any(Some(cancel.descriptor()?), look_again_at)?;
            if ready.stdin {
                self.feed(&job.payload);
            }
            self.drain();
            if ready.ended {
                // What the command has written is in the pipes by now; others may hold them open for ever.
                self.drain();
                return self.child.wait().map(CommandEnd::Exited);
            }
            if let Some(reason) = cancel.reason() {
                let grace = if reason == StopReason::Ending { Duration::ZERO } else { TERM_GRACE };
                return self.stop(grace, cancel).map(|()| CommandEnd::Cancelled);
            }
            if time_up_at.is_some_and(|at| Instant::now() >= at) {
                return self.stop(TERM_GRACE, cancel).map(|()| CommandEnd::TimeUp);
            }
        }
    }

    /// Waits until there is something to read or to write, the command has ended, or `until`.
    fn wait_for_any(&self, cancel: Option<BorrowedFd<'_>>, until: Instant) -> io::Result<Ready> {
        let mut fds = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
        fds.extend(cancel.map(|cancel| PollFd::from_borrowed_fd(cancel, PollFlags::IN)));
        fds.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let stdin_at = fds.len();
        fds.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        let timeout = timespec(until.saturating_duration_since(Instant::now()));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready { ended: is_ready(0), stdin: is_ready(stdin_at) })
    }

    fn feed(&mut self, payload: &[u8]) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(&payload[self.stdin_sent..]) {
            Ok(sent) => self.stdin_sent += sent,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // A command may end, or close its stdin, without reading it.
            Err(_) => self.stdin = None,
        }
    }

    fn drain(&mut self) {
        let (result, cut) = (&mut self.result, &mut self.result_was_cut);
        drain_one(&mut self.stdout, |bytes| {
            let room = RESULT_BYTES_MAX - result.len();
            *cut |= bytes.len() > room;
            result.extend_from_slice(&bytes[..bytes.len().min(room)]);
        });
        let errors = &mut self.errors;
        drain_one(&mut self.stderr, |bytes| {
            errors.extend_from_slice(bytes);
            if errors.len() > 4 * ERROR_TEXT_BYTES_MAX {
                errors.drain(..errors.len() - ERROR_TEXT_BYTES_MAX);
            }
        });
    }

    /// Stops the whole process group: SIGTERM, and SIGKILL to what is left of it when the grace is over.
    fn stop(&mut self, grace: Duration, cancel: &Cancel) -> io::Result<()> {
        let group = Pid::from_child(&self.child);
        let kill_at = Instant::now() + grace;
        let has_time = || Instant::now() < kill_at && cancel.reason() != Some(StopReason::Ending);
        self.stdin = None;
        signal_group(group, Signal::TERM);
        while has_time() && !self.wait_for_any(None, kill_at.min(Instant::now() + STOP_LOOK_INTERVAL))?.ended {
            self.drain();
        }
        self.drain();
        // The leader is not reaped before the others are gone, so that its number names this group and no other.
        while has_time() && has_other_members(group) {
            std::thread::sleep(STOP_LOOK_INTERVAL);
        }
        signal_group(group, Signal::KILL);
        self.child.wait().map(|_| ())
    }

    fn judge(&mut self, job: &Job, status: ExitStatus) -> Outcome {
        match status.code() {
            Some(0) => {
                if self.result_was_cut {
                    log::warn!(
                        "job {}: its output is over {RESULT_BYTES_MAX} bytes; only these were kept as its result",
                        job.id
                    );
                }
                Outcome::Done(std::mem::take(&mut self.result))
            }
            code => {
                let signal = status.signal().unwrap_or(0);
                let what =
                    code.map_or_else(|| format!("killed by signal {signal}"), |code| format!("exit status {code}"));
                Outcome::Failed { for_good: matches!(code, Some(65 | 78 | 100)), error: self.error_text(&what) }
            }
        }
    }

    /// What happened, and the tail of stderr.
    fn error_text(&self, what: &str) -> String {
        let tail = String::from_utf8_lossy(&self.errors);
        let tail = tail.trim();
        if tail.is_empty() {
            return what.to_owned();
        }
        let room = ERROR_TEXT_BYTES_MAX - what.len() - 2;
        let start = tail.ceil_char_boundary(tail.len().saturating_sub(room));
        format!("{what}: {}", &tail[start..])
    }
}

/// Makes sure that nobody waits at the child's pipes; returns what is readable once it has ended.
fn watch(child: &Child) -> io::Result<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let (stdin, stdout, stderr) = (child.stdin.as_ref(), child.stdout.as_ref(), child.stderr.as_ref());
    let pipes = [stdin.map(AsFd::as_fd), stdout.map(AsFd::as_fd), stderr.map(AsFd::as_fd)];
    for pipe in pipes.into_iter().flatten() {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    Ok(pidfd)
}

struct Ready {
    ended: bool,
    stdin: bool,
}

fn drain_one(pipe: &mut Option<impl Read>, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 8192];
    let mut taken = 0;
    while let Some(open) = pipe
        && taken < DRAIN_BYTES_MAX
    {
        match open.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(came) => {
                taken += came;
                take(&buffer[..came]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                log::warn!("reading what a job says: {error}");
                *pipe = None;
            }
        }
    }
}
