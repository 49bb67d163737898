//! Jobs: a row of a list, and all that is known of one.

use serde_json::{Map, Value, json};

use super::moment;
use super::values::written;
use crate::client::{Change, ErrorKind, ItemStatus, JobEnd, ListedJob, SubmitJob, Submitted, Updated};
use crate::codec::{self, Field};
use crate::job::{Awaited, Before, BeforeList, Ending, Standing, StoryText};
use crate::protocol::GetOk;
use crate::time::Timestamp;

/// What is not there is left out, but for the key.
pub fn listed(job: &ListedJob) -> Value {
    let mut json = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| json.insert(name.to_owned(), value));
    put("job", Some(job.job.0.into()));
    put("queue", Some(job.queue.as_str().into()));
    put("key", Some(if job.key.is_empty() { Value::Null } else { job.key.as_str().into() }));
    put("group", job.group.as_deref().map(Value::from));
    put("standing", Some(standing(job.standing).into()));
    put("priority", Some(job.priority.into()));
    put("attempts", Some(job.attempts.into()));
    put("max_attempts", Some(job.max_attempts.into()));
    put("submitted_at", Some(moment(job.submitted_at)));
    put("due_at", job.due_at.map(moment));
    put("ended_at", job.ended_at.map(moment));
    put("error", job.error.as_deref().map(Value::from));
    put("error_kind", job.error_kind.map(|kind| kind_text(kind).into()));
    put("worker", job.worker.as_deref().map(Value::from));
    put("begun_at", job.begun_at.map(moment));
    put("percent", job.percent.map(Value::from));
    put("progress", job.progress.as_deref().map(Value::from));
    Value::Object(json)
}

/// A kind of errors as it is written on the command line.
pub fn kind_text(kind: u64) -> String {
    format!("{kind:016x}")
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
    format!("{code} (of a later master)")
}

/// What is told of a job in one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFact {
    Moment(Timestamp),
    Value(Value),
}

/// What is known of a job, but for what it waits for, its headers and its story.
pub fn facts(job: &GetOk<'_>) -> Vec<(String, JobFact)> {
    let mut facts = Vec::new();
    job.show("job", &mut |name, value| facts.extend(fact(name, value).map(|(name, fact)| (name.to_owned(), fact))));
    let backoff = job.more.and_then(|more| more.backoff);
    facts.extend(backoff.map(|backoff| ("backoff".to_owned(), JobFact::Value(written(backoff).into()))));
    if job.standing == Standing::Dead.code() && job.story.is_empty() {
        let text = "its error and its history: there was no room for them";
        facts.push(("text_lost".to_owned(), JobFact::Value(text.into())));
    }
    facts
}

fn fact<'n>(name: &'n str, value: codec::Value<'_>) -> Option<(&'n str, JobFact)> {
    let of = |value: Value| Some((name, JobFact::Value(value)));
    match (name, value) {
        // A backoff is told as it is written on the command line; an ending of 0 is that no attempt failed.
        (_, codec::Value::Moment(0) | codec::Value::Text("") | codec::Value::Bytes(_))
        | ("first_ms" | "most_ms" | "after", _)
        | ("ending", codec::Value::Number(0)) => None,
        ("standing", codec::Value::Number(code)) => of(standing(code as u8).into()),
        // That of how far it is.
        ("text", codec::Value::Text(text)) => Some(("progress", JobFact::Value(text.into()))),
        ("ending", codec::Value::Number(code)) => of(ending(code as u8).into()),
        (_, codec::Value::Number(number)) => of(number.into()),
        (_, codec::Value::Flag(flag)) => of(flag.into()),
        (_, codec::Value::Moment(at)) => Some((name, JobFact::Moment(Timestamp(at)))),
        (_, codec::Value::Text(text)) => of(text.into()),
    }
}

/// All that is known of a job.
pub fn job(job: &GetOk<'_>, headers: &[(String, String)]) -> Value {
    let told = |(name, fact)| {
        let value = match fact {
            JobFact::Moment(at) => moment(at),
            JobFact::Value(value) => value,
        };
        (name, value)
    };
    let mut json: Map<String, Value> = facts(job).into_iter().map(told).collect();
    if let Some(BeforeList(after)) = job.more.and_then(|more| more.after) {
        json.insert("after".to_owned(), after.iter().map(before).collect::<Vec<Value>>().into());
    }
    if !headers.is_empty() {
        let all: Map<String, Value> =
            headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json.insert("headers".to_owned(), all.into());
    }
    story(&mut json, StoryText(job.story));
    Value::Object(json)
}

