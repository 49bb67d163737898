//! The queues: their names, what is counted in each, and which of them are known for good.
//!
//! A queue that has or had jobs is durable: it stays until an event forgets it. One that was only polled is
//! volatile: it goes with its last poll, and takes no place that a submit needs.

use std::collections::HashMap;

use super::counters::Counters;
use super::deadlines::NIL;
use super::groups::Turns;
use super::lines::Lines;
use super::ruling::Rules;
use crate::ids::QueueId;
use crate::limits::{POLLED_NAMES_MAX, QUEUES_MAX};
use crate::planted::{Bug, is_planted};
use crate::time::Timestamp;

#[derive(Debug)]
pub struct Queue {
    pub name: Box<str>,
    pub lines: Lines,
    pub counters: Counters,
    /// What holds in it beside its jobs, if anything does.
    pub rules: Option<Box<Rules>>,
    /// Whether each of its jobs has to be begun at once when it is handed out.
    pub is_bounded: bool,
    /// Its groups in turn, once it has any.
    pub turns: Option<Box<Turns>>,
    /// The number of its bucket of tokens, if that is not full.
    pub bucket: u32,
    /// When a job in it changed last.
    pub used_at: Timestamp,
    /// When it was last polled, since the state was rebuilt.
    pub polled_at: Option<Timestamp>,
    /// Whether polls may wait in its lines: its number must not pass to another queue.
    is_polled: bool,
    durable: bool,
    woken: bool,
}

#[derive(Debug, Default)]
pub struct Registry {
    queues: Vec<Queue>,
    by_name: HashMap<Box<str>, QueueId>,
    /// The queue that was named last: most often it is named again.
    recent: Option<QueueId>,
    /// Ids of queues that are gone.
    free: Vec<QueueId>,
    durable: usize,
    /// How many ids were given so far.
    given: u64,
    /// What was counted in queues that were forgotten.
    forgotten: Counters,
    /// Queues that got pending jobs since they were last asked for.
    woken: Vec<QueueId>,
}

impl Queue {
    /// Whether a job may leave it, if one is there and it has a token.
    pub fn lets_out(&self) -> bool {
        let Some(rules) = &self.rules else { return true };
        let is_closed = rules.pause_out.is_some() && !is_planted(Bug::PauseLeaks);
        let is_taken = |max| self.counters.in_flight >= u64::from(max) + u64::from(is_planted(Bug::LimitPassed));
        !is_closed && !rules.settings.running_max.is_some_and(is_taken)
    }
}

impl Registry {
    pub fn find(&self, name: &str) -> Option<QueueId> {
        self.by_name.get(name).copied()
    }

    pub fn queue(&self, id: QueueId) -> &Queue {
        &self.queues[id.0 as usize]
    }

    pub fn queue_mut(&mut self, id: QueueId) -> &mut Queue {
        &mut self.queues[id.0 as usize]
    }

    /// How many durable queues there are.
    pub fn durable(&self) -> usize {
        self.durable
    }

    /// How many ids were given so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Whether this queue is there, and durable.
    pub fn is_durable(&self, name: &str) -> bool {
        self.find(name).is_some_and(|id| self.queue(id).durable)
    }

    /// None if there are as many as there may be.
    pub fn polled(&mut self, name: &str) -> Option<QueueId> {
        let is_full = self.by_name.len() - self.durable >= POLLED_NAMES_MAX;
        let known = self.named(name);
        let id = known.or_else(|| (!is_full).then(|| self.make(name)))?;
        self.queue_mut(id).is_polled = true;
        Some(id)
    }

    /// The queue of this name for a job, durable from now on.
    /// None if there are as many as there may be.
    pub fn used(&mut self, name: &str) -> Option<QueueId> {
        let known = self.named(name);
        if let Some(id) = known
            && self.queue(id).durable
        {
            return Some(id);
        }
        if self.durable >= QUEUES_MAX {
            return None;
        }
        let id = known.unwrap_or_else(|| self.make(name));
        self.queue_mut(id).durable = true;
        self.durable += 1;
        Some(id)
    }

    fn named(&mut self, name: &str) -> Option<QueueId> {
        if let Some(id) = self.recent
            && *self.queue(id).name == *name
        {
            return Some(id);
        }
        self.recent = self.find(name);
        self.recent
    }

    fn make(&mut self, name: &str) -> QueueId {
        let queue = Queue {
            name: name.into(),
            lines: Lines::default(),
            counters: Counters::default(),
            rules: None,
            is_bounded: false,
            turns: None,
            bucket: NIL,
            used_at: Timestamp(0),
            polled_at: None,
            is_polled: false,
            durable: false,
            woken: false,
        };
        let id = if let Some(id) = self.free.pop() {
            self.queues[id.0 as usize] = queue;
            id
        } else {
            self.queues.push(queue);
            QueueId(u32::try_from(self.queues.len() - 1).expect("queues are bounded"))
        };
        self.by_name.insert(name.into(), id);
        self.given += 1;
        id
    }

    /// No poll names this queue any more; one that was only polled goes.
    pub fn unpolled(&mut self, id: QueueId) {
        self.queue_mut(id).is_polled = false;
        let queue = self.queue(id);
        if !queue.durable && self.find(&queue.name) == Some(id) {
            self.remove(id);
        }
    }

