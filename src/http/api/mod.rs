//! The routes: which path is answered by what. Who may ask is the first argument of each handler. `openapi.json` tells
//! the same to others, and a test holds one against the other.

mod acks;
mod batches;
mod filters;
mod health;
mod jobs;
mod leases;
mod mend;
mod queues;
mod schedules;
mod stats;
mod submit;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};

use super::problem::Problem;
use super::{App, figures, gate, history, live, metrics, page, session, whose};

/// The contract of all below `/api/v1`.
const OPENAPI: &str = include_str!("openapi.json");

pub fn routes(app: Arc<App>) -> Router {
    let router = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .nest("/api/v1", v1())
        .route("/session", get(session::show).post(session::begin).delete(session::end))
        .merge(page::routes())
        .fallback(nothing_there)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(Arc::clone(&app), whose::note))
        .layer(from_fn_with_state(Arc::clone(&app), gate::look))
        .layer(from_fn(page::guard))
        .layer(from_fn_with_state(Arc::clone(&app), figures::count));
    router.with_state(app)
}

fn v1() -> Router<Arc<App>> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/stats", get(stats::stats))
        .route("/events", get(live::events))
        .route("/storage", get(stats::storage))
        .route("/history", get(history::history))
        .merge(of_jobs())
        .merge(of_queues())
        .merge(of_workers())
        .route("/schedules", get(schedules::list))
        .route("/schedules/{name}", get(schedules::show).put(schedules::put).delete(schedules::remove))
        .route("/schedules/{name}/pause", post(schedules::pause))
        .route("/schedules/{name}/resume", post(schedules::resume))
        .route("/schedules/{name}/run", post(schedules::run))
        .route("/batches", get(batches::list))
        .route("/batches/{batch}", get(batches::show).put(batches::begin))
        .route("/batches/{batch}/end", post(batches::end))
        .route("/batches/{batch}/cancel", post(batches::cancel))
}

fn of_jobs() -> Router<Arc<App>> {
    Router::new()
        .route("/jobs", get(jobs::list).post(submit::submit))
        .route("/jobs/count", get(jobs::count))
        .route("/jobs/wait", post(jobs::wait_for))
        .route("/jobs/change/{verb}", post(mend::mend))
        .route("/jobs/{job}", get(jobs::show))
        .route("/jobs/{job}/payload", get(jobs::payload))
        .route("/jobs/{job}/result", get(jobs::result))
        .route("/jobs/{job}/log", get(jobs::log))
        .route("/jobs/{job}/explain", get(jobs::explain))
        .route("/jobs/{job}/wait", get(jobs::wait))
        .route("/keys/{key}", get(jobs::by_key))
}

fn of_queues() -> Router<Arc<App>> {
    Router::new()
        .route("/queues", get(queues::list))
        .route("/queues/{queue}", get(queues::show).delete(queues::delete))
        .route("/queues/{queue}/jobs", post(submit::submit_raw))
        .route("/queues/{queue}/settings", patch(queues::set))
        .route("/queues/{queue}/pause", post(queues::pause))
        .route("/queues/{queue}/resume", post(queues::resume))
        .route("/queues/{queue}/explain", get(queues::explain))
        .route("/queues/{queue}/groups", get(queues::groups))
        .route("/queues/{queue}/groups/{group}", patch(queues::set_group))
}

/// Workers that there are, and what a worker over HTTP needs.
fn of_workers() -> Router<Arc<App>> {
    Router::new()
        .route("/workers", get(workers::list))
        .route("/workers/{name}", get(workers::show))
        .route("/workers/{name}/{order}", post(workers::order))
        .route("/poll", post(leases::poll))
        .route("/ack", post(acks::ack))
        .route("/fail", post(leases::fail))
        .route("/release", post(leases::release))
        .route("/heartbeat", post(leases::heartbeat))
        .route("/progress", post(leases::progress))
}

async fn openapi() -> ([(header::HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn nothing_there(uri: Uri, headers: HeaderMap) -> Response {
    page::nowhere(&headers).unwrap_or_else(|| Problem::nowhere(uri.path()).into_response())
}

async fn not_so(method: Method, uri: Uri) -> Problem {
    let text = format!("{} does not take {method}; /api/v1/openapi.json tells what it takes", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "WrongMethod", text)
}
