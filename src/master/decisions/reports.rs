//! Ack, Fail, Release: each item whose lease is live is done, the others are refused one by one.

use super::super::answers::Unanswered;
use super::super::backoff::{Random, USUAL, backoff};
use super::super::journal::Journal;
use super::submit::due_at;
use super::{Scratch, story_bytes_max, write_story};
use crate::codec::Field;
use crate::ids::{JobId, LeaseId};
use crate::job::{Ending, StoryText};
use crate::limits::{ERROR_TEXT_BYTES_MAX, RECORD_OVERHEAD_BYTES_MAX, RESULT_BYTES_MAX};
use crate::planted::{Bug, is_planted};
use crate::protocol::{AckItem, ErrorCode, FailItem, ItemStatus, List, Refusal, ReleaseItem};
use crate::queue::events::{Ack, Cancel, Dead, DeathReason, Release, ReleaseReason, Retry};
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
    fn named(&self) -> (JobId, LeaseId);

    /// Whether it ends its job: then there is always room for it, without its words.
    fn ends(&self, live: &LeaseView<'_>) -> bool;

    fn words(&self) -> Words;

    /// How the attempt ended, and the error, if the job gets a story by it.
    fn story(&self) -> Option<(Ending, &'a str)> {
        None
    }

    /// The event that it comes to; `words_lost` if there is no place for its words, or not for all of them.
    fn event<'e>(&self, live: &LeaseView<'_>, words: Kept<'e>, by: &mut Policy<'_>) -> Event<'e>
    where
        'a: 'e;
}

/// What an item says in words.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words {
    bytes: usize,
    bytes_max: usize,
    /// Whether they are cut where they are too long; otherwise they are dropped.
    are_cut: bool,
    /// Whether they may be dropped or cut.
    optional: bool,
}

impl Words {
    fn are_too_long(self) -> bool {
        self.bytes > self.bytes_max
    }

    fn kept_bytes(self) -> usize {
        if self.are_too_long() && !self.are_cut { 0 } else { self.bytes.min(self.bytes_max) }
    }
}

/// What is kept of an item's words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'e> {
    /// The story, written.
    story: StoryText<'e>,
    /// Whether words were dropped, for lack of room or since they were too long; of a story that is cut, some.
    lost: bool,
}

/// What a report takes of the log.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// Items whose leases are live, of several for one job the first.
    count: usize,
    /// Whether there is room for their words.
    for_words: bool,
}

