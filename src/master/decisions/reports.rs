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
use crate::queue::events::{Ack, Dead, DeathReason, Release, ReleaseReason, Retry};
use crate::queue::{Event, LeaseView};
use crate::time::{Millis, Timestamp};

pub(super) struct Reporting<'m> {
    pub journal: &'m mut Journal,
    pub policy: Policy<'m>,
}

/// What an event is decided by, beside the state.
pub(super) struct Policy<'m> {
    pub random: &'m mut Random,
    pub key_window: Millis,
    pub now: Timestamp,
}

/// An item of an Ack, Fail or Release.
pub(super) trait Item<'a>: Field<'a> {
    /// Whether it always ends its job.
    const ENDS: bool;
    fn named(&self) -> (JobId, LeaseId);
    /// Bytes of its words, which go into the log.
    fn words_bytes(&self) -> usize;
    /// How the attempt ended, and the error, if the job gets a story by it.
    fn story(&self) -> Option<(Ending, &'a str)> {
        None
    }
    fn event<'e>(&self, live: &LeaseView<'_>, story: StoryText<'e>, by: &mut Policy<'_>) -> Event<'e>
    where
        'a: 'e;
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
            let live = live(self.journal, job, lease);
            let status = if live.is_some() { 0 } else { ErrorCode::LeaseLost.code() };
            scratch.statuses.push(ItemStatus { job, status });
            let Some(live) = live else { continue };
            if let Some(end) = item.story() {
                let (before, out) = (&mut scratch.story_before, &mut scratch.story);
                write_story(self.journal, job, end, self.policy.now, before, out);
            }
            let event = item.event(&live, StoryText(&scratch.story), &mut self.policy);
            left -= 1;
            self.journal.record(self.policy.now, &event, left > 0)?;
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
            let story_bytes = item.story().map_or(0, |_| story_bytes_max(0));
            bytes += RECORD_OVERHEAD_BYTES_MAX + item.words_bytes() + story_bytes;
        }
        if !jobs.is_sorted_by(|a, b| a < b) {
            jobs.sort_unstable();
            jobs.dedup();
        }
        let count = jobs.len();
        // For an end without words there is always room: it was kept when the job was accepted.
        let is_kept = T::ENDS && words == 0;
        let more = if T::ENDS { 0 } else { count };
        if count > 0 && !is_kept && !self.journal.has_room(bytes, more, self.policy.now)? {
            let text = "no room in the log for this report: no log segment can be made; acks without results go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.journal.begin_group(bytes)?;
        Ok(count)
    }
}

fn live(journal: &Journal, job: JobId, lease: LeaseId) -> Option<LeaseView<'_>> {
    let view = journal.queues.live_lease(job)?;
    (view.id == lease || is_planted(Bug::NoFence)).then_some(view)
}

impl<'a> Item<'a> for AckItem<'a> {
    const ENDS: bool = true;

    fn named(&self) -> (JobId, LeaseId) {
        (self.job, self.lease)
    }

    fn words_bytes(&self) -> usize {
        self.result.len()
    }

    fn event<'e>(&self, live: &LeaseView<'_>, _story: StoryText<'e>, by: &mut Policy<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        let AckItem { job, lease, result, .. } = *self;
        let key_until = if live.has_key { by.now.plus(by.key_window) } else { Timestamp(0) };
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

    fn story(&self) -> Option<(Ending, &'a str)> {
        Some((if self.for_good { Ending::ForGood } else { Ending::Failed }, self.error))
    }

    fn event<'e>(&self, live: &LeaseView<'_>, story: StoryText<'e>, by: &mut Policy<'_>) -> Event<'e>
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
        let retry_at = by.now.plus(backoff(live.attempts, by.random));
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

    fn event<'e>(&self, _live: &LeaseView<'_>, _story: StoryText<'e>, by: &mut Policy<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        let ReleaseItem { job, lease, delay_ms } = *self;
        let due_at = due_at(delay_ms, by.now);
        Release { job, lease, due_at, reason: ReleaseReason::Reported }.into()
    }
}
