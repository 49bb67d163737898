//! `falcon-cli job requeue`, `cancel`, `purge` and `update`, and `queue purge`: jobs are changed by their ids, or all
//! that filters mean. By filters it is said how many are meant, and asked; they are changed a page at a time, so that
//! it can be stopped in between, and goes on where the connection broke.

use serde_json::json;

use super::args::{Common, Mending, Update};
use super::ask::confirm;
use super::connect::again_if_away;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::render::{Renderer, Row, tell};
use super::table::{Column, text};
use super::{Stop, connect, lookup};
use crate::client::{Change, Client, ClientError, Filter, ItemStatus, MendPage, Updated};
use crate::exit::{self, Failure};
use crate::ids::JobId;
use crate::limits::ITEMS_MAX;
use crate::protocol::ErrorCode;
use crate::shapes::{self, bits, changeable};
use crate::words::{by_number, counted, is, was};

/// A job, and what was done to it.
const COLUMNS: [Column; 2] = [text(""), text("")];

/// What is done to jobs.
pub struct Mend {
    change: Change,
    update: Updated,
    /// As in "to cancel".
    verb: &'static str,
    /// As in "they are cancelled".
    done: &'static str,
}

impl Mend {
    pub fn requeue() -> Mend {
        Mend::of(Change::Requeue, "requeue", "requeued")
    }

    pub fn cancel(force: bool) -> Mend {
        Mend::of(if force { Change::CancelNow } else { Change::Cancel }, "cancel", "cancelled")
    }

    pub fn purge() -> Mend {
        Mend::of(Change::Purge, "purge", "purged")
    }

    pub fn update(update: &Update) -> Mend {
        let Update { priority, delay, ttl, max_attempts } = *update;
        let (delay_ms, ttl_ms) = (delay.map(|delay| delay.0), ttl.map(|ttl| ttl.0));
        let update = Updated { priority, max_attempts, delay_ms, ttl_ms };
        Mend { update, ..Mend::of(Change::Update, "update", "updated") }
    }

    /// The bits of where jobs stand that are meant.
    fn states(&self) -> Option<u8> {
        bits(changeable(self.change, self.update))
    }

    fn of(change: Change, verb: &'static str, done: &'static str) -> Mend {
        Mend { change, update: Updated::default(), verb, done }
    }
}

pub fn run(common: &Common, mending: &Mending, mend: &Mend) -> Result<(), Stop> {
    let Mending { jobs, filters, dry_run, yes } = mending;
    let client = connect::client(common)?;
    let has_filters = !filters.is_empty();
    let usage = |text: &str| Err(Failure::new(exit::USAGE, text).into());
    if jobs.is_empty() {
        if !has_filters {
            return usage("no jobs are meant: name them by ids, or by filters such as --queue or --state");
        }
        return by_filter(common, &client, mend, filters.as_filter(), (*yes, *dry_run));
    }
    let queue = filters.queue.as_deref();
    if has_filters && filters.as_filter() != (Filter { queue, ..Filter::default() }) {
        return usage("jobs are meant by their ids or by filters, not by both");
    }
    by_ids(common, &client, mend, &lookup::jobs(&client, jobs, queue)?, *dry_run)
}

/// Changes jobs that are named: a row each. Exit status 3 if any is not there, 6 if any was refused.
fn by_ids(common: &Common, client: &Client, mend: &Mend, jobs: &[JobId], dry_run: bool) -> Result<(), Stop> {
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    if dry_run {
        for job in jobs {
            renderer.line(format!("job {job}"), json!({"job": job.0}), job.to_string())?;
        }
        return Ok(renderer.flush()?);
    }
    let mut statuses = Vec::with_capacity(jobs.len());
    let outcome = jobs.chunks(ITEMS_MAX).try_for_each(|some| {
        statuses.extend(client.mend(mend.change, mend.update, some)?);
        Ok::<(), ClientError>(())
    });
    // What was done is told, also where the next ones failed; and all is done, whoever has seen enough of it.
    statuses.iter().try_for_each(|status| row(&mut renderer, mend, status))?;
    renderer.flush()?;
    outcome?;
    let refused: Vec<ErrorCode> = statuses.iter().filter_map(ItemStatus::refused).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let status = if refused.contains(&ErrorCode::NotFound) { exit::NOT_FOUND } else { exit::REFUSED };
    let (not, of) = (refused.len() as u64, statuses.len() as u64);
    let jobs = if of == 1 { "the job".to_owned() } else { format!("{not} of {}", counted(of, "job")) };
    let text = format!("{jobs} {} not {}", was(not), mend.done);
    Err(Failure::new(status, text).into())
}

