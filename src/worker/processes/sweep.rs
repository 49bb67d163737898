//! What the reaper does: it waits for the end of its worker, and then sends SIGKILL to all that came of the worker's
//! commands, again and again, until nobody is found several times in a row. It needs no thanks and says nothing.
//!
//! It gives up after 30 s: what got SIGKILL and is still there waits for a disk, and ends when that comes back.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, getppid, pidfd_open, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;

use super::census::{Identity, census, entry};
use super::group::timespec;
use super::kin::{Home, kin, signal};

/// What a reaper is called, and how it knows that it is one.
pub const NAME: &str = "falcon-reaper";

/// The variable with the name of its worker.
pub const WORKER: &str = "FALCON_REAPER_OF";

/// What a worker says that leaves in order: it starts nothing any more.
pub const ORDERLY: &str = "orderly\n";

/// So often in a row nobody has to be found. Whoever was just being started may not show its mark for a moment.
const EMPTY_LOOKS: u32 = 5;

/// Between looks that found nobody: all in all 200 ms.
const EMPTY_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// After a look that found somebody: at first, and longer each time while it is nobody else, who cannot end yet.
const LOOK_INTERVAL_FIRST: Duration = Duration::from_millis(5);
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// How long a worker may take to end after its pipe has.
const WORKER_END_MAX: Duration = Duration::from_secs(10);

/// How long it tries at most.
const SWEEP_MAX: Duration = Duration::from_secs(30);

/// So many orphans are kept before it is looked which of them still live.
const ORPHANS_UNCHECKED_MAX: usize = 1024;

/// Is the reaper if this process was started as one; says whether it was.
pub fn run_if_asked() -> bool {
    let mut args = std::env::args_os().map_while(|arg| arg.into_string().ok());
    if args.next().as_deref() != Some(NAME) {
        return false;
    }
    if let (Ok(worker), Some(home)) = (std::env::var(WORKER), home(args)) {
        // There is nobody to tell: a worker that hears nothing of this one starts another.
        let _ = serve(&worker, home);
    }
    true
}

fn home(mut args: impl Iterator<Item = String>) -> Option<Home> {
    let mut number = || args.next()?.parse().ok();
    Some(Home { pid: number()?, group: number()?, session: number()? })
}

fn serve(worker: &str, home: Home) -> io::Result<()> {
    let parent = parent(home.pid)?;
    prepare()?;
    // A worker that is gone by now does not hear that there is one.
    let _ = io::stdout().write_all(b"\n").and_then(|()| io::stdout().flush());
    let left = listen(io::stdin().lock())?;
    if left.is_orderly || parent.is_none_or(|parent| has_ended(&parent)) {
        sweep(worker, home, &left);
    }
    Ok(())
}

/// The worker, if it is not gone already.
fn parent(worker: i32) -> io::Result<Option<OwnedFd>> {
    let parent = getppid().filter(|parent| parent.as_raw_nonzero().get() == worker);
    match parent.map(|parent| pidfd_open(parent, PidfdFlags::empty())) {
        None | Some(Err(Errno::SRCH)) => Ok(None),
        Some(opened) => Ok(Some(opened?)),
    }
}

/// Whether it is really gone, which is so soon after its pipe's end. A worker that lives and has given up this reaper
/// keeps its commands.
fn has_ended(worker: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(worker, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timespec(WORKER_END_MAX)))).is_ok_and(|ready| ready > 0)
}

/// Steps out of the way of signals, terminals and file systems.
fn prepare() -> io::Result<()> {
    for ignored in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        flag::register(ignored, Arc::new(AtomicBool::new(false)))?;
    }
    setsid()?;
    std::env::set_current_dir("/")?;
    // A name for people; otherwise it is called `exe`.
    let _ = std::fs::write("/proc/self/comm", NAME);
    Ok(())
}

/// What the worker has said until it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    orphans: BTreeSet<Identity>,
    is_orderly: bool,
}

/// Hears of orphans until the worker ends.
fn listen(pipe: impl BufRead) -> io::Result<Left> {
    let mut left = Left::default();
    let mut check_at = ORPHANS_UNCHECKED_MAX;
    for line in pipe.lines() {
        let line = line?;
        left.is_orderly |= line == ORDERLY.trim_end();
        left.orphans.extend(orphan(&line));
        if left.orphans.len() > check_at {
            left.orphans.retain(|orphan| entry(orphan.pid).is_some_and(|entry| entry.identity == *orphan));
            check_at = left.orphans.len() + ORPHANS_UNCHECKED_MAX;
        }
    }
    Ok(left)
}

fn orphan(line: &str) -> Option<Identity> {
    let (pid, started) = line.split_once(' ')?;
    Some(Identity { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

fn sweep(worker: &str, home: Home, left: &Left) {
    let until = Instant::now() + SWEEP_MAX;
    let looks = if left.is_orderly { 1 } else { EMPTY_LOOKS };
    let mut known = left.orphans.clone();
    let (mut empty, mut interval) = (0, LOOK_INTERVAL_FIRST);
    while Instant::now() < until {
        let census = census();
        let of_known = known.iter().filter_map(|known| census.place_of(*known));
        let found = kin(&census, home, census.marked_by(worker).chain(of_known));
        let found: Vec<Identity> = found.iter().filter(|entry| !entry.is_dead).map(|entry| entry.identity).collect();
        for found in &found {
            signal(*found, Signal::KILL);
        }
        empty = if found.is_empty() { empty + 1 } else { 0 };
        if empty == looks {
            return;
        }
        let is_news = found.iter().filter(|found| known.insert(**found)).count() > 0;
        interval = if is_news { LOOK_INTERVAL_FIRST } else { (2 * interval).min(LOOK_INTERVAL_MAX) };
        std::thread::sleep(if found.is_empty() { EMPTY_LOOK_INTERVAL } else { interval });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_and_an_orderly_end_are_heard_until_the_pipe_ends() {
        let left = listen("12 99\nnonsense\n13 x\n14 7\norderly\n".as_bytes()).unwrap();
        let orphans = [Identity { pid: 12, started: 99 }, Identity { pid: 14, started: 7 }];
        assert_eq!(left, Left { orphans: orphans.into(), is_orderly: true });
        assert_eq!(listen("".as_bytes()).unwrap(), Left::default());
    }

    #[test]
    fn only_orphans_that_live_are_kept_for_long() {
        let own = entry(i32::try_from(std::process::id()).unwrap()).unwrap().identity;
        let gone = (0..ORPHANS_UNCHECKED_MAX).map(|n| format!("{} {}\n", own.pid, own.started + 1 + n as u64));
        let said: String = std::iter::once(format!("{} {}\n", own.pid, own.started)).chain(gone).collect();
        assert_eq!(listen(said.as_bytes()).unwrap().orphans, BTreeSet::from([own]));
    }
}
