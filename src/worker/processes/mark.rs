//! The mark of a command: one more variable in its environment, which its descendants inherit, so that they are known
//! wherever they went. It costs a job nothing but these bytes.
//!
//! A mark is `WORKER-NUMBER`, with a random name for this process. Where this worker is itself run by a job of another,
//! its commands carry that one's mark before their own, with a slash between: they are found by both.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that carries marks.
pub const VARIABLE: &str = "FALCON_RUN";

/// The name of this process in marks.
pub fn worker_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    let random = || RandomState::new().build_hasher().finish();
    // Two runs of a hash with a random key, and the process id, so that no two on one machine have the same.
    NAME.get_or_init(|| format!("{:016x}{:x}", random(), std::process::id()))
}

/// The mark of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// A mark that no other command has.
    pub fn next() -> Mark {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Mark(COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// What stands in the variable.
    pub fn value(self) -> String {
        static BEFORE: OnceLock<String> = OnceLock::new();
        let before = BEFORE.get_or_init(|| std::env::var(VARIABLE).map(|outer| outer + "/").unwrap_or_default());
        format!("{before}{self}")
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", worker_name(), self.0)
    }
}

/// Whether this is a mark of the worker with this name.
pub fn is_of_worker(mark: &str, name: &str) -> bool {
    mark.rsplit_once('-').is_some_and(|(worker, _)| worker == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_mark_of_its_own_that_tells_its_worker() {
        let (one, other) = (Mark::next(), Mark::next());
        assert_ne!(one.to_string(), other.to_string());
        assert!(one.value().split('/').next_back() == Some(&one.to_string()));
        assert!(is_of_worker(&one.to_string(), worker_name()));
        assert!(!is_of_worker(&one.to_string(), "other") && !is_of_worker("", "") && !is_of_worker("outer", "outer"));
        assert!(!is_of_worker("outer-3", "out") && !is_of_worker("outer-3", "outer-3"));
    }
}
