//! Jobs come in: as JSON, one or many, or one whose payload is the body.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::{Client, SubmitJob, Submitted, headers};
use crate::http::App;
use crate::http::gate;
use crate::http::given::{Json, Path, Raw, read_json};
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::job::{HeadersText, OnDuplicate, Settings};
use crate::limits::PRIORITY_DEFAULT;
use crate::protocol::{After, List};
use crate::shapes::values::{
    self, Earlier, backoff, check_headers, delay, earlier, header, if_failed, keep, number, timeout, ttl, unique_for,
};
use crate::shapes::{self, Entry};

/// The queue of jobs that name none.
const QUEUE_DEFAULT: &str = "default";

type Made = (StatusCode, Answer<Value>);

/// What the query says of all jobs of a request.
struct Common {
    queue: String,
    batch: Option<String>,
    on_duplicate: Option<OnDuplicate>,
}

impl Common {
    fn take(pairs: &mut Pairs, queue: String) -> Result<Common, Problem> {
        Ok(Common { queue, batch: pairs.text("batch")?, on_duplicate: pairs.read("on_duplicate", on_duplicate)? })
    }

    fn submit(&self, client: &Client, jobs: &[SubmitJob<'_>]) -> Result<Vec<Submitted>, Problem> {
        let taken = match &self.batch {
            Some(batch) => client.submit_to_batch(batch, jobs)?,
            None => client.submit(jobs)?,
        };
        Ok(taken)
    }
}

fn on_duplicate(text: &str) -> Result<OnDuplicate, String> {
    match text {
        "return" => Ok(OnDuplicate::Return),
        "refuse" => Ok(OnDuplicate::Refuse),
        "replace" => Ok(OnDuplicate::Replace),
        _ => Err("it takes return, refuse or replace".to_owned()),
    }
}

/// One job, or an array of them, all or none.
pub async fn submit(
    _: gate::Submit,
    State(app): State<Arc<App>>,
    mut pairs: Pairs,
    Json(bytes): Json,
) -> Result<Made, Problem> {
    let queue = pairs.text("queue")?.unwrap_or_else(|| QUEUE_DEFAULT.to_owned());
    let common = Common::take(&mut pairs, queue)?;
    pairs.end()?;
    let told = app.way.ask(move |client| submit_all(client, &common, &bytes)).await?;
    Ok((StatusCode::CREATED, Answer(told)))
}

fn submit_all(client: &Client, common: &Common, bytes: &[u8]) -> Result<Value, Problem> {
    let raw: &RawValue = read_json(bytes)?;
    let is_one = raw.get().starts_with('{');
    let entries: Vec<Entry<'_>> = if is_one { vec![read_json(bytes)?] } else { read_json(bytes)? };
    with_jobs(&entries, &common.queue, common.on_duplicate, |jobs| {
        let taken = common.submit(client, jobs)?;
        let mut told = jobs.iter().zip(&taken).map(|(job, taken)| shapes::submitted(job, taken));
        Ok(if is_one { told.next().unwrap_or_default() } else { json!({"jobs": told.collect::<Vec<_>>()}) })
    })
}

/// Lends these entries as the jobs that they are, of this queue where they name none.
pub fn with_jobs<T>(
    entries: &[Entry<'_>],
    queue: &str,
    on_duplicate: Option<OnDuplicate>,
    use_them: impl FnOnce(&[SubmitJob<'_>]) -> T,
) -> T {
    let headers: Vec<Vec<u8>> = entries.iter().map(Entry::headers).collect();
    let after: Vec<Vec<After<'_>>> = entries.iter().map(Entry::after).collect();
    let with = headers.iter().zip(&after);
    let jobs = entries.iter().zip(with).map(|(entry, (headers, after))| {
        let job = entry.job(queue, headers, after);
        SubmitJob { on_duplicate: on_duplicate.or(job.on_duplicate), ..job }
    });
    use_them(&jobs.collect::<Vec<_>>())
}

/// A job whose payload is the body, whatever that is, and whose settings are in the query.
pub async fn submit_raw(
    _: gate::Submit,
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    mut pairs: Pairs,
    Raw(payload): Raw,
) -> Result<Made, Problem> {
    let common = Common::take(&mut pairs, queue)?;
    let job = RawJob::take(&mut pairs)?;
    pairs.end()?;
    let told = app.way.ask(move |client| {
        let after: Vec<After<'_>> = job.after.iter().map(Earlier::told).collect();
        let job = SubmitJob { on_duplicate: common.on_duplicate, payload: &payload, ..job.job(&common.queue, &after) };
        let taken = common.submit(client, &[job])?;
        Ok(taken.first().map(|taken| shapes::submitted(&job, taken)).unwrap_or_default())
    });
    Ok((StatusCode::CREATED, Answer(told.await?)))
}

/// What a query says of a job.
struct RawJob {
    key: String,
    settings: Settings,
    delay_ms: u64,
    keep_ms: Option<u64>,
    ttl_ms: Option<u64>,
    backoff: Option<crate::job::Backoff>,
    group: Option<String>,
    unique_for_ms: Option<u64>,
    is_unique_until_start: bool,
    headers: Vec<u8>,
    after: Vec<Earlier>,
    if_failed: Option<crate::job::IfFailed>,
    with_results: bool,
}

impl RawJob {
    fn take(pairs: &mut Pairs) -> Result<RawJob, Problem> {
        let span = |span: Option<crate::time::Millis>| span.map(|span| span.0);
        Ok(RawJob {
            key: pairs.read("key", values::key)?.unwrap_or_default(),
            settings: Settings {
                priority: pairs.read("priority", number)?.unwrap_or(PRIORITY_DEFAULT),
                max_attempts: pairs.read("max_attempts", number)?.unwrap_or(0),
                timeout_ms: pairs.read("timeout", timeout)?.map_or(0, |span| span.0 as u32),
            },
            delay_ms: span(pairs.read("delay", delay)?).unwrap_or(0),
            keep_ms: span(pairs.read("keep", keep)?),
            ttl_ms: span(pairs.read("ttl", ttl)?),
            backoff: pairs.read("backoff", backoff)?,
            group: pairs.read("group", values::group)?,
            unique_for_ms: span(pairs.read("unique_for", unique_for)?),
            is_unique_until_start: pairs.flag("unique_until_start")?,
            headers: headers_of(pairs)?,
            after: pairs.read("after", |text| text.split(',').map(earlier).collect())?.unwrap_or_default(),
            if_failed: pairs.read("if_failed", if_failed)?,
            with_results: pairs.flag("with_results")?,
        })
    }

    fn job<'a>(&'a self, queue: &'a str, after: &'a [After<'a>]) -> SubmitJob<'a> {
        SubmitJob {
            queue,
            key: &self.key,
            settings: self.settings,
            delay_ms: self.delay_ms,
            keep_ms: self.keep_ms,
            ttl_ms: self.ttl_ms,
            backoff: self.backoff,
            group: self.group.as_deref(),
            unique_for_ms: self.unique_for_ms,
            unique_until_start: self.is_unique_until_start.then_some(true),
            headers: (!self.headers.is_empty()).then_some(HeadersText(&self.headers)),
            after: (!after.is_empty()).then(|| List::lent(after)),
            if_failed: self.if_failed,
            with_results: self.with_results.then_some(true),
            ..SubmitJob::default()
        }
    }
}

/// `header=NAME=VALUE`, any number of times.
fn headers_of(pairs: &mut Pairs) -> Result<Vec<u8>, Problem> {
    let read = |text: String| header(&text).map_err(|why| Problem::bad(format!("header {text:?}: {why}")));
    let all: Vec<(String, String)> = pairs.texts("header").into_iter().map(read).collect::<Result<_, _>>()?;
    check_headers(all.iter().map(|(name, _)| name.as_str())).map_err(Problem::bad)?;
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
    Ok(if all.is_empty() { Vec::new() } else { headers(&all) })
}
