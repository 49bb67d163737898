//! Workers: programs that poll for jobs, run them, and report what came of them.
//!
//! A worker is a [`Pool`], whose clients take jobs from a master over TCP or in the same process, and a [`Handler`],
//! which runs each. One more thread keeps the leases. [`CommandHandler`] runs a command for each job, [`ReuseHandler`]
//! hands jobs to commands that stay; to run jobs in a program of your own, implement [`Handler`] and start a pool.
//!
//! A program whose pool runs commands has a [`Reaper`], so that they end with it however it ends: `falcon-worker` and
//! `falcond --workers` do, a program of your own has to start one. Without it commands of a killed program go on.

#![warn(missing_docs)]

#[cfg(any(feature = "cli", feature = "daemon"))]
pub mod args;

mod cancel;
mod crew;
mod error;
mod exec;
mod follow_ups;
mod handler;
mod keeper;
mod master;
mod pace;
mod pool;
mod processes;
mod pulse;
mod report;
mod reuse;
mod said;
mod slot;
mod source;
mod tell;

pub use cancel::{Cancel, StopReason};
pub use crew::turns::QueueShare;
pub use error::PoolError;
pub use exec::CommandHandler;
pub use handler::{Handler, Outcome};
pub use master::MasterFacts;
pub use pool::{Pool, PoolConfig, PoolStopper};
pub use processes::Reaper;
pub use reuse::ReuseHandler;
pub use said::Through;
pub use source::remote;
