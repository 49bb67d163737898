//! The log of a master, followed from life to life, and what clients were told held against it.

use std::path::Path;

use crate::history::{Change, Ending, History, Outcome, What};
use crate::truth::{CANCELLED, COMPLETED, Fate, Truth};
use falconqueue::ids::Lsn;
use falconqueue::queue::Event;
use falconqueue::time::Timestamp;
use falconqueue::wal::{DirDevice, SegmentIo, WalError, visit_all};

#[derive(Default)]
pub struct Followed {
    truth: Truth,
    /// The newest record that was taken in.
    last: u64,
}

impl Followed {
    /// Takes in what a master has left that is not running any more: each record has to fit all before it.
    pub fn follow(&mut self, data: &Path) {
        // A master that was killed early has not made it yet.
        let Ok(device) = DirDevice::open(data, SegmentIo::Auto) else { return };
        let mut group: Vec<(u64, Timestamp, u8, Vec<u8>)> = Vec::new();
        visit_all(&device, Lsn(self.last + 1), |record| {
            let head = record.head;
            group.push((head.lsn.0, head.at, head.kind, record.body.to_vec()));
            // A group that is not whole is cut at the next start.
            if !head.more {
                for (lsn, at, kind, body) in group.drain(..) {
                    self.take(lsn, at, &Event::decode(kind, &body).expect("an event"));
                }
            }
            Ok::<(), WalError>(())
        })
        .expect("the log of a master that was killed");
    }

    fn take(&mut self, lsn: u64, at: Timestamp, event: &Event<'_>) {
        assert_eq!(lsn, self.last + 1, "nothing of one life is given up in it");
        self.truth.take(event, at);
        self.last = lsn;
    }

    fn fate(&self, job: u64) -> &Fate {
        self.truth.of(job).unwrap_or_else(|| panic!("job {job} is not in the log"))
    }

    /// What was answered is in the log, and each end that was told is one that the job had.
    pub fn holds(&self, history: &History) {
        for op in &history.ops {
            match &op.what {
                What::Submit(_, Outcome::Ok(answer)) => drop(self.fate(answer.job)),
                What::End(Ending::Ack, lease, Outcome::Ok(())) => {
                    assert!(self.fate(lease.job).ends.contains(&COMPLETED), "{lease:?} was acked");
                }
                What::Mend(Change::Cancel | Change::CancelNow, job, Outcome::Ok(())) => {
                    assert!(self.fate(*job).ends.contains(&CANCELLED), "job {job} was cancelled");
                }
                What::Mend(Change::Purge, job, Outcome::Ok(())) => {
                    assert!(!self.fate(*job).ends.is_empty(), "job {job} was purged");
                }
                What::Wait(wait, Outcome::Ok(ends)) => {
                    for (job, standing) in ends {
                        let fate = self.fate(*job);
                        let is_true = fate.may_be_told(*standing, !fate.ends.is_empty());
                        assert!(is_true, "{wait:?} was told that {job} stands at {standing}, and {fate:?}");
                    }
                }
                _ => {}
            }
        }
    }
}
