//! What holds in a queue beside its jobs: pauses, settings, its end. And the drain of all.

use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::protocol::{DeleteQueue, Drain, GroupRow, Groups, Pause, QueuePause, Resume, SetGroup, SetQueue, ShowQueue};
use crate::rules::{GroupSettings, QueueSettings, Way};

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

/// What is known of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupState {
    /// Empty for the jobs that are in none.
    pub name: String,
    /// Its own settings; what is not set is as for each group of its queue.
    pub settings: GroupSettings,
    /// Its jobs that are there; of the one without a name those that wait or are in flight.
    pub jobs: u64,
    /// Those in flight.
    pub in_flight: u64,
    /// How many groups have their turn before it, if it may hand out a job now; counted up to 10,000.
    pub before: Option<u64>,
    /// In how long its next token comes, if it waits for one.
    pub token_in: Option<Duration>,
}

/// A page of groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupsPage {
    /// The groups.
    pub groups: Vec<GroupState>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

impl From<GroupRow<'_>> for GroupState {
    fn from(row: GroupRow<'_>) -> Self {
        GroupState {
            name: row.name.to_owned(),
            settings: row.settings,
            jobs: row.jobs,
            in_flight: row.in_flight,
            before: row.before,
            token_in: row.token_in_ms.map(Duration::from_millis),
        }
    }
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

    /// Settles what holds for one group of a queue, all of it: what is not set is as for each of its groups. An empty
    /// name means the jobs that are in none.
    pub fn set_group(&self, queue: &str, group: &str, settings: GroupSettings) -> Result<(), ClientError> {
        self.ask(SetGroup { queue, group, settings })?.read::<SetGroup<'_>>().map(drop)
    }

    /// The groups of a queue, a page at a time: those that have settings of their own, then others that have jobs.
    /// A page may be empty and not the last. `Refused` by `NotFound` where there is no such queue.
    pub fn groups(&self, queue: &str, from: Option<u64>) -> Result<GroupsPage, ClientError> {
        let answer = self.ask(Groups { queue, from: from.unwrap_or(0), group: None })?;
        let told = answer.read::<Groups<'_>>()?;
        let groups = told.groups.iter().map(GroupState::from).collect();
        Ok(GroupsPage { groups, next: Some(told.next).filter(|next| *next > 0) })
    }

    /// What is known of one group, whether it has jobs or not; an empty name means the jobs that are in none.
    pub fn group(&self, queue: &str, group: &str) -> Result<GroupState, ClientError> {
        let answer = self.ask(Groups { queue, from: 0, group: Some(group) })?;
        Ok(answer.read::<Groups<'_>>()?.groups.iter().next().map(GroupState::from).unwrap_or_default())
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
