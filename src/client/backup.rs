//! Copies of the state: a snapshot on the master's disk, and a backup that is read from it, piece by piece.

use std::time::Duration;

use super::{Client, ClientError};
use crate::protocol::{Backup, BackupFile, Read, Snapshot, SnapshotOk};

/// How much longer a snapshot may take: all of the state is written and read back.
const SNAPSHOT_WAIT: Duration = Duration::from_mins(10);

/// A file that a backup copies, read by its number in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name in the data directory.
    pub name: String,
    /// Bytes from its beginning that are to be read.
    pub bytes: u32,
    /// Size that the copy has to have; zeros follow what was read.
    pub size: u32,
}

impl Client {
    /// Asks for a snapshot of the state, and waits until it is on the master's disk.
    pub fn snapshot(&self) -> Result<SnapshotOk, ClientError> {
        self.begin(Snapshot {}, SNAPSHOT_WAIT)?.wait()?.read::<Snapshot>()
    }

    /// Begins a backup: the files that make up the log now. They can be read until this client's link breaks.
    pub fn backup(&self) -> Result<Vec<LogFile>, ClientError> {
        let answer = self.ask(Backup {})?;
        let files = answer.read::<Backup>()?.files;
        let owned = |file: BackupFile<'_>| LogFile { name: file.name.to_owned(), bytes: file.bytes, size: file.size };
        Ok(files.iter().map(owned).collect())
    }

    /// Reads a piece of a file of the backup: fewer bytes than asked for only at its end.
    /// `NotFound` when no backup was begun on this link, or it has no such file.
    pub fn read(&self, file: u16, offset: u32, bytes: u32) -> Result<Vec<u8>, ClientError> {
        let answer = self.ask(Read { file, offset, bytes })?;
        Ok(answer.read::<Read>()?.piece.to_owned())
    }
}
