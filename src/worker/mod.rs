//! Workers: programs that poll for jobs, run them, and report what came of them.
//!
//! A worker is a [`JobSource`] (a master over TCP, or in the same process) and a [`Pool`] that runs a [`Handler`] on
//! each job; [`CommandHandler`] runs a command. One more thread keeps the leases. To run jobs in a program of your
//! own, implement [`Handler`] and start a pool.

pub mod args;

mod cancel;
mod exec;
mod handler;
mod keeper;
mod pool;
mod report;
mod source;

pub use cancel::{Cancel, StopReason};
pub use exec::CommandHandler;
pub use handler::{Handler, Outcome};
pub use pool::{Pool, PoolConfig, PoolStopper};
pub use source::{JobSource, MakeSource, local, remote};
