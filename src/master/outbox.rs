//! What waits to be sent to one session: replies that may leave, and replies that wait for the disk.
//!
//! Promise: a reply that was written with a gate leaves only after `release` reached that gate; replies without one
//! leave at once and may overtake those that wait. Payloads are not copied: they are spliced in when sent.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::ids::{LeaseId, Lsn};
use crate::wal::Payload;

/// Memory that an emptied stream keeps.
const KEPT_BYTES: usize = 16 << 10;

/// Replies of one session.
#[derive(Debug, Default)]
pub struct Outbox {
    ready: Stream,
    held: Stream,
    /// Up to which byte of `held` may leave once which LSN is durable; both grow.
    gates: VecDeque<(Lsn, usize)>,
}

/// Bytes with payloads spliced in.
#[derive(Debug, Default)]
pub struct Stream {
    /// The bytes of frames, without the payloads.
    pub bytes: Vec<u8>,
    /// Bytes before this were sent.
    start: usize,
    splices: VecDeque<Splice>,
    spliced_bytes: usize,
    /// Leases that are told of, each with the end of its frame.
    leases: VecDeque<(usize, LeaseId)>,
}

/// A payload that is sent before the byte `at` of its stream.
#[derive(Debug)]
struct Splice {
    at: usize,
    payload: Payload,
    /// How much of it was sent.
    sent: usize,
}

impl Stream {
    /// Puts a payload at the end.
    pub fn splice(&mut self, payload: Payload) {
        self.spliced_bytes += payload.as_slice().len();
        self.splices.push_back(Splice { at: self.bytes.len(), payload, sent: 0 });
    }

    /// Notes that the frame which ends here tells of a lease.
    pub fn tells(&mut self, lease: LeaseId) {
        self.leases.push_back((self.bytes.len(), lease));
    }

    fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.start + self.spliced_bytes
    }

    fn fill<'s>(&'s self, pieces: &mut [IoSlice<'s>]) -> usize {
        let mut count = 0;
        let mut at = self.start;
        let mut put = |bytes: &'s [u8]| {
            if bytes.is_empty() {
                return true;
            }
            let Some(place) = pieces.get_mut(count) else { return false };
            *place = IoSlice::new(bytes);
            count += 1;
            true
        };
        for splice in &self.splices {
            if !put(&self.bytes[at..splice.at]) || !put(&splice.payload.as_slice()[splice.sent..]) {
                return count;
            }
            at = splice.at;
        }
        put(&self.bytes[at..]);
        count
    }

    fn consume(&mut self, mut sent: usize) {
        while let Some(splice) = self.splices.front_mut() {
            let before = sent.min(splice.at - self.start);
            self.start += before;
            sent -= before;
            let rest = splice.payload.as_slice().len() - splice.sent;
            let now = sent.min(rest);
            splice.sent += now;
            self.spliced_bytes -= now;
            sent -= now;
            if now < rest {
                break;
            }
            self.splices.pop_front();
        }
        self.start += sent;
        assert!(self.start <= self.bytes.len(), "no more is sent than there was");
        while self.leases.front().is_some_and(|(end, _)| *end <= self.start) {
            self.leases.pop_front();
        }
        if self.waiting_bytes() == 0 {
            self.start = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        } else if self.start >= KEPT_BYTES && self.start * 2 >= self.bytes.len() {
            // What was sent is given up once it is the larger part, so that each byte is moved once at most.
            let gone = std::mem::take(&mut self.start);
            self.bytes.drain(..gone);
            self.splices.iter_mut().for_each(|splice| splice.at -= gone);
            self.leases.iter_mut().for_each(|lease| lease.0 -= gone);
        }
    }

    /// Moves everything before byte `end` of `from`, which was not sent from yet, to the end of this.
    fn take_over(&mut self, from: &mut Stream, end: usize) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&from.bytes[..end]);
        while from.splices.front().is_some_and(|splice| splice.at <= end) {
            let Some(mut splice) = from.splices.pop_front() else { break };
            let bytes = splice.payload.as_slice().len();
            from.spliced_bytes -= bytes;
            self.spliced_bytes += bytes;
            splice.at += base;
            self.splices.push_back(splice);
        }
        while let Some((frame_end, lease)) = from.leases.front().copied()
            && frame_end <= end
        {
            from.leases.pop_front();
            self.leases.push_back((base + frame_end, lease));
        }
        from.bytes.drain(..end);
        from.leases.iter_mut().for_each(|lease| lease.0 -= end);
        from.splices.iter_mut().for_each(|splice| splice.at -= end);
    }
}

impl Outbox {
    /// The stream for a reply that may leave at once, or that is held; `close_gate` says until when.
    pub fn stream(&mut self, held: bool) -> &mut Stream {
        if held { &mut self.held } else { &mut self.ready }
    }

    /// Everything that was written to the held stream so far leaves once `lsn` is durable.
    pub fn close_gate(&mut self, lsn: Lsn) {
        let end = self.held.bytes.len();
        match self.gates.back_mut() {
            Some(last) if last.0 == lsn => last.1 = end,
            _ => self.gates.push_back((lsn, end)),
        }
    }

