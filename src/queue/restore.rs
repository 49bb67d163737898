//! A snapshot's blocks back to state; the format is told in `snapshot`.

use super::Queues;
use super::after::{Tombstone, Waits};
use super::batches::{KIND_BATCHES, KIND_RUNS, take_batches, take_runs};
use super::counters::Counters;
use super::entry::{Entry, Text};
use super::groups::{Owner, TakingGroups, take_group_rules};
use super::leases::Granted;
use super::ruling::Paused;
use super::schedules::{KIND_SCHEDULES, take_schedules};
use super::sides::NEVER;
use super::snapshot::{
    AFTER, Before as Fields, CANCELLED, EndedKey, FLAGS_KNOWN, GROUPED, Head, KEEP, KEY, KIND_GROUP_RULES, KIND_GROUPS,
    KIND_JOBS, KIND_KEYS, KIND_QUEUES, KIND_TOMBSTONES, PAST, PAYLOAD, PauseState, QueueState, RARE, SET, STANDING,
    TRIED, sum,
};
use crate::codec::{DecodeError, Fault, Field, Reader};
use crate::ids::{JobId, LeaseId, Location, Lsn, QueueId};
use crate::job::{Backoff, Before, Ending, IfFailed, Settings, Standing, Unique};
use crate::limits::{JOB_ID_END, JOB_IDS_AHEAD_MAX};
use crate::time::Timestamp;

/// Takes in a snapshot, block by block.
#[derive(Debug, Default)]
pub struct Restoring {
    /// The LSN of the snapshot, if it was told.
    lsn: Option<Lsn>,
    has_head: bool,
    /// The snapshot's queues as they are called here; nothing for one that it does not use.
    queues: Vec<Option<QueueId>>,
    /// Pending jobs: their home and priority, their order, their slot.
    lines: Vec<(u64, u64, u32)>,
    groups: TakingGroups,
}

/// Places and turns are far below this: they are given one by one.
const COUNTS_END: u64 = 1 << 63;

pub(super) fn undefined(field: &'static str) -> DecodeError {
    DecodeError::new(field, Fault::Undefined)
}

fn within<T: TryFrom<u64>>(reader: &mut Reader<'_>, field: &'static str) -> Result<T, DecodeError> {
    T::try_from(reader.varint(field)?).map_err(|_| undefined(field))
}

impl Restoring {
    /// Of a snapshot that holds everything up to this LSN.
    pub fn up_to(lsn: Lsn) -> Restoring {
        Restoring { lsn: Some(lsn), ..Restoring::default() }
    }

    /// Takes the next block.
    ///
    /// # Errors
    /// The field that cannot be; one `is_unknown` if a later version may know the block or what is in it.
    pub fn block(&mut self, queues: &mut Queues, kind: u32, body: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(body);
        match kind {
            KIND_QUEUES => self.take_queues(queues, &mut reader),
            KIND_JOBS => {
                let mut before = Fields::default();
                while !reader.rest().is_empty() {
                    self.take_job(queues, &mut reader, &mut before)?;
                }
                Ok(())
            }
            KIND_KEYS => take_keys(queues, &mut reader),
            KIND_GROUPS => self.groups.take_groups(queues, &self.queues, &mut reader),
            KIND_GROUP_RULES if queues.table.len() > 0 || self.groups.has_any() => Err(undefined("settings")),
            KIND_GROUP_RULES => take_group_rules(queues, &self.queues, &mut reader),
            KIND_SCHEDULES => take_schedules(queues, &mut reader),
            KIND_BATCHES | KIND_RUNS if queues.table.len() > 0 => Err(undefined("batch")),
            KIND_BATCHES => take_batches(queues, &mut reader),
            KIND_RUNS => take_runs(queues, &mut reader),
            KIND_TOMBSTONES => take_tombstones(queues, &mut reader),
            _ => Err(DecodeError::new("block", Fault::Unknown(u64::from(kind)))),
        }
    }

