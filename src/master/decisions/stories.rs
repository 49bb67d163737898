//! Stories: what is remembered of a job's attempts goes from record to record, with the attempt that just ended added.

use super::super::journal::Journal;
use crate::codec::{Field, List};
use crate::ids::JobId;
use crate::job::{Attempt, Ending, Story, StoryText};
use crate::limits::{ATTEMPTS_REMEMBERED, STORY_BYTES_MAX};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

/// Bytes that the story takes at most when an attempt of this job ends with an error of this length.
pub(in super::super) fn story_bytes_max(error_bytes: usize) -> usize {
    STORY_BYTES_MAX - crate::limits::ERROR_TEXT_BYTES_MAX + error_bytes
}

/// Writes the story of a job whose live attempt ends now, over what `out` held. `before` is memory to read into.
pub(in super::super) fn write_story(
    journal: &Journal,
    job: JobId,
    (ending, error): (Ending, &str),
    now: Timestamp,
    before: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    out.clear();
    before.clear();
    if let Some(past) = journal.queues.past(job).filter(|past| past.story_bytes > 0)
        && let Err(error) = journal.read(past.story_at, past.story_bytes, before)
    {
        log::warn!("the earlier attempts of job {job} are forgotten: {error}");
        before.clear();
    }
    let Some(lease) = journal.queues.live_lease(job) else { return };
    // It was held against its form when it was written and when it was replayed.
    let earlier = StoryText(before).read().unwrap_or_default();
    let earlier = if is_planted(Bug::StoryCut) { Story::default() } else { earlier };
    let mut attempts = [Attempt::default(); ATTEMPTS_REMEMBERED];
    let passed_over = (earlier.attempts.len() + 1).saturating_sub(ATTEMPTS_REMEMBERED);
    let mut count = 0;
    for (place, attempt) in attempts.iter_mut().zip(earlier.attempts.iter().skip(passed_over)) {
        *place = attempt;
        count += 1;
    }
    let begun_at = lease.begun_at.unwrap_or(lease.given_at);
    attempts[count] = Attempt { begun_at, ended_at: now, ending, worker: lease.worker };
    Story { attempts: List::lent(&attempts[..=count]), error }.write(out);
}
