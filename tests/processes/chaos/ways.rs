//! The ways of being wrong. Each ends by itself within a second or so, whatever the master does.
//!
//! None can end a job of the honest clients, by chance or otherwise: a report names either a job of this client, or a
//! lease that belongs to one. So each report of another job must be refused.

use std::sync::atomic::Ordering;

use super::client::Wrong;
use super::rough::Rough;
use crate::harness::frames::{self, Body, Delivery, LEASE_LOST, Reply, Request, header, hello, job};
use crate::history::Poll;
use crate::load::QUEUES;

pub type Way = fn(&mut Wrong);

pub const WAYS: &[(&str, Way)] = &[
    ("half a frame", half_a_frame),
    ("early close", early_close),
    ("twice", twice),
    ("wrong order", wrong_order),
    ("flood", flood),
    ("silence", silence),
    ("wrong lengths", wrong_lengths),
    ("noise", noise),
    ("flipped bits", flipped_bits),
    ("thief", thief),
    ("vanished with a job", vanished),
    ("byte by byte", byte_by_byte),
    ("hoarder", hoarder),
];

/// The most that a half frame sends, mostly; one in thirty sends this many times as much.
const HALF_BYTES_MAX: u64 = 256 << 10;
const LARGE: u64 = 16;

const FLOOD_MAX: u64 = 4000;

fn half_a_frame(wrong: &mut Wrong) {
    let rough = if wrong.dice.percent(30) { wrong.connect() } else { wrong.greeted() };
    let Some(mut rough) = rough else { return };
    let kind = wrong.dice.within(0..34) as u16;
    let most = if wrong.dice.one_in(30) { HALF_BYTES_MAX * LARGE } else { HALF_BYTES_MAX };
    let sent = wrong.dice.below(most) as usize;
    let announced = sent + 1 + wrong.dice.below(frames::BODY_BYTES_MAX as u64 - sent as u64) as usize;
    let mut bytes = header(announced, kind, 0, 1);
    bytes.resize(16 + sent, 7);
    // Also a part of the header alone.
    let cut = if wrong.dice.percent(20) { wrong.dice.index(16) } else { bytes.len() };
    rough.send(&bytes[..cut]);
    wrong.leave(rough);
}

fn early_close(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let queue = wrong.queue();
    for correlation in 1..=wrong.dice.within(1..60) {
        let request = match wrong.dice.below(4) {
            0 => frames::stats(),
            1 => frames::get(1 + wrong.dice.below(1000)),
            2 => frames::poll(&[&queue], 4, wrong.dice.within(0..50) as u32, 500),
            _ => frames::submit(&[job(&queue, "left behind")]),
        };
        if !rough.request(&request, correlation) {
            break;
        }
    }
    rough.nibble(wrong.dice.index(40) + 1);
    rough.end(&mut wrong.dice);
}

/// A job of its own, in hand.
pub fn take_own(wrong: &mut Wrong, rough: &mut Rough) -> Option<Delivery> {
    let queue = wrong.queue();
    let Reply::SubmitOk(jobs) = rough.ask(&frames::submit(&[job(&queue, "mine")]))? else { return None };
    wrong.scene.newest_job.fetch_max(jobs[0].job, Ordering::Relaxed);
    let Reply::PollOk(mut jobs) = rough.ask(&frames::poll(&[&queue], 1, 100, 5000))? else { return None };
    jobs.pop()
}

/// The statuses of a report.
pub fn statuses(reply: Option<Reply>) -> Vec<u16> {
    match reply {
        Some(Reply::Done(_, items)) => items.into_iter().map(|(_, status)| status).collect(),
        _ => Vec::new(),
    }
}

/// The same ack in one frame, in two, and with one correlation.
fn twice(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let Some(own) = take_own(wrong, &mut rough) else { return };
    let one = (own.job, own.lease, &b"done"[..]);
    let both = frames::ack(&[one, one]);
    let told = statuses(rough.ask(&both));
    assert!(told.is_empty() || told == [0, LEASE_LOST], "an ack counts once: {told:?}");
    let is_done = !told.is_empty();
    for _ in 0..2 {
        rough.request(&frames::ack(&[one]), 77);
    }
    for _ in 0..2 {
        let again = statuses(rough.reply_to(77));
        assert!(again.is_empty() || again == [LEASE_LOST] || !is_done, "a lease that is over stays over: {again:?}");
    }
    wrong.leave(rough);
}