    /// Lines the pending jobs up; that was all.
    ///
    /// # Errors
    /// When two of them have one place.
    pub fn finish(mut self, queues: &mut Queues) -> Result<(), DecodeError> {
        self.lines.sort_unstable();
        let place = |(line, order, _): &(u64, u64, u32)| (*line, *order);
        if self.lines.windows(2).any(|two| place(&two[0]) == place(&two[1])) {
            return Err(undefined("order"));
        }
        for (_, order, slot) in self.lines {
            queues.table[slot].set_order(order);
            let id = queues.groups.queue_of(queues.table[slot].home);
            let used_at = queues.registry.queue(id).used_at;
            queues.line_up(slot);
            queues.registry.queue_mut(id).used_at = used_at;
        }
        if queues.are_batches_torn() {
            return Err(undefined("batch"));
        }
        self.groups.finish(queues)
    }

    fn take_queues(&mut self, queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if self.has_head {
            return Err(undefined("head"));
        }
        self.has_head = true;
        let head = Head::read(reader, "head")?;
        queues.advance(head.now);
        // The table takes memory for all ids between the oldest job and the newest.
        if self.lsn.is_some_and(|lsn| head.next_job.0 > lsn.0.saturating_add(JOB_IDS_AHEAD_MAX)) {
            return Err(undefined("next_job"));
        }
        queues.next_job = head.next_job;
        if head.back >= COUNTS_END || head.newest_turn >= COUNTS_END || head.front > head.back.saturating_add(1) {
            return Err(undefined("back"));
        }
        (queues.back, queues.front) = (head.back, head.front);
        self.groups.newest_turn = head.newest_turn;
        queues.batches.newest = head.newest_batch;
        queues.registry.set_forgotten(Counters::default().with_tally(head.forgotten));
        while !reader.rest().is_empty() {
            let state = QueueState::read(reader, "queue")?;
            if state.name.is_empty() {
                self.queues.push(None);
                continue;
            }
            let id = queues.registry.used(state.name).ok_or_else(|| undefined("name"))?;
            let queue = queues.registry.queue_mut(id);
            queue.counters = queue.counters.with_tally(state.tally);
            self.queues.push(Some(id));
            take_rules(queues, &state)?;
            if let Some(level) = state.level {
                let rate = state.settings.and_then(|settings| settings.rate).ok_or_else(|| undefined("level"))?;
                queues.set_level(Owner::Queue(id), level.into(), rate);
            }
            queues.registry.queue_mut(id).used_at = state.used_at;
        }
        Ok(())
    }

    fn take_job(
        &mut self,
        queues: &mut Queues,
        reader: &mut Reader<'_>,
        before: &mut Fields,
    ) -> Result<(), DecodeError> {
        let flags = reader.varint("flags")?;
        if flags & !FLAGS_KNOWN != 0 {
            return Err(DecodeError::new("flags", Fault::Unknown(flags)));
        }
        let id = JobId(sum(&mut before.id, reader.varint("id")?));
        if id.0 == 0 || id >= queues.next_job || id.0 >= JOB_ID_END || queues.table.slot(id).is_some() {
            return Err(undefined("id"));
        }
        let queue: usize = within(reader, "queue")?;
        let queue = self.queues.get(queue).copied().flatten().ok_or_else(|| undefined("queue"))?;
        let submitted_at = Timestamp(sum(&mut before.submitted_at, reader.varint("submitted_at")?)).into();
        let group = (flags & GROUPED != 0).then(|| within(reader, "group")).transpose()?;
        let home = self.groups.home(queues, queue, group)?;
        let mut entry = Entry { id, home, submitted_at, ..Entry::vacant() };
        take_settings(&mut entry, flags, reader)?;
        take_payload(&mut entry, flags, reader, before)?;
        let payload = entry.payload;
        let slot = queues.table.insert(entry);
        queues.usage.add(payload);
        queues.enter_group(home);
        let used_at = queues.registry.queue(queue).used_at;
        let standing = self.take_standing(queues, slot, flags, reader, before)?;
        if flags & KEY != 0 {
            take_key(queues, slot, standing, reader)?;
        }
        if flags & PAST != 0 {
            take_past(queues, slot, reader, before)?;
        }
        take_more(queues, slot, (flags, standing), reader)?;
        enter(queues, slot, standing);
        queues.registry.queue_mut(queue).used_at = used_at;
        Ok(())
    }

