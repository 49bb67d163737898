//! What can go wrong with the log, each as a sentence that helps at three in the morning.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::record::Bad;
use super::segment::HeaderFault;
use crate::ids::Lsn;

/// An error of the log.
#[derive(Debug)]
pub enum WalError {
    /// A read, write or sync failed.
    Io {
        /// What was being done, as a gerund with its object.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// Data that was durable is damaged.
    Damaged {
        /// First LSN of the segment, which names its file.
        segment: Lsn,
        /// Byte offset in it.
        offset: u32,
        /// The record that should be there.
        lsn: Lsn,
        /// What is there instead.
        found: Bad,
        /// The newest LSN that the log itself says was durable.
        durable: Lsn,
    },
    /// A file that is named as a segment and is none, or not of this log.
    Segment {
        /// First LSN in its name.
        segment: Lsn,
        /// What is wrong with it, as a clause.
        why: String,
    },
    /// A file that is named as a segment but has no header of one.
    Header {
        /// First LSN in its name.
        segment: Lsn,
        /// What is wrong with it.
        fault: HeaderFault,
    },
    /// A segment whose header is that of a segment of another name.
    OtherName {
        /// First LSN in its name.
        segment: Lsn,
        /// The log that its header names.
        log_id: u128,
        /// The epoch that its header names.
        epoch: u32,
    },
    /// Records that are needed are not there.
    Missing {
        /// The first one.
        from: Lsn,
        /// The last one.
        to: Lsn,
        /// The segment that follows them, if there is one.
        before: Option<Lsn>,
    },
    /// A snapshot that is damaged.
    Snapshot {
        /// Its file.
        name: String,
        /// Byte offset in it.
        offset: u64,
        /// What is wrong there, as a clause.
        why: String,
    },
    /// A record that no event of this program fits, or that does not fit what came before.
    Replay {
        /// The sentence of the one who was replaying.
        why: String,
    },
    /// Another process has the directory.
    Locked {
        /// The directory.
        dir: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// No room for another record, and no way to make some.
    Full,
}

/// What to do about a log that cannot be used.
pub(super) const ADVICE: &str = "Restore the directory from a copy, or see what `falcon-cli wal repair` can save; nothing \
                                 in it was changed";

impl WalError {
    /// An I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> WalError {
        move |source| WalError::Io { doing: doing.into(), source }
    }
}

impl WalError {
    /// Whether there was no space on the disk.
    #[must_use]
    pub fn is_lack_of_space(&self) -> bool {
        match self {
            WalError::Full => true,
            WalError::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WalError::Io { doing, source } => write!(f, "{doing} failed: {source}"),
            WalError::Damaged { segment, offset, lsn, found, durable } => write!(
                f,
                "segment {segment:020}.wal is damaged at byte {offset}: record {lsn} should be there, found {found}; \
                 the log says that everything up to LSN {durable} was durable, so this is not a torn tail. {ADVICE}"
            ),
            WalError::Segment { segment, why } => write!(
                f,
                "file {segment:020}.wal cannot be used: {why}. Move it away if it does not belong here"
            ),
            WalError::Header { segment, fault } => write!(
                f,
                "file {segment:020}.wal cannot be used: {fault}. Move it away if it does not belong here. {ADVICE}"
            ),
            WalError::OtherName { segment, .. } => write!(
                f,
                "file {segment:020}.wal cannot be used: its header names another LSN than its name. Move it away if it \
                 does not belong here"
            ),
            WalError::Missing { from, to, before } => {
                let place = before.map_or_else(
                    || "at the log's end".to_owned(),
                    |first| format!("before segment {first:020}.wal"),
                );
                write!(
                    f,
                    "records {from} to {to} are missing {place}, and no snapshot that can be used covers them. {ADVICE}"
                )
            }
            WalError::Snapshot { name, offset, why } => {
                write!(f, "snapshot {name} is damaged at byte {offset}: {why}")
            }
            WalError::Replay { why } => write!(f, "the log cannot be replayed: {why}"),
            WalError::Locked { dir, holder } => write!(
                f,
                "the data directory {} is in use by another falcond{holder}; stop that one or name another directory",
                dir.display()
            ),
            WalError::Full => {
                f.write_str("the log is full and no further segment can be made; free some disk space")
            }
        }
    }
}

impl std::error::Error for WalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WalError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
