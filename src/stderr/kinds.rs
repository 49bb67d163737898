//! How many lines of one kind leave in a second. A kind is a place in the code: what it says differs by numbers only.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use log::{Level, Record};

/// Lines of one kind that leave in one span.
const LINES_MAX: u32 = 10;

const SPAN: Duration = Duration::from_secs(1);

/// Bytes that are kept of a line that was left out.
const KEPT_BYTES: usize = 512;

/// Lines of one kind that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub count: u64,
    pub level: Level,
    pub target: String,
    /// The last of them.
    pub last: String,
}

/// By file and line, of which there are as many as the program has.
#[derive(Debug, Default)]
pub struct Kinds {
    kinds: BTreeMap<(Option<&'static str>, Option<u32>), Kind>,
}

#[derive(Debug)]
struct Kind {
    since: Instant,
    passed: u32,
    left_out: Option<LeftOut>,
}

impl Kinds {
    /// Takes a line: what is to be told before it, and whether it may leave.
    pub fn take(&mut self, record: &Record<'_>, now: Instant) -> (Option<LeftOut>, bool) {
        let key = (record.file_static(), record.line());
        let kind = self.kinds.entry(key).or_insert(Kind { since: now, passed: 0, left_out: None });
        let mut before = None;
        if now.saturating_duration_since(kind.since) >= SPAN {
            before = kind.left_out.take();
            (kind.since, kind.passed) = (now, 0);
        }
        if kind.passed < LINES_MAX {
            kind.passed += 1;
            return (before, true);
        }
        let count = kind.left_out.as_ref().map_or(0, |left_out| left_out.count);
        let mut last = record.args().to_string();
        last.truncate(last.floor_char_boundary(KEPT_BYTES));
        let target = record.target().to_owned();
        kind.left_out = Some(LeftOut { count: count + 1, level: record.level(), target, last });
        (before, false)
    }

    /// What was left out of kinds whose span is over.
    pub fn take_over(&mut self, now: Instant) -> Vec<LeftOut> {
        let over = |kind: &&mut Kind| now.saturating_duration_since(kind.since) >= SPAN;
        self.kinds.values_mut().filter(over).filter_map(|kind| kind.left_out.take()).collect()
    }

    pub fn take_all(&mut self) -> Vec<LeftOut> {
        self.kinds.values_mut().filter_map(|kind| kind.left_out.take()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(kinds: &mut Kinds, line: u32, text: &str, now: Instant) -> (Option<u64>, bool) {
        let args = format_args!("{text}").to_string();
        let args = format_args!("{args}");
        let record = Record::builder().args(args).file_static(Some("a.rs")).line(Some(line)).build();
        let (before, passes) = kinds.take(&record, now);
        (before.map(|left_out| left_out.count), passes)
    }

    #[test]
    fn some_lines_of_a_kind_leave_each_second_and_the_others_are_counted() {
        let mut kinds = Kinds::default();
        let start = Instant::now();
        for number in 0..500 {
            let passes = number < LINES_MAX;
            assert_eq!(say(&mut kinds, 1, &format!("session {number}"), start), (None, passes));
        }
        assert_eq!(say(&mut kinds, 2, "another kind", start), (None, true));
        assert_eq!(kinds.take_over(start + SPAN / 2), []);
        let later = start + SPAN;
        assert_eq!(say(&mut kinds, 1, "session 500", later), (Some(490), true));
        assert_eq!(say(&mut kinds, 1, "session 501", later), (None, true));
    }

    #[test]
    fn what_was_left_out_is_told_although_its_kind_says_nothing_more() {
        let mut kinds = Kinds::default();
        let start = Instant::now();
        for number in 0..LINES_MAX + 3 {
            say(&mut kinds, 1, &format!("{number}{}", "é".repeat(1000)), start);
        }
        let told = kinds.take_over(start + SPAN);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].count, 3);
        assert!(told[0].last.starts_with("12é") && told[0].last.len() <= KEPT_BYTES);
        assert_eq!(kinds.take_all(), []);
    }
}