fn before(before: Before) -> Value {
    match before.what() {
        Awaited::Job(job) => job.0.into(),
        Awaited::Batch(_) => before.to_string().into(),
    }
}

/// The attempts that are remembered, oldest first, and why the last one ended.
fn story(json: &mut Map<String, Value>, story: StoryText<'_>) {
    let Ok(story) = story.read() else {
        json.insert("history".to_owned(), "told as only a later version knows".into());
        return;
    };
    if !story.error.is_empty() {
        json.insert("error".to_owned(), story.error.into());
    }
    let attempts = story.attempts.iter().map(|attempt| {
        json!({
            "begun_at": moment(attempt.begun_at),
            "ended_at": moment(attempt.ended_at),
            "worker": attempt.worker,
            "ending": attempt.ending.word(),
        })
    });
    json.insert("history".to_owned(), attempts.collect());
}

/// A kind of errors, and how many jobs have one of it.
pub fn error_kind(kind: &ErrorKind) -> Value {
    let ErrorKind { kind, count, job, error, first_at, last_at } = kind;
    json!({
        "count": count,
        "error_kind": kind_text(*kind),
        "job": job.0,
        "error": error,
        "first_at": first_at.map(moment),
        "last_at": last_at.map(moment),
    })
}

/// What became of a job that was submitted.
pub fn submitted(job: &SubmitJob<'_>, outcome: &Submitted) -> Value {
    let key = if job.key.is_empty() { Value::Null } else { job.key.into() };
    let mut json = json!({"job": outcome.job.0, "queue": job.queue, "key": key, "duplicate": outcome.duplicate});
    if outcome.replaced {
        json["replaced"] = true.into();
    }
    if let Some(holder) = &outcome.holder {
        json["holder"] = json!({
            "queue": holder.queue,
            "standing": standing(holder.standing),
            "payload_differs": holder.payload_differs,
            "queue_differs": holder.queue_differs,
        });
    }
    json
}

/// How a job ended, or where it stands, in a word.
pub fn end_word(code: u8) -> String {
    match code {
        JobEnd::GONE => "gone".to_owned(),
        JobEnd::NEVER_WAS => "never-was".to_owned(),
        code => standing(code),
    }
}

/// What became of a change of a job that was named.
pub fn mended(status: &ItemStatus) -> Value {
    match status.refused() {
        None => json!({"job": status.job.0, "done": true}),
        Some(code) => json!({"job": status.job.0, "done": false, "refused": format!("{code:?}")}),
    }
}

/// Where jobs stand to which a change can be done: filters that say nothing of that mean these.
pub fn changeable(change: Change, update: Updated) -> &'static [Standing] {
    use Standing::{Cancelled, Completed, Dead, Delayed, Expired, InFlight, Pending, Waiting};
    match change {
        Change::Requeue => &[Dead],
        Change::Cancel | Change::CancelNow => &[Pending, Delayed, Waiting, InFlight, Dead],
        Change::Purge => &[Pending, Delayed, Waiting, Dead, Completed, Cancelled, Expired],
        // The delay of one that waits for others counts from their end, and those that a worker has wait no more.
        Change::Update if update.delay_ms.is_some() => &[Pending, Delayed],
        Change::Update if update.ttl_ms.is_some() => &[Pending, Delayed, Waiting],
        Change::Update => &[Pending, Delayed, Waiting, InFlight],
    }
}

/// A bit for each of them, as a filter has it; nothing for none.
pub fn bits(states: &[Standing]) -> Option<u8> {
    let bits = states.iter().fold(0, |bits, standing| bits | 1 << standing.code());
    (bits != 0).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_bits() {
        assert_eq!(bits(&[]), None);
        assert_eq!(bits(&[Standing::Pending, Standing::Dead, Standing::Dead]), Some(0b1001));
    }
}
