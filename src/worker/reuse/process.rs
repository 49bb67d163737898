//! One process of a command that stays: jobs go in, answers come out, in any order. A thread of its own reads what it
//! says, and ends it.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, Thread};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::Signal;

use super::super::handler::Outcome;
use super::super::processes::{
    KILL_WAIT, LEAVING_KILL_WAIT, LEAVING_TERM_GRACE, STOP_LOOK_INTERVAL, Started, TERM_GRACE, timespec,
};
use super::form::{ANSWER_BYTES_MAX, answered};
use crate::client::Job;
use crate::ids::JobId;

/// How long the thread waits for anything at most.
const WAIT: Duration = Duration::from_mins(1);

/// Bytes that are read of a process before it is looked at again; more than its pipe holds, so that what it wrote
/// before its end is all taken.
const DRAIN_BYTES_MAX: usize = 1 << 20;

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

/// How long a process that is not needed any more may take to end by itself, and how long after SIGTERM. With the wait
/// for its end by SIGKILL less than the 2 s that a worker has to leave.
const UNNEEDED_GRACE: Duration = Duration::from_millis(700);
const UNNEEDED_TERM_GRACE: Duration = Duration::from_millis(400);

/// Why a process ends, or has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not needed any more: it may end by itself once its stdin has ended.
    Unneeded,
    /// One of its jobs was to be stopped; its other jobs are given back.
    Stopped,
    /// It was at fault, or is thought to be; its jobs have failed.
    Failed(String),
}

/// A process that takes jobs.
pub struct Process {
    state: Mutex<State>,
    /// Wakes the thread.
    wake: OwnedFd,
}

struct State {
    stdin: Option<ChildStdin>,
    /// What its stdin did not take yet.
    outgoing: Vec<u8>,
    jobs: HashMap<JobId, Open>,
    end: Option<End>,
    /// The worker has to leave, and does not wait for it as long as otherwise.
    is_hurried: bool,
    /// It and all that came of it are no more.
    is_gone: bool,
}

/// A job that it has.
struct Open {
    thread: Thread,
    outcome: Option<Outcome>,
    queue: String,
}

