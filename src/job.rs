//! What a job is made of wherever it stands: the same value in a frame, in an event and in the table.

use std::fmt;

use crate::codec::{DecodeError, Fault, Field, List, Reader, Tail, Value};
use crate::codec::{coded, message};
use crate::ids::{BatchId, JobId};
use crate::limits::{ATTEMPTS_DEFAULT, JOB_ID_END, PRIORITY_DEFAULT};
use crate::time::Timestamp;

/// The settings of a job that its producer chooses and that last as long as it does. A later one that most jobs do not
/// have is an extra of the frame and of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// An attempt may run this long; 0 for no bound.
    pub timeout_ms: u32,
    /// How many attempts it gets; 0 in a frame stands for the master's default.
    pub max_attempts: u16,
    /// 0 is the most urgent.
    pub priority: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { timeout_ms: 0, max_attempts: ATTEMPTS_DEFAULT, priority: PRIORITY_DEFAULT }
    }
}

impl<'a> Field<'a> for Settings {
    const BYTES: usize = 7;

    #[inline]
    fn read(reader: &mut Reader<'a>, _name: &'static str) -> Result<Self, DecodeError> {
        let [priority, a0, a1, timeout_ms @ ..] = reader.array::<7>("settings")?;
        let max_attempts = u16::from_le_bytes([a0, a1]);
        Ok(Settings { priority, max_attempts, timeout_ms: u32::from_le_bytes(timeout_ms) })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let ([a0, a1], [t0, t1, t2, t3]) = (self.max_attempts.to_le_bytes(), self.timeout_ms.to_le_bytes());
        out.extend_from_slice(&[self.priority, a0, a1, t0, t1, t2, t3]);
    }

    fn show(&self, _name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        self.priority.show("priority", see);
        self.max_attempts.show("max_attempts", see);
        self.timeout_ms.show("timeout_ms", see);
    }

    fn sample(number: &mut u64) -> Self {
        let timeout_ms = 1000 * u32::sample(number);
        Settings { timeout_ms, max_attempts: Field::sample(number), priority: Field::sample(number) }
    }
}

coded! {
    /// Where a job stands. One that has ended is there only while it is kept.
    Standing {
        /// Waits for a poll.
        Pending = 0 "pending";
        /// Waits for its time.
        Delayed = 1 "delayed";
        /// A worker has it.
        InFlight = 2 "in-flight";
        /// Out of attempts, or failed for good.
        Dead = 3 "dead";
        /// Done.
        Completed = 4 "completed";
        /// Somebody cancelled it.
        Cancelled = 5 "cancelled";
        /// It was not begun in time.
        Expired = 6 "expired";
        /// Waits for other jobs to end.
        Waiting = 7 "waiting";
    }
}

impl Standing {
    /// Whether it is to be handed out, now, when its time comes, or when others have ended.
    pub const fn is_queued(self) -> bool {
        matches!(self, Standing::Pending | Standing::Delayed | Standing::Waiting)
    }

    /// Whether it will not run, but for a requeue.
    pub const fn is_ended(self) -> bool {
        !self.is_queued() && !matches!(self, Standing::InFlight)
    }
}

coded! {
    /// How long a key is held.
    Unique {
        /// To the end of its job, and for the key window after that.
        ToEnd = 0 "to-end";
        /// Until its job is handed out for the first time.
        UntilStart = 1 "until-start";
        /// Until a moment, whatever becomes of its job.
        Until = 2 "until";
    }
}

coded! {
    /// What becomes of a job when one that it waits for ends otherwise than as completed.
    IfFailed {
        /// It is cancelled.
        Cancel = 0 "cancel";
        /// It runs when all have ended, however they did.
        Run = 1 "run";
        /// It waits on for one that is dead, which may be requeued; for any other it is cancelled.
        Wait = 2 "wait";
    }
}

/// What a job waits for: another job, or a batch. One number, since there may be many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Before(u64);

/// The same, to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    Job(JobId),
    Batch(BatchId),
}

impl Before {
    /// Numbers of batches have this bit; those of jobs are far below it.
    const IS_BATCH: u64 = 1 << 63;

    pub fn job(job: JobId) -> Before {
        Before(job.0)
    }

    pub fn batch(batch: BatchId) -> Before {
        Before(Before::IS_BATCH | u64::from(batch.0))
    }

    pub fn what(self) -> Awaited {
        let number = self.0 & !Before::IS_BATCH;
        if number == self.0 { Awaited::Job(JobId(number)) } else { Awaited::Batch(BatchId(number as u32)) }
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what() {
            Awaited::Job(job) => write!(f, "{job}"),
            Awaited::Batch(batch) => write!(f, "batch {batch}"),
        }
    }
}

impl<'a> Field<'a> for Before {
    const BYTES: usize = 8;

    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
        let before = Before(reader.u64(name)?);
        let fits = u32::try_from(before.0 & !Before::IS_BATCH).is_ok() || before.0 < JOB_ID_END;
        if fits { Ok(before) } else { Err(DecodeError::new(name, Fault::Undefined)) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        see(name, Value::Text(&self.to_string()));
    }

