//! The policy of what goes where: which waiting poll is served next, and which job it gets.
//!
//! Promises: polls of one queue are served in the order in which they came; a poll gets jobs of the first of its queues
//! that has any, then of the next; no poll is served for which there is no job; what a poll would only hold it gets
//! while no other poll waits that can begin it, and never of a queue that bounds how many are in flight.
//! It does not: hand anything out. The one door is [`super::door`].

use super::parked::Parked;
use crate::ids::{QueueId, SessionId};
use crate::planted::{Bug, is_planted};
use crate::queue::{JobView, Queues};

/// Queues that may have both a job and a waiting poll.
#[derive(Debug, Default)]
pub struct Dispatch {
    to_serve: Vec<QueueId>,
    /// Sessions of which polls were set aside, since they leave unread what they were handed before.
    pub aside: Vec<SessionId>,
}

impl Dispatch {
    /// Notes that a poll waits for jobs of these queues from now on.
    pub fn parked(&mut self, queues: &[QueueId]) {
        self.to_serve.extend_from_slice(queues);
    }

    /// The next poll that there is a job for. The caller takes it out of its lines.
    pub fn next(&mut self, queues: &mut Queues, parked: &Parked) -> Option<u32> {
        loop {
            let Some(queue) = self.to_serve.last().copied() else {
                self.to_serve.push(queues.take_woken()?);
                continue;
            };
            let first = if queues.is_bounded(queue) { parked.first_free(queue) } else { parked.first(queue) };
            let poll = first.filter(|_| queues.has_pending(queue));
            if poll.is_some() {
                return poll;
            }
            self.to_serve.pop();
        }
    }

    /// The next job for a poll that named these queues, the preferred one first, and that can begin it or would only
    /// hold it.
    pub fn pick<'q>(queues: &'q Queues, parked: &Parked, named: &[QueueId], begins: bool) -> Option<JobView<'q>> {
        let may_hold = |queue| !parked.has_free(queue) && !queues.is_bounded(queue);
        let may_have = |queue: &&QueueId| begins || may_hold(**queue) || is_planted(Bug::Hoarded);
        named.iter().filter(may_have).find_map(|queue| queues.front(*queue))
    }
}
