//! Handing jobs to the master, and telling what became of each.

use std::io;

use crate::cli::connect::again_if_away;
use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Progress;
use crate::cli::render::{Renderer, Row};
use crate::cli::when;
use crate::cli::{Stop, ends};
use crate::client::{Client, ClientError, Submitted};
use crate::exit::{self, Failure};
use crate::ids::JobId;
use crate::job::OnDuplicate;
use crate::protocol::SubmitJob;
use crate::shapes::{self, standing};
use crate::time::Timestamp;
use crate::words::counted;

/// Where jobs go, and where their ids are written.
pub struct Sending {
    /// Before this moment none is delivered.
    pub at: Option<Timestamp>,
    pub client: Client,
    pub renderer: Renderer,
    pub accepted: u64,
    /// Nobody reads the ids any more; the jobs are submitted all the same.
    pub output_closed: bool,
    /// The jobs that are to be waited for, where they are; then how they end is written, and not their ids.
    pub waited: Option<Vec<JobId>>,
    /// What they are members of. It is begun with the first of them.
    pub batch: Option<String>,
    pub keep_open: bool,
    /// Of many jobs.
    pub many: Option<Many>,
}

/// What goes with submitting many: how far it is, and a stop in between.
pub struct Many {
    progress: Progress,
    interrupt: Interrupt,
    /// 0 where that is not known.
    of: u64,
}

impl Sending {
    /// Begins to submit so many jobs, or 0 where it is not known how many come. From now on Ctrl-C ends it between two
    /// requests.
    pub fn begin_many(&mut self, of: u64) -> Result<(), Failure> {
        let progress = Progress::of_short();
        self.many = Some(Many { progress, interrupt: Interrupt::on_ctrl_c()?, of });
        Ok(())
    }

    /// Of many jobs that took long it stays how many there were; that they are all is `is_done`.
    pub fn end_progress(&self, is_done: bool) {
        let Some(many) = &self.many else { return };
        if is_done {
            many.progress.end_with(&format!("all {} submitted", counted(self.accepted, "job")));
        } else {
            many.progress.end();
        }
    }

    /// Ends it if Ctrl-C was pressed; `goes_on` says how it can be gone on with.
    pub fn look_at_ctrl_c(&self, goes_on: &str) -> Result<(), Failure> {
        if self.many.as_ref().is_none_or(|many| !many.interrupt.is_asked()) {
            return Ok(());
        }
        Err(Failure::new(exit::FAILED, format!("stopped by Ctrl-C; {goes_on}")))
    }

    /// Hands jobs to the master, each for its time.
    fn send(&self, jobs: &[SubmitJob<'_>]) -> Result<Vec<Submitted>, ClientError> {
        let timed: Vec<SubmitJob<'_>>;
        let jobs = match self.at {
            Some(at) => {
                // Lines may come slowly: each waits for what is left.
                let left = at.since(when::now()).0;
                // Both clocks are read in whole milliseconds: rather one too late than one too early.
                let delay_ms = if left > 0 { left + 1 } else { 0 };
                timed = jobs.iter().map(|job| SubmitJob { delay_ms, ..*job }).collect();
                &timed
            }
            None => jobs,
        };
        let returns = |job: &SubmitJob<'_>| job.on_duplicate.is_none_or(|what| what == OnDuplicate::Return);
        // A job that has a key is made once, however often it is submitted.
        if jobs.iter().all(|job| !job.key.is_empty() && returns(job)) {
            return again_if_away(|| self.send_once(jobs));
        }
        self.send_once(jobs)
    }

    fn send_once(&self, jobs: &[SubmitJob<'_>]) -> Result<Vec<Submitted>, ClientError> {
        let Some(batch) = &self.batch else { return self.client.submit(jobs) };
        if self.accepted == 0 {
            self.client.begin_batch(batch)?;
        }
        self.client.submit_to_batch(batch, jobs)
    }

    pub fn submit(&mut self, jobs: &[SubmitJob<'_>]) -> Result<(), Stop> {
        let submitted = self.send(jobs)?;
        self.accepted += jobs.len() as u64;
        self.show();
        for (job, outcome) in jobs.iter().zip(&submitted).filter(|(_, outcome)| outcome.duplicate) {
            Sending::note_duplicate(job, outcome);
        }
        if let Some(waited) = &mut self.waited {
            waited.extend(submitted.iter().map(|outcome| outcome.job));
            return Ok(());
        }
        if self.output_closed {
            return Ok(());
        }
        let outcome = jobs.iter().zip(&submitted).try_for_each(|(job, outcome)| {
            let id = outcome.job.to_string();
            let cells = vec![format!("job {id}"), job.queue.to_owned(), became(outcome).to_owned()];
            self.renderer.row(Row { cells, json: shapes::submitted(job, outcome), quiet: id })
        });
        match outcome.and_then(|()| self.renderer.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.output_closed = true,
            outcome => outcome?,
        }
        Ok(())
    }

    /// Shows how far it is.
    fn show(&mut self) {
        let Some(many) = &mut self.many else { return };
        let of = if many.of == 0 { String::new() } else { format!(" of {}", many.of) };
        let words = format!("{} submitted{of}", counted(self.accepted, "job"));
        many.progress.show(self.accepted, many.of.max(self.accepted), &words);
    }

    /// Says how a job differs from the one that holds its key; that it is a repeat is in the output.
    fn note_duplicate(job: &SubmitJob<'_>, outcome: &Submitted) {
        let Some(holder) = &outcome.holder else { return };
        let differs = match (holder.queue_differs, holder.payload_differs) {
            (true, true) => ", with another queue and payload",
            (true, false) => ", with another queue",
            (false, true) => ", with another payload",
            (false, false) => "",
        };
        if !differs.is_empty() {
            exit::say(&format!(
                "falcon-cli: key {:?} is held by job {} of queue {}, which is {}{differs}; no job was made",
                job.key,
                outcome.job,
                holder.queue,
                standing(holder.standing),
            ));
        }
    }

    /// The end of all sending.
    pub fn end(mut self) -> Result<(), Stop> {
        if let Some(batch) = self.batch.as_ref().filter(|_| !self.keep_open && self.accepted > 0) {
            self.client.end_batch(batch)?;
        }
        let Some(jobs) = self.waited.take().filter(|jobs| !jobs.is_empty()) else { return Ok(()) };
        self.wait(&jobs).map_err(|stop| match stop {
            // Whoever goes on by hand has to know them.
            Stop::Failed(failure) => Failure::new(failure.status, format!("{}; {}", failure.text, told(&jobs))).into(),
            stop => stop,
        })?;
        Ok(())
    }

    fn wait(&mut self, jobs: &[JobId]) -> Result<(), Stop> {
        let ends = ends::wait(self.renderer.output(), &self.client, jobs, false, None)?;
        ends::show(&mut self.renderer, &self.client, &ends)?;
        Ok(ends::judge(&ends, false, "")?)
    }
}

fn became(outcome: &Submitted) -> &'static str {
    match outcome {
        Submitted { replaced: true, .. } => "replaced",
        Submitted { duplicate: true, .. } => "has this key already",
        _ => "submitted",
    }
}

/// Which jobs were submitted.
fn told(jobs: &[JobId]) -> String {
    match (jobs.first(), jobs.last()) {
        (Some(first), Some(last)) if first != last => format!("jobs {first} to {last} were submitted"),
        (first, _) => format!("job {} was submitted", first.copied().unwrap_or_default()),
    }
}
