//! Backups: a client is told which files make up the log now, and reads them piece by piece. The segments are pinned as
//! long as its session lasts; what they hold is never written again, so the copy is that of one moment.

use super::Master;
use super::requests::Stop;
use crate::ids::SessionId;
use crate::limits::READ_BYTES_MAX;
use crate::protocol::{BackupFile, ErrorCode, List, REPLY_BIT, ReadFile, Refusal, Reply, frame, kind};

impl Master {
    /// Begins a backup; the answer leaves when everything in it is durable.
    pub(super) fn begin_backup(&mut self, id: SessionId, correlation: u64) -> Result<(), Stop> {
        let backup = self.wal.backup()?;
        let files: Vec<BackupFile<'_>> = backup
            .files()
            .iter()
            .map(|file| BackupFile { name: &file.name, bytes: file.bytes, size: file.size })
            .collect();
        self.reply(id, correlation, &Reply::BackupOk(List::lent(&files)));
        if let Some(session) = self.sessions.session_mut(id) {
            session.backup = Some(backup);
        }
        Ok(())
    }

    /// Sends a piece of a file of the session's backup.
    pub(super) fn read_file(&mut self, id: SessionId, correlation: u64, read: ReadFile) -> Result<(), Stop> {
        let Some(session) = self.sessions.session_mut(id) else { return Ok(()) };
        let refused = |text: &str| Err(Refusal::new(ErrorCode::NotFound, text).into());
        let Some(backup) = &session.backup else { return refused("this connection has begun no backup") };
        let Some(file) = backup.files().get(usize::from(read.file)) else {
            return refused("the backup has no file of this number");
        };
        let rest = file.bytes.saturating_sub(read.offset);
        let length = rest.min(read.bytes).min(READ_BYTES_MAX);
        let piece = file.read(read.offset, length)?;
        let stream = session.outbox.stream(false);
        let start = frame::begin_frame(&mut stream.bytes, REPLY_BIT | kind::READ, correlation);
        stream.bytes.extend_from_slice(&length.to_le_bytes());
        if length > 0 {
            stream.splice(piece);
        }
        frame::finish_frame(&mut stream.bytes, start, length as usize);
        self.list_ready(id);
        Ok(())
    }
}
