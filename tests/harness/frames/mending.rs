//! The requests that look at jobs that have ended, wait for them, mend them, and settle what holds in a queue.

use super::{Body, Request};

pub const CANCEL: u8 = 1;
pub const CANCEL_NOW: u8 = 2;
pub const REQUEUE: u8 = 3;
pub const PURGE: u8 = 4;
pub const UPDATE: u8 = 5;

pub const WAY_IN: u8 = 1;
pub const WAY_OUT: u8 = 2;
pub const WAY_BOTH: u8 = 3;

/// What holds in a queue; what is not said is as everywhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueSettings {
    pub keep_s: Option<u32>,
    pub dead_keep_s: Option<u32>,
    /// The first and the longest, in milliseconds.
    pub backoff: Option<(u32, u32)>,
    pub max_attempts: Option<u16>,
    pub depth_max: Option<u64>,
    pub bytes_max: Option<u64>,
    pub timeout_ms: Option<u32>,
    pub ttl_ms: Option<u64>,
    pub running_max: Option<u32>,
    pub group_running_max: Option<u32>,
    pub strict: Option<bool>,
    pub rate: Option<Rate>,
    pub group_rate: Option<Rate>,
}

/// How often jobs may be handed out: so many in so many milliseconds, and so many at once.
pub type Rate = (u32, u32, u32);

/// What holds for one group; what is not said is as for each of its queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupSettings {
    pub weight: Option<u16>,
    pub running_max: Option<u32>,
    pub rate: Option<Rate>,
}

/// What an update changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Updated {
    pub priority: Option<u8>,
    pub max_attempts: Option<u16>,
    pub delay_ms: Option<u64>,
    pub ttl_ms: Option<u64>,
}

pub(super) fn backoff((first_ms, most_ms): (u32, u32)) -> Body {
    Body::default().u32(first_ms).u32(most_ms).plain()
}

pub(super) fn headers(headers: &[(String, String)]) -> Body {
    let body = Body::default().len16(headers.len());
    headers.iter().fold(body, |body, (name, value)| body.text(name).text(value).plain())
}

/// A number of 8 bytes that is an extra.
pub(super) fn number(n: Option<u64>) -> Option<Body> {
    n.map(|n| Body::default().u64(n))
}

fn number16(n: Option<u16>) -> Option<Body> {
    n.map(|n| Body::default().u16(n))
}

fn number32(n: Option<u32>) -> Option<Body> {
    n.map(|n| Body::default().u32(n))
}

fn ids(jobs: &[u64], body: Body) -> Body {
    jobs.iter().fold(body.len16(jobs.len()), |body, job| body.u64(*job))
}

/// A fail after which the next attempt is not before this has passed.
pub fn fail_for(job: u64, lease: u64, error: &str, retry_in_ms: u64) -> Request {
    let item = Body::default().len16(1).u64(job).u64(lease).u8(0).text(error);
    Request::new(5, item.extras(&[(2, number(Some(retry_in_ms)))]).plain())
}

pub fn find(key: &str) -> Request {
    Request::new(17, Body::default().text(key).plain())
}

pub fn payload_of(job: u64) -> Request {
    Request::new(18, Body::default().u64(job).u8(1).plain())
}

pub fn result_of(job: u64) -> Request {
    Request::new(18, Body::default().u64(job).u8(2).plain())
}

pub fn wait(jobs: &[u64], any: bool, wait_ms: u32) -> Request {
    Request::new(19, ids(jobs, Body::default()).u8(u8::from(any)).u32(wait_ms).plain())
}

/// The same, and asks how far the jobs are, from this moment on.
pub fn wait_telling(jobs: &[u64], since: u64, wait_ms: u32) -> Request {
    let body = ids(jobs, Body::default()).u8(0).u32(wait_ms);
    Request::new(19, body.u8(1).u8(1).len16(8).u64(since))
}

/// Of one queue, or of all with an empty name.
pub fn idle(queue: &str, wait_ms: u32) -> Request {
    Request::new(20, Body::default().text(queue).u32(wait_ms).plain())
}

pub fn mend(change: u8, jobs: &[u64]) -> Request {
    Request::new(21, ids(jobs, Body::default().u8(change)).plain())
}

pub fn update(jobs: &[u64], to: &Updated) -> Request {
    let priority = to.priority.map(|priority| Body::default().u8(priority));
    let delay_ms = (3, number(to.delay_ms));
    let update = [(1, priority), (2, number16(to.max_attempts)), delay_ms, (4, number(to.ttl_ms))];
    let update = Body::default().extras(&update);
    Request::new(21, ids(jobs, Body::default().u8(UPDATE)).extras(&[(1, Some(update))]))
}

/// With an empty reason for none.
pub fn pause(queue: &str, way: u8, for_ms: u64, reason: &str) -> Request {
    let reason = (!reason.is_empty()).then(|| Body::default().text(reason));
    Request::new(22, Body::default().text(queue).u8(way).u64(for_ms).extras(&[(1, reason)]))
}

pub fn resume(queue: &str, way: u8) -> Request {
    Request::new(23, Body::default().text(queue).u8(way).plain())
}

pub fn set_queue(queue: &str, settings: &QueueSettings) -> Request {
    let extras = [
        (1, number32(settings.keep_s)),
        (2, number32(settings.dead_keep_s)),
        (3, settings.backoff.map(backoff)),
        (4, number16(settings.max_attempts)),
        (5, number(settings.depth_max)),
        (6, number(settings.bytes_max)),
        (7, number32(settings.timeout_ms)),
        (8, number(settings.ttl_ms)),
        (9, number32(settings.running_max)),
        (10, number32(settings.group_running_max)),
        (11, settings.strict.map(|strict| Body::default().u8(u8::from(strict)))),
        (12, settings.rate.map(rate)),
        (13, settings.group_rate.map(rate)),
    ];
    Request::new(24, Body::default().text(queue).extras(&extras).plain())
}

fn rate((tokens, per_ms, burst): Rate) -> Body {
    Body::default().u32(tokens).u32(per_ms).u32(burst).plain()
}

/// With an empty name for the jobs that are in no group.
pub fn set_group(queue: &str, group: &str, settings: &GroupSettings) -> Request {
    let extras = [(1, number16(settings.weight)), (2, number32(settings.running_max)), (3, settings.rate.map(rate))];
    Request::new(33, Body::default().text(queue).text(group).extras(&extras).plain())
}

/// A page of groups, or one of them.
pub fn groups(queue: &str, from: u64, group: Option<&str>) -> Request {
    let group = group.map(|group| Body::default().text(group));
    Request::new(34, Body::default().text(queue).u64(from).extras(&[(1, group)]))
}

pub fn delete_queue(queue: &str) -> Request {
    Request::new(25, Body::default().text(queue).plain())
}

pub fn show_queue(queue: &str) -> Request {
    Request::new(26, Body::default().text(queue).plain())
}

pub fn drain(on: bool) -> Request {
    Request::new(27, Body::default().u8(u8::from(on)).plain())
}
