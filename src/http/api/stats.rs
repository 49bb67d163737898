//! The master's figures, and the files of its log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::http::App;
use crate::http::gate::Read;
use crate::http::problem::Problem;
use crate::protocol::Stats;
use crate::shapes;

pub async fn storage(_: Read, State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.way.ask(|client| Ok(Json(shapes::storage(&client.storage()?)))).await
}

pub async fn stats(_: Read, State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.way.ask(|client| Ok(Json(shapes::stats(&client.stats()?.read::<Stats>()?, None)))).await
}
