//! What a person asks, held against the lists.

use super::{QUEUES, Run};
use crate::frames::{self, *};
use crate::lists::{GROUPS, NEVER, Rules, State, Turns};
use falconqueue::time::{Millis, Timestamp};

impl Run {
    /// One that is or was there, or one that never was.
    pub fn any_job(&self, pick: usize) -> u64 {
        let ids: Vec<u64> = self.model.jobs.keys().copied().chain([1_000_000]).collect();
        ids[pick % ids.len()]
    }

    pub fn mend(&mut self, change: u8, pick: usize) {
        let id = self.any_job(pick);
        let expected = match change {
            CANCEL | CANCEL_NOW => self.model.cancel(id, change == CANCEL_NOW),
            REQUEUE => self.model.requeue(id),
            _ => self.model.purge(id),
        };
        let reply = self.hand.ask_frame(self.clients[0], &frames::mend(change, &[id]));
        assert_eq!(status(reply, MEND_OK, id), expected, "change {change} of job {id}");
    }

    pub fn update(&mut self, pick: usize, to: &Updated) {
        let id = self.any_job(pick);
        let is_there = self.model.there(id).is_some();
        let expected = match is_there && self.model.update(id, to) {
            true => 0,
            false if is_there => WRONG_STATE,
            false => NOT_FOUND,
        };
        let reply = self.hand.ask_frame(self.clients[0], &frames::update(&[id], to));
        assert_eq!(status(reply, MEND_OK, id), expected, "{to:?} of job {id}");
    }

    pub fn pause(&mut self, queue: usize, way: u8, for_ms: u64) {
        let until = self.model.pause_end(for_ms);
        self.model.rules[queue].set(way, Some(until));
        let reply = self.hand.ask_frame(self.clients[0], &frames::pause(QUEUES[queue], way, for_ms, "a test"));
        assert_eq!(reply, Reply::Settled(0x8016));
    }

    pub fn resume(&mut self, queue: usize, way: u8) {
        let is_unknown = self.is_unknown(queue);
        self.model.rules[queue].set(way, None);
        let reply = self.hand.ask_frame(self.clients[0], &frames::resume(QUEUES[queue], way));
        assert!(reply == Reply::Settled(0x8017) || is_unknown && is_error(&reply, NOT_FOUND), "{reply:?}");
    }

    pub fn set(&mut self, queue: usize, settings: &QueueSettings) {
        self.model.rules[queue].settings = settings.clone();
        self.model.obey(queue);
        let reply = self.hand.ask_frame(self.clients[0], &set_queue(QUEUES[queue], settings));
        assert_eq!(reply, Reply::Settled(0x8018));
        let shown = self.hand.ask_frame(self.clients[0], &show_queue(QUEUES[queue]));
        let Reply::ShowQueueOk(shown) = shown else { panic!("{shown:?}") };
        assert_eq!(shown.settings, *settings);
        let Rules { pause_in, pause_out, .. } = self.model.rules[queue];
        let left_ms = |until: Timestamp| if until == NEVER { 0 } else { until.since(self.hand.now).0 };
        let left = [pause_in, pause_out].map(|until| until.map(|until| (left_ms(until), "a test".to_owned())));
        assert_eq!(shown.pauses, left);
    }

    pub fn set_group(&mut self, queue: usize, group: usize, settings: &GroupSettings) {
        self.model.rules[queue].groups.insert(group, settings.clone());
        if *settings == GroupSettings::default() {
            self.model.rules[queue].groups.remove(&group);
        }
        self.model.obey(queue);
        let reply = self.hand.ask_frame(self.clients[0], &frames::set_group(QUEUES[queue], GROUPS[group], settings));
        assert_eq!(reply, Reply::Settled(0x8021));
        self.hold_group(queue, group);
    }

