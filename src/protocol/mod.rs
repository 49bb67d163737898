//! The wire: frames, requests and replies. The normative text is `protocol.md`.
//!
//! Promises: decoding never panics, never allocates from a length that was not checked, and yields
//! finished values that borrow from the frame; what is encoded here is decoded here to the same value.
//! It does not: read sockets (the reactor and the client do), nor know jobs, the log or the clock.

pub mod errors;
pub mod frame;
pub mod replies;
pub mod requests;
pub mod table;

mod bounds;

pub use crate::codec::List;
pub use errors::{ErrorCode, Refusal};
pub use frame::{FrameBuffer, Header};
pub use replies::*;
pub use requests::*;
pub use table::{Call, Reply, Request};

/// Version of the protocol that this code speaks.
pub const VERSION: u16 = 1;

/// The bytes `FLCN`, first in a Hello.
pub const MAGIC: u32 = u32::from_le_bytes(*b"FLCN");

/// What a reply's kind adds to its request's.
pub const REPLY_BIT: u16 = 0x8000;

/// The kind of an error reply.
pub const ERROR_KIND: u16 = 0x80ff;
