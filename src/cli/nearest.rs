//! The nearest known name to one that is not known: most often that was meant.

use super::{Stop, found};
use crate::client::{Client, ClientError};
use crate::exit::{self, Failure};
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

/// `; did you mean "email"?`, or nothing.
pub fn did_you_mean<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    nearest(name, known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// The name that differs least from this one: in one of three signs at most, also where two neighbours are swapped.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let length = |name: &str| name.chars().count();
    let is_near = |(distance, known): &(usize, &str)| distance * 3 <= length(name).max(length(known));
    let others = known.filter(|known| *known != name);
    others.map(|known| (strsim::osa_distance(name, known), known)).filter(is_near).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_may_have_been_meant() {
        let known = ["email", "mail", "bulk", "reports-daily", "q"];
        let near = |name: &str| nearest(name, known.into_iter());
        assert_eq!(
            [near("emial"), near("emai"), near("reports_daily")],
            [Some("email"), Some("email"), Some("reports-daily")]
        );
        assert_eq!(
            [near("bilk"), near("bulky"), near("thumbs"), near("r"), near("")],
            [Some("bulk"), Some("bulk"), None, None, None]
        );
        assert_eq!(near("email"), Some("mail"), "no name is the nearest to itself");
        assert_eq!(nearest("mail", ["mails", "maid"].into_iter()), Some("maid"), "of equals the first by name");
        assert_eq!(did_you_mean("emial", known.into_iter()), "; did you mean \"email\"?");
    }
}
