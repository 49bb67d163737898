//! `falcon-cli wal dump`: every record, oldest first. It reads the files alone, so it works on a live or a stopped
//! master's directory.

use std::time::Duration;

use serde_json::{Map, Value};

use super::dir;
use crate::cli::Stop;
use crate::cli::args::{Common, Dump};
use crate::cli::events::{COLUMNS as EVENT_COLUMNS, Fields};
use crate::cli::render::{Renderer, Row};
use crate::cli::when::Wall;
use crate::exit;
use crate::ids::Lsn;
use crate::queue::Event;
use crate::rebuilt::event_of;
use crate::shapes::{moment, put_event};
use crate::time::Timestamp;
use crate::wal::{DirDevice, Follower, Record, RecordHead, visit_all};

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub fn run(common: &Common, args: &Dump) -> Result<(), Stop> {
    let (device, firsts) = dir::open(&args.dir)?;
    let wall = Wall::of(common);
    let oldest = args.since.map_or(Timestamp(0), |since| wall.before(since));
    let renderer = Renderer::of_table(common.output, &EVENT_COLUMNS);
    let mut dumping = Dumping { args, renderer, wall, oldest, left: args.limit, told_of_dead: false };
    let outcome = if args.follow {
        follow(&device, &mut dumping)
    } else {
        let from = Lsn(args.from.max(1));
        visit_all(&device, from, |record| dumping.record(record)).map(|visited| {
            let before = firsts.first().filter(|first| **first > from).map(|first| (from, Lsn(first.0 - 1)));
            before.into_iter().chain(visited.given_up).for_each(|run| dumping.tell_given_up(run));
            if let Some(note) = visited.note {
                exit::say(&format!(
                    "falcon-cli: {note}; if a master is writing this log now, that is its newest record"
                ));
            }
        })
    };
    dumping.renderer.flush()?;
    outcome
}

/// Goes on as records are appended.
fn follow(device: &DirDevice, dumping: &mut Dumping<'_>) -> Result<(), Stop> {
    let mut follower = Follower::new(device, Lsn(dumping.args.from.max(1)));
    loop {
        let given_up = follower.proceed(|record| dumping.record(record))?;
        for run in given_up {
            dumping.tell_given_up(run);
        }
        dumping.renderer.flush()?;
        if dumping.renderer.is_closed_within(LOOK_EVERY)? {
            return Err(Stop::OutputClosed);
        }
    }
}

struct Dumping<'a> {
    args: &'a Dump,
    renderer: Renderer,
    wall: Wall,
    /// Records before this moment are passed over.
    oldest: Timestamp,
    /// How many records may still be written.
    left: Option<u64>,
    /// Whether it was said where jobs are told whose DEAD was given up.
    told_of_dead: bool,
}

impl Dumping<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Stop> {
        let head = &record.head;
        let event = event_of(record)?;
        let Dump { jobs, events, .. } = self.args;
        let of_job = jobs.is_empty() || event.job().is_some_and(|job| jobs.contains(&job.0));
        let of_event = events.is_empty() || events.iter().any(|name| name.eq_ignore_ascii_case(event.name()));
        if !of_job || !of_event || head.at < self.oldest {
            return Ok(());
        }
        if self.left != Some(0) {
            write(&mut self.renderer, head, &event, &self.wall)?;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.left == Some(0) { Err(Stop::Enough) } else { Ok(()) }
    }

    fn tell_given_up(&mut self, (first, last): (Lsn, Lsn)) {
        exit::say(&format!("falcon-cli: records {first} to {last} were given up, nothing in them was needed"));
        let wants_dead = self.args.events.iter().any(|name| name.eq_ignore_ascii_case("dead"));
        // Whoever looks for dead jobs here must not take those for gone whose DEAD is.
        if wants_dead && !std::mem::replace(&mut self.told_of_dead, true) {
            exit::say(
                "falcon-cli: jobs that died in them and are still dead are told, with their errors, by \
                 falcon-cli job list --state dead",
            );
        }
    }
}

fn write(renderer: &mut Renderer, head: &RecordHead, event: &Event<'_>, wall: &Wall) -> Result<(), Stop> {
    let mut json = Map::new();
    json.insert("lsn".to_owned(), head.lsn.0.into());
    json.insert("term".to_owned(), head.term.into());
    json.insert("at".to_owned(), moment(head.at));
    json.insert("event".to_owned(), event.name().into());
    put_event(&mut json, event, head.lsn);
    let fields = Fields::of(event, head.lsn, wall);
    let cells =
        vec![head.lsn.to_string(), wall.shown(head.at), event.name().to_owned(), fields.subject, fields.details];
    let quiet = head.lsn.to_string();
    Ok(renderer.row(Row { cells, json: Value::Object(json), quiet })?)
}
