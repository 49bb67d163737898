//! Groups, their turns, limits and tokens, as lists.

use std::collections::BTreeMap;

use super::{Job, Model, State};
use crate::frames::{GroupSettings, Rate};
use falconqueue::job::Unique;
use falconqueue::time::Timestamp;

/// The groups that jobs of a test are in; the first is none.
pub const GROUPS: [&str; 3] = ["", "x", "y"];

/// Groups of one queue, by their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turns {
    /// Those that may hand out a job, and how many more each does in this turn; the next one first.
    pub ring: Vec<(usize, u16)>,
    /// What is missing of the tokens of each, and of the queue.
    pub missing: [Missing; 3],
    pub of_queue: Missing,
    /// How many jobs each group gets in a turn, where that is not one.
    pub weights: BTreeMap<usize, u16>,
}

/// What is missing of tokens at a moment, in parts of which a token has as many as its rate has milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Missing {
    at: u64,
    parts: u64,
    rate: Option<Rate>,
}

impl Missing {
    fn at(self, now: Timestamp) -> u64 {
        let Some((tokens, ..)) = self.rate else { return 0 };
        self.parts.saturating_sub((now.0 - self.at) * u64::from(tokens))
    }

    /// Whether a token is there.
    fn has_token(self, now: Timestamp) -> bool {
        let Some((tokens, per_ms, burst)) = self.rate else { return true };
        // A token that comes within this millisecond can be taken.
        self.at(now) + u64::from(per_ms) < u64::from(per_ms) * u64::from(burst) + u64::from(tokens)
    }

    fn take(&mut self, rate: Option<Rate>, now: Timestamp) {
        let Some((_, per_ms, _)) = rate else { return };
        *self = Missing { at: now.0, parts: self.at(now) + u64::from(per_ms), rate };
    }

    /// From now on another rate holds: the share that is missing stays.
    fn obey(&mut self, rate: Option<Rate>, now: Timestamp) {
        let (Some(old), Some(new)) = (self.rate, rate) else { return *self = Missing::default() };
        if old != new {
            let parts = (self.at(now) * u64::from(new.1) / u64::from(old.1)).min(u64::from(new.1) * u64::from(new.2));
            *self = Missing { at: now.0, parts, rate };
        }
    }

    /// The moment at which the next token comes, if there is none.
    pub fn token_at(self, now: Timestamp) -> Option<Timestamp> {
        let (tokens, per_ms, burst) = self.rate?;
        let spare = u64::from(per_ms) * u64::from(burst - 1) + u64::from(tokens - 1);
        let over = self.at(now).checked_sub(spare).filter(|over| *over > 0)?;
        Some(Timestamp(now.0 + over.div_ceil(tokens.into())))
    }
}

impl Model {
    /// What holds for a group.
    pub fn group_settings(&self, queue: usize, group: usize) -> GroupSettings {
        let rules = &self.rules[queue];
        let own = rules.groups.get(&group).cloned().unwrap_or_default();
        GroupSettings {
            weight: own.weight,
            running_max: own.running_max.or(rules.settings.group_running_max),
            rate: own.rate.or(rules.settings.group_rate),
        }
    }

    /// Whether each job of a queue has to be begun at once.
    pub fn is_bounded(&self, queue: usize) -> bool {
        let settings = &self.rules[queue].settings;
        let is_bounded = |own: &GroupSettings| own.running_max.is_some() || own.rate.is_some();
        settings.running_max.is_some()
            || settings.group_running_max.is_some()
            || settings.strict == Some(true)
            || settings.rate.is_some()
            || settings.group_rate.is_some()
            || self.rules[queue].groups.values().any(is_bounded)
    }

    pub fn is_strict(&self, queue: usize) -> bool {
        self.rules[queue].settings.strict == Some(true)
    }

    /// Whether a group may hand out a job.
    fn is_ready(&self, queue: usize, group: usize) -> bool {
        let of_group = |job: &&Job| job.queue == queue && job.group == group && !job.is_gone;
        let count = |is: &dyn Fn(&Job) -> bool| self.jobs.values().filter(of_group).filter(|job| is(job)).count();
        let running = count(&|job| job.state.is_in_flight());
        let retrying = count(&|job| matches!(job.state, State::Delayed(_)) && job.attempts > 0);
        let max = self.group_settings(queue, group).running_max.map_or(usize::MAX, |max| max as usize);
        let is_held = self.is_strict(queue) && running + retrying > 0;
        let has_jobs = self.lines[queue].iter().any(|id| self.jobs[id].group == group);
        has_jobs && running < max && !is_held && self.turns[queue].missing[group].has_token(self.now)
    }

