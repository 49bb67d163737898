//! A command that was started, and how it ends with all that came of it.
//!
//! Promises:
//! - A signal to it goes to its process group and to its kin wherever they are, sessions of their own included.
//! - Ending it takes no longer than was said, whatever state its processes are in. One that SIGKILL does not end, as
//!   it waits for a disk or a file server that is gone, is given up: it ends when it can, and is reaped then.
//!
//! Who is kin, and who is not found, is told in `kin`.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, waitpid};

use super::census::{Identity, census};
use super::group::{signal_group, timespec};
use super::kin::{Home, kin, signal};
use super::mark::{Mark, VARIABLE};

/// How long a command has between SIGTERM and SIGKILL.
pub const TERM_GRACE: Duration = Duration::from_secs(2);

/// The same once the worker has to leave, which it does within 2 s, all in all.
pub const LEAVING_TERM_GRACE: Duration = Duration::from_millis(1100);

/// How long the end of what got SIGKILL is waited for.
pub const KILL_WAIT: Duration = Duration::from_secs(1);

/// The same once the worker has to leave.
pub const LEAVING_KILL_WAIT: Duration = Duration::from_millis(250);

/// How often a command that is being stopped is looked at.
pub const STOP_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often what got SIGKILL is looked at.
const KILL_LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Stack of a thread that does nothing but wait.
const WAITING_STACK_BYTES: usize = 64 << 10;

/// A command that was started.
pub struct Started {
    child: Child,
    /// Readable once the child has ended.
    pidfd: OwnedFd,
    mark: Mark,
    /// Those that were found: kin even if what showed it is gone.
    known: BTreeSet<Identity>,
}

impl Started {
    /// Starts a command, marked and as the leader of a process group.
    pub fn spawn(command: &mut Command) -> io::Result<Started> {
        let mark = Mark::next();
        let mut child = command.env(VARIABLE, mark.value()).process_group(0).spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Started { child, pidfd, mark, known: BTreeSet::new() }),
            Err(error) => {
                // It must not run on unattended; the first error says why.
                let _ = child.kill();
                reap_later(Pid::from_child(&child));
                Err(error.into())
            }
        }
    }

    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// What is readable once the command has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether the command itself has ended.
    pub fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Reaps the command, which has ended. What it left behind goes on.
    pub fn reap(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Sends a signal to the command's group and to its kin.
    pub fn signal(&mut self, what: Signal) {
        let others = self.others();
        signal_group(self.leader(), what);
        let group = self.leader_number();
        others.iter().filter(|(_, of)| *of != group).for_each(|(other, _)| signal(*other, what));
    }

    /// Whether anyone but the command itself is left of its kin.
    pub fn has_others(&mut self) -> bool {
        !self.others().is_empty()
    }

    /// Ends all that is left by SIGKILL, and reaps the command; nothing if it could not be ended in that time. Who is
    /// only then being made is found too, as it is looked until nobody is left.
    ///
    /// The command is not reaped before, so that its number names its group and no other.
    pub fn kill(&mut self, within: Duration) -> Option<io::Result<ExitStatus>> {
        let until = Instant::now() + within;
        self.signal(Signal::KILL);
        self.ends_within(within);
        while self.has_others() && Instant::now() < until {
            self.signal(Signal::KILL);
            std::thread::sleep(KILL_LOOK_INTERVAL);
        }
        if self.has_ended() {
            return Some(self.reap());
        }
        log::warn!("process {} does not end by SIGKILL; it is given up, and reaped when it has ended", self.child.id());
        reap_later(self.leader());
        None
    }

    fn leader(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn leader_number(&self) -> i32 {
        self.leader().as_raw_nonzero().get()
    }

    fn ends_within(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        loop {
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            let left = until.saturating_duration_since(Instant::now());
            let timeout = if left.is_zero() { rustix::event::Timespec::default() } else { timespec(left) };
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) if Instant::now() < until => {}
                outcome => return outcome.is_ok_and(|ready| ready > 0),
            }
        }
    }

    /// Those of its kin that live, but the command itself, with their groups.
    fn others(&mut self) -> Vec<(Identity, i32)> {
        let (leader, mark) = (self.leader_number(), self.mark.to_string());
        let census = census();
        let known = self.known.iter().filter_map(|known| census.place_of(*known));
        let roots = census.marked(&mark).iter().copied().chain(census.place(leader)).chain(known);
        let found = kin(&census, Home::own(), roots);
        let others = found.into_iter().filter(|entry| !entry.is_dead && entry.identity.pid != leader);
        let others: Vec<_> = others.map(|entry| (entry.identity, entry.group)).collect();
        self.known = others.iter().map(|(other, _)| *other).collect();
        others
    }
}

/// Reaps a child when it has ended, however long that takes.
fn reap_later(pid: Pid) {
    let wait = move || {
        // Where it fails it was reaped with the orphans.
        let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
    };
    let thread = Builder::new().name("falcon-late".to_owned()).stack_size(WAITING_STACK_BYTES);
    if let Err(error) = thread.spawn(wait) {
        log::warn!("process {pid} stays in the table of processes until this one ends: {error}");
    }
}
