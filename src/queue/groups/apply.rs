//! What becomes of groups, turns and tokens when jobs come, move and go: a part of `apply`.

use super::{Home, Level, Owner, Turns};
use crate::ids::QueueId;
use crate::job::Standing;
use crate::limits::{GROUP_WEIGHT_DEFAULT, GROUPS_MAX};
use crate::planted::{Bug, is_planted};
use crate::queue::Queues;
use crate::queue::deadlines::NIL;
use crate::rules::{GroupSettings, Rate};
use crate::time::Timestamp;

impl Queues {
    /// Whether there is no place for a group that this one would be.
    pub(in crate::queue) fn lacks_group(&self, queue: &str, group: &str) -> bool {
        let known = || self.registry.find(queue).and_then(|queue| self.groups.find(queue, group));
        !group.is_empty() && self.groups.named() >= GROUPS_MAX && known().is_none()
    }

    /// Where a job of this group lines up; the group is made if it is not there.
    pub(in crate::queue) fn home(&mut self, queue: QueueId, group: &str) -> Home {
        if group.is_empty() {
            return Home::of_queue(queue);
        }
        let known = self.groups.find(queue, group);
        Home::of_group(known.unwrap_or_else(|| self.make_group(queue, group)))
    }

    pub(in crate::queue) fn make_group(&mut self, queue: QueueId, name: &str) -> u32 {
        self.give_turns(queue);
        let number = self.groups.add(queue, name);
        if let Some(turns) = &mut self.registry.queue_mut(queue).turns {
            turns.named += 1;
        }
        self.obey(number);
        number
    }

    /// From now on the groups of this queue have turns, the jobs that are in none among them.
    pub(in crate::queue) fn give_turns(&mut self, queue: QueueId) -> u32 {
        if let Some(turns) = &self.registry.queue(queue).turns {
            return turns.nameless;
        }
        let nameless = self.groups.add(queue, "");
        let queue = self.registry.queue_mut(queue);
        // All jobs that are there are in no group.
        let group = &mut self.groups.groups[nameless];
        (group.in_flight, group.retrying) = (queue.counters.in_flight as u32, queue.counters.retrying as u32);
        queue.turns = Some(Box::new(Turns::new(nameless)));
        self.obey(nameless);
        self.settle_group(nameless);
        nameless
    }

    /// The group of a home in a queue that has turns.
    fn group_at(&self, home: Home) -> Option<u32> {
        let nameless = || Some(self.registry.queue(self.groups.queue_of(home)).turns.as_ref()?.nameless);
        home.group().or_else(nameless)
    }

    /// A job of this home is in this state from now on, or is no more.
    pub(in crate::queue) fn note_group(&mut self, home: Home, standing: Standing, is_retrying: bool, enters: bool) {
        let Some(number) = self.group_at(home) else { return };
        let group = &mut self.groups.groups[number];
        let counted = |count: u32| if enters { count + 1 } else { count - 1 };
        if standing == Standing::InFlight {
            group.in_flight = counted(group.in_flight);
        }
        if is_retrying {
            group.retrying = counted(group.retrying);
        }
        self.settle_group(number);
    }

    /// Changes a job that waits, and takes it out of its line for that: its group keeps its turn if it still has it.
    pub(in crate::queue) fn keeping_its_turn(&mut self, home: Home, change: impl FnOnce(&mut Self)) {
        let number = self.group_at(home);
        self.groups.held = number;
        change(self);
        self.groups.held = None;
        if let Some(number) = number {
            self.settle_group(number);
        }
    }

