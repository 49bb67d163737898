//! Connections: accepted up to a bound, each with time-outs on all that its other side may delay.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::{Listener, ListenerExt};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::App;
use super::figures::OpenConnection;
use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_MS_MAX, HTTP_HEADERS_MAX, HTTP_UNSENT_BYTES_MAX,
    HTTP_WRITE_PAUSE_MS_MAX,
};
use crate::reactor::{Bound, StdSocket};

/// How long requests that are under way may take when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves on all sockets until it is told to stop.
pub async fn serve(
    sockets: &[Bound],
    (app, routes): (&Arc<App>, Router),
    mut told: watch::Receiver<bool>,
) -> io::Result<()> {
    let free = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    for socket in sockets {
        let (free, app) = (Arc::clone(&free), Arc::clone(app));
        let server = Server { free, app, routes: routes.clone(), told: told.clone() };
        match socket.to_std()? {
            StdSocket::Tcp(socket) => tasks.spawn(server.accept(TcpListener::from_std(socket)?.tap_io(bound))),
            StdSocket::Unix(socket) => tasks.spawn(server.accept(UnixListener::from_std(socket)?)),
        };
    }
    // None of them ends but by a panic, which ends the others, too.
    tokio::select! {
        Some(ended) = tasks.join_next() => return ended.map_err(io::Error::other),
        () = stopped(&mut told) => {}
    }
    tasks.abort_all();
    // All connections are over when all places are free.
    let _ = timeout(STOP_TIMEOUT, free.acquire_many(HTTP_CONNECTIONS_MAX as u32)).await;
    Ok(())
}

/// Answers leave at once, and the kernel keeps little of what a client does not read.
fn bound(stream: &mut TcpStream) {
    let outcome =
        stream.set_nodelay(true).and_then(|()| SockRef::from(&*stream).set_tcp_notsent_lowat(HTTP_UNSENT_BYTES_MAX));
    if let Err(error) = outcome {
        log::debug!("an HTTP connection keeps the kernel's own settings: {error}");
    }
}

/// What each socket has.
struct Server {
    free: Arc<Semaphore>,
    app: Arc<App>,
    routes: Router,
    told: watch::Receiver<bool>,
}

impl Server {
    /// Takes connections while there are places. Errors of accepting, such as having no descriptor left, are waited
    /// out by the listener.
    async fn accept(self, mut listener: impl Listener) {
        while let Ok(place) = Arc::clone(&self.free).acquire_owned().await {
            let (stream, _) = listener.accept().await;
            let place = (place, OpenConnection::of(Arc::clone(&self.app)));
            tokio::spawn(connection(stream, self.routes.clone(), self.told.clone(), place));
        }
    }
}

async fn connection<S>(
    stream: S,
    routes: Router,
    mut told: watch::Receiver<bool>,
    place: (OwnedSemaphorePermit, OpenConnection),
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(Duration::from_millis(HTTP_WRITE_PAUSE_MS_MAX)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HTTP_HEAD_MS_MAX))
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .max_headers(HTTP_HEADERS_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(routes));
    let mut served = pin!(served);
    let outcome = tokio::select! {
        outcome = &mut served => outcome,
        () = stopped(&mut told) => {
            served.as_mut().graceful_shutdown();
            timeout(STOP_TIMEOUT, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        log::debug!("an HTTP connection: {error}");
    }
    drop(place);
}

/// Waits until it is to stop, or nobody is there who could say so.
async fn stopped(told: &mut watch::Receiver<bool>) {
    let _ = told.wait_for(|stop| *stop).await;
}
