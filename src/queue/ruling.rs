//! What holds in a queue beside its jobs: its settings, and pauses that end by themselves. A part of `apply`.

use std::collections::{BTreeMap, BTreeSet};

use super::Queues;
use super::apply::Applied;
use super::events::{Pause, Resume, Set, SetGroup};
use super::sides::NEVER;
use crate::ids::QueueId;
use crate::limits::GROUP_RULES_MAX;
use crate::rules::{GroupSettings, QueueSettings};
use crate::time::Timestamp;

/// Rules of one queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub settings: QueueSettings,
    /// It takes no jobs.
    pub pause_in: Option<Paused>,
    /// It hands none out.
    pub pause_out: Option<Paused>,
    /// What holds for single groups.
    pub groups: BTreeMap<Box<str>, GroupSettings>,
}

/// A pause of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// When it ends by itself; the end of time for never.
    pub until: Timestamp,
    pub reason: Box<str>,
}

/// When which queue's pauses end.
#[derive(Debug, Default)]
pub struct PauseEnds(BTreeSet<(Timestamp, QueueId)>);

impl PauseEnds {
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }
}

impl Rules {
    pub fn pauses(&self) -> impl Iterator<Item = &Paused> {
        self.pause_in.iter().chain(&self.pause_out)
    }

    /// What holds for a group, by its name or as for each.
    pub fn group(&self, name: &str) -> GroupSettings {
        let own = if self.groups.is_empty() { None } else { self.groups.get(name) };
        let own = own.copied().unwrap_or_default();
        GroupSettings {
            weight: own.weight,
            running_max: own.running_max.or(self.settings.group_running_max),
            rate: own.rate.or(self.settings.group_rate),
        }
    }

    /// Whether anything holds for its groups.
    pub fn has_turns(&self) -> bool {
        self.settings.has_turns() || !self.groups.is_empty()
    }

    /// Whether each job has to be begun at once when it is handed out.
    pub fn is_bounded(&self) -> bool {
        let is_bounded = |own: &GroupSettings| own.running_max.is_some() || own.rate.is_some();
        self.settings.is_bounded() || self.groups.values().any(is_bounded)
    }

    fn is_plain(&self) -> bool {
        *self == Rules::default()
    }
}

impl Queues {
    pub(super) fn apply_pause(&mut self, pause: &Pause<'_>) -> Applied<()> {
        let until = self.later((pause.until.0 != 0).then_some(pause.until))?.unwrap_or(NEVER);
        let paused = Paused { until, reason: pause.reason.unwrap_or_default().into() };
        self.rule(pause.queue, |rules| {
            if pause.way.is_in() {
                rules.pause_in = Some(paused.clone());
            }
            if pause.way.is_out() {
                rules.pause_out = Some(paused);
            }
        })
    }

    pub(super) fn apply_resume(&mut self, resume: &Resume<'_>) -> Applied<()> {
        self.rule(resume.queue, |rules| {
            if resume.way.is_in() {
                rules.pause_in = None;
            }
            if resume.way.is_out() {
                rules.pause_out = None;
            }
        })
    }

    pub(super) fn apply_set(&mut self, set: &Set<'_>) -> Applied<()> {
        let rates = [set.settings.rate, set.settings.group_rate];
        if rates.iter().flatten().any(|rate| !rate.is_sane()) {
            return Err("its rate is none");
        }
        self.rule(set.queue, |rules| rules.settings = set.settings)
    }

    pub(super) fn apply_set_group(&mut self, set: &SetGroup<'_>) -> Applied<()> {
        let SetGroup { queue, group, settings, .. } = *set;
        if settings.rate.is_some_and(|rate| !rate.is_sane()) || settings.weight == Some(0) {
            return Err("its rate or its weight is none");
        }
        let is_plain = settings == GroupSettings::default();
        if !is_plain && self.group_rules >= GROUP_RULES_MAX && !self.has_group_rules(queue, group) {
            return Err("there are too many groups with settings");
        }
        let mut ruled = self.group_rules;
        self.rule(queue, |rules| {
            ruled -= usize::from(rules.groups.remove(group).is_some());
            if !is_plain {
                rules.groups.insert(group.into(), settings);
                ruled += 1;
            }
        })?;
        self.group_rules = ruled;
        let id = self.registry.find(queue).ok_or("there is no such queue")?;
        self.regroup_one(id, group);
        Ok(())
    }

    /// How many groups have settings of their own, over all queues.
    pub fn group_rules(&self) -> usize {
        self.group_rules
    }

    /// Whether this group has settings of its own.
    pub fn has_group_rules(&self, queue: &str, group: &str) -> bool {
        self.rules(queue).is_some_and(|rules| rules.groups.contains_key(group))
    }

