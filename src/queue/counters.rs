//! How many jobs stand where, per queue and in total.

use super::job::State;

/// Jobs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Waiting for a poll.
    pub pending: u64,
    /// Waiting for their time.
    pub delayed: u64,
    /// With a worker.
    pub in_flight: u64,
    /// Acked since the log began.
    pub completed: u64,
    /// Out of attempts, or failed for good.
    pub dead: u64,
    /// Cancelled since the log began.
    pub cancelled: u64,
}

impl Counters {
    /// The count of jobs in this state.
    pub fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Pending => &mut self.pending,
            State::Delayed => &mut self.delayed,
            State::InFlight => &mut self.in_flight,
            State::Dead => &mut self.dead,
        }
    }

    /// Adds the jobs of another queue.
    pub fn add(&mut self, other: &Counters) {
        self.pending += other.pending;
        self.delayed += other.delayed;
        self.in_flight += other.in_flight;
        self.completed += other.completed;
        self.dead += other.dead;
        self.cancelled += other.cancelled;
    }
}
