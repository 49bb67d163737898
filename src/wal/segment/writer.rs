//! Writing a segment: its header, then records one after the other.

use std::io;
use std::sync::Arc;

use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::record::{RECORD_HEADER_BYTES, RecordHead, Stamp, TERMINATOR_BYTES, encode_start, record_bytes};
use crate::ids::Location;
use crate::wal::device::{SegmentWriter, SharedFile};

/// The part of a segment that is certainly still in memory: what was written last. A busy log writes as much in a tenth
/// of a second.
const FRESH_BYTES: u32 = 8 << 20;

/// The longest payload that is copied into a reply.
const COPIED_BYTES_MAX: u32 = 4 << 10;

/// Writes records to the end of one segment.
#[derive(Debug)]
pub struct RecordWriter {
    file: Box<dyn SegmentWriter>,
    stamp: Stamp,
    /// Where the next record goes.
    end: u32,
    /// Checksum of the last record, 0 if there is none.
    last_crc: u32,
    scratch: Vec<u8>,
}

impl RecordWriter {
    pub fn begin(mut file: Box<dyn SegmentWriter>, header: &SegmentHeader) -> io::Result<RecordWriter> {
        let mut bytes = header.encode();
        bytes.extend_from_slice(&[0; TERMINATOR_BYTES as usize]);
        file.write_at(0, &bytes)?;
        let end = SEGMENT_HEADER_BYTES as u32;
        file.publish(end)?;
        Ok(RecordWriter { file, stamp: header.stamp(), end, last_crc: 0, scratch: Vec::new() })
    }

    /// Goes on behind the last record of a segment.
    pub fn go_on(file: Box<dyn SegmentWriter>, stamp: Stamp, end: u32, last_crc: u32) -> RecordWriter {
        RecordWriter { file, stamp, end, last_crc, scratch: Vec::new() }
    }

    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub fn end(&self) -> u32 {
        self.end
    }

    pub fn last_crc(&self) -> u32 {
        self.last_crc
    }

    /// Bytes that are free, whatever the segment's size is.
    pub fn free_bytes(&self) -> usize {
        self.file.bytes().saturating_sub(self.end) as usize
    }

    pub fn shared(&self) -> Arc<dyn SharedFile> {
        self.file.shared()
    }

    /// Writes a record, whose body is `head` and `tail`; returns where the tail lies.
    pub fn append(&mut self, fields: &RecordHead, head: &[u8], tail: &[u8]) -> io::Result<Location> {
        let Stamp { epoch, seed } = self.stamp;
        self.scratch.clear();
        let crc = encode_start(fields, seed, head, tail, &mut self.scratch);
        let behind = |bytes: usize| self.end + u32::try_from(bytes).expect("a record is within its limit");
        let tail_offset = behind(self.scratch.len());
        let padding_at = behind(RECORD_HEADER_BYTES + head.len() + tail.len());
        let end = behind(record_bytes(head.len() + tail.len()));
        // Zeros after the record end the log there, whatever an earlier use of the file has left behind.
        let zeros_end = (end + TERMINATOR_BYTES).min(self.file.bytes());
        let zeros = &[0; 8 + TERMINATOR_BYTES as usize][..(zeros_end - padding_at) as usize];
        if tail.is_empty() {
            self.scratch.extend_from_slice(zeros);
            self.file.write_at(self.end, &self.scratch)?;
        } else {
            self.file.write_at(self.end, &self.scratch)?;
            self.file.write_at(tail_offset, tail)?;
            self.file.write_at(padding_at, zeros)?;
        }
        self.file.publish(end)?;
        self.end = end;
        self.last_crc = crc;
        Ok(Location { epoch, offset: tail_offset })
    }

    /// A short payload that was appended a moment ago, in place. It is copied into the reply, which costs less than
    /// to send it from where it lies. Older ones are not looked at: their pages may have to be read again from the
    /// disk, and a bad sector would be a signal.
    pub fn fresh_payload(&self, at: Location, bytes: u32) -> Option<&[u8]> {
        let is_fresh = at.epoch == self.stamp.epoch && self.end - at.offset <= FRESH_BYTES;
        if is_fresh && bytes <= COPIED_BYTES_MAX { self.file.published(at.offset, bytes) } else { None }
    }
}
