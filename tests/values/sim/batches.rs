//! Clients that begin batches, fill them by several requests, end them, cancel them, look at them, and turn away from
//! some when their connections break; and what they may be told.

use std::collections::{BTreeMap, BTreeSet};

use falconqueue::ids::{BatchId, SessionId};
use falconqueue::master::WalError;
use falconqueue::protocol::{BeginBatch, CancelBatch, EndBatch, Request, ShowBatch};
use falconqueue::time::{Millis, Timestamp};

use crate::frames::{BatchFacts, NOT_FOUND, OfBatches, Reply, STORAGE_FULL, WRONG_STATE};
use crate::truth::batches::{ALONE, Seen};

use super::Sim;
use super::client::What;

/// Names of batches; one is free again a while after its batch is over.
pub const BATCHES: [&str; 6] = ["night", "day", "dusk", "dawn", "noon", "eve"];

/// Batches that are filled at once.
const OPEN_MAX: usize = 2;

/// Who fills which batch, as far as the clients know.
#[derive(Debug, Default)]
pub struct Filling {
    open: BTreeMap<BatchId, Fillers>,
    /// Those that nobody of the clients goes on with.
    left: BTreeSet<BatchId>,
    /// Connections have broken: some clients will not go on.
    has_broken: bool,
    /// Batches that were called off since nobody filled them.
    pub abandoned: u64,
}

/// Sessions that fill a batch: those that do for sure, and those that may.
#[derive(Debug, Default)]
struct Fillers {
    sure: Sessions,
    any: Sessions,
}

#[derive(Debug, Default)]
struct Sessions {
    all: BTreeSet<SessionId>,
    /// When the last one left.
    left_at: Timestamp,
}

impl Sessions {
    fn gone(&mut self, session: SessionId, now: Timestamp) {
        if self.all.remove(&session) {
            self.left_at = now;
        }
    }

    fn are_gone_by(&self, now: Timestamp) -> bool {
        self.all.is_empty() && self.left_at.plus(ALONE) <= now
    }
}

impl Filling {
    /// Nobody fills any of these yet: the master is another process.
    pub fn restarted(&mut self, open: impl Iterator<Item = BatchId>, now: Timestamp) {
        let alone = || Sessions { all: BTreeSet::new(), left_at: now };
        self.open = open.map(|id| (id, Fillers { sure: alone(), any: alone() })).collect();
        self.has_broken = true;
    }

    fn fills(&mut self, session: SessionId, id: BatchId, is_sure: bool) {
        let fillers = self.open.entry(id).or_default();
        fillers.any.all.insert(session);
        if is_sure {
            fillers.sure.all.insert(session);
        }
    }

    /// The master has found out that a connection is gone.
    pub fn gone(&mut self, session: SessionId, now: Timestamp) {
        for fillers in self.open.values_mut() {
            fillers.sure.gone(session, now);
            fillers.any.gone(session, now);
        }
        self.has_broken = true;
    }

    /// Time in which nobody could come back.
    pub fn forgive(&mut self, gap: Millis) {
        for fillers in self.open.values_mut() {
            for sessions in [&mut fillers.sure, &mut fillers.any] {
                sessions.left_at = sessions.left_at.plus(gap);
            }
        }
    }

    /// A batch was called off since nobody filled it: that has to be so.
    pub fn abandoned(&mut self, id: BatchId, at: Timestamp) {
        self.abandoned += 1;
        let fillers = self.open.get(&id).unwrap_or_else(|| panic!("batch {id} is called off, and was not open"));
        assert!(fillers.sure.are_gone_by(at), "batch {id} is called off at {at}, and is filled: {fillers:?}");
    }

    /// At the end of a turn: none of those that are open is one that nobody fills.
    pub fn holds(&mut self, open: &BTreeSet<BatchId>, now: Timestamp) {
        self.open.retain(|id, _| open.contains(id));
        for (id, fillers) in &self.open {
            assert!(!fillers.any.are_gone_by(now), "batch {id} is open at {now}, and nobody fills it: {fillers:?}");
        }
    }
}

