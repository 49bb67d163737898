//! A handler whose command stays: it gets jobs as lines of JSON on its stdin, and answers each by a line. So any
//! language runs tens of thousands of jobs a second without a client library.
//!
//! Promises:
//! - Each process has at most so many jobs open as was said.
//! - One that ends, is silent past a job's time, or writes what is no answer is replaced, and its jobs fail.
//! - A job that is stopped takes its process with it; the other jobs that this had open are given back.
//!
//! Its stderr is the worker's, unless it is to be quiet. A process is started when there is a first job for it.

mod form;
mod process;

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cancel::Cancel;
use super::follow_ups::results;
use super::handler::{Handler, Outcome};
use super::master::MasterFacts;
use super::processes::is_runnable;
use crate::client::Job;
use crate::ids::JobId;
use process::{End, Process};

/// How long a job is not looked at, at most.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// How many processes are tried for one job.
const REPLACED_MAX: usize = 3;

/// Runs jobs in processes that stay.
pub struct ReuseHandler {
    program: String,
    arguments: Vec<String>,
    master: MasterFacts,
    open_max: usize,
    is_quiet: bool,
    places: Mutex<Vec<Place>>,
    /// Of processes that were replaced, too.
    serving: Mutex<Vec<(Arc<Process>, JoinHandle<()>)>>,
}

/// Where there is one process at a time, beside those that are being stopped.
#[derive(Default)]
struct Place {
    process: Option<Arc<Process>>,
    open: usize,
}

impl ReuseHandler {
    /// A handler with so many processes of `command`, each with up to `open_max` jobs at once. Its pool runs as many as
    /// all of them take: `processes` times `open_max`.
    /// Refused if the program is not there or cannot be run: better now than at each job.
    pub fn new(command: &[String], processes: usize, open_max: usize) -> Result<ReuseHandler, String> {
        let Some((program, arguments)) = command.split_first() else {
            return Err("no command was given; write it after --".to_owned());
        };
        if !is_runnable(program) {
            return Err(format!("the command {program:?} is not there or cannot be run; check its name and PATH"));
        }
        let places = std::iter::repeat_with(Place::default).take(processes).collect();
        Ok(ReuseHandler {
            program: program.clone(),
            arguments: arguments.to_vec(),
            master: MasterFacts::default(),
            open_max,
            is_quiet: false,
            places: Mutex::new(places),
            serving: Mutex::default(),
        })
    }

    /// The same, and the processes are told in their environment where their master is.
    #[must_use]
    pub fn with_master(mut self, master: MasterFacts) -> ReuseHandler {
        self.master = master;
        self
    }

    /// The same, and what the processes write to stderr goes nowhere.
    #[must_use]
    pub fn without_stderr(mut self) -> ReuseHandler {
        self.is_quiet = true;
        self
    }

    /// Takes a place in the process with the fewest open jobs, started if there is none; gives the place's number. None
    /// has the same job twice: its answers would be mistaken for each other.
    fn enter(&self, job: JobId) -> std::io::Result<(usize, Arc<Process>)> {
        let mut places = self.locked();
        let (number, place) = places
            .iter_mut()
            .enumerate()
            .filter(|(_, place)| place.open < self.open_max)
            .filter(|(_, place)| place.process.as_ref().is_none_or(|process| !process.has(job)))
            .min_by_key(|(_, place)| place.open)
            .ok_or_else(|| std::io::Error::other("every process has this job, or as many as it may"))?;
        let process = match place.process.as_ref().filter(|process| process.takes_jobs()) {
            Some(process) => Arc::clone(process),
            None => self.start(place)?,
        };
        place.open += 1;
        Ok((number, process))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.master.variables());
        if self.is_quiet {
            command.stderr(Stdio::null());
        }
        command
    }

    fn start(&self, place: &mut Place) -> std::io::Result<Arc<Process>> {
        let (process, serving) = Process::start(self.command())?;
        let mut all = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, serving)| !serving.is_finished());
        all.push((Arc::clone(&process), serving));
        place.process = Some(Arc::clone(&process));
        Ok(process)
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for ReuseHandler {
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome {
        let results = match if job.wants_results() { results(job) } else { Ok(Vec::new()) } {
            Ok(results) => results,
            Err(error) => return Outcome::NotBegun { error },
        };
        let line = form::asked(job, &results);
        // One that has ended meanwhile is replaced, but not for ever: the command may end before it takes anything.
        for _ in 0..REPLACED_MAX {
            let (number, process) = match self.enter(job.id) {
                Ok(entered) => entered,
                Err(error) => return Outcome::NotBegun { error: format!("starting {}: {error}", self.program) },
            };
            let outcome = process.give(job, &line).then(|| wait(&process, job, cancel));
            self.locked()[number].open -= 1;
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
        Outcome::NotBegun { error: format!("{} ends before it takes a job", self.program) }
    }

    fn leave(&self) {
        let all = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        for (process, _) in all.iter() {
            process.hurry();
        }
    }
}

/// Waits for what comes of a job that was handed over.
fn wait(process: &Process, job: &Job, cancel: &Cancel) -> Outcome {
    let time_up_at = job.timeout.map(|timeout| Instant::now() + timeout);
    cancel.wake_this_thread();
    let mut stopped = false;
    loop {
        if let Some(outcome) = process.outcome(job.id) {
            // An answer that came while it was being stopped counts.
            return outcome;
        }
        if cancel.reason().is_some() && !stopped {
            stopped = true;
            process.end(End::Stopped);
        }
        let now = Instant::now();
        if time_up_at.is_some_and(|at| at <= now) && !stopped {
            stopped = true;
            let limit = job.timeout.unwrap_or_default().as_millis();
            process.end(End::Failed(format!("stopped: no answer to job {} within its time of {limit} ms", job.id)));
        }
        let look = if stopped { LOOK_INTERVAL_MAX } else { cancel.left().min(LOOK_INTERVAL_MAX) };
        let until_time_up = time_up_at.filter(|_| !stopped).map_or(look, |at| at.saturating_duration_since(now));
        std::thread::park_timeout(look.min(until_time_up) + Duration::from_millis(1));
    }
}

impl Drop for ReuseHandler {
    fn drop(&mut self) {
        let all = self.serving.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (process, _) in all.iter() {
            process.end(End::Unneeded);
        }
        for (_, serving) in all.drain(..) {
            if serving.join().is_err() {
                log::error!("the thread of a command panicked");
            }
        }
    }
}
