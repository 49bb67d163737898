//! A snapshot's blocks back to state; the format is told in `snapshot`.

use super::job::{Entry, State};
use super::snapshot::{Before, ERROR, KEY, KIND_JOBS, KIND_KEYS, KIND_QUEUES, PAYLOAD, SET, TRIED, sum};
use super::{End, Queues};
use crate::codec::{DecodeError, Fault, Reader};
use crate::ids::{JobId, LeaseId, Location, QueueId};
use crate::limits::{ATTEMPTS_DEFAULT, JOB_ID_END, PRIORITY_DEFAULT};
use crate::time::Timestamp;

/// Takes in a snapshot, block by block.
#[derive(Debug, Default)]
pub struct Restoring {
    /// The snapshot's queues as they are called here; nothing for one that it does not use.
    queues: Vec<Option<QueueId>>,
    /// Pending jobs: their queue and priority, their order, their slot.
    lines: Vec<(u64, u64, u32)>,
}

const fn undefined(field: &'static str) -> DecodeError {
    DecodeError { field, fault: Fault::Undefined }
}

fn within<T: TryFrom<u64>>(reader: &mut Reader<'_>, field: &'static str) -> Result<T, DecodeError> {
    T::try_from(reader.varint(field)?).map_err(|_| undefined(field))
}

impl Restoring {
    /// Takes the next block.
    ///
    /// # Errors
    /// The field that cannot be.
    pub fn block(&mut self, queues: &mut Queues, kind: u32, body: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(body);
        match kind {
            KIND_QUEUES => self.take_queues(queues, &mut reader),
            KIND_JOBS => {
                let mut before = Before::default();
                while !reader.rest().is_empty() {
                    self.take_job(queues, &mut reader, &mut before)?;
                }
                Ok(())
            }
            KIND_KEYS => take_keys(queues, &mut reader),
            _ => Err(undefined("kind")),
        }
    }

    /// Lines the pending jobs up; that was all.
    pub fn finish(mut self, queues: &mut Queues) {
        self.lines.sort_unstable();
        for (_, order, slot) in self.lines {
            queues.table[slot].order = order;
            queues.line_up(slot, End::Back);
        }
    }

    fn take_queues(&mut self, queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let now = Timestamp(reader.u64("now")?);
        queues.advance(now);
        queues.next_job = JobId(reader.u64("next_job")?);
        queues.back = reader.u64("back")?;
        queues.front = reader.u64("front")?;
        while !reader.rest().is_empty() {
            let name = reader.text8("name")?;
            let (completed, cancelled) = (reader.u64("completed")?, reader.u64("cancelled")?);
            if name.is_empty() {
                self.queues.push(None);
                continue;
            }
            let queue = queues.queue_made(name).map_err(|_| undefined("name"))?;
            let counters = &mut queues.queues[queue.0 as usize].counters;
            (counters.completed, counters.cancelled) = (completed, cancelled);
            self.queues.push(Some(queue));
        }
        Ok(())
    }

    fn take_job(
        &mut self,
        queues: &mut Queues,
        reader: &mut Reader<'_>,
        before: &mut Before,
    ) -> Result<(), DecodeError> {
        let flags = reader.u8("flags")?;
        let id = JobId(sum(&mut before.id, reader.varint("id")?));
        if id.0 == 0 || id >= queues.next_job || id.0 >= JOB_ID_END || queues.table.slot(id).is_some() {
            return Err(undefined("id"));
        }
        let queue: usize = within(reader, "queue")?;
        let queue = self.queues.get(queue).copied().flatten().ok_or(undefined("queue"))?;
        let mut entry = Entry { id, queue, max_attempts: ATTEMPTS_DEFAULT, ..Entry::vacant() };
        entry.priority = PRIORITY_DEFAULT;
        if flags & TRIED != 0 {
            entry.attempts = within(reader, "attempts")?;
        }
        if flags & SET != 0 {
            entry.priority = reader.u8("priority")?;
            entry.max_attempts = within(reader, "max_attempts")?;
            entry.timeout_ms = within(reader, "timeout_ms")?;
        }
        if flags & PAYLOAD != 0 {
            let epoch = sum(&mut before.epoch, reader.varint("epoch")?);
            let offset = sum(&mut before.offset, reader.varint("offset")?);
            let epoch = u32::try_from(epoch).map_err(|_| undefined("epoch"))?;
            let offset = u32::try_from(offset).map_err(|_| undefined("offset"))?;
            entry.payload_at = Location { epoch, offset };
            entry.payload_bytes = within(reader, "bytes")?;
        }
        let (payload_at, payload_bytes) = (entry.payload_at, entry.payload_bytes);
        let slot = queues.table.insert(entry);
        queues.usage.add(payload_at, payload_bytes);
        self.enter_state(queues, slot, flags, reader, before)?;
        if flags & KEY != 0 {
            queues.keys.remember(reader.text8("key")?, id);
        }
        if flags & ERROR != 0 {
            queues.errors.insert(id, reader.text16("error")?.into());
        }
        Ok(())
    }

    fn enter_state(
        &mut self,
        queues: &mut Queues,
        slot: u32,
        flags: u8,
        reader: &mut Reader<'_>,
        before: &mut Before,
    ) -> Result<(), DecodeError> {
        match flags & 3 {
            0 => {
                let order = sum(&mut before.order, reader.varint("order")?);
                let entry = &queues.table[slot];
                let line = u64::from(entry.queue.0) << 8 | u64::from(entry.priority);
                self.lines.push((line, order, slot));
            }
            1 => {
                let due_at = Timestamp(sum(&mut before.due_at, reader.varint("due_at")?));
                if due_at <= queues.now {
                    return Err(undefined("due_at"));
                }
                queues.enter_waiting(slot, due_at, End::Back);
            }
            2 => {
                let lease = LeaseId(sum(&mut before.lease, reader.varint("lease")?));
                let lease_ms = within(reader, "lease_ms")?;
                let last_deadline = match reader.varint("last_deadline")? {
                    0 => Timestamp(u64::MAX),
                    at => Timestamp(at),
                };
                let (job, now) = (queues.table[slot].id, queues.now);
                let number = queues.leases.grant_until(lease, job, lease_ms, last_deadline, now);
                queues.table[slot].lease = number;
                queues.enter_state(slot, State::InFlight);
            }
            _ => queues.enter_state(slot, State::Dead),
        }
        Ok(())
    }
}

fn take_keys(queues: &mut Queues, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    while !reader.rest().is_empty() {
        let until = Timestamp(reader.u64("until")?);
        let job = JobId(reader.u64("job")?);
        let key = reader.text8("key")?;
        // A job that has ended while the snapshot was taken is in it as it was before; the replay ends it again.
        if queues.table.slot(job).is_none() && queues.keys.job(key).is_none() {
            queues.keys.remember(key, job);
            queues.keys.ended(job, until);
        }
    }
    Ok(())
}
