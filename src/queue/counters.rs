//! How many jobs stand where, per queue and in total.

use crate::codec::message;
use crate::job::Standing;

/// Jobs by where they stand, and those that came to something since the log began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub pending: u64,
    pub delayed: u64,
    /// Those of the delayed ones that were tried before.
    pub retrying: u64,
    /// Those that wait for other jobs to end.
    pub waiting: u64,
    pub in_flight: u64,
    pub dead: u64,
    /// Jobs that are completed, cancelled or expired, and still there.
    pub kept: u64,
    /// Bytes of the payloads of those that are to be handed out, now or later.
    pub waiting_bytes: u64,
    pub completed: u64,
    pub cancelled: u64,
    pub expired: u64,
    pub purged: u64,
    /// How often a job died.
    pub died: u64,
}

message! {
    /// What is counted once and never falls.
    Tally {
        completed: u64;
        cancelled: u64;
        expired: u64;
        purged: u64;
        died: u64;
    }
}

impl Counters {
    /// The count of jobs that stand there.
    pub fn of(&mut self, standing: Standing) -> &mut u64 {
        match standing {
            Standing::Pending => &mut self.pending,
            Standing::Delayed => &mut self.delayed,
            Standing::Waiting => &mut self.waiting,
            Standing::InFlight => &mut self.in_flight,
            Standing::Dead => &mut self.dead,
            Standing::Completed | Standing::Cancelled | Standing::Expired => &mut self.kept,
        }
    }

    /// Jobs that are there.
    pub fn jobs(&self) -> u64 {
        self.queued() + self.in_flight + self.dead + self.kept
    }

    /// Jobs that are to be handed out, now or later.
    pub fn queued(&self) -> u64 {
        self.pending + self.delayed + self.waiting
    }

    pub fn tally(&self) -> Tally {
        let Counters { completed, cancelled, expired, purged, died, .. } = *self;
        Tally { completed, cancelled, expired, purged, died }
    }

    #[must_use]
    pub fn with_tally(self, tally: Tally) -> Counters {
        let Tally { completed, cancelled, expired, purged, died } = tally;
        Counters { completed, cancelled, expired, purged, died, ..self }
    }

    /// Adds the jobs of another queue.
    pub fn add(&mut self, other: &Counters) {
        self.pending += other.pending;
        self.delayed += other.delayed;
        self.retrying += other.retrying;
        self.waiting += other.waiting;
        self.in_flight += other.in_flight;
        self.dead += other.dead;
        self.kept += other.kept;
        self.waiting_bytes += other.waiting_bytes;
        self.completed += other.completed;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.purged += other.purged;
        self.died += other.died;
    }

    /// Each count with its name.
    pub fn figures(&self) -> [(&'static str, u64); 13] {
        [
            ("pending", self.pending),
            ("delayed", self.delayed),
            ("in_flight", self.in_flight),
            ("completed", self.completed),
            ("dead", self.dead),
            ("cancelled", self.cancelled),
            ("retrying", self.retrying),
            ("waiting", self.waiting),
            ("kept", self.kept),
            ("waiting_bytes", self.waiting_bytes),
            ("expired", self.expired),
            ("purged", self.purged),
            ("died", self.died),
        ]
    }
}