    /// Lets everything go whose gate is at or below `durable`.
    pub fn release(&mut self, durable: Lsn) {
        let mut end = 0;
        while let Some((lsn, gate_end)) = self.gates.front()
            && *lsn <= durable
        {
            end = *gate_end;
            self.gates.pop_front();
        }
        if end == 0 {
            return;
        }
        if self.gates.is_empty() && self.ready.waiting_bytes() == 0 {
            std::mem::swap(&mut self.ready, &mut self.held);
            return;
        }
        self.ready.take_over(&mut self.held, end);
        self.gates.iter_mut().for_each(|gate| gate.1 -= end);
    }

    /// Bytes that wait, whether they may leave or not.
    pub fn waiting_bytes(&self) -> usize {
        self.ready.waiting_bytes() + self.held.waiting_bytes()
    }

    /// Whether what tells of this lease has not left yet, or not all of it.
    pub fn holds(&self, lease: LeaseId) -> bool {
        [&self.ready, &self.held].iter().any(|stream| stream.leases.iter().any(|(_, told)| *told == lease))
    }

    pub fn ready_bytes(&self) -> usize {
        self.ready.waiting_bytes()
    }

    /// The next pieces that may leave, as many as fit into `pieces`; returns how many there are.
    pub fn fill<'s>(&'s self, pieces: &mut [IoSlice<'s>]) -> usize {
        self.ready.fill(pieces)
    }

    /// Notes that the first `sent` of the bytes that may leave have left.
    pub fn consume(&mut self, sent: usize) {
        self.ready.consume(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(bytes: &[u8]) -> Payload {
        Payload::Owned(bytes.into())
    }

    fn write(outbox: &mut Outbox, gate: Option<u64>, head: &[u8], spliced: &[u8]) {
        let stream = outbox.stream(gate.is_some());
        stream.bytes.extend_from_slice(head);
        if !spliced.is_empty() {
            stream.splice(payload(spliced));
        }
        if let Some(lsn) = gate {
            outbox.close_gate(Lsn(lsn));
        }
    }

    /// Sends all that may leave, `step` bytes a time.
    fn sent(outbox: &mut Outbox, step: usize) -> String {
        let mut all = Vec::new();
        while outbox.ready_bytes() > 0 {
            let mut pieces = [IoSlice::new(&[]); 3];
            let count = outbox.fill(&mut pieces);
            let joined: Vec<u8> = pieces[..count].iter().flat_map(|piece| piece.to_vec()).collect();
            let now = step.min(joined.len());
            all.extend_from_slice(&joined[..now]);
            outbox.consume(now);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn held_replies_leave_when_their_gate_opens_and_not_before() {
        for step in [1, 2, 3, 100] {
            let mut outbox = Outbox::default();
            write(&mut outbox, Some(5), "a(".as_bytes(), b"PAY");
            write(&mut outbox, Some(5), ")b(".as_bytes(), b"LOAD");
            write(&mut outbox, Some(9), "c(".as_bytes(), b"MORE");
            write(&mut outbox, None, b"now;", b"");
            outbox.release(Lsn(4));
            assert_eq!(sent(&mut outbox, step), "now;");
            write(&mut outbox, None, b"x(", b"Y");
            outbox.release(Lsn(5));
            assert_eq!(sent(&mut outbox, step), "x(Ya(PAY)b(LOAD");
            outbox.release(Lsn(8));
            assert_eq!(sent(&mut outbox, step), "");
            outbox.release(Lsn(9));
            assert_eq!(sent(&mut outbox, step), "c(MORE");
            assert_eq!(outbox.waiting_bytes(), 0);
        }
    }

    #[test]
    fn what_was_sent_is_given_up_even_if_the_stream_never_runs_empty() {
        let mut outbox = Outbox::default();
        write(&mut outbox, None, &[b'x'; 100], b"");
        for _ in 0..10_000 {
            write(&mut outbox, None, &[b'x'; 100], b"yz");
            outbox.consume(102);
        }
        assert_eq!(outbox.waiting_bytes(), 100);
        assert!(outbox.ready.bytes.len() < 3 * KEPT_BYTES, "{}", outbox.ready.bytes.len());
        assert_eq!(sent(&mut outbox, 7).len(), 100);
    }

    #[test]
    fn a_lease_is_held_until_the_last_byte_of_its_frame_has_left() {
        let mut outbox = Outbox::default();
        for lease in 1..=3 {
            let stream = outbox.stream(true);
            stream.bytes.extend_from_slice(b"head");
            stream.splice(payload(b"payload"));
            stream.bytes.push(0);
            stream.tells(LeaseId(lease));
            outbox.close_gate(Lsn(lease));
        }
        let held = |outbox: &Outbox| [1, 2, 3].map(|lease| outbox.holds(LeaseId(lease)));
        outbox.release(Lsn(1));
        assert_eq!(held(&outbox), [true, true, true]);
        outbox.consume(11);
        assert_eq!(held(&outbox), [true, true, true]);
        outbox.consume(1);
        assert_eq!(held(&outbox), [false, true, true]);
        outbox.release(Lsn(3));
        outbox.consume(13);
        assert_eq!(held(&outbox), [false, false, true]);
        outbox.consume(11);
        assert_eq!(held(&outbox), [false, false, false]);
    }

    #[test]
    fn waiting_bytes_count_payloads() {
        let mut outbox = Outbox::default();
        write(&mut outbox, Some(1), b"12345", b"678");
        assert_eq!((outbox.waiting_bytes(), outbox.ready_bytes()), (8, 0));
        outbox.release(Lsn(1));
        assert_eq!(outbox.ready_bytes(), 8);
        outbox.consume(6);
        assert_eq!(outbox.waiting_bytes(), 2);
    }
}
