//! The newest events, for whoever watches what happens.
//!
//! Promises: events are told in the order of the log, each once, and what is not told any more is counted; while nobody
//! watches, nothing is kept, and an event costs a look at one flag.
//! It does not: hold what an event says beyond its name, its job and its queue; the log has that.

use std::collections::VecDeque;

use crate::codec::Value;
use crate::ids::{JobId, Lsn, QueueId};
use crate::limits::{RECENT_EVENTS_MAX, RECENT_IDLE_MS};
use crate::planted::{Bug, is_planted};
use crate::queue::{Event, Queues};
use crate::time::{Millis, Timestamp};

/// An event that happened not long ago.
#[derive(Debug)]
pub struct Noted {
    pub lsn: Lsn,
    pub at: Timestamp,
    pub kind: u8,
    /// 0 for none.
    pub job: JobId,
    queue: Home,
    /// The schedule or the batch that it is about.
    pub name: Option<Box<str>>,
}

/// The queue of an event: by number while it is there.
#[derive(Debug, Default)]
pub enum Home {
    #[default]
    None,
    Known(QueueId),
    Gone(Box<str>),
}

#[derive(Debug, Default)]
pub struct Recent {
    /// Until when it is kept, while somebody watches.
    until: Option<Timestamp>,
    ring: VecDeque<Noted>,
    /// All that happened from here on is in the ring.
    from: Lsn,
}

/// What is told of what happened behind an LSN.
#[derive(Debug)]
pub struct Behind<'r> {
    pub events: Vec<&'r Noted>,
    /// Records behind it of which nothing can be told any more.
    pub missed: u64,
    /// Where to go on.
    pub next: Lsn,
}

impl Recent {
    /// Whether events are noted.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.until.is_some()
    }

    /// Somebody asks: events are kept from now on, for a while.
    pub fn watch(&mut self, newest: Lsn, now: Timestamp) {
        if self.until.is_none() {
            self.from = newest.next();
        }
        self.until = Some(now.plus(Millis(RECENT_IDLE_MS)));
    }

    /// Notes an event that was appended and applied; `home` as it was found before or behind that.
    pub fn note(&mut self, queues: &Queues, (lsn, now): (Lsn, Timestamp), event: &Event<'_>, home: Home) {
        if self.until.is_some_and(|until| now > until) {
            // Its memory goes, too.
            *self = Recent::default();
            return;
        }
        // Where bytes lie concerns one disk, and no job.
        if matches!(event, Event::Move(_)) || (is_planted(Bug::RecentSkips) && lsn.0.is_multiple_of(8)) {
            return;
        }
        if self.ring.len() >= RECENT_EVENTS_MAX
            && let Some(oldest) = self.ring.pop_front()
        {
            self.from = oldest.lsn.next();
        }
        let job = event.job().unwrap_or_default();
        let name = if job == JobId::default() { subject(event, queues) } else { None };
        self.ring.push_back(Noted { lsn, at: now, kind: event.kind(), job, queue: home, name });
    }

    /// A queue goes: its number may be that of another one.
    pub fn forget(&mut self, queue: QueueId, name: &str) {
        for noted in &mut self.ring {
            if matches!(noted.queue, Home::Known(id) if id == queue) {
                noted.queue = Home::Gone(name.into());
            }
        }
    }

    /// What happened behind `after`, up to `newest`, at most so many events.
    pub fn behind(&self, after: Lsn, newest: Lsn, most: usize) -> Behind<'_> {
        if after > newest {
            // It is of a log that had come further than this one.
            return Behind { events: Vec::new(), missed: after.0 - newest.0, next: newest };
        }
        let missed = self.from.0.saturating_sub(after.0 + 1);
        let begin = self.ring.partition_point(|noted| noted.lsn <= after);
        let events: Vec<&Noted> = self.ring.range(begin..).take(most).collect();
        let is_all = begin + events.len() == self.ring.len();
        let last = events.last().map_or(newest, |noted| noted.lsn);
        Behind { events, missed, next: if is_all { newest } else { last } }
    }
}

impl Noted {
    /// The name of its queue; empty for none.
    pub fn queue<'n>(&'n self, queues: &'n Queues) -> &'n str {
        match &self.queue {
            Home::None => "",
            Home::Known(id) => queues.queue_name(*id),
            Home::Gone(name) => name,
        }
    }
}

