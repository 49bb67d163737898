//! Token buckets: how often jobs of a queue or of a group may be handed out.
//!
//! A bucket holds `burst` tokens at most, gains `tokens` in `per_ms`, and each job takes one (Turner, "New Directions
//! in Communications (or Which Way to the Information Age?)", IEEE Communications Magazine 1986). It is kept as the
//! moment at which it is full again, exactly: whole milliseconds and a fraction of one, in parts of `tokens`. Its time
//! is that of the log, so that a restart neither fills nor empties it; a moment of the log stands for the millisecond
//! that begins with it, so that a token which comes within that can be taken. A full bucket is none at all, and costs
//! nothing.
//!
//! Buckets that somebody waits for, be it for the next token or until nothing needs to be remembered, stand on one
//! wheel.

use crate::ids::QueueId;
use crate::queue::chunks::{Chunks, Slot};
use crate::queue::deadlines::{NIL, NO_CELL, Node, Nodes, Wheel};
use crate::rules::Rate;
use crate::time::{Millis, Timestamp};

/// Whose tokens they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Queue(QueueId),
    Group(u32),
}

/// When a bucket is full again: in whole milliseconds, and parts of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    pub full_at: Timestamp,
    /// In parts of `tokens`.
    pub fraction: u32,
}

impl Level {
    /// What is missing, in parts of which a token has `per_ms`.
    fn missing(self, rate: Rate, now: Timestamp) -> u64 {
        if self.full_at < now {
            return 0;
        }
        self.full_at.since(now).0.saturating_mul(rate.tokens.into()).saturating_add(self.fraction.into())
    }

    fn of_missing(missing: u64, rate: Rate, now: Timestamp) -> Level {
        let tokens = u64::from(rate.tokens);
        Level { full_at: now.plus(Millis(missing / tokens)), fraction: (missing % tokens) as u32 }
    }

    /// The level after one more token was taken.
    pub fn take(self, rate: Rate, now: Timestamp) -> Level {
        Level::of_missing(self.missing(rate, now).saturating_add(rate.per_ms.into()), rate, now)
    }

    /// The whole tokens that it holds.
    pub fn tokens(self, rate: Rate, now: Timestamp) -> u32 {
        let missing = self.missing(rate, now).div_ceil(u64::from(rate.per_ms));
        rate.burst.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// The first moment at which it holds a whole token.
    pub fn next_token_at(self, rate: Rate) -> Timestamp {
        // What comes until this millisecond is over is there.
        let spare = u64::from(rate.burst - 1) * u64::from(rate.per_ms) + u64::from(rate.tokens - 1);
        match spare.checked_sub(self.fraction.into()) {
            Some(spare) => Timestamp(self.full_at.0.saturating_sub(spare / u64::from(rate.tokens))),
            None => self.full_at.plus(Millis(1)),
        }
    }

    /// The first moment at which it is full.
    pub fn full_from(self) -> Timestamp {
        self.full_at.plus(Millis(u64::from(self.fraction > 0)))
    }

    /// The same share of tokens, counted by another rate.
    pub fn converted(self, from: Rate, to: Rate, now: Timestamp) -> Level {
        let missing = u128::from(self.missing(from, now)) * u128::from(to.per_ms) / u128::from(from.per_ms);
        let most = u64::from(to.burst) * u64::from(to.per_ms);
        Level::of_missing(u64::try_from(missing).unwrap_or(most).min(most), to, now)
    }
}

#[derive(Clone, Debug)]
pub struct Bucket {
    pub level: Level,
    pub rate: Rate,
    owner: Owner,
    prev: u32,
    next: u32,
    cell: u16,
    /// Whether its owner waits for it to be full, and not for a token.
    until_full: bool,
}

const _: () = assert!(size_of::<Bucket>() <= 48, "a group costs 200 bytes");

/// The line of free places goes by `next`.
impl Slot for Bucket {
    fn vacant() -> Bucket {
        let owner = Owner::Queue(QueueId(0));
        let (level, rate) = (Level::default(), Rate::default());
        Bucket { level, rate, owner, prev: NIL, next: NIL, cell: NO_CELL, until_full: false }
    }

    fn next_free(&self) -> u32 {
        self.next
    }

    fn set_next_free(&mut self, next: u32) {
        self.next = next;
    }
}

impl Bucket {
    fn due_at(&self) -> Timestamp {
        if self.until_full { self.level.full_from() } else { self.level.next_token_at(self.rate) }
    }
}

impl Nodes for Chunks<Bucket> {
    fn node(&self, index: u32) -> Node {
        let bucket = &self[index];
        Node { at: bucket.due_at(), prev: bucket.prev, next: bucket.next, cell: bucket.cell }
    }

    fn set_links(&mut self, index: u32, prev: u32, next: u32, cell: u16) {
        let bucket = &mut self[index];
        (bucket.prev, bucket.next, bucket.cell) = (prev, next, cell);
    }
}

/// All buckets that are not full.
#[derive(Debug, Default)]
pub struct Buckets {
    buckets: Chunks<Bucket>,
    wheel: Wheel,
}

impl Buckets {
    pub fn bucket(&self, number: u32) -> &Bucket {
        &self.buckets[number]
    }

