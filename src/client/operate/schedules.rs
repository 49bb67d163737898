//! Schedules: recurring jobs.

use crate::client::{Client, ClientError};
use crate::ids::JobId;
use crate::job::{Backoff, HeadersText, Settings};
use crate::protocol::{
    DropSchedule, ListSchedules, PauseSchedule, PutChange, PutSchedule, ResumeSchedule, RunSchedule, ScheduleRow,
    ScheduleRun, ShowSchedule,
};
use crate::schedule::{Missed, Plan};
use crate::time::Timestamp;

/// When a schedule makes jobs, and which.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScheduleSpec {
    /// The queue of the jobs.
    pub queue: String,
    /// A cron expression; empty for a schedule that goes by `every_ms`.
    pub cron: String,
    /// From one tick to the next; 0 for a schedule that goes by `cron`.
    pub every_ms: u64,
    /// The time zone of `cron`, as in `Europe/Berlin`; empty for UTC.
    pub zone: String,
    /// Each tick comes up to so much later, as is drawn for it.
    pub jitter_ms: u32,
    /// What becomes of ticks that no job could be made for when they were due.
    pub missed: Missed,
    /// How many of the latest, where that is [`Missed::All`]; 0 otherwise.
    pub missed_max: u16,
    /// Whether no job is made while one of an earlier tick has not ended.
    pub skip_overlap: bool,
    /// Priority, attempts (0 for as many as the queue says) and time of each job.
    pub settings: Settings,
    /// How long each is kept after its end; otherwise as its queue says.
    pub keep_ms: Option<u64>,
    /// How long each waits after a failed attempt; otherwise as its queue says.
    pub backoff: Option<Backoff>,
    /// Not begun within this time, each ends as expired.
    pub ttl_ms: Option<u64>,
    /// As [`headers`](crate::client::headers) writes them; empty for none.
    pub headers: Vec<u8>,
    /// The group of each job inside its queue; empty for none.
    pub group: String,
    /// Up to 16 KiB.
    pub payload: Vec<u8>,
}

/// What a list tells of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedSchedule {
    /// Its name.
    pub name: String,
    /// The queue of its jobs.
    pub queue: String,
    /// Their group, or empty.
    pub group: String,
    /// Its cron expression, or empty.
    pub cron: String,
    /// Its span, or 0.
    pub every_ms: u64,
    /// Its time zone; empty for UTC.
    pub zone: String,
    /// Whether it makes no jobs until it is resumed.
    pub paused: bool,
    /// Its next tick, if there is one.
    pub next_at: Option<Timestamp>,
    /// What became of the last one.
    pub last: Option<ScheduleRun>,
}

/// Everything that is known of a schedule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScheduleState {
    /// What it was told.
    pub spec: ScheduleSpec,
    /// Whether it makes no jobs until it is resumed.
    pub paused: bool,
    /// The next ticks, each with what the clock of its zone shows then.
    pub ticks: Vec<(Timestamp, String)>,
    /// What became of the last ones, the newest last.
    pub runs: Vec<ScheduleRun>,
    /// Why no job can be made now for a tick that is due.
    pub put_off: Option<String>,
}

impl ScheduleSpec {
    fn plan(&self) -> Plan<'_> {
        Plan {
            queue: &self.queue,
            cron: &self.cron,
            every_ms: self.every_ms,
            zone: &self.zone,
            jitter_ms: self.jitter_ms,
            missed: self.missed,
            missed_max: self.missed_max,
            skip_overlap: self.skip_overlap,
            settings: self.settings,
            keep_ms: self.keep_ms,
            backoff: self.backoff,
            ttl_ms: self.ttl_ms,
            headers: (!self.headers.is_empty()).then_some(HeadersText(&self.headers)),
            group: (!self.group.is_empty()).then_some(&*self.group),
            payload: &self.payload,
        }
    }
}

