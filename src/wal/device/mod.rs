//! The seam between the log and the disk: a directory of files with flat names.
//!
//! Promise of a device: bytes are on stable storage once the `sync` of their file has returned, and names (made,
//! changed, removed) once `sync_names` has. Before that any part of the bytes may be there, and of the names those
//! that were changed first. A change of a name is seen whole or not at all.

pub mod mapped;
pub mod memory;
pub mod memory_file;
pub mod pwrite;

use std::fmt;
use std::io;
use std::sync::Arc;

pub trait LogDevice: Send + Sync + fmt::Debug {
    /// The names of all files, in any order.
    fn names(&self) -> io::Result<Vec<String>>;

    fn bytes(&self, name: &str) -> io::Result<u64>;

    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Up to `bytes` of a file from `offset` on; fewer only at its end.
    fn read_piece(&self, name: &str, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;

    /// The whole content of a file, in place where the device can and nobody else writes it.
    fn view(&self, name: &str) -> io::Result<Payload> {
        Ok(Payload::Owned(self.read(name)?.into()))
    }

    /// Gives up what the system has in memory of a file from the byte `from` on, so that it is read from the disk
    /// again. After a failed sync the memory may hold what never reached the disk.
    fn distrust(&self, name: &str, from: u32) -> io::Result<()>;

    /// Makes a file, in place of one of that name, to be written from its beginning.
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>>;

    /// Opens a segment to be written at and after `published`.
    fn open(&self, name: &str, published: u32) -> io::Result<Box<dyn SegmentWriter>>;

    /// Writes zeros from `from` up to `to`, where the file then ends, and makes that durable.
    fn zero(&self, name: &str, from: u32, to: u32) -> io::Result<()>;

    /// Gives a file another name, in place of one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    fn sync_names(&self) -> io::Result<()>;
}

/// A file that is being made. After a failed sync there is no second try.
pub trait NewFile: Send + fmt::Debug {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file this long, really allocated, to read as zeros. Says whether the device can do that.
    fn allocate(&mut self, bytes: u32) -> io::Result<bool>;

    /// Makes everything that was written so far durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The writing side of a segment; there is one.
pub trait SegmentWriter: Send + fmt::Debug {
    fn bytes(&self) -> u32;

    /// Writes bytes, at or after the published end.
    fn write_at(&mut self, offset: u32, bytes: &[u8]) -> io::Result<()>;

    /// Declares everything before `end` written for good.
    fn publish(&mut self, end: u32) -> io::Result<()>;

    /// Published bytes in place, where a device has them there.
    fn published(&self, _offset: u32, _length: u32) -> Option<&[u8]> {
        None
    }

    /// The side that others may have.
    fn shared(&self) -> Arc<dyn SharedFile>;
}

/// The shared side of a segment.
pub trait SharedFile: Send + Sync + fmt::Debug {
    fn bytes(&self) -> u32;

    /// Reads from the device.
    fn read_at(&self, offset: u32, bytes: &mut [u8]) -> io::Result<()>;

    /// Makes everything that was written so far durable.
    fn sync(&self) -> io::Result<()>;

    /// Lends published bytes, without copying them where the device can.
    fn payload(self: Arc<Self>, offset: u32, length: u32) -> io::Result<Payload> {
        let mut bytes = vec![0; length as usize];
        self.read_at(offset, &mut bytes)?;
        Ok(Payload::Owned(bytes.into()))
    }
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
        segment: Arc<dyn Lend>,
        offset: u32,
        length: u32,
    },
    Owned(Arc<[u8]>),
}

impl Payload {
    /// The bytes. Give them to a system call where possible: it answers a bad sector under a map with an error. A
    /// load from it would be a signal.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Payload::Lent { segment, offset, length } => segment.slice(*offset, *length),
            Payload::Owned(bytes) => bytes,
        }
    }
}
