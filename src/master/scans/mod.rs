//! Scans: requests that walk over all jobs, to list, count or change those that are meant. They go in slices between
//! turns, so that nobody else waits for them; what has to be read from the log is read beside the loop.
//!
//! Promises: a page ends after [`SCANNED_ENTRIES_MAX`] jobs that were looked at, with the place to go on; each of
//! several scans has its turn; a job is changed by itself, and only if it is still one that is meant.
//! It does not: know sessions or frames; [`super::decisions`] begins a scan, and writes what came of it.

mod kinds;

use std::collections::{HashMap, VecDeque};

use super::decisions::Changing;
use super::journal::Journal;
use crate::ids::JobId;
use crate::job::StoryText;
use crate::limits::{
    LISTED_ERROR_BYTES_MAX, MENDED_JOBS_MAX, SCAN_SLICE_ENTRIES, SCAN_SLICE_MENDED, SCANNED_ENTRIES_MAX, TEXTS_MAX,
};
use crate::protocol::{Change, Updated};
use crate::queue::{Sought, Walk};
use crate::time::{Millis, Timestamp};
use crate::wal::{Text, TextBatch, WalError};

/// How long the next slice waits after one that only looked: looking takes at most a twentieth of the loop's time.
const LOOK_PAUSE: Millis = Millis(20);

/// The same after one that changed jobs, whose time is that of any other change.
const MEND_PAUSE: Millis = Millis(2);

/// Kinds of errors that are told apart in one page.
const KINDS_MAX: usize = 1000;

/// What is wanted of the jobs that are met.
#[derive(Clone, Debug, PartialEq)]
pub enum Aim {
    List { limit: usize },
    Count { by_error: bool },
    Mend { change: Change, update: Updated, by: Box<str>, key_window: Millis, since: Timestamp },
}

/// Which jobs are meant beside what the state can tell: by the words of their last error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub error: Option<Box<str>>,
    pub kind: Option<u64>,
}

impl Words {
    /// What is to be known of the error in a story, if it is one that is meant. Beside the loop: it may be long.
    pub fn read(&self, story: &[u8]) -> Option<JobError> {
        // It was held against its form when it was written and when it was replayed.
        let error = StoryText(story).read().unwrap_or_default().error;
        let has_words = self.error.as_deref().is_none_or(|words| error.contains(words));
        let kind = kinds::kind_of(error);
        let is_meant = has_words && self.kind.is_none_or(|wanted| wanted == kind);
        let text = || error[..error.floor_char_boundary(LISTED_ERROR_BYTES_MAX)].to_owned();
        is_meant.then(|| JobError { text: text(), kind })
    }
}

/// What is known of a job's last error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobError {
    /// The beginning of it.
    pub text: String,
    pub kind: u64,
}

/// Jobs that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindCount {
    pub kind: u64,
    pub count: u64,
    pub job: JobId,
    pub text: String,
    /// When the first and the last of their attempts ended.
    pub first_at: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
}

/// What has come of a scan so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of a list.
    pub rows: Vec<(JobId, Option<JobError>)>,
    /// Of a count, or jobs that were changed.
    pub count: u64,
    pub refused: u64,
    pub kinds: Vec<KindCount>,
}

/// A scan under way.
#[derive(Debug)]
pub struct Scan {
    /// The parked request that it answers.
    pub number: u32,
    pub aim: Aim,
    sought: Sought,
    words: Words,
    walk: Walk,
    pub looked: u32,
    pub found: Found,
    /// Jobs that were met and are to be taken, in order.
    met: VecDeque<JobId>,
    /// Errors that were read, of jobs whose stories lay there then.
    errors: HashMap<JobId, JobError>,
    kinds: HashMap<u64, usize>,
    is_reading: bool,
}

/// What a slice came to.
#[derive(Debug)]
pub enum Slice {
    /// There is more to do.
    More,
    /// Its texts are to be read; [`Scans::texts_read`] goes on.
    Texts(u32, TextBatch),
    /// It is over.
    Done(Box<Scan>),
}

