//! A replay that follows the running master record by record, so that the state at every LSN is known.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use falconqueue::ids::Lsn;
use falconqueue::master::WalError;
use falconqueue::queue::{Event, Queues};
use falconqueue::rebuilt::Rebuilt;
use falconqueue::time::Timestamp;
use falconqueue::wal::{MemoryDevice, Restore, visit_all};

use crate::truth::Truth;

/// States that are kept in full, to show what differs.
const KEPT: usize = 500;

/// The newest LSN of a state, and the moment up to which delays and keys were carried out in it.
type At = (u64, u64);

/// The state at every LSN, and what became of each job.
pub struct History {
    shadow: Rebuilt,
    /// LSN of the newest record that the shadow has seen.
    last: u64,
    at: u64,
    operations: u64,
    states: HashMap<At, u64>,
    kept: VecDeque<(At, Vec<String>)>,
    /// Whether it follows at all.
    pub follows: bool,
    /// Whether the state at every LSN is kept, too: it costs most of a run.
    pub has_states: bool,
    /// What became of each job.
    pub truth: Truth,
    /// How often each event was seen.
    pub events: BTreeMap<&'static str, u64>,
}

fn hash(lines: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    hasher.finish()
}

/// Everything durable, line by line. Where a payload of no bytes would lie is told by records and not by snapshots, and
/// means nothing.
fn described(queues: &Queues) -> Vec<String> {
    let mut lines = queues.describe();
    for line in &mut lines {
        if let (Some(from), Some(to)) = (line.find("Location {"), line.find("}+0"))
            && !line[to + 3..].starts_with(|next: char| next.is_ascii_digit())
        {
            line.replace_range(from..=to, "nowhere");
        }
    }
    lines
}

impl Default for History {
    fn default() -> Self {
        let mut history = History {
            shadow: Rebuilt::default(),
            last: 0,
            at: 0,
            operations: 0,
            states: HashMap::new(),
            kept: VecDeque::new(),
            follows: true,
            has_states: true,
            truth: Truth::default(),
            events: BTreeMap::new(),
        };
        history.keep();
        history
    }
}

impl History {
    /// Newest LSN of the log.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Takes in what was appended since it was called last.
    pub fn follow(&mut self, device: &MemoryDevice, now: Timestamp) {
        if !self.follows {
            return;
        }
        if device.operations() != self.operations {
            self.operations = device.operations();
            visit_all(device, Lsn(self.last + 1), |record| {
                let event = Event::decode(record.head.kind, record.body).expect("an event");
                *self.events.entry(event.name()).or_default() += 1;
                self.truth.take(&event, record.head.at);
                if self.has_states {
                    self.pass(record.head.at);
                    self.shadow.record(record)?;
                }
                self.last += 1;
                assert_eq!(record.head.lsn.0, self.last, "LSNs are dense");
                self.keep();
                Ok::<(), WalError>(())
            })
            .expect("the log can be read");
        }
        if self.has_states {
            self.pass(now);
        }
    }

    fn pass(&mut self, now: Timestamp) {
        if now.0 > self.at {
            self.at = now.0;
            self.shadow.queues.advance(now);
            self.keep();
        }
    }

    fn keep(&mut self) {
        if !self.has_states {
            return;
        }
        let lines = described(&self.shadow.queues);
        self.states.insert((self.last, self.at), hash(&lines));
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(((self.last, self.at), lines));
    }

    /// Holds the running master against the replay.
    pub fn holds(&self, now: Timestamp, live: &Queues) {
        if !self.follows || !self.has_states {
            return;
        }
        assert_eq!(self.at, now.0);
        let (_, lines) = self.kept.back().expect("something was kept");
        assert!(described(live) == *lines, "the running state is not what a replay gives");
    }

    /// Holds a recovered state against what was at that LSN and moment. A key whose window was over while a snapshot
    /// was being written may not be in it: the clock has passed that moment for good.
    pub fn holds_recovered(&self, (last, at): (u64, Timestamp), now: Timestamp, queues: &Queues) {
        if !self.follows || !self.has_states {
            return;
        }
        let mut lines = described(queues);
        let expected = self.states.get(&(last, at.0));
        let expected = expected.unwrap_or_else(|| panic!("there was no state at LSN {last} and moment {at}"));
        if hash(&lines) == *expected {
            return;
        }
        let kept = self.kept.iter().find(|(key, _)| *key == (last, at.0));
        let (_, before) = kept.unwrap_or_else(|| panic!("the state at LSN {last}, {at} is another one"));
        let mut before = before.clone();
        for lines in [&mut before, &mut lines] {
            lines.retain(|line| key_until(line).is_none_or(|until| until > now.0));
        }
        let gone: Vec<_> = before.iter().filter(|line| !lines.contains(line)).collect();
        let come: Vec<_> = lines.iter().filter(|line| !before.contains(line)).collect();
        assert!(before == lines, "the state at LSN {last}, {at} is another one: {gone:#?} became {come:#?}");
    }
}

/// When a key of an ended job is forgotten, if the line is of one.
fn key_until(line: &str) -> Option<u64> {
    let (_, until) = line.strip_prefix("key ")?.rsplit_once("Timestamp(")?;
    until.trim_end_matches(')').parse().ok()
}
