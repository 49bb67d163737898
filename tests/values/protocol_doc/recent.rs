//! The frame of what happened lately that the page shows.

use falconqueue::ids::{JobId, Lsn};
use falconqueue::protocol::*;
use falconqueue::time::Timestamp;

pub fn for_each_reply(mut take: impl FnMut(&'static str, Reply<'_>)) {
    let (at, none) = (Timestamp(1_000_000), JobId(0));
    let events = [
        RecentEvent { lsn: Lsn(31), at, kind: 3, job: JobId(7), queue: "mail", name: None },
        RecentEvent { lsn: Lsn(33), at, kind: 23, job: none, queue: "", name: Some("night") },
    ];
    let told = RecentOk { next: Lsn(33), missed: 0, events: List::lent(&events) };
    take("RecentOk", Reply::RecentOk(told));
}
