//! `falcon-cli wait`: for the ends of jobs, or until nothing is left to run. `falcon-cli drain`: the latter, while the
//! master takes no more jobs.
//!
//! The master answers when it is so; it is not asked again and again. Where it goes away, or is started again, a wait
//! goes on, once the master was there.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::{Common, Drain, Output, Wait};
use super::progress::Progress;
use super::render::{Renderer, tell};
use super::{Stop, connect, ends, lookup};
use crate::client::{CALL_TIMEOUT, Client, ClientError, Idleness};
use crate::exit::{self, Failure};
use crate::time::Millis;
use crate::words::{by_number, counted, is, was};

/// Pause before a master that is away is asked again.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);

pub fn run(common: &Common, wait: &Wait) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let deadline = wait.timeout.map(|timeout| Instant::now() + timeout.into());
    if !wait.jobs.is_empty() {
        return for_jobs(common, &client, wait, deadline);
    }
    let queue = wait.queue.as_deref().unwrap_or_default();
    let (first, last) = Watch::new(client, queue, wait.timeout, true).until_idle()?;
    let (died, dead) = (last.died.saturating_sub(first.died), last.dead);
    let json = json!({"left": last.left, "delayed": last.delayed, "died": died, "dead": dead});
    say(common, &nothing_left(&last), json)?;
    deaths(died, dead, queue).map_or(Ok(()), |text| Err(Failure::new(exit::FAILED, text).into()))
}

/// What is wrong, if anything is: whoever is dead now counts, however short the wait was, and whoever died while it
/// went on, also where nothing of that is left.
fn deaths(died: u64, dead: u64, queue: &str) -> Option<String> {
    if dead == 0 {
        let since = format!("and {} requeued, purged or forgotten since", was(died));
        return (died > 0).then(|| format!("{} died meanwhile, {since}", counted(died, "job")));
    }
    let of = if queue.is_empty() { String::new() } else { format!("--queue {queue} ") };
    let shows = format!("`falcon-cli job list {of}--state dead` shows {}", by_number(dead, "it", "them"));
    Some(format!("{} {} dead, {died} of them since this wait began; {shows}", counted(dead, "job"), is(dead)))
}

/// Waits for the ends of the jobs that are named.
fn for_jobs(common: &Common, client: &Client, wait: &Wait, deadline: Option<Instant>) -> Result<(), Stop> {
    let waited = wait.timeout.unwrap_or_default().to_string();
    // Where no master is at all that is said soon, and not waited for: the address may be wrong.
    let mut prompt = client.clone();
    prompt.set_timeout(left_until(deadline).min(CALL_TIMEOUT));
    reach(&prompt, deadline).map_err(|error| late(error, deadline, &waited))?;
    let jobs = lookup::jobs(&prompt, &wait.jobs, wait.queue.as_deref())?;
    let ends =
        ends::wait(common.output, client, &jobs, wait.any, deadline).map_err(|error| late(error, deadline, &waited))?;
    ends::show(&mut Renderer::of_table(common.output, &ends::COLUMNS), client, &ends)?;
    Ok(ends::judge(&ends, wait.any, &waited)?)
}

/// Asks the master for a sign of life, and goes on asking while it is starting.
fn reach(client: &Client, deadline: Option<Instant>) -> Result<(), ClientError> {
    loop {
        match client.idle("", Duration::ZERO) {
            Err(error) if error.is_starting() && left_until(deadline) > Duration::ZERO => thread::sleep(AGAIN_PAUSE),
            outcome => return outcome.map(drop),
        }
    }
}

/// Whatever stood in the way, that the time is over is the answer where it is.
fn late(error: ClientError, deadline: Option<Instant>, waited: &str) -> Stop {
    if !error.may_pass() || left_until(deadline) > Duration::ZERO {
        return error.into();
    }
    Failure::new(exit::TIMED_OUT, format!("no answer within {waited}: {error}")).into()
}

