//! The seam between the log and the disk: what a device of segments does.
//!
//! Promise of a device: bytes written to a segment are on stable storage once its `sync` has returned, and a
//! segment's name once `sync_names` has; before that any part of them may be.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::ids::Lsn;

/// A place that holds segments.
pub trait LogDevice: Send + Sync + fmt::Debug {
    /// First LSNs of all segments, ascending.
    ///
    /// # Errors
    /// What the system says.
    fn segments(&self) -> io::Result<Vec<Lsn>>;

    /// The whole content of a segment, read from the device, into `content`.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, first: Lsn, content: &mut Vec<u8>) -> io::Result<()>;

    /// Makes a spare segment of zeros ready, really allocated and durable.
    ///
    /// # Errors
    /// What the system says; nothing is left behind.
    fn make_spare(&self, bytes: u32) -> io::Result<()>;

    /// Gives the spare its name and opens it; the name is durable after `sync_names`.
    ///
    /// # Errors
    /// What the system says.
    fn adopt_spare(&self, first: Lsn) -> io::Result<Box<dyn SegmentWriter>>;

    /// Opens a segment to go on writing at `end`.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, first: Lsn, end: u32) -> io::Result<Box<dyn SegmentWriter>>;

    /// Keeps a copy of the bytes from `from` on outside of the log, then writes zeros from there up to `bytes`; both
    /// durable. Returns the name of the copy.
    ///
    /// # Errors
    /// What the system says.
    fn cut(&self, first: Lsn, from: u32, bytes: u32) -> io::Result<String>;

    /// Takes a whole segment out of the log, and keeps it under another name, which is returned; one of zeros is
    /// removed.
    ///
    /// # Errors
    /// What the system says.
    fn cut_whole(&self, first: Lsn) -> io::Result<Option<String>>;

    /// Makes the names of segments durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_names(&self) -> io::Result<()>;
}

/// The writing side of a segment; there is one.
pub trait SegmentWriter: Send + fmt::Debug {
    /// Writes bytes, at or after the published end.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()>;

    /// Declares everything before `end` written for good.
    fn publish(&mut self, end: u32);

    /// The side that others may have.
    fn shared(&self) -> Arc<dyn Segment>;
}

/// The shared side of a segment.
pub trait Segment: Send + Sync + fmt::Debug {
    /// Its size.
    fn bytes(&self) -> u32;

    /// Reads from the device.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u32, bytes: &mut [u8]) -> io::Result<()>;

    /// Makes everything that was written so far durable.
    ///
    /// # Errors
    /// What the system says. There is no second try.
    fn sync(&self) -> io::Result<()>;

    /// Lends published bytes, without copying them where the device can.
    ///
    /// # Errors
    /// What the system says.
    fn payload(self: Arc<Self>, offset: u32, length: u32) -> io::Result<Payload>;
}

/// A segment whose published bytes can be looked at in place.
pub trait Lend: Send + Sync + fmt::Debug {
    /// These bytes.
    ///
    /// # Panics
    /// When they are not published.
    fn slice(&self, offset: u32, length: u32) -> &[u8];
}

/// Bytes of the log that a reply sends.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Lent from a segment, which stays in place while this lives.
    Lent {
        /// The segment.
        segment: Arc<dyn Lend>,
        /// Where in it.
        offset: u32,
        /// How many bytes.
        length: u32,
    },
    /// Copied.
    Owned(Arc<[u8]>),
}

impl Payload {
    /// The bytes. Give them to a system call where possible: it answers a bad sector under a map
    /// with an error, a load from it would be a signal.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Payload::Lent { segment, offset, length } => segment.slice(*offset, *length),
            Payload::Owned(bytes) => bytes,
        }
    }
}