    pub(super) fn apply_forget(&mut self, queue: &str) -> Applied<()> {
        let id = self.registry.find(queue).ok_or("there is no such queue")?;
        let groups = self.registry.queue(id).rules.as_ref().map_or(0, |rules| rules.groups.len());
        self.registry.can_forget(id)?;
        self.forget_groups(id);
        self.registry.forget(id);
        self.group_rules -= groups;
        self.pause_ends.0.retain(|(_, of)| *of != id);
        self.ruled.remove(&id);
        Ok(())
    }

    /// Changes the rules of a queue, which is known from now on.
    pub(super) fn rule(&mut self, queue: &str, change: impl FnOnce(&mut Rules)) -> Applied<()> {
        if queue.is_empty() {
            return Err("it names no queue");
        }
        let id = self.registry.used(queue).ok_or("there are too many queues")?;
        self.change_rules(id, change);
        Ok(())
    }

    fn change_rules(&mut self, id: QueueId, change: impl FnOnce(&mut Rules)) {
        let queue = self.registry.queue_mut(id);
        queue.used_at = self.now;
        let mut rules = queue.rules.take().unwrap_or_default();
        for paused in rules.pauses() {
            self.pause_ends.0.remove(&(paused.until, id));
        }
        let before = rules.settings.turning();
        change(&mut rules);
        let is_turned = rules.settings.turning() != before;
        self.pause_ends.0.extend(rules.pauses().filter(|paused| paused.until != NEVER).map(|it| (it.until, id)));
        let queue = self.registry.queue_mut(id);
        queue.is_bounded = rules.is_bounded();
        queue.rules = Some(rules).filter(|rules| !rules.is_plain());
        if queue.rules.is_some() {
            self.ruled.insert(id);
        } else {
            self.ruled.remove(&id);
        }
        if is_turned {
            self.regroup(id);
        }
        // It may hand out now what it did not before.
        self.registry.wake(id);
    }

    /// Pauses whose time is over end, without an event.
    pub(super) fn end_pauses(&mut self) {
        let now = self.now;
        while let Some((_, id)) = self.pause_ends.0.first().copied().filter(|(at, _)| *at <= now) {
            self.change_rules(id, |rules| {
                let lasts = |paused: &Paused| paused.until > now;
                rules.pause_in = rules.pause_in.take().filter(lasts);
                rules.pause_out = rules.pause_out.take().filter(lasts);
            });
        }
    }

    /// The settings of this queue.
    pub fn settings(&self, queue: &str) -> QueueSettings {
        self.rules(queue).map(|rules| rules.settings).unwrap_or_default()
    }

    /// In how many queues anything holds.
    pub fn ruled(&self) -> usize {
        self.ruled.len()
    }

    /// What holds in this queue, if anything does.
    pub fn rules(&self, queue: &str) -> Option<&Rules> {
        if self.ruled.is_empty() {
            return None;
        }
        self.rules_of_queue(self.registry.find(queue)?)
    }

    /// The same, of a queue that is known by its id.
    pub fn rules_of_queue(&self, queue: QueueId) -> Option<&Rules> {
        self.registry.queue(queue).rules.as_deref()
    }

    /// Whether each job of this queue has to be begun at once when it is handed out.
    pub fn is_bounded(&self, queue: QueueId) -> bool {
        self.registry.queue(queue).is_bounded
    }

    /// How many jobs of this queue may be in flight, if that is bounded.
    pub fn running_max(&self, queue: QueueId) -> Option<u32> {
        self.registry.queue(queue).rules.as_ref()?.settings.running_max
    }

    /// How many jobs wait in this queue, delayed or not, and how many bytes their payloads have.
    pub fn waiting_in(&self, queue: &str) -> (u64, u64) {
        let counters = self.registry.find(queue).map(|id| self.registry.queue(id).counters).unwrap_or_default();
        (counters.queued(), counters.waiting_bytes)
    }

    /// Whether pauses and the moments at which they end agree.
    pub(super) fn check_pauses(&self) {
        let queues = (0..).map(QueueId).zip(self.registry.by_id());
        let rules = queues.filter_map(|(id, queue)| Some((id, queue?.rules.as_deref()?)));
        let (mut ends, mut with_rules, mut of_groups) = (BTreeSet::new(), BTreeSet::new(), 0);
        for (id, rules) in rules {
            with_rules.insert(id);
            of_groups += rules.groups.len();
            assert!(!rules.is_plain(), "rules that say nothing are none");
            ends.extend(rules.pauses().filter(|paused| paused.until != NEVER).map(|paused| (paused.until, id)));
        }
        assert_eq!((&ends, &with_rules), (&self.pause_ends.0, &self.ruled), "ends of pauses, queues with rules");
        assert!(ends.iter().all(|(at, _)| *at > self.now), "a pause ended");
        assert_eq!(of_groups, self.group_rules, "groups with settings");
    }
}
