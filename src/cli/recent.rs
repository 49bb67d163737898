//! `falcon-cli events`: what happens, as it happens.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Stop;
use super::args::{Common, Events as Args};
use super::connect::{self, again_if_away};
use super::interrupt::Interrupt;
use super::render::{Renderer, Row};
use super::table::{Column, number, text};
use super::when::Wall;
use crate::client::Happened;
use crate::exit::{self, Failure};
use crate::ids::{JobId, Lsn};
use crate::nearest::did_you_mean;
use crate::queue::Event;
use crate::shapes;

const COLUMNS: [Column; 5] = [number("LSN"), text("AT"), text("EVENT"), text("ABOUT"), text("QUEUE")];

/// How often the master is asked; what happens is shown so much later at most.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How often Ctrl-C is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Shows events until Ctrl-C, or until so many were shown.
pub fn run(common: &Common, args: &Args) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let interrupt = Interrupt::on_ctrl_c()?;
    let wanted = Wanted::of(args)?;
    let wall = Wall::of(common);
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut page = client.recent(args.after.map(Lsn))?;
    if args.after.is_none() {
        exit::say(&format!("falcon-cli: watching what happens behind LSN {}; Ctrl-C ends that", page.next));
    }
    loop {
        if page.missed > 0 {
            exit::say(&format!("falcon-cli: {} records are not told: more happened than is kept", page.missed));
        }
        for happened in page.events.iter().filter(|happened| wanted.means(happened)) {
            renderer.row(row(happened, &wall))?;
            left -= 1;
            if left == 0 {
                return Ok(renderer.flush()?);
            }
        }
        renderer.flush()?;
        let until = Instant::now() + if page.events.is_empty() { ASK_EVERY } else { Duration::ZERO };
        if pause(&renderer, &interrupt, until)? {
            return Ok(());
        }
        let next = page.next;
        page = again_if_away(|| client.recent(Some(next)))?;
    }
}

/// Waits; says whether Ctrl-C was pressed.
fn pause(renderer: &Renderer, interrupt: &Interrupt, until: Instant) -> Result<bool, Stop> {
    loop {
        if interrupt.is_asked() {
            return Ok(true);
        }
        let left = until.saturating_duration_since(Instant::now());
        if renderer.is_closed_within(left.min(LOOK_EVERY))? {
            return Err(Stop::OutputClosed);
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}

/// Which events are shown.
struct Wanted<'a> {
    queue: Option<&'a str>,
    job: Option<JobId>,
    kinds: Vec<u8>,
}

impl<'a> Wanted<'a> {
    fn of(args: &'a Args) -> Result<Wanted<'a>, Failure> {
        let kinds = args.event.iter().map(|name| kind(name)).collect::<Result<_, _>>()?;
        Ok(Wanted { queue: args.queue.as_deref(), job: args.job.map(JobId), kinds })
    }

    fn means(&self, happened: &Happened) -> bool {
        self.queue.is_none_or(|queue| queue == happened.queue)
            && self.job.is_none_or(|job| Some(job) == happened.job)
            && (self.kinds.is_empty() || self.kinds.contains(&happened.kind))
    }
}

/// The number of an event, by its name in any case.
fn kind(name: &str) -> Result<u8, Failure> {
    shapes::event_kind(name).ok_or_else(|| {
        let near = did_you_mean(&name.to_uppercase(), Event::KINDS.iter().map(|(_, word)| *word));
        Failure::new(exit::USAGE, format!("{name:?} is no event{near}"))
    })
}

fn row(happened: &Happened, wall: &Wall) -> Row {
    let name = shapes::event_name(happened.kind);
    let about = happened.job.map_or_else(|| happened.name.clone().unwrap_or_default(), |job| job.to_string());
    let quiet = format!("{} {name} {about}", happened.lsn);
    let cells = vec![happened.lsn.to_string(), wall.shown(happened.at), name, about, happened.queue.clone()];
    Row { cells, json: Value::Object(shapes::happened(happened)), quiet }
}
