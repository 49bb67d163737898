//! What holds in a queue beside its jobs: pauses, settings, its end. And the drain of all.

use super::super::answers::{Answer, Decided, Unanswered};
use super::super::journal::Journal;
use super::super::parked::Parked;
use super::explain::COUNTED_MAX;
use super::looks::figures;
use crate::ids::QueueId;
use crate::limits::{GROUP_RULES_MAX, ITEMS_MAX, QUEUES_MAX, RECORD_OVERHEAD_BYTES_MAX};
use crate::protocol::{
    Call, DeleteQueue, Done, ErrorCode, GroupRow, Groups, GroupsOk, List, Pause, QueueFacts, QueuePause, Refusal,
    Resume, SetGroup, SetQueue, ShowQueue,
};
use crate::queue::{Event, Paused, Queues, Rules, events};
use crate::rules::{GroupSettings, QueueSettings};
use crate::time::{Millis, Timestamp};
use crate::words::counted;

/// Where it is asked: the log, who asks, and when.
pub(super) struct Asked<'m> {
    pub journal: &'m mut Journal,
    pub by: &'m str,
    /// The same for log lines, which name the token, too.
    pub whom: &'m str,
    pub now: Timestamp,
}

impl Asked<'_> {
    pub(super) fn pause<'s>(&mut self, pause: &Pause<'_>, written: &'s mut Vec<u8>) -> Decided<'s> {
        let Pause { queue, way, for_ms, reason } = *pause;
        let until = if for_ms == 0 { Timestamp(0) } else { self.now.plus(Millis(for_ms)) };
        self.make_known(queue)?;
        let by = Some(self.by);
        self.write(events::Pause { queue, way, until, reason, by }.into())?;
        let (why, so_long) = (reason.unwrap_or("no reason given"), Millis(for_ms));
        log::info!("queue {queue} is paused ({}, for {so_long}) by {}: {why}", way.word(), self.whom);
        Ok(done::<Pause<'_>>(written))
    }

    pub(super) fn resume<'s>(&mut self, resume: &Resume<'_>, written: &'s mut Vec<u8>) -> Decided<'s> {
        let Resume { queue, way } = *resume;
        self.known(queue)?;
        let rules = self.journal.queues.rules(queue);
        let is_paused =
            |rules: &Rules| way.is_in() && rules.pause_in.is_some() || way.is_out() && rules.pause_out.is_some();
        if rules.is_some_and(is_paused) {
            // Its room was kept when the queue was paused.
            let event = events::Resume { queue, way, by: Some(self.by) };
            self.journal.record_alone(self.now, &event.into()).map_err(Unanswered::Fatal)?;
            log::info!("queue {queue} goes on ({}), by {}", way.word(), self.whom);
        }
        Ok(done::<Resume<'_>>(written))
    }

    pub(super) fn set<'s>(&mut self, set: &SetQueue<'_>, written: &'s mut Vec<u8>) -> Decided<'s> {
        let SetQueue { queue, settings } = *set;
        self.make_known(queue)?;
        let by = Some(self.by);
        self.write(events::Set { queue, settings, by }.into())?;
        log::info!("the settings of queue {queue} were changed by {}", self.whom);
        Ok(done::<SetQueue<'_>>(written))
    }

    pub(super) fn set_group<'s>(&mut self, set: &SetGroup<'_>, written: &'s mut Vec<u8>) -> Decided<'s> {
        let SetGroup { queue, group, settings } = *set;
        self.make_known(queue)?;
        let queues = &self.journal.queues;
        let is_more = settings != GroupSettings::default() && !queues.has_group_rules(queue, group);
        if is_more && queues.group_rules() >= GROUP_RULES_MAX {
            let text = format!(
                "there are {GROUP_RULES_MAX} groups with settings of their own already; `falcon-cli queue set {queue} \
                 --group-weight GROUP=default` takes those of a group back"
            );
            return Err(Refusal::new(ErrorCode::TooManyGroups, text).into());
        }
        let by = Some(self.by);
        self.write(events::SetGroup { queue, group, settings, by }.into())?;
        log::info!("the settings of group {group:?} of queue {queue} were changed by {}", self.whom);
        Ok(done::<SetGroup<'_>>(written))
    }

    pub(super) fn delete<'s>(&mut self, delete: &DeleteQueue<'_>, written: &'s mut Vec<u8>) -> Decided<'s> {
        let queue = delete.queue;
        self.known(queue)?;
        let jobs = self.journal.queues.counters_of(queue).map_or(0, |counters| counters.jobs());
        if jobs > 0 {
            let jobs = counted(jobs, "job");
            let text =
                format!("queue {queue:?} has {jobs}; `falcon-cli queue purge {queue}` takes out what no worker has");
            return Err(Refusal::new(ErrorCode::WrongState, text).into());
        }
        let by = Some(self.by);
        self.write(events::Forget { queue, by }.into())?;
        log::info!("queue {queue} was deleted by {}", self.whom);
        Ok(done::<DeleteQueue<'_>>(written))
    }

    fn known(&self, queue: &str) -> Result<(), Refusal> {
        if self.journal.queues.is_durable(queue) {
            return Ok(());
        }
        Err(no_queue(queue))
    }

    fn make_known(&self, queue: &str) -> Result<(), Refusal> {
        if self.journal.queues.is_durable(queue) || self.journal.queues.durable_queues() < QUEUES_MAX {
            return Ok(());
        }
        let text = format!("there are {QUEUES_MAX} queues already; queue {queue:?} would be one more");
        Err(Refusal::new(ErrorCode::TooManyQueues, text))
    }

    fn write(&mut self, event: Event<'_>) -> Result<(), Unanswered> {
        // Its own, and what is then kept to resume it.
        if !self.journal.has_room(4 * RECORD_OVERHEAD_BYTES_MAX, 0, self.now)? {
            let text = "no room in the log: no log segment can be made; jobs go on";
            return Err(Refusal::new(ErrorCode::StorageFull, text).into());
        }
        self.journal.begin_group(2 * RECORD_OVERHEAD_BYTES_MAX)?;
        self.journal.record(self.now, &event, false)?;
        Ok(())
    }
}

pub(super) fn no_queue(queue: &str) -> Refusal {
    let text =
        format!("there is no queue {queue:?}: nothing was submitted to it, or it was forgotten when it was idle");
    Refusal::new(ErrorCode::NotFound, text)
}

/// Says that it is done.
pub(super) fn done<'s, 'r, R: Call<'r, Reply = Done>>(written: &'s mut Vec<u8>) -> Answer<'s> {
    Answer::told::<R>(&Done {}, written)
}

/// Everything that is known of a queue.
pub(super) fn show<'s>(
    (journal, parked): (&Journal, &Parked),
    show: &ShowQueue<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    let queues = &journal.queues;
    let counters = queues.counters_of(show.queue).ok_or_else(|| no_queue(show.queue))?;
    let figures = figures(&counters);
    let rules = queues.rules(show.queue);
    let reply = QueueFacts {
        figures: List::lent(&figures),
        settings: rules.map_or(QueueSettings::default(), |rules| rules.settings),
        polled: queues.queue(show.queue).is_some_and(|id| parked.is_polled(id)),
        pause_in: rules.and_then(|rules| rules.pause_in.as_ref()).map(|paused| told_pause(paused, now)),
        pause_out: rules.and_then(|rules| rules.pause_out.as_ref()).map(|paused| told_pause(paused, now)),
    };
    Ok(Answer::told::<ShowQueue<'_>>(&reply, written))
}

/// A page of a queue's groups.
pub(super) fn groups<'s>(
    journal: &Journal,
    asked: &Groups<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    let queues = &journal.queues;
    let queue = queues.queue(asked.queue).filter(|_| queues.is_durable(asked.queue));
    let queue = queue.ok_or_else(|| no_queue(asked.queue))?;
    let (found, next) = match asked.group {
        Some(name) => (vec![name], 0),
        None => queues.groups_from(queue, asked.from, ITEMS_MAX, GROUPS_LOOKED_MAX),
    };
    // Turns are counted for one that is asked for alone: for each of a page that would take its time.
    let counted = if asked.group.is_some() { COUNTED_MAX } else { 0 };
    let rows: Vec<GroupRow<'_>> = found.iter().map(|name| group_row(queues, (queue, name), counted, now)).collect();
    Ok(Answer::told::<Groups<'_>>(&GroupsOk { groups: List::lent(&rows), next }, written))
}

/// Places for groups that are looked at for one page: well below a millisecond.
const GROUPS_LOOKED_MAX: u32 = 10_000;

fn group_row<'n>(queues: &Queues, (queue, name): (QueueId, &'n str), counted: usize, now: Timestamp) -> GroupRow<'n> {
    let settings = queues.own_rules_of_group(queue, name);
    let Some(group) = queues.group(queue, name, counted) else {
        return GroupRow { name, settings, ..GroupRow::default() };
    };
    GroupRow {
        name,
        settings,
        jobs: group.jobs,
        in_flight: group.in_flight.into(),
        before: group.before.filter(|_| counted > 0),
        token_in_ms: group.token_at.map(|at| at.since(now).0),
    }
}

fn told_pause(paused: &Paused, now: Timestamp) -> QueuePause<'_> {
    let left_ms = if paused.until.0 == u64::MAX { 0 } else { paused.until.since(now).0.max(1) };
    QueuePause { left_ms, reason: &paused.reason }
}