/// What is asked of a batch by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Begin,
    End,
    Cancel,
    /// And until when it is waited for its end.
    Show(Timestamp),
}

/// A request about a batch: what it was when that was asked.
#[derive(Debug)]
pub struct AskedOf {
    pub name: &'static str,
    pub what: Ask,
    seen: Option<Seen>,
    at: Timestamp,
}

impl AskedOf {
    /// Whether it may be refused so.
    fn may_be_refused(&self, code: u16) -> bool {
        let Some(seen) = &self.seen else {
            return code == if self.what == Ask::Begin { STORAGE_FULL } else { NOT_FOUND };
        };
        let is_wrong = match self.what {
            Ask::Begin => seen.is_sealed,
            Ask::End => seen.is_called_off,
            Ask::Cancel => seen.is_over && !seen.is_called_off,
            Ask::Show(_) => false,
        };
        let is_full = self.what == Ask::Begin && seen.may_be_gone && code == STORAGE_FULL;
        let is_gone = self.what != Ask::Begin && seen.may_be_gone && code == NOT_FOUND;
        is_full || is_gone || is_wrong && code == WRONG_STATE
    }

    fn may_be_done(&self) -> bool {
        match (&self.seen, self.what) {
            (None, what) => what == Ask::Begin,
            (Some(seen), Ask::Begin) => !seen.is_sealed || seen.may_be_gone,
            (Some(seen), Ask::End) => !seen.is_called_off,
            (Some(seen), Ask::Cancel) => !seen.is_over || seen.is_called_off,
            (Some(_), Ask::Show(_)) => true,
        }
    }
}

/// A batch is shown as it was.
fn is_shown_so(seen: &Seen, facts: &BatchFacts) {
    let counts = (facts.members, facts.left, facts.figure("completed"), facts.figure("expired"), facts.figure("dead"));
    let expected = (seen.members, seen.left, seen.completed, seen.expired, seen.dead);
    assert_eq!(counts, expected, "{seen:?} was shown as {facts:?}");
    assert_eq!((facts.sealed, facts.called_off), (seen.is_sealed, seen.is_called_off), "{seen:?}: {facts:?}");
    let others = seen.members - seen.left - seen.completed - seen.expired - seen.dead;
    assert_eq!(facts.figure("cancelled") + facts.figure("purged"), others, "{seen:?} was shown as {facts:?}");
}

impl Sim {
    /// What is known of the batch of this name now.
    pub fn see_batch(&mut self, name: &str) -> Option<Seen> {
        self.follow();
        self.history.truth.see_batch(name, self.now)
    }

    /// Of the batches that take members and that somebody goes on with, the names.
    fn open_names(&mut self) -> Vec<&'static str> {
        self.follow();
        let open: Vec<(BatchId, &'static str)> = self
            .history
            .truth
            .open_batches()
            .filter_map(|(id, name)| Some((id, *BATCHES.iter().find(|known| **known == name)?)))
            .collect();
        if std::mem::take(&mut self.filling.has_broken) {
            let left = open.iter().filter(|_| self.random.one_in(2)).map(|(id, _)| *id);
            self.filling.left.extend(left);
        }
        open.into_iter().filter(|(id, _)| !self.filling.left.contains(id)).map(|(_, name)| name).collect()
    }

    /// One thing of all that is asked of batches.
    pub fn act_on_batches(&mut self) -> Result<(), WalError> {
        let open = self.open_names();
        let any = BATCHES[self.random.index(BATCHES.len())];
        let one = self.random.pick(&open).copied().filter(|_| !self.random.one_in(10)).unwrap_or(any);
        match self.random.below(16) {
            0..=3 => self.ask_of_batch(if open.len() < OPEN_MAX { any } else { one }, Ask::Begin),
            4..=9 => {
                let count = 1 + self.random.below(4);
                let mut jobs: Vec<_> = (0..count).map(|_| self.drawn_job()).collect();
                self.draw_ways(&mut jobs);
                self.submit_to(jobs, Some(one)).map(drop)
            }
            10..=12 => self.ask_of_batch(one, Ask::End),
            13 if self.random.one_in(2) => self.ask_of_batch(any, Ask::Cancel),
            _ => {
                let wait_ms = if self.random.one_in(2) { 0 } else { self.random.below(9000) };
                self.ask_of_batch(any, Ask::Show(self.now.plus(Millis(wait_ms))))
            }
        }
    }

