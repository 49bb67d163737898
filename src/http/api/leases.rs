//! Workers over HTTP: jobs are polled, and reported on under their leases, which are bound to no connection.
//!
//! A poll whose caller hangs up is ended at once; jobs that were handed to it by then are given back uncounted.

use std::num::NonZeroU64;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::filters::span;
use super::jobs::wait_span;
use crate::client::{Client, Job, Poll};
use crate::http::App;
use crate::http::gate::Work;
use crate::http::given::Body;
use crate::http::problem::Problem;
use crate::http::way::Abandoned;
use crate::ids::{JobId, LeaseId};
use crate::limits::{HTTP_RESULTS_BYTES_MAX, HTTP_RESULTS_MAX};
use crate::protocol::{FailItem, HeldLease, LeaseStatus, ReleaseItem, Stage};
use crate::shapes::values::delay;
use crate::shapes::{self, put_bytes};
use crate::time::Millis;

type Told = Result<Json<Value>, Problem>;

/// What a worker is called that gives no name.
const NAME_DEFAULT: &str = "http";

/// How long a poll waits, and how long its leases are, if it does not say so.
const WAIT_DEFAULT: Millis = Millis(30_000);
const LEASE_DEFAULT: Millis = Millis(60_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    queues: Vec<String>,
    #[serde(default)]
    worker: Option<String>,
    /// Most jobs.
    #[serde(default)]
    max: Option<u16>,
    #[serde(default)]
    wait: Option<String>,
    #[serde(default)]
    lease: Option<String>,
}

pub async fn poll(_: Work, State(app): State<Arc<App>>, Body(ask): Body<Ask>) -> Told {
    let Ask { queues, worker, max, wait, lease } = ask;
    let wait = read("wait", wait, wait_span)?.unwrap_or(WAIT_DEFAULT);
    let lease = read("lease", lease, span)?.unwrap_or(LEASE_DEFAULT);
    let name = worker.unwrap_or_else(|| NAME_DEFAULT.to_owned());
    let jobs = app.way.wait_alone(&name, move |client, abandoned| {
        let queues: Vec<&str> = queues.iter().map(String::as_str).collect();
        let poll = Poll::of(&queues).with_free(max.unwrap_or(1)).with_wait(wait.into()).with_lease(lease.into());
        take(client, &poll, abandoned)
    });
    Ok(Json(json!({"jobs": jobs.await?})))
}

/// Polls; what is handed to somebody who has left is given back, and so is what cannot be told.
fn take(client: &Client, poll: &Poll<'_>, abandoned: &Abandoned) -> Result<Vec<Value>, Problem> {
    let jobs = client.poll(poll)?;
    let mut room = ResultsRoom::default();
    let told: Result<Vec<Value>, Problem> = jobs.iter().map(|job| delivered(job, &mut room)).collect();
    let is_abandoned = abandoned.is_so();
    if (is_abandoned || told.is_err()) && !jobs.is_empty() {
        let items: Vec<ReleaseItem> = jobs.iter().map(Job::given_back).collect();
        client.release(&items)?;
    }
    if is_abandoned { Ok(Vec::new()) } else { told }
}

/// What one answer may still tell of the results of earlier jobs.
struct ResultsRoom {
    count: usize,
    bytes: usize,
}

impl Default for ResultsRoom {
    fn default() -> Self {
        ResultsRoom { count: HTTP_RESULTS_MAX, bytes: HTTP_RESULTS_BYTES_MAX }
    }
}

impl ResultsRoom {
    /// The results of the jobs that it waited for. A worker finds those that do not fit by themselves.
    fn tell(&mut self, job: &Job) -> Result<Value, Problem> {
        job.awaited_jobs().map(|earlier| self.tell_one(job, earlier)).collect()
    }

    fn tell_one(&mut self, job: &Job, earlier: JobId) -> Result<Value, Problem> {
        let mut told = Map::new();
        told.insert("job".to_owned(), earlier.0.into());
        if self.count == 0 || self.bytes == 0 {
            told.insert("left_out".to_owned(), true.into());
            return Ok(told.into());
        }
        let result = job.result_of(earlier)?.result;
        self.count -= 1;
        self.bytes = self.bytes.saturating_sub(result.as_ref().map_or(0, Vec::len));
        match result {
            None => drop(told.insert("result".to_owned(), Value::Null)),
            Some(bytes) => put_bytes(&mut told, "result", &bytes),
        }
        Ok(told.into())
    }
}

