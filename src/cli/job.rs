//! `falcon-cli job show`: all that the master keeps of one job. `job payload` and `job result`: its bytes.

use serde_json::Value;

use super::args::{Common, One};
use super::render::{self, Renderer, tell};
use super::when::Wall;
use super::{Stop, connect, found, lookup};
use crate::client::{Client, ClientError};
use crate::ids::JobId;
use crate::job::{BeforeList, StoryText};
use crate::protocol::{Get, GetOk};
use crate::shapes::{self, JobFact, standing};

/// Shows a job; exit status 3 if there is none of this name.
pub fn show(common: &Common, one: &One) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let answer = client.ask(Get { job: lookup::job(&client, one)? })?;
    let job = found(answer.read::<Get>())?;
    let has_headers = job.more.and_then(|more| more.headers_bytes).is_some_and(|bytes| bytes > 0);
    let headers = if has_headers { found(client.headers(job.job))? } else { Vec::new() };
    let facts = Facts::of(&job, &headers, Wall::of(common));
    let json = shapes::job(&job, &headers);
    Ok(tell(common.output, render::facts(&facts.told), json, standing(job.standing))?)
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

/// What is shown of a job, a name and a text each.
struct Facts {
    told: Vec<(String, String)>,
    wall: Wall,
}

impl Facts {
    fn of(job: &GetOk<'_>, headers: &[(String, String)], wall: Wall) -> Facts {
        let mut facts = Facts { told: Vec::new(), wall };
        for (name, fact) in shapes::facts(job) {
            let text = match fact {
                JobFact::Moment(at) => facts.wall.both(at),
                JobFact::Value(Value::String(text)) => text,
                JobFact::Value(value) => value.to_string(),
            };
            facts.put(&name, text);
        }
        if let Some(BeforeList(after)) = job.more.and_then(|more| more.after) {
            let all: Vec<String> = after.iter().map(|before| before.to_string()).collect();
            facts.put("after", all.join(", "));
        }
        for (name, value) in headers {
            facts.put("header", format!("{name}={value}"));
        }
        facts.story(StoryText(job.story));
        facts
    }

    fn put(&mut self, name: &str, text: String) {
        self.told.push((name.to_owned(), text));
    }

    /// The attempts that are remembered, oldest first, and why the last one ended.
    fn story(&mut self, story: StoryText<'_>) {
        let Ok(story) = story.read() else {
            return self.put("history", "told as only a later falcon-cli knows".to_owned());
        };
        if !story.error.is_empty() {
            self.put("error", story.error.to_owned());
        }
        for attempt in story.attempts.iter() {
            let (begun, took) = (self.wall.shown(attempt.begun_at), attempt.ended_at.since(attempt.begun_at));
            self.put("attempt", format!("{begun} for {took} by {}: {}", attempt.worker, attempt.ending.word()));
        }
    }
}