    /// Whether a queue can be forgotten: one that is durable and has no jobs.
    pub fn can_forget(&self, id: QueueId) -> Result<(), &'static str> {
        let queue = self.queue(id);
        if !queue.durable || queue.counters.jobs() > 0 {
            return Err("the queue has jobs");
        }
        Ok(())
    }

    /// Forgets a queue that can be. One that is polled becomes a volatile one.
    pub fn forget(&mut self, id: QueueId) {
        let queue = self.queue(id);
        let (counters, is_polled) = (queue.counters, queue.is_polled);
        self.forgotten.add(&counters);
        self.durable -= 1;
        if is_polled {
            self.clear(id);
        } else {
            self.remove(id);
        }
    }

    /// Nothing is known of a queue any more but its name, and who polls it.
    fn clear(&mut self, id: QueueId) {
        let queue = self.queue_mut(id);
        (queue.durable, queue.counters, queue.lines) = (false, Counters::default(), Lines::default());
        (queue.rules, queue.is_bounded) = (None, false);
    }

    fn remove(&mut self, id: QueueId) {
        let name = std::mem::take(&mut self.queue_mut(id).name);
        self.by_name.remove(&name);
        self.clear(id);
        self.queue_mut(id).polled_at = None;
        self.recent = None;
        self.free.push(id);
    }

    /// Durable queues without jobs, rules and groups that were last used before `before`.
    pub fn idle(&self, before: Timestamp) -> impl Iterator<Item = QueueId> {
        let is_empty = |queue: &Queue| queue.counters.jobs() == 0 && queue.rules.is_none() && queue.turns.is_none();
        let idle = move |queue: &Queue| queue.durable && is_empty(queue) && queue.used_at < before;
        (0..).map(QueueId).zip(&self.queues).filter(move |(_, queue)| idle(queue)).map(|(id, _)| id)
    }

    /// Notes that a queue got a pending job.
    pub fn wake(&mut self, id: QueueId) {
        let queue = self.queue_mut(id);
        if !queue.woken {
            queue.woken = true;
            self.woken.push(id);
        }
    }

    pub fn take_woken(&mut self) -> Option<QueueId> {
        let id = self.woken.pop()?;
        self.queue_mut(id).woken = false;
        Some(id)
    }

    /// All durable queues by their ids, and nothing for ids that none has.
    pub fn by_id(&self) -> impl Iterator<Item = Option<&Queue>> {
        self.queues.iter().map(|queue| Some(queue).filter(|queue| queue.durable))
    }

    pub fn counters(&self) -> Vec<(QueueId, &str, &Counters)> {
        let queues = (0..).map(QueueId).zip(self.by_id());
        let mut all: Vec<_> =
            queues.filter_map(|(id, queue)| queue.map(|queue| (id, &*queue.name, &queue.counters))).collect();
        all.sort_unstable_by_key(|(_, name, _)| *name);
        all
    }

    pub fn forgotten(&self) -> Counters {
        self.forgotten
    }

    pub fn set_forgotten(&mut self, forgotten: Counters) {
        self.forgotten = forgotten;
    }

    /// All jobs by where they stand, those that ended in forgotten queues among them.
    pub fn totals(&self) -> Counters {
        let mut totals = self.forgotten;
        self.queues.iter().for_each(|queue| totals.add(&queue.counters));
        totals
    }

    /// Bytes of all queues with their lines, as if each had all of them.
    pub fn memory_bytes(&self) -> u64 {
        (self.queues.len() * (size_of::<Queue>() + Lines::BYTES)) as u64
    }

    /// Whether the count of durable queues is right, and each name leads to its queue.
    pub fn check(&self) {
        assert_eq!(self.by_id().flatten().count(), self.durable, "durable queues");
        for (name, id) in &self.by_name {
            assert_eq!(self.queue(*id).name, *name, "name of a queue");
        }
        assert_eq!(self.by_name.len() + self.free.len(), self.queues.len(), "ids of queues");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polled_names_take_no_place_that_a_submit_needs() {
        let mut registry = Registry::default();
        for number in 0..POLLED_NAMES_MAX {
            registry.polled(&format!("p{number}")).unwrap();
        }
        assert_eq!(registry.polled("one more"), None);
        for number in 0..QUEUES_MAX {
            registry.used(&format!("u{number}")).unwrap();
        }
        assert_eq!(registry.used("one more"), None);
        assert!(registry.polled("u7").is_some(), "a queue that is there can be polled");
        assert_eq!(registry.used("p1"), None);
        registry.check();
    }

    #[test]
    fn a_forgotten_queue_leaves_its_counts_and_frees_its_name() {
        let mut registry = Registry::default();
        let id = registry.used("a").unwrap();
        registry.queue_mut(id).counters.completed = 7;
        registry.queue_mut(id).counters.pending = 1;
        assert!(registry.can_forget(id).is_err());
        registry.queue_mut(id).counters.pending = 0;
        assert_eq!(registry.idle(Timestamp(1)).collect::<Vec<_>>(), [id]);
        registry.can_forget(id).unwrap();
        registry.forget(id);
        assert_eq!((registry.find("a"), registry.totals().completed, registry.durable()), (None, 7, 0));
        let again = registry.polled("a").unwrap();
        registry.unpolled(again);
        assert_eq!(registry.find("a"), None);
        registry.check();
    }
}
