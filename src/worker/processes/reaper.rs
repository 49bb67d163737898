//! The reaper, as the worker has it: a process beside this one that ends what is left of its commands when this one is
//! gone, however it went.
//!
//! Promises:
//! - It costs a job nothing: it waits at a pipe whose other end only this process has. A command that is just being
//!   started has that end too, until it is marked, so that none slips through.
//! - It is in a session of its own, and SIGTERM, SIGINT, SIGHUP and SIGQUIT do not end it: what is sent to this
//!   process's group, to its terminal or to all of a service reaches it in vain. It holds nobody's pipes open.
//! - If it ends all the same, another is started.
//! - Orphans of commands become children of this process, and are reaped when they end. The reaper is told of those
//!   that live, at most a second after they came.
//!
//! Not found by it is who cleared its environment, made a session of its own and lost its parent within that second.
//! If both are killed in the same moment nobody is left to end anything; only a container or a cgroup helps then.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, set_child_subreaper};

use super::super::crew::retry_pause;
use super::census::Identity;
use super::group::timespec;
use super::kin::Home;
use super::mark::worker_name;
use super::orphans;
use super::sweep::{self, NAME, ORDERLY, WORKER};

/// How often orphans are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a reaper may take to say that it is ready.
const READY_MAX: Duration = Duration::from_secs(5);

/// How long a worker that leaves in order waits for the end of what its commands left behind.
const END_WAIT: Duration = Duration::from_millis(150);

/// A reaper that has lived for so long is no failure to start one.
const LIVED: Duration = Duration::from_secs(10);

/// Keeps a process beside this one that ends what commands leave behind when this process ends. `falcon-worker` and
/// `falcond --workers` have one; a program with a [`Pool`](crate::worker::Pool) of commands may.
///
/// Such a program calls [`Reaper::run_if_asked`] first of all, since the reaper is the same program started again, and
/// starts no processes in its first thread while there is a reaper: they would be taken for orphans.
#[derive(Debug)]
pub struct Reaper {
    leave: Arc<OwnedFd>,
    watching: Option<JoinHandle<()>>,
}

impl Reaper {
    /// Is the reaper, and returns true at its end, if this process was started as one. To be called by `main` before
    /// anything else; nothing more is to be done after true.
    pub fn run_if_asked() -> bool {
        sweep::run_if_asked()
    }

    /// Starts a reaper, and the thread that sees to it. From now on orphans of commands are children of this process.
    /// Where no reaper can be started that is logged and tried again: commands then outlive a worker that is killed.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start() -> io::Result<Reaper> {
        if let Err(error) = set_child_subreaper(Some(getpid())) {
            log::warn!("orphans of commands do not come to this process: {error}");
        }
        let leave = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (tried, was_tried) = channel();
        let watch = Watch { leave: Arc::clone(&leave), tried };
        // In a thread of its own, so that it is no child of the first thread: these are the orphans.
        let watching = Builder::new().name(NAME.to_owned()).spawn(move || watch.run())?;
        // No command is to be started before there is a reaper. Where the thread is gone there will be none.
        let _ = was_tried.recv();
        Ok(Reaper { leave, watching: Some(watching) })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Err(error) = rustix::io::write(&self.leave, &1u64.to_ne_bytes()) {
            log::error!("telling the reaper to end: {error}");
        } else if self.watching.take().is_some_and(|watching| watching.join().is_err()) {
            log::error!("the thread that sees to the reaper panicked");
        }
    }
}

/// What the thread has.
struct Watch {
    leave: Arc<OwnedFd>,
    /// Told once it was tried to start a reaper.
    tried: Sender<()>,
}

