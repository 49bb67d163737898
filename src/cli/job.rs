//! `falcon-cli job show`: all that the master keeps of one job. `job payload` and `job result`: its bytes.

use serde_json::{Map, Value, json};

use super::args::{Common, One, written};
use super::render::{self, Renderer, tell};
use super::when::{self, Wall};
use super::{Stop, connect, found, lookup};
use crate::client::{Client, ClientError};
use crate::codec::{self, Field};
use crate::ids::JobId;
use crate::job::{Awaited, Before, BeforeList, Ending, Standing, StoryText};
use crate::protocol::{Get, GetOk, List};
use crate::time::Timestamp;

/// Shows a job; exit status 3 if there is none of this name.
pub fn show(common: &Common, one: &One) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let answer = client.ask(Get { job: lookup::job(&client, one)? })?;
    let job = found(answer.read::<Get>())?;
    let mut facts = Facts { told: Vec::new(), json: Map::new(), wall: Wall::of(common) };
    job.show("job", &mut |name, value| facts.add(name, value));
    facts.more(&client, &job)?;
    facts.story(StoryText(job.story));
    if job.standing == Standing::Dead.code() && job.story.is_empty() {
        facts.put("text_lost", "its error and its history: there was no room for them".into());
    }
    Ok(tell(common.output, render::facts(&facts.told), Value::Object(facts.json), standing(job.standing))?)
}

/// Writes bytes of a job to stdout as they are.
pub fn text(
    common: &Common,
    one: &One,
    ask: impl Fn(&Client, JobId) -> Result<Vec<u8>, ClientError>,
) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let bytes = found(ask(&client, lookup::job(&client, one)?))?;
    let mut renderer = Renderer::new(common.output);
    renderer.raw(&bytes)?;
    Ok(renderer.flush()?)
}

/// The word for where a job stands.
pub fn standing(code: u8) -> String {
    Standing::from_code(code).map_or_else(|| later(code), |standing| standing.word().to_owned())
}

fn ending(code: u8) -> String {
    Ending::from_code(code).map_or_else(|| later(code), |ending| ending.word().to_owned())
}

/// A number that only the master's version has a word for.
pub fn later(code: u8) -> String {
    format!("{code} (this falcon-cli is older than the master)")
}

/// What is shown, in both ways.
struct Facts {
    told: Vec<(String, String)>,
    json: Map<String, Value>,
    wall: Wall,
}

impl Facts {
    fn add(&mut self, name: &str, value: codec::Value<'_>) {
        match (name, value) {
            // A backoff is told as it is written on the command line; an ending of 0 is that no attempt failed.
            (_, codec::Value::Moment(0) | codec::Value::Text("") | codec::Value::Bytes(_))
            | ("first_ms" | "most_ms" | "after", _)
            | ("ending", codec::Value::Number(0)) => {}
            ("standing", codec::Value::Number(code)) => self.put(name, standing(code as u8).into()),
            // That of how far it is.
            ("text", codec::Value::Text(text)) => self.put("progress", text.into()),
            ("ending", codec::Value::Number(code)) => self.put(name, ending(code as u8).into()),
            (_, codec::Value::Number(number)) => self.put(name, number.into()),
            (_, codec::Value::Flag(flag)) => self.put(name, flag.into()),
            (_, codec::Value::Moment(at)) => {
                self.told.push((name.to_owned(), self.wall.both(Timestamp(at))));
                self.json.insert(name.to_owned(), when::json(Timestamp(at)));
            }
            (_, codec::Value::Text(text)) => self.put(name, text.into()),
        }
    }

    fn put(&mut self, name: &str, value: Value) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.told.push((name.to_owned(), text));
        self.json.insert(name.to_owned(), value);
    }

    /// What is told in other words than the master's, or has to be asked for.
    fn more(&mut self, client: &Client, job: &GetOk<'_>) -> Result<(), Stop> {
        let more = job.more.unwrap_or_default();
        if let Some(backoff) = more.backoff {
            self.put("backoff", written(backoff).into());
        }
        if let Some(BeforeList(after)) = more.after {
            self.after(after);
        }
        if more.headers_bytes.is_none_or(|bytes| bytes == 0) {
            return Ok(());
        }
        let headers = found(client.headers(job.job))?;
        self.told.extend(headers.iter().map(|(name, value)| ("header".to_owned(), format!("{name}={value}"))));
        let headers: Map<String, Value> = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        self.json.insert("headers".to_owned(), headers.into());
        Ok(())
    }

    /// What it waits for, or has waited for.
    fn after(&mut self, after: List<'_, Before>) {
        let all: Vec<String> = after.iter().map(|before| before.to_string()).collect();
        self.told.push(("after".to_owned(), all.join(", ")));
        let told = |before: Before| match before.what() {
            Awaited::Job(job) => job.0.into(),
            Awaited::Batch(_) => before.to_string().into(),
        };
        self.json.insert("after".to_owned(), after.iter().map(told).collect::<Vec<Value>>().into());
    }

    /// The attempts that are remembered, oldest first, and why the last one ended.
    fn story(&mut self, story: StoryText<'_>) {
        let Ok(story) = story.read() else {
            return self.put("history", "told as only a later falcon-cli knows".into());
        };
        self.add("error", codec::Value::Text(story.error));
        for attempt in story.attempts.iter() {
            let (begun, took) = (self.wall.shown(attempt.begun_at), attempt.ended_at.since(attempt.begun_at));
            let text = format!("{begun} for {took} by {}: {}", attempt.worker, attempt.ending.word());
            self.told.push(("attempt".to_owned(), text));
        }
        let json = story.attempts.iter().map(|attempt| {
            json!({
                "begun_at": when::json(attempt.begun_at),
                "ended_at": when::json(attempt.ended_at),
                "worker": attempt.worker,
                "ending": attempt.ending.word(),
            })
        });
        self.json.insert("history".to_owned(), json.collect());
    }
}
