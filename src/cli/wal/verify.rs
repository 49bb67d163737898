//! `falcon-cli wal verify`: reads everything in a log and tells what is damaged. Nothing is changed, and a master may
//! be writing.

use std::path::Path;
use std::thread;

use serde_json::json;

use super::dir::{self, LOOKS_MAX, PAUSE};
use super::watched::Watched;
use crate::cli::Stop;
use crate::cli::args::Common;
use crate::cli::render::Renderer;
use crate::exit::{self, Failure};
use crate::rebuilt::Rebuilt;
use crate::wal::{Verified, WalError, verify};
use crate::words::counted;

pub fn run(common: &Common, dir: &Path) -> Result<(), Stop> {
    let (device, _) = dir::open(dir)?;
    let watched = Watched::new(device)?;
    let found = look(&watched);
    watched
        .look_at_ctrl_c("nothing was changed, and nothing is said of what was read: the same command begins anew")?;
    watched.end();
    let found = found?;
    let mut renderer = Renderer::new(common.output);
    for fault in &found.faults {
        let (file, offset) = fault.place();
        let place = [file.clone(), offset.map(|offset| offset.to_string())];
        let json = json!({"file": file, "offset": offset, "fault": fault.to_string()});
        let quiet = place.into_iter().flatten().collect::<Vec<_>>().join(":");
        renderer.line(fault.to_string(), json, quiet)?;
    }
    for torn in &found.torn {
        exit::say(&format!("falcon-cli: {torn}; if a master is writing this log now, that is its newest record"));
    }
    let shown = dir.display();
    if !found.faults.is_empty() {
        renderer.flush()?;
        let faults = counted(found.faults.len() as u64, "fault");
        return Err(Failure::new(exit::DATA_DAMAGED, format!("{faults} in {shown}")).into());
    }
    let Verified { segments, records, snapshots, bytes, torn, .. } = &found;
    let parts = [(*segments as u64, "segment"), (*records, "record"), (*snapshots as u64, "snapshot")];
    let parts = parts.map(|(count, noun)| counted(count, noun)).join(", ");
    renderer.line(
        format!("{shown} is whole: {parts}, {bytes} bytes"),
        json!({"segments": segments, "records": records, "snapshots": snapshots, "bytes": bytes, "torn": torn}),
        format!("{segments} {records} {snapshots} {bytes}"),
    )?;
    Ok(renderer.flush()?)
}

/// Verifies once, or while there are faults until two looks agree: what a master does between two reads can pass for
/// a fault.
pub fn look(device: &Watched) -> Result<Verified, WalError> {
    let mut before = None;
    for _ in 1..LOOKS_MAX {
        let found = look_once(device)?;
        let places: Vec<_> = found.faults.iter().map(WalError::place).collect();
        if places.is_empty() || device.is_stopped() || before.as_ref() == Some(&places) {
            return Ok(found);
        }
        before = Some(places);
        thread::sleep(PAUSE);
    }
    look_once(device)
}

fn look_once(device: &Watched) -> Result<Verified, WalError> {
    device.expect_all(1);
    verify(device, &mut Rebuilt::default(), |state: &Rebuilt, epochs| {
        state.check_segments(|epoch| epochs.binary_search(&epoch).is_ok())
    })
}