fn wrong_order(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.connect() else { return };
    let queue = wrong.queue();
    let poll = frames::poll(&[&queue], 1, 100, 500);
    let reply = Request::new(0x8000 | wrong.dice.within(0..256) as u16, Body::default().plain());
    let unknown = Request::new(wrong.dice.within(13..0x8000) as u16, Body::default().u64(wrong.dice.draw()));
    let row: Vec<Request> = match wrong.dice.below(5) {
        0 => vec![poll, hello(b"")],
        1 => vec![hello(b""), hello(b""), frames::stats()],
        2 => vec![hello(b""), reply, frames::stats()],
        3 => vec![hello(b""), unknown, frames::stats()],
        _ => vec![frames::hello_with(0x4E43_4C46, (7, 9), b""), frames::stats()],
    };
    for (request, correlation) in row.iter().zip(1..) {
        rough.request(request, correlation);
    }
    rough.nibble(200);
    wrong.leave(rough);
}

/// Thousands of requests, and not one reply is read.
fn flood(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let queue = wrong.queue();
    let request = match wrong.dice.below(9) {
        0 => frames::stats(),
        1 => frames::heartbeat(&[]),
        5 => frames::wait(&[1, wrong.newest(), 1 << 40], false, 60_000),
        6 => frames::list_jobs(&frames::Filter::default(), 0, true, 20),
        7 => frames::explain_queue(QUEUES[0]),
        2 => frames::poll(&[&queue], 1, 60_000, 500),
        3 => frames::get(1),
        4 => Request::new(0x77, Body::default().bytes(&[0; 300])),
        _ => frames::submit(&[job(&queue, "one of many")]),
    };
    let count = if request.kind == 2 { FLOOD_MAX / 20 } else { wrong.dice.below(FLOOD_MAX) };
    let bytes: Vec<u8> = (1..=count).flat_map(|correlation| request.frame(correlation)).collect();
    rough.send(&bytes);
    wrong.leave(rough);
}

fn silence(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.connect() else { return };
    match wrong.dice.below(3) {
        0 => {}
        1 => drop(rough.ask(&hello(b""))),
        _ => {
            rough.request(&hello(b""), 1);
            rough.request(&frames::poll(&[&wrong.queue()], 1, 300_000, 500), 2);
        }
    }
    wrong.hold(rough);
}

/// A body that is shorter or longer than its header or its own counts say.
fn wrong_lengths(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let mut body = frames::heartbeat(&[(1, 1)]).body;
    let told = body.len();
    match wrong.dice.below(4) {
        0 => body.truncate(wrong.dice.index(told)),
        1 => body.resize(told + 1 + wrong.dice.index(40), 0),
        2 => body[..2].copy_from_slice(&(wrong.dice.draw() as u16 | 2).to_le_bytes()),
        _ => {
            rough.send(
                &[&header(usize::try_from(wrong.dice.draw() as u32).expect("64 bits"), 7, 0, 1)[..], &body].concat(),
            );
        }
    }
    let kind = *wrong.dice.pick(&[2, 3, 4, 5, 6, 7, 12]).expect("a kind");
    rough.send(&[&header(body.len(), kind, u16::from(wrong.dice.one_in(5)), 1)[..], &body].concat());
    rough.nibble(100);
    wrong.leave(rough);
}

fn noise(wrong: &mut Wrong) {
    let rough = if wrong.dice.percent(50) { wrong.connect() } else { wrong.greeted() };
    let Some(mut rough) = rough else { return };
    let bytes: Vec<u8> = (0..wrong.dice.below(3000)).map(|_| wrong.dice.draw() as u8).collect();
    rough.send(&bytes);
    rough.nibble(100);
    wrong.leave(rough);
}

