//! The nearest known name to one that is not known: most often that was meant.

use super::{Stop, found};
use crate::client::{Client, ClientError};
use crate::exit::{self, Failure};
use crate::nearest::did_you_mean;
use crate::protocol::{Stats, Workers};

/// What has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Queue,
    Schedule,
    Batch,
    Worker,
}

impl Named {
    /// The names that are known.
    fn known(self, client: &Client) -> Result<Vec<String>, Stop> {
        match self {
            Named::Queue => {
                let answer = client.stats()?;
                Ok(answer.read::<Stats>()?.queues.iter().map(|queue| queue.name.to_owned()).collect())
            }
            Named::Schedule => Ok(super::schedule::all(client)?.into_iter().map(|schedule| schedule.name).collect()),
            Named::Batch => {
                let mut names: Vec<String> = Vec::new();
                loop {
                    let (page, more) = client.list_batches(names.last().map_or("", String::as_str))?;
                    let is_last = page.is_empty() || !more;
                    names.extend(page.into_iter().map(|batch| batch.name));
                    if is_last {
                        return Ok(names);
                    }
                }
            }
            Named::Worker => {
                let answer = client.workers("")?;
                Ok(answer.read::<Workers<'_>>()?.workers.iter().map(|worker| worker.name.to_owned()).collect())
            }
        }
    }
}

/// What was asked for by its name. Where it is not there, the nearest name that is there is told, if one is near.
pub fn found_named<T>(client: &Client, named: Named, name: &str, outcome: Result<T, ClientError>) -> Result<T, Stop> {
    found(outcome).map_err(|stop| match stop {
        Stop::Failed(failure) if failure.status == exit::NOT_FOUND => {
            // The list is a help: whatever keeps it away, what was asked for is not there.
            let known = named.known(client).unwrap_or_default();
            let question = did_you_mean(name, known.iter().map(String::as_str));
            Failure::new(failure.status, failure.text + &question).into()
        }
        stop => stop,
    })
}
