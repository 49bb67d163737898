//! The log of a master, followed from life to life, and what clients were told held against it.

use std::path::Path;

use crate::history::{Change, Ending, History, Outcome, What};
use crate::truth::{CANCELLED, COMPLETED, Fate, Truth};
use falconqueue::ids::Lsn;
use falconqueue::limits::KEY_WINDOW_MS_DEFAULT;
use falconqueue::queue::Event;
use falconqueue::time::Millis;
use falconqueue::wal::{DirDevice, RecordHead, SegmentIo, WalError, visit_all};

pub struct Followed {
    truth: Truth,
    /// The newest record that was taken in.
    last: u64,
}

impl Default for Followed {
    fn default() -> Followed {
        Followed { truth: Truth::new(Millis(KEY_WINDOW_MS_DEFAULT)), last: 0 }
    }
}

impl Followed {
    /// Takes in what a master has left that is not running any more: each record has to fit all before it.
    pub fn follow(&mut self, data: &Path) {
        // A master that was killed early has not made it yet.
        let Ok(device) = DirDevice::open(data, SegmentIo::Auto) else { return };
        let mut group: Vec<(RecordHead, Vec<u8>)> = Vec::new();
        visit_all(&device, Lsn(self.last + 1), |record| {
            let head = record.head;
            group.push((head, record.body.to_vec()));
            // A group that is not whole is cut at the next start.
            if !head.more {
                for (head, body) in group.drain(..) {
                    self.take(&head, &Event::decode(head.kind, &body).expect("an event"));
                }
            }
            Ok::<(), WalError>(())
        })
        .expect("the log of a master that was killed");
    }

    fn take(&mut self, head: &RecordHead, event: &Event<'_>) {
        assert_eq!(head.lsn.0, self.last + 1, "nothing of one life is given up in it");
        self.truth.take(event, head);
        self.last = head.lsn.0;
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