    pub fn add(&mut self, owner: Owner, level: Level, rate: Rate) -> u32 {
        self.buckets.insert(Bucket { level, rate, owner, ..Bucket::vacant() })
    }

    pub fn remove(&mut self, number: u32) {
        self.wheel.remove(&mut self.buckets, number);
        self.buckets.remove(number);
    }

    /// Changes what a bucket holds; nobody waits for it until [`Buckets::wait`].
    pub fn set(&mut self, number: u32, level: Level, rate: Rate) {
        self.wheel.remove(&mut self.buckets, number);
        let bucket = &mut self.buckets[number];
        (bucket.level, bucket.rate) = (level, rate);
    }

    /// When the next token comes, if there is none now.
    pub fn next_token_at(&self, number: u32) -> Option<Timestamp> {
        let bucket = &self.buckets[number];
        (!bucket.until_full).then(|| bucket.level.next_token_at(bucket.rate))
    }

    /// Waits for a bucket's next token if it has none, or else until it is full; says whether it is full by now.
    pub fn wait(&mut self, number: u32, now: Timestamp) -> bool {
        self.wheel.remove(&mut self.buckets, number);
        let bucket = &mut self.buckets[number];
        bucket.until_full = bucket.level.next_token_at(bucket.rate) <= now;
        let is_full = bucket.level.full_from() <= now;
        if !is_full {
            self.wheel.insert(&mut self.buckets, number);
        }
        is_full
    }

    /// The owners of the buckets for which a wait is over, with the moment at which it was, in no order that means
    /// anything.
    pub fn advance(&mut self, now: Timestamp) -> Vec<(Timestamp, Owner)> {
        let mut due = Vec::new();
        self.wheel.advance(&mut self.buckets, now, &mut due);
        let over = due.into_iter().map(|number| (self.buckets[number].due_at(), self.buckets[number].owner));
        over.collect()
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wheel.next_deadline()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(tokens: u32, per_ms: u32, burst: u32) -> Rate {
        Rate { tokens, per_ms, burst }
    }

    /// When a job goes that is always there, and how many go by then.
    fn taken_by(rate: Rate, until: u64) -> Vec<u64> {
        let (mut level, mut now, mut taken) = (Level::default(), 1, Vec::new());
        while now <= until {
            level = level.take(rate, Timestamp(now));
            taken.push(now);
            now = now.max(level.next_token_at(rate).0);
        }
        taken
    }

    #[test]
    fn a_burst_goes_at_once_and_then_one_by_one_exactly() {
        assert_eq!(taken_by(rate(1, 1000, 1), 3001), [1, 1001, 2001, 3001]);
        assert_eq!(taken_by(rate(1, 500, 3), 1001), [1, 1, 1, 501, 1001]);
        // A third of a second each: the fractions add up.
        assert_eq!(taken_by(rate(3, 1000, 1), 2001), [1, 334, 667, 1001, 1334, 1667, 2001]);
        assert_eq!(taken_by(rate(5000, 1000, 5), 3).len(), 5 + 3 * 5 - 1);
    }

    #[test]
    fn whole_tokens_are_counted() {
        let (rate, now) = (rate(2, 1000, 5), Timestamp(10_000));
        let level = (0..3).fold(Level::default(), |level, _| level.take(rate, now));
        let tokens = |ms| level.tokens(rate, now.plus(Millis(ms)));
        assert_eq!([0, 499, 500, 1499, 1500, 90_000].map(tokens), [2, 2, 3, 4, 5, 5]);
    }

    #[test]
    fn another_rate_keeps_the_share_of_tokens() {
        let (old, now) = (rate(1, 1000, 4), Timestamp(5000));
        let level = Level::default().take(old, now).take(old, now);
        let level = level.converted(old, rate(10, 1000, 4), now);
        assert_eq!(level.full_from(), now.plus(Millis(200)), "two tokens are missing still");
        let level = level.converted(rate(10, 1000, 4), rate(1, 1000, 1), now);
        assert_eq!(level.full_from(), now.plus(Millis(1000)), "never more than it holds");
    }

    proptest! {
        /// In any window at most the burst and what the rate gives, and no less while somebody always waits.
        #[test]
        fn any_window_has_what_it_may(tokens in 1u32..5000, per_ms in 1u32..100_000, burst in 1u32..50) {
            let rate = rate(tokens, per_ms, burst);
            let until = (u64::from(per_ms) * 300 / u64::from(tokens)).clamp(10, 100_000);
            let taken = taken_by(rate, until);
            let (tokens, per_ms, burst) = (u128::from(tokens), u128::from(per_ms), u128::from(burst));
            for (index, from) in taken.iter().enumerate().step_by(7) {
                for (further, to) in taken[index..].iter().enumerate().step_by(11) {
                    let window = u128::from(to - from + 1);
                    prop_assert!((further as u128 + 1) * per_ms <= burst * per_ms + tokens * window);
                }
            }
            prop_assert!(taken.len() as u128 >= tokens * u128::from(until) / per_ms);
        }
    }
}
