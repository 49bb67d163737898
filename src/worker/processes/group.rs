//! Programs, their process groups, and time-outs of waits for them.

use std::path::Path;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::{Pid, Signal, kill_process_group};

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

/// A time-out as the system takes it.
pub fn timespec(span: Duration) -> Timespec {
    // Rounded up to a millisecond, so that a wait does not end just before its moment and begin again.
    let span = span + Duration::from_millis(1);
    Timespec { tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(span.subsec_nanos()) }
}
