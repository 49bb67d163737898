//! What can go wrong with the log, each as a sentence that helps at three in the morning.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::names;
use crate::ids::Lsn;

#[derive(Debug)]
pub enum WalError {
    Io {
        /// What was being done, as a gerund with its object.
        doing: String,
        source: io::Error,
    },
    /// Data that was durable is damaged.
    Damaged {
        /// First LSN of the segment, which names its file.
        segment: Lsn,
        offset: u32,
        /// The record that should be there.
        lsn: Lsn,
        found: Bad,
        /// The newest LSN that the log itself says was durable.
        durable: Lsn,
    },
    /// A file, or a record or block in it, whose format only a later falcond knows.
    Later {
        file: Option<String>,
        lsn: Option<Lsn>,
        /// What is not known here, as a noun.
        what: String,
    },
    /// A file that is named as a segment and is none, or not of this log.
    Segment {
        segment: Lsn,
        /// What is wrong with it, as a clause.
        why: &'static str,
    },
    /// A file that is named as a segment but has no header of one.
    Header { segment: Lsn, fault: HeaderFault },
    /// A segment whose header is that of a segment of another name.
    OtherName { segment: Lsn, log_id: u128, epoch: u32 },
    Missing {
        from: Lsn,
        to: Lsn,
        /// The segment that follows them, if there is one.
        before: Option<Lsn>,
    },
    /// A segment is not there in which payloads or stories of jobs lie.
    Gone {
        /// It has no name any more; each segment's header has an epoch.
        epoch: u32,
        texts: u32,
    },
    Snapshot {
        name: String,
        offset: u64,
        /// What is wrong there, as a clause.
        why: String,
    },
    /// A record that no event of this program fits, or that does not fit what came before.
    Replay {
        /// The sentence of the one who was replaying.
        why: String,
    },
    Locked {
        dir: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// No room for another record, and no way to make some.
    Full,
}

/// What to do about a log that cannot be used.
pub const ADVICE: &str = "Restore the directory from a copy, or see what `falcon-cli wal repair` can save; \
                          nothing in it was changed";

impl WalError {
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> WalError {
        move |source| WalError::Io { doing: doing.into(), source }
    }

    /// A file with something in its head that is not known here.
    pub(super) fn later(file: String, what: impl fmt::Display) -> WalError {
        WalError::Later { file: Some(file), lsn: None, what: what.to_string() }
    }

    pub(super) fn header(segment: Lsn, fault: HeaderFault) -> WalError {
        if fault.is_later() {
            WalError::later(names::segment(segment), fault)
        } else {
            WalError::Header { segment, fault }
        }
    }

    /// A record with flags that are not known here.
    pub(super) fn flags(lsn: Lsn, flags: u32) -> WalError {
        WalError::Later { file: None, lsn: Some(lsn), what: format!("the flags {flags:#x}") }
    }

    /// Puts the file into an error of who reads records and blocks, and does not know where they stand.
    pub(super) fn in_file(name: impl FnOnce() -> String) -> impl FnOnce(WalError) -> WalError {
        move |error| match error {
            WalError::Later { file: None, lsn, what } => WalError::Later { file: Some(name()), lsn, what },
            error => error,
        }
    }

    /// Whether it is no damage, but written by a later falcond.
    pub fn is_later(&self) -> bool {
        matches!(self, WalError::Later { .. })
    }