    fn sample(number: &mut u64) -> Self {
        Before::job(Field::sample(number))
    }
}

/// What a job waits for, as a listing has it: one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeforeList<'a>(pub List<'a, Before>);

impl PartialEq for BeforeList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().eq(other.0.iter())
    }
}

impl<'a> Field<'a> for BeforeList<'a> {
    const BYTES: usize = 2;

    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
        List::read(reader, name).map(BeforeList)
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        let all: Vec<String> = self.0.iter().map(|before| before.to_string()).collect();
        see(name, Value::Text(&all.join(" ")));
    }

    fn sample(number: &mut u64) -> Self {
        BeforeList(List::sample(number))
    }
}

coded! {
    /// What a submit with a key does that a job holds.
    OnDuplicate {
        /// That job is the answer.
        Return = 0 "return";
        /// The whole submit is refused.
        Refuse = 1 "refuse";
        /// The payload and the times take the place of those of that job, if it was not begun yet.
        Replace = 2 "replace";
    }
}

message! {
    /// How long a job waits after a failed attempt: `first_ms` after the first one, doubled with each further one up to
    /// `most_ms`; half of it is drawn at random.
    Backoff {
        first_ms: u32;
        most_ms: u32;
    }
}

message! {
    /// A name and a value that go with a job to its worker.
    Header<'a> {
        name: &'a str;
        value: &'a str;
    }
}

/// The variable of a command's environment that has the value of this header.
pub fn header_variable(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("FALCON_HEADER_{}", name.chars().map(upper).collect::<String>())
}

/// Headers of a job as they stand in an event and lie in the log: a list of [`Header`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadersText<'a>(pub &'a [u8]);

impl<'a> HeadersText<'a> {
    /// # Errors
    /// When they are no list of headers.
    pub fn read(self) -> Result<List<'a, Header<'a>>, DecodeError> {
        if self.0.is_empty() {
            return Ok(List::default());
        }
        let mut reader = Reader::new(self.0);
        let headers = List::read(&mut reader, "headers")?;
        reader.finish().map(|()| headers)
    }
}

/// All that is left of what is read: an extra.
impl<'a> Field<'a> for HeadersText<'a> {
    const BYTES: usize = 0;

    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
        let headers = HeadersText(reader.take_rest());
        match headers.read() {
            Err(error) if error.is_unknown() => Err(error),
            Err(_) => Err(DecodeError::new(name, Fault::Undefined)),
            Ok(_) => Ok(headers),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        let headers = self.read().unwrap_or_default();
        let all: Vec<String> = headers.iter().map(|header| format!("{}={}", header.name, header.value)).collect();
        see(name, Value::Text(&all.join(" ")));
    }

    fn sample(number: &mut u64) -> Self {
        let mut out = Vec::new();
        List::<Header<'_>>::sample(number).write(&mut out);
        HeadersText(out.leak())
    }
}

coded! {
    /// How an attempt ended.
    Ending {
        /// It failed, and another attempt followed, or none was left.
        Failed = 1 "failed";
        /// It failed, and the worker said that further attempts are pointless.
        ForGood = 2 "for_good";
        /// Its lease ran out.
        LeaseRanOut = 3 "lease_ran_out";
    }
}

message! {
    /// One attempt that has ended.
    Attempt<'a> {
        begun_at: Timestamp;
        ended_at: Timestamp;
        ending: Ending;
        worker: &'a str;
    }
}

message! {
    /// What is remembered of a job's attempts: the last ten, oldest first, and why the last one ended.
    Story<'a> {
        attempts: List<'a, Attempt<'a>>;
        error: &'a str;
    }
}

/// A story as it lies in the log. Empty where there is none, or where there was no room to write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoryText<'a>(pub &'a [u8]);

impl<'a> StoryText<'a> {
    /// # Errors
    /// When it is not a story.
    pub fn read(self) -> Result<Story<'a>, DecodeError> {
        if self.0.is_empty() {
            return Ok(Story::default());
        }
        let mut reader = Reader::new(self.0);
        let story = Story::read(&mut reader, "story")?;
        reader.finish().map(|()| story)
    }
}

impl<'a> Tail<'a> for StoryText<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.0
    }

    fn of(_name: &'static str, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let text = StoryText(bytes);
        match text.read() {
            Err(error) if error.is_unknown() => Err(error),
            Err(_) => Err(DecodeError::new("story", Fault::Undefined)),
            Ok(_) => Ok(text),
        }
    }

    fn show(&self, _name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        let story = self.read().unwrap_or_default();
        if let Some(last) = story.attempts.iter().last() {
            see("worker", Value::Text(last.worker));
        }
        see("error", Value::Text(story.error));
    }

    fn sample(number: &mut u64) -> Self {
        let mut out = Vec::new();
        Story::sample(number).write(&mut out);
        StoryText(out.leak())
    }
}
