//! FalconQueue.
pub mod cli;
pub mod client;
pub mod codec;
pub mod daemon;
pub mod exit;
pub mod ids;
pub mod limits;
pub mod master;
pub mod protocol;
pub mod queue;
pub mod reactor;
pub mod time;
pub mod wal;
pub mod worker;