    /// Puts a group into the ring of its queue if it may hand out a job, or takes it out.
    pub(in crate::queue) fn settle_group(&mut self, number: u32) {
        if self.groups.held == Some(number) {
            return;
        }
        let group = self.groups.group(number);
        let (id, in_turn) = (group.queue, group.in_turn);
        let queue = self.registry.queue_mut(id);
        let Some(turns) = queue.turns.as_deref_mut() else { return };
        let is_nameless = number == turns.nameless;
        let has_jobs = if is_nameless { queue.lines.front().is_some() } else { group.first_line != NIL };
        let is_strict = queue.rules.as_ref().is_some_and(|rules| rules.settings.strict == Some(true));
        let is_ready = has_jobs && self.groups.may_run(number, is_strict);
        if is_ready && !in_turn {
            self.groups.append(turns, number);
            self.registry.wake(id);
        } else if !is_ready && in_turn {
            self.groups.unlink(turns, number);
        }
    }

    /// A job was handed out: it takes its tokens, and its part of its group's turn.
    pub(in crate::queue) fn count_dispatch(&mut self, home: Home) {
        let id = self.groups.queue_of(home);
        let queue = self.registry.queue_mut(id);
        // Most queues have neither.
        if queue.turns.is_none() && queue.rules.is_none() {
            return;
        }
        let rate = queue.rules.as_ref().and_then(|rules| rules.settings.rate);
        if let Some(rate) = rate {
            self.take_token(Owner::Queue(id), rate);
        }
        let Some(number) = self.group_at(home) else { return };
        if let Some(turns) = self.registry.queue_mut(id).turns.as_deref_mut() {
            self.groups.count_turn(turns, number);
        }
        if let Some(rate) = self.rate_of(number) {
            self.take_token(Owner::Group(number), rate);
            self.settle_group(number);
        }
    }

    fn take_token(&mut self, owner: Owner, rate: Rate) {
        if is_planted(Bug::TokensFree) {
            return;
        }
        let number = self.bucket_of(owner);
        let level = if number == NIL { Level::default() } else { self.groups.buckets.bucket(number).level };
        self.set_level(owner, level.take(rate, self.now), rate);
    }

    /// From now on there is so much in somebody's bucket.
    pub(in crate::queue) fn set_level(&mut self, owner: Owner, level: Level, rate: Rate) {
        let mut number = self.bucket_of(owner);
        if number == NIL {
            number = self.groups.buckets.add(owner, level, rate);
            self.set_bucket(owner, number);
        } else {
            if let Owner::Group(group) = owner {
                self.groups.preserve(group);
            }
            self.groups.buckets.set(number, level, rate);
        }
        if self.groups.buckets.wait(number, self.now) {
            self.drop_bucket(owner);
        }
    }

    fn bucket_of(&self, owner: Owner) -> u32 {
        match owner {
            Owner::Queue(queue) => self.registry.queue(queue).bucket,
            Owner::Group(group) => self.groups.group(group).bucket,
        }
    }

    fn set_bucket(&mut self, owner: Owner, number: u32) {
        match owner {
            Owner::Queue(queue) => self.registry.queue_mut(queue).bucket = number,
            Owner::Group(group) => {
                self.groups.preserve(group);
                self.groups.groups[group].bucket = number;
            }
        }
    }

    fn drop_bucket(&mut self, owner: Owner) {
        let number = self.bucket_of(owner);
        if number != NIL {
            self.set_bucket(owner, NIL);
            self.groups.buckets.remove(number);
        }
    }

    /// The waits for tokens that are over by now, in the order in which they were: by their moments, and then by names.
    pub(in crate::queue) fn refills(&mut self) -> Vec<(Timestamp, Owner)> {
        let mut over = self.groups.buckets.advance(self.now);
        over.sort_unstable_by_key(|(at, owner)| match owner {
            Owner::Queue(queue) => (*at, *queue, ""),
            Owner::Group(group) => (*at, self.groups.group(*group).queue, self.groups.name_of(*group)),
        });
        over
    }

    /// Somebody has a token again, or as many as may be.
    pub(in crate::queue) fn refill(&mut self, owner: Owner) {
        let number = self.bucket_of(owner);
        if number == NIL {
            return;
        }
        if self.groups.buckets.wait(number, self.now) {
            self.drop_bucket(owner);
        }
        match owner {
            Owner::Queue(queue) => self.registry.wake(queue),
            Owner::Group(group) => {
                self.settle_group(group);
                self.let_go(group);
            }
        }
    }

