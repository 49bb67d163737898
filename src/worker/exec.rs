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
//! `FALCON_THEN` names a file that the command may write: a JSON array of jobs that follow from this one (see
//! `follow_ups`). If it exits with 0, the job is done and they are there, or neither. A job that is to be given the
//! results of those it waited for has them in the file that `FALCON_RESULTS` names: a JSON array of
//! `{"job":6,"result":"…"}`, `result_base64` where it is not UTF-8, `"result":null` where there is none.
//!
//! What it writes to stderr can go through ([`CommandHandler::with_stderr`]); the last 4 KiB of it, or else of stdout,
//! are the reason of an attempt that fails.
//!
//! The command leads a process group of its own. When its lease is lost, its time is up or the worker has to leave, the
//! whole group and all descendants outside of it get SIGTERM, and what is left of them SIGKILL 2 s later (1.1 s if the
//! worker has to leave). A command that does not end by that is given up.
//!
//! What a command leaves behind when it ends by itself goes on while its worker lives, and ends with that. So does the
//! command if its worker is killed, in a process that has a [`Reaper`](super::Reaper); without one it runs to its end,
//! unacknowledged, while the job is tried elsewhere.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use tempfile::TempDir;

use super::cancel::{Cancel, StopReason};
use super::follow_ups;
use super::handler::{Handler, Outcome};
use super::master::MasterFacts;
use super::processes::{
    KILL_WAIT, LEAVING_KILL_WAIT, LEAVING_TERM_GRACE, STOP_LOOK_INTERVAL, Started, TERM_GRACE, is_runnable, timespec,
};
use super::said::{Said, Through};
use crate::client::Job;
use crate::job::header_variable;
use crate::limits::{FRAME_BODY_BYTES_MAX, RESULT_BYTES_MAX};

/// How long a command is not looked at, at most.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// Bytes taken from a pipe at once, so that a command that writes without end does not keep its time from being up.
/// More than a pipe holds, so that what a command wrote before its end is all taken.
const DRAIN_BYTES_MAX: usize = 1 << 20;

/// Bytes that a command may write of what follows: more than fit into a request in any case.
const THEN_BYTES_MAX: u64 = 2 * FRAME_BODY_BYTES_MAX as u64;

/// Runs a command for each job.
#[derive(Clone, Debug)]
pub struct CommandHandler {
    program: String,
    arguments: Vec<String>,
    master: MasterFacts,
    /// Where goes what commands write to stderr, line by line, beside their last words.
    stderr: Option<Through>,
    /// Where results are told to commands, and these tell what follows.
    dir: Arc<TempDir>,
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
        let master = MasterFacts::default();
        let dir = tempfile::Builder::new().prefix("falcon-worker-").tempdir();
        let dir = dir.map_err(|error| format!("a directory in {}: {error}", std::env::temp_dir().display()))?;
        Ok(CommandHandler {
            program: program.clone(),
            arguments: arguments.to_vec(),
            master,
            stderr: None,
            dir: dir.into(),
        })
    }

    /// The same, and the commands are told in their environment where their master is.
    #[must_use]
    pub fn with_master(self, master: MasterFacts) -> CommandHandler {
        CommandHandler { master, ..self }
    }

    /// The same, and what commands write to stderr goes through, each line with the job's id before it.
    #[must_use]
    pub fn with_stderr(self, through: Through) -> CommandHandler {
        CommandHandler { stderr: Some(through), ..self }
    }

    fn spawn(&self, job: &Job, files: &Files) -> io::Result<Running> {
        let mut command = Command::new(&self.program);
        if let Some(results) = &files.results {
            command.env("FALCON_RESULTS", results);
        }
        command
            .env("FALCON_THEN", &files.then)
            .args(&self.arguments)
            .env("FALCON_JOB_ID", job.id.to_string())
            .env("FALCON_QUEUE", &job.queue)
            .env("FALCON_ATTEMPT", job.attempt.to_string())
            .env("FALCON_MAX_ATTEMPTS", job.max_attempts.to_string())
            .env("FALCON_LEASE_ID", job.lease.to_string())
            .env("FALCON_KEY", &job.key)
            .env("FALCON_GROUP", &job.group)
            .envs(job.headers.iter().map(|(name, value)| (header_variable(name), value)))
            .envs(self.master.variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::new(Started::spawn(&mut command)?, Said::new(job.id, self.stderr.clone()))
    }
}

impl Handler for CommandHandler {
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome {
        let failed = |error: String| Outcome::failed(error);
        let files = match Files::of(job, self.dir.path()) {
            Ok(files) => files,
            Err(error) => return Outcome::NotBegun { error },
        };
        let mut running = match self.spawn(job, &files) {
            Ok(running) => running,
            Err(error) => return Outcome::NotBegun { error: format!("starting {}: {error}", self.program) },
        };
        let end = running.wait(job, cancel);
        running.said.pass();
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                // It must not run on unattended; the first error says why.
                let _ = running.started.kill(KILL_WAIT);
                return failed(format!("waiting for {}: {error}", self.program));
            }
        };
        match end {
            CommandEnd::Exited(status) => files.follow(job, running.judge(job, status)),
            CommandEnd::TimeUp => {
                let limit = job.timeout.unwrap_or_default();
                failed(running.said.reason(&format!("stopped after its time of {} ms", limit.as_millis())))
            }
            CommandEnd::Cancelled => Outcome::Stopped,
        }
    }
}

/// Files through which a command and its worker speak. They are gone with it.
struct Files {
    /// The results of the jobs before it, if it is to be given them.
    results: Option<PathBuf>,
    /// Where it may write what follows.
    then: PathBuf,
}