/// All scans under way, the next one first.
#[derive(Debug, Default)]
pub struct Scans {
    line: VecDeque<Box<Scan>>,
    next_at: Timestamp,
}

impl Scan {
    /// A scan that begins at this walk.
    pub fn new(number: u32, aim: Aim, sought: Sought, words: Words, walk: Walk) -> Box<Scan> {
        let needs_story = words != Words::default() || matches!(aim, Aim::Count { by_error: true });
        let with_story = sought.with_story || needs_story;
        Box::new(Scan {
            number,
            aim,
            sought: Sought { with_story, ..sought },
            words,
            walk,
            looked: 0,
            found: Found::default(),
            met: VecDeque::new(),
            errors: HashMap::new(),
            kinds: HashMap::new(),
            is_reading: false,
        })
    }

    /// Where the next page goes on; 0 if there is none.
    pub fn next(&self) -> JobId {
        self.met.front().copied().unwrap_or(self.walk.next)
    }

    /// Whether errors have to be read to know what is meant, or to tell it.
    fn reads(&self) -> bool {
        let tells = matches!(self.aim, Aim::List { .. } | Aim::Count { by_error: true });
        tells || self.words != Words::default()
    }

    fn is_full(&self) -> bool {
        match self.aim {
            Aim::List { limit } => self.found.rows.len() >= limit,
            Aim::Count { .. } => false,
            Aim::Mend { .. } => self.found.count + self.found.refused >= MENDED_JOBS_MAX,
        }
    }

    /// Looks at some jobs, and takes those that are meant.
    fn work(&mut self, journal: &mut Journal, now: Timestamp) -> Result<Step, WalError> {
        if self.met.is_empty() {
            self.meet(journal);
            if let Some(batch) = self.batch(journal) {
                self.is_reading = true;
                return Ok(Step::Texts(batch));
            }
        }
        let took = self.take_met(journal, now)?;
        let is_over = self.met.is_empty() && (self.walk.next == JobId(0) || self.looked >= SCANNED_ENTRIES_MAX);
        Ok(if is_over || self.is_full() { Step::Done } else { Step::More { mended: took } })
    }

    fn meet(&mut self, journal: &Journal) {
        let left = u64::from(SCANNED_ENTRIES_MAX.saturating_sub(self.looked));
        let most = match self.aim {
            // Which of them have the words is known once their errors were read: as many as go at once, or a search
            // for few needs a round for each few. Those that are met and not told are where the next page begins.
            Aim::List { .. } if self.words != Words::default() => TEXTS_MAX,
            Aim::List { limit } => limit.saturating_sub(self.found.rows.len()),
            Aim::Count { .. } if self.reads() => TEXTS_MAX,
            Aim::Count { .. } => usize::MAX,
            Aim::Mend { .. } => SCAN_SLICE_MENDED,
        };
        let (met, mut walk) = (&mut self.met, self.walk);
        let looked = journal.queues.look(&mut walk, SCAN_SLICE_ENTRIES.min(left), &self.sought, &mut |job| {
            met.push_back(job);
            met.len() < most
        });
        self.walk = walk;
        self.looked += u32::try_from(looked).unwrap_or(u32::MAX);
    }

    /// The stories of the jobs that were met, if they have to be read. Those that do not fit are met again.
    fn batch(&mut self, journal: &Journal) -> Option<TextBatch> {
        if !self.reads() {
            return None;
        }
        let mut batch = TextBatch::default();
        let mut fitting = 0;
        for job in &self.met {
            let past = journal.queues.past(*job).filter(|past| past.story_bytes > 0);
            let fits =
                past.is_none_or(|past| batch.add(Text { number: job.0, at: past.story_at, bytes: past.story_bytes }));
            if !fits {
                self.walk.next = *job;
                break;
            }
            fitting += 1;
        }
        self.met.truncate(fitting);
        (!batch.is_empty()).then_some(batch)
    }

