//! What is read from the log for requests that ask for it: errors, what happened to a job. The loop never waits for the
//! disk: [`Master::read_request`] says what to read next, a thread beside it does, [`Master::read_done`] goes on.
//!
//! Promises: one reading is under way at a time. Of those that wait each session has its turn, however many of them one
//! session has. A request that goes away takes its reading with it.
//! It does not: know what is answered.
//!
//! [`Master::read_request`]: super::Master::read_request
//! [`Master::read_done`]: super::Master::read_done

pub mod thread;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::scans::{JobError, Words};
use crate::ids::{JobId, Lsn, SessionId};
use crate::limits::{READINGS_MAX, READINGS_OF_ONE_MAX};
use crate::queue::Event;
use crate::wal::{LogBounds, LogPage, LogReading, TextsReading, Wal, WalError};

/// What a request waits for.
#[derive(Debug)]
pub enum Wanted {
    /// What happened to a job, from an LSN on.
    Log { job: JobId, from: Lsn },
    /// Texts, whose places are pinned already.
    Texts(TextsReading, TextsFor),
}

/// What texts are read for: with what a request goes on.
#[derive(Debug)]
pub enum TextsFor {
    /// The story of a job, for a reply that is written up to there.
    Story { reply: Vec<u8> },
    /// The stories of jobs that a scan met, each by its job; their errors are held against these words.
    Scan(Words),
}

/// What to read, by whoever has time.
#[derive(Debug)]
pub struct ReadRequest {
    what: What,
    is_over: Arc<AtomicBool>,
}

#[derive(Debug)]
enum What {
    Log(JobId, LogReading),
    Texts(TextsReading),
    Errors(TextsReading, Words),
}

/// What came of it.
#[derive(Debug)]
pub struct ReadOutcome(Result<Read, WalError>);

/// What was read.
#[derive(Debug)]
pub enum Read {
    Log(LogPage),
    Texts(Vec<TextRead>),
    /// The errors of those jobs that are meant.
    Errors(Vec<(JobId, JobError)>),
}

/// A text's number, and its bytes or why it could not be read.
pub type TextRead = (u64, Result<Vec<u8>, WalError>);

impl ReadRequest {
    /// Reads. It ends soon when nobody waits for it any more.
    pub fn run(self) -> ReadOutcome {
        let is_over = || self.is_over.load(Ordering::Relaxed);
        ReadOutcome(match self.what {
            // Where a part of the job lies is no news of it.
            What::Log(job, reading) => {
                let is_wanted = |kind: u8, body: &[u8]| {
                    Event::about(job, kind, body).is_some_and(|event| !matches!(event, Event::Move(_)))
                };
                reading.run(is_wanted, is_over).map(Read::Log)
            }
            What::Texts(reading) => Ok(Read::Texts(reading.run(is_over))),
            What::Errors(reading, words) => errors(reading.run(is_over), &words).map(Read::Errors),
        })
    }
}

/// The errors of those jobs that are meant. A job whose error cannot be read goes without it, unless that has to be
/// known to tell whether the job is meant.
fn errors(stories: Vec<TextRead>, words: &Words) -> Result<Vec<(JobId, JobError)>, WalError> {
    let mut errors = Vec::new();
    for (job, story) in stories {
        match story {
            Ok(story) => errors.extend(words.read(&story).map(|error| (JobId(job), error))),
            Err(error) if *words == Words::default() => log::warn!("the error of job {job} cannot be read: {error}"),
            Err(error) => {
                let reading = WalError::io(format!("reading the error of job {job}"));
                return Err(reading(io::Error::other(error)));
            }
        }
    }
    Ok(errors)
}

impl ReadOutcome {
    /// The reading could not be begun, or ended without an outcome.
    pub fn failed(why: WalError) -> ReadOutcome {
        ReadOutcome(Err(why))
    }
}

