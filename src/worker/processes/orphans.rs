//! Orphans: descendants of commands whose own parents have ended. A process that is a subreaper gets them as children.
//!
//! The system makes them children of the first thread, and a command the child of the thread that started it. So what
//! is looked at here is never a command that somebody else waits for, as long as the first thread starts none.

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

use super::census::{Identity, entry};

/// Reaps those that have ended; gives those that live.
pub fn look() -> Vec<Identity> {
    let own = getpid().as_raw_nonzero().get();
    // Some kernels do not tell; dead orphans then stay until this process ends.
    let children = std::fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    let orphans = children.split_ascii_whitespace().filter_map(|pid| entry(pid.parse().ok()?));
    let (dead, living): (Vec<_>, Vec<_>) = orphans.partition(|orphan| orphan.is_dead);
    for orphan in dead {
        // Where it fails somebody else was faster.
        let _ = waitpid(Pid::from_raw(orphan.identity.pid), WaitOptions::NOHANG);
    }
    living.into_iter().map(|orphan| orphan.identity).collect()
}
