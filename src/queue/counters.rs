//! How many jobs stand where, per queue and in total.

use crate::job::Standing;

/// Jobs by where they stand, and those that are gone since the log began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub pending: u64,
    pub delayed: u64,
    pub in_flight: u64,
    pub dead: u64,
    pub completed: u64,
    pub cancelled: u64,
}

impl Counters {
    /// The count of jobs that stand there.
    pub fn of(&mut self, standing: Standing) -> &mut u64 {
        match standing {
            Standing::Pending => &mut self.pending,
            Standing::Delayed => &mut self.delayed,
            Standing::InFlight => &mut self.in_flight,
            Standing::Dead => &mut self.dead,
        }
    }

    /// Jobs that are there.
    pub fn jobs(&self) -> u64 {
        self.pending + self.delayed + self.in_flight + self.dead
    }

    /// Adds the jobs of another queue.
    pub fn add(&mut self, other: &Counters) {
        self.pending += other.pending;
        self.delayed += other.delayed;
        self.in_flight += other.in_flight;
        self.dead += other.dead;
        self.completed += other.completed;
        self.cancelled += other.cancelled;
    }

    /// Each count with its name.
    pub fn figures(&self) -> [(&'static str, u64); 6] {
        [
            ("pending", self.pending),
            ("delayed", self.delayed),
            ("in_flight", self.in_flight),
            ("completed", self.completed),
            ("dead", self.dead),
            ("cancelled", self.cancelled),
        ]
    }
}
