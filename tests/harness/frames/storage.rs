//! Storage, and what answers it.

use super::reader::Reader;
use super::{Body, Reply, Request};

/// The files of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    pub segments: Vec<Segment>,
    pub left_out: u64,
    /// LSN, bytes, made at.
    pub snapshots: Vec<(u64, u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub first: u64,
    pub bytes: u64,
    pub used_bytes: u64,
    pub live_bytes: u64,
    pub state: u8,
}

pub const ACTIVE: u8 = 1;
pub const FULL: u8 = 2;
pub const SPARE: u8 = 3;

pub fn storage() -> Request {
    Request::new(50, Body::default().plain())
}

impl Reader<'_> {
    pub fn storage(&mut self) -> Reply {
        let segments = self.list(|r| {
            let (first, bytes, used_bytes, live_bytes) = (r.u64(), r.u64(), r.u64(), r.u64());
            let segment = Segment { first, bytes, used_bytes, live_bytes, state: r.u8() };
            r.then_extras(segment)
        });
        let left_out = self.u64();
        let snapshots = self.list(|r| {
            let kept = (r.u64(), r.u64(), r.u64());
            r.then_extras(kept)
        });
        Reply::StorageOk(Storage { segments, left_out, snapshots })
    }
}
