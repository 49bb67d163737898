//! Waits: for the ends of jobs, and until nothing is to run. They are parked in the master, and asked anew where the
//! link broke meanwhile, or where it was told how far a job is.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError, Pending};
use crate::ids::JobId;
use crate::job::Standing;
use crate::limits::{ITEMS_MAX, WAIT_MS_MAX, WAITED_JOBS_MAX};
use crate::protocol::{ErrorCode, Idle, IdleOk, JobEnd, List, Refusal, Wait, WaitProgress, WaitedProgress};
use crate::time::Timestamp;

/// Pause before a master that is away is asked again.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// How long the last answer may take, when the time is over.
const LAST_ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How many jobs are to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idleness {
    /// Those that are pending, in flight, or await another attempt.
    pub left: u64,
    /// Those that are delayed to a later time.
    pub delayed: u64,
    /// How many jobs have died since the log began.
    pub died: u64,
    /// How many are dead now.
    pub dead: u64,
}

impl JobEnd {
    /// Whether it will not run any more, but for a requeue, or is not known.
    pub fn has_ended(&self) -> bool {
        Standing::from_code(self.standing).is_none_or(Standing::is_ended)
    }
}

impl Client {
    /// Waits until all of these jobs have ended, or with `any` a first one of up to 1,024 has; or until the deadline:
    /// where each stands then, in order. While the master cannot be reached, or is starting, it goes on; if that is so
    /// at the deadline, that is the error.
    pub fn wait(&self, jobs: &[JobId], any: bool, deadline: Option<Instant>) -> Result<Vec<JobEnd>, ClientError> {
        Waiting::new(self, jobs, any, deadline, None).until_over()
    }

    /// The same, and calls `tell` with how far a job is, in percent and words, when its worker has told something else
    /// than before: at once with what is known, and then once a second at most. Of more than 1,024 jobs nothing is
    /// told.
    pub fn wait_telling(
        &self,
        jobs: &[JobId],
        any: bool,
        deadline: Option<Instant>,
        mut tell: impl FnMut(JobId, u8, &str),
    ) -> Result<Vec<JobEnd>, ClientError> {
        let tell: Option<Tell<'_>> = if jobs.len() <= WAITED_JOBS_MAX { Some(&mut tell) } else { None };
        Waiting::new(self, jobs, any, deadline, tell).until_over()
    }

    /// Waits so long, up to 5 minutes, until nothing is to run in a queue, or in all with an empty name, and tells how
    /// much is.
    pub fn idle(&self, queue: &str, wait: Duration) -> Result<Idleness, ClientError> {
        let answer = self.begin(Idle { queue, wait_ms: millis(wait) }, wait)?.wait()?;
        let IdleOk { left, delayed, died, dead } = answer.read::<Idle<'_>>()?;
        Ok(Idleness { left, delayed, died, dead })
    }
}

/// Is called with how far a job is.
type Tell<'w> = &'w mut dyn FnMut(JobId, u8, &str);

/// A wait for the ends of jobs.
struct Waiting<'w> {
    client: Client,
    jobs: &'w [JobId],
    any: bool,
    deadline: Option<Instant>,
    /// Where each job stood when that was told last.
    ends: HashMap<JobId, JobEnd>,
    tell: Option<Tell<'w>>,
    /// From when on progress is to be told, and what was told.
    since: Timestamp,
    told: HashMap<JobId, (u8, String)>,
}

impl<'w> Waiting<'w> {
    fn new(
        client: &Client,
        jobs: &'w [JobId],
        any: bool,
        deadline: Option<Instant>,
        tell: Option<Tell<'w>>,
    ) -> Waiting<'w> {
        // A master that is silent keeps nobody much longer than was asked for.
        let timeout = deadline.map_or(client.timeout, |_| client.timeout.min(LAST_ANSWER_WAIT));
        let client = Client { timeout, ..client.clone() };
        let (ends, told) = (HashMap::new(), HashMap::new());
        Waiting { client, jobs, any, deadline, ends, tell, since: Timestamp(0), told }
    }

    fn until_over(mut self) -> Result<Vec<JobEnd>, ClientError> {
        let (jobs, any) = (self.jobs, self.any);
        if any && jobs.len() > WAITED_JOBS_MAX {
            let text = format!("{} jobs; for the first end of at most {WAITED_JOBS_MAX} can be waited", jobs.len());
            return Err(ClientError::Refused(Refusal::new(ErrorCode::BadValue, text)));
        }
        while !jobs.is_empty() {
            match self.once() {
                Err(error) if error.may_pass() && !is_over(self.deadline) => thread::sleep(AGAIN_PAUSE),
                outcome => outcome?,
            }
            let mut ended = jobs.iter().map(|job| self.ends.get(job).is_some_and(JobEnd::has_ended));
            let is_met = if any { ended.any(|ended| ended) } else { ended.all(|ended| ended) };
            let is_known = jobs.iter().all(|job| self.ends.contains_key(job));
            if is_met || is_known && is_over(self.deadline) {
                return Ok(jobs.iter().filter_map(|job| self.ends.get(job).copied()).collect());
            }
        }
        Ok(Vec::new())
    }

    /// One round: all that have not ended are asked for at once, so that none ends unseen while others are waited for.
    fn once(&mut self) -> Result<(), ClientError> {
        let is_open = |job: &JobId| self.ends.get(job).is_none_or(|end| !end.has_ended());
        let open: Vec<JobId> = self.jobs.iter().copied().filter(is_open).collect();
        let wait = left_until(self.deadline);
        let (any, wait_ms) = (self.any, millis(wait));
        let progress_since = self.tell.is_some().then_some(self.since);
        let ask =
            |some: &[JobId]| self.client.begin(Wait { jobs: List::lent(some), any, wait_ms, progress_since }, wait);
        let under_way: Vec<Pending> = open.chunks(ITEMS_MAX).map(ask).collect::<Result<_, _>>()?;
        for pending in under_way {
            let answer = pending.wait()?;
            let stand = answer.read::<Wait<'_>>()?;
            self.ends.extend(stand.jobs.iter().map(|end| (end.job, end)));
            stand.progress.iter().for_each(|progress| self.hear(progress));
        }
        Ok(())
    }

    /// Tells what is news.
    fn hear(&mut self, progress: &WaitProgress<'_>) {
        let Some(tell) = &mut self.tell else { return };
        self.since = progress.at;
        for WaitedProgress { job, percent, text } in progress.jobs.iter() {
            let known = self.told.get(&job);
            if known.is_none_or(|(known, words)| (*known, words.as_str()) != (percent, text)) {
                tell(job, percent, text);
                self.told.insert(job, (percent, text.to_owned()));
            }
        }
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// How long one request waits.
fn left_until(deadline: Option<Instant>) -> Duration {
    let longest = Duration::from_millis(WAIT_MS_MAX.into());
    deadline.map_or(longest, |deadline| deadline.saturating_duration_since(Instant::now()).min(longest))
}

fn millis(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).min(WAIT_MS_MAX)
}
