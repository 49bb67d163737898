//! What happened lately.

use crate::client::{Client, ClientError};
use crate::ids::{JobId, Lsn};
use crate::limits::RECENT_TOLD_MAX;
use crate::protocol::{FROM_NOW_ON, Recent, RecentEvent, RecentOk};
use crate::time::Timestamp;

/// Something that happened; what it said is in the log of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Its record.
    pub lsn: Lsn,
    /// When, by the clock of the log.
    pub at: Timestamp,
    /// The number of its event.
    pub kind: u8,
    /// The job that it was about, if it was about one.
    pub job: Option<JobId>,
    /// The queue of that, or the one that it was about; empty for none.
    pub queue: String,
    /// The schedule or the batch that it was about.
    pub name: Option<String>,
}

/// What happened behind an LSN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentPage {
    /// In the order of the log.
    pub events: Vec<Happened>,
    /// Records in between of which nothing can be told: they were too many, or nobody asked for 30 s. Whoever shows
    /// something looks at all of it anew.
    pub missed: u64,
    /// What to ask with next.
    pub next: Lsn,
}

impl Client {
    /// What happened behind `after`, up to 1,000 events; without it nothing, but from where on to ask. The master keeps
    /// the last 8,192 events while somebody asks at least every 30 s.
    ///
    /// # Errors
    /// As for every request.
    pub fn recent(&self, after: Option<Lsn>) -> Result<RecentPage, ClientError> {
        let after = after.unwrap_or(FROM_NOW_ON);
        let answer = self.ask(Recent { after, most: RECENT_TOLD_MAX as u16 })?;
        let RecentOk { next, missed, events } = answer.read::<Recent>()?;
        Ok(RecentPage { events: events.iter().map(Happened::from).collect(), missed, next })
    }
}

impl From<RecentEvent<'_>> for Happened {
    fn from(event: RecentEvent<'_>) -> Self {
        let RecentEvent { lsn, at, kind, job, queue, name } = event;
        let job = (job.0 != 0).then_some(job);
        Happened { lsn, at, kind, job, queue: queue.to_owned(), name: name.map(str::to_owned) }
    }
}
