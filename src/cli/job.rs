//! `falcon-cli job show`: all that the master keeps of one job.

use serde_json::{Map, Value, json};

use super::args::Common;
use super::render::{shown, tell};
use super::{Stop, connect, found};
use crate::codec::{self, Field};
use crate::ids::JobId;
use crate::job::{Ending, Standing, StoryText};
use crate::protocol::Get;

/// Width of the column of names.
const NAME: usize = 15;

/// Shows a job; exit status 3 if there is none of this id.
pub fn show(common: &Common, id: u64) -> Result<(), Stop> {
    let answer = connect::client(common)?.ask(Get { job: JobId(id) })?;
    let job = found(answer.read::<Get>())?;
    let mut facts = Facts { lines: Vec::new(), json: Map::new() };
    job.show("job", &mut |name, value| facts.add(name, value));
    facts.story(StoryText(job.story));
    if job.standing == Standing::Dead.code() && job.story.is_empty() {
        facts.put("text_lost", "its error and its history: there was no room for them".into());
    }
    Ok(tell(common.output, facts.lines.join("\n"), Value::Object(facts.json), standing(job.standing))?)
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
    lines: Vec<String>,
    json: Map<String, Value>,
}

impl Facts {
    fn add(&mut self, name: &str, value: codec::Value<'_>) {
        match (name, value) {
            (_, codec::Value::Moment(0) | codec::Value::Text("") | codec::Value::Bytes(_)) => {}
            ("standing", codec::Value::Number(code)) => self.put(name, standing(code as u8).into()),
            // That of how far it is.
            ("text", codec::Value::Text(text)) => self.put("progress", text.into()),
            ("ending", codec::Value::Number(code)) => self.put(name, ending(code as u8).into()),
            (_, codec::Value::Number(number)) => self.put(name, number.into()),
            (_, codec::Value::Flag(flag)) => self.put(name, flag.into()),
            (_, codec::Value::Moment(at)) => self.put(&format!("{name}_ms"), at.into()),
            (_, codec::Value::Text(text)) => self.put(name, text.into()),
        }
    }

    fn put(&mut self, name: &str, value: Value) {
        let text = value.as_str().map_or_else(|| value.to_string(), |text| shown(text.as_bytes()));
        self.lines.push(format!("{:NAME$}  {text}", name.replace('_', " ")));
        self.json.insert(name.to_owned(), value);
    }

    /// The attempts that are remembered, oldest first, and why the last one ended.
    fn story(&mut self, story: StoryText<'_>) {
        let Ok(story) = story.read() else {
            return self.put("history", "told as only a later falcon-cli knows".into());
        };
        self.add("error", codec::Value::Text(story.error));
        for attempt in story.attempts.iter() {
            self.lines.push(format!(
                "{:NAME$}  {} to {} ms by {}: {}",
                "attempt",
                attempt.begun_at,
                attempt.ended_at,
                shown(attempt.worker.as_bytes()),
                attempt.ending.word(),
            ));
        }
        let json = story.attempts.iter().map(|attempt| {
            json!({
                "begun_at_ms": attempt.begun_at.0,
                "ended_at_ms": attempt.ended_at.0,
                "worker": attempt.worker,
                "ending": attempt.ending.word(),
            })
        });
        self.json.insert("history".to_owned(), json.collect());
    }
}
