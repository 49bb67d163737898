//! A master in the process that uses it: a durable queue in a directory, without a socket and without a daemon.
//!
//! Promises: those of the crate; an answer is on disk when it comes. The loop has a thread of its own, and jobs leave
//! through the same door as from a daemon. One process has the directory at a time, and a `falcond` that is started on
//! it later finds everything.
//! It does not: listen anywhere, catch signals, or raise limits of the process.
//!
//! ```
//! use falconqueue::client::{Poll, SubmitJob};
//! use falconqueue::embedded::{Embedded, EmbeddedConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let queue = Embedded::open(EmbeddedConfig::new(dir))?;
//! let client = queue.client("shop");
//! client.submit(&[SubmitJob::new("mail", b"to: ada@example.org")])?;
//!
//! for job in client.poll(&Poll::of(&["mail"]))? {
//!     client.ack(&[job.done(b"sent")])?;
//! }
//! queue.close()?;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod link;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use crate::master::SyncMode;
pub use link::Local;

use crate::client::Client;
use crate::ids::random_number;
use crate::limits::{KEY_WINDOW_MS_DEFAULT, SEGMENT_BYTES_DEFAULT};
use crate::master::local::LocalDoor;
use crate::master::{Config, ConfigError, Master, Progress};
use crate::reactor::{Reactor, ReactorError};
use crate::time::Millis;
use crate::wal::{DirDevice, DirLock, SegmentIo, WalError};

/// Where an embedded master keeps its jobs, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbeddedConfig {
    /// The directory; it is made if it is not there.
    pub dir: PathBuf,
    /// When the log is made durable: before each answer, unless told otherwise.
    pub sync: SyncMode,
    /// How long a key is remembered after its job ended: up to 30 days, and 1 hour unless told otherwise.
    pub key_window: Duration,
    /// Size of a segment of the log: 16 to 256 MiB in steps of 4,096 bytes, and 64 MiB unless told otherwise.
    pub segment_bytes: u32,
}

impl EmbeddedConfig {
    /// A master in this directory.
    pub fn new(dir: impl AsRef<Path>) -> EmbeddedConfig {
        EmbeddedConfig {
            dir: dir.as_ref().to_owned(),
            sync: SyncMode::Always,
            key_window: Duration::from_millis(KEY_WINDOW_MS_DEFAULT),
            segment_bytes: SEGMENT_BYTES_DEFAULT,
        }
    }
}

/// Why an embedded master could not be opened, or ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// A setting is out of bounds.
    Config(ConfigError),
    /// The directory cannot be used.
    Directory {
        /// Which.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The log cannot be read, is damaged, or another process has it.
    Log(WalError),
    /// The loop failed: nothing was acknowledged since.
    Loop(ReactorError),
    /// The loop panicked, which is a bug.
    Panicked,
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EmbeddedError::Config(error) => error.fmt(f),
            EmbeddedError::Directory { dir, source } => {
                write!(f, "the data directory {} cannot be used: {source}", dir.display())
            }
            EmbeddedError::Log(error) => error.fmt(f),
            EmbeddedError::Loop(error) => error.fmt(f),
            EmbeddedError::Panicked => f.write_str("the master in this process panicked; what it said stands above"),
        }
    }
}

impl std::error::Error for EmbeddedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EmbeddedError::Config(error) => Some(error),
            EmbeddedError::Directory { source, .. } => Some(source),
            EmbeddedError::Log(error) => Some(error),
            EmbeddedError::Loop(error) => Some(error),
            EmbeddedError::Panicked => None,
        }
    }
}

/// A master in this process. Dropping it closes it.
pub struct Embedded {
    door: LocalDoor,
    serving: Option<JoinHandle<Result<(), ReactorError>>>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the directory, reads its log, and begins to serve.
    pub fn open(config: EmbeddedConfig) -> Result<Embedded, EmbeddedError> {
        let EmbeddedConfig { dir, sync, key_window, segment_bytes } = config;
        let key_window = Millis(u64::try_from(key_window.as_millis()).unwrap_or(u64::MAX));
        let config = Config { sync, key_window, segment_bytes, seed: random_number(), ..Config::default() };
        config.validate().map_err(EmbeddedError::Config)?;
        let lock = DirLock::take(&dir).map_err(EmbeddedError::Log)?;
        let unusable = |source| EmbeddedError::Directory { dir: dir.clone(), source };
        let device = DirDevice::open(&dir, SegmentIo::Auto).map_err(unusable)?.locked(&lock);
        let opened = Master::open(config, Arc::new(device), &Progress::default()).map_err(EmbeddedError::Log)?;
        let (reactor, door) = Reactor::within(opened, &dir).map_err(EmbeddedError::Loop)?;
        let serve = move || {
            let outcome = reactor.run(|| ());
            if outcome.is_err() {
                // Helper threads may still be at the directory, so nobody else may have it while this process lives.
                std::mem::forget(lock);
            }
            outcome
        };
        let thread = std::thread::Builder::new().name("falcon-master".to_owned()).spawn(serve);
        let doing = "starting the master's thread";
        let serving = thread.map_err(|source| EmbeddedError::Loop(ReactorError::System { doing, source }))?;
        Ok(Embedded { door, serving: Some(serving) })
    }

    /// A client; this name stands in the log beside the jobs that it takes.
    pub fn client(&self, name: &str) -> Client {
        Client::new(Local::new(self.door.clone(), name))
    }

    /// Makes clients of this master for workers, as [`Pool::start`](crate::worker::Pool::start) takes them.
    pub fn workers(&self, name: &str) -> impl Fn() -> Client + use<> {
        let local = Local::new(self.door.clone(), name).saying_begun();
        move || Client::new(local.clone())
    }

    /// Ends it: all that was answered is on disk. Clients that are still there find it gone.
    ///
    /// # Errors
    /// Why the loop ended before, if it did.
    pub fn close(mut self) -> Result<(), EmbeddedError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), EmbeddedError> {
        let Some(serving) = self.serving.take() else { return Ok(()) };
        self.door.stop();
        serving.join().map_err(|_| EmbeddedError::Panicked)?.map_err(EmbeddedError::Loop)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!("closing the master in this process: {error}");
        }
    }
}
