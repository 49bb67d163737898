//! The wire: frames, requests and replies. The normative text is `protocol.md`.
//!
//! Promises: decoding never panics, never allocates from a length that was not checked, and yields
//! finished values that borrow from the frame; what is encoded here is decoded here to the same value.
//! It does not: read sockets (the reactor and the client do), nor know jobs, the log or the clock.

pub mod error;
pub mod frame;
pub mod list;
pub mod reply;
pub mod request;

pub use error::{ErrorCode, Refusal};
pub use frame::{FrameBuffer, Header};
pub use list::List;
pub use reply::{
    BackupFile, Counts, Delivery, HelloOk, ItemStatus, LeaseStatus, QueueCounts, Reply, Stats, Submitted,
};
pub use request::{AckItem, FailItem, HeldLease, Hello, Poll, ReadFile, ReleaseItem, Request, SubmitJob};

/// Version of the protocol that this code speaks.
pub const VERSION: u16 = 1;

/// The bytes `FLCN`, first in a Hello.
pub const MAGIC: u32 = u32::from_le_bytes(*b"FLCN");

/// What a reply's kind adds to its request's.
pub const REPLY_BIT: u16 = 0x8000;

/// Kinds of frames.
pub mod kind {
    #![allow(missing_docs)]
    pub const HELLO: u16 = 1;
    pub const SUBMIT: u16 = 2;
    pub const POLL: u16 = 3;
    pub const ACK: u16 = 4;
    pub const FAIL: u16 = 5;
    pub const RELEASE: u16 = 6;
    pub const HEARTBEAT: u16 = 7;
    pub const STATS: u16 = 8;
    pub const SNAPSHOT: u16 = 9;
    pub const BACKUP: u16 = 10;
    pub const READ: u16 = 11;
    pub const ERROR: u16 = 0x80ff;
}