    /// A group has one more job.
    pub(in crate::queue) fn enter_group(&mut self, home: Home) {
        if let Some(number) = home.group() {
            self.groups.groups[number].jobs += 1;
        }
    }

    /// A group has lost a job.
    pub(in crate::queue) fn leave_group(&mut self, home: Home) {
        if let Some(number) = home.group() {
            self.groups.groups[number].jobs -= 1;
            self.let_go(number);
        }
    }

    /// A group goes that has no jobs and whose bucket is full, and the turns of its queue with the last of them.
    fn let_go(&mut self, number: u32) {
        let group = self.groups.group(number);
        let (queue, is_idle) = (group.queue, group.jobs == 0 && group.bucket == NIL);
        if is_idle
            && !self.groups.name_of(number).is_empty()
            && let Some(turns) = self.registry.queue_mut(queue).turns.as_deref_mut()
        {
            turns.named -= 1;
            self.groups.remove(number);
        }
        self.drop_turns(queue);
    }

    fn drop_turns(&mut self, id: QueueId) {
        let queue = self.registry.queue_mut(id);
        let is_plain = queue.rules.as_ref().is_none_or(|rules| !rules.has_turns());
        let Some(turns) = queue.turns.as_deref_mut().filter(|turns| turns.named == 0 && is_plain) else { return };
        let nameless = turns.nameless;
        if self.groups.group(nameless).bucket == NIL {
            if self.groups.group(nameless).in_turn {
                self.groups.unlink(turns, nameless);
            }
            self.groups.remove(nameless);
            queue.turns = None;
        }
    }

    /// Takes over what the rules of its queue say of a group.
    pub(super) fn obey(&mut self, number: u32) {
        let queue = self.groups.group(number).queue;
        let rules = self.registry.queue(queue).rules.as_deref();
        let own = rules.map(|rules| rules.group(self.groups.name_of(number))).unwrap_or_default();
        self.groups.weigh(number, own.weight.unwrap_or(GROUP_WEIGHT_DEFAULT));
        self.groups.groups[number].running_max = own.running_max.unwrap_or(u32::MAX);
        self.obey_rate(Owner::Group(number), own.rate);
    }

    /// A bucket goes on by another rate, or ends with it.
    fn obey_rate(&mut self, owner: Owner, rate: Option<Rate>) {
        let number = self.bucket_of(owner);
        if number == NIL {
            return;
        }
        let Some(rate) = rate else { return self.drop_bucket(owner) };
        let bucket = self.groups.buckets.bucket(number);
        if bucket.rate != rate {
            let level = bucket.level.converted(bucket.rate, rate, self.now);
            self.set_level(owner, level, rate);
        }
    }

    pub(super) fn rate_of(&self, number: u32) -> Option<Rate> {
        let queue = self.groups.group(number).queue;
        self.registry.queue(queue).rules.as_ref()?.group(self.groups.name_of(number)).rate
    }

    /// The rules of a queue are others now: its groups and buckets go by them.
    pub(in crate::queue) fn regroup(&mut self, id: QueueId) {
        let rules = self.registry.queue(id).rules.as_deref();
        let (has_turns, rate) = rules.map_or((false, None), |rules| (rules.has_turns(), rules.settings.rate));
        self.obey_rate(Owner::Queue(id), rate);
        if has_turns {
            self.give_turns(id);
        }
        if self.registry.queue(id).turns.is_none() {
            return;
        }
        let mut numbers: Vec<u32> = self.groups.of_queue(id).collect();
        numbers.sort_unstable_by_key(|number| self.groups.name_of(*number));
        for number in &numbers {
            self.obey(*number);
            self.settle_group(*number);
        }
        // The one without a name comes first, and may go with the last of them.
        numbers.iter().skip(1).for_each(|number| self.let_go(*number));
        self.drop_turns(id);
    }

