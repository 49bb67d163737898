//! What is said, before jobs are submitted, of queues that are not there yet: a name may be mistyped.

use std::collections::BTreeSet;

use super::{Stop, unless_gone};
use crate::client::Client;
use crate::exit::{self, Failure};
use crate::nearest::nearest;
use crate::protocol::{Stats, Workers};

/// Looks at the queues that jobs are about to go to. Where one is new, a queue of a like name that is in use is named
/// on stderr; `existing` refuses it.
pub fn look<'q>(client: &Client, queues: impl Iterator<Item = &'q str>, existing: bool) -> Result<(), Stop> {
    for queue in queues.collect::<BTreeSet<_>>() {
        if unless_gone(client.show_queue(queue))?.is_some() {
            continue;
        }
        let InUse { names, polled } = in_use(client)?;
        let near = nearest(queue, names.iter().map(String::as_str));
        let question = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        if existing {
            let text =
                format!("there is no queue {queue:?}, and --existing makes none; nothing was submitted{question}");
            return Err(Failure::new(exit::REFUSED, text).into());
        }
        if near.is_some() && !polled.contains(queue) {
            exit::say(&format!("falcon-cli: queue {queue:?} is new; no worker polls it{question}"));
        }
    }
    Ok(())
}

/// Queues that have jobs, or that workers poll.
struct InUse {
    names: BTreeSet<String>,
    polled: BTreeSet<String>,
}

fn in_use(client: &Client) -> Result<InUse, Stop> {
    const COUNTS: [&str; 6] = ["pending", "delayed", "waiting", "in_flight", "dead", "kept"];
    let answer = client.workers("")?;
    let workers = answer.read::<Workers<'_>>()?.workers;
    let polled: BTreeSet<String> =
        workers.iter().flat_map(|worker| worker.queues.iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    let answer = client.stats()?;
    let queues = answer.read::<Stats>()?.queues;
    let with_jobs = queues.iter().filter(|queue| COUNTS.iter().any(|name| queue.figure(name) > 0));
    let names = with_jobs.map(|queue| queue.name.to_owned()).chain(polled.iter().cloned()).collect();
    Ok(InUse { names, polled })
}
