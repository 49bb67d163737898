//! Whose token a request has. What it changes is told with that name: in the log lines of the master, and in the events
//! of jobs and queues.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::task_local;

use super::App;

task_local! {
    static HOLDER: Box<str>;
}

/// The name of the token whose request is answered by this task, if it may change something.
pub fn holder() -> Option<Box<str>> {
    HOLDER.try_with(Clone::clone).ok()
}

/// Notes it for as long as the request is answered. Whether it may do what it asks for is held elsewhere.
pub async fn note(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let found = if request.method().is_safe() { None } else { app.gate.holder(request.headers()).ok().flatten() };
    match found.filter(|holder| !holder.name.is_empty()) {
        Some(holder) => HOLDER.scope(holder.name, next.run(request)).await,
        None => next.run(request).await,
    }
}
