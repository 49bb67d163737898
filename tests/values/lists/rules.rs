//! What holds in a queue.

use std::collections::BTreeMap;

use super::{Job, Model, NEVER, State};
use crate::frames::{GroupSettings, QUEUE_FULL, QUEUE_PAUSED, QueueSettings, WAY_IN, WAY_OUT};
use falconqueue::time::{Millis, Timestamp};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub settings: QueueSettings,
    /// Of single groups, by their numbers.
    pub groups: BTreeMap<usize, GroupSettings>,
    /// When each way opens again.
    pub pause_in: Option<Timestamp>,
    pub pause_out: Option<Timestamp>,
}

impl Rules {
    pub fn pauses(&self) -> impl Iterator<Item = Timestamp> {
        self.pause_in.into_iter().chain(self.pause_out)
    }

    pub fn end_pauses(&mut self, now: Timestamp) {
        self.pause_in = self.pause_in.filter(|until| *until > now);
        self.pause_out = self.pause_out.filter(|until| *until > now);
    }

    /// Closes what these ways say, or opens it.
    pub fn set(&mut self, way: u8, until: Option<Timestamp>) {
        if way & WAY_IN != 0 {
            self.pause_in = until;
        }
        if way & WAY_OUT != 0 {
            self.pause_out = until;
        }
    }
}

impl Model {
    /// When a pause for so long from now is over.
    pub fn pause_end(&self, for_ms: u64) -> Timestamp {
        if for_ms == 0 { NEVER } else { self.now.plus(Millis(for_ms)) }
    }

    /// How many more jobs of a queue may be handed out.
    pub fn places(&self, queue: usize) -> usize {
        let in_flight = |job: &&Job| job.queue == queue && matches!(job.state, State::InFlight { .. });
        let in_flight = self.jobs.values().filter(in_flight).count();
        let max = self.rules[queue].settings.running_max.map_or(usize::MAX, |max| max as usize);
        max.saturating_sub(in_flight)
    }

    /// Why a queue does not take so many jobs of so many bytes each, and others whose payloads they replace, if so.
    pub fn refuses(&self, queue: usize, (jobs, replaced): (u64, u64), bytes: u64) -> Option<u16> {
        let Rules { settings, pause_in, .. } = &self.rules[queue];
        let any = jobs + replaced > 0;
        if any && pause_in.is_some() {
            return Some(QUEUE_PAUSED);
        }
        let waiting: Vec<&Job> =
            self.jobs.values().filter(|job| job.queue == queue && job.state.is_waiting()).collect();
        let waiting_bytes: u64 = waiting.iter().map(|job| job.bytes).sum();
        let is_deep = settings.depth_max.is_some_and(|max| waiting.len() as u64 + jobs > max);
        let is_large = settings.bytes_max.is_some_and(|max| waiting_bytes + (jobs + replaced) * bytes > max);
        (any && (is_deep || is_large)).then_some(QUEUE_FULL)
    }
}