    /// Sends a request about a batch.
    pub fn ask_of_batch(&mut self, name: &'static str, what: Ask) -> Result<(), WalError> {
        let seen = self.see_batch(name);
        let session = if self.random.one_in(4) { self.watcher } else { self.producer };
        let request = match what {
            Ask::Begin => BeginBatch { batch: name }.into(),
            Ask::End => EndBatch { batch: name }.into(),
            Ask::Cancel => CancelBatch { batch: name }.into(),
            Ask::Show(until) => ShowBatch { batch: name, wait_ms: until.since(self.now).0 as u32 }.into(),
        };
        if what == Ask::Begin {
            self.told.batches.remove(name);
        }
        let request: Request<'_> = request;
        self.send(session, &request, What::OfBatch(AskedOf { name, what, seen, at: self.now }))?;
        if what == Ask::Begin && !self.net.is_broken(session) {
            let open = self.see_batch(name).filter(|seen| !seen.is_sealed);
            if let Some(seen) = open {
                self.filling.fills(session, seen.id, true);
            }
        }
        Ok(())
    }

    /// Jobs of this batch were taken by the master, or refused.
    pub fn has_filled(&mut self, session: SessionId, name: &str, before: Option<&Seen>) {
        let Some(before) = before.filter(|seen| !seen.is_sealed) else { return };
        let has_more = self.see_batch(name).is_some_and(|seen| seen.members > before.members);
        self.filling.fills(session, before.id, has_more);
    }

    /// The answer to a request about a batch.
    pub fn told_of_batch(&mut self, asked: &AskedOf, reply: Reply) {
        let reply = match reply {
            Reply::OfBatches(reply) => reply,
            Reply::Error { code, .. } => {
                assert!(asked.may_be_refused(code), "{asked:?} was refused by {code}");
                return;
            }
            other => panic!("{asked:?} was answered by {other:?}"),
        };
        assert!(asked.may_be_done(), "{asked:?} was answered by {reply:?}");
        match (asked.what, reply, &asked.seen) {
            (Ask::Begin, OfBatches::Begun(members), seen) => {
                let before = seen.as_ref().filter(|seen| !seen.is_sealed).map_or(0, |seen| seen.members);
                assert_eq!(members, before, "members of {asked:?}");
                self.told.batch_begun(asked.name, asked.at);
            }
            (Ask::End, OfBatches::Done, _) => self.told.batch_ended(asked.name, asked.at, false),
            (Ask::Cancel, OfBatches::Done, _) => self.told.batch_ended(asked.name, asked.at, true),
            (Ask::Show(until), OfBatches::Show(facts), Some(seen)) => {
                if seen.is_over || until == asked.at {
                    return is_shown_so(seen, &facts);
                }
                let is_over = facts.sealed && facts.left == 0;
                assert!(is_over || until <= self.now, "{asked:?} was answered early: {facts:?}");
            }
            (_, reply, _) => panic!("{asked:?} was answered by {reply:?}"),
        }
    }

    /// No wait for a batch is left open that is over.
    pub fn hold_batch_waits(&self) {
        for sent in self.sent.values().filter(|sent| self.net.is_there(sent.session)) {
            let What::OfBatch(AskedOf { name, what: Ask::Show(until), .. }) = &sent.what else { continue };
            let is_over = self.history.truth.see_batch(name, self.now).is_none_or(|seen| seen.is_over);
            assert!(!is_over && *until > self.now, "a wait for batch {name} until {until} was not answered");
        }
    }

    /// Brings who fills what up to the log.
    pub fn follow_batches(&mut self) {
        for (id, at) in self.history.truth.take_abandoned() {
            self.filling.abandoned(id, at);
        }
    }

    /// At the end of a turn.
    pub fn hold_batches(&mut self) {
        let open = self.history.truth.open_batches().map(|(id, _)| id).collect();
        self.filling.holds(&open, self.now);
    }
}