    /// Takes what a job has by where it stands.
    fn take_standing(
        &mut self,
        queues: &mut Queues,
        slot: u32,
        flags: u64,
        reader: &mut Reader<'_>,
        before: &mut Fields,
    ) -> Result<Standing, DecodeError> {
        let code = (flags & STANDING) as u8;
        let Some(standing) = Standing::from_code(code) else {
            return Err(DecodeError::new("standing", Fault::Unknown(u64::from(code))));
        };
        let Entry { id, attempts, settings, .. } = queues.table[slot];
        match standing {
            Standing::Pending | Standing::Delayed | Standing::Waiting if attempts == settings.max_attempts => {
                return Err(undefined("attempts"));
            }
            standing if standing.is_ended() && flags & PAST == 0 => return Err(undefined("past")),
            standing if standing != Standing::InFlight && flags & CANCELLED != 0 => return Err(undefined("flags")),
            Standing::Pending => {
                let order = take_order(queues, reader, before)?;
                let entry = &queues.table[slot];
                let line = u64::from(entry.home.number()) << 8 | u64::from(entry.settings.priority);
                self.lines.push((line, order, slot));
            }
            Standing::Delayed => {
                let due_at = Timestamp(sum(&mut before.due_at, reader.varint("due_at")?));
                if due_at <= queues.now {
                    return Err(undefined("due_at"));
                }
                queues.table[slot].set_due_at(due_at);
            }
            Standing::Waiting if flags & AFTER == 0 && queues.is_admitted(id) => return Err(undefined("flags")),
            Standing::Waiting => queues.table[slot].set_delay_ms(reader.varint("delay")?),
            Standing::InFlight => take_lease(queues, slot, reader, before)?,
            Standing::Dead | Standing::Completed | Standing::Cancelled | Standing::Expired => {}
        }
        Ok(standing)
    }
}

fn take_rules(queues: &mut Queues, state: &QueueState<'_>) -> Result<(), DecodeError> {
    let Some(settings) = state.settings else { return Ok(()) };
    let taken = |pause: Option<PauseState<'_>>| -> Result<Option<Paused>, DecodeError> {
        match pause {
            Some(PauseState { until, .. }) if until <= queues.now => Err(undefined("until")),
            pause => Ok(pause.map(|PauseState { until, reason }| Paused { until, reason: reason.into() })),
        }
    };
    let (pause_in, pause_out) = (taken(state.pause_in)?, taken(state.pause_out)?);
    if [settings.rate, settings.group_rate].iter().flatten().any(|rate| !rate.is_sane()) {
        return Err(undefined("rate"));
    }
    let ruled = queues.rule(state.name, |rules| {
        (rules.settings, rules.pause_in, rules.pause_out) = (settings, pause_in, pause_out);
    });
    ruled.map_err(|_| undefined("name"))
}

/// What few jobs have.
fn take_more(
    queues: &mut Queues,
    slot: u32,
    (flags, standing): (u64, Standing),
    reader: &mut Reader<'_>,
) -> Result<(), DecodeError> {
    let entry = &mut queues.table[slot];
    if standing.is_ended() {
        let until = take_moment(reader, "kept_until")?;
        if until <= queues.now || (until == NEVER && standing != Standing::Dead) {
            return Err(undefined("kept_until"));
        }
        entry.set_kept_until(until);
    }
    if flags & KEEP != 0 {
        queues.sides.set_keep_s(entry, within(reader, "keep_s")?);
    }
    if flags & CANCELLED != 0 {
        queues.sides.made(entry).is_cancelled = true;
    }
    if flags & RARE != 0 {
        let headers = take_place(reader, &mut 0, &mut 0)?;
        let backoff = Backoff { first_ms: within(reader, "backoff")?, most_ms: within(reader, "backoff")? };
        let expires_at = take_moment(reader, "expires_at")?;
        let rare = queues.sides.rare_made(entry);
        (rare.headers, rare.expires_at) = (headers, expires_at);
        rare.backoff = (backoff.first_ms > 0).then_some(backoff);
        queues.usage.add(headers);
    }
    if flags & AFTER != 0 {
        take_waits(queues, slot, standing, reader)?;
    }
    Ok(())
}

