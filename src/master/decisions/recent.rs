//! What happened lately, for whoever watches.

use super::super::answers::Answer;
use super::super::journal::Journal;
use crate::codec::List;
use crate::limits::RECENT_TOLD_MAX;
use crate::protocol::{FROM_NOW_ON, Recent, RecentEvent, RecentOk};
use crate::time::Timestamp;

/// Tells what happened behind an LSN. Whoever begins is told where the log ends.
pub(super) fn recent<'s>(journal: &mut Journal, ask: Recent, now: Timestamp, written: &'s mut Vec<u8>) -> Answer<'s> {
    let newest = journal.wal.last_lsn();
    journal.recent.watch(newest, now);
    let after = if ask.after == FROM_NOW_ON { newest } else { ask.after };
    let most = usize::from(ask.most).min(RECENT_TOLD_MAX);
    let behind = journal.recent.behind(after, newest, most);
    let queues = &journal.queues;
    let told = behind.events.iter().map(|noted| RecentEvent {
        lsn: noted.lsn,
        at: noted.at,
        kind: noted.kind,
        job: noted.job,
        queue: noted.queue(queues),
        name: noted.name.as_deref(),
    });
    let events: Vec<RecentEvent<'_>> = told.collect();
    let reply = RecentOk { next: behind.next, missed: behind.missed, events: List::lent(&events) };
    Answer::told::<Recent>(&reply, written)
}