/// The queue that an event is about, if it is there.
pub fn home(event: &Event<'_>, queues: &Queues) -> Home {
    let of_job = event.job().and_then(|job| queues.queue_of_job(job));
    let named = || text_of(event, "queue").and_then(|name| queues.queue(&name));
    of_job.or_else(named).map_or(Home::None, Home::Known)
}

/// The schedule or the batch that an event is about.
fn subject(event: &Event<'_>, queues: &Queues) -> Option<Box<str>> {
    let batch = match event {
        Event::End(end) => end.batch,
        Event::Admit(admit) => admit.batch,
        Event::CallOff(off) => off.batch,
        other => return text_of(other, "name"),
    };
    queues.batch(batch).map(|batch| batch.name.clone())
}

/// The text of the field of this name.
fn text_of(event: &Event<'_>, field: &str) -> Option<Box<str>> {
    let mut found = None;
    event.show(&mut |name, value| {
        if let (true, Value::Text(text)) = (name == field, value) {
            found = Some(Box::from(text));
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::events::{Move, Requeue};

    fn requeue(job: u64) -> Event<'static> {
        Event::from(Requeue { job: JobId(job), ..Requeue::default() })
    }

    fn watched() -> Recent {
        let mut recent = Recent::default();
        recent.watch(Lsn(10), Timestamp(0));
        recent
    }

    fn told(behind: &Behind<'_>) -> Vec<u64> {
        behind.events.iter().map(|noted| noted.lsn.0).collect()
    }

    #[test]
    fn events_are_told_once_each_and_what_came_before_is_counted() {
        let mut recent = watched();
        for lsn in 11..=15 {
            recent.note(&Queues::default(), (Lsn(lsn), Timestamp(1)), &requeue(lsn), Home::None);
        }
        let first = recent.behind(Lsn(10), Lsn(15), 3);
        assert_eq!((told(&first), first.missed, first.next), (vec![11, 12, 13], 0, Lsn(13)));
        let rest = recent.behind(first.next, Lsn(15), 3);
        assert_eq!((told(&rest), rest.missed, rest.next), (vec![14, 15], 0, Lsn(15)));
        assert!(recent.behind(Lsn(15), Lsn(15), 3).events.is_empty());
        let late = recent.behind(Lsn(4), Lsn(15), 9);
        assert_eq!((told(&late).len(), late.missed), (5, 6), "5 to 10 happened before somebody watched");
        let other = recent.behind(Lsn(20), Lsn(15), 9);
        assert_eq!((told(&other).len(), other.missed, other.next), (0, 5, Lsn(15)), "an LSN of another log");
    }

    #[test]
    fn a_full_ring_counts_what_it_drops() {
        let mut recent = watched();
        let last = 10 + RECENT_EVENTS_MAX as u64 + 7;
        for lsn in 11..=last {
            recent.note(&Queues::default(), (Lsn(lsn), Timestamp(1)), &requeue(lsn), Home::None);
        }
        let behind = recent.behind(Lsn(10), Lsn(last), usize::MAX);
        assert_eq!((behind.events.len(), behind.missed), (RECENT_EVENTS_MAX, 7));
    }

    #[test]
    fn records_that_are_no_events_are_passed_over() {
        let mut recent = watched();
        recent.note(&Queues::default(), (Lsn(11), Timestamp(1)), &Event::from(Move::default()), Home::None);
        let behind = recent.behind(Lsn(10), Lsn(11), 9);
        assert_eq!((told(&behind), behind.missed, behind.next), (vec![], 0, Lsn(11)));
    }

    #[test]
    fn nothing_is_kept_once_nobody_asks() {
        let mut recent = watched();
        recent.note(&Queues::default(), (Lsn(11), Timestamp(RECENT_IDLE_MS)), &requeue(1), Home::None);
        assert!(recent.is_watched());
        recent.note(&Queues::default(), (Lsn(12), Timestamp(RECENT_IDLE_MS + 1)), &requeue(1), Home::None);
        assert!(!recent.is_watched() && recent.ring.capacity() == 0);
        recent.watch(Lsn(12), Timestamp(RECENT_IDLE_MS + 1));
        assert_eq!(recent.behind(Lsn(11), Lsn(12), 9).missed, 1);
    }
}
