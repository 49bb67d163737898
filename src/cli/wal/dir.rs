//! The directory of a log, for the commands that read its files, whether a master is writing them or not.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::cli::Stop;
use crate::exit::{self, Failure};
use crate::ids::Lsn;
use crate::wal::{DirDevice, LogDevice, SegmentIo, WalError, names};

/// How often a log is looked at before it is taken for damaged: a master may be writing it.
pub const LOOKS_MAX: usize = 8;

pub const PAUSE: Duration = Duration::from_millis(100);

impl From<WalError> for Stop {
    fn from(error: WalError) -> Self {
        let status = match error {
            WalError::Io { .. } => exit::IO,
            WalError::Locked { .. } => exit::IN_USE,
            _ => exit::DATA_DAMAGED,
        };
        Stop::Failed(Failure::new(status, error))
    }
}

/// Opens a directory that holds a log; it is not made. Returns the first LSNs of its segments, too.
pub fn open(dir: &Path) -> Result<(DirDevice, Vec<Lsn>), Stop> {
    let shown = dir.display();
    let device = DirDevice::open(dir, SegmentIo::Auto).map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => exit::NOT_FOUND,
            _ => exit::IO,
        };
        Failure::new(status, format!("the directory {shown} cannot be read: {error}"))
    })?;
    let listed = device.names().map_err(WalError::io("listing the segments"))?;
    let firsts = names::segments(&listed);
    if firsts.is_empty() && names::snapshots(&listed).is_empty() {
        return Err(Failure::new(exit::NOT_FOUND, format!("there is no log in {shown}")).into());
    }
    Ok((device, firsts))
}
