//! Which segment is cleaned next, if any has to be.
//!
//! Moving is the last resort: it costs the disk and the core that clients wait for, and most segments empty by
//! themselves, those of a queue one after the other. So nothing is moved while the log is three segments below its
//! bound, nor while the segments that could be cleaned take less than twice what lives in them and half a segment more
//! (or half of what is left to the bound, if that is less). What is on its way to be empty soon is left alone, until
//! the log is at its bound, or so near that all together take a whole segment too much.
//!
//! Of the others the one is cleaned that gains most for what is moved: the bytes that become free, for as long as
//! they would not have become free by themselves, over the bytes that are read and written. That is "cost and benefit"
//! of log-structured stores (Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File
//! System", 1992, section 3.6), whose age of a segment stands for how long it will go on as it is; here that is
//! measured. A segment of which half or more lives is cleaned only where the next one would pass the bound, one of
//! which three quarters live never.
//!
//! It does not: look at the log or the queues. Time is counted in bytes that clients have appended.

use std::collections::BTreeMap;

/// How often it is looked how fast segments empty: after so many parts of a segment were appended.
const LOOKS_A_SEGMENT: u64 = 4;

/// Of a segment of which no more lives than one such part, moving it costs next to nothing: nobody waits to see how
/// fast it empties.
const CHEAP_PART: u64 = 128;

/// A segment that would be empty only after so many segments more counts as one that stays as it is.
const FORESEEN_SEGMENTS: u64 = 64;

/// A full segment that no replay needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    pub epoch: u32,
    pub bytes: u64,
    /// What it would take to move all that lives in it.
    pub live: u64,
}

/// What to clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim {
    pub epoch: u32,
    /// Whether the log is at its bound: then it is cleaned as fast as that goes.
    pub is_pressed: bool,
}

/// How fast each segment empties.
#[derive(Debug, Default)]
pub struct Victims {
    seen: BTreeMap<u32, Seen>,
    looked_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    live: u64,
    /// Bytes that will be appended until it is empty, if it goes on as it did. Nothing before the second look.
    empty_in: Option<u64>,
}

impl Victims {
    /// Chooses one of these segments; `appended` is the bytes that clients have appended so far, `left` those that the
    /// log may still grow by before it is at its bound.
    pub fn choose(&mut self, segments: &[Full], appended: u64, left: u64, segment_bytes: u64) -> Option<Victim> {
        self.look(segments, appended, segment_bytes);
        let settled = |full: &&Full| {
            let is_cheap = full.live * CHEAP_PART <= full.bytes;
            is_cheap || self.empty_in(full.epoch).is_some_and(|bytes| bytes >= segment_bytes)
        };
        let (all, some) = (waste(segments.iter()), waste(segments.iter().filter(settled)));
        let is_near = left < segment_bytes;
        let is_full = left == 0 || (is_near && all > segment_bytes);
        let is_due = is_near || (left < 3 * segment_bytes && some > (segment_bytes / 2).min(left / 2));
        if !is_full && !is_due {
            return None;
        }
        // Where the next segment would pass the bound, whatever gains something has to do.
        let quarters = if is_near { 3 } else { 2 };
        let gains = segments.iter().filter(|full| full.live > 0 && full.live * 4 < full.bytes * quarters);
        let best = gains.filter(|full| is_full || settled(full)).max_by_key(|full| (self.gain(full), full.live));
        best.map(|full| Victim { epoch: full.epoch, is_pressed: is_near })
    }

    /// Looks again how much lives in each, if enough was appended since.
    fn look(&mut self, segments: &[Full], appended: u64, segment_bytes: u64) {
        let span = appended - self.looked_at;
        if span < segment_bytes / LOOKS_A_SEGMENT {
            return;
        }
        self.looked_at = appended;
        let longest = FORESEEN_SEGMENTS * segment_bytes;
        let empty_in = |live: u64, died: u64| (live * span).checked_div(died).unwrap_or(longest).min(longest);
        let before = std::mem::take(&mut self.seen);
        let live_now: BTreeMap<u32, u64> = segments.iter().map(|full| (full.epoch, full.live)).collect();
        let died_in =
            |(epoch, seen): (&u32, &Seen)| seen.live.saturating_sub(live_now.get(epoch).copied().unwrap_or(0));
        // One that nothing leaves stands in line behind others, as long as those empty.
        let all_empty_in = empty_in(live_now.values().sum(), before.iter().map(died_in).sum());
        self.seen.extend(segments.iter().map(|full| {
            let seen = before.get_key_value(&full.epoch);
            let empty_in = seen.map(|seen| empty_in(full.live, died_in(seen)).min(all_empty_in));
            (full.epoch, Seen { live: full.live, empty_in })
        }));
    }

