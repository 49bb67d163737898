//! Waits: for the ends of jobs, and until nothing is to run. They are parked in the master, and asked anew where the
//! link broke meanwhile.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError, Pending};
use crate::ids::JobId;
use crate::job::Standing;
use crate::limits::{ITEMS_MAX, WAIT_MS_MAX, WAITED_JOBS_MAX};
use crate::protocol::{ErrorCode, Idle, IdleOk, JobEnd, List, Refusal, Wait};

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
        if any && jobs.len() > WAITED_JOBS_MAX {
            let text = format!("{} jobs; for the first end of at most {WAITED_JOBS_MAX} can be waited", jobs.len());
            return Err(ClientError::Refused(Refusal::new(ErrorCode::BadValue, text)));
        }
        // A master that is silent keeps nobody much longer than was asked for.
        let timeout = deadline.map_or(self.timeout, |_| self.timeout.min(LAST_ANSWER_WAIT));
        let client = Client { timeout, ..self.clone() };
        let mut ends: HashMap<JobId, JobEnd> = HashMap::new();
        while !jobs.is_empty() {
            let open = |job: &JobId| ends.get(job).is_none_or(|end| !end.has_ended());
            let open: Vec<JobId> = jobs.iter().copied().filter(open).collect();
            match client.wait_once(&open, any, deadline, &mut ends) {
                Err(error) if error.may_pass() && !is_over(deadline) => thread::sleep(AGAIN_PAUSE),
                outcome => outcome?,
            }
            let mut ended = jobs.iter().map(|job| ends.get(job).is_some_and(JobEnd::has_ended));
            let is_met = if any { ended.any(|ended| ended) } else { ended.all(|ended| ended) };
            let is_known = jobs.iter().all(|job| ends.contains_key(job));
            if is_met || is_known && is_over(deadline) {
                return Ok(jobs.iter().filter_map(|job| ends.get(job).copied()).collect());
            }
        }
        Ok(Vec::new())
    }

    /// One round: all that have not ended are asked for at once, so that none ends unseen while others are waited for.
    fn wait_once(
        &self,
        jobs: &[JobId],
        any: bool,
        deadline: Option<Instant>,
        ends: &mut HashMap<JobId, JobEnd>,
    ) -> Result<(), ClientError> {
        let wait = left_until(deadline);
        let wait_ms = millis(wait);
        let ask = |some: &[JobId]| self.begin(Wait { jobs: List::lent(some), any, wait_ms }, wait);
        let under_way: Vec<Pending> = jobs.chunks(ITEMS_MAX).map(ask).collect::<Result<_, _>>()?;
        for pending in under_way {
            let answer = pending.wait()?;
            ends.extend(answer.read::<Wait<'_>>()?.jobs.iter().map(|end| (end.job, end)));
        }
        Ok(())
    }

    /// Waits so long, up to 5 minutes, until nothing is to run in a queue, or in all with an empty name, and tells how
    /// much is.
    pub fn idle(&self, queue: &str, wait: Duration) -> Result<Idleness, ClientError> {
        let answer = self.begin(Idle { queue, wait_ms: millis(wait) }, wait)?.wait()?;
        let IdleOk { left, delayed, died, dead } = answer.read::<Idle<'_>>()?;
        Ok(Idleness { left, delayed, died, dead })
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