/// What a job waits for, or has waited for and wants the results of.
fn take_waits(queues: &mut Queues, slot: u32, standing: Standing, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let job = queues.table[slot].id;
    let count: usize = within(reader, "before")?;
    let mut before = Vec::new();
    for _ in 0..count {
        before.push(Before::read(reader, "before")?);
    }
    let if_failed = IfFailed::read(reader, "if_failed")?;
    let with_results = bool::read(reader, "with_results")?;
    let is_open = !standing.is_ended() || standing == Standing::Dead;
    if standing != Standing::Waiting && !(with_results && is_open) {
        return Err(undefined("before"));
    }
    let waits = Waits { before: before.into(), if_failed, with_results };
    queues.put_waits(job, waits, standing == Standing::Waiting).map_err(|_| undefined("before"))
}

fn take_tombstones(queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    while !reader.rest().is_empty() {
        let Tombstone { until, job } = Tombstone::read(reader, "tombstone")?;
        if until <= queues.now || job >= queues.next_job || queues.after.tombstones.has(job) {
            return Err(undefined("tombstone"));
        }
        queues.after.tombstones.put(job, until);
    }
    Ok(())
}

/// A moment; never is told as 0.
fn take_moment(reader: &mut Reader<'_>, field: &'static str) -> Result<Timestamp, DecodeError> {
    let at = reader.varint(field)?;
    Ok(if at == 0 { NEVER } else { Timestamp(at) })
}

/// What nearly every job has the usual way.
fn take_settings(entry: &mut Entry, flags: u64, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if flags & TRIED != 0 {
        entry.attempts = within(reader, "attempts")?;
    }
    if flags & SET != 0 {
        let priority = reader.u8("priority")?;
        let max_attempts = within(reader, "max_attempts")?;
        entry.settings = Settings { priority, max_attempts, timeout_ms: within(reader, "timeout_ms")? };
    }
    if entry.settings.max_attempts == 0 || entry.attempts > entry.settings.max_attempts {
        return Err(undefined("attempts"));
    }
    Ok(())
}

/// Puts a job where it stands. A pending one enters its line when all are there: its place is known then.
fn enter(queues: &mut Queues, slot: u32, standing: Standing) {
    match standing {
        Standing::Pending | Standing::InFlight => {}
        Standing::Delayed => queues.enter_waiting(slot, queues.table[slot].due_at(), None),
        Standing::Waiting => queues.hold_back(slot, queues.table[slot].delay_ms()),
        _ => queues.rest(slot, standing, queues.table[slot].kept_until()),
    }
}

fn take_payload(
    entry: &mut Entry,
    flags: u64,
    reader: &mut Reader<'_>,
    before: &mut Fields,
) -> Result<(), DecodeError> {
    if flags & PAYLOAD != 0 {
        entry.payload = take_place(reader, &mut before.epoch, &mut before.offset)?;
        if entry.payload.bytes == 0 {
            return Err(undefined("payload"));
        }
    }
    Ok(())
}

/// A place in line, which was given.
fn take_order(queues: &Queues, reader: &mut Reader<'_>, before: &mut Fields) -> Result<u64, DecodeError> {
    let order = sum(&mut before.order, reader.varint("order")?);
    if order <= queues.back && order >= queues.front { Ok(order) } else { Err(undefined("order")) }
}