impl Reporting<'_> {
    /// Decides the items; what became of each is in `scratch`.
    pub(super) fn report<'a, T: Item<'a>>(
        mut self,
        items: List<'a, T>,
        scratch: &mut Scratch,
    ) -> Result<(), Unanswered> {
        let Room { count: mut left, for_words } = self.make_room(items, &mut scratch.jobs)?;
        scratch.statuses.clear();
        for item in items.iter() {
            let (job, lease) = item.named();
            let Some(live) = live(self.journal, job, lease) else {
                self.journal.measures.stale_reports += 1;
                scratch.statuses.push(ItemStatus { job, status: ErrorCode::LeaseLost.code(), text_lost: None });
                continue;
            };
            left -= 1;
            if live.is_cancelled {
                let Policy { key_window, now, .. } = self.policy;
                let (event, code) = (cancelled(&live, job, key_window, now), ErrorCode::Cancelled.code());
                scratch.statuses.push(ItemStatus { job, status: code, text_lost: None });
                self.journal.record(self.policy.now, &event, left > 0)?;
                continue;
            }
            let words = item.words();
            let lost = words.are_too_long() || (!for_words && words.bytes > 0);
            scratch.statuses.push(ItemStatus { job, status: 0, text_lost: lost.then_some(true) });
            scratch.story.clear();
            if let Some(end) = item.story().filter(|_| for_words) {
                let (before, out) = (&mut scratch.story_before, &mut scratch.story);
                write_story(self.journal, job, end, self.policy.now, before, out);
            }
            let kept = Kept { story: StoryText(&scratch.story), lost };
            let event = item.event(&live, kept, &mut self.policy);
            self.journal.record(self.policy.now, &event, left > 0)?;
        }
        Ok(())
    }

    /// Begins a group for the items whose leases are live: room is taken for what will be written, not for what was
    /// claimed. Where there is none for words that may be dropped, it is taken for the rest.
    fn make_room<'a, T: Item<'a>>(&mut self, items: List<'a, T>, jobs: &mut Vec<JobId>) -> Result<Room, Unanswered> {
        jobs.clear();
        let (mut bytes, mut bytes_bare, mut more) = (0, 0, 0);
        let (mut has_words, mut all_optional) = (false, true);
        for item in items.iter() {
            let (job, lease) = item.named();
            let words = item.words();
            hold_against_length(&item)?;
            let Some(live) = live(self.journal, job, lease) else { continue };
            jobs.push(job);
            bytes += RECORD_OVERHEAD_BYTES_MAX;
            bytes_bare += RECORD_OVERHEAD_BYTES_MAX;
            if live.is_cancelled {
                continue;
            }
            more += usize::from(!item.ends(&live));
            let has_some = words.bytes > 0 || item.story().is_some();
            has_words |= has_some;
            all_optional &= words.optional || !has_some;
            bytes += words.kept_bytes() + item.story().map_or(0, |_| story_bytes_max(0));
        }
        if !jobs.is_sorted_by(|a, b| a < b) {
            jobs.sort_unstable();
            jobs.dedup();
        }
        let count = jobs.len();
        // For an end without words there is always room: it was kept when the job was accepted.
        let is_kept = more == 0 && !has_words;
        let for_words = count == 0 || is_kept || self.journal.has_room(bytes, more, self.policy.now)?;
        if !for_words && (more > 0 || !all_optional) {
            let text = "no room in the log for this report: no log segment can be made; ends without texts go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.journal.begin_group(if for_words { bytes } else { bytes_bare })?;
        Ok(Room { count, for_words })
    }
}

/// Refuses a report whose words are too long, and may not be dropped.
pub(super) fn hold_against_length<'a>(item: &impl Item<'a>) -> Result<(), Refusal> {
    let Words { bytes, bytes_max, optional, .. } = item.words();
    if bytes <= bytes_max || optional {
        return Ok(());
    }
    let (job, _) = item.named();
    let text = format!("the text of job {job} has {bytes} bytes; it takes at most {bytes_max}");
    Err(Refusal::new(ErrorCode::BadValue, text))
}

/// What an ack comes to; of its result nothing is kept if that is `lost`.
pub(super) fn ack<'e>(
    item: &AckItem<'e>,
    live: &LeaseView<'_>,
    lost: bool,
    (key_window, now): (Millis, Timestamp),
) -> Event<'e> {
    let AckItem { job, lease, result, .. } = *item;
    let key_until = if live.has_key { now.plus(key_window) } else { Timestamp(0) };
    // A part of a result is none.
    let result = if lost { &[] } else { result };
    let kept_until = kept_with_result(live, key_window, now);
    Ack { job, lease, key_until, result, text_lost: lost.then_some(true), kept_until }.into()
}

/// Until when a job is kept that completes now. One whose result another job waits for is there for the key window at
/// least.
fn kept_with_result(live: &LeaseView<'_>, key_window: Millis, now: Timestamp) -> Option<Timestamp> {
    let own = kept_until(live.keep_s(), now);
    let for_others = live.is_result_wanted.then(|| now.plus(key_window)).filter(|until| *until > now);
    own.max(for_others)
}

/// The end of a job in flight that somebody cancelled.
pub(in super::super) fn cancelled(
    live: &LeaseView<'_>,
    job: JobId,
    key_window: Millis,
    now: Timestamp,
) -> Event<'static> {
    let kept_until = kept_until(live.keep_s(), now);
    let failed_until = failed_until(kept_until, now, key_window);
    Cancel { job, ends: true, kept_until, by: None, failed_until, before: None }.into()
}