/// Frames that are right but for a bit or three. A queue's name stays as it is: names that are made take a place.
fn flipped_bits(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let own = take_own(wrong, &mut rough);
    let (queue, meddled) = (wrong.queue(), wrong.meddled());
    let (job_id, lease) = own.map_or((0, 0), |own| (own.job, own.lease));
    for _ in 0..wrong.dice.within(1..6) {
        let (request, kept) = match wrong.dice.below(10) {
            0 => (frames::submit(&[job(&queue, "flipped")]), 18..22 + queue.len()),
            1 => (frames::poll(&[&queue], 1, 20, 500), 18..20 + queue.len()),
            2 => (frames::fail(&[(job_id, lease, false, "an error")]), 0..0),
            3 => (frames::release(job_id, lease, 0), 0..0),
            4 => (frames::heartbeat(&[(job_id, lease)]), 0..0),
            5 => (frames::stats(), 0..0),
            // The job that it names stays the same.
            6 => (frames::mend(wrong.dice.within(1..5) as u8, &[job_id]), 19..27),
            7 => (frames::wait(&[job_id], false, 100), 0..0),
            8 => (frames::pause(&meddled, frames::WAY_OUT, 1, ""), 16..18 + meddled.len()),
            _ => (frames::get(job_id), 0..0),
        };
        let mut bytes = request.frame(wrong.dice.draw());
        // Two flips could turn a job and its lease into those of another: the numbers of one are flipped at most.
        let flips = if (4..=7).contains(&request.kind) { 1 } else { wrong.dice.within(1..4) };
        for _ in 0..flips {
            let at = wrong.dice.index(bytes.len());
            if !kept.contains(&at) {
                bytes[at] ^= 1 << wrong.dice.below(8);
            }
        }
        rough.send(&bytes);
    }
    rough.nibble(300);
    wrong.leave(rough);
}

/// Reports of jobs that it does not have: with its own lease, and with leases that were never given.
fn thief(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let Some(own) = take_own(wrong, &mut rough) else { return };
    let newest = wrong.newest();
    for _ in 0..wrong.dice.within(1..8) {
        let other = 1 + wrong.dice.below(newest + 50);
        // A lease to come is a billion records away.
        let lease = if wrong.dice.percent(70) { own.lease } else { own.lease + 1_000_000_000 + wrong.dice.below(1000) };
        if other == own.job {
            continue;
        }
        let reply = match wrong.dice.below(4) {
            0 => rough.ask(&frames::ack(&[(other, lease, b"stolen")])),
            1 => rough.ask(&frames::fail(&[(other, lease, true, "stolen")])),
            2 => rough.ask(&frames::release(other, lease, 0)),
            _ => rough.ask(&frames::heartbeat(&[(other, lease)])),
        };
        match reply {
            Some(Reply::Done(_, items)) => assert_eq!(items, [(other, LEASE_LOST)], "with lease {lease}"),
            Some(Reply::HeartbeatOk(items)) => {
                assert!(items.len() == 1 && items[0].1 != 0, "{items:?} with lease {lease}");
            }
            _ => continue,
        }
        wrong.done.refused += 1;
    }
    wrong.leave(rough);
}

/// Takes jobs of the honest clients, and is gone. They come again when the lease is over.
fn vanished(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let count = wrong.dice.within(1..QUEUES.len() as u64 + 1) as usize;
    let first = wrong.dice.index(QUEUES.len());
    let queues: Vec<&str> = QUEUES.into_iter().cycle().skip(first).take(count).collect();
    let (jobs_max, wait_ms, lease_ms) =
        (wrong.dice.within(1..3) as u16, wrong.dice.within(0..60) as u32, wrong.dice.within(100..600) as u32);
    let start = wrong.scene.load.now();
    rough.request(&frames::poll(&queues, jobs_max, wait_ms, lease_ms), 1);
    let queues = queues.into_iter().map(String::from).collect();
    wrong.note_poll(start, Poll { queues, jobs_max, wait_ms, lease_ms });
    if wrong.dice.percent(50) {
        rough.nibble(30);
    }
    wrong.leave(rough);
}

/// Slow, but right: it is answered.
fn byte_by_byte(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let frame = frames::heartbeat(&[]).frame(9);
    let is_sent = frame.iter().all(|byte| rough.send(&[*byte]));
    let reply = rough.reply_to(9);
    if let Some(reply) = reply.filter(|_| is_sent) {
        assert!(matches!(reply, Reply::HeartbeatOk(_) | Reply::Error { .. }), "{reply:?}");
    }
    wrong.leave(rough);
}

/// Takes as much of its own queue as there is, and ends it: what others left behind does not pile up.
fn hoarder(wrong: &mut Wrong) {
    let Some(mut rough) = wrong.greeted() else { return };
    let queue = wrong.queue();
    while let Some(Reply::PollOk(jobs)) = rough.ask(&frames::poll(&[&queue], 1000, 0, 5000))
        && !jobs.is_empty()
    {
        let items: Vec<_> = jobs.iter().map(|own| (own.job, own.lease, &b""[..])).collect();
        let told = statuses(rough.ask(&frames::ack(&items)));
        assert!(told.iter().all(|status| *status == 0), "its own leases live: {told:?}");
    }
    rough.end(&mut wrong.dice);
}
