//! What a person, or a program in a person's place, asks of the master: looks at jobs and waits for them, changes them,
//! and settles what holds in a queue.

mod batches;
mod jobs;
mod measures;
mod pages;
mod queues;
mod reasons;
mod recent;
mod schedules;
mod storage;
mod waits;

pub use batches::{BatchState, ListedBatch};
pub use jobs::headers;
pub use measures::{Histogram, Measures, QueueMeasures, ScheduleMeasures};
pub use pages::{CountPage, ErrorKind, JobsPage, ListedJob, MendPage};
pub use queues::{GroupState, GroupsPage, QueueState, QueueStop};
pub use reasons::Why;
pub use recent::{Happened, RecentPage};
pub use schedules::{ListedSchedule, ScheduleSpec, ScheduleState};
pub use storage::{Segment, Storage, StoredSnapshot};
pub use waits::Idleness;
