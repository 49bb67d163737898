//! Queues and their groups: looked at, paused, set, forgotten.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::filters::span;
use crate::client::{ClientError, GroupSettings, QueueSettings, QueueState};
use crate::http::App;
use crate::http::gate::{Admin, Read};
use crate::http::given::{Body, Path};
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::protocol::{ErrorCode, Stats};
use crate::rules::Way;
use crate::shapes;
use crate::shapes::values::{Setting, at_least_one, backoff, dead_keep, keep, number, rate, timeout, ttl};

type Told = Result<Json<Value>, Problem>;

/// All queues with their figures.
pub async fn list(_: Read, State(app): State<Arc<App>>) -> Told {
    let queues = app.way.ask(|client| {
        let answer = client.stats()?;
        let stats = answer.read::<Stats>()?;
        let told = stats.queues.iter().map(|queue| {
            let mut json = Map::new();
            json.insert("queue".to_owned(), queue.name.into());
            json.extend(queue.figures.iter().map(|figure| (figure.name.to_owned(), figure.value.into())));
            Value::Object(json)
        });
        Ok(told.collect::<Vec<_>>())
    });
    Ok(Json(json!({"queues": queues.await?})))
}

pub async fn show(_: Read, State(app): State<Arc<App>>, Path(queue): Path<String>) -> Told {
    app.way.ask(move |client| Ok(shapes::queue(&queue, &client.show_queue(&queue)?))).await.map(Json)
}

pub async fn explain(_: Read, State(app): State<Arc<App>>, Path(queue): Path<String>) -> Told {
    let reasons = app.way.ask(move |client| Ok(client.explain_queue(&queue)?)).await?;
    Ok(Json(json!({"reasons": reasons.iter().map(|why| shapes::why(why).1).collect::<Vec<_>>()})))
}

pub async fn pause(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    Body(given): Body<Map<String, Value>>,
) -> Told {
    let mut pairs = Pairs::of(given)?;
    let way = pairs.read("way", way)?.unwrap_or(Way::Out);
    let lasts = pairs.read("for", span)?;
    let reason = pairs.text("reason")?.unwrap_or_default();
    pairs.end()?;
    app.way
        .ask(move |client| {
            client.pause(&queue, way, lasts.map(Into::into), &reason)?;
            Ok(Json(shapes::queue(&queue, &client.show_queue(&queue)?)))
        })
        .await
}

pub async fn resume(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    Body(given): Body<Map<String, Value>>,
) -> Told {
    let mut pairs = Pairs::of(given)?;
    let way = pairs.read("way", way)?.unwrap_or(Way::Both);
    pairs.end()?;
    app.way
        .ask(move |client| {
            client.resume(&queue, way)?;
            Ok(Json(shapes::queue(&queue, &client.show_queue(&queue)?)))
        })
        .await
}

fn way(text: &str) -> Result<Way, String> {
    match text {
        "in" => Ok(Way::In),
        "out" => Ok(Way::Out),
        "both" => Ok(Way::Both),
        _ => Err("it takes in, out or both".to_owned()),
    }
}

/// Settles what is named; null is as everywhere, and what is not named stays. A queue that is not there is made.
pub async fn set(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    Body(given): Body<Map<String, Value>>,
) -> Told {
    let mut pairs = Pairs::of(given)?;
    let change = Change::take(&mut pairs)?;
    pairs.end()?;
    app.way
        .ask(move |client| {
            let known = match client.show_queue(&queue) {
                Err(ClientError::Refused(refusal)) if refusal.code == ErrorCode::NotFound => QueueState::default(),
                known => known?,
            };
            client.set_queue(&queue, change.apply(known.settings))?;
            Ok(Json(shapes::queue(&queue, &client.show_queue(&queue)?)))
        })
        .await
}

/// What changes of the settings of a queue.
struct Change(Vec<Step>);

/// What changes of one of them.
type Step = Box<dyn Fn(&mut QueueSettings) + Send>;

impl Change {
    fn take(pairs: &mut Pairs) -> Result<Change, Problem> {
        let mut all: Vec<Step> = Vec::new();
        macro_rules! take {
            ($($name:literal $read:expr => $field:ident $(by $into:expr)?;)*) => {
                $(if let Some(setting) = pairs.setting($name, $read)? {
                    let value = setting.value();
                    $(let value = value.map($into);)?
                    all.push(Box::new(move |settings| settings.$field = value));
                })*
            };
        }
        // Seconds are rounded up, and all of these are within their bounds.
        take! {
            "keep" keep => keep_s by |span| span.0.div_ceil(1000) as u32;
            "dead_keep" dead_keep => dead_keep_s by |span| span.0.div_ceil(1000) as u32;
            "backoff" backoff => backoff;
            "max_attempts" number => max_attempts;
            "timeout" timeout => timeout_ms by |span| span.0 as u32;
            "ttl" ttl => ttl_ms by |span| span.0;
            "depth_max" number => depth_max;
            "bytes_max" number => bytes_max;
            "running_max" at_least_one => running_max;
            "group_running_max" at_least_one => group_running_max;
            "strict" strict => strict;
            "rate" rate => rate;
            "group_rate" rate => group_rate;
        }
        Ok(Change(all))
    }

    fn apply(&self, mut settings: QueueSettings) -> QueueSettings {
        self.0.iter().for_each(|change| change(&mut settings));
        settings.strict = settings.strict.filter(|strict| *strict);
        settings
    }
}

fn strict(text: &str) -> Result<bool, String> {
    match text {
        "true" | "on" => Ok(true),
        "false" | "off" => Ok(false),
        _ => Err("it takes true or false".to_owned()),
    }
}

/// Forgets a queue that has no jobs.
pub async fn delete(_: Admin, State(app): State<Arc<App>>, Path(queue): Path<String>) -> Told {
    app.way
        .ask(move |client| {
            client.delete_queue(&queue)?;
            Ok(Json(json!({"queue": queue, "deleted": true})))
        })
        .await
}

/// The groups of a queue, a page.
pub async fn groups(_: Read, State(app): State<Arc<App>>, Path(queue): Path<String>, mut pairs: Pairs) -> Told {
    let from = pairs.read("from", number)?;
    pairs.end()?;
    app.way
        .ask(move |client| {
            let page = client.groups(&queue, from)?;
            let groups: Vec<Value> = page.groups.iter().map(|group| shapes::group(&queue, group)).collect();
            Ok(Json(json!({"groups": groups, "next": page.next})))
        })
        .await
}

/// Settles what is named for one group.
pub async fn set_group(
    _: Admin,
    State(app): State<Arc<App>>,
    Path((queue, group)): Path<(String, String)>,
    Body(given): Body<Map<String, Value>>,
) -> Told {
    let mut pairs = Pairs::of(given)?;
    let (weight, running_max, rate) =
        (pairs.setting("weight", number)?, pairs.setting("running_max", at_least_one)?, pairs.setting("rate", rate)?);
    pairs.end()?;
    app.way
        .ask(move |client| {
            let known = client.group(&queue, &group)?.settings;
            let settings = GroupSettings {
                weight: weight.map_or(known.weight, Setting::value),
                running_max: running_max.map_or(known.running_max, Setting::value),
                rate: rate.map_or(known.rate, Setting::value),
            };
            client.set_group(&queue, &group, settings)?;
            Ok(Json(shapes::group(&queue, &client.group(&queue, &group)?)))
        })
        .await
}
