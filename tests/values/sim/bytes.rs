//! The log's files as bytes, read by the tables of the documentation and not by the program.

use falconqueue::ids::Lsn;
use falconqueue::wal::{LogDevice, MemoryDevice, names};

/// Bytes before the first record of a segment.
pub const SEGMENT_HEADER: usize = 72;

/// Bytes before the body of a record.
pub const RECORD_HEADER: usize = 40;

/// A place that names a durable LSN, as long as its bytes are whole.
#[derive(Clone, Debug)]
pub struct Namer {
    pub file: String,
    pub from: usize,
    pub to: usize,
    pub durable: u64,
}

pub fn content(device: &MemoryDevice, name: &str) -> Vec<u8> {
    device.read(name).expect("the file is there")
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

/// Where the records of a whole segment end, and where each begins.
pub fn records(segment: &[u8]) -> (usize, Vec<usize>) {
    let epoch = u32_at(segment, 32);
    let mut at = SEGMENT_HEADER;
    let mut all = Vec::new();
    while at + RECORD_HEADER <= segment.len() && u32_at(segment, at + 4) > 0 && u32_at(segment, at + 28) == epoch {
        all.push(at);
        at += (u32_at(segment, at + 4) as usize).next_multiple_of(8);
    }
    (at, all)
}

/// Every place of a whole log that names a durable LSN.
pub fn namers(device: &MemoryDevice) -> Vec<Namer> {
    let mut all = Vec::new();
    for first in device.segments() {
        let file = names::segment(first);
        let bytes = content(device, &file);
        all.push(Namer { file: file.clone(), from: 0, to: SEGMENT_HEADER, durable: u64_at(&bytes, 48) });
        for at in records(&bytes).1 {
            let to = at + u32_at(&bytes, at + 4) as usize;
            let durable = u64_at(&bytes, at + 8).saturating_sub(u64::from(u32_at(&bytes, at + 32)));
            all.push(Namer { file: file.clone(), from: at, to, durable });
        }
    }
    for lsn in names::snapshots(&device.names().expect("a memory device lists")) {
        let file = names::snapshot(lsn);
        let to = content(device, &file).len();
        all.push(Namer { file, from: 0, to, durable: lsn.0 });
    }
    all
}

/// Fields of a record that is written by hand.
#[derive(Clone, Copy, Debug)]
pub struct Forged {
    pub lsn: u64,
    pub epoch: u32,
    pub lag: u32,
    pub kind: u8,
    pub more: bool,
    pub body_bytes: usize,
}

/// A valid record, padded.
pub fn forge(log_id: &[u8], fields: Forged) -> Vec<u8> {
    let length = RECORD_HEADER + fields.body_bytes;
    let mut record = vec![0; 4];
    record.extend_from_slice(&(length as u32).to_le_bytes());
    record.extend_from_slice(&fields.lsn.to_le_bytes());
    record.extend_from_slice(&1_000_000u64.to_le_bytes());
    record.extend_from_slice(&0u32.to_le_bytes());
    record.extend_from_slice(&fields.epoch.to_le_bytes());
    record.extend_from_slice(&fields.lag.to_le_bytes());
    record.extend_from_slice(&[fields.kind, u8::from(fields.more), 0, 0]);
    record.resize(length, b'x');
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32fast::hash(log_id));
    hasher.update(&record[4..]);
    let crc = hasher.finalize();
    record[..4].copy_from_slice(&crc.to_le_bytes());
    record.resize(length.next_multiple_of(8), 0);
    record
}

/// Says in a segment's header that its file was used before.
pub fn mark_used(segment: &mut [u8]) {
    segment[64] |= 1;
    let crc = crc32fast::hash(&segment[16..SEGMENT_HEADER]);
    segment[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// The newest segment.
pub fn newest(device: &MemoryDevice) -> Lsn {
    *device.segments().last().expect("a log has a segment")
}
