//! `falcon-cli snapshot`: asks for a snapshot and waits until it is on the master's disk.

use serde_json::json;

use super::args::Common;
use super::render::tell;
use super::{Stop, connect};
use crate::protocol::SnapshotOk;

pub fn run(common: &Common) -> Result<(), Stop> {
    let SnapshotOk { lsn, bytes } = connect::client(common)?.snapshot()?;
    let text = format!("a snapshot at LSN {lsn} is on disk, {bytes} bytes");
    Ok(tell(common.output, text, json!({"lsn": lsn, "bytes": bytes}), lsn.to_string())?)
}
