//! HTTP beside the queue: health, metrics, a JSON API and a page for browsers, by `falcond --http`.
//!
//! Promises:
//! - It is one more client of the master, over the local source: all that it tells and does goes through the same door
//!   and gate as all else, and nothing of it runs in the loop. It keeps no state of jobs.
//! - Each call has a deadline. Where as many calls are under way as may be, the next is answered by 503 at once.
//! - Connections, heads, bodies and pauses are bounded (see [`limits`](crate::limits)): who is slow, or says nothing,
//!   is dropped, and holds a bounded amount of memory until then.
//! - A panic in it ends one request, at worst this server for a second, and never the master.
//!
//! It does not: speak TLS, or HTTP/2; a proxy does both.

mod api;
mod figures;
mod gate;
mod given;
mod history;
mod live;
mod metrics;
mod page;
mod pairs;
mod problem;
mod serve;
mod session;
mod way;
mod whose;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::watch;

pub use gate::Site;

use crate::address::Address;
use crate::limits::{HTTP_CALLS_MAX, HTTP_WAITS_MAX};
use crate::master::Progress;
use crate::master::local::LocalDoor;
use crate::reactor::Bound;
use crate::roles::Tokens;
use figures::Figures;
use gate::Gate;
use history::History;
use live::Live;
use way::Way;

/// How long it is away after a panic of its own thread.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The loop comes before whoever looks: on a core that is full it gets nine tenths of it, and it is not held up until a
/// slice of theirs is over.
const NICENESS: i32 = 10;

/// Stack of a thread that waits for the master's answer.
const CALL_STACK_BYTES: usize = 256 << 10;

/// What all requests share.
#[derive(Debug)]
struct App {
    way: Way,
    gate: Gate,
    history: History,
    figures: Figures,
    live: Live,
}

impl App {
    fn new(site: Site, addresses: Vec<Address>, progress: Arc<Progress>) -> App {
        App {
            way: Way::new(progress),
            gate: Gate::new(site, addresses),
            history: History::default(),
            figures: Figures::default(),
            live: Live::default(),
        }
    }
}

/// The server: it listens, on a thread of its own, until it is dropped.
pub struct Http {
    app: Arc<App>,
    stopping: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Tells the server of what changes, from any thread.
#[derive(Clone)]
pub struct HttpTeller {
    app: Arc<App>,
    stopping: watch::Sender<bool>,
}

impl Http {
    /// Answers on these sockets from now on; until [`Http::serves`] that the master is starting.
    ///
    /// # Errors
    /// When the thread or its event queue cannot be made.
    pub fn start(sockets: Vec<Bound>, site: Site, progress: Arc<Progress>) -> io::Result<Http> {
        let addresses = sockets.iter().map(|socket| socket.address().clone()).collect();
        let app = Arc::new(App::new(site, addresses, progress));
        let (stopping, told) = watch::channel(false);
        let shared = Arc::clone(&app);
        let run = move || {
            // Where that is forbidden it runs as it is. Threads that it begins for calls have its niceness.
            let _ = rustix::process::nice(NICENESS);
            run_again(&told, RESTART_PAUSE, || run(&sockets, &shared, told.clone()));
        };
        let thread = thread::Builder::new().name("falcon-http".to_owned()).spawn(run)?;
        Ok(Http { app, stopping, thread: Some(thread) })
    }

    /// From now on the master can be asked, by this door.
    pub fn serves(&self, door: LocalDoor) {
        self.app.way.open(door);
        self.app.history.begin();
    }

    /// One that tells it of changes.
    pub fn teller(&self) -> HttpTeller {
        HttpTeller { app: Arc::clone(&self.app), stopping: self.stopping.clone() }
    }
}

impl HttpTeller {
    /// Takes no more requests, and ends polls and waits that are under way.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        self.app.way.close();
    }

    /// From now on these tokens hold.
    pub fn retoken(&self, tokens: Option<Tokens>) {
        self.app.gate.retoken(tokens);
        self.app.way.forget_holders();
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.teller().stop();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            log::error!("the HTTP server panicked while it stopped");
        }
    }
}

/// Serves until it is to stop, also after a panic.
fn run_again(told: &watch::Receiver<bool>, pause: Duration, run: impl Fn() -> io::Result<()>) {
    while !*told.borrow() {
        match catch_unwind(AssertUnwindSafe(&run)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => log::error!("the HTTP server: {error}; it begins anew in {pause:?}"),
            Err(_) => log::error!("the HTTP server panicked; it begins anew in {pause:?}"),
        }
        thread::sleep(pause);
    }
}

fn run(sockets: &[Bound], app: &Arc<App>, told: watch::Receiver<bool>) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .thread_name("falcon-http-call")
        .thread_stack_size(CALL_STACK_BYTES)
        .max_blocking_threads(HTTP_CALLS_MAX + HTTP_WAITS_MAX)
        .build()?;
    runtime.spawn(live::pump(Arc::clone(app)));
    let keeping = runtime.spawn(history::keep(Arc::clone(app)));
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = serve::serve(sockets, (app, api::routes(Arc::clone(app))), told) => outcome,
            Err(ended) = keeping => Err(io::Error::other(ended)),
        }
    });
    // Calls that are under way end by themselves, since the way is closed.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn it_begins_anew_after_a_panic_and_after_an_error_until_it_is_to_stop() {
        let (stopping, told) = watch::channel(false);
        let begun = Cell::new(0);
        let run = || {
            begun.set(begun.get() + 1);
            match begun.get() {
                1 => panic!("on purpose"),
                2 => Err(io::Error::other("on purpose")),
                _ => Ok(()),
            }
        };
        run_again(&told, Duration::ZERO, run);
        assert_eq!(begun.get(), 3);
        stopping.send_replace(true);
        run_again(&told, Duration::ZERO, run);
        assert_eq!(begun.get(), 3, "it is to stop");
    }
}
