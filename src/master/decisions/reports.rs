//! Ack, Fail, Release: each item whose lease is live is done, the others are refused one by one.

use super::super::answers::Unanswered;
use super::super::backoff::{Random, backoff};
use super::super::journal::Journal;
use super::submit::due_at;
use super::{Scratch, story_bytes_max, write_story};
use crate::codec::Field;
use crate::ids::{JobId, LeaseId};
use crate::job::{Ending, StoryText};
use crate::limits::RECORD_OVERHEAD_BYTES_MAX;
use crate::planted::{Bug, is_planted};
use crate::protocol::{AckItem, ErrorCode, FailItem, ItemStatus, List, Refusal, ReleaseItem};
use crate::queue::events::{Ack, Dead, DeathReason, Release, Retry};
use crate::queue::{Event, LeaseView};
use crate::time::{Millis, Timestamp};

/// What a report needs.
pub(super) struct Reporting<'m> {
    pub journal: &'m mut Journal,
    pub random: &'m mut Random,
    pub key_window: Millis,
    pub now: Timestamp,
}

/// An item of an Ack, Fail or Release.
pub(super) trait Item<'a>: Field<'a> {
    /// Whether it always ends its job.
    const ENDS: bool;
    /// The job and lease that it names.
    fn named(&self) -> (JobId, LeaseId);
    /// Bytes of its words, which go into the log.
    fn words_bytes(&self) -> usize;
    /// Bytes of the story that it leads to, at most.
    fn story_bytes(&self) -> usize {
        0
    }
    /// How the attempt ended, and the error, if the job gets a story by it.
    fn story(&self) -> Option<(Ending, &'a str)> {
        None
    }
    /// The event that it becomes.
    fn event<'e>(&self, live: &LeaseFacts, story: StoryText<'e>, reporting: &mut Reporting<'_>) -> Event<'e>
    where
        'a: 'e;
}

/// What an event needs to know of a live lease.
pub(super) struct LeaseFacts {
    has_key: bool,
    attempts: u16,
    max_attempts: u16,
}

impl From<LeaseView<'_>> for LeaseFacts {
    fn from(view: LeaseView<'_>) -> Self {
        let LeaseView { has_key, attempts, max_attempts, .. } = view;
        LeaseFacts { has_key, attempts, max_attempts }
    }
}

impl Reporting<'_> {
    /// Decides the items; what became of each is in `scratch`.
    pub(super) fn report<'a, T: Item<'a>>(
        mut self,
        items: List<'a, T>,
        scratch: &mut Scratch,
    ) -> Result<(), Unanswered> {
        let mut left = self.make_room(items, &mut scratch.jobs)?;
        scratch.statuses.clear();
        for item in items.iter() {
            let (job, lease) = item.named();
            let facts = self.live(job, lease).map(LeaseFacts::from);
            let status = if facts.is_some() { 0 } else { ErrorCode::LeaseLost.code() };
            scratch.statuses.push(ItemStatus { job, status });
            let Some(facts) = facts else { continue };
            if let Some(end) = item.story() {
                let (before, out) = (&mut scratch.story_before, &mut scratch.story);
                write_story(self.journal, job, end, self.now, before, out);
            }
            let event = item.event(&facts, StoryText(&scratch.story), &mut self);
            left -= 1;
            self.journal.record(self.now, &event, left > 0)?;
        }
        Ok(())
    }

    /// Begins a group for the items whose leases are live, and gives their number: room is taken for what will be
    /// written, not for what was claimed. Of several items for one job the first counts.
    fn make_room<'a, T: Item<'a>>(&mut self, items: List<'a, T>, jobs: &mut Vec<JobId>) -> Result<usize, Unanswered> {
        jobs.clear();
        let (mut bytes, mut words) = (0, 0);
        for item in items.iter() {
            let (job, lease) = item.named();
            if !self.journal.queues.is_live(job, lease) {
                continue;
            }
            jobs.push(job);
            words += item.words_bytes();
            bytes += RECORD_OVERHEAD_BYTES_MAX + item.words_bytes() + item.story_bytes();
        }
        if !jobs.is_sorted_by(|a, b| a < b) {
            jobs.sort_unstable();
            jobs.dedup();
        }
        let count = jobs.len();
        // For an end without words there is always room: it was kept when the job was accepted.
        let is_kept = T::ENDS && words == 0;
        let more = if T::ENDS { 0 } else { count };
        if count > 0 && !is_kept && !self.journal.has_room(bytes, more, self.now)? {
            let text = "no room in the log for this report: no log segment can be made; acks without results go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.journal.begin_group(bytes)?;
        Ok(count)
    }

    fn live(&self, job: JobId, lease: LeaseId) -> Option<LeaseView<'_>> {
        let view = self.journal.queues.live_lease(job)?;
        (view.id == lease || is_planted(Bug::NoFence)).then_some(view)
    }
}

impl<'a> Item<'a> for AckItem<'a> {
    const ENDS: bool = true;

    fn named(&self) -> (JobId, LeaseId) {
        (self.job, self.lease)
    }

    fn words_bytes(&self) -> usize {
        self.result.len()
    }

    fn event<'e>(&self, live: &LeaseFacts, _story: StoryText<'e>, reporting: &mut Reporting<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        let AckItem { job, lease, result, .. } = *self;
        let key_until = if live.has_key { reporting.now.plus(reporting.key_window) } else { Timestamp(0) };
        Ack { job, lease, key_until, result }.into()
    }
}

impl<'a> Item<'a> for FailItem<'a> {
    const ENDS: bool = false;

    fn named(&self) -> (JobId, LeaseId) {
        (self.job, self.lease)
    }

    fn words_bytes(&self) -> usize {
        self.error.len()
    }

    fn story_bytes(&self) -> usize {
        story_bytes_max(0)
    }

    fn story(&self) -> Option<(Ending, &'a str)> {
        Some((if self.for_good { Ending::ForGood } else { Ending::Failed }, self.error))
    }

    fn event<'e>(&self, live: &LeaseFacts, story: StoryText<'e>, reporting: &mut Reporting<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        let FailItem { job, lease, for_good, .. } = *self;
        if for_good {
            return Dead { job, lease, reason: DeathReason::ForGood, story }.into();
        }
        if live.attempts >= live.max_attempts {
            return Dead { job, lease, reason: DeathReason::Attempts, story }.into();
        }
        let retry_at = reporting.now.plus(backoff(live.attempts, reporting.random));
        Retry { job, lease, retry_at, story }.into()
    }
}

impl<'a> Item<'a> for ReleaseItem {
    const ENDS: bool = false;

    fn named(&self) -> (JobId, LeaseId) {
        (self.job, self.lease)
    }

    fn words_bytes(&self) -> usize {
        0
    }

    fn event<'e>(&self, _live: &LeaseFacts, _story: StoryText<'e>, reporting: &mut Reporting<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        let ReleaseItem { job, lease, delay_ms } = *self;
        Release { job, lease, due_at: due_at(delay_ms, reporting.now) }.into()
    }
}
