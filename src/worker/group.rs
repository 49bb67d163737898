//! Programs and their process groups: what `exec` and `reuse` have in common.

use std::path::Path;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a process group has between SIGTERM and SIGKILL.
pub const TERM_GRACE: Duration = Duration::from_secs(2);

/// How often a group that is being stopped is looked at.
pub const STOP_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Whether the name leads to a file that may be executed, as the system will look for it.
pub fn is_runnable(program: &str) -> bool {
    let runnable = |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if program.contains('/') {
        return runnable(Path::new(program));
    }
    // What the system uses where there is no PATH.
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).any(|dir| runnable(&dir.join(program)))
}

/// Sends a signal to everyone in the group.
pub fn signal_group(group: Pid, signal: Signal) {
    // A group that is gone needs no signal.
    let _ = kill_process_group(group, signal);
}

/// Whether anyone but the leader, who may be a zombie by now, is in the group.
pub fn has_other_members(group: Pid) -> bool {
    let leader = group.as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != leader).any(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name in brackets: state, parent, group.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields.split_ascii_whitespace().nth(2).and_then(|field| field.parse().ok()) == Some(leader)
    })
}

/// A time-out as the system takes it.
pub fn timespec(span: Duration) -> Timespec {
    // Rounded up to a millisecond, so that a wait does not end just before its moment and begin again.
    let span = span + Duration::from_millis(1);
    Timespec { tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(span.subsec_nanos()) }
}
