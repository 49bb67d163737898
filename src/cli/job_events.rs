//! `falcon-cli job log`: what happened to one job, as far as the master's log still tells it.

use serde_json::{Map, Value};

use super::args::{Common, One};
use super::events::{COLUMNS, Fields};
use super::render::{Renderer, Row};
use super::when::Wall;
use super::{Stop, connect, found, lookup};
use crate::client::{LogEvent, Missing};
use crate::exit::{self, Failure};
use crate::ids::Lsn;
use crate::queue::Event;
use crate::shapes::{self, later};
use crate::time::{Millis, Timestamp};

/// Number of the event that every job begins with.
const ENQUEUE: u8 = 1;

/// Shows what happened to a job; exit status 3 if there never was one of this name.
pub fn run(common: &Common, one: &One, since: Option<Millis>) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let job = lookup::job(&client, one)?;
    let mut renderer = Renderer::of_table(common.output, &COLUMNS);
    let wall = Wall::of(common);
    let oldest = since.map_or(Timestamp(0), |since| wall.before(since));
    let mut gaps = Gaps::default();
    let mut from = Some(Lsn(0));
    while let Some(lsn) = from {
        let page = found(client.log(job, lsn))?;
        for event in &page.events {
            gaps.first.get_or_insert((event.lsn, event.kind));
            if event.at >= oldest {
                show(&mut renderer, event, &wall)?;
            }
        }
        gaps.missing.extend(page.missing);
        from = page.next;
    }
    renderer.flush()?;
    gaps.sentences(job.0, &wall).iter().for_each(|text| exit::say(&format!("falcon-cli: {text}")));
    Ok(())
}

fn show(renderer: &mut Renderer, logged: &LogEvent, wall: &Wall) -> Result<(), Stop> {
    let Shown { name, quiet, fields, json } = shown(logged, wall)?;
    let Fields { subject, details } = fields;
    let cells = vec![logged.lsn.to_string(), wall.shown(logged.at), name, subject, details];
    Ok(renderer.row(Row { cells, json: Value::Object(json), quiet })?)
}

/// What is told of an event, in all ways.
struct Shown {
    name: String,
    quiet: String,
    fields: Fields,
    json: Map<String, Value>,
}

fn shown(logged: &LogEvent, wall: &Wall) -> Result<Shown, Failure> {
    let LogEvent { lsn, kind, body, .. } = logged;
    let json = shapes::event(logged).map_err(|error| {
        let text = format!("what the master tells of record {lsn} is no event: {error}");
        Failure::new(exit::UNAVAILABLE, text)
    })?;
    let Ok(event) = Event::decode(*kind, body) else {
        // One of a later version.
        return Ok(Shown { name: later(*kind), quiet: kind.to_string(), fields: Fields::default(), json });
    };
    let name = event.name().to_owned();
    Ok(Shown { quiet: name.clone(), name, fields: Fields::of(&event, *lsn, wall), json })
}

/// What may be missing in what was shown.
#[derive(Default)]
struct Gaps {
    /// Number and kind of the first event.
    first: Option<(Lsn, u8)>,
    missing: Vec<Missing>,
}

impl Gaps {
    /// How far back the log reaches, if it does not reach back to the job's beginning; and whether records are missing
    /// behind that.
    fn sentences(&self, id: u64, wall: &Wall) -> Vec<String> {
        let begins = self.first.is_some_and(|(_, kind)| kind == ENQUEUE);
        let since = self.first.map_or(Lsn(u64::MAX), |(lsn, _)| lsn);
        let (before, behind): (Vec<Missing>, Vec<Missing>) = self.missing.iter().partition(|run| run.last < since);
        let reach = before.last().filter(|_| !begins).map(|run| {
            format!(
                "the log reaches back to record {}, of {}; what happened to job {id} before is not in it",
                run.last.next(),
                wall.shown(run.next_at)
            )
        });
        let gone = behind.first().zip(behind.last()).map(|(first, last)| {
            let count: u64 = behind.iter().map(|run| run.last.0 - run.first.0 + 1).sum();
            format!(
                "of the records {} to {} {count} were given up; events of job {id} may have been among them",
                first.first, last.last
            )
        });
        reach.into_iter().chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, LeaseId};
    use crate::queue::events::Ack;

    fn missing(first: u64, last: u64) -> Missing {
        Missing { first: Lsn(first), last: Lsn(last), next_at: Timestamp(1000) }
    }

    fn logged(kind: u8, body: &[u8]) -> LogEvent {
        LogEvent { lsn: Lsn(9), at: Timestamp(1000), kind, body: body.to_owned() }
    }

    #[test]
    fn an_event_of_a_later_version_is_told_by_its_number() {
        let known = shown(&logged(200, b"whatever"), &Wall::utc()).unwrap();
        assert_eq!((known.name.split(' ').next(), known.quiet.as_str()), (Some("200"), "200"));
        assert_eq!((&known.json["event"], &known.json["kind"]), (&Value::Null, &200.into()));
        assert!(shown(&logged(3, b"cut off"), &Wall::utc()).is_err(), "this is no event of any version");
        let mut body = Vec::new();
        Event::from(Ack { job: JobId(7), lease: LeaseId(8), ..Ack::default() }).encode_head(&mut body);
        let ack = shown(&logged(3, &body), &Wall::utc()).unwrap();
        assert_eq!((ack.quiet.as_str(), ack.fields.subject.as_str()), ("ACK", "job=7"));
    }

    #[test]
    fn what_may_be_missing_is_said_and_no_more() {
        let told = |first, runs: &[(u64, u64)]| {
            let missing = runs.iter().map(|(first, last)| missing(*first, *last)).collect();
            Gaps { first, missing }.sentences(7, &Wall::utc())
        };
        assert_eq!(told(Some((Lsn(5), ENQUEUE)), &[]), [""; 0]);
        assert_eq!(told(Some((Lsn(5), ENQUEUE)), &[(1, 4)]), [""; 0], "the job began behind them");
        let back = |lsn| {
            let date = "1970-01-01 00:00:01Z";
            format!("the log reaches back to record {lsn}, of {date}; what happened to job 7 before is not in it")
        };
        assert_eq!(told(None, &[(1, 4), (6, 8)]), [back(9)]);
        assert_eq!(told(Some((Lsn(7), 2)), &[(1, 4)]), [back(5)]);
        let gone = "of the records 10 to 29 12 were given up; events of job 7 may have been among them";
        assert_eq!(told(Some((Lsn(5), ENQUEUE)), &[(1, 4), (10, 19), (28, 29)]), [gone]);
        assert_eq!(told(Some((Lsn(5), 2)), &[(1, 4), (10, 19), (28, 29)]), [back(5), gone.to_owned()]);
    }
}
