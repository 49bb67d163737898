//! Turns: in which order a poll names its queues where they have weights.
//!
//! Promises: over many polls each queue gets its share of the jobs, by its weight, while it has some; one that had none
//! saves nothing up. Stride scheduling (Waldspurger and Weihl 1995, section 2).
//! It does not: know the master, which serves a poll in the order in which it names its queues.

use std::str::FromStr;

use crate::ids::parse_queue_name;

/// The greatest weight.
pub const WEIGHT_MAX: u32 = 1000;

/// How far a queue of weight 1 goes on by one job.
const STRIDE: u64 = 1 << 20;

/// A queue to take jobs from, as it is named on a command line: `mail`, or `mail=3` with a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueShare {
    /// Its name.
    pub queue: String,
    /// Its weight, 1 to 1,000.
    pub weight: Option<u32>,
}

impl FromStr for QueueShare {
    type Err = String;

    fn from_str(text: &str) -> Result<QueueShare, String> {
        let (name, weight) = text.split_once('=').map_or((text, None), |(name, weight)| (name, Some(weight)));
        let queue = parse_queue_name(name).map_err(|error| error.to_string())?;
        let within = |weight: &str| weight.parse().ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight));
        let bad = || format!("the weight of queue {queue:?} is 1 to {WEIGHT_MAX}, as in {queue}=3");
        let weight = weight.map(|weight| within(weight).ok_or_else(bad)).transpose()?;
        Ok(QueueShare { queue, weight })
    }
}

/// Where each queue is.
#[derive(Debug, Default)]
pub struct Turns(Vec<Turn>);

#[derive(Debug)]
struct Turn {
    stride: u64,
    /// Goes on with each job; the queue that is least far is first.
    pass: u64,
}

impl Turns {
    /// Queues of these weights.
    pub fn new(weights: &[u32]) -> Turns {
        let turn = |weight: &u32| Turn { stride: STRIDE / u64::from(*weight), pass: 0 };
        Turns(weights.iter().map(turn).collect())
    }

    /// The numbers of these many queues in the order in which a poll is to name them: as they are without weights.
    pub fn order(&self, queues: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..queues).collect();
        order.sort_by_key(|queue| self.0.get(*queue).map(|turn| turn.pass));
        order
    }

    /// A poll in this order got so many jobs of each queue.
    pub fn got(&mut self, order: &[usize], jobs: impl Fn(usize) -> usize) {
        if self.0.is_empty() {
            return;
        }
        let Some(last) = order.iter().rposition(|queue| jobs(*queue) > 0) else { return };
        let reached = self.0[order[last]].pass;
        for queue in order.iter().take(last + 1) {
            let turn = &mut self.0[*queue];
            turn.pass += turn.stride * jobs(*queue) as u64;
            // Those before the last had no more.
            turn.pass = turn.pass.max(reached);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many jobs, each by a poll of its own, of queues that have so many left; tells how many of each came.
    fn take(turns: &mut Turns, left: &mut [usize], polls: usize) -> Vec<usize> {
        let mut came = vec![0; left.len()];
        for _ in 0..polls {
            let order = turns.order(left.len());
            let Some(queue) = order.iter().copied().find(|queue| left[*queue] > 0) else { break };
            left[queue] -= 1;
            came[queue] += 1;
            turns.got(&order, |of| usize::from(of == queue));
        }
        came
    }

    #[test]
    fn each_queue_gets_its_share() {
        let mut turns = Turns::new(&[3, 1, 6]);
        assert_eq!(take(&mut turns, &mut [20_000; 3], 10_000), [3000, 1000, 6000]);
        assert_eq!(take(&mut turns, &mut [20_000; 3], 10), [3, 1, 6], "also over a few");
    }

    #[test]
    fn a_queue_that_had_no_jobs_saves_nothing_up() {
        let mut turns = Turns::new(&[1, 1]);
        assert_eq!(take(&mut turns, &mut [1000, 0], 1000), [1000, 0], "the share of an empty one is the others'");
        assert_eq!(take(&mut turns, &mut [1000, 1000], 100), [50, 50]);
    }

    #[test]
    fn a_poll_that_gets_many_jobs_is_followed_by_as_many_turns_of_the_others() {
        let mut turns = Turns::new(&[1, 1]);
        turns.got(&turns.order(2), |queue| if queue == 0 { 10 } else { 0 });
        assert_eq!(take(&mut turns, &mut [100, 100], 10), [0, 10]);
        turns.got(&[0, 1], |_| 0);
        assert_eq!(take(&mut turns, &mut [100, 100], 2), [1, 1], "one that gets none changes nothing");
    }

    #[test]
    fn without_weights_the_order_is_strict() {
        let mut turns = Turns::new(&[]);
        assert_eq!(take(&mut turns, &mut [7, 7], 10), [7, 3]);
    }

    #[test]
    fn a_queue_is_named_with_its_weight_or_without() {
        let named = |text: &str| text.parse::<QueueShare>();
        assert_eq!(named("mail"), Ok(QueueShare { queue: "mail".to_owned(), weight: None }));
        assert_eq!(named("mail=3").map(|share| share.weight), Ok(Some(3)));
        for bad in ["mail=0", "mail=1001", "mail=x", "mail=", "=3", "a b"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