    /// What is told of a group is what the lists say.
    fn hold_group(&mut self, queue: usize, group: usize) {
        let reply = self.hand.ask_frame(self.clients[0], &frames::groups(QUEUES[queue], 0, Some(GROUPS[group])));
        let Reply::GroupsOk(rows, 0) = reply else { panic!("{reply:?}") };
        let [row] = &rows[..] else { panic!("{rows:?}") };
        let own = self.model.rules[queue].groups.get(&group).cloned().unwrap_or_default();
        assert_eq!((row.name.as_str(), &row.settings), (GROUPS[group], &own));
        let turns = &self.model.turns[queue];
        let before = turns.ring.iter().position(|(other, _)| *other == group).map(|before| before as u64);
        if row.before.is_some() {
            assert_eq!(row.before, before, "turns of group {group}");
        }
        let in_flight = self.model.count(|job| job.queue == queue && job.group == group && job.state.is_in_flight());
        assert!(row.in_flight == in_flight || row.jobs == 0, "{row:?}");
    }

    pub fn delete(&mut self, queue: usize) {
        let has_jobs = self.model.count(|job| job.queue == queue) > 0;
        let is_unknown = self.is_unknown(queue);
        let reply = self.hand.ask_frame(self.clients[0], &delete_queue(QUEUES[queue]));
        if has_jobs {
            return assert!(is_error(&reply, WRONG_STATE), "{reply:?}");
        }
        self.model.rules[queue] = Rules::default();
        self.model.turns[queue] = Turns::default();
        assert!(reply == Reply::Settled(0x8019) || is_unknown && is_error(&reply, NOT_FOUND), "{reply:?}");
    }

    /// It may not be there: it has no jobs and no rules, and may have been forgotten.
    fn is_unknown(&self, queue: usize) -> bool {
        self.model.rules[queue] == Rules::default() && self.model.count(|job| job.queue == queue) == 0
    }

    pub fn wait(&mut self, picks: &[usize], any: bool, wait_ms: u32) {
        let ids: Vec<u64> = picks.iter().map(|pick| self.any_job(*pick)).collect();
        let number = self.hand.send_frame(self.waiter, &frames::wait(&ids, any, wait_ms));
        self.model.wait_for(number, &ids, any, wait_ms);
        self.settle();
    }

    pub fn idle(&mut self, queue: Option<usize>, wait_ms: u32) {
        let name = queue.map_or("", |queue| QUEUES[queue]);
        let number = self.hand.send_frame(self.waiter, &frames::idle(name, wait_ms));
        let until = self.model.now.plus(Millis(wait_ms.into()));
        self.model.idle.push((number, queue, until));
        self.settle();
    }

    fn settle(&mut self) {
        self.hand.turn().expect("the log takes records");
        self.hand.sync();
    }

    /// What the waiter hears is what the lists say, each answer once.
    pub fn hold_waits(&mut self) {
        let mut heard = self.hand.heard_numbered(self.waiter);
        let mut take = |number: u64| {
            let at = heard.iter().position(|(heard, _)| *heard == number);
            let at = at.unwrap_or_else(|| panic!("wait {number} is over and not answered: {heard:?}"));
            heard.remove(at).1
        };
        for (number, ends) in self.model.ends() {
            assert_eq!(take(number), Reply::WaitOk(ends), "wait {number}");
        }
        for (number, queue, (left_now, delayed_now)) in self.model.idle_ends() {
            let Reply::IdleOk { left, delayed, died, dead } = take(number) else { panic!("no IdleOk for {number}") };
            assert_eq!((left, delayed), (left_now, delayed_now), "idle {number}");
            assert_eq!(dead, self.model.dead(queue), "idle {number}");
            let counted = self.model.tally.died;
            match queue {
                None => assert_eq!(died, counted[0] + counted[1]),
                // A queue that is made anew begins at 0.
                Some(queue) => assert!(died <= counted[queue]),
            }
        }
        assert!(heard.is_empty(), "nobody waits for {heard:?}");
    }

    /// The result of a completed job, as long as it is kept.
    pub fn text(&mut self, pick: usize) {
        let id = self.any_job(pick);
        let reply = self.hand.ask_frame(self.clients[0], &result_of(id));
        match self.model.there(id) {
            None => assert!(is_error(&reply, NOT_FOUND), "{reply:?}"),
            Some(job) if job.state == State::Completed => assert_eq!(reply, Reply::TextOk(job.result.clone())),
            Some(_) => assert!(is_error(&reply, WRONG_STATE), "{reply:?}"),
        }
    }
}
