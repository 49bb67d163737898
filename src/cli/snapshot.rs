//! `falcon-cli snapshot`: asks for a snapshot and waits until it is on the master's disk.

use serde_json::json;

use super::args::Common;
use super::render::{Renderer, Row};
use super::{Stop, connect};
use crate::client::Snapshot;

/// Asks for a snapshot, and tells its LSN and size.
pub fn run(common: &Common) -> Result<(), Stop> {
    let Snapshot { lsn, bytes } = connect::client(common)?.snapshot()?;
    let mut renderer = Renderer::new(common.output);
    renderer.row(&Row {
        cells: &[(format!("a snapshot at LSN {lsn} is on disk, {bytes} bytes"), 0)],
        json: json!({"lsn": lsn.0, "bytes": bytes}),
        quiet: lsn.to_string(),
    })?;
    Ok(renderer.flush()?)
}