/// Until when it is known of a job that has ended now that it did not complete: for the key window, once it is gone.
pub(in super::super) fn failed_until(
    kept_until: Option<Timestamp>,
    now: Timestamp,
    key_window: Millis,
) -> Option<Timestamp> {
    (key_window > Millis(0)).then(|| kept_until.unwrap_or(now).plus(key_window))
}

/// Until when a job is kept that ends now.
pub(in super::super) fn kept_until(keep_s: Option<u32>, now: Timestamp) -> Option<Timestamp> {
    let second_ms = if is_planted(Bug::KeptBriefly) { 500 } else { 1000 };
    keep_s.filter(|keep_s| *keep_s > 0).map(|keep_s| now.plus(Millis(second_ms * u64::from(keep_s))))
}

/// The live lease of a job, if it is this one.
pub(super) fn live(journal: &Journal, job: JobId, lease: LeaseId) -> Option<LeaseView<'_>> {
    let view = journal.queues.live_lease(job)?;
    (view.id == lease || is_planted(Bug::NoFence)).then_some(view)
}

impl<'a> Item<'a> for AckItem<'a> {
    fn named(&self) -> (JobId, LeaseId) {
        (self.job, self.lease)
    }

    fn ends(&self, _live: &LeaseView<'_>) -> bool {
        true
    }

    fn words(&self) -> Words {
        let optional = self.text_optional.unwrap_or(false);
        Words { bytes: self.result.len(), bytes_max: RESULT_BYTES_MAX, are_cut: false, optional }
    }

    fn event<'e>(&self, live: &LeaseView<'_>, words: Kept<'e>, by: &mut Policy<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        ack(self, live, words.lost, (by.key_window, by.now))
    }
}

impl<'a> Item<'a> for FailItem<'a> {
    fn named(&self) -> (JobId, LeaseId) {
        (self.job, self.lease)
    }

    fn ends(&self, live: &LeaseView<'_>) -> bool {
        self.for_good || live.attempts >= live.max_attempts
    }

    fn words(&self) -> Words {
        Words {
            bytes: self.error.len(),
            bytes_max: ERROR_TEXT_BYTES_MAX,
            are_cut: true,
            optional: self.text_optional.unwrap_or(false),
        }
    }

    fn story(&self) -> Option<(Ending, &'a str)> {
        let error = &self.error[..self.error.floor_char_boundary(ERROR_TEXT_BYTES_MAX)];
        Some((if self.for_good { Ending::ForGood } else { Ending::Failed }, error))
    }

    fn event<'e>(&self, live: &LeaseView<'_>, words: Kept<'e>, by: &mut Policy<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        let FailItem { job, lease, for_good, retry_in_ms, .. } = *self;
        let Kept { story, lost } = words;
        if self.ends(live) {
            let reason = if for_good { DeathReason::ForGood } else { DeathReason::Attempts };
            let key_until = live.has_key.then(|| by.now.plus(by.key_window));
            let (text_lost, kept_until) = (lost.then_some(true), kept_until(live.dead_keep_s(), by.now));
            return Dead { job, lease, reason, text_lost, key_until, kept_until, story }.into();
        }
        let usual = || backoff(live.backoff().unwrap_or(USUAL), live.attempts, by.random);
        let retry_at = by.now.plus(retry_in_ms.map_or_else(usual, Millis));
        Retry { job, lease, retry_at, story }.into()
    }
}

impl<'a> Item<'a> for ReleaseItem {
    fn named(&self) -> (JobId, LeaseId) {
        (self.job, self.lease)
    }

    fn ends(&self, _live: &LeaseView<'_>) -> bool {
        false
    }

    fn words(&self) -> Words {
        Words::default()
    }

    fn event<'e>(&self, live: &LeaseView<'_>, _words: Kept<'e>, by: &mut Policy<'_>) -> Event<'e>
    where
        'a: 'e,
    {
        let ReleaseItem { job, lease, delay_ms } = *self;
        let due_at = due_at(delay_ms, by.now);
        let reason = if live.begun_at.is_some() { ReleaseReason::Begun } else { ReleaseReason::Reported };
        Release { job, lease, due_at, reason }.into()
    }
}
