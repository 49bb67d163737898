//! Why a job does not run now, or what holds in a queue.

use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::ids::JobId;
use crate::protocol::{Explain, ExplainQueue, Reason};

/// A reason why something does not happen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// [`Cause`](crate::protocol::Cause)'s number, or one of a later version.
    pub cause: u8,
    /// For a person: what it is, and what would change it.
    pub text: String,
    /// How many it is about.
    pub count: Option<u64>,
    /// When it ends by itself.
    pub left: Option<Duration>,
}

impl From<Reason<'_>> for Why {
    fn from(told: Reason<'_>) -> Self {
        let Reason { cause, text, count, left_ms } = told;
        Why { cause, text: text.to_owned(), count, left: left_ms.map(Duration::from_millis) }
    }
}

impl Client {
    /// Why a job does not run now, what is to be looked at first before the rest. `Refused` by `NotFound` where there
    /// is none of this id.
    pub fn explain(&self, job: JobId) -> Result<Vec<Why>, ClientError> {
        let answer = self.ask(Explain { job })?;
        Ok(answer.read::<Explain>()?.reasons.iter().map(Why::from).collect())
    }

    /// What holds in a queue now. `Refused` by `NotFound` where there is none of this name.
    pub fn explain_queue(&self, queue: &str) -> Result<Vec<Why>, ClientError> {
        let answer = self.ask(ExplainQueue { queue })?;
        Ok(answer.read::<ExplainQueue<'_>>()?.reasons.iter().map(Why::from).collect())
    }
}
