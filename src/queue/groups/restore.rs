//! Groups of a snapshot back to state.

use std::collections::{HashMap, HashSet};

use super::snapshot::GroupState;
use super::{Home, Owner};
use crate::codec::{DecodeError, Field, Reader};
use crate::ids::QueueId;
use crate::limits::{GROUP_RULES_MAX, GROUPS_MAX, QUEUES_MAX};
use crate::queue::Queues;
use crate::queue::deadlines::NIL;
use crate::queue::restore::undefined;
use crate::queue::snapshot::GroupRule;
use crate::rules::{GroupSettings, Rate};

/// Takes groups in. A job may come before the group that it names: that one has its place then, and gets its name
/// later.
#[derive(Debug, Default)]
pub struct TakingGroups {
    /// By their numbers in the snapshot: their numbers here.
    numbers: HashMap<u32, u32>,
    /// Those that were named by jobs alone so far.
    unnamed: HashSet<u32>,
    /// Groups that have a turn: that, what is left of it, and their numbers here.
    turns: Vec<(u64, u16, u32)>,
    pub newest_turn: u64,
}

/// The queue at this place among those of the snapshot.
fn queue_at(known: &[Option<QueueId>], place: u32) -> Result<QueueId, DecodeError> {
    known.get(place as usize).copied().flatten().ok_or_else(|| undefined("queue"))
}

impl TakingGroups {
    /// Whether any group was taken in.
    pub fn has_any(&self) -> bool {
        !self.numbers.is_empty() || !self.turns.is_empty()
    }

    /// Where a job lines up that names this group, or none.
    pub fn home(&mut self, queues: &mut Queues, queue: QueueId, told: Option<u32>) -> Result<Home, DecodeError> {
        let Some(told) = told else { return Ok(Home::of_queue(queue)) };
        let number = match self.numbers.get(&told) {
            Some(number) => *number,
            None => self.make(queues, queue, told)?,
        };
        if queues.groups.group(number).queue != queue {
            return Err(undefined("group"));
        }
        Ok(Home::of_group(number))
    }

    fn make(&mut self, queues: &mut Queues, queue: QueueId, told: u32) -> Result<u32, DecodeError> {
        if self.numbers.len() >= GROUPS_MAX + QUEUES_MAX {
            return Err(undefined("group"));
        }
        let number = queues.make_group(queue, "");
        self.numbers.insert(told, number);
        self.unnamed.insert(told);
        Ok(number)
    }

    pub fn take_groups(
        &mut self,
        queues: &mut Queues,
        known: &[Option<QueueId>],
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        while !reader.rest().is_empty() {
            let state = GroupState::read(reader, "group")?;
            let number = self.take_group(queues, queue_at(known, state.queue)?, &state)?;
            if let Some(level) = state.level {
                let rate = queues.rate_of(number).ok_or_else(|| undefined("level"))?;
                queues.set_level(Owner::Group(number), level.into(), rate);
            }
            if state.turn > 0 {
                self.turns.push((state.turn, state.credit, number));
            }
        }
        Ok(())
    }

    fn take_group(&mut self, queues: &mut Queues, queue: QueueId, state: &GroupState<'_>) -> Result<u32, DecodeError> {
        if state.name.is_empty() {
            return Ok(queues.give_turns(queue));
        }
        if queues.groups.find(queue, state.name).is_some() {
            return Err(undefined("name"));
        }
        if !self.numbers.contains_key(&state.number) {
            self.make(queues, queue, state.number)?;
        }
        let number = self.numbers[&state.number];
        if !self.unnamed.remove(&state.number) || queues.groups.group(number).queue != queue {
            return Err(undefined("number"));
        }
        queues.groups.name(number, state.name);
        queues.obey(number);
        queues.settle_group(number);
        Ok(number)
    }

    /// Gives the groups their turns, when all jobs are in line.
    pub fn finish(mut self, queues: &mut Queues) -> Result<(), DecodeError> {
        let is_idle = |number: &u32| {
            let group = queues.groups.group(*number);
            group.jobs == 0 && group.bucket == NIL
        };
        if !self.unnamed.is_empty() || self.numbers.values().any(is_idle) {
            return Err(undefined("group"));
        }
        let told: HashSet<u32> = self.turns.iter().map(|(_, _, number)| *number).collect();
        if told.len() < self.turns.len() {
            return Err(undefined("turn"));
        }
        self.turns.sort_unstable();
        let is_twice = self.turns.windows(2).any(|two| two[0].0 == two[1].0);
        if is_twice || self.turns.last().is_some_and(|(turn, ..)| *turn > self.newest_turn) {
            return Err(undefined("turn"));
        }
        let in_turn = queues.registry.by_id().flatten().filter_map(|queue| queue.turns.as_ref());
        let in_turn: usize = in_turn.map(|turns| turns.count as usize).sum();
        for (turn, credit, number) in &self.turns {
            let queue = queues.groups.group(*number).queue;
            let turns = queues.registry.queue_mut(queue).turns.as_deref_mut();
            let is_given = turns.is_some_and(|turns| queues.groups.give_turn(turns, *number, (*turn, *credit)));
            if !is_given || *credit == 0 {
                return Err(undefined("turn"));
            }
        }
        queues.groups.newest_turn = self.newest_turn;
        if in_turn != self.turns.len() || !queues.needs_all_turns() {
            return Err(undefined("turn"));
        }
        Ok(())
    }
}

/// Takes the settings of single groups.
pub fn take_group_rules(
    queues: &mut Queues,
    known: &[Option<QueueId>],
    reader: &mut Reader<'_>,
) -> Result<(), DecodeError> {
    while !reader.rest().is_empty() {
        let GroupRule { queue, group, settings } = GroupRule::read(reader, "settings")?;
        let id = queue_at(known, queue)?;
        let name = queues.queue_name(id).to_owned();
        let used_at = queues.registry.queue(id).used_at;
        let is_sane = settings.rate.is_none_or(Rate::is_sane) && settings.weight != Some(0);
        let is_more = settings != GroupSettings::default() && !queues.has_group_rules(&name, group);
        if !is_sane || !is_more || queues.group_rules >= GROUP_RULES_MAX {
            return Err(undefined("settings"));
        }
        let ruled = queues.rule(&name, |rules| {
            rules.groups.insert(group.into(), settings);
        });
        ruled.map_err(|_| undefined("queue"))?;
        queues.group_rules += 1;
        queues.regroup_one(id, group);
        queues.registry.queue_mut(id).used_at = used_at;
    }
    Ok(())
}
