//! FalconQueue.
pub mod codec;
pub mod ids;
pub mod limits;
pub mod protocol;
pub mod queue;
pub mod time;
pub mod wal;
