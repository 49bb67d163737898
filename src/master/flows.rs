//! Flows: how many jobs came into each queue, and left it, in the last minute. For people who look; nothing is decided
//! by it.
//!
//! A job comes when it is submitted and leaves when it is completed, dead, cancelled, expired or purged. A ring of
//! spans of 10 s is counted for each queue; the span that is a minute back counts by as much of it as is within the
//! minute. To note a job takes about 5 ns, and no memory but 64 bytes a queue. All of it is gone with the process.

use crate::ids::QueueId;
use crate::time::Timestamp;

/// What is counted together.
const SPAN_MS: u64 = 10_000;

/// Those of a minute, and the one that is under way.
const SPANS: usize = 7;

/// The counts of one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// The number of the newest span that was counted in, from 1970 on.
    newest: u64,
    came: [u32; SPANS],
    left: [u32; SPANS],
}

const _: () = assert!(size_of::<Flow>() <= 64, "a queue's flow is one cache line");

#[derive(Debug, Default)]
pub struct Flows {
    /// By the number of the queue.
    of: Vec<Flow>,
}

impl Flow {
    /// The place of the span that this moment is in; what stood there before is over.
    #[inline]
    fn turn_to(&mut self, at: Timestamp) -> usize {
        let number = at.0 / SPAN_MS;
        if number != self.newest {
            let passed = number.saturating_sub(self.newest).min(SPANS as u64);
            for back in 0..passed {
                let place = ((number - back) % SPANS as u64) as usize;
                (self.came[place], self.left[place]) = (0, 0);
            }
            self.newest = self.newest.max(number);
        }
        (self.newest % SPANS as u64) as usize
    }
}

impl Flows {
    /// A job came into this queue.
    #[inline]
    pub fn came(&mut self, queue: QueueId, now: Timestamp) {
        let flow = self.flow(queue);
        let place = flow.turn_to(now);
        flow.came[place] = flow.came[place].saturating_add(1);
    }

    /// A job left this queue.
    #[inline]
    pub fn left(&mut self, queue: QueueId, now: Timestamp) {
        let flow = self.flow(queue);
        let place = flow.turn_to(now);
        flow.left[place] = flow.left[place].saturating_add(1);
    }

    fn flow(&mut self, queue: QueueId) -> &mut Flow {
        let place = queue.0 as usize;
        if place >= self.of.len() {
            self.of.resize(place + 1, Flow::default());
        }
        &mut self.of[place]
    }

    /// A queue is known no more: its number may be given to another one.
    pub fn forget(&mut self, queue: QueueId) {
        if let Some(flow) = self.of.get_mut(queue.0 as usize) {
            *flow = Flow::default();
        }
    }

    /// How many came and left in the minute before this moment.
    pub fn last_minute(&self, queue: QueueId, now: Timestamp) -> (u64, u64) {
        let Some(mut flow) = self.of.get(queue.0 as usize).copied() else { return (0, 0) };
        let newest = flow.turn_to(now);
        let oldest = (newest + 1) % SPANS;
        let over = now.0 % SPAN_MS;
        let sum = |counts: [u32; SPANS]| {
            let all: u64 = counts.iter().copied().map(u64::from).sum();
            all - u64::from(counts[oldest]) * over / SPAN_MS
        };
        (sum(flow.came), sum(flow.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: QueueId = QueueId(2);

    #[test]
    fn the_last_minute_is_counted_and_no_more() {
        let mut flows = Flows::default();
        for second in 0..600 {
            flows.came(Q, Timestamp(1_000_000 + second * 1000));
            flows.left(Q, Timestamp(1_000_000 + second * 1000));
            flows.left(Q, Timestamp(1_000_000 + second * 1000));
        }
        let at = |ms: u64| flows.last_minute(Q, Timestamp(1_599_000 + ms));
        assert_eq!(at(0), (61, 122));
        assert_eq!(at(30_000), (31, 62));
        assert_eq!(at(70_000), (0, 0));
        assert_eq!(at(10_000_000), (0, 0));
        assert_eq!(flows.last_minute(QueueId(0), Timestamp(1_599_000)), (0, 0));
        assert_eq!(flows.last_minute(QueueId(9), Timestamp(1_599_000)), (0, 0));
    }

    #[test]
    fn the_oldest_span_fades_out() {
        let mut flows = Flows::default();
        (0..100).for_each(|_| flows.came(Q, Timestamp(5000)));
        let came = |ms| flows.last_minute(Q, Timestamp(ms)).0;
        assert_eq!([came(5000), came(59_999), came(62_500), came(65_000), came(70_000)], [100, 100, 75, 50, 0]);
    }

    #[test]
    fn a_queue_that_takes_the_number_of_a_forgotten_one_begins_anew() {
        let mut flows = Flows::default();
        flows.came(Q, Timestamp(5000));
        flows.forget(Q);
        assert_eq!(flows.last_minute(Q, Timestamp(5000)), (0, 0));
        flows.forget(QueueId(100));
    }
}
