//! What can be saved of a damaged log: the state as far as it can be known, and which jobs are lost for good.
//!
//! Up to the first record that is missing the log is replayed as ever. Behind it everything counts that can be read:
//! a job whose ENQUEUE is there is kept, one whose ACK is there is done. An event that does not fit, since one before
//! it is missing, is left out: the job stays where it was.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::ids::{JobId, Lsn};
use crate::queue::events::{Ack, Enqueue};
use crate::queue::{Event, Part, TextAt};
use crate::rebuilt::{Rebuilt, before_end, event_of};
use crate::wal::{LogDevice, Record, Salvage, WalError, digest, newest_snapshot, visit_whole};

pub struct Saved {
    /// The state, without the jobs that are lost.
    pub state: Rebuilt,
    /// The log that it was saved from.
    pub salvage: Salvage,
    /// Runs of records, first and last, that cannot be read.
    pub unread: Vec<(Lsn, Lsn)>,
    /// Jobs whose payload cannot be read.
    pub lost_payloads: Runs,
    /// Jobs whose ENQUEUE cannot be read, unless something says that they had ended.
    pub lost_enqueues: Runs,
    /// Jobs at the log's end of which nothing can be read: the first id that they may have, and how many at most.
    pub unnamed: Option<(u64, u64)>,
    /// Jobs in flight whose end may be among what cannot be read: they run again.
    pub may_run_again: Runs,
}

/// Ids of jobs, as runs: the first and the last of each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Runs(pub Vec<(u64, u64)>);

impl Runs {
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Adds ids above all that are there.
    fn push(&mut self, first: u64, last: u64) {
        match self.0.last_mut() {
            _ if first > last => {}
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => self.0.push((first, last)),
        }
    }

    /// Without these ids.
    fn without(&self, ids: impl Fn(u64, u64) -> Vec<u64>) -> Runs {
        let mut left = Runs::default();
        for (first, last) in &self.0 {
            let mut next = *first;
            for id in ids(*first, *last) {
                left.push(next, id - 1);
                next = id + 1;
            }
            left.push(next, *last);
        }
        left
    }
}

impl FromIterator<JobId> for Runs {
    fn from_iter<I: IntoIterator<Item = JobId>>(jobs: I) -> Runs {
        let sorted: BTreeSet<JobId> = jobs.into_iter().collect();
        let mut runs = Runs::default();
        for job in sorted {
            runs.push(job.0, job.0);
        }
        runs
    }
}

/// As in `1, 5-9`.
impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

/// Reads across the damage. `lost_up_to` is the newest LSN that is known to have been there.
pub fn save(device: &dyn LogDevice, lost_up_to: Option<Lsn>) -> Result<Saved, WalError> {
    let mut state = Rebuilt::default();
    let base = newest_snapshot(device, &mut state)?;
    let mut reading = Reading { state, base, next: base.next(), ..Reading::default() };
    let salvage = visit_whole(device, |record| reading.record(record))?;
    let unnamed = reading.end(lost_up_to, &salvage);
    let Reading { mut state, unread, passed_over, ended, .. } = reading;
    // Those that are known to have ended are no loss.
    let lost_enqueues =
        passed_over.without(|first, last| ended.range(JobId(first)..=JobId(last)).map(|job| job.0).collect());
    let unreadable = unreadable(device, &state)?;
    let lost = |part| unreadable.keys().filter(move |(_, lost)| *lost == part).map(|(job, _)| *job);
    // Without its headers a job is another one.
    let lost_jobs = || lost(Part::Payload).chain(lost(Part::Headers));
    lost_jobs().for_each(|job| state.queues.forget(job));
    // A job goes on without what is remembered of its attempts, and is kept without its result.
    lost(Part::Story).chain(lost(Part::Result)).for_each(|job| state.queues.lose_story(job));
    let lost_payloads: Runs = lost_jobs().collect();
    let gap_end = unread.last().map_or(Lsn(0), |(_, last)| *last);
    let may_run_again = state
        .queues
        .in_flight()
        .filter(|job| state.queues.live_lease(*job).is_some_and(|lease| lease.id.0 <= gap_end.0))
        .collect();
    Ok(Saved { state, salvage, unread, lost_payloads, lost_enqueues, unnamed, may_run_again })
}

/// What lies in the log and is wanted from there.
pub type Wanted = HashMap<(JobId, Part), TextAt>;

/// The payloads and stories of which no whole record is left.
fn unreadable(device: &dyn LogDevice, state: &Rebuilt) -> Result<Wanted, WalError> {
    let mut wanted = wanted(state);
    visit_whole(device, |record| {
        take_wanted(&mut wanted, record);
        Ok(())
    })?;
    Ok(wanted)
}

/// All that the state needs of the log.
pub fn wanted(state: &Rebuilt) -> Wanted {
    state.queues.texts().map(|text| ((text.job, text.part), text)).collect()
}