    /// The same where only what holds for one group has changed.
    pub(in crate::queue) fn regroup_one(&mut self, id: QueueId, name: &str) {
        let nameless = self.give_turns(id);
        let number = if name.is_empty() { Some(nameless) } else { self.groups.find(id, name) };
        if let Some(number) = number {
            self.obey(number);
            self.settle_group(number);
            self.let_go(number);
        }
        self.drop_turns(id);
    }

    /// A queue without jobs is forgotten: what is left of its groups goes with it.
    pub(in crate::queue) fn forget_groups(&mut self, id: QueueId) {
        self.drop_bucket(Owner::Queue(id));
        if self.registry.queue_mut(id).turns.take().is_some() {
            let numbers: Vec<u32> = self.groups.of_queue(id).collect();
            for number in numbers {
                self.groups.remove(number);
            }
        }
    }

    /// The entry that would leave a queue next.
    pub(in crate::queue) fn front_of(&self, id: QueueId) -> Option<u32> {
        let queue = self.registry.queue(id);
        let is_throttled = queue.bucket != NIL && self.groups.buckets.next_token_at(queue.bucket).is_some();
        if is_throttled || !queue.lets_out() {
            return None;
        }
        let Some(turns) = &queue.turns else { return queue.lines.front() };
        let first = turns.first()?;
        if first == turns.nameless { queue.lines.front() } else { self.groups.front(first) }
    }

    /// What holds for a group, by its name or as for each of its queue.
    pub fn rules_of_group(&self, queue: QueueId, group: &str) -> GroupSettings {
        self.registry.queue(queue).rules.as_ref().map(|rules| rules.group(group)).unwrap_or_default()
    }
}

impl super::Groups {
    /// Whether a group with jobs may hand one out.
    pub(super) fn may_run(&self, number: u32, is_strict: bool) -> bool {
        let group = self.group(number);
        let running_max = group.running_max.saturating_add(u32::from(is_planted(Bug::GroupLimitPassed)));
        let is_held = is_strict && (group.in_flight > 0 || group.retrying > 0) && !is_planted(Bug::StrictPassed);
        let has_token = group.bucket == NIL || self.buckets.next_token_at(group.bucket).is_none();
        group.in_flight < running_max && !is_held && has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, Location, Lsn};
    use crate::limits::GROUP_RULES_MAX;
    use crate::queue::events::{Enqueue, SetGroup};
    use crate::queue::{Broken, Event};

    fn take<'e>(queues: &mut Queues, number: u64, event: impl Into<Event<'e>>) -> Result<(), Broken> {
        queues.apply(Lsn(number), Timestamp(10), &event.into(), Location::default())
    }

    #[test]
    fn there_are_no_more_groups_with_jobs_than_the_limit() {
        let mut queues = Queues::default();
        for number in 1..=GROUPS_MAX as u64 {
            let group = format!("{number}");
            take(
                &mut queues,
                number,
                Enqueue { job: JobId(number), queue: "q", group: Some(&group), ..Enqueue::default() },
            )
            .unwrap();
        }
        let next = GROUPS_MAX as u64 + 1;
        let job = Enqueue { job: JobId(next), queue: "q", ..Enqueue::default() };
        assert!(take(&mut queues, next, Enqueue { group: Some("one more"), ..job }).is_err());
        take(&mut queues, next, Enqueue { group: Some("7"), ..job }).unwrap();
    }

    #[test]
    fn there_are_no_more_groups_with_settings_than_the_limit() {
        let mut queues = Queues::default();
        let settings = GroupSettings { weight: Some(2), ..GroupSettings::default() };
        let set = |queues: &mut Queues, number: u64, group: &str| {
            take(queues, number, SetGroup { queue: "q", group, settings, ..SetGroup::default() })
        };
        for number in 1..=GROUP_RULES_MAX as u64 {
            set(&mut queues, number, &format!("{number}")).unwrap();
        }
        let next = GROUP_RULES_MAX as u64 + 1;
        assert!(set(&mut queues, next, "one more").is_err());
        set(&mut queues, next, "7").unwrap();
    }
}
