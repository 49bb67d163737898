//! A replay that follows the running master record by record, so that the state at every LSN is known: kept for each,
//! or, which is cheaper in a short run, replayed again when somebody asks.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use falconqueue::ids::Lsn;
use falconqueue::master::WalError;
use falconqueue::queue::{Event, Queues};
use falconqueue::rebuilt::Rebuilt;
use falconqueue::time::Timestamp;
use falconqueue::wal::{MemoryDevice, Record, RecordHead, Restore, visit_all};

use crate::truth::Truth;

use super::KEY_WINDOW;

/// States that are kept in full, to show what differs.
const KEPT: usize = 500;

/// The newest LSN of a state, and the moment up to which delays and keys were carried out in it.
type At = (u64, u64);

/// A record of the log, as it stood there.
struct Copied {
    head: RecordHead,
    body_at: u32,
    body: Vec<u8>,
    crc: u32,
}

impl Copied {
    fn of(record: &Record<'_>) -> Copied {
        Copied { head: record.head, body_at: record.body_at, body: record.body.to_vec(), crc: record.crc }
    }

    fn lent(&self) -> Record<'_> {
        let Copied { head, body_at, ref body, crc } = *self;
        Record { head, body_at, body, crc, unknown_flags: 0 }
    }

    fn event(&self) -> Event<'_> {
        Event::decode(self.head.kind, &self.body).expect("an event")
    }
}

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
    /// Whether the state at every LSN is kept: it costs most of a run. Otherwise the records are.
    pub has_states: bool,
    /// After how many turns the running state is held against the replay, and its invariants are looked at.
    pub looks_every: u64,
    turns: u64,
    records: Vec<Copied>,
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
            looks_every: 1,
            turns: 0,
            records: Vec::new(),
            truth: Truth::new(KEY_WINDOW),
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
            visit_all(device, Lsn(self.last + 1), |record| self.take(record)).expect("the log can be read");
        }
        self.pass(now);
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        let event = Event::decode(record.head.kind, record.body).expect("an event");
        *self.events.entry(event.name()).or_default() += 1;
        self.truth.take(&event, &record.head);
        self.pass(record.head.at);
        self.shadow.record(record)?;
        self.last += 1;
        assert_eq!(record.head.lsn.0, self.last, "LSNs are dense");
        if !self.has_states {
            self.records.push(Copied::of(record));
        }
        self.keep();
        Ok(())
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

    /// A turn is over: now and then the running master is held against the replay.
    pub fn turned(&mut self, now: Timestamp, live: &Queues) {
        self.turns += 1;
        if self.turns.is_multiple_of(self.looks_every) {
            self.holds(now, live);
        }
    }

    /// Holds the running master against the replay.
    pub fn holds(&self, now: Timestamp, live: &Queues) {
        if !self.follows {
            return;
        }
        assert_eq!(self.at, now.0);
        let is_same = match self.kept.back().filter(|_| self.has_states) {
            Some((_, lines)) => described(live) == *lines,
            None => described(live) == described(&self.shadow.queues),
        };
        assert!(is_same, "the running state is not what a replay gives");
        self.truth.holds_keys(now, live);
        live.check();
    }

    /// Holds a recovered state against what was at that LSN and moment. A key whose window was over while a snapshot
    /// was being written may not be in it: the clock has passed that moment for good.
    pub fn holds_recovered(&self, (last, at): (u64, Timestamp), now: Timestamp, queues: &Queues) {
        if !self.follows {
            return;
        }
        let mut lines = described(queues);
        let mut before = if self.has_states {
            let expected = self.states.get(&(last, at.0));
            let expected = expected.unwrap_or_else(|| panic!("there was no state at LSN {last} and moment {at}"));
            if hash(&lines) == *expected {
                return;
            }
            let kept = self.kept.iter().find(|(key, _)| *key == (last, at.0));
            kept.unwrap_or_else(|| panic!("the state at LSN {last}, {at} is another one")).1.clone()
        } else {
            assert!(last <= self.last, "there was no LSN {last}");
            let mut again = self.replayed(last);
            again.queues.advance(at);
            described(&again.queues)
        };
        for lines in [&mut before, &mut lines] {
            lines.retain(|line| key_until(line).is_none_or(|until| until > now.0));
        }
        let gone: Vec<_> = before.iter().filter(|line| !lines.contains(line)).collect();
        let come: Vec<_> = lines.iter().filter(|line| !before.contains(line)).collect();
        assert!(before == lines, "the state at LSN {last}, {at} is another one: {gone:#?} became {come:#?}");
    }

    fn replayed(&self, last: u64) -> Rebuilt {
        let mut again = Rebuilt::default();
        for record in &self.records[..last as usize] {
            again.record(&record.lent()).expect("it could be replayed before");
        }
        again
    }

    /// A crash has taken all records behind this one.
    pub fn cut(&mut self, last: u64, at: Timestamp) {
        assert!(!self.has_states && last <= self.last);
        self.records.truncate(last as usize);
        self.shadow = self.replayed(last);
        self.truth = Truth::new(KEY_WINDOW);
        for record in &self.records {
            self.truth.take(&record.event(), &record.head);
        }
        (self.last, self.at, self.operations) = (last, 0, u64::MAX);
        self.pass(at);
    }
}

/// When a key of an ended job is forgotten, if the line is of one.
fn key_until(line: &str) -> Option<u64> {
    let (_, until) = line.strip_prefix("key ")?.rsplit_once("Timestamp(")?;
    // How it is held may stand behind that.
    until.split(')').next()?.parse().ok()
}
