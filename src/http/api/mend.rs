//! Jobs are changed: cancelled, requeued, purged, updated, by their ids or by a filter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::filters::Filters;
use crate::client::{Change, Client, Filter, MendPage, Updated};
use crate::http::App;
use crate::http::gate::Admin;
use crate::http::given::{Body, Path};
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::ids::JobId;
use crate::shapes::values::{delay, number, ttl};
use crate::shapes::{self, bits, changeable};
use crate::time::Timestamp;

/// How long one request goes on from page to page.
const LASTS: Duration = Duration::from_secs(5);

/// Which jobs are to be changed, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mending {
    #[serde(default)]
    jobs: Vec<u64>,
    #[serde(default)]
    filter: Option<Map<String, Value>>,
    /// Of an update.
    #[serde(default)]
    update: Option<Map<String, Value>>,
    /// Of a cancel: the lease of one in flight ends now.
    #[serde(default)]
    force: bool,
    /// Only tells how many are meant.
    #[serde(default)]
    dry_run: bool,
    /// As the answer before gave it: goes on from there.
    #[serde(default)]
    cursor: Option<Cursor>,
}

/// Where a change by filter goes on.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    next: u64,
    since: u64,
}

pub async fn mend(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(verb): Path<String>,
    Body(given): Body<Mending>,
) -> Result<Json<Value>, Problem> {
    let Mending { jobs, filter, update, force, dry_run, cursor } = given;
    let change = match verb.as_str() {
        "cancel" if force => Change::CancelNow,
        "cancel" => Change::Cancel,
        "requeue" => Change::Requeue,
        "purge" => Change::Purge,
        "update" => Change::Update,
        _ => return Err(Problem::bad(format!("{verb:?}: jobs are cancelled, requeued, purged or updated"))),
    };
    let update = updated(change, update)?;
    let Some(filter) = filter else {
        if jobs.is_empty() || dry_run || cursor.is_some() {
            return Err(Problem::bad("name `jobs` by their ids, or a `filter`; the other fields are the filter's"));
        }
        let jobs: Vec<JobId> = jobs.into_iter().map(JobId).collect();
        let statuses = app.way.ask(move |client| Ok(client.mend(change, update, &jobs)?)).await?;
        return Ok(Json(json!({"jobs": statuses.iter().map(shapes::mended).collect::<Vec<_>>()})));
    };
    if !jobs.is_empty() {
        return Err(Problem::bad("jobs are meant by their ids or by a filter, not by both"));
    }
    let mut pairs = Pairs::of(filter)?;
    let filters = Filters::take(&mut pairs)?;
    pairs.end()?;
    let told = app.way.wait(move |client| {
        let filter = filters.as_filter();
        let standings = filter.standings.or_else(|| bits(changeable(change, update)));
        let filter = Filter { standings, ..filter };
        if dry_run { count(client, filter) } else { change_all(client, (change, update), filter, cursor) }
    });
    told.await.map(Json)
}

fn updated(change: Change, update: Option<Map<String, Value>>) -> Result<Updated, Problem> {
    let Some(update) = update else {
        if change == Change::Update {
            return Err(Problem::bad("`update` says what changes: priority, max_attempts, delay, ttl"));
        }
        return Ok(Updated::default());
    };
    if change != Change::Update {
        return Err(Problem::bad("`update` belongs to an update alone"));
    }
    let mut pairs = Pairs::of(update)?;
    let updated = Updated {
        priority: pairs.read("priority", number)?,
        max_attempts: pairs.read("max_attempts", number)?,
        delay_ms: pairs.read("delay", delay)?.map(|span| span.0),
        ttl_ms: pairs.read("ttl", ttl)?.map(|span| span.0),
    };
    pairs.end()?;
    Ok(updated)
}

fn count(client: &Client, filter: Filter<'_>) -> Result<Value, Problem> {
    let (mut count, mut from) = (0, None);
    loop {
        let page = client.count(filter, from, false)?;
        count += page.count;
        from = page.next;
        if from.is_none() {
            return Ok(json!({"count": count}));
        }
    }
}

/// Changes page after page for a while, and tells where to go on.
fn change_all(
    client: &Client,
    (change, update): (Change, Updated),
    filter: Filter<'_>,
    cursor: Option<Cursor>,
) -> Result<Value, Problem> {
    let until = Instant::now() + LASTS;
    let (mut done, mut refused) = (0, 0);
    let mut before = cursor.map(|Cursor { next, since }| MendPage {
        next: Some(JobId(next)),
        since: Timestamp(since),
        ..MendPage::default()
    });
    loop {
        let page = client.mend_all(change, update, filter, before)?;
        done += page.done;
        refused += page.refused;
        let cursor = page.next.map(|next| json!({"next": next.0, "since": page.since.0}));
        if cursor.is_none() || Instant::now() >= until {
            return Ok(json!({"done": done, "refused": refused, "cursor": cursor}));
        }
        before = Some(page);
    }
}