impl Process {
    /// Starts a process, and the thread that serves it.
    pub fn start(mut command: Command) -> io::Result<(Arc<Process>, JoinHandle<()>)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut started = Started::spawn(&mut command)?;
        let (process, stdout) = Process::over(&mut started).inspect_err(|_| {
            // It must not run on unattended; the first error says why.
            let _ = started.kill(KILL_WAIT);
        })?;
        // Through a channel, so that it is still here to be ended if there is no thread for it.
        let (give, given) = channel();
        let thread = Builder::new().name("falcon-command".to_owned());
        let serving = thread.spawn(move || given.recv().into_iter().for_each(Serving::serve));
        let serving = serving.inspect_err(|_| {
            let _ = started.kill(KILL_WAIT);
        })?;
        let served = Serving { process: Arc::clone(&process), started, stdout, said: Vec::new() };
        give.send(served).map_err(|_| io::Error::other("the thread of a command ended"))?;
        Ok((process, serving))
    }

    fn over(started: &mut Started) -> io::Result<(Arc<Process>, ChildStdout)> {
        let missing = || io::Error::other("a pipe is missing");
        let stdin = started.take_stdin().ok_or_else(missing)?;
        let stdout = started.take_stdout().ok_or_else(missing)?;
        rustix::io::ioctl_fionbio(&stdin, true)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        let state = State {
            stdin: Some(stdin),
            outgoing: Vec::new(),
            jobs: HashMap::new(),
            end: None,
            is_hurried: false,
            is_gone: false,
        };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok((Arc::new(Process { state: Mutex::new(state), wake }), stdout))
    }

    /// Whether it takes further jobs.
    pub fn takes_jobs(&self) -> bool {
        self.locked().end.is_none()
    }

    /// Whether it has this job, under whatever lease.
    pub fn has(&self, job: JobId) -> bool {
        self.locked().jobs.contains_key(&job)
    }

    /// Hands it a job, for this thread to wait for; false if it takes none any more.
    pub fn give(&self, job: &Job, line: &[u8]) -> bool {
        let mut state = self.locked();
        if state.end.is_some() {
            return false;
        }
        let queue = job.queue.clone();
        state.jobs.insert(job.id, Open { thread: std::thread::current(), queue, outcome: None });
        state.outgoing.extend_from_slice(line);
        state.feed();
        if state.end.is_some() {
            // Its line, the last of those that waited, has not left whole.
            state.jobs.remove(&job.id);
        }
        let is_given = state.end.is_none();
        if !is_given || !state.outgoing.is_empty() {
            self.wake();
        }
        is_given
    }

    /// What came of a job: of one that was answered at once, otherwise when the process is no more.
    pub fn outcome(&self, job: JobId) -> Option<Outcome> {
        let mut state = self.locked();
        if let Some(outcome) = state.jobs.get_mut(&job).and_then(|open| open.outcome.take()) {
            state.jobs.remove(&job);
            return Some(outcome);
        }
        if !state.is_gone {
            return None;
        }
        state.jobs.remove(&job);
        Some(match &state.end {
            Some(End::Failed(error)) => Outcome::failed(error.clone()),
            _ => Outcome::Stopped,
        })
    }

    /// Ends it, unless it is ending already. Its jobs have an outcome once it is gone.
    pub fn end(&self, end: End) {
        self.locked().end.get_or_insert(end);
        self.wake();
    }

    /// Ends it, and within the time that a worker has to leave.
    pub fn hurry(&self) {
        let mut state = self.locked();
        state.is_hurried = true;
        let end = if state.jobs.is_empty() { End::Unneeded } else { End::Stopped };
        drop(state);
        self.end(end);
    }

    fn wake(&self) {
        if let Err(error) = rustix::io::write(&self.wake, &1u64.to_ne_bytes()) {
            log::error!("waking the thread of a command: {error}");
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes what its stdin takes.
    fn feed(&mut self) {
        while let Some(stdin) = &mut self.stdin
            && !self.outgoing.is_empty()
        {
            match stdin.write(&self.outgoing) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // What it says until it has ended counts.
                Err(error) => {
                    self.stdin = None;
                    self.outgoing.clear();
                    self.end.get_or_insert_with(|| End::Failed(format!("the command takes no jobs any more: {error}")));
                }
            }
        }
    }

    /// Takes an answer.
    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let shown = || String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
        let (job, answer) =
            answered(line).map_err(|why| format!("it wrote {:?}, which is no answer: {why}", shown()))?;
        match self.jobs.get_mut(&job) {
            Some(open) if open.outcome.is_none() => {
                open.outcome = Some(answer.outcome(&open.queue));
                open.thread.unpark();
                Ok(())
            }
            _ => Err(format!("it answered job {job}, which it does not have")),
        }
    }
}

/// What the thread of a process has.
struct Serving {
    process: Arc<Process>,
    started: Started,
    stdout: ChildStdout,
    /// The beginning of a line.
    said: Vec<u8>,
}

