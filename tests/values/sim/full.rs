//! What has to go on while a disk is full, and after.

use falconqueue::ids::SessionId;
use falconqueue::limits::RECORD_OVERHEAD_BYTES_MAX;
use falconqueue::master::{Urgency, WalError};
use falconqueue::protocol::{Ack, AckItem, List, Request};
use falconqueue::time::Millis;

use crate::frames::{Reply, STORAGE_FULL};
use crate::session::{heard, poll};

use super::client::{Sentence, What};
use super::load::QUEUES;
use super::{Held, SEGMENT_BYTES, Sim};

/// Acks of one request.
const ACKS_MAX: usize = SEGMENT_BYTES as usize / 4 / RECORD_OVERHEAD_BYTES_MAX;

impl Sim {
    /// Every accepted job is polled and acked to the last, half of them with a result that may be dropped, and
    /// heartbeats are answered. With
    /// `is_full`, a job whose worker went away may stay: that its lease ran out is put off for want of room.
    pub fn drain(&mut self, is_full: bool) -> Result<(), WalError> {
        let worker = self.workers[0];
        let mut idle = 0;
        for round in 0..400 {
            let (waiting, in_flight) = self.master.queues().unfinished();
            idle = if waiting == 0 { idle + 1 } else { 0 };
            if waiting == 0 && (in_flight == 0 || is_full && idle > 20) {
                return Ok(());
            }
            // Jobs whose lease nobody holds any more come back when it has run out.
            self.now = self.now.plus(Millis(if round % 4 == 0 { 20_000 } else { 1000 }));
            self.begin_turn()?;
            self.send(worker, &poll(&QUEUES, 1000, 0), What::Poll)?;
            self.finish_turn()?;
            self.sync()?;
            self.beat(worker)?;
            self.ack_all(worker)?;
            assert!(self.held.is_empty(), "an ack was refused that needs no room");
        }
        panic!("jobs are left: {:?}", self.master.queues().unfinished());
    }

    /// In a request as many as fit into the fixed reserve of these small segments, each with its whole overhead.
    fn ack_all(&mut self, worker: SessionId) -> Result<(), WalError> {
        let held = std::mem::take(&mut self.held);
        let said = Sentence { result: Vec::new(), is_optional: true, at: self.now };
        for held in held.chunks(ACKS_MAX) {
            let item = |held: &Held| AckItem { job: held.job, lease: held.lease, ..AckItem::default() };
            let mut items: Vec<AckItem<'_>> = held.iter().map(item).collect();
            for item in items.iter_mut().step_by(2) {
                (item.result, item.text_optional) = (&[b'r'; 100], Some(true));
            }
            for held in held {
                self.told.ending(held.job, self.now);
            }
            self.begin_turn()?;
            let acks = Request::Ack(Ack { items: List::lent(&items) });
            self.send(worker, &acks, What::Ack(held.to_vec(), said.clone()))?;
            self.finish_turn()?;
            self.sync()?;
        }
        Ok(())
    }

    fn beat(&mut self, worker: SessionId) -> Result<(), WalError> {
        let waiting = self.sent.len();
        if !self.held.is_empty() {
            self.send_heartbeat(worker)?;
        }
        self.sync()?;
        assert_eq!(self.sent.len(), waiting, "a heartbeat is answered");
        Ok(())
    }

    /// Whether a job is taken within this time.
    pub fn takes_a_job_within(&mut self, span: u64) -> Result<bool, WalError> {
        self.sync()?;
        let end = self.now.plus(Millis(span));
        while self.now <= end {
            self.begin_turn()?;
            let job = self.drawn_job();
            let correlation = self.send_submit(vec![job])?;
            self.finish_turn()?;
            while let Some(request) = self.master.sync_request(self.now, Urgency::Quiet) {
                self.master.synced(&request.run())?;
            }
            self.sent.remove(&correlation);
            for (answered, reply) in heard(&mut self.master, self.producer) {
                match reply {
                    Reply::SubmitOk(_) if answered == correlation => return Ok(true),
                    Reply::Error { code, .. } => assert_eq!(code, STORAGE_FULL),
                    _ => {}
                }
            }
            self.now = self.now.plus(Millis(100));
        }
        Ok(false)
    }
}
