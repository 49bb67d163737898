//! Reports: what came of several jobs goes to the master together, again and again until it has answered or the pool
//! has to end. What it refuses for a while, as on a full disk, does not hold up the rest.

use std::time::Instant;

use super::crew::{Crew, Ended};
use super::handler::Outcome;
use super::pool::Shared;
use crate::client::{Client, ClientError};
use crate::ids::LeaseId;
use crate::limits::DELAY_MS_MAX;
use crate::protocol::{AckItem, ErrorCode, FailItem, ItemStatus, ReleaseItem};

/// A job that could not be begun here is not handed out again before this has passed.
const NOT_BEGUN_DELAY_MS: u64 = 1000;

/// What has no answer yet, and the last error that kept it from one.
#[derive(Default)]
pub(super) struct Rest {
    pub ended: Vec<Ended>,
    pub error: Option<ClientError>,
}

/// Notes what was reported, and what has to wait. Where the master did not answer at all everything waits; what it
/// refused for a while waits by itself.
pub(super) fn note_reported(crew: &mut Crew, rest: Vec<Ended>, error: Option<ClientError>) {
    let holds_all = !matches!(&error, Some(ClientError::Refused(_)));
    let count = rest.len();
    if crew.reported(rest, holds_all, Instant::now())
        && let Some(error) = error
    {
        log::warn!("reporting the outcomes of {count} jobs: {error}; trying again until it works");
    }
}

impl Shared {
    /// Reports these outcomes once, and lets the leases go of those that have an answer. Gives the others back, unless
    /// the pool has to end.
    pub(super) fn report(&self, mut ended: Vec<Ended>) -> Rest {
        let leases: Vec<_> = ended.iter().map(|ended| ended.lease).collect();
        self.held.reporting(&leases);
        let mut rest = Rest::default();
        for way in sorted(&mut ended) {
            if !way.is_empty() {
                self.send_way(way, &mut rest);
            }
        }
        if self.is_over() {
            for Ended { job, .. } in rest.ended.drain(..) {
                log::error!("job {job}: its outcome could not be reported; it will be repeated");
            }
        }
        let waits = |lease: &LeaseId| rest.ended.iter().any(|ended| ended.lease == *lease);
        let told: Vec<LeaseId> =
            if rest.ended.is_empty() { leases } else { leases.into_iter().filter(|lease| !waits(lease)).collect() };
        self.held.drop_leases(&told);
        rest
    }

    /// Whether the time for reports is over.
    fn is_over(&self) -> bool {
        self.locked().report_until.is_some_and(|until| until <= Instant::now())
    }

    /// Sends outcomes that are all of one kind.
    fn send_way(&self, way: Vec<Ended>, rest: &mut Rest) {
        match self.send(&way) {
            Ok(statuses) => note(&way, &statuses),
            Err(ClientError::Refused(refusal))
                if matches!(refusal.code, ErrorCode::LeaseLost | ErrorCode::Cancelled) =>
            {
                let status = refusal.code.code();
                let statuses = way.iter().map(|ended| ItemStatus { job: ended.job, status, text_lost: None });
                note(&way, &statuses.collect::<Vec<_>>());
            }
            Err(ClientError::Refused(refusal)) if !refusal.code.retry_may_help() && follows(&way) => {
                // The job did its work, but what follows from it cannot be.
                for Ended { job, lease, .. } in way {
                    let outcome = Outcome::failed(format!("what follows from it was refused: {}", refusal.text));
                    self.send_way(vec![Ended { job, lease, outcome }], rest);
                }
            }
            Err(ClientError::Refused(refusal)) if !refusal.code.retry_may_help() && way.len() > 1 => {
                // One that is at fault must not take the others with it.
                for one in way {
                    self.send_way(vec![one], rest);
                }
            }
            Err(ClientError::Refused(refusal)) if !refusal.code.retry_may_help() => {
                for Ended { job, .. } in way {
                    log::error!("job {job}: its outcome was refused: {refusal}; it will be repeated");
                }
            }
            Err(error) => {
                rest.error = Some(error);
                rest.ended.extend(way);
            }
        }
    }

    fn send(&self, ended: &[Ended]) -> Result<Vec<ItemStatus>, ClientError> {
        let mut client = self.reports.clone();
        if let Some(until) = self.locked().report_until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::Stopped);
            }
            client.set_timeout(left);
        }
        send(&client, ended)
    }
}

/// Whether this is one job from which others follow.
fn follows(way: &[Ended]) -> bool {
    matches!(way, [Ended { outcome: Outcome::DoneThen { .. }, .. }])
}

/// Acks without a result, which are taken on a full disk, too; those with one; fails; what is given back; and each from
/// which others follow by itself.
fn sorted(ended: &mut Vec<Ended>) -> Vec<Vec<Ended>> {
    let mut ways = Vec::from([const { Vec::new() }; 4]);
    for one in ended.drain(..) {
        let way = match &one.outcome {
            Outcome::Done(result) if result.is_empty() => 0,
            Outcome::Done(_) => 1,
            Outcome::Failed { .. } => 2,
            Outcome::Stopped | Outcome::NotBegun { .. } => 3,
            Outcome::DoneThen { .. } => {
                ways.push(vec![one]);
                continue;
            }
        };
        ways[way].push(one);
    }
    ways
}

/// Reports outcomes that are all of one kind. That a report arrives counts for more than its words.
fn send(client: &Client, ended: &[Ended]) -> Result<Vec<ItemStatus>, ClientError> {
    let (mut acks, mut fails, mut releases) = (Vec::new(), Vec::new(), Vec::new());
    let text_optional = Some(true);
    for Ended { job, lease, outcome } in ended {
        let (job, lease) = (*job, *lease);
        match outcome {
            Outcome::Done(result) => acks.push(AckItem { job, lease, text_optional, result }),
            Outcome::DoneThen { result, then } => {
                client.ack_then(AckItem { job, lease, text_optional, result }, then)?;
                return Ok(vec![ItemStatus { job, status: 0, text_lost: None }]);
            }
            Outcome::Failed { for_good, retry_in, error } => {
                let retry_in_ms =
                    retry_in.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(DELAY_MS_MAX));
                fails.push(FailItem { job, lease, for_good: *for_good, error, text_optional, retry_in_ms });
            }
            Outcome::Stopped => releases.push(ReleaseItem { job, lease, delay_ms: 0 }),
            Outcome::NotBegun { .. } => releases.push(ReleaseItem { job, lease, delay_ms: NOT_BEGUN_DELAY_MS }),
        }
    }
    if !acks.is_empty() {
        client.ack(&acks)
    } else if !fails.is_empty() {
        client.fail(&fails)
    } else {
        client.release(&releases)
    }
}

fn note(ended: &[Ended], statuses: &[ItemStatus]) {
    for (Ended { job, .. }, status) in ended.iter().zip(statuses) {
        if status.refused() == Some(ErrorCode::LeaseLost) {
            log::warn!("job {job}: its lease was lost before the report came, or an earlier report had come");
        }
        if status.refused() == Some(ErrorCode::Cancelled) {
            log::info!("job {job}: it was cancelled, and what came of it is dropped");
        }
        if status.text_lost == Some(true) {
            log::warn!("job {job}: its report was taken without its text, the master has no room for it");
        }
    }
}
