//! Snapshots of what the log comes to: their bytes, reading them, and writing one beside the loop.

pub mod file;
pub mod reading;
pub mod writer;
