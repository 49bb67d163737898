//! `/metrics`: what the master counts and measures, and the server of itself, in the text format of Prometheus (0.0.4).
//!
//! Names follow its conventions: base units, `_total` for what only grows. The first 200 queues have a label of their
//! own; the others are `_other`, which no queue can be called.

mod families;
mod server;

use std::sync::Arc;
use std::thread;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use prometheus::{Encoder, TextEncoder};

use super::App;
use super::gate::Read;
use super::problem::Problem;
use crate::client::Measures;

/// A page of it.
type Page = ([(HeaderName, &'static str); 1], Vec<u8>);

pub async fn metrics(_: Read, State(app): State<Arc<App>>) -> Result<Page, Problem> {
    let measures = app.way.ask(|client| Ok(client.measures()?)).await?;
    Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], page(&app, &measures)?))
}

fn page(app: &App, measures: &Measures) -> Result<Vec<u8>, Problem> {
    let mut page = Vec::new();
    let encoder = TextEncoder::new();
    for family in families::of(measures).chain(server::of(app)) {
        encoder
            .encode(&[family], &mut page)
            .map_err(|error| Problem::broken(&format!("metrics cannot be written: {error}")))?;
        // All of them take milliseconds; a loop that waits for this core goes first.
        thread::yield_now();
    }
    Ok(page)
}