impl Serving {
    fn serve(mut self) {
        let fault = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break None,
                Err(fault) => break Some(fault),
            }
        };
        self.process.locked().end.get_or_insert(End::Failed(String::new()));
        let status = self.stop();
        let mut state = self.process.locked();
        if let Some(End::Failed(error)) = &mut state.end
            && error.is_empty()
        {
            *error = format!("the command was stopped or ended ({status}) with this job open");
            if let Some(fault) = fault {
                *error = format!("the command was replaced: {fault}");
            }
            log::warn!("{error}");
        }
        state.is_gone = true;
        state.jobs.values().for_each(|open| open.thread.unpark());
    }

    /// Waits for something, and does it. False when the process is to be ended, or will say nothing more; an error
    /// when it is at fault.
    fn turn(&mut self) -> Result<bool, String> {
        let wants_out = {
            let state = self.process.locked();
            if state.end.is_some() {
                return Ok(false);
            }
            !state.outgoing.is_empty()
        };
        let has_ended = self.wait(wants_out, WAIT).map_err(|error| format!("waiting for it: {error}"))?;
        if wants_out {
            self.process.locked().feed();
        }
        Ok(self.drain()? && !has_ended)
    }

    /// Takes what it has said; false when it will say nothing more.
    fn drain(&mut self) -> Result<bool, String> {
        let mut buffer = [0; READ_BYTES];
        let mut taken = 0;
        while taken < DRAIN_BYTES_MAX {
            match self.stdout.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(came) => {
                    taken += came;
                    self.hear(&buffer[..came])?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("reading from it: {error}")),
            }
        }
        Ok(true)
    }

    /// Waits until there is something to do; says whether the child has ended.
    fn wait(&self, wants_out: bool, span: Duration) -> io::Result<bool> {
        let state = self.process.locked();
        // A descriptor of its own, so that the state is not locked meanwhile.
        let stdin = state.stdin.as_ref().filter(|_| wants_out).map(|stdin| stdin.as_fd().try_clone_to_owned());
        drop(state);
        let stdin = stdin.transpose()?;
        let own = [self.started.pidfd(), self.process.wake.as_fd(), self.stdout.as_fd()];
        let mut fds: Vec<PollFd<'_>> = own.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        fds.extend(stdin.as_ref().map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        match poll(&mut fds, Some(&timespec(span))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = !fds[0].revents().is_empty();
        // It says nothing but that there is something to look at.
        let _ = rustix::io::read(&self.process.wake, &mut [0; 8]);
        Ok(has_ended)
    }

    /// Takes the answers in what it has said.
    fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut state = self.process.locked();
        lines.try_for_each(|piece| {
            self.said.extend_from_slice(piece);
            if self.said.len() > ANSWER_BYTES_MAX {
                return Err(format!("it wrote a line of more than {ANSWER_BYTES_MAX} bytes"));
            }
            if self.said.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.said);
                state.take(line.trim_ascii_end())?;
            }
            Ok(())
        })
    }

    /// Ends it with all that came of it: by the end of its stdin alone if it is not needed any more, then by SIGTERM,
    /// and by SIGKILL when the grace is over. Says how it ended.
    fn stop(&mut self) -> String {
        let mut state = self.process.locked();
        state.stdin = None;
        let is_unneeded = state.end == Some(End::Unneeded);
        drop(state);
        if is_unneeded {
            self.wait_for_end(UNNEEDED_GRACE);
        }
        self.started.signal(Signal::TERM);
        self.wait_for_end(if is_unneeded { UNNEEDED_TERM_GRACE } else { TERM_GRACE });
        let is_hurried = is_unneeded || self.process.locked().is_hurried;
        match self.started.kill(if is_hurried { LEAVING_KILL_WAIT } else { KILL_WAIT }) {
            Some(Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or(0)),
            },
            Some(Err(error)) => format!("waiting for it: {error}"),
            None => "it does not end".to_owned(),
        }
    }

    /// Waits until nobody is left of it and of what came of it, but for itself: it is reaped last.
    fn wait_for_end(&mut self, grace: Duration) {
        let mut until = Instant::now() + grace;
        let mut listens = true;
        let mut was_hurried = false;
        while Instant::now() < until && (!self.started.has_ended() || self.started.has_others()) {
            if self.process.locked().is_hurried && !was_hurried {
                was_hurried = true;
                until = until.min(Instant::now() + LEAVING_TERM_GRACE);
            }
            // Answers that still come count, and it may wait for its pipe to be emptied.
            listens = listens && self.drain().is_ok();
            std::thread::sleep(STOP_LOOK_INTERVAL);
        }
    }
}
