//! How many files and sockets the daemon may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the daemon needs beside connections and log segments.
const OWN_DESCRIPTORS: u64 = 64;

/// Raises the limit of open files as far as it may be: a log has a descriptor for each segment, from the moment when it
/// is read. Returns how many are left for connections and segments.
pub fn raise_descriptor_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current }.unwrap_or(u64::MAX);
    usize::try_from(limit.saturating_sub(OWN_DESCRIPTORS).max(1)).unwrap_or(usize::MAX)
}