impl Files {
    fn of(job: &Job, dir: &Path) -> Result<Files, String> {
        // Whoever cleans up behind others may have removed it.
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(format!("{}: {error}", dir.display()));
            }
            _ => {}
        }
        let then = dir.join(format!("then-{}.json", job.lease));
        if !job.wants_results() {
            return Ok(Files { results: None, then });
        }
        let results = dir.join(format!("results-{}.json", job.lease));
        let text = serde_json::Value::Array(follow_ups::results(job)?).to_string();
        // It goes with them, also where only a part of it could be written.
        let files = Files { results: Some(results.clone()), then };
        std::fs::write(&results, text).map_err(|error| format!("{}: {error}", results.display()))?;
        Ok(files)
    }

    /// What came of a job that may have written what follows.
    fn follow(&self, job: &Job, outcome: Outcome) -> Outcome {
        let Outcome::Done(result) = outcome else { return outcome };
        let mut text = Vec::new();
        let read = File::open(&self.then).and_then(|file| file.take(THEN_BYTES_MAX + 1).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Outcome::Done(result),
            Err(error) => Outcome::failed(format!("reading what follows from it: {error}")),
            Ok(0) => Outcome::Done(result),
            Ok(bytes) if bytes as u64 > THEN_BYTES_MAX => {
                Outcome::failed(format!("what follows from it has more than {THEN_BYTES_MAX} bytes"))
            }
            Ok(_) => follow_ups::outcome(job, result, &text),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in self.results.iter().chain([&self.then]) {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => log::warn!("{}: {error}", path.display()),
                _ => {}
            }
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
    started: Started,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    stdin_sent: usize,
    said: Said,
}

impl Running {
    fn new(mut started: Started, said: Said) -> io::Result<Running> {
        let mut running = Running {
            stdin: started.take_stdin(),
            stdout: started.take_stdout(),
            stderr: started.take_stderr(),
            started,
            stdin_sent: 0,
            said,
        };
        if let Err(error) = running.make_pipes_prompt() {
            // It must not run on unattended; the first error says why.
            let _ = running.started.kill(KILL_WAIT);
            return Err(error);
        }
        Ok(running)
    }

    /// Makes sure that nobody waits at the command's pipes.
    fn make_pipes_prompt(&self) -> io::Result<()> {
        let (stdin, stdout, stderr) = (self.stdin.as_ref(), self.stdout.as_ref(), self.stderr.as_ref());
        let pipes = [stdin.map(AsFd::as_fd), stdout.map(AsFd::as_fd), stderr.map(AsFd::as_fd)];
        pipes.into_iter().flatten().try_for_each(|pipe| Ok(rustix::io::ioctl_fionbio(pipe, true)?))
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
                return self.started.reap().map(CommandEnd::Exited);
            }
            if cancel.reason().is_some() {
                return self.stop(cancel).map(|()| CommandEnd::Cancelled);
            }
            if time_up_at.is_some_and(|at| Instant::now() >= at) {
                return self.stop(cancel).map(|()| CommandEnd::TimeUp);
            }
        }
    }

    /// Waits until there is something to read or to write, the command has ended, or `until`.
    fn wait_for_any(&self, cancel: Option<BorrowedFd<'_>>, until: Instant) -> io::Result<Ready> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.started.pidfd(), PollFlags::IN)];
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
        drain_one(&mut self.stdout, |bytes| self.said.out(bytes));
        drain_one(&mut self.stderr, |bytes| self.said.errors(bytes));
    }

    /// Stops it with all that came of it: SIGTERM, and SIGKILL to what is left when the grace is over.
    fn stop(&mut self, cancel: &Cancel) -> io::Result<()> {
        let mut grace = Grace { kill_at: Instant::now() + TERM_GRACE, leaves: false };
        self.stdin = None;
        self.started.signal(Signal::TERM);
        while grace.lasts(cancel) && !self.wait_for_any(None, Instant::now() + STOP_LOOK_INTERVAL)?.ended {
            self.drain();
        }
        self.drain();
        while grace.lasts(cancel) && self.started.has_others() {
            std::thread::sleep(STOP_LOOK_INTERVAL);
        }
        let wait = if grace.leaves { LEAVING_KILL_WAIT } else { KILL_WAIT };
        self.started.kill(wait).map_or(Ok(()), |reaped| reaped.map(|_| ()))
    }

    fn judge(&mut self, job: &Job, status: ExitStatus) -> Outcome {
        match status.code() {
            Some(0) => {
                if self.said.was_cut {
                    log::warn!(
                        "job {}: its output is over {RESULT_BYTES_MAX} bytes; only these were kept as its result",
                        job.id
                    );
                }
                Outcome::Done(self.said.take_result())
            }
            code => {
                let signal = status.signal().unwrap_or(0);
                let what =
                    code.map_or_else(|| format!("killed by signal {signal}"), |code| format!("exit status {code}"));
                let for_good = matches!(code, Some(65 | 78 | 100));
                Outcome::Failed { for_good, retry_in: None, error: self.said.reason(&what) }
            }
        }
    }
}

/// How long a command that is being stopped has before SIGKILL.
struct Grace {
    kill_at: Instant,
    /// The worker has to leave, which shortens it.
    leaves: bool,
}

impl Grace {
    fn lasts(&mut self, cancel: &Cancel) -> bool {
        let now = Instant::now();
        let reason = cancel.reason();
        if !self.leaves && matches!(reason, Some(StopReason::Leaving | StopReason::Ending)) {
            self.leaves = true;
            self.kill_at = self.kill_at.min(now + LEAVING_TERM_GRACE);
        }
        now < self.kill_at && reason != Some(StopReason::Ending)
    }
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
