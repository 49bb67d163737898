//! Jobs are looked at: lists, counts, one of them, its bytes, its log, its end.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::filters::{Filters, span};
use crate::client::{Client, ClientError};
use crate::http::App;
use crate::http::gate::Read;
use crate::http::given::{Body, Path};
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::ids::{JobId, Lsn};
use crate::limits::{ITEMS_MAX, WAIT_MS_MAX};
use crate::protocol::{Get, JobEnd, List, Wait};
use crate::shapes::{self, values};
use crate::time::Millis;

type Told = Result<Json<Value>, Problem>;

/// Jobs of a page that says nothing of it.
const PAGE: u16 = 100;

/// How long a wait is that says nothing of it.
const WAIT_DEFAULT: Millis = Millis(30_000);

pub async fn list(_: Read, State(app): State<Arc<App>>, mut pairs: Pairs) -> Told {
    let filters = Filters::take(&mut pairs)?;
    let limit = pairs.read("limit", limit)?.unwrap_or(PAGE);
    let from = pairs.read("from", values::number)?.map(JobId);
    let newest_first = pairs.read("order", order)?.unwrap_or(true);
    pairs.end()?;
    let page = app.way.wait(move |client| Ok(client.list(filters.as_filter(), from, newest_first, limit)?)).await?;
    let jobs: Vec<Value> = page.jobs.iter().map(shapes::listed).collect();
    Ok(Json(json!({"jobs": jobs, "next": page.next.map(|next| next.0)})))
}

fn limit(text: &str) -> Result<u16, String> {
    let limit: u16 = values::number(text)?;
    if (1..=ITEMS_MAX).contains(&usize::from(limit)) { Ok(limit) } else { Err(format!("it takes 1 to {ITEMS_MAX}")) }
}

fn order(text: &str) -> Result<bool, String> {
    match text {
        "newest" => Ok(true),
        "oldest" => Ok(false),
        _ => Err("it takes newest or oldest".to_owned()),
    }
}

/// How many jobs are meant, a page; by their errors with `by=error`.
pub async fn count(_: Read, State(app): State<Arc<App>>, mut pairs: Pairs) -> Told {
    let filters = Filters::take(&mut pairs)?;
    let from = pairs.read("from", values::number)?.map(JobId);
    let by_error = pairs.read("by", by)?.unwrap_or(false);
    pairs.end()?;
    let page = app.way.wait(move |client| Ok(client.count(filters.as_filter(), from, by_error)?)).await?;
    let next = page.next.map(|next| next.0);
    let errors: Vec<Value> = page.errors.iter().map(shapes::error_kind).collect();
    Ok(Json(json!({"count": page.count, "errors": errors, "next": next})))
}

fn by(text: &str) -> Result<bool, String> {
    if text == "error" { Ok(true) } else { Err("it takes error".to_owned()) }
}

pub async fn show(_: Read, State(app): State<Arc<App>>, Path(job): Path<u64>) -> Told {
    app.way.ask(move |client| whole(client, JobId(job))).await.map(Json)
}

/// The job that holds a key.
pub async fn by_key(_: Read, State(app): State<Arc<App>>, Path(key): Path<String>) -> Told {
    app.way.ask(move |client| whole(client, client.find(&key)?)).await.map(Json)
}

fn whole(client: &Client, id: JobId) -> Result<Value, Problem> {
    let answer = client.ask(Get { job: id })?;
    let job = answer.read::<Get>()?;
    let has_headers = job.more.and_then(|more| more.headers_bytes).is_some_and(|bytes| bytes > 0);
    let headers = if has_headers { client.headers(id)? } else { Vec::new() };
    Ok(shapes::job(&job, &headers))
}

pub async fn payload(_: Read, State(app): State<Arc<App>>, Path(job): Path<u64>) -> Result<Response, Problem> {
    bytes(&app, move |client| client.payload(JobId(job))).await
}

pub async fn result(_: Read, State(app): State<Arc<App>>, Path(job): Path<u64>) -> Result<Response, Problem> {
    bytes(&app, move |client| client.result(JobId(job))).await
}

