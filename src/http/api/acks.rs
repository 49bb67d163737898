//! Jobs are done, and others follow from them: an ack and what follows from it are one step of the master, or nothing.
//!
//! All of a request is read before any of it is reported. After that each item has an outcome of its own.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::submit::with_jobs;
use crate::client::{Client, ClientError, FollowUps, Pending, Submitted};
use crate::http::App;
use crate::http::gate::Work;
use crate::http::given::{Json, read_json};
use crate::http::problem::Problem;
use crate::ids::{JobId, LeaseId};
use crate::limits::ITEMS_MAX;
use crate::protocol::{AckItem, ErrorCode, Get, Refusal};
use crate::shapes::{self, Entry};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ack<'a> {
    job: NonZeroU64,
    lease: NonZeroU64,
    #[serde(default)]
    result: String,
    /// Jobs that follow from it.
    #[serde(default, borrow)]
    then: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acks<'a> {
    #[serde(borrow)]
    items: Vec<Ack<'a>>,
}

impl Ack<'_> {
    fn job(&self) -> JobId {
        JobId(self.job.get())
    }

    fn item(&self) -> AckItem<'_> {
        let lease = LeaseId(self.lease.get());
        AckItem { job: self.job(), lease, result: self.result.as_bytes(), ..AckItem::default() }
    }

    /// What follows from it, in its own queue where that is not named.
    fn follow_ups(&self, own_queue: &str) -> Result<FollowUps, Problem> {
        with_jobs(&self.then, own_queue, None, FollowUps::of).map_err(|error| {
            let problem = Problem::from(error);
            Problem { detail: format!("what follows from job {}: {}", self.job, problem.detail), ..problem }
        })
    }
}

pub async fn ack(_: Work, State(app): State<Arc<App>>, Json(bytes): Json) -> Result<Answer<Value>, Problem> {
    let told = app.way.ask(move |client| {
        let given: Acks<'_> = read_json(&bytes)?;
        report(client, &given.items)
    });
    Ok(Answer(json!({"items": told.await?})))
}

/// How an ack goes to the master.
enum Going {
    /// With all others from which nothing follows.
    Together,
    /// By itself.
    With(FollowUps),
    /// Not at all.
    Not(Problem),
}

/// Those from which nothing follows go first and in one request: if that is refused, nothing was carried out. The
/// others are under way all at once, so that they share the syncs of the log.
fn report(client: &Client, acks: &[Ack<'_>]) -> Result<Vec<Value>, Problem> {
    if acks.len() > ITEMS_MAX {
        return Err(Problem::bad(format!("{} items; send up to {ITEMS_MAX} at once", acks.len())));
    }
    let goings = goings(client, acks)?;
    let together = acks.iter().zip(&goings).filter(|(_, going)| matches!(going, Going::Together));
    let together: Vec<AckItem<'_>> = together.map(|(ack, _)| ack.item()).collect();
    let has_none = together.is_empty() && !acks.is_empty();
    let mut statuses = if has_none { Vec::new() } else { client.ack(&together)? }.into_iter();
    let begun = acks.iter().zip(goings).map(|(ack, going)| match going {
        Going::Together => Ok(None),
        Going::With(then) => match client.ack_then_begin(ack.item(), &then) {
            Ok(pending) => Ok(Some((pending, then))),
            Err(error) => Err(Problem::from(error)),
        },
        Going::Not(problem) => Err(problem),
    });
    let begun: Vec<_> = begun.collect();
    let told = acks.iter().zip(begun).map(|(ack, begun)| match begun {
        Ok(None) => statuses.next().map(|status| shapes::mended(&status)).unwrap_or_default(),
        Ok(Some((pending, then))) => match pending.wait() {
            Ok(taken) => done(ack, &then, &taken),
            Err(error) => not_done(ack, &Problem::from(error)),
        },
        Err(problem) => not_done(ack, &problem),
    });
    Ok(told.collect())
}

fn goings(client: &Client, acks: &[Ack<'_>]) -> Result<Vec<Going>, Problem> {
    let asks_queue = |ack: &Ack<'_>| ack.then.iter().any(|entry| entry.queue.is_none());
    let ask = |ack: &Ack<'_>| client.begin(Get { job: ack.job() }, Duration::ZERO);
    let asked = acks.iter().map(|ack| asks_queue(ack).then(|| ask(ack)).transpose());
    let asked: Vec<Option<Pending>> = asked.collect::<Result<_, ClientError>>()?;
    let goings = acks.iter().zip(asked).map(|(ack, asked)| {
        if ack.then.is_empty() {
            return Ok(Going::Together);
        }
        match asked.map(own_queue).transpose() {
            Ok(queue) => ack.follow_ups(&queue.unwrap_or_default()).map(Going::With),
            // Whoever sends a report again that was carried out hears the same as where nothing follows.
            Err(ClientError::Refused(Refusal { code: ErrorCode::NotFound, .. })) => {
                let text = "there is no such job any more: its lease ended with it";
                Ok(Going::Not(Problem::from(Refusal::new(ErrorCode::LeaseLost, text))))
            }
            Err(error) => Err(Problem::from(error)),
        }
    });
    goings.collect()
}

fn own_queue(asked: Pending) -> Result<String, ClientError> {
    let answer = asked.wait()?;
    Ok(answer.read::<Get>()?.queue.to_owned())
}

fn done(ack: &Ack<'_>, then: &FollowUps, taken: &[Submitted]) -> Value {
    let jobs = then.jobs();
    let told = jobs.iter().zip(taken).map(|(job, taken)| shapes::submitted(&job, taken));
    json!({"job": ack.job, "done": true, "then": told.collect::<Vec<_>>()})
}

/// What follows can be refused for many reasons, so there is a sentence for a person.
fn not_done(ack: &Ack<'_>, problem: &Problem) -> Value {
    json!({
        "job": ack.job,
        "done": false,
        "refused": problem.name,
        "detail": problem.detail,
        "retry": problem.may_retry(),
    })
}