fn delivered(job: &Job, room: &mut ResultsRoom) -> Result<Value, Problem> {
    let mut told = Map::new();
    told.insert("job".to_owned(), job.id.0.into());
    told.insert("lease".to_owned(), job.lease.0.into());
    told.insert("queue".to_owned(), job.queue.as_str().into());
    for (name, text) in [("key", &job.key), ("group", &job.group)] {
        if !text.is_empty() {
            told.insert(name.to_owned(), text.as_str().into());
        }
    }
    told.insert("attempt".to_owned(), job.attempt.into());
    told.insert("max_attempts".to_owned(), job.max_attempts.into());
    told.insert("priority".to_owned(), job.priority.into());
    told.insert("lease_ms".to_owned(), (job.lease_length.as_millis() as u64).into());
    if let Some(timeout) = job.timeout {
        told.insert("timeout_ms".to_owned(), (timeout.as_millis() as u64).into());
    }
    let headers: Map<String, Value> =
        job.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    told.insert("headers".to_owned(), headers.into());
    if job.wants_results() {
        told.insert("results".to_owned(), room.tell(job)?);
    }
    put_bytes(&mut told, "payload", &job.payload);
    Ok(Value::Object(told))
}

fn read<T>(name: &str, text: Option<String>, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
    let wrong = |why: String| Problem::bad(format!("{name}: {why}"));
    text.as_deref().map(read).transpose().map_err(wrong)
}

/// One report of an attempt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    job: NonZeroU64,
    lease: NonZeroU64,
    /// Of a fail.
    #[serde(default)]
    error: String,
    /// Of a fail: further attempts are pointless.
    #[serde(default)]
    for_good: bool,
    /// Of a fail: when it is tried again.
    #[serde(default)]
    retry_in: Option<String>,
    /// Of a release: when it may be handed out again.
    #[serde(default)]
    delay: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reports {
    items: Vec<Report>,
}

pub async fn fail(_: Work, State(app): State<Arc<App>>, Body(given): Body<Reports>) -> Told {
    let spans = given.items.iter().map(|report| read("retry_in", report.retry_in.clone(), delay));
    let spans: Vec<Option<Millis>> = spans.collect::<Result<_, _>>()?;
    let statuses = app.way.ask(move |client| {
        let items = given.items.iter().zip(&spans).map(|(report, span)| FailItem {
            job: JobId(report.job.get()),
            lease: LeaseId(report.lease.get()),
            for_good: report.for_good,
            error: &report.error,
            retry_in_ms: span.map(|span| span.0),
            ..FailItem::default()
        });
        Ok(client.fail(&items.collect::<Vec<_>>())?)
    });
    Ok(Json(json!({"items": statuses.await?.iter().map(shapes::mended).collect::<Vec<_>>()})))
}

pub async fn release(_: Work, State(app): State<Arc<App>>, Body(given): Body<Reports>) -> Told {
    let items = given.items.into_iter().map(|report| {
        let delay_ms = read("delay", report.delay, delay)?.map_or(0, |span| span.0);
        Ok(ReleaseItem { job: JobId(report.job.get()), lease: LeaseId(report.lease.get()), delay_ms })
    });
    let items: Vec<ReleaseItem> = items.collect::<Result<_, Problem>>()?;
    let statuses = app.way.ask(move |client| Ok(client.release(&items)?)).await?;
    Ok(Json(json!({"items": statuses.iter().map(shapes::mended).collect::<Vec<_>>()})))
}

/// A lease that is needed on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    job: NonZeroU64,
    lease: NonZeroU64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    leases: Vec<Held>,
}

/// Extends leases by their length, and tells which jobs are to be stopped.
pub async fn heartbeat(_: Work, State(app): State<Arc<App>>, Body(given): Body<Beat>) -> Told {
    let held =
        |Held { job, lease }| HeldLease { job: JobId(job.get()), lease: LeaseId(lease.get()), stage: Stage::Begun };
    let leases: Vec<HeldLease> = given.leases.into_iter().map(held).collect();
    let statuses = app.way.ask(move |client| Ok(client.heartbeat(&leases)?)).await?;
    let told = |status: &LeaseStatus| {
        let want = match status.want {
            LeaseStatus::GO_ON => "go-on",
            LeaseStatus::CANCELLED => "cancelled",
            _ => "stop",
        };
        json!({"job": status.job.0, "want": want, "remaining_ms": status.remaining_ms})
    };
    Ok(Json(json!({"leases": statuses.iter().map(told).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HowFar {
    job: NonZeroU64,
    lease: NonZeroU64,
    percent: u8,
    #[serde(default)]
    text: String,
}

pub async fn progress(_: Work, State(app): State<Arc<App>>, Body(given): Body<HowFar>) -> Told {
    let HowFar { job, lease, percent, text } = given;
    app.way.ask(move |client| Ok(client.progress(JobId(job.get()), LeaseId(lease.get()), percent, &text)?)).await?;
    Ok(Json(json!({"job": job, "percent": percent})))
}
