//! Waits for a condition, each with a deadline and a name, and the clock that the log is held against.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The deadline of a wait whose length is not what the test is about.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until the condition is met; past the deadline the test fails with the name of the wait.
pub fn wait_until(what: &str, deadline: Duration, mut met: impl FnMut() -> bool) {
    wait_for(what, deadline, || met().then_some(()));
}

/// Waits until there is something to find, and gives it back.
pub fn wait_for<T>(what: &str, deadline: Duration, mut find: impl FnMut() -> Option<T>) -> T {
    let end_at = Instant::now() + deadline;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < end_at, "waited {deadline:?} for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The wall clock as the log writes it.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("a clock after 1970").as_millis()).expect("a clock before the end")
}
