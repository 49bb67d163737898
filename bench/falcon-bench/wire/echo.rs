//! The ceiling: a request comes back as it was sent.

use super::{Batch, Seen, Wire};

#[derive(Default)]
pub struct Echo {
    is_ready: bool,
    payload_bytes: usize,
    /// Numbers of the requests that are open, oldest first.
    open: std::collections::VecDeque<u64>,
}

impl Wire for Echo {
    fn greet(&mut self, out: &mut Vec<u8>) {
        out.push(b'!');
    }

    fn submit(&mut self, batch: &Batch, out: &mut Vec<u8>) {
        self.payload_bytes = batch.payload_bytes;
        self.open.push_back(batch.only());
        batch.put(batch.only(), out);
    }

    fn poll(&mut self, _out: &mut Vec<u8>) {}

    fn ack(&mut self, _out: &mut Vec<u8>) {}

    fn decode(&mut self, input: &[u8], seen: &mut Seen, _out: &mut Vec<u8>) -> Result<usize, String> {
        let mut used = 0;
        if !self.is_ready && !input.is_empty() {
            (self.is_ready, seen.ready, used) = (true, true, 1);
        }
        while input.len() - used >= self.payload_bytes && self.payload_bytes > 0 {
            let reply = &input[used..used + self.payload_bytes];
            let number = self.open.pop_front().ok_or("an echo of nothing")?;
            if reply.first_chunk() != Some(&number.to_le_bytes()) {
                return Err(format!("request {number} came back as another"));
            }
            seen.submits += 1;
            used += self.payload_bytes;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_comes_back() {
        let make = || -> Box<dyn Wire> {
            let mut wire = Echo::default();
            let mut out = Vec::new();
            for first in 0..2 {
                wire.submit(&Batch { first, count: 1, stamp_ns: 3, payload_bytes: 20 }, &mut out);
            }
            Box::new(wire)
        };
        let mut out = Vec::new();
        Echo::default().greet(&mut out);
        let mut wire = Echo::default();
        for first in 0..2 {
            wire.submit(&Batch { first, count: 1, stamp_ns: 3, payload_bytes: 20 }, &mut out);
        }
        let (seen, _) = super::super::testing::decoded(make, &out);
        assert!(seen.ready);
        assert_eq!(seen.submits, 2);
        out[1] = 9;
        assert!(make().decode(&out, &mut Seen::default(), &mut Vec::new()).is_err());
    }
}