/// The readings that are wanted.
#[derive(Debug, Default)]
pub struct Reading {
    /// The sessions that wait, the next one first, each with its requests in their order. None is without.
    line: VecDeque<(SessionId, VecDeque<(u32, Wanted)>)>,
    waiting: usize,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    /// The request that waits for it, if it still does.
    number: Option<u32>,
    texts_for: Option<TextsFor>,
    is_over: Arc<AtomicBool>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Reading {
    /// Whether as many wait as may, in all or of this session.
    pub fn is_full_for(&self, session: SessionId) -> bool {
        let of_session = self.line.iter().find(|(id, _)| *id == session).map_or(0, |(_, waiting)| waiting.len());
        self.waiting >= READINGS_MAX || of_session >= READINGS_OF_ONE_MAX
    }

    /// Lines up what a parked request waits for.
    pub fn ask(&mut self, session: SessionId, number: u32, wanted: Wanted) {
        self.waiting += 1;
        match self.line.iter_mut().find(|(id, _)| *id == session) {
            Some((_, waiting)) => waiting.push_back((number, wanted)),
            None => self.line.push_back((session, VecDeque::from([(number, wanted)]))),
        }
    }

    /// A request does not wait any more.
    pub fn forget(&mut self, session: SessionId, number: u32) {
        if let Some(under_way) = self.under_way.as_mut().filter(|under_way| under_way.number == Some(number)) {
            under_way.number = None;
            under_way.is_over.store(true, Ordering::Relaxed);
        }
        if let Some((_, waiting)) = self.line.iter_mut().find(|(id, _)| *id == session) {
            let before = waiting.len();
            waiting.retain(|(waits, _)| *waits != number);
            self.waiting -= before - waiting.len();
        }
        self.line.retain(|(_, waiting)| !waiting.is_empty());
    }

    /// What is to be read next, unless a reading is under way.
    pub fn next(&mut self, wal: &Wal) -> Option<ReadRequest> {
        if self.under_way.is_some() {
            return None;
        }
        let (session, mut waiting) = self.line.pop_front()?;
        let (number, wanted) = waiting.pop_front()?;
        if !waiting.is_empty() {
            self.line.push_back((session, waiting));
        }
        self.waiting -= 1;
        let (what, texts_for) = match wanted {
            Wanted::Log { job, from } => (What::Log(job, wal.log_reading(from, LogBounds::default())), None),
            Wanted::Texts(reading, TextsFor::Scan(words)) => {
                (What::Errors(reading, words.clone()), Some(TextsFor::Scan(words)))
            }
            Wanted::Texts(reading, texts_for) => (What::Texts(reading), Some(texts_for)),
        };
        let is_over = Arc::new(AtomicBool::new(false));
        self.under_way = Some(UnderWay { number: Some(number), texts_for, is_over: Arc::clone(&is_over) });
        Some(ReadRequest { what, is_over })
    }

    /// Takes the outcome of the reading under way: the request that waits for it, what was read, and what its texts
    /// are for.
    pub fn done(&mut self, outcome: ReadOutcome) -> Option<(u32, Result<Read, WalError>, Option<TextsFor>)> {
        let mut under_way = self.under_way.take()?;
        Some((under_way.number?, outcome.0, under_way.texts_for.take()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::wal::Record;
    use crate::wal::{MemoryDevice, Progress, Restore, WalConfig};

    struct Nothing;

    impl Restore for Nothing {
        fn block(&mut self, _kind: u32, _body: &[u8]) -> Result<(), WalError> {
            Ok(())
        }

        fn loaded(&mut self, _lsn: Lsn, _at: Timestamp) -> Result<(), WalError> {
            Ok(())
        }

        fn record(&mut self, _record: &Record<'_>) -> Result<(), WalError> {
            Ok(())
        }
    }

    fn wal() -> Wal {
        let config = WalConfig { segment_bytes: 8192, log_id: 7, beside: false };
        Wal::open(Arc::new(MemoryDevice::default()), config, &Progress::default(), &mut Nothing).unwrap()
    }

    fn log() -> Wanted {
        Wanted::Log { job: JobId(1), from: Lsn(0) }
    }

    /// Reads the next one; gives the request that waited for it.
    fn read_one(reading: &mut Reading, wal: &Wal) -> Option<u32> {
        let outcome = reading.next(wal)?.run();
        reading.done(outcome).map(|(number, ..)| number)
    }

    #[test]
    fn each_session_has_its_turn() {
        let (mut reading, wal) = (Reading::default(), wal());
        for (session, number) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (3, 31)] {
            reading.ask(SessionId(session), number, log());
        }
        let order: Vec<u32> = std::iter::from_fn(|| read_one(&mut reading, &wal)).collect();
        assert_eq!(order, [10, 20, 30, 11, 31, 12]);
        assert_eq!((reading.waiting, reading.line.len()), (0, 0));
    }

    #[test]
    fn one_is_under_way_at_a_time() {
        let (mut reading, wal) = (Reading::default(), wal());
        (1..=2).for_each(|number| reading.ask(SessionId(1), number, log()));
        let first = reading.next(&wal).unwrap();
        assert!(reading.next(&wal).is_none());
        assert_eq!(reading.done(first.run()).unwrap().0, 1);
        assert_eq!(read_one(&mut reading, &wal), Some(2));
    }

    #[test]
    fn a_request_that_goes_away_takes_its_reading_with_it() {
        let (mut reading, wal) = (Reading::default(), wal());
        (1..=3).for_each(|number| reading.ask(SessionId(1), number, log()));
        let first = reading.next(&wal).unwrap();
        reading.forget(SessionId(1), 1);
        reading.forget(SessionId(1), 2);
        assert!(first.is_over.load(Ordering::Relaxed), "it ends soon");
        // Its number may be that of another request by then.
        reading.ask(SessionId(2), 1, log());
        assert!(reading.done(first.run()).is_none());
        assert_eq!(read_one(&mut reading, &wal), Some(3));
        assert_eq!(read_one(&mut reading, &wal), Some(1));
        assert_eq!(reading.waiting, 0);
    }

    #[test]
    fn a_master_that_goes_away_ends_its_reading() {
        let (mut reading, wal) = (Reading::default(), wal());
        reading.ask(SessionId(1), 1, log());
        let under_way = reading.next(&wal).unwrap();
        drop(reading);
        assert!(under_way.is_over.load(Ordering::Relaxed));
    }

    #[test]
    fn no_session_and_not_all_together_have_too_many() {
        let mut reading = Reading::default();
        let of_one = u32::try_from(READINGS_OF_ONE_MAX).unwrap();
        for number in 0..of_one {
            assert!(!reading.is_full_for(SessionId(1)));
            reading.ask(SessionId(1), number, log());
        }
        assert!(reading.is_full_for(SessionId(1)) && !reading.is_full_for(SessionId(2)));
        for number in of_one..u32::try_from(READINGS_MAX).unwrap() {
            reading.ask(SessionId(u64::from(number)), number, log());
        }
        assert!(reading.is_full_for(SessionId(2)));
        reading.forget(SessionId(1), 0);
        assert!(!reading.is_full_for(SessionId(2)));
    }

    #[test]
    fn a_thread_beside_reads_and_wakes() {
        let (mut reading, wal) = (Reading::default(), wal());
        let (woken, wakes) = std::sync::mpsc::channel();
        let mut reader = thread::ReadThread::new(move || woken.send(()).expect("the test listens"));
        assert!(reader.outcome().is_none());
        for number in 1..=3 {
            reading.ask(SessionId(1), number, log());
            reader.submit(reading.next(&wal).unwrap()).unwrap();
            wakes.recv().unwrap();
            let outcome = reader.outcome().expect("it is there when the loop is woken");
            assert!(matches!(reading.done(outcome), Some((done, Ok(Read::Log(_)), None)) if done == number));
        }
    }
}
