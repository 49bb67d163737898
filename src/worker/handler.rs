//! Handlers: what a pool calls to run a job, and what comes of it.

use std::time::Duration;

use super::cancel::Cancel;
use crate::client::{FollowUps, Job};

/// What came of running a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work; this is the result.
    Done(Vec<u8>),
    /// The same, and these jobs follow from it: it is done and they are there, or neither.
    DoneThen {
        /// The result.
        result: Vec<u8>,
        /// The jobs.
        then: FollowUps,
    },
    /// It did not.
    Failed {
        /// Whether further attempts are pointless.
        for_good: bool,
        /// When the next attempt may be, if this says so and not the job's backoff; in whole milliseconds, up to 365
        /// days.
        retry_in: Option<Duration>,
        /// What went wrong.
        error: String,
    },
    /// It was told to stop and has stopped, without having done its work.
    Stopped,
    /// This worker could not even begin it, which is no fault of the job.
    NotBegun {
        /// What went wrong.
        error: String,
    },
}

impl Outcome {
    /// It did not do its work, and may be tried again.
    pub fn failed(error: impl Into<String>) -> Outcome {
        Outcome::Failed { for_good: false, retry_in: None, error: error.into() }
    }
}

impl<H: Handler + ?Sized> Handler for Box<H> {
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome {
        (**self).run(job, cancel)
    }

    fn leave(&self) {
        (**self).leave();
    }
}

/// Runs jobs.
pub trait Handler: Send + Sync {
    /// Runs one job. It has to return soon after `cancel` has a reason.
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome;

    /// Notes that its pool has to leave, after the running jobs were told so. What it keeps beyond these, such as
    /// processes that wait for jobs, has to end soon; by itself nothing is kept.
    fn leave(&self) {}
}
