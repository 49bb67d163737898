//! Schedules by spans: each tick makes one job, and none comes twice.

use std::collections::BTreeMap;

use falconqueue::ids::JobId;
use falconqueue::queue::Queues;
use falconqueue::queue::events::{Schedule, Tick};
use falconqueue::schedule::TickOutcome;
use falconqueue::time::Timestamp;

#[derive(Debug)]
struct Beat {
    every_ms: u64,
    anchor: Timestamp,
    next_at: Timestamp,
}

#[derive(Debug, Default)]
pub struct Ticks {
    beats: BTreeMap<String, Beat>,
    /// The job that the newest tick has made, until it comes.
    made: Option<JobId>,
}

impl Ticks {
    pub fn put(&mut self, schedule: &Schedule<'_>) {
        let every_ms = schedule.plan.every_ms;
        let beat = Beat { every_ms, anchor: schedule.anchor, next_at: schedule.next_at };
        self.beats.insert(schedule.name.to_owned(), beat);
    }

    pub fn tick(&mut self, tick: &Tick<'_>, at: Timestamp) {
        let beat = self.beats.get_mut(tick.name).unwrap_or_else(|| panic!("no schedule {} was put", tick.name));
        let Tick { name, tick_at, next_at, made, outcome, .. } = *tick;
        assert!(beat.next_at <= tick_at && tick_at <= at, "a tick of {name} at {tick_at}, and {beat:?}");
        let is_beat = |moment: Timestamp| moment.since(beat.anchor).0.is_multiple_of(beat.every_ms);
        assert!(is_beat(tick_at) && is_beat(next_at) && next_at > tick_at, "{tick_at}, {next_at}: {beat:?}");
        assert_eq!(made.is_some(), outcome == TickOutcome::Made, "a tick of {name}");
        beat.next_at = next_at;
        self.made = made;
    }

    /// A job came: that of the tick before it, if there was one.
    pub fn came(&mut self, job: JobId) {
        let made = self.made.take();
        assert!(made.is_none_or(|made| made == job), "a tick has made job {made:?}, and {job} came");
    }

    /// No tick is late at the end of a turn, but where the queue took no job.
    pub fn hold(&self, now: Timestamp, queues: &Queues) {
        let is_late = |(name, beat): &(&String, &Beat)| beat.next_at <= now && !queues.is_put_off(name);
        let late: Vec<_> = self.beats.iter().filter(is_late).collect();
        assert!(late.is_empty(), "ticks that did not come by {now}: {late:?}");
    }
}