    /// Takes those that were met; says whether any was changed.
    fn take_met(&mut self, journal: &mut Journal, now: Timestamp) -> Result<bool, WalError> {
        let mut has_changed = false;
        while let Some(job) = self.met.front().copied() {
            if self.is_full() {
                break;
            }
            self.met.pop_front();
            let error = self.errors.remove(&job);
            // Others may have changed it since it was met.
            let is_meant = journal.queues.is_one_of(job, &self.sought) && self.has_words(error.as_ref());
            if !is_meant {
                continue;
            }
            match &self.aim {
                Aim::List { .. } => self.found.rows.push((job, error)),
                Aim::Count { by_error } => {
                    self.found.count += 1;
                    if let Some(error) = error.filter(|_| *by_error) {
                        self.count_kind(job, error, journal.queues.past(job).map(|past| past.ended_at));
                    }
                }
                Aim::Mend { change, update, by, key_window, .. } => {
                    let changing = Changing { by, change: *change, update: *update, key_window: *key_window, now };
                    let refused = changing.job(journal, job)?;
                    has_changed = true;
                    self.found.count += u64::from(refused.is_none());
                    self.found.refused += u64::from(refused.is_some());
                }
            }
        }
        Ok(has_changed)
    }

    /// Only errors that are meant are there; see [`Words::read`].
    fn has_words(&self, error: Option<&JobError>) -> bool {
        self.words == Words::default() || error.is_some()
    }

    fn count_kind(&mut self, job: JobId, error: JobError, ended_at: Option<Timestamp>) {
        let JobError { text, kind } = error;
        let count = self.kinds.len();
        if let Some(index) = self.kinds.get(&kind) {
            let known = &mut self.found.kinds[*index];
            known.count += 1;
            known.first_at = known.first_at.into_iter().chain(ended_at).min();
            known.last_at = known.last_at.max(ended_at);
        } else if count < KINDS_MAX {
            self.kinds.insert(kind, count);
            self.found.kinds.push(KindCount { kind, count: 1, job, text, first_at: ended_at, last_at: ended_at });
        }
    }
}

#[derive(Debug)]
enum Step {
    More { mended: bool },
    Texts(TextBatch),
    Done,
}

impl Scans {
    pub fn len(&self) -> usize {
        self.line.len()
    }

    pub fn begin(&mut self, scan: Box<Scan>) {
        self.line.push_back(scan);
    }

    /// A request does not wait any more.
    pub fn forget(&mut self, number: u32) {
        self.line.retain(|scan| scan.number != number);
    }

    /// Takes a scan out before it is over.
    pub fn take(&mut self, number: u32) -> Option<Box<Scan>> {
        let place = self.line.iter().position(|scan| scan.number == number)?;
        self.line.remove(place)
    }

    /// When a slice is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.line.iter().any(|scan| !scan.is_reading).then_some(self.next_at)
    }

    /// A slice of the next scan, if one is due.
    pub fn work(&mut self, journal: &mut Journal, now: Timestamp) -> Result<Option<Slice>, WalError> {
        if now < self.next_at {
            return Ok(None);
        }
        let Some(place) = self.line.iter().position(|scan| !scan.is_reading) else { return Ok(None) };
        let Some(mut scan) = self.line.remove(place) else { return Ok(None) };
        let step = scan.work(journal, now)?;
        let pause = if matches!(step, Step::More { mended: true }) { MEND_PAUSE } else { LOOK_PAUSE };
        self.next_at = now.plus(pause);
        Ok(Some(match step {
            Step::Done => Slice::Done(scan),
            Step::More { .. } => {
                self.line.push_back(scan);
                Slice::More
            }
            Step::Texts(batch) => {
                let number = scan.number;
                self.line.push_back(scan);
                Slice::Texts(number, batch)
            }
        }))
    }

    /// The stories that a scan asked for were read: the errors of those jobs that are meant.
    pub fn texts_read(&mut self, number: u32, errors: Vec<(JobId, JobError)>) {
        let Some(scan) = self.line.iter_mut().find(|scan| scan.number == number) else { return };
        scan.is_reading = false;
        scan.errors = errors.into_iter().collect();
    }

    /// The words that a scan looks for.
    pub fn words(&self, number: u32) -> Words {
        self.line.iter().find(|scan| scan.number == number).map(|scan| scan.words.clone()).unwrap_or_default()
    }
}
