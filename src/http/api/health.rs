//! Whether the program lives, and whether the master serves: for probes, without a token.

use std::sync::Arc;

use axum::extract::State;

use crate::http::App;
use crate::http::problem::Problem;

/// It answers, so it lives.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Whether jobs are taken and handed out; while the log is read it is not, and tells how far that is.
pub async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    app.way.is_ready()?;
    app.way.ask(|client| Ok(client.heartbeat(&[])?)).await?;
    Ok("ready\n")
}
