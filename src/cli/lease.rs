//! `falcon-cli job progress` and `alive`: what a command asks from within its job, whose lease it has.
//!
//! There stdout is the job's result, so nothing is written to it unless JSON is asked for.

use serde_json::{Value, json};

use super::args::{Common, LeaseArgs, Output};
use super::render::tell;
use super::{Stop, connect};
use crate::client::ClientError;
use crate::exit::{self, Failure};
use crate::ids::{JobId, LeaseId};
use crate::protocol::{ErrorCode, Get};

/// Tells how far a job is; exit status 6 if its lease is lost.
pub fn progress(common: &Common, lease: &LeaseArgs, percent: u8, text: &str) -> Result<(), Stop> {
    let LeaseArgs { job, lease } = *lease;
    connect::client(common)?.progress(JobId(job), LeaseId(lease), percent, text)?;
    say(common, json!({"job": job, "lease": lease, "percent": percent}))
}

/// Says whether a lease is still its job's live lease: exit status 0, or 1.
pub fn alive(common: &Common, lease: &LeaseArgs) -> Result<(), Stop> {
    let LeaseArgs { job, lease } = *lease;
    let answer = connect::client(common)?.ask(Get { job: JobId(job) })?;
    let live = match answer.read::<Get>() {
        Ok(known) => known.lease.map(|leased| leased.lease),
        // It is completed, so it has no lease.
        Err(ClientError::Refused(refusal)) if refusal.code == ErrorCode::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let is_alive = live == Some(LeaseId(lease));
    say(common, json!({"job": job, "lease": lease, "alive": is_alive}))?;
    if is_alive {
        return Ok(());
    }
    let text = format!("the lease {lease} of job {job} is lost: whatever comes of this attempt is refused");
    Err(Failure::new(exit::FAILED, text).into())
}

fn say(common: &Common, json: Value) -> Result<(), Stop> {
    if common.output == Output::Json {
        tell(common.output, String::new(), json, String::new())?;
    }
    Ok(())
}
