//! Backups: a client is told which files make up the log now, and reads them piece by piece. The segments are pinned as
//! long as its session lasts; what they hold is never written again, so the copy is that of one moment.

use super::Master;
use super::requests::Stop;
use crate::ids::SessionId;
use crate::limits::READ_BYTES_MAX;
use crate::protocol::{BackupFile, ErrorCode, List, REPLY_BIT, ReadFile, Refusal, Reply, frame, kind};
use crate::time::{Millis, Timestamp};

/// How long a backup may go unread.
const BACKUP_IDLE_MAX: Millis = Millis(60_000);

impl Master {
    /// Begins a backup; the answer leaves when everything in it is durable.
    pub(super) fn begin_backup(
        &mut self,
        id: SessionId,
        correlation: u64,
        now: Timestamp,
    ) -> Result<(), Stop> {
        let backup =
            self.wal.backup().map_err(|error| Refusal::new(ErrorCode::Unavailable, error.to_string()))?;
        let files: Vec<BackupFile<'_>> = backup
            .files()
            .iter()
            .map(|file| BackupFile { name: &file.name, bytes: file.bytes, size: file.size })
            .collect();
        self.reply(id, correlation, &Reply::BackupOk(List::lent(&files)));
        if let Some(session) = self.sessions.session_mut(id) {
            session.backup = Some((backup, now));
            self.backups.push(id);
        }
        Ok(())
    }

    /// Ends the backups that nobody has read from for a while: they keep segments that nothing else needs.
    pub(super) fn end_idle_backups(&mut self, now: Timestamp) {
        let sessions = &mut self.sessions;
        self.backups.retain(|id| {
            let Some(session) = sessions.session_mut(*id) else { return false };
            let is_idle =
                session.backup.as_ref().is_none_or(|(_, used_at)| now.since(*used_at) > BACKUP_IDLE_MAX);
            if is_idle {
                session.backup = None;
            }
            !is_idle
        });
    }

    /// Sends a piece of a file of the session's backup.
    pub(super) fn read_file(
        &mut self,
        id: SessionId,
        correlation: u64,
        read: ReadFile,
        now: Timestamp,
    ) -> Result<(), Stop> {
        let Some(session) = self.sessions.session_mut(id) else { return Ok(()) };
        let refused = |text: &str| Err(Refusal::new(ErrorCode::NotFound, text).into());
        let Some((backup, used_at)) = &mut session.backup else {
            return refused("this connection has begun no backup, or has not read from it for a minute");
        };
        *used_at = now;
        let Some(file) = backup.files().get(usize::from(read.file)) else {
            return refused("the backup has no file of this number");
        };
        let rest = file.bytes.saturating_sub(read.offset);
        let length = rest.min(read.bytes).min(READ_BYTES_MAX);
        let piece = if length > 0 { Some(file.read(read.offset, length)?) } else { None };
        let stream = session.outbox.stream(false);
        let start = frame::begin_frame(&mut stream.bytes, REPLY_BIT | kind::READ, correlation);
        stream.bytes.extend_from_slice(&length.to_le_bytes());
        if let Some(piece) = piece {
            stream.splice(piece);
        }
        frame::finish_frame(&mut stream.bytes, start, length as usize);
        self.list_ready(id);
        Ok(())
    }
}