impl From<Plan<'_>> for ScheduleSpec {
    fn from(plan: Plan<'_>) -> Self {
        ScheduleSpec {
            queue: plan.queue.to_owned(),
            cron: plan.cron.to_owned(),
            every_ms: plan.every_ms,
            zone: plan.zone.to_owned(),
            jitter_ms: plan.jitter_ms,
            missed: plan.missed,
            missed_max: plan.missed_max,
            skip_overlap: plan.skip_overlap,
            settings: plan.settings,
            keep_ms: plan.keep_ms,
            backoff: plan.backoff,
            ttl_ms: plan.ttl_ms,
            headers: plan.headers.unwrap_or_default().0.to_vec(),
            group: plan.group.unwrap_or_default().to_owned(),
            payload: plan.payload.to_vec(),
        }
    }
}

impl From<ScheduleRow<'_>> for ListedSchedule {
    fn from(row: ScheduleRow<'_>) -> Self {
        ListedSchedule {
            name: row.name.to_owned(),
            queue: row.queue.to_owned(),
            group: row.group.unwrap_or_default().to_owned(),
            cron: row.cron.to_owned(),
            every_ms: row.every_ms,
            zone: row.zone.to_owned(),
            paused: row.paused,
            next_at: Some(row.next_at).filter(|at| at.0 > 0),
            last: row.last,
        }
    }
}

impl Client {
    /// Makes a schedule, or changes one: what became of it, and its next tick. A dry run only says what would.
    pub fn put_schedule(
        &self,
        name: &str,
        spec: &ScheduleSpec,
        dry_run: bool,
    ) -> Result<(PutChange, Timestamp), ClientError> {
        let request = PutSchedule { name, plan: spec.plan(), dry_run: dry_run.then_some(true) };
        let answer = self.ask(request)?;
        let told = answer.read::<PutSchedule<'_>>()?;
        Ok((PutChange::from_code(told.change).unwrap_or(PutChange::Changed), told.next_at))
    }

    /// Takes a schedule away; the jobs that it made are left alone. `Refused` by `NotFound` where there is none of this
    /// name.
    pub fn drop_schedule(&self, name: &str) -> Result<(), ClientError> {
        self.ask(DropSchedule { name })?.read::<DropSchedule<'_>>().map(drop)
    }

    /// Schedules by their names, those behind this one, up to `limit`, 1 to 1,000; and whether there are more.
    pub fn schedules(&self, behind: &str, limit: u16) -> Result<(Vec<ListedSchedule>, bool), ClientError> {
        let answer = self.ask(ListSchedules { behind, limit })?;
        let told = answer.read::<ListSchedules<'_>>()?;
        Ok((told.schedules.iter().map(ListedSchedule::from).collect(), told.more))
    }

    /// What is known of a schedule. `Refused` by `NotFound` where there is none of this name.
    pub fn show_schedule(&self, name: &str) -> Result<ScheduleState, ClientError> {
        let answer = self.ask(ShowSchedule { name })?;
        let told = answer.read::<ShowSchedule<'_>>()?;
        Ok(ScheduleState {
            spec: told.plan.into(),
            paused: told.paused,
            ticks: told.ticks.iter().map(|tick| (tick.at, tick.shown.to_owned())).collect(),
            runs: told.runs.iter().collect(),
            put_off: told.put_off.map(str::to_owned),
        })
    }

    /// Lets a schedule make no jobs until it is resumed.
    pub fn pause_schedule(&self, name: &str) -> Result<(), ClientError> {
        self.ask(PauseSchedule { name })?.read::<PauseSchedule<'_>>().map(drop)
    }

    /// Lets a schedule make jobs again; ticks of the time between are over.
    pub fn resume_schedule(&self, name: &str) -> Result<(), ClientError> {
        self.ask(ResumeSchedule { name })?.read::<ResumeSchedule<'_>>().map(drop)
    }

    /// Lets a schedule make a job now, beside its ticks.
    pub fn run_schedule(&self, name: &str) -> Result<JobId, ClientError> {
        Ok(self.ask(RunSchedule { name })?.read::<RunSchedule<'_>>()?.job)
    }
}
