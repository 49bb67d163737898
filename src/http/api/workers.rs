//! Workers are looked at, and told what to do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::client::Demand;
use crate::http::App;
use crate::http::gate::{Admin, Read};
use crate::http::given::Path;
use crate::http::problem::Problem;
use crate::protocol::{ErrorCode, Refusal, Workers};
use crate::shapes;

type Told = Result<Json<Value>, Problem>;

/// Stands for all workers where a name is asked for.
const ALL: &str = "all";

pub async fn list(_: Read, State(app): State<Arc<App>>) -> Told {
    named(&app, String::new()).await
}

/// All workers of a name.
pub async fn show(_: Read, State(app): State<Arc<App>>, Path(name): Path<String>) -> Told {
    named(&app, name).await
}

async fn named(app: &App, name: String) -> Told {
    app.way
        .ask(move |client| {
            let answer = client.workers(&name)?;
            let told = answer.read::<Workers<'_>>()?;
            let workers: Vec<Value> = told.workers.iter().map(|worker| shapes::worker(&worker)).collect();
            Ok(Json(json!({"workers": workers, "left_out": told.left_out.unwrap_or(0)})))
        })
        .await
}

pub async fn order(_: Admin, State(app): State<Arc<App>>, Path((name, order)): Path<(String, String)>) -> Told {
    let demand = match order.as_str() {
        "quiet" => Demand::Quiet,
        "resume" => Demand::Resume,
        "stop" => Demand::Stop,
        _ => {
            let text = format!("{order:?}: workers are told quiet, resume or stop");
            return Err(Problem::from(Refusal::new(ErrorCode::NotFound, text)));
        }
    };
    let count = app.way.ask(move |client| {
        let of_name = if name == ALL { "" } else { name.as_str() };
        Ok(client.order(of_name, demand)?)
    });
    Ok(Json(json!({"workers": count.await?})))
}