fn left_until(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// Takes no more jobs, and waits until none is left to run; or takes them again.
pub fn drain(common: &Common, drain: &Drain) -> Result<(), Stop> {
    let client = connect::client(common)?;
    client.drain(!drain.off)?;
    if drain.off {
        return say(common, "jobs are taken again", json!({"draining": false}));
    }
    exit::say("no more jobs are taken, until `falcon-cli drain --off` or a restart");
    // A master that was started again takes jobs: the drain ends with its connection.
    let (_, last) = Watch::new(client, "", drain.timeout, false).until_idle()?;
    let json = json!({"draining": true, "left": last.left, "delayed": last.delayed});
    say(common, &nothing_left(&last), json)
}

fn nothing_left(last: &Idleness) -> String {
    match last.delayed {
        0 => "no job is left to run".to_owned(),
        delayed => format!("no job is left to run; {delayed} {} delayed to later", is(delayed)),
    }
}

/// Words for people, and data for programs alone: what came of it is the exit status.
fn say(common: &Common, text: &str, json: Value) -> Result<(), Stop> {
    exit::say(text);
    if common.output == Output::Json {
        tell(common.output, String::new(), json, String::new())?;
    }
    Ok(())
}

/// A wait until nothing is left to run.
struct Watch<'w> {
    client: Client,
    /// Empty for all.
    queue: &'w str,
    timeout: Option<Millis>,
    deadline: Option<Instant>,
    /// Whether it goes on where the master went away.
    goes_on: bool,
    progress: Progress,
    /// The first and the last answer.
    seen: Option<(Idleness, Idleness)>,
    /// Most jobs that were left at once.
    most: u64,
    is_away: bool,
}

impl<'w> Watch<'w> {
    fn new(client: Client, queue: &'w str, timeout: Option<Millis>, goes_on: bool) -> Watch<'w> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout.into());
        let progress = Progress::new();
        Watch { client, queue, timeout, deadline, goes_on, progress, seen: None, most: 0, is_away: false }
    }

    /// Waits; returns the first and the last answer.
    fn until_idle(mut self) -> Result<(Idleness, Idleness), Stop> {
        let outcome = loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(answers)) => break Ok(answers),
                Err(stop) => break Err(stop),
            }
        };
        self.progress.end();
        outcome
    }

    /// One answer, or one more attempt to get it; the answers if it is so.
    fn step(&mut self) -> Result<Option<(Idleness, Idleness)>, Stop> {
        let left = left_until(self.deadline);
        self.client.set_timeout(left.clamp(Duration::from_millis(1), CALL_TIMEOUT));
        // The first answer is wanted at once: it says how much there is, and what has died before.
        let wait = if self.seen.is_some() { self.progress.interval().min(left) } else { Duration::ZERO };
        match self.client.idle(self.queue, wait) {
            Ok(now) => {
                self.is_away = false;
                self.seen = Some((self.seen.map_or(now, |(first, _)| first), now));
                if now.left == 0 {
                    return Ok(self.seen);
                }
                self.show(&now);
            }
            Err(error) => self.pause_if_away(error)?,
        }
        if !left_until(self.deadline).is_zero() {
            return Ok(None);
        }
        let left = self.seen.map_or(0, |(_, last)| last.left);
        let (waited, jobs) = (self.timeout.unwrap_or_default(), counted(left, "job"));
        let text = format!("after {waited} {jobs} {} left to run", is(left));
        Err(Failure::new(exit::TIMED_OUT, text).into())
    }

    /// A moment's pause where the master is away and is waited for.
    fn pause_if_away(&mut self, error: ClientError) -> Result<(), Stop> {
        let was_there = self.seen.is_some();
        let is_away = error.is_starting() || was_there && self.goes_on && error.may_pass();
        let is_over = left_until(self.deadline).is_zero();
        if !is_away || is_over && !was_there {
            return Err(late(error, self.deadline, &self.timeout.unwrap_or_default().to_string()));
        }
        if !self.is_away && !is_over {
            connect::is_told();
            self.progress.say(&format!("{error}; it is waited for"));
            self.is_away = true;
        }
        thread::sleep(AGAIN_PAUSE.min(left_until(self.deadline)));
        Ok(())
    }

    fn show(&mut self, now: &Idleness) {
        let Idleness { left, delayed, .. } = *now;
        self.most = self.most.max(left);
        let words = format!("{} {} left to run, {delayed} delayed to later", counted(left, "job"), is(left));
        self.progress.show(self.most - left, self.most, &words);
    }
}