    fn empty_in(&self, epoch: u32) -> Option<u64> {
        self.seen.get(&epoch)?.empty_in
    }

    /// Bytes that become free, for as long as that is a gain, over the bytes that it takes, in thousandths.
    fn gain(&self, full: &Full) -> u128 {
        let free = u128::from(full.bytes - full.live);
        let span = u128::from(self.empty_in(full.epoch).unwrap_or(0).max(1));
        free * span * 1000 / u128::from(full.bytes + full.live)
    }
}

/// Bytes that these take beyond twice what lives in them.
fn waste<'f>(segments: impl Iterator<Item = &'f Full> + Clone) -> u64 {
    let bytes: u64 = segments.clone().map(|full| full.bytes).sum();
    let live: u64 = segments.map(|full| full.live).sum();
    bytes.saturating_sub(2 * live)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 1600;

    /// Segments with so many bytes that live.
    fn full(live: &[u64]) -> Vec<Full> {
        (1..).zip(live).map(|(epoch, live)| Full { epoch, bytes: SEGMENT, live: *live }).collect()
    }

    /// What is chosen where this lived at first and that lives now, 400 bytes later.
    fn chosen_with(left: u64, before: &[u64], now: &[u64]) -> Option<(u32, bool)> {
        let mut victims = Victims::default();
        victims.choose(&full(before), SEGMENT, left, SEGMENT);
        let victim = victims.choose(&full(now), SEGMENT + 400, left, SEGMENT);
        victim.map(|Victim { epoch, is_pressed }| (epoch, is_pressed))
    }

    /// The same in a log that is at its bound.
    fn chosen(before: &[u64], now: &[u64]) -> Option<(u32, bool)> {
        chosen_with(0, before, now)
    }

    #[test]
    fn nothing_is_moved_while_the_log_is_below_its_bound() {
        assert_eq!(chosen_with(3 * SEGMENT, &[500, 500, 500], &[500, 500, 500]), None);
        assert_eq!(chosen_with(3 * SEGMENT - 1, &[500, 500], &[500, 500]), Some((2, false)), "there is time");
    }

    #[test]
    fn nothing_is_moved_while_half_of_all_lives() {
        assert_eq!(chosen_with(SEGMENT, &[800, 800, 800], &[800, 800, 800]), None);
        assert_eq!(chosen_with(2 * SEGMENT, &[400], &[400]), None, "half a segment is nothing");
        assert_eq!(chosen_with(SEGMENT - 1, &[400], &[400]), Some((1, true)), "but near the bound");
    }

    #[test]
    fn a_segment_that_will_soon_be_empty_is_left_alone() {
        assert_eq!(chosen_with(SEGMENT, &[300, 1500], &[100, 1500]), None);
        assert_eq!(chosen_with(SEGMENT, &[104, 800], &[100, 800]), Some((1, false)), "that takes six segments more");
    }

    #[test]
    fn at_the_bound_nothing_is_spared() {
        assert_eq!(chosen(&[300, 300], &[200, 150]), Some((1, true)));
        assert_eq!(chosen_with(1, &[300, 300], &[200, 150]), Some((1, true)), "2,500 bytes are wasted");
        assert_eq!(chosen_with(1, &[900, 800], &[300, 800]), None, "1,000");
    }

    #[test]
    fn nothing_is_known_of_a_segment_that_was_seen_once_but_what_it_costs() {
        let mut victims = Victims::default();
        assert_eq!(victims.choose(&full(&[100]), SEGMENT, 1, SEGMENT), None);
        assert_eq!(victims.choose(&full(&[100]), SEGMENT + 399, 1, SEGMENT), None, "too soon to look again");
        assert!(victims.choose(&full(&[100]), SEGMENT + 400, 1, SEGMENT).is_some());
        assert!(Victims::default().choose(&full(&[12]), SEGMENT, 1, SEGMENT).is_some(), "next to nothing");
    }

    #[test]
    fn the_one_that_gains_most_is_chosen() {
        assert_eq!(chosen(&[500, 20, 500], &[500, 20, 500]), Some((2, true)), "least is moved");
        // The second would be empty after 1,600 bytes, the first after 39,600.
        assert_eq!(chosen(&[100, 100, 800], &[99, 80, 800]), Some((1, true)), "longest gained");
    }

    #[test]
    fn a_segment_of_which_much_lives_is_chosen_late_or_never() {
        assert_eq!(chosen_with(SEGMENT, &[1190, 800, 0], &[1190, 800, 0]), None);
        assert_eq!(chosen_with(1, &[1190, 1200], &[1190, 1200]), Some((1, true)), "nothing else helps");
        assert_eq!(chosen(&[1200, 1200], &[1200, 1200]), None, "three quarters live");
        assert_eq!(chosen(&[0, 0], &[0, 0]), None, "an empty one is given up and not moved");
    }
}
