//! The seam between the log and the disk: a directory of files with flat names.
//!
//! Promise of a device: bytes written to a file are on stable storage once its `sync` has returned, and names
//! (made, changed, removed) once `sync_names` has; before that any part of the bytes may be, and of the names those
//! that were changed first. A change of a name is seen whole or not at all.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A directory that holds a log.
pub trait LogDevice: Send + Sync + fmt::Debug {
    /// The names of all files, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Size of a file in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn bytes(&self, name: &str) -> io::Result<u64>;

    /// The whole content of a file into `content`.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, name: &str, content: &mut Vec<u8>) -> io::Result<()>;

    /// Reads a file from its beginning on, a piece at a time.
    ///
    /// # Errors
    /// What the system says.
    fn reader(&self, name: &str) -> io::Result<Box<dyn io::Read>>;

    /// The whole content of a file, in place where the device can and nobody else writes it.
    ///
    /// # Errors
    /// What the system says.
    fn view(&self, name: &str) -> io::Result<Payload>;

    /// Gives up what the system has in memory of a file from the byte `from` on: after a failed sync that may be what never
    /// reached the disk. What is seen of it then comes from there.
    ///
    /// # Errors
    /// What the system says.
    fn distrust(&self, name: &str, from: u32) -> io::Result<()>;

    /// Makes a file, in place of one of that name, to be written from its beginning.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>>;

    /// Opens a segment to be written at and after `published`.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str, published: u32) -> io::Result<Box<dyn SegmentWriter>>;

    /// Writes zeros from `from` up to `to`, where the file then ends, and makes that durable.
    ///
    /// # Errors
    /// What the system says.
    fn zero(&self, name: &str, from: u32, to: u32) -> io::Result<()>;

    /// Gives a file another name, in place of one that has it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_names(&self) -> io::Result<()>;
}

/// A file that is being made.
pub trait NewFile: Send + fmt::Debug {
    /// Writes bytes to the end.
    ///
    /// # Errors
    /// What the system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes this many bytes of the device for the file, which is then as long and reads as zeros. Says whether the device
    /// can do that.
    ///
    /// # Errors
    /// What the system says.
    fn allocate(&mut self, bytes: u32) -> io::Result<bool>;

    /// Makes everything that was written so far durable.
    ///
    /// # Errors
    /// What the system says. There is no second try.
    fn sync(&mut self) -> io::Result<()>;
}

/// The writing side of a segment; there is one.
pub trait SegmentWriter: Send + fmt::Debug {
    /// The segment's size.
    fn bytes(&self) -> u32;

    /// Writes bytes, at or after the published end.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()>;

    /// Declares everything before `end` written for good.
    ///
    /// # Errors
    /// What the system says.
    fn publish(&mut self, end: u32) -> io::Result<()>;

    /// Published bytes in place, where a device has them there.
    fn published(&self, _offset: u32, _length: u32) -> Option<&[u8]> {
        None
    }

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
