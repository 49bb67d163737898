//! `falcon-cli schedule`: recurring jobs.

use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::args::{Add, Common, Overlap, ScheduleCommand, Scheduled, check_headers};
use super::input::InputFile;
use super::nearest::{Named, found_named};
use super::render::{Renderer, Row, tell};
use super::schedule_file::apply;
use super::schedule_state::{COLUMNS, cells, facts, tick_text};
use super::when::Wall;
use super::{Stop, connect};
use crate::client::{Client, ClientError, ListedSchedule, PutChange, ScheduleSpec, headers};
use crate::exit::{self, Failure};
use crate::job::Settings;
use crate::limits::SCHEDULE_PAYLOAD_BYTES_MAX;
use crate::shapes::{self, listed_schedule, moment};

/// Schedules of one page.
const PAGE: u16 = 500;

pub fn run(common: &Common, command: &ScheduleCommand) -> Result<(), Stop> {
    let client = &connect::client(common)?;
    match command {
        ScheduleCommand::Add(args) => add(common, client, args),
        ScheduleCommand::List => list(common, client),
        ScheduleCommand::Show(Scheduled { name }) => show(common, client, name),
        ScheduleCommand::Pause(Scheduled { name }) => {
            found_schedule(client, name, client.pause_schedule(name))?;
            let text = format!("schedule {name} makes no jobs until `falcon-cli schedule resume {name}`");
            Ok(tell(common.output, text, json!({"schedule": name, "paused": true}), name.clone())?)
        }
        ScheduleCommand::Resume(Scheduled { name }) => {
            found_schedule(client, name, client.resume_schedule(name))?;
            let next = found_schedule(client, name, client.show_schedule(name))?.ticks.into_iter().next();
            let when = next.as_ref().map_or("never again".to_owned(), |tick| tick_text(tick, &Wall::of(common)));
            let text = format!("schedule {name} makes jobs again; it is due next at {when}");
            let json = json!({"schedule": name, "paused": false, "next_at": next.map(|(at, _)| moment(at))});
            Ok(tell(common.output, text, json, name.clone())?)
        }
        ScheduleCommand::Run(Scheduled { name }) => {
            let job = found_schedule(client, name, client.run_schedule(name))?;
            let text = format!("schedule {name} has made job {job}");
            Ok(tell(common.output, text, json!({"schedule": name, "job": job.0}), job.to_string())?)
        }
        ScheduleCommand::Remove(Scheduled { name }) => {
            found_schedule(client, name, client.drop_schedule(name))?;
            let text = format!("schedule {name} is removed; the jobs that it made are left alone");
            Ok(tell(common.output, text, json!({"schedule": name, "removed": true}), name.clone())?)
        }
        ScheduleCommand::Apply(args) => apply(common, client, args),
    }
}

fn found_schedule<T>(client: &Client, name: &str, outcome: Result<T, ClientError>) -> Result<T, Stop> {
    found_named(client, Named::Schedule, name, outcome)
}

fn add(common: &Common, client: &Client, args: &Add) -> Result<(), Stop> {
    let (name, spec) = (&args.name, spec(args)?);
    let (change, _) = client.put_schedule(name, &spec, false)?;
    let state = found_schedule(client, name, client.show_schedule(name))?;
    let next = state.ticks.first();
    let what = match change {
        PutChange::Added => "is added",
        PutChange::Changed => "is changed",
        PutChange::Same => "is so already",
    };
    let when = match next {
        Some(tick) if !state.paused => format!("it is due next at {}", tick_text(tick, &Wall::of(common))),
        Some(_) => format!("it is paused; `falcon-cli schedule resume {name}` ends that"),
        None => "it is never due again".to_owned(),
    };
    let next_at = next.map(|(at, _)| moment(*at));
    let json = json!({"schedule": name, "change": change.word(), "paused": state.paused, "next_at": next_at});
    Ok(tell(common.output, format!("schedule {name} {what}; {when}"), json, name.clone())?)
}

fn spec(args: &Add) -> Result<ScheduleSpec, Failure> {
    let names = args.headers.iter().map(|(name, _)| name.as_str());
    check_headers(names).map_err(|text| Failure::new(exit::USAGE, text))?;
    let pairs: Vec<(&str, &str)> = args.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let payload = match (&args.payload, &args.payload_file) {
        (Some(text), _) if text != "-" => text.clone().into_bytes(),
        (_, Some(path)) => read(path)?,
        _ => read(Path::new("-"))?,
    };
    Ok(ScheduleSpec {
        queue: args.queue.clone(),
        cron: args.cron.clone().unwrap_or_default(),
        every_ms: args.every.map_or(0, |every| every.0),
        zone: args.zone.clone(),
        jitter_ms: args.jitter.0 as u32,
        missed: args.missed.0,
        missed_max: args.missed.1,
        skip_overlap: args.overlap == Overlap::Skip,
        settings: Settings {
            priority: args.priority,
            max_attempts: args.max_attempts.unwrap_or(0),
            timeout_ms: args.timeout.map_or(0, |timeout| timeout.0 as u32),
        },
        keep_ms: args.keep.map(|keep| keep.0),
        backoff: args.backoff,
        ttl_ms: args.ttl.map(|ttl| ttl.0),
        headers: if pairs.is_empty() { Vec::new() } else { headers(&pairs) },
        group: args.group.clone().unwrap_or_default(),
        payload,
    })
}

/// A payload; no more of it is read than tells that it is too long.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut input = InputFile::open(path)?;
    let mut bytes = Vec::new();
    let bound = SCHEDULE_PAYLOAD_BYTES_MAX as u64 + 1;
    input.reader.by_ref().take(bound).read_to_end(&mut bytes).map_err(|error| input.failure(&error))?;
    if bytes.len() > SCHEDULE_PAYLOAD_BYTES_MAX {
        let text = format!(
            "{} is longer than the payload of a schedule may be, {SCHEDULE_PAYLOAD_BYTES_MAX} bytes; keep it \
             elsewhere, and let the payload name it",
            input.name
        );
        return Err(Failure::new(exit::REFUSED, text));
    }
    Ok(bytes)
}

/// All schedules, page by page.
pub fn all(client: &Client) -> Result<Vec<ListedSchedule>, Stop> {
    let mut all: Vec<ListedSchedule> = Vec::new();
    loop {
        let behind = all.last().map_or("", |last| &last.name);
        let (page, more) = client.schedules(behind, PAGE)?;
        let is_last = page.is_empty() || !more;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

fn list(common: &Common, client: &Client) -> Result<(), Stop> {
    let all = all(client)?;
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    let wall = Wall::of(common);
    for schedule in &all {
        let cells = cells(schedule, &wall);
        renderer.row(Row { cells, json: listed_schedule(schedule), quiet: schedule.name.clone() })?;
    }
    Ok(renderer.flush()?)
}

/// Shows a schedule; exit status 3 if there is none of this name.
fn show(common: &Common, client: &Client, name: &str) -> Result<(), Stop> {
    let state = found_schedule(client, name, client.show_schedule(name))?;
    Ok(tell(common.output, facts(name, &state, &Wall::of(common)), shapes::schedule(name, &state), name.to_owned())?)
}