impl Watch {
    fn run(self) {
        let mut failed = 0;
        loop {
            let begun_at = Instant::now();
            let why = match Beside::start() {
                Ok(mut beside) => {
                    // Nobody waits for it but the first time.
                    let _ = self.tried.send(());
                    match self.attend(&mut beside) {
                        Some(why) => why,
                        None => return beside.end(),
                    }
                }
                Err(error) => error.to_string(),
            };
            let _ = self.tried.send(());
            failed = if begun_at.elapsed() > LIVED { 0 } else { failed };
            if failed == 0 {
                log::warn!(
                    "there is no reaper ({why}), and without one commands outlive a worker that is killed; \
                            starting another"
                );
            }
            if self.leaves_within(retry_pause(failed)) {
                return;
            }
            failed += 1;
        }
    }

    /// Sees to a reaper and to orphans; says why the reaper ended, or nothing if it is to end.
    fn attend(&self, beside: &mut Beside) -> Option<String> {
        loop {
            let fds = [PollFd::new(&self.leave, PollFlags::IN), PollFd::new(&beside.pidfd, PollFlags::IN)];
            let [leave, ended] = wait(fds, LOOK_INTERVAL);
            if leave {
                return None;
            }
            if ended {
                return Some(beside.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string()));
            }
            beside.tell(orphans::look());
        }
    }

    fn leaves_within(&self, span: Duration) -> bool {
        let [leave] = wait([PollFd::new(&self.leave, PollFlags::IN)], span);
        leave
    }
}

/// Waits for any of these; says which are ready.
fn wait<const N: usize>(mut fds: [PollFd<'_>; N], span: Duration) -> [bool; N] {
    // What goes wrong here is told by the next call, too.
    let _ = poll(&mut fds, Some(&timespec(span)));
    fds.map(|fd| !fd.revents().is_empty())
}

/// A reaper that runs.
struct Beside {
    child: Child,
    /// Readable once it has ended.
    pidfd: OwnedFd,
    /// Its end is the end of this process.
    pipe: ChildStdin,
    /// The orphans that it knows.
    told: BTreeSet<Identity>,
}

impl Beside {
    fn start() -> io::Result<Beside> {
        let home = Home::own();
        let mut child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .args([home.pid, home.group, home.session].map(|number| number.to_string()))
            // Not as an argument, which everybody on the machine could read.
            .env(WORKER, worker_name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        match Beside::over(&mut child) {
            Ok((pidfd, pipe)) => Ok(Beside { child, pidfd, pipe, told: BTreeSet::new() }),
            Err(error) => {
                // The first error says why.
                let _ = child.kill().and_then(|()| child.wait());
                Err(error)
            }
        }
    }

    fn over(child: &mut Child) -> io::Result<(OwnedFd, ChildStdin)> {
        let missing = || io::Error::other("a pipe is missing");
        let (pipe, ready) = (child.stdin.as_ref().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        rustix::io::ioctl_fionbio(pipe, true)?;
        // It has left this process's group by then.
        let [is_ready] = wait([PollFd::new(&ready, PollFlags::IN)], READY_MAX);
        if !is_ready || rustix::io::read(&ready, &mut [0; 1])? != 1 {
            return Err(io::Error::other("it did not start"));
        }
        let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        child.stdin.take().ok_or_else(missing).map(|pipe| (pidfd, pipe))
    }

    /// Tells it of the orphans that live.
    fn tell(&mut self, living: Vec<Identity>) {
        self.told = living.into_iter().filter(|orphan| self.told.contains(orphan) || self.says(*orphan)).collect();
    }

    /// A line is taken whole or not at all, since it is short; one that is not taken is said again.
    fn says(&self, orphan: Identity) -> bool {
        let line = format!("{} {}\n", orphan.pid, orphan.started);
        (&self.pipe).write(line.as_bytes()).is_ok()
    }

    /// Lets it end what is left, and itself.
    fn end(self) {
        let Beside { mut child, pidfd, mut pipe, .. } = self;
        // Where it is not told it looks for longer.
        let _ = pipe.write(ORDERLY.as_bytes());
        drop(pipe);
        let [ended] = wait([PollFd::new(&pidfd, PollFlags::IN)], END_WAIT);
        if ended && let Err(error) = child.wait() {
            log::error!("waiting for the reaper: {error}");
        }
    }
}
