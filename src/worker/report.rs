//! What the master is told of an outcome, and how long to wait before it is told again.

use std::time::Duration;

use super::handler::Outcome;
use super::source::JobSource;
use crate::client::{ClientError, Job};
use crate::protocol::{AckItem, ErrorCode, FailItem, ItemStatus, ReleaseItem};

/// Pause after a first call that did not get through; doubled with each further one.
pub const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A job that could not be begun here is not handed out again before this has passed.
const NOT_BEGUN_DELAY_MS: u64 = 1000;

/// Reports an outcome; returns why it was refused, if it was.
pub fn send(
    source: &mut dyn JobSource,
    job: &Job,
    outcome: &Outcome,
) -> Result<Option<ErrorCode>, ClientError> {
    let (id, lease) = (job.id, job.lease);
    let statuses = match outcome {
        Outcome::Done(result) => source.ack(AckItem { job: id, lease, result, ..AckItem::default() }),
        Outcome::Failed { for_good, error } => {
            source.fail(FailItem { job: id, lease, for_good: *for_good, error })
        }
        Outcome::Stopped => source.release(ReleaseItem { job: id, lease, delay_ms: 0 }),
        Outcome::NotBegun { .. } => {
            source.release(ReleaseItem { job: id, lease, delay_ms: NOT_BEGUN_DELAY_MS })
        }
    }?;
    Ok(statuses.first().and_then(ItemStatus::refused))
}
