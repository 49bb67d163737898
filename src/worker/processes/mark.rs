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

/// Whether this value of the variable has the mark.
pub fn has_mark(value: &str, mark: &str) -> bool {
    value.split('/').any(|part| part == mark)
}

/// Whether this value of the variable has any mark of the worker with this name.
pub fn is_of_worker(value: &str, name: &str) -> bool {
    value.split('/').any(|part| part.rsplit_once('-').is_some_and(|(worker, _)| worker == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_told_from_one_that_it_begins_with_and_found_among_others() {
        let value = "outer-3/inner-12";
        assert!(has_mark(value, "outer-3") && has_mark(value, "inner-12"));
        assert!(!has_mark(value, "inner-1") && !has_mark(value, "ner-12") && !has_mark(value, ""));
        assert!(is_of_worker(value, "outer") && is_of_worker(value, "inner"));
        assert!(!is_of_worker(value, "inn") && !is_of_worker(value, "outer-3") && !is_of_worker(value, ""));
    }

    #[test]
    fn every_command_has_a_mark_of_its_own() {
        let (one, other) = (Mark::next(), Mark::next());
        assert_ne!(one.value(), other.value());
        assert!(has_mark(&one.value(), &one.to_string()) && !has_mark(&one.value(), &other.to_string()));
        assert!(is_of_worker(&one.value(), worker_name()));
    }
}
