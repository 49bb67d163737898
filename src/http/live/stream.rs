//! One stream: which events it tells, where it is in the log, and how it hears of a reader who is slow.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};

use super::{Tick, Told, lately, message};
use crate::http::App;
use crate::http::gate::Read;
use crate::http::pairs::Pairs;
use crate::http::problem::Problem;
use crate::ids::{JobId, Lsn};
use crate::roles::Role;
use crate::shapes::event_kind;
use crate::shapes::values::number;

/// How often, at most, a stream is told to look again.
const RESYNC_EVERY: Duration = Duration::from_secs(1);

/// A comment keeps those in between from taking the stream for dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Messages on their way to the connection; it has a buffer of its own.
const SENDING_MAX: usize = 2;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The end of it that the connection takes from.
struct Messages(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Messages {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|sent| sent.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Streams what happens, from now on or from where a stream ended.
pub async fn events(
    _: Read,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut pairs: Pairs,
) -> Result<Response, Problem> {
    let after = pairs.read("after", number::<u64>)?;
    let wanted = Wanted::take(&mut pairs)?;
    pairs.end()?;
    let last = headers.get(LAST_EVENT_ID).and_then(|last| last.to_str().ok()?.parse().ok());
    let after = last.or(after).map(Lsn);
    let place = Arc::clone(&app.live.places).try_acquire_owned().map_err(|_| Problem::busy())?;
    // It hears of all that happens from here on; what was before is asked for.
    let ticks = app.live.ticks.subscribe();
    app.live.wanted.notify_one();
    let begin = app.way.ask(move |client| lately(client, after)).await?;
    let (sender, receiver) = mpsc::channel(SENDING_MAX);
    // An LSN that is not reached yet is of another log: all is to be looked at.
    let (at, owed) = match after {
        Some(after) if after <= begin.next => (after, 0),
        _ => (begin.next, begin.missed),
    };
    let stream = Stream { app, headers, wanted, sender, at, owed, resync_at: None, sent_at: Instant::now() };
    tokio::spawn(stream.run(ticks, Tick::of(at, begin), place));
    let mut response = Response::new(Body::new(Messages(receiver)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Which events it tells.
#[derive(Debug, Default)]
struct Wanted {
    queue: Option<String>,
    job: Option<JobId>,
    kinds: Vec<u8>,
}

impl Wanted {
    fn take(pairs: &mut Pairs) -> Result<Wanted, Problem> {
        Ok(Wanted {
            queue: pairs.text("queue")?,
            job: pairs.read("job", number)?.map(JobId),
            kinds: pairs.read("event", kinds)?.unwrap_or_default(),
        })
    }

    fn is_all(&self) -> bool {
        self.queue.is_none() && self.job.is_none() && self.kinds.is_empty()
    }

    fn means(&self, told: &Told) -> bool {
        self.queue.as_deref().is_none_or(|queue| queue == &*told.queue)
            && self.job.is_none_or(|job| Some(job) == told.job)
            && (self.kinds.is_empty() || self.kinds.contains(&told.kind))
    }
}

/// Reads `ACK,DEAD`.
fn kinds(text: &str) -> Result<Vec<u8>, String> {
    text.split(',').map(|word| event_kind(word).ok_or_else(|| format!("{word:?} is no event"))).collect()
}

/// Nobody reads it any more, or it is to end.
struct Ended;

struct Stream {
    app: Arc<App>,
    /// What lets it look.
    headers: HeaderMap,
    wanted: Wanted,
    sender: mpsc::Sender<Bytes>,
    /// Up to here all was told.
    at: Lsn,
    /// Records that were passed over since it was last told to look again.
    owed: u64,
    resync_at: Option<Instant>,
    sent_at: Instant,
}

impl Stream {
    async fn run(mut self, mut ticks: broadcast::Receiver<Arc<Tick>>, begin: Tick, place: OwnedSemaphorePermit) {
        let hello = message("hello", self.at, &json!({"lsn": self.at.0}));
        let is_heard = self.send(hello).await.is_ok() && self.take(&begin).await.is_ok();
        if is_heard && self.resync_if_due().await.is_ok() {
            while self.next(&mut ticks).await.is_ok() {}
        }
        drop(place);
    }

    async fn next(&mut self, ticks: &mut broadcast::Receiver<Arc<Tick>>) -> Result<(), Ended> {
        let told = tokio::select! {
            told = ticks.recv() => told,
            // Who has left holds no place until there is something to tell.
            () = self.sender.closed() => return Err(Ended),
        };
        match told {
            Ok(tick) if tick.is_last => return Err(Ended),
            Ok(tick) => {
                // The task that feeds it began behind where this one is.
                if tick.from > self.at {
                    self.catch_up().await?;
                }
                self.take(&tick).await?;
            }
            // It did not take in time what is gone now; the next one leaves a gap.
            Err(broadcast::error::RecvError::Lagged(_)) => return Ok(()),
            Err(broadcast::error::RecvError::Closed) => return Err(Ended),
        }
        self.app.gate.may(&Method::GET, &self.headers, Role::Read).map_err(|_| Ended)?;
        self.resync_if_due().await?;
        if self.sent_at.elapsed() >= SILENCE_MAX {
            self.send(Bytes::from_static(b":\n\n")).await?;
        }
        Ok(())
    }

    /// Tells what is behind where it is. Where that fails a gap stays, and is owed.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let after = Some(self.at);
        match self.app.way.ask(move |client| lately(client, after)).await {
            Ok(page) => self.take(&Tick::of(self.at, page)).await,
            Err(_) => Ok(()),
        }
    }

    async fn take(&mut self, tick: &Tick) -> Result<(), Ended> {
        if tick.to <= self.at {
            return Ok(());
        }
        self.owed += tick.missed + tick.from.0.saturating_sub(self.at.0);
        let is_new = |told: &&Told| told.lsn > self.at;
        let text = if self.wanted.is_all() && tick.events.first().is_none_or(|told| told.lsn > self.at) {
            tick.all.clone()
        } else {
            let meant = tick.events.iter().filter(is_new).filter(|told| self.wanted.means(told));
            meant.flat_map(|told| told.text.iter().copied()).collect()
        };
        self.at = tick.to;
        if text.is_empty() { Ok(()) } else { self.send(text).await }
    }

    async fn resync_if_due(&mut self) -> Result<(), Ended> {
        if self.owed == 0 || self.resync_at.is_some_and(|at| at.elapsed() < RESYNC_EVERY) {
            return Ok(());
        }
        let missed = std::mem::take(&mut self.owed);
        self.resync_at = Some(Instant::now());
        self.send(message("resync", self.at, &json!({"missed": missed}))).await
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Ended> {
        self.sent_at = Instant::now();
        self.sender.send(bytes).await.map_err(|_| Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_told_and_nothing_else() {
        let told = |job, queue: &str| Told { lsn: Lsn(1), kind: 3, job, queue: queue.into(), text: Bytes::new() };
        let of = |queue: Option<&str>, job, kinds| Wanted { queue: queue.map(str::to_owned), job, kinds };
        let mail = told(Some(JobId(7)), "mail");
        assert!(of(None, None, vec![]).is_all() && of(None, None, vec![]).means(&mail));
        assert!(of(Some("mail"), Some(JobId(7)), vec![3]).means(&mail));
        for other in [of(Some("mai"), None, vec![]), of(None, Some(JobId(8)), vec![]), of(None, None, vec![1])] {
            assert!(!other.is_all() && !other.means(&mail), "{other:?}");
        }
        assert_eq!(kinds("ack,DEAD"), Ok(vec![3, 6]));
        assert!(kinds("ack,").is_err() && kinds("acked").is_err());
    }
}