/// What is wanted and this record holds. A job's payload is the same in each of its records, unless it was replaced,
/// which is known by what the job's key was given for. Of its other texts the newest counts, which is known by its
/// place.
pub fn take_wanted<'r>(wanted: &mut Wanted, record: &Record<'r>) -> Vec<(JobId, Part, &'r [u8])> {
    let Ok(event) = event_of(record) else { return Vec::new() };
    let Some(job) = event.job() else { return Vec::new() };
    let mut taken = Vec::new();
    for (part, bytes, from_end) in event.parts() {
        let fits = |text: &TextAt| match part {
            _ if text.at == before_end(record, from_end) => true,
            Part::Payload => {
                let is_it = text.digest.map_or_else(|| !may_be_replaced(&event), |held| held == digest(bytes));
                is_it && text.bytes as usize == bytes.len()
            }
            _ => false,
        };
        if wanted.get(&(job, part)).is_some_and(fits) {
            wanted.remove(&(job, part));
            taken.push((job, part, bytes));
        }
    }
    taken
}

/// Whether another payload may have taken the place of that in this record, of a job that holds no key any more.
fn may_be_replaced(event: &Event<'_>) -> bool {
    match event {
        Event::Enqueue(job) => !job.key.is_empty(),
        Event::Replace(_) => true,
        _ => false,
    }
}

/// A log that is read across damage.
#[derive(Default)]
struct Reading {
    state: Rebuilt,
    /// What the snapshot holds.
    base: Lsn,
    /// The record that should come next.
    next: Lsn,
    /// Whether something was missing before this place.
    is_behind: bool,
    unread: Vec<(Lsn, Lsn)>,
    /// Ids that were given in what cannot be read.
    passed_over: Runs,
    /// The highest id that an event behind the damage names.
    highest: JobId,
    /// Jobs that ended behind the damage.
    ended: BTreeSet<JobId>,
}

impl Reading {
    /// Takes a record in. One that only a later falcond knows is refused, also where the snapshot covers it: nobody
    /// here can say what it is worth.
    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        let event = match event_of(record) {
            Err(error @ WalError::Later { .. }) => return Err(error),
            event => event.ok(),
        };
        if record.head.lsn <= self.base {
            return Ok(());
        }
        if record.head.lsn > self.next {
            self.miss(Lsn(record.head.lsn.0 - 1));
        }
        self.next = record.head.lsn.next();
        let Some(event) = event else {
            self.is_behind = true;
            return Ok(());
        };
        if self.is_behind || self.state.event(record, &event).is_err() {
            self.is_behind = true;
            self.event(record, &event);
        }
        Ok(())
    }

    /// The records up to this one are not there.
    fn miss(&mut self, last: Lsn) {
        self.unread.push((self.next, last));
        self.next = last.next();
        self.is_behind = true;
    }

    /// That was all that can be read; there were records up to the LSN `lost_up_to`. Returns the ids that may have
    /// been given in those that are missing at the end, as in [`Saved::unnamed`].
    fn end(&mut self, lost_up_to: Option<Lsn>, salvage: &Salvage) -> Option<(u64, u64)> {
        self.pass_over_ids(None);
        let last = lost_up_to.filter(|last| *last >= self.next)?;
        let (first, records) = (self.state.queues.next_job(), last.0 - self.next.0 + 1);
        self.miss(last);
        // No id is given twice, wherever the log really ended.
        let more = if last > salvage.last_read { salvage.unread_records } else { 0 };
        self.state.queues.leave_out_ids(JobId(first.0 + records + more));
        Some((first.0, records))
    }

    /// An event behind the damage.
    fn event(&mut self, record: &Record<'_>, event: &Event<'_>) {
        let Some(job) = event.job() else {
            // A queue that is forgotten is known again if its jobs came back.
            let _ = self.state.event(record, event);
            return;
        };
        if let Event::Enqueue(enqueue) = event {
            self.pass_over_ids(Some(job));
            if self.state.event(record, event).is_err() {
                // The end of the job that had this key is missing.
                let without_key = Enqueue { key: "", ..*enqueue }.into();
                let _ = self.state.event(record, &without_key);
            }
            return;
        }
        self.highest = self.highest.max(job);
        if self.state.event(record, event).is_ok() {
            return;
        }
        if let Event::Ack(Ack { key_until, .. }) = *event {
            self.state.queues.complete(job, key_until);
            self.ended.insert(job);
        }
    }

    /// Ids are given without gaps. So those before the next one that is seen were given in what cannot be read.
    fn pass_over_ids(&mut self, next: Option<JobId>) {
        let from = self.state.queues.next_job();
        let to = next.unwrap_or(JobId(from.0.max(self.highest.0 + 1)));
        self.passed_over.push(from.0, to.0 - 1);
        self.state.queues.leave_out_ids(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_told_short_and_ids_can_be_taken_out_of_them() {
        let runs: Runs = [7, 1, 2, 3, 9].map(JobId).into_iter().collect();
        assert_eq!((runs.to_string(), runs.count()), ("1-3, 7, 9".to_owned(), 5));
        let known = [2, 7];
        let within = |first: u64, last: u64| known.into_iter().filter(|id| (first..=last).contains(id)).collect();
        assert_eq!(runs.without(within).to_string(), "1, 3, 9");
        assert_eq!(Runs::default().to_string(), "");
    }
}