fn row(renderer: &mut Renderer, mend: &Mend, status: &ItemStatus) -> Result<(), Stop> {
    let id = status.job.to_string();
    let Some(code) = status.refused() else {
        let cells = vec![format!("job {id}"), mend.done.to_owned()];
        return Ok(renderer.row(Row { cells, json: shapes::mended(status), quiet: id })?);
    };
    let text = format!("not {}: {}", mend.done, why(mend, code));
    // Quietly only those are named that were changed.
    renderer.row_unless_quiet(Row {
        cells: vec![format!("job {id}"), text],
        json: shapes::mended(status),
        quiet: String::new(),
    })?;
    Ok(())
}

fn why(mend: &Mend, code: ErrorCode) -> String {
    match code {
        ErrorCode::NotFound => "there is no such job, or it has ended and was not kept".to_owned(),
        ErrorCode::WrongState if mend.update.delay_ms.is_some() => {
            "it stands where that cannot be done; a delay can be changed of jobs that are pending or delayed".to_owned()
        }
        ErrorCode::WrongState => "it stands where that cannot be done".to_owned(),
        ErrorCode::StorageFull => "there is no room in the log".to_owned(),
        code => format!("{code:?}"),
    }
}

/// Changes all jobs that are meant, when that was said to be right.
pub fn by_filter(
    common: &Common,
    client: &Client,
    mend: &Mend,
    filter: Filter<'_>,
    (yes, dry_run): (bool, bool),
) -> Result<(), Stop> {
    let filter = Filter { standings: filter.standings.or_else(|| mend.states()), ..filter };
    let count = count(client, filter)?;
    if dry_run {
        let text = format!("{} would be {}", counted(count, "job"), mend.done);
        return Ok(tell(common.output, text, json!({"count": count}), count.to_string())?);
    }
    if count > 0 {
        let (jobs, them) = (counted(count, "job"), by_number(count, "it", "them"));
        confirm(&format!("{jobs} {} meant. Really {} {them}?", is(count), mend.verb), yes, exit::USAGE)?;
    }
    let ((done, refused), outcome) = change_all(client, mend, filter, count);
    let could_not = if refused == 0 { String::new() } else { format!(", {refused} could not be") };
    let text = format!("{} {} {}{could_not}", counted(done, "job"), was(done), mend.done);
    tell(common.output, text, json!({"done": done, "refused": refused}), done.to_string())?;
    outcome?;
    if refused == 0 {
        return Ok(());
    }
    let text = format!("{} {} not {}", counted(refused, "job"), was(refused), mend.done);
    Err(Failure::new(exit::REFUSED, text).into())
}

/// Forgets the jobs of a queue that no worker has; returns how many.
pub fn purge_queue(client: &Client, queue: &str) -> Result<u64, Stop> {
    let filter = Filter { queue: Some(queue), standings: Mend::purge().states(), ..Filter::default() };
    let count = count(client, filter)?;
    let ((done, _), outcome) = change_all(client, &Mend::purge(), filter, count);
    outcome.map(|()| done)
}

/// Changes this many jobs, or what is there by now; says how many were changed and refused, also where it ended early.
fn change_all(client: &Client, mend: &Mend, filter: Filter<'_>, count: u64) -> ((u64, u64), Result<(), Stop>) {
    let mut pages = Pages { client, mend, filter, count, done: 0, refused: 0, progress: Progress::of_short() };
    let outcome = pages.change();
    pages.progress.end();
    ((pages.done, pages.refused), outcome)
}

fn count(client: &Client, filter: Filter<'_>) -> Result<u64, Stop> {
    let first = client.count(filter, None, false)?;
    let (mut count, mut from) = (first.count, first.next);
    while from.is_some() {
        let page = again_if_away(|| client.count(filter, from, false))?;
        count += page.count;
        from = page.next;
    }
    Ok(count)
}

/// A change of many jobs.
struct Pages<'p> {
    client: &'p Client,
    mend: &'p Mend,
    filter: Filter<'p>,
    count: u64,
    done: u64,
    refused: u64,
    progress: Progress,
}

impl Pages<'_> {
    /// Goes through all pages, until Ctrl-C; a second one ends it at once.
    fn change(&mut self) -> Result<(), Stop> {
        let interrupt = Interrupt::on_ctrl_c()?;
        let mut before: Option<MendPage> = None;
        loop {
            let Mend { change, update, .. } = *self.mend;
            // The first page changes nothing, so that one that was perhaps carried out can be asked for again.
            let page = again_if_away(|| self.client.mend_all(change, update, self.filter, before))?;
            self.done += page.done;
            self.refused += page.refused;
            let gone_through = self.done + self.refused;
            let words = format!("{gone_through} of {}", counted(self.count.max(gone_through), "job"));
            self.progress.show(gone_through, self.count.max(gone_through), &words);
            if page.next.is_none() {
                return Ok(());
            }
            if interrupt.is_asked() {
                return Err(Failure::new(
                    exit::FAILED,
                    format!("stopped by Ctrl-C after {words}; the same command goes on"),
                )
                .into());
            }
            before = Some(page);
        }
    }
}