fn take_lease(queues: &mut Queues, slot: u32, reader: &mut Reader<'_>, before: &mut Fields) -> Result<(), DecodeError> {
    if queues.table[slot].attempts == 0 {
        return Err(undefined("attempts"));
    }
    let id = LeaseId(sum(&mut before.lease, reader.varint("lease")?));
    let lease_ms = within(reader, "lease_ms")?;
    let given_at = Timestamp(sum(&mut before.given_at, reader.varint("given_at")?));
    let order = take_order(queues, reader, before)?;
    let worker = queues.names.take(reader.text("worker")?);
    let Entry { id: job, settings, .. } = queues.table[slot];
    let granted = Granted { id, job, lease_ms, worker, given_at, order };
    let number = queues.leases.grant(granted, settings.timeout_ms);
    queues.table[slot].set_lease(number);
    queues.enter_state(slot, Standing::InFlight);
    Ok(())
}

fn take_past(queues: &mut Queues, slot: u32, reader: &mut Reader<'_>, before: &mut Fields) -> Result<(), DecodeError> {
    let ended_at = Timestamp(sum(&mut before.ended_at, reader.varint("ended_at")?));
    let code = reader.u8("ending")?;
    let ending = Ending::from_code(code);
    if code != 0 && ending.is_none() {
        return Err(DecodeError::new("ending", Fault::Unknown(u64::from(code))));
    }
    let text = take_place(reader, &mut before.story_epoch, &mut before.story_offset)?;
    if ended_at == Timestamp(0) {
        return Err(undefined("ended_at"));
    }
    let side = queues.sides.made(&mut queues.table[slot]);
    (side.text, side.ending) = (text, ending);
    side.set_ended_at(ended_at);
    queues.usage.add(text);
    Ok(())
}

fn take_place(reader: &mut Reader<'_>, epoch: &mut u64, offset: &mut u64) -> Result<Text, DecodeError> {
    let epoch = sum(epoch, reader.varint("epoch")?);
    let offset = sum(offset, reader.varint("offset")?);
    let epoch = u32::try_from(epoch).map_err(|_| undefined("epoch"))?;
    let offset = u32::try_from(offset).map_err(|_| undefined("offset"))?;
    Ok(Text { at: Location { epoch, offset }, bytes: within(reader, "bytes")? })
}

/// The key of a job that is there: no other has it, and it has an end if the job has ended.
fn take_key(queues: &mut Queues, slot: u32, standing: Standing, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let id = queues.table[slot].id;
    let (key, digest) = (reader.text("key")?, reader.u64("digest")?);
    let code = reader.u8("unique")?;
    let unique = Unique::from_code(code).ok_or(DecodeError::new("unique", Fault::Unknown(u64::from(code))))?;
    if key.is_empty() || queues.keys.held(key).is_some() {
        return Err(undefined("key"));
    }
    let until = Timestamp(reader.varint("until")?);
    if unique == Unique::Until && until <= queues.now {
        return Err(undefined("until"));
    }
    queues.keys.hold(key, id, digest, (unique, (unique == Unique::Until).then_some(until)));
    match standing {
        _ if unique == Unique::Until => {}
        Standing::InFlight if unique == Unique::UntilStart => return Err(undefined("unique")),
        standing if standing.is_ended() => queues.keys.stays(id, until),
        _ if until != Timestamp(0) => return Err(undefined("until")),
        _ => {}
    }
    Ok(())
}

fn take_keys(queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    while !reader.rest().is_empty() {
        let EndedKey { until, job, key, queue, digest } = EndedKey::read(reader, "key")?;
        // A job that has ended while the snapshot was taken is in it as it was before; the replay ends it again.
        if queues.table.slot(job).is_none() && queues.keys.held(key).is_none() {
            if key.is_empty() || job >= queues.next_job || queues.keys.ends_at(until, job) {
                return Err(undefined("key"));
            }
            queues.keys.hold(key, job, digest, (Unique::ToEnd, None));
            queues.keys.gone(job, until, queue);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
