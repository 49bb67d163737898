//! A job in a snapshot.

use bytes::BufMut;

use super::super::Queues;
use super::super::entry::{Entry, Text};
use super::super::sides::NEVER;
use super::{AFTER, Before, CANCELLED, GROUPED, KEEP, KEY, PAST, PAYLOAD, RARE, SET, TRIED, difference};
use crate::codec::{Field, PutExt};
use crate::job::{Ending, Settings, Standing};
use crate::time::Timestamp;

impl Queues {
    /// Writes a job; says whether it holds a key, which takes far longer.
    pub(super) fn encode_job(&self, entry: &Entry, before: &mut Before, out: &mut Vec<u8>) -> bool {
        let key = self.keys.of(entry.id);
        let flags = self.flags(entry, key.is_some());
        out.put_varint(flags);
        out.put_varint(difference(&mut before.id, entry.id.0));
        out.put_varint(u64::from(self.groups.queue_of(entry.home).0));
        out.put_varint(difference(&mut before.submitted_at, Timestamp::from(entry.submitted_at).0));
        if let Some(group) = entry.home.group() {
            out.put_varint(u64::from(group));
        }
        if entry.attempts > 0 {
            out.put_varint(u64::from(entry.attempts));
        }
        if flags & SET != 0 {
            out.put_u8(entry.settings.priority);
            out.put_varint(u64::from(entry.settings.max_attempts));
            out.put_varint(u64::from(entry.settings.timeout_ms));
        }
        if entry.payload.bytes > 0 {
            put_place(entry.payload, &mut before.epoch, &mut before.offset, out);
        }
        self.encode_standing(entry, before, out);
        if let Some(held) = key {
            out.put_text(&held.key);
            out.put_u64_le(held.digest);
            out.put_u8(held.unique.code());
            out.put_varint(held.until.unwrap_or_default().0);
        }
        if let Some(past) = self.sides.side(entry).filter(|side| side.ended_at() != Timestamp(0)) {
            out.put_varint(difference(&mut before.ended_at, past.ended_at().0));
            out.put_u8(past.ending.map_or(0, Ending::code));
            put_place(past.text, &mut before.story_epoch, &mut before.story_offset, out);
        }
        self.encode_more(entry, out);
        key.is_some()
    }

    fn flags(&self, entry: &Entry, has_key: bool) -> u64 {
        let side = self.sides.side(entry);
        let flag = |flag: u64, is_set: bool| if is_set { flag } else { 0 };
        u64::from(entry.standing.code())
            | flag(TRIED, entry.attempts > 0)
            | flag(SET, entry.settings != Settings::default())
            | flag(PAYLOAD, entry.payload.bytes > 0)
            | flag(KEY, has_key)
            | flag(PAST, side.is_some_and(|side| side.ended_at() != Timestamp(0)))
            | flag(KEEP, self.sides.keep_s(entry).is_some())
            | flag(RARE, self.sides.rare(entry).is_some())
            | flag(CANCELLED, side.is_some_and(|side| side.is_cancelled))
            | flag(GROUPED, entry.home.group().is_some())
            | flag(AFTER, self.after.of(entry.id).is_some())
    }

    fn encode_more(&self, entry: &Entry, out: &mut Vec<u8>) {
        if entry.standing.is_ended() {
            put_moment(entry.kept_until(), out);
        }
        if let Some(keep_s) = self.sides.keep_s(entry) {
            out.put_varint(u64::from(keep_s));
        }
        if let Some(rare) = self.sides.rare(entry) {
            put_place(rare.headers, &mut 0, &mut 0, out);
            let backoff = rare.backoff.unwrap_or_default();
            out.put_varint(u64::from(backoff.first_ms));
            out.put_varint(u64::from(backoff.most_ms));
            put_moment(rare.expires_at, out);
        }
        if let Some(waits) = self.after.of(entry.id) {
            out.put_varint(waits.before.len() as u64);
            waits.before.iter().for_each(|before| before.write(out));
            out.put_u8(waits.if_failed.code());
            out.put_u8(waits.with_results.into());
        }
    }

    fn encode_standing(&self, entry: &Entry, before: &mut Before, out: &mut Vec<u8>) {
        match entry.standing {
            Standing::Pending => out.put_varint(difference(&mut before.order, entry.order())),
            Standing::Delayed => out.put_varint(difference(&mut before.due_at, entry.due_at().0)),
            Standing::Waiting => out.put_varint(entry.delay_ms()),
            Standing::InFlight => {
                let lease = self.leases.lease(entry.lease().expect("it is in flight"));
                out.put_varint(difference(&mut before.lease, lease.granted.id.0));
                out.put_varint(u64::from(lease.granted.lease_ms));
                out.put_varint(difference(&mut before.given_at, lease.granted.given_at.0));
                out.put_varint(difference(&mut before.order, lease.granted.order));
                out.put_text(self.names.text(lease.granted.worker));
            }
            Standing::Dead | Standing::Completed | Standing::Cancelled | Standing::Expired => {}
        }
    }
}

/// A moment, or 0 for never.
fn put_moment(at: Timestamp, out: &mut Vec<u8>) {
    out.put_varint(if at == NEVER { 0 } else { at.0 });
}

fn put_place(text: Text, epoch: &mut u64, offset: &mut u64, out: &mut Vec<u8>) {
    out.put_varint(difference(epoch, u64::from(text.at.epoch)));
    out.put_varint(difference(offset, u64::from(text.at.offset)));
    out.put_varint(u64::from(text.bytes));
}
