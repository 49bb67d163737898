//! Recovery over a directory in which anything may be wrong. An input is a byte that says whether checksums are made
//! right in the end (bit 0), and a row of edits of a real small log ([`edits`]).
//!
//! Always: the log is refused with a sentence and nothing in it is changed, or it is opened to a state whose invariants
//! hold. Looking at it without opening it, as `falcon-cli wal verify` does, comes to the same. What was mended stays
//! mended: opened again, after a kill and after a power cut, it is the same state.
//!
//! Where no checksum was made right it also holds that the state is one that the log once had, and none before
//! the newest LSN that something whole vouches for.

mod edits;
mod log;

use std::sync::Arc;

use falconqueue::limits::SEGMENT_BYTES_MAX;
use falconqueue::master::{Config, Master, Progress, WalError};
use falconqueue::rebuilt::Rebuilt;
use falconqueue::wal::{MemoryDevice, inspect, verify};

use log::{Files, Log, device_of, files_of};

const SEGMENT_BYTES: u32 = 16 << 10;

/// What a log comes to: its newest LSN, and the state.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub last: u64,
    pub state: Vec<String>,
}

pub fn run(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let log = Log::get();
    let mut files = log.files.clone();
    edits::carry_out(rest, &mut files);
    if how & 1 == 1 {
        make_whole(&mut files);
    }
    let device = device_of(&files);
    let looked = look(&device);
    let is_served = verified(&device);
    match (looked, open(&device)) {
        (Ok(found), Ok(state)) => {
            assert_eq!(found.state, state, "a look and an opening come to the same");
            assert!(is_served, "verify says that it is served");
            if how & 1 == 0 {
                log.holds(&files, &found);
            }
            stays(&device, &found);
        }
        (Err(_), Err(error)) => {
            assert!(!is_served && !error.to_string().is_empty());
            assert!(files_of(&device) == files, "what is refused is not changed: {error}");
        }
        (looked, opened) => panic!("looked: {looked:?}\nopened: {opened:?}"),
    }
}

/// Looks at a log without changing it.
fn look(device: &MemoryDevice) -> Result<Found, WalError> {
    let mut rebuilt = Rebuilt::default();
    let segments = inspect(device, &mut rebuilt)?.segments;
    rebuilt.check_segments(|epoch| segments.iter().any(|segment| segment.epoch == epoch))?;
    rebuilt.queues.check();
    let last = segments.last().map_or(0, |newest| newest.next.0 - 1);
    Ok(Found { last, state: rebuilt.queues.describe() })
}

/// Whether a verification says that the log is served.
fn verified(device: &MemoryDevice) -> bool {
    let whole = |rebuilt: &Rebuilt, epochs: &[u32]| rebuilt.check_segments(|epoch| epochs.contains(&epoch));
    let verified = verify(device, &mut Rebuilt::default(), whole).expect("a memory device lists its names");
    assert!(verified.is_served || !verified.faults.is_empty(), "a log is refused for a fault");
    verified.is_served
}

/// Opens it as a daemon does.
fn open(device: &MemoryDevice) -> Result<Vec<String>, WalError> {
    let config = Config { segment_bytes: SEGMENT_BYTES, beside: false, ..Config::default() };
    let opened = Master::open(config, Arc::new(device.clone()), &Progress::default())?;
    opened.master.queues().check();
    Ok(opened.master.queues().describe())
}

/// What was opened is the same at the next look and the next opening, after a kill and after a power cut.
fn stays(device: &MemoryDevice, found: &Found) {
    for left in [device.kill(), device.crash()] {
        assert_eq!(&look(&left).expect("what was opened can be looked at"), found);
        assert_eq!(open(&left).expect("what was opened opens again"), found.state);
    }
}

fn make_whole(files: &mut Files) {
    for (name, content) in files {
        if name.contains(".snap") {
            crate::whole::snapshot(content);
        } else {
            shorten(content);
            crate::whole::segment(content, false);
        }
    }
}

/// A cut fills a segment with zeros up to the length that its header names, and this disk is memory: a header may claim
/// more than a segment can have, but not as much as it just can.
fn shorten(segment: &mut [u8]) {
    let Some(field) = segment.get_mut(36..).and_then(<[u8]>::first_chunk_mut) else { return };
    let bytes = u32::from_le_bytes(*field);
    if bytes <= SEGMENT_BYTES_MAX {
        *field = (bytes % (4 * SEGMENT_BYTES)).to_le_bytes();
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let edit = |op: u8, file: u8| vec![op, file, 200, 0, 90, 0, 3, file + 1];
    let one =
        |how: u8| (0..edits::OPS).flat_map(move |op| (0..6).map(move |file| [&[how], &edit(op, file)[..]].concat()));
    let two = (0..edits::OPS).map(|op| [&[0], &edit(op, 3)[..], &edit(op, 2)[..]].concat());
    one(0).chain(one(1)).chain(two).chain([vec![0], vec![1]]).collect()
}