    /// Groups that may hand out a job now come to the end of the ring of their queue, and others leave it.
    pub fn settle(&mut self) {
        if self.keeps_turns {
            return;
        }
        for queue in 0..2 {
            for group in 0..GROUPS.len() {
                let is_ready = self.is_ready(queue, group);
                let weight = self.group_settings(queue, group).weight.unwrap_or(1);
                let ring = &mut self.turns[queue].ring;
                let stands = ring.iter().any(|(other, _)| *other == group);
                if is_ready && !stands {
                    ring.push((group, weight));
                } else if !is_ready {
                    ring.retain(|(other, _)| *other != group);
                }
            }
        }
    }

    /// The job that leaves a queue next.
    fn front(&self, queue: usize) -> Option<u64> {
        let is_open = self.rules[queue].pause_out.is_none() && self.places(queue) > 0;
        let has_token = self.turns[queue].of_queue.has_token(self.now);
        let (group, _) = self.turns[queue].ring.first().filter(|_| is_open && has_token)?;
        let line = self.lines[queue].iter().filter(|id| self.jobs[id].group == *group);
        line.min_by_key(|id| (self.jobs[id].priority, self.jobs[id].order)).copied()
    }

    /// A job is handed out; whoever has it is told later.
    pub fn dispatch(&mut self, id: u64, state: State) {
        let Job { queue, group, .. } = self.jobs[&id];
        self.leave_line(id);
        let job = self.job(id);
        (job.state, job.attempts) = (state, job.attempts + 1);
        if job.unique == Unique::UntilStart {
            job.key_until = Some(Timestamp(0));
        }
        self.settle();
        let weight = self.group_settings(queue, group).weight.unwrap_or(1);
        let turns = &mut self.turns[queue];
        if let Some(place) = turns.ring.iter().position(|(other, _)| *other == group) {
            turns.ring[place].1 -= 1;
            if turns.ring[place].1 == 0 {
                turns.ring.remove(place);
                turns.ring.push((group, weight));
            }
        }
        let (now, of_queue) = (self.now, self.rules[queue].settings.rate);
        let of_group = self.group_settings(queue, group).rate;
        self.turns[queue].of_queue.take(of_queue, now);
        self.turns[queue].missing[group].take(of_group, now);
        self.settle();
    }

    /// What a poll of these queues must be given: so many to begin, and so many more only to be held.
    pub fn next(&self, queues: &[usize], (free, extra): (u16, u16)) -> Vec<u64> {
        let mut after = self.clone();
        let mut given = Vec::new();
        while given.len() < usize::from(free + extra) {
            let begins = given.len() < usize::from(free);
            // Where that is bounded, nothing is handed out only to be held.
            let mut may_have = queues.iter().filter(|queue| begins || !after.is_bounded(**queue));
            let Some(id) = may_have.find_map(|queue| after.front(*queue)) else { break };
            let (until, given_at) = (after.now, after.now);
            after.dispatch(id, State::InFlight { lease: 0, until, holder: 0, given_at, begun_at: None });
            given.push(id);
        }
        given
    }

    /// The rules of a queue are others now.
    pub fn obey(&mut self, queue: usize) {
        let now = self.now;
        let of_queue = self.rules[queue].settings.rate;
        self.turns[queue].of_queue.obey(of_queue, now);
        for group in 0..GROUPS.len() {
            let GroupSettings { weight, rate, .. } = self.group_settings(queue, group);
            self.turns[queue].missing[group].obey(rate, now);
            let weight = weight.unwrap_or(1);
            // A turn that is under way starts over with another weight.
            if self.turns[queue].weights.insert(group, weight).unwrap_or(1) != weight {
                let ring = self.turns[queue].ring.iter_mut();
                ring.filter(|(other, _)| *other == group).for_each(|(_, credit)| *credit = weight);
            }
        }
        self.settle();
    }

    /// When groups get their next tokens, up to a moment, by that.
    pub fn tokens_up_to(&self, now: Timestamp) -> BTreeMap<Timestamp, Vec<(usize, usize)>> {
        let mut all: BTreeMap<Timestamp, Vec<(usize, usize)>> = BTreeMap::new();
        for queue in 0..2 {
            for group in 0..GROUPS.len() {
                let at = self.turns[queue].missing[group].token_at(self.now).filter(|at| *at <= now);
                if let Some(at) = at {
                    all.entry(at).or_default().push((queue, group));
                }
            }
        }
        all
    }

    /// A moment at which a token comes that somebody waits for.
    pub fn token_moments(&self) -> Vec<Timestamp> {
        let waits = |queue: usize| {
            let turns = &self.turns[queue];
            let all = turns.missing.iter().chain([&turns.of_queue]).filter_map(|missing| missing.token_at(self.now));
            all.collect::<Vec<_>>()
        };
        [waits(0), waits(1)].concat()
    }
}
