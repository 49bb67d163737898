//! How a request gets into a master that a test drives, and how replies come out: as bytes both ways. The replies are
//! read by the codec that was written from the page alone.

use std::io::IoSlice;

use falconqueue::ids::{JobId, LeaseId, SessionId};
use falconqueue::master::{Master, WalError};
use falconqueue::protocol::frame::split_frame;
use falconqueue::protocol::{AckItem, List, Poll, Request};
use falconqueue::time::Timestamp;

use crate::frames::{Delivery, Reply, decode_all};

/// Hands a request to the master; nothing else happens.
pub fn tell(
    master: &mut Master,
    session: SessionId,
    correlation: u64,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(), WalError> {
    let mut bytes = Vec::new();
    request.encode(correlation, &mut bytes);
    tell_frame(master, session, &bytes, now)
}

/// Hands a whole frame to the master; nothing else happens.
pub fn tell_frame(master: &mut Master, session: SessionId, bytes: &[u8], now: Timestamp) -> Result<(), WalError> {
    let (header, body) = split_frame(bytes).expect("a frame");
    master.receive(session, &header, body, now)
}

/// All that may leave to a client now, with the correlations.
pub fn heard(master: &mut Master, session: SessionId) -> Vec<(u64, Reply)> {
    decode_all(&heard_bytes(master, session))
}

/// The same, as bytes.
pub fn heard_bytes(master: &mut Master, session: SessionId) -> Vec<u8> {
    while master.next_ready().is_some() {}
    let Some(outbox) = master.outbox(session) else { return Vec::new() };
    let mut bytes = Vec::new();
    while outbox.ready_bytes() > 0 {
        let mut pieces = [IoSlice::new(&[]); 8];
        let count = outbox.fill(&mut pieces);
        let before = bytes.len();
        pieces[..count].iter().for_each(|piece| bytes.extend_from_slice(piece));
        outbox.consume(bytes.len() - before);
    }
    bytes
}

/// The same poll, for so many more jobs to be held.
pub fn ahead<'a>(request: &Request<'a>, extra: Option<u16>) -> Request<'a> {
    match request {
        Request::Poll(poll) => Request::Poll(Poll { extra, ..*poll }),
        other => *other,
    }
}

pub fn poll<'a>(queues: &'a [&'a str], jobs_max: u16, wait_ms: u32) -> Request<'a> {
    Request::Poll(Poll { queues: List::lent(queues), free: jobs_max, wait_ms, lease_ms: 10_000, ..Poll::default() })
}

/// An ack of a delivery.
pub fn ack_of<'a>(got: &Delivery, result: &'a [u8]) -> AckItem<'a> {
    AckItem { job: JobId(got.job), lease: LeaseId(got.lease), result, ..AckItem::default() }
}
