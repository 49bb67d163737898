//! Reports: what came of several jobs goes to the master together, until it has answered or the pool has to end.

use std::time::Instant;

use super::crew::Ended;
use super::handler::Outcome;
use super::pool::Shared;
use super::slot::{RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX};
use crate::client::{Client, ClientError};
use crate::protocol::{AckItem, ErrorCode, FailItem, ItemStatus, ReleaseItem};

/// A job that could not be begun here is not handed out again before this has passed.
const NOT_BEGUN_DELAY_MS: u64 = 1000;

impl Shared {
    /// Reports these outcomes, and lets their leases go.
    pub(super) fn report(&self, mut ended: Vec<Ended>) {
        let leases: Vec<_> = ended.iter().map(|ended| ended.lease).collect();
        self.held.reporting(&leases);
        let mut pause = RETRY_PAUSE_FIRST;
        let mut told = false;
        while !ended.is_empty() {
            let mut client = self.reports.clone();
            let until = self.locked().report_until;
            if let Some(until) = until {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    for Ended { job, .. } in &ended {
                        log::error!("job {job}: its outcome could not be reported; it will be repeated");
                    }
                    break;
                }
                client.set_timeout(left);
            }
            let Some(error) = report_once(&client, &mut ended) else { break };
            if !told {
                log::warn!("reporting the outcomes of {} jobs: {error}; trying again until it works", ended.len());
            }
            told = true;
            let pause_until = Instant::now() + pause;
            self.wait_while(Some(until.unwrap_or(pause_until).min(pause_until)), |crew| crew.report_until == until);
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
        self.held.drop_leases(&leases);
    }
}

/// Sends all of them in up to three requests, one after another on the way. Those that have an answer are taken out;
/// gives the error that kept others from it.
fn report_once(client: &Client, ended: &mut Vec<Ended>) -> Option<ClientError> {
    let mut error = None;
    let mut unanswered = Vec::new();
    for ways in sorted(ended) {
        if ways.is_empty() {
            continue;
        }
        match send(client, &ways) {
            Ok(statuses) => note(&ways, &statuses),
            Err(ClientError::Refused(refusal)) if !refusal.code.retry_may_help() => {
                // One that is at fault must not take the others with it.
                for one in ways {
                    match send(client, std::slice::from_ref(&one)) {
                        Ok(statuses) => note(&[one], &statuses),
                        Err(ClientError::Refused(refusal)) if !refusal.code.retry_may_help() => {
                            log::error!("job {}: its outcome was refused: {refusal}; it will be repeated", one.job);
                        }
                        Err(newest) => {
                            error = Some(newest);
                            unanswered.push(one);
                        }
                    }
                }
            }
            Err(newest) => {
                error = Some(newest);
                unanswered.extend(ways);
            }
        }
    }
    *ended = unanswered;
    error
}

/// Acks, fails, and what is given back.
fn sorted(ended: &mut Vec<Ended>) -> [Vec<Ended>; 3] {
    let mut ways = [Vec::new(), Vec::new(), Vec::new()];
    for one in ended.drain(..) {
        let way = match one.outcome {
            Outcome::Done(_) => 0,
            Outcome::Failed { .. } => 1,
            Outcome::Stopped | Outcome::NotBegun { .. } => 2,
        };
        ways[way].push(one);
    }
    ways
}

/// Reports outcomes that are all of one kind.
fn send(client: &Client, ended: &[Ended]) -> Result<Vec<ItemStatus>, ClientError> {
    let (mut acks, mut fails, mut releases) = (Vec::new(), Vec::new(), Vec::new());
    for Ended { job, lease, outcome } in ended {
        let (job, lease) = (*job, *lease);
        match outcome {
            Outcome::Done(result) => acks.push(AckItem { job, lease, result, ..AckItem::default() }),
            Outcome::Failed { for_good, error } => fails.push(FailItem { job, lease, for_good: *for_good, error }),
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
    }
}
