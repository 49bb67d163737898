//! Batches: named sets of jobs that are handed out once all of them are there. Their members are submitted with
//! `batch=NAME`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::jobs::wait_span;
use crate::http::App;
use crate::http::gate::{Read, Submit};
use crate::http::given::Path;
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::shapes;

type Told = Result<Json<Value>, Problem>;

pub async fn list(_: Read, State(app): State<Arc<App>>, mut pairs: Pairs) -> Told {
    let behind = pairs.text("behind")?.unwrap_or_default();
    pairs.end()?;
    let (batches, more) = app.way.ask(move |client| Ok(client.list_batches(&behind)?)).await?;
    let next = batches.last().filter(|_| more).map(|last| last.name.clone());
    Ok(Json(json!({"batches": batches.iter().map(shapes::listed_batch).collect::<Vec<_>>(), "next": next})))
}

pub async fn show(_: Read, State(app): State<Arc<App>>, Path(batch): Path<String>, mut pairs: Pairs) -> Told {
    let wait = pairs.read("wait", wait_span)?;
    pairs.end()?;
    match wait {
        None => app.way.ask(move |client| Ok(Json(shapes::batch(&client.batch(&batch)?)))).await,
        Some(wait) => {
            app.way.wait(move |client| Ok(Json(shapes::batch(&client.wait_for_batch(&batch, wait.into())?)))).await
        }
    }
}

/// Begins a batch, or finds the open one of this name.
pub async fn begin(_: Submit, State(app): State<Arc<App>>, Path(batch): Path<String>) -> Told {
    app.way
        .ask(move |client| {
            client.begin_batch(&batch)?;
            Ok(Json(shapes::batch(&client.batch(&batch)?)))
        })
        .await
}

pub async fn end(_: Submit, State(app): State<Arc<App>>, Path(batch): Path<String>) -> Told {
    app.way
        .ask(move |client| {
            client.end_batch(&batch)?;
            Ok(Json(shapes::batch(&client.batch(&batch)?)))
        })
        .await
}

pub async fn cancel(_: Submit, State(app): State<Arc<App>>, Path(batch): Path<String>) -> Told {
    app.way
        .ask(move |client| {
            client.cancel_batch(&batch)?;
            Ok(Json(shapes::batch(&client.batch(&batch)?)))
        })
        .await
}
