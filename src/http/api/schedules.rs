//! Schedules: recurring jobs, looked at, put, paused, run, removed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::client::{ScheduleSpec, headers};
use crate::http::App;
use crate::http::gate::{Admin, Read};
use crate::http::given::{Body, Path};
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::job::Settings;
use crate::limits::PRIORITY_DEFAULT;
use crate::schedule::Missed;
use crate::shapes;
use crate::shapes::values::{
    backoff, check_header, check_headers, every, group, jitter, keep, missed, number, timeout, ttl,
};
use crate::time::Millis;

type Told = Result<Json<Value>, Problem>;

/// Schedules of a page.
const PAGE: u16 = 1000;

pub async fn list(_: Read, State(app): State<Arc<App>>, mut pairs: Pairs) -> Told {
    let behind = pairs.text("behind")?.unwrap_or_default();
    pairs.end()?;
    let (page, more) = app.way.ask(move |client| Ok(client.schedules(&behind, PAGE)?)).await?;
    let next = page.last().filter(|_| more).map(|last| last.name.clone());
    Ok(Json(json!({"schedules": page.iter().map(shapes::listed_schedule).collect::<Vec<_>>(), "next": next})))
}

pub async fn show(_: Read, State(app): State<Arc<App>>, Path(name): Path<String>) -> Told {
    app.way.ask(move |client| Ok(Json(shapes::schedule(&name, &client.show_schedule(&name)?)))).await
}

/// Adds a schedule, or changes it to this.
pub async fn put(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Body(given): Body<Map<String, Value>>,
) -> Told {
    let spec = spec(given)?;
    app.way
        .ask(move |client| {
            let (change, _) = client.put_schedule(&name, &spec, false)?;
            let mut json = shapes::schedule(&name, &client.show_schedule(&name)?);
            json["change"] = change.word().into();
            Ok(Json(json))
        })
        .await
}

/// What a schedule is told, named as a schedule is shown.
fn spec(mut given: Map<String, Value>) -> Result<ScheduleSpec, Problem> {
    let headers = headers_of(given.remove("headers"))?;
    let payload = match given.remove("payload") {
        None => Vec::new(),
        Some(Value::String(text)) => text.into_bytes(),
        Some(value) => value.to_string().into_bytes(),
    };
    let mut pairs = Pairs::of(given)?;
    let span = |span: Option<Millis>| span.map(|span| span.0);
    let (missed, missed_max) = pairs.read("missed", missed)?.unwrap_or((Missed::Once, 0));
    let spec = ScheduleSpec {
        queue: pairs.text("queue")?.ok_or_else(|| Problem::bad("`queue` names the queue of its jobs"))?,
        cron: pairs.text("cron")?.unwrap_or_default(),
        every_ms: span(pairs.read("every", every)?).unwrap_or(0),
        zone: pairs.text("tz")?.filter(|zone| zone != "UTC").unwrap_or_default(),
        jitter_ms: pairs.read("jitter", jitter)?.map_or(0, |span| span.0 as u32),
        missed,
        missed_max,
        skip_overlap: pairs.read("overlap", overlap)?.unwrap_or(false),
        settings: Settings {
            priority: pairs.read("priority", number)?.unwrap_or(PRIORITY_DEFAULT),
            max_attempts: pairs.read("max_attempts", number)?.unwrap_or(0),
            timeout_ms: pairs.read("timeout", timeout)?.map_or(0, |span| span.0 as u32),
        },
        keep_ms: span(pairs.read("keep", keep)?),
        backoff: pairs.read("backoff", backoff)?,
        ttl_ms: span(pairs.read("ttl", ttl)?),
        headers,
        group: pairs.read("group", group)?.unwrap_or_default(),
        payload,
    };
    pairs.end()?;
    Ok(spec)
}

fn overlap(text: &str) -> Result<bool, String> {
    match text {
        "skip" => Ok(true),
        "allow" => Ok(false),
        _ => Err("it takes allow or skip".to_owned()),
    }
}

fn headers_of(given: Option<Value>) -> Result<Vec<u8>, Problem> {
    let object = match given {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(Problem::bad("headers: an object of names and texts belongs here")),
    };
    let texts = object.iter().map(|(name, value)| {
        let text = value.as_str().ok_or_else(|| Problem::bad(format!("headers: {name} is no text")))?;
        check_header(name, text).map_err(Problem::bad)?;
        Ok((name.as_str(), text))
    });
    let texts: Vec<(&str, &str)> = texts.collect::<Result<_, Problem>>()?;
    check_headers(texts.iter().map(|(name, _)| *name)).map_err(Problem::bad)?;
    Ok(if texts.is_empty() { Vec::new() } else { headers(&texts) })
}

pub async fn remove(_: Admin, State(app): State<Arc<App>>, Path(name): Path<String>) -> Told {
    app.way
        .ask(move |client| {
            client.drop_schedule(&name)?;
            Ok(Json(json!({"schedule": name, "removed": true})))
        })
        .await
}

pub async fn pause(_: Admin, State(app): State<Arc<App>>, Path(name): Path<String>) -> Told {
    app.way
        .ask(move |client| {
            client.pause_schedule(&name)?;
            Ok(Json(shapes::schedule(&name, &client.show_schedule(&name)?)))
        })
        .await
}

pub async fn resume(_: Admin, State(app): State<Arc<App>>, Path(name): Path<String>) -> Told {
    app.way
        .ask(move |client| {
            client.resume_schedule(&name)?;
            Ok(Json(shapes::schedule(&name, &client.show_schedule(&name)?)))
        })
        .await
}

/// Makes a job of it now.
pub async fn run(_: Admin, State(app): State<Arc<App>>, Path(name): Path<String>) -> Told {
    app.way.ask(move |client| Ok(Json(json!({"job": client.run_schedule(&name)?.0, "schedule": name})))).await
}