    pub fn is_lack_of_space(&self) -> bool {
        match self {
            WalError::Full => true,
            WalError::Io { source, .. } => is_lack_of_space(source),
            _ => false,
        }
    }
}

/// Whether the disk, or who may use how much of it, has come to its end.
pub(super) fn is_lack_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unusable = |segment: &Lsn| format!("file {segment:020}.wal cannot be used");
        let move_it = "Move it away if it does not belong here";
        match self {
            WalError::Io { doing, source } => write!(f, "{doing} failed: {source}"),
            WalError::Damaged { segment, offset, lsn, found, durable } => write!(
                f,
                "segment {segment:020}.wal is damaged at byte {offset}: record {lsn} should be there, found {found}; \
                 the log says that everything up to LSN {durable} was durable, so this is not a torn tail. {ADVICE}"
            ),
            WalError::Later { file, lsn, what } => fmt_later(f, file.as_deref(), *lsn, what),
            WalError::Segment { segment, why } => write!(f, "{}: {why}. {move_it}", unusable(segment)),
            WalError::Header { segment, fault } => {
                write!(f, "{}: {fault}. {move_it}. {ADVICE}", unusable(segment))
            }
            WalError::OtherName { segment, .. } => {
                write!(f, "{}: its header names another LSN than its name. {move_it}", unusable(segment))
            }
            WalError::Missing { from, to, before } => fmt_missing(f, *from, *to, *before),
            WalError::Gone { epoch, texts } => write!(
                f,
                "no .wal file here has epoch {epoch}, and with it {texts} payloads and stories of jobs are missing. \
                 {ADVICE}"
            ),
            WalError::Snapshot { name, offset, why } => {
                write!(f, "snapshot {name} is damaged at byte {offset}: {why}")
            }
            WalError::Replay { why } => write!(f, "the log cannot be replayed: {why}"),
            WalError::Locked { dir, holder } => write!(
                f,
                "the data directory {} is in use by another falcond{holder}; stop that one or name another directory",
                dir.display()
            ),
            WalError::Full => f.write_str("the log is full and no further segment can be made; free some disk space"),
        }
    }
}

fn fmt_later(f: &mut fmt::Formatter<'_>, file: Option<&str>, lsn: Option<Lsn>, what: &str) -> fmt::Result {
    let file = file.unwrap_or("the log");
    let place = lsn.map_or_else(|| "it".to_owned(), |lsn| format!("record {lsn}"));
    write!(
        f,
        "{file} was written by a later falcond: {place} has {what}; start the falcond that wrote it. \
         Nothing was changed"
    )
}

fn fmt_missing(f: &mut fmt::Formatter<'_>, from: Lsn, to: Lsn, before: Option<Lsn>) -> fmt::Result {
    let place = before.map_or_else(|| "at the log's end".to_owned(), |first| format!("before segment {first:020}.wal"));
    write!(f, "records {from} to {to} are missing {place}, and no snapshot that can be used covers them. {ADVICE}")
}

impl std::error::Error for WalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WalError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why there is no valid record at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Nothing was ever written here.
    Empty,
    Length(u32),
    Checksum,
    /// A whole record, but left over from an earlier use of the file.
    Epoch(u32),
    /// A whole record, but not the next one.
    Lsn(Lsn),
    /// A whole record with flags that only a later falcond knows.
    Flags(Lsn, u32),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bad::Empty => f.write_str("no record"),
            Bad::Length(length) => write!(f, "a record of {length} bytes, which no record has"),
            Bad::Checksum => f.write_str("a record whose checksum does not match"),
            Bad::Epoch(epoch) => {
                write!(f, "a record of epoch {epoch}, left over from another use of the file")
            }
            Bad::Flags(lsn, flags) => write!(f, "record {lsn} with the flags {flags:#x}"),
            Bad::Lsn(lsn) => write!(f, "a record with LSN {lsn}, which is not the next one"),
        }
    }
}

/// Why a file does not begin with a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    Short,
    /// Zeros, or a header that was not written to its end.
    Unfinished,
    Foreign,
    /// Something that only a later falcond knows.
    Later {
        /// What, as a noun.
        what: &'static str,
        found: u32,
        /// The highest that is known here.
        known: u32,
    },
}

impl HeaderFault {
    /// Whether it is no damage.
    pub fn is_later(&self) -> bool {
        matches!(self, HeaderFault::Later { .. })
    }
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderFault::Short => f.write_str("it is shorter than a segment's header"),
            HeaderFault::Unfinished => f.write_str("its header is empty or its checksum does not match"),
            HeaderFault::Foreign => f.write_str("it does not begin as a FalconQueue segment does"),
            HeaderFault::Later { what, found, known } => {
                write!(f, "{what} {found} (this one knows {known})")
            }
        }
    }
}
