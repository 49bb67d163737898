//! What is read from the log beside the loop: texts at known places, and the records of one subject. A reading is made
//! where the log is, which pins what it needs, and is run by another thread, which may take its time.
//!
//! It reads nothing that was written after it was made.

use std::sync::Arc;

use super::append::Wal;
use super::device::SharedFile;
use super::error::WalError;
use super::pinned::PinnedSegment;
use super::segment::record::Record;
use crate::ids::{Location, Lsn};
use crate::limits::{
    LOG_EVENTS_MAX, LOG_PAGE_BYTES_MAX, LOG_READ_BYTES_MAX, LOG_READ_SEGMENTS_MAX, READ_PIECE_BYTES, TEXTS_BYTES_MAX,
    TEXTS_MAX,
};
use crate::time::Timestamp;

/// What a record costs of a page beside its body.
const RECORD_BYTES: usize = 32;

/// A text to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The caller's: it comes back with the bytes.
    pub number: u64,
    pub at: Location,
    pub bytes: u32,
}

/// Texts to be read at once, within bounds.
#[derive(Debug, Default)]
pub struct TextBatch {
    texts: Vec<Text>,
    bytes: usize,
}

impl TextBatch {
    /// Adds a text, unless there are too many then, or their bytes are. A first one is always taken.
    #[must_use = "one that was not taken is not read"]
    pub fn add(&mut self, text: Text) -> bool {
        let bytes = self.bytes + text.bytes as usize;
        if self.texts.len() >= TEXTS_MAX || (bytes > TEXTS_BYTES_MAX && !self.texts.is_empty()) {
            return false;
        }
        self.texts.push(text);
        self.bytes = bytes;
        true
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// A batch of texts with the segments in which they lie.
#[derive(Debug)]
pub struct TextsReading {
    texts: Vec<(Text, Arc<dyn SharedFile>)>,
}

/// What a page of a [`LogReading`] may hold, and what may be read for it.
#[derive(Clone, Copy, Debug)]
pub struct LogBounds {
    pub records: usize,
    /// Of the records; the first is there whatever it has.
    pub bytes: usize,
    /// Of segments.
    pub read_bytes: u64,
}

impl Default for LogBounds {
    fn default() -> Self {
        LogBounds { records: LOG_EVENTS_MAX, bytes: LOG_PAGE_BYTES_MAX, read_bytes: LOG_READ_BYTES_MAX }
    }
}

/// The log from an LSN on, as far as one page is read from it.
#[derive(Debug)]
pub struct LogReading {
    from: Lsn,
    /// Oldest first.
    segments: Vec<PinnedSegment>,
    /// Whether there are further ones behind them.
    has_more: bool,
    bounds: LogBounds,
}

/// A record that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecord {
    pub lsn: Lsn,
    pub at: Timestamp,
    pub kind: u8,
    pub body: Vec<u8>,
}

/// A run of records that are no longer there, since nothing in them was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingRecords {
    pub first: Lsn,
    pub last: Lsn,
    /// Moment of the record behind them.
    pub next_at: Timestamp,
}

/// A piece of the log, without what was not wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// Ascending.
    pub records: Vec<KeptRecord>,
    /// Of the piece that the page is about; ascending.
    pub missing: Vec<MissingRecords>,
    /// Where to go on, unless this was all that there was when it was asked for.
    pub next: Option<Lsn>,
    bytes: usize,
}

impl Wal {
    /// A reading of these texts, which lie in segments that are there now.
    pub fn texts_reading(&self, batch: TextBatch) -> TextsReading {
        let shared = |text: &Text| self.held(text.at.epoch).expect("a text lies in a segment of this log");
        let texts = batch.texts.into_iter().map(|text| (text, Arc::clone(&shared(&text).shared)));
        TextsReading { texts: texts.collect() }
    }

    /// A reading of the log from this LSN on.
    pub fn log_reading(&self, from: Lsn, bounds: LogBounds) -> LogReading {
        let mut left = bounds.read_bytes;
        let mut segments = Vec::new();
        let mut has_more = false;
        for (covered, held) in self.covered().zip(&self.segments).filter(|(covered, _)| covered.next > from) {
            if left == 0 || segments.len() == LOG_READ_SEGMENTS_MAX {
                has_more = true;
                break;
            }
            left = left.saturating_sub(u64::from(covered.end));
            segments.push(self.pin(covered, &held.shared));
        }
        LogReading { from: from.max(Lsn(1)), segments, has_more, bounds }
    }
}

impl TextsReading {
    /// Reads them: of each its number, and its bytes or why it could not be read. It ends early, without the rest, when
    /// `is_over` says that nobody wants them any more.
    pub fn run(self, is_over: impl Fn() -> bool) -> Vec<(u64, Result<Vec<u8>, WalError>)> {
        let read = |(text, shared): (Text, Arc<dyn SharedFile>)| {
            let mut bytes = vec![0; text.bytes as usize];
            let outcome = shared.read_at(text.at.offset, &mut bytes).map_err(WalError::io("reading back from the log"));
            (text.number, outcome.map(|()| bytes))
        };
        self.texts.into_iter().take_while(|_| !is_over()).map(read).collect()
    }
}

impl LogReading {
    /// Reads the records for which `is_wanted`, given kind and body, says so. It ends early, with whatever it has, when
    /// `is_over` says that nobody wants them any more.
    pub fn run(self, is_wanted: impl Fn(u8, &[u8]) -> bool, is_over: impl Fn() -> bool) -> Result<LogPage, WalError> {
        let LogReading { from, segments, has_more, bounds } = self;
        let (mut page, mut following) = (LogPage::default(), from);
        let mut piece = Vec::new();
        // Each segment may be given up as soon as it was read.
        for segment in segments {
            let mut at = Some(0);
            while let Some(offset) = at
                && page.next.is_none()
                && !is_over()
            {
                at = segment.visit_slice(offset, READ_PIECE_BYTES, &mut piece, &mut |record, _| {
                    page.note_missing(following, record);
                    following = record.head.lsn.next();
                    if record.head.lsn >= from && is_wanted(record.head.kind, record.body) {
                        page.add(record, &bounds);
                    }
                    Ok(())
                })?;
            }
        }
        if has_more && page.next.is_none() {
            page.next = Some(following);
        }
        Ok(page)
    }
}

impl LogPage {
    /// Notes the records that are not there between the one that should follow and the one that does. Behind a
    /// page that is full nothing is noted: the next one begins there.
    fn note_missing(&mut self, following: Lsn, record: &Record<'_>) {
        let found = record.head.lsn;
        if found > following && self.next.is_none() {
            self.missing.push(MissingRecords { first: following, last: Lsn(found.0 - 1), next_at: record.head.at });
        }
    }

    fn add(&mut self, record: &Record<'_>, bounds: &LogBounds) {
        let bytes = self.bytes + RECORD_BYTES + record.body.len();
        let is_full = self.records.len() >= bounds.records || (bytes > bounds.bytes && !self.records.is_empty());
        if is_full && self.next.is_none() {
            self.next = Some(record.head.lsn);
        }
        if self.next.is_none() {
            let (lsn, at, kind) = (record.head.lsn, record.head.at, record.head.kind);
            self.records.push(KeptRecord { lsn, at, kind, body: record.body.to_owned() });
            self.bytes = bytes;
        }
    }
}
