//! `falcon-cli job list`: jobs by filter, or how many there are by their errors.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::args::{By, Common, Filters, List};
use super::render::{Renderer, Row};
use super::table::{Column, number, text, thousands};
use super::when::Wall;
use super::{Stop, connect};
use crate::client::{Client, ErrorKind, Filter, ListedJob};
use crate::exit;
use crate::ids::JobId;
use crate::limits::ITEMS_MAX;
use crate::shapes::{bits, error_kind, kind_text, listed, standing};
use crate::words::{counted, has};

/// The columns of a list.
const COLUMNS: [Column; 9] = [
    number("JOB"),
    text("QUEUE"),
    text("STATE"),
    number("DONE"),
    number("PRIO"),
    number("TRIES"),
    number("AGE"),
    text("KEY"),
    text("ERROR OR PROGRESS"),
];

/// The same of counts by errors.
const ERROR_COLUMNS: [Column; 6] =
    [number("COUNT"), text("KIND"), number("JOB"), number("FIRST"), number("LAST"), text("ERROR")];

impl Filters {
    /// Whether nothing is said: all jobs.
    pub fn is_empty(&self) -> bool {
        self.as_filter() == Filter::default()
    }

    /// As the master is asked.
    pub fn as_filter(&self) -> Filter<'_> {
        Filter {
            queue: self.queue.as_deref(),
            standings: bits(&self.states),
            key_prefix: self.key_prefix.as_deref(),
            group: self.group.as_deref(),
            older_than_ms: self.older_than.map(|span| span.0),
            younger_than_ms: self.newer_than.map(|span| span.0),
            error: self.error.as_deref(),
            error_kind: self.error_kind,
        }
    }
}

pub fn run(common: &Common, list: &List) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let renderer = |columns| Renderer::of_table(common.output, columns);
    match list.by {
        Some(By::Error) => by_error(&client, list, (renderer(&ERROR_COLUMNS), &Wall::of(common))),
        None => jobs(&client, list, (renderer(&COLUMNS), &Wall::of(common))),
    }
}

fn jobs(client: &Client, list: &List, (mut renderer, wall): (Renderer, &Wall)) -> Result<(), Stop> {
    let (filter, newest_first) = (list.filters.as_filter(), !list.oldest);
    let mut left = list.limit;
    let mut from = list.from.map(JobId);
    loop {
        let page = client.list(filter, from, newest_first, left.min(ITEMS_MAX as u64) as u16)?;
        left = left.saturating_sub(page.jobs.len() as u64);
        page.jobs.iter().try_for_each(|job| row(&mut renderer, job, wall))?;
        // A page may take its time where few jobs are meant.
        renderer.flush()?;
        match page.next {
            None => return Ok(()),
            Some(next) if left == 0 => {
                exit::say(&format!("there may be more: --from {next} goes on, --limit takes more at once"));
                return Ok(());
            }
            next => from = next,
        }
    }
}

fn row(renderer: &mut Renderer, job: &ListedJob, wall: &Wall) -> Result<(), Stop> {
    let cells = vec![
        job.job.to_string(),
        job.queue.clone(),
        standing(job.standing),
        job.percent.map(|percent| format!("{percent}%")).unwrap_or_default(),
        job.priority.to_string(),
        format!("{}/{}", job.attempts, job.max_attempts),
        wall.age(job.submitted_at),
        job.key.clone(),
        job.progress.as_ref().or(job.error.as_ref()).cloned().unwrap_or_default(),
    ];
    Ok(renderer.row(Row { cells, json: listed(job), quiet: job.job.to_string() })?)
}

fn by_error(client: &Client, list: &List, (mut renderer, wall): (Renderer, &Wall)) -> Result<(), Stop> {
    let mut kinds = Kinds::default();
    let mut from = None;
    loop {
        let page = client.count(list.filters.as_filter(), from, true)?;
        kinds.add(page.count, page.errors);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let (kinds, others) = kinds.sorted();
    for told in kinds {
        let ErrorKind { kind, count, job, error, first_at, last_at } = &told;
        let (kind, json) = (*kind, error_kind(&told));
        let [since, until] = [first_at, last_at].map(|at| at.map_or_else(|| "-".to_owned(), |at| wall.age(at)));
        let cells = vec![thousands(*count), kind_text(kind), job.to_string(), since, until, error.clone()];
        renderer.row(Row { cells, json, quiet: format!("{count} {}", kind_text(kind)) })?;
    }
    renderer.flush()?;
    if others > 0 {
        let (more, have) = (counted(others, "more job"), has(others));
        exit::say(&format!("{more} {have} other errors: of too many kinds to tell, or not to be read from the log"));
    }
    Ok(())
}

/// Kinds of errors of all pages.
#[derive(Default)]
pub struct Kinds {
    count: u64,
    by_kind: HashMap<u64, ErrorKind>,
}

impl Kinds {
    pub fn add(&mut self, count: u64, errors: Vec<ErrorKind>) {
        self.count += count;
        for error in errors {
            match self.by_kind.entry(error.kind) {
                Entry::Occupied(mut known) => known.get_mut().add(&error),
                Entry::Vacant(place) => drop(place.insert(error)),
            }
        }
    }

    /// The most frequent first, and how many jobs have others.
    pub fn sorted(self) -> (Vec<ErrorKind>, u64) {
        let mut kinds: Vec<ErrorKind> = self.by_kind.into_values().collect();
        kinds.sort_by_key(|kind| (std::cmp::Reverse(kind.count), kind.job));
        let told: u64 = kinds.iter().map(|kind| kind.count).sum();
        (kinds, self.count.saturating_sub(told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn kinds_of_several_pages_are_one() {
        let error = |kind, count, job, times: [Option<u64>; 2]| {
            let [first_at, last_at] = times.map(|at| at.map(Timestamp));
            ErrorKind { kind, count, job: JobId(job), error: format!("e{kind}"), first_at, last_at }
        };
        let (once, none) = (|at| [Some(at), Some(at)], [None, None]);
        let mut kinds = Kinds::default();
        kinds.add(10, vec![error(1, 7, 1, none), error(2, 3, 4, [Some(50), Some(70)])]);
        kinds.add(9, vec![error(2, 6, 20, [Some(40), Some(60)]), error(3, 1, 21, once(9)), error(1, 1, 30, once(8))]);
        let (kinds, others) = kinds.sorted();
        let all = [error(2, 9, 4, [Some(40), Some(70)]), error(1, 8, 1, once(8)), error(3, 1, 21, once(9))];
        assert_eq!(kinds, all);
        assert_eq!(others, 1);
    }
}
