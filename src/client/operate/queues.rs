//! What holds in a queue beside its jobs: pauses, settings, its end. And the drain of all.

use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::protocol::{DeleteQueue, Drain, Pause, QueuePause, Resume, SetQueue, ShowQueue};
use crate::rules::{QueueSettings, Way};

/// Everything that is known of a queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueState {
    /// Its counts by name, as in the figures of [`Stats`](crate::protocol::Stats).
    pub figures: Vec<(String, u64)>,
    /// What is settled in it; what is not set is as everywhere.
    pub settings: QueueSettings,
    /// Whether a poll waits for its jobs.
    pub polled: bool,
    /// Whether, and why, it takes no jobs.
    pub pause_in: Option<QueueStop>,
    /// Whether, and why, it hands none out.
    pub pause_out: Option<QueueStop>,
}

/// A pause of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStop {
    /// How long it lasts still; nothing for until it is ended.
    pub left: Option<Duration>,
    /// Why; may be empty.
    pub reason: String,
}

impl From<QueuePause<'_>> for QueueStop {
    fn from(told: QueuePause<'_>) -> Self {
        let left = (told.left_ms > 0).then(|| Duration::from_millis(told.left_ms));
        QueueStop { left, reason: told.reason.to_owned() }
    }
}

impl QueueState {
    /// The count of this name; 0 if the master does not tell it.
    pub fn figure(&self, name: &str) -> u64 {
        self.figures.iter().find(|(named, _)| named == name).map_or(0, |(_, count)| *count)
    }
}

impl Client {
    /// Closes a queue, for so long or until it is opened; the reason, up to 200 bytes, is shown to whoever asks.
    pub fn pause(&self, queue: &str, way: Way, lasts: Option<Duration>, reason: &str) -> Result<(), ClientError> {
        let for_ms = lasts.map_or(0, |lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).max(1));
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        self.ask(Pause { queue, way, for_ms, reason })?.read::<Pause<'_>>().map(drop)
    }

    /// Opens a queue again. `Refused` by `NotFound` where there is none of this name.
    pub fn resume(&self, queue: &str, way: Way) -> Result<(), ClientError> {
        self.ask(Resume { queue, way })?.read::<Resume<'_>>().map(drop)
    }

    /// Settles what holds in a queue, all of it: what is not set is as everywhere.
    pub fn set_queue(&self, queue: &str, settings: QueueSettings) -> Result<(), ClientError> {
        self.ask(SetQueue { queue, settings })?.read::<SetQueue<'_>>().map(drop)
    }

    /// Forgets a queue. `Refused` by `WrongState` while it has jobs.
    pub fn delete_queue(&self, queue: &str) -> Result<(), ClientError> {
        self.ask(DeleteQueue { queue })?.read::<DeleteQueue<'_>>().map(drop)
    }

    /// What is known of a queue. `Refused` by `NotFound` where there is none of this name.
    pub fn show_queue(&self, queue: &str) -> Result<QueueState, ClientError> {
        let answer = self.ask(ShowQueue { queue })?;
        let told = answer.read::<ShowQueue<'_>>()?;
        Ok(QueueState {
            figures: told.figures.iter().map(|figure| (figure.name.to_owned(), figure.value)).collect(),
            settings: told.settings,
            polled: told.polled,
            pause_in: told.pause_in.map(QueueStop::from),
            pause_out: told.pause_out.map(QueueStop::from),
        })
    }

    /// Lets the master take no more jobs, in no queue, until it is told otherwise or started again.
    pub fn drain(&self, on: bool) -> Result<(), ClientError> {
        self.ask(Drain { on })?.read::<Drain>().map(drop)
    }
}