/// Bytes of a job, as they are: to be kept in a file, and never shown by a browser as what they look like.
async fn bytes(
    app: &App,
    ask: impl FnOnce(&Client) -> Result<Vec<u8>, ClientError> + Send + 'static,
) -> Result<Response, Problem> {
    let bytes = app.way.ask(move |client| Ok(ask(client)?)).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CONTENT_DISPOSITION, "attachment"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, bytes).into_response())
}

/// What happened to a job, a page.
pub async fn log(_: Read, State(app): State<Arc<App>>, Path(job): Path<u64>, mut pairs: Pairs) -> Told {
    let from = pairs.read("from", values::number)?.unwrap_or(0);
    pairs.end()?;
    let page = app.way.wait(move |client| Ok(client.log(JobId(job), Lsn(from))?)).await?;
    let unreadable = |error| Problem::broken(&format!("what the master tells is no event: {error}"));
    let events = page.events.iter().map(|event| shapes::event(event).map(Value::Object).map_err(unreadable));
    let events: Vec<Value> = events.collect::<Result<_, _>>()?;
    let missing = page
        .missing
        .iter()
        .map(|run| json!({"first": run.first.0, "last": run.last.0, "next_at": shapes::moment(run.next_at)}));
    let missing: Vec<Value> = missing.collect();
    Ok(Json(json!({"events": events, "missing": missing, "next": page.next.map(|next| next.0)})))
}

pub async fn explain(_: Read, State(app): State<Arc<App>>, Path(job): Path<u64>) -> Told {
    let reasons = app.way.ask(move |client| Ok(client.explain(JobId(job))?)).await?;
    Ok(Json(json!({"reasons": reasons.iter().map(|why| shapes::why(why).1).collect::<Vec<_>>()})))
}

/// Waits for the end of one job.
pub async fn wait(_: Read, State(app): State<Arc<App>>, Path(job): Path<u64>, mut pairs: Pairs) -> Told {
    let span = pairs.read("timeout", wait_span)?.unwrap_or(WAIT_DEFAULT);
    pairs.end()?;
    let ends = app.way.wait(move |client| ends(client, &[JobId(job)], false, span)).await?;
    Ok(Json(ends.into_iter().next().unwrap_or_default()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitFor {
    jobs: Vec<u64>,
    #[serde(default)]
    any: bool,
    #[serde(default)]
    timeout: Option<String>,
}

/// Waits for the ends of several.
pub async fn wait_for(_: Read, State(app): State<Arc<App>>, Body(given): Body<WaitFor>) -> Told {
    let WaitFor { jobs, any, timeout } = given;
    let span = timeout.as_deref().map(wait_span).transpose();
    let span = span.map_err(|why| Problem::bad(format!("timeout: {why}")))?.unwrap_or(WAIT_DEFAULT);
    let jobs: Vec<JobId> = jobs.into_iter().map(JobId).collect();
    let ends = app.way.wait(move |client| ends(client, &jobs, any, span)).await?;
    Ok(Json(json!({"jobs": ends})))
}

pub fn wait_span(text: &str) -> Result<Millis, String> {
    let span = span(text)?;
    if span.0 <= u64::from(WAIT_MS_MAX) {
        Ok(span)
    } else {
        Err(format!("it takes up to {}", Millis(WAIT_MS_MAX.into())))
    }
}

fn ends(client: &Client, jobs: &[JobId], any: bool, span: Millis) -> Result<Vec<Value>, Problem> {
    let request = Wait { jobs: List::lent(jobs), any, wait_ms: span.0 as u32, progress_since: None };
    let answer = client.begin(request, Duration::from(span))?.wait()?;
    let ends = answer.read::<Wait<'_>>()?;
    let told =
        |end: JobEnd| json!({"job": end.job.0, "standing": shapes::end_word(end.standing), "ended": end.has_ended()});
    Ok(ends.jobs.iter().map(told).collect())
}
