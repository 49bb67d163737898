//! Snapshot, Backup, Read: what keeps the log, asked for by a client.

use super::super::answers::{Answer, Decided};
use super::super::journal::Journal;
use super::super::keeping::Keeping;
use super::super::parked::{Caller, Parked, Wish};
use crate::ids::SessionId;
use crate::limits::{READ_BYTES_MAX, SNAPSHOTS_ASKED_MAX};
use crate::protocol::{Backup, BackupFile, BackupOk, Call, ErrorCode, Header, List, REPLY_BIT, Read, Refusal};
use crate::time::Timestamp;
use crate::words::counted;

/// Parks a request for a snapshot of all that has happened so far; gives its number.
pub(super) fn snapshot(
    journal: &Journal,
    parked: &mut Parked,
    keeping: &mut Keeping,
    session: SessionId,
    header: &Header,
    now: Timestamp,
) -> Result<u32, Refusal> {
    if parked.snapshots() >= SNAPSHOTS_ASKED_MAX {
        let text = format!("{SNAPSHOTS_ASKED_MAX} requests wait for a snapshot already; try again later");
        return Err(Refusal::new(ErrorCode::Unavailable, text));
    }
    keeping.snapshots.asked();
    let deadline = Timestamp(u64::MAX);
    let caller = Caller { session, correlation: header.correlation, since: now, deadline };
    Ok(parked.park(caller, Wish::Snapshot(journal.wal.last_lsn()), &[]))
}

/// Begins a backup; the answer leaves when everything in it is durable.
pub(super) fn backup<'s>(
    journal: &Journal,
    keeping: &mut Keeping,
    id: SessionId,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    let backup = journal.wal.backup().map_err(|error| Refusal::new(ErrorCode::Unavailable, error.to_string()))?;
    let files = backup.iter();
    let files: Vec<_> = files.map(|file| BackupFile { name: &file.name, bytes: file.bytes, size: file.size }).collect();
    let answer = Answer::told::<Backup>(&BackupOk { files: List::lent(&files) }, written);
    log::info!("session {id} backs up {} of the log", counted(files.len() as u64, "file"));
    keeping.backups.begin(id, backup, now);
    Ok(answer)
}

/// Sends a piece of a file of the session's backup.
pub(super) fn read<'s>(keeping: &mut Keeping, id: SessionId, read: &Read, now: Timestamp) -> Decided<'s> {
    let refused = |text: &str| Err(Refusal::new(ErrorCode::NotFound, text).into());
    let Some(backup) = keeping.backups.of(id, now) else {
        return refused("this connection has begun no backup, or has not read from it for a minute");
    };
    let Some(file) = backup.get(usize::from(read.file)) else {
        return refused("the backup has no file of this number");
    };
    let rest = file.bytes.saturating_sub(read.offset);
    let length = rest.min(read.bytes).min(READ_BYTES_MAX);
    let piece = if length > 0 { Some(file.read(read.offset, length)?) } else { None };
    Ok(Answer::Piece(REPLY_BIT | Read::KIND, piece))
}
