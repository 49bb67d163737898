//! How long after a failed attempt the next one is: doubled each time, half of it drawn at random, so that jobs
//! that failed together do not come back together ("equal jitter" in Marc Brooker, "Exponential Backoff And Jitter",
//! AWS Architecture Blog, 2015).

use crate::job::Backoff;
use crate::limits::{BACKOFF_MS_FIRST, BACKOFF_MS_MAX};
use crate::planted::{Bug, is_planted};
use crate::time::Millis;

/// A source of random numbers that a seed reproduces: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
/// Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `max`.
    pub fn up_to(&mut self, max: u64) -> u64 {
        let drawn = self.next();
        max.checked_add(1).map_or(drawn, |count| drawn % count)
    }
}

/// Where nothing else is said.
pub const USUAL: Backoff = Backoff { first_ms: BACKOFF_MS_FIRST as u32, most_ms: BACKOFF_MS_MAX as u32 };

/// The wait after this many attempts, the first being 1. Where it never grows nothing of it is drawn: it is as long as
/// was asked for.
pub fn backoff(backoff: Backoff, attempts: u16, random: &mut Random) -> Millis {
    let Backoff { first_ms, most_ms } = backoff;
    if first_ms >= most_ms && !is_planted(Bug::BackoffDrawn) {
        return Millis(u64::from(most_ms));
    }
    let doublings = u32::from(attempts.saturating_sub(1)).min(32);
    let whole = (u64::from(first_ms) << doublings).min(u64::from(most_ms));
    Millis(whole / 2 + random.up_to(whole / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_an_hour_and_half_of_it_is_random() {
        let mut random = Random(1);
        for (attempts, whole) in [(1, 1000), (2, 2000), (3, 4000), (12, 2_048_000), (13, 3_600_000), (1000, 3_600_000)]
        {
            let drawn: Vec<u64> = (0..200).map(|_| backoff(USUAL, attempts, &mut random).0).collect();
            let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
            assert!(*least >= whole / 2 && *most <= whole, "{attempts}: {least} to {most}");
            assert!(most - least > whole / 4, "{attempts}: hardly any jitter, {least} to {most}");
        }
    }

    #[test]
    fn one_that_does_not_grow_is_as_long_as_was_asked_for() {
        let fixed = Backoff { first_ms: 700, most_ms: 700 };
        assert!((1..50).all(|attempts| backoff(fixed, attempts, &mut Random(1)) == Millis(700)));
    }
}
