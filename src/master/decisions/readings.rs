//! Log, and Get where a story belongs to it: what is answered from the log, when it was read.

use super::super::Master;
use super::super::answers::{Answer, Decided};
use super::super::parked::{Caller, Wish};
use super::super::reading::{Read, TextsFor, Wanted};
use super::looks;
use crate::codec::Field;
use crate::ids::{Lsn, SessionId};
use crate::limits::READING_WAIT_MS_MAX;
use crate::protocol::{Call, ErrorCode, Get, Header, List, Log, LogOk, LoggedEvent, Missing, REPLY_BIT, Refusal};
use crate::time::{Millis, Timestamp};
use crate::wal::{KeptRecord, LogPage, TextBatch, WalError};

impl Master {
    /// What happened to a job, if there ever was one of this id.
    pub(super) fn log(&mut self, id: SessionId, header: &Header, log: Log, now: Timestamp) -> Decided<'static> {
        if log.job.0 == 0 || log.job >= self.journal.queues.next_job() {
            return Err(Refusal::new(ErrorCode::NotFound, format!("there never was a job {}", log.job)).into());
        }
        self.read_for(id, header, Wanted::Log { job: log.job, from: log.from }, now)
    }

    /// Everything that is known of a job, at once if no story belongs to it.
    pub(super) fn get<'s>(
        &mut self,
        id: SessionId,
        header: &Header,
        get: Get,
        now: Timestamp,
        written: &'s mut Vec<u8>,
    ) -> Decided<'s> {
        let Some(story) = looks::get(&self.journal, get, now, written)? else {
            let story: &[u8] = &[];
            story.write(written);
            return Ok(Answer::Told(REPLY_BIT | Get::KIND, written));
        };
        let mut batch = TextBatch::default();
        assert!(batch.add(story), "a first text is always taken");
        let reading = self.journal.wal.texts_reading(batch);
        let texts_for = TextsFor::Story { reply: std::mem::take(written) };
        self.read_for(id, header, Wanted::Texts(reading, texts_for), now)
    }

    /// Parks a request until what it wants was read.
    fn read_for(&mut self, session: SessionId, header: &Header, wanted: Wanted, now: Timestamp) -> Decided<'static> {
        if self.reading.is_full_for(session) {
            let text = "too many requests wait for the log to be read; try again later";
            return Err(Refusal::new(ErrorCode::Unavailable, text).into());
        }
        let deadline = now.plus(Millis(READING_WAIT_MS_MAX));
        let caller = Caller { session, correlation: header.correlation, since: now, deadline };
        let number = self.parked.park(caller, Wish::Reading, &[]);
        self.reading.ask(session, number, wanted);
        Ok(self.park(session, number))
    }
}

/// The kind and the body of the reply that tells what was read.
pub(in super::super) fn answer_read(
    read: Result<Read, WalError>,
    texts_for: Option<TextsFor>,
) -> Result<(u16, Vec<u8>), Refusal> {
    let unread = |error| Refusal::new(ErrorCode::Unavailable, format!("the log cannot be read: {error}"));
    match (read.map_err(unread)?, texts_for) {
        (Read::Log(page), _) => Ok((REPLY_BIT | Log::KIND, log_ok(&page))),
        (Read::Texts(texts), Some(TextsFor::Story { mut reply })) => {
            for (_, story) in texts {
                story.map_err(unread)?.as_slice().write(&mut reply);
            }
            Ok((REPLY_BIT | Get::KIND, reply))
        }
        (Read::Texts(_) | Read::Errors(_), _) => unreachable!("it is kept what texts are for"),
    }
}

fn log_ok(page: &LogPage) -> Vec<u8> {
    let LogPage { records, missing, next, .. } = page;
    let events: Vec<_> = records.iter().map(logged).collect();
    let missing: Vec<_> =
        missing.iter().map(|run| Missing { first: run.first, last: run.last, next_at: run.next_at }).collect();
    let missing = (!missing.is_empty()).then(|| List::lent(&missing));
    let mut body = Vec::new();
    LogOk { events: List::lent(&events), next: next.unwrap_or(Lsn(0)), missing }.write(&mut body);
    body
}

fn logged(record: &KeptRecord) -> LoggedEvent<'_> {
    let KeptRecord { lsn, at, kind, ref body } = *record;
    LoggedEvent { lsn, at, kind, body }
}
