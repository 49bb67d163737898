//! What holds in queues and groups: ways that are closed, bounds, limits and rates.

use std::collections::BTreeMap;

use falconqueue::ids::JobId;
use falconqueue::queue::Event;
use falconqueue::queue::events::Enqueue;
use falconqueue::rules::{GroupSettings, QueueSettings, Rate};
use falconqueue::time::Timestamp;

use super::{FOR_EVER, Fate, Truth};

/// What holds in a queue.
#[derive(Clone, Debug, Default)]
pub struct Ruled {
    /// Until when each way is closed.
    pub way_in: Timestamp,
    pub way_out: Timestamp,
    pub settings: QueueSettings,
    /// Of single groups.
    groups: BTreeMap<String, GroupSettings>,
    /// The rate that holds since then, and when jobs were given by it: of the queue, and of each group.
    given: Given,
    given_of: BTreeMap<String, Given>,
}

/// When jobs were given by a rate that did not change.
#[derive(Clone, Debug, Default)]
struct Given {
    rate: Option<Rate>,
    at: Vec<Timestamp>,
}

impl Given {
    /// In any window at most the burst and what the rate gives is given.
    fn one_more(&mut self, rate: Option<Rate>, at: Timestamp, what: &str) {
        if self.rate != rate {
            *self = Given { rate, at: Vec::new() };
        }
        let Some(rate) = rate else { return };
        self.at.push(at);
        for (before, from) in self.at.iter().rev().enumerate() {
            // A moment stands for the millisecond that begins there.
            let window = u128::from(at.since(*from).0 + 1);
            let most = u128::from(rate.burst) * u128::from(rate.per_ms) + window * u128::from(rate.tokens);
            let given = (before as u128 + 1) * u128::from(rate.per_ms);
            assert!(given <= most, "{what}: {} jobs were given in {window} ms by {rate:?}", before + 1);
        }
    }
}

impl Truth {
    /// No group gives more than it may.
    pub(super) fn holds_group(&mut self, job: JobId, ruled: &Ruled, at: Timestamp) {
        let Fate { queue, group, .. } = self.fates[&job.0].clone();
        let settings = &ruled.settings;
        let own = ruled.groups.get(&group).copied().unwrap_or_default();
        let is_its = |fate: &&Fate| fate.queue == queue && fate.group == group;
        let in_flight = self.fates.values().filter(is_its).filter(|fate| fate.lease.is_some()).count();
        let what = format!("group {group:?} of queue {queue}");
        if let Some(max) = own.running_max.or(settings.group_running_max) {
            assert!(in_flight < max as usize, "{in_flight} jobs of {what} are in flight, and {job} is given");
        }
        if settings.strict == Some(true) {
            let retries = |fate: &&Fate| fate.end.is_none() && fate.attempts > 0 && fate.due_at > at;
            let waits: Vec<&Fate> = self.fates.values().filter(is_its).filter(retries).collect();
            assert!(in_flight == 0 && waits.is_empty(), "job {job} of {what} passes others: {waits:?}");
        }
        let rate = own.rate.or(settings.group_rate);
        let ruled = self.ruled.entry(queue).or_default();
        ruled.given.one_more(settings.rate, at, &what);
        ruled.given_of.entry(group).or_default().one_more(rate, at, &what);
    }

    /// No queue takes more than it may.
    pub(super) fn has_room(&self, job: &Enqueue<'_>, settings: &QueueSettings) {
        if (settings.depth_max, settings.bytes_max) == (None, None) {
            return;
        }
        let waits = |fate: &&Fate| fate.queue == job.queue && fate.end.is_none() && fate.lease.is_none();
        let waiting: Vec<u64> = self.fates.values().filter(waits).map(|fate| fate.accepted.bytes).collect();
        let (jobs, bytes) = (1 + waiting.len() as u64, waiting.iter().sum::<u64>() + job.payload.len() as u64);
        assert!(settings.depth_max.is_none_or(|max| jobs <= max), "queue {} took a job too many", job.queue);
        assert!(settings.bytes_max.is_none_or(|max| bytes <= max), "queue {} took bytes too many", job.queue);
    }

    /// What holds in a queue from now on.
    pub(super) fn take_rule(&mut self, event: &Event<'_>, at: Timestamp) {
        match event {
            Event::Pause(pause) => {
                let until = if pause.until.0 == 0 { FOR_EVER } else { pause.until };
                self.close(pause.queue, (pause.way.is_in(), pause.way.is_out()), until);
            }
            Event::Resume(resume) => {
                self.close(resume.queue, (resume.way.is_in(), resume.way.is_out()), Timestamp(0));
            }
            Event::Schedule(schedule) => self.ticks.put(schedule),
            Event::Tick(tick) => self.ticks.tick(tick, at),
            Event::Set(set) => {
                let ruled = self.ruled.entry(set.queue.to_owned()).or_default();
                ruled.settings = set.settings;
                ruled.look_again();
            }
            Event::SetGroup(set) => {
                let ruled = self.ruled.entry(set.queue.to_owned()).or_default();
                ruled.groups.insert(set.group.to_owned(), set.settings);
                ruled.look_again();
            }
            Event::Forget(forget) => {
                let left = self.fates.values().any(|fate| fate.queue == forget.queue && fate.end.is_none());
                assert!(!left, "queue {} was forgotten with jobs", forget.queue);
                self.ruled.remove(forget.queue);
            }
            _ => self.take_batch(event, at),
        }
    }

    pub(super) fn ruled(&self, queue: &str) -> Ruled {
        self.ruled.get(queue).cloned().unwrap_or_default()
    }

    fn close(&mut self, queue: &str, (way_in, way_out): (bool, bool), until: Timestamp) {
        let ruled = self.ruled.entry(queue.to_owned()).or_default();
        if way_in {
            ruled.way_in = until;
        }
        if way_out {
            ruled.way_out = until;
        }
    }
}

impl Ruled {
    /// A rate that was changed meanwhile counts anew, even if it is as before.
    fn look_again(&mut self) {
        let Ruled { settings, groups, given, given_of, .. } = self;
        if given.rate != settings.rate {
            *given = Given::default();
        }
        given_of.retain(|group, given| {
            let own = groups.get(group).copied().unwrap_or_default();
            given.rate == own.rate.or(settings.group_rate)
        });
    }
}
