//! The policy of what goes where: which waiting poll is served next, and which job it gets.
//!
//! Promises: polls of one queue are served in the order in which they came; a poll gets jobs of the first of its queues
//! that has any, then of the next; no poll is served for which there is no job.
//! It does not: hand anything out. The one door is [`super::door`].

use super::parked::Parked;
use crate::ids::QueueId;
use crate::queue::{JobView, Queues};

/// Queues that may have both a job and a waiting poll.
#[derive(Debug, Default)]
pub struct Dispatch {
    to_serve: Vec<QueueId>,
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
            let poll = parked.first(queue).filter(|_| queues.has_pending(queue));
            if poll.is_some() {
                return poll;
            }
            self.to_serve.pop();
        }
    }

    /// The next job for a poll that named these queues, the preferred one first.
    pub fn pick<'q>(queues: &'q Queues, named: &[QueueId]) -> Option<JobView<'q>> {
        named.iter().find_map(|queue| queues.front(*queue))
    }
}
