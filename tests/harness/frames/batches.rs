//! The requests about batches, and what answers them.

use super::reader::Reader;
use super::replies::Figures;
use super::{Body, Job, Reply, Request};

/// What answers a request about batches.
#[derive(Clone, Debug, PartialEq)]
pub enum OfBatches {
    /// How many members it has.
    Begun(u64),
    /// `EndBatchOk` or `CancelBatchOk`.
    Done,
    Show(BatchFacts),
    /// And whether there are more.
    List(Vec<BatchRow>, bool),
}

#[derive(Clone, Debug, PartialEq)]
pub struct BatchFacts {
    pub name: String,
    pub sealed: bool,
    pub called_off: bool,
    pub members: u64,
    pub left: u64,
    pub figures: Vec<(String, u64)>,
}

impl BatchFacts {
    pub fn figure(&self, name: &str) -> u64 {
        self.figures.iter().find(|(known, _)| known == name).expect("it is told").1
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct BatchRow {
    pub name: String,
    pub sealed: bool,
    pub called_off: bool,
    pub members: u64,
    pub left: u64,
    pub failed: u64,
}

fn of_one(kind: u16, batch: &str) -> Request {
    Request::new(kind, Body::default().text(batch).plain())
}

pub fn begin_batch(batch: &str) -> Request {
    of_one(42, batch)
}

pub fn end_batch(batch: &str) -> Request {
    of_one(43, batch)
}

pub fn show_batch(batch: &str, wait_ms: u32) -> Request {
    Request::new(44, Body::default().text(batch).u32(wait_ms).plain())
}

pub fn cancel_batch(batch: &str) -> Request {
    of_one(45, batch)
}

pub fn list_batches(behind: &str, limit: u16) -> Request {
    Request::new(46, Body::default().text(behind).u16(limit).plain())
}

/// Jobs that are members of a batch.
pub fn submit_to_batch(batch: &str, jobs: &[Job]) -> Request {
    let mut request = super::submit(jobs);
    request.body.pop();
    let batch = Body::default().extras(&[(1, Some(Body::default().text(batch)))]);
    request.body.extend(batch.0);
    request
}

impl Reader<'_> {
    /// The replies about batches, and to an ack with follow-ups.
    pub fn of_batches(&mut self, kind: u16) -> Reply {
        if kind == 0x802F {
            return Reply::AckThenOk(self.u16(), self.list(|r| r.submitted().job));
        }
        Reply::OfBatches(match kind {
            0x802A => OfBatches::Begun(self.u64()),
            0x802B | 0x802D => OfBatches::Done,
            0x802C => {
                let (name, sealed, called_off) = (self.text(), self.u8() == 1, self.u8() == 1);
                let (members, left) = (self.u64(), self.u64());
                let Figures(figures) = self.figures();
                OfBatches::Show(BatchFacts { name, sealed, called_off, members, left, figures })
            }
            0x802E => {
                let rows = self.list(|r| {
                    let (name, sealed, called_off) = (r.text(), r.u8() == 1, r.u8() == 1);
                    let row = BatchRow { name, sealed, called_off, members: r.u64(), left: r.u64(), failed: r.u64() };
                    r.then_extras(row)
                });
                OfBatches::List(rows, self.u8() == 1)
            }
            other => panic!("a reply of unknown kind {other:#06x}"),
        })
    }
}
