//! What a later falcond wrote: looked for before anything else, in every file, whatever else may be wrong with it.

use crate::wal::device::LogDevice;
use crate::wal::error::WalError;
use crate::wal::names;
use crate::wal::segment::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::wal::snapshot::file::SnapshotHeader;

/// Refuses a directory in which a file is of a later version.
pub fn refuse(device: &dyn LogDevice, listed: &[String]) -> Result<(), WalError> {
    written_later(device, listed).next().map_or(Ok(()), Err)
}

/// The files of a later version, each as an error. One that cannot be read is passed over: whoever needs it says so.
pub fn written_later(device: &dyn LogDevice, listed: &[String]) -> impl Iterator<Item = WalError> {
    let is_spare = |name: &&String| names::spare_number(name).or(names::room_number(name)).is_some();
    let spares = listed.iter().filter(is_spare).cloned();
    let segments = names::segments(listed).into_iter().map(names::segment).chain(spares).filter_map(|name| {
        let fault = SegmentHeader::decode(&head(device, &name)?).err()?;
        fault.is_later().then(|| WalError::later(name, fault))
    });
    let snapshots = names::snapshots(listed).into_iter().map(names::snapshot).filter_map(|name| {
        let fault = SnapshotHeader::decode(&head(device, &name)?).err()?;
        fault.is_later.then(|| fault.in_file(&name))
    });
    segments.chain(snapshots)
}

fn head(device: &dyn LogDevice, name: &str) -> Option<Vec<u8>> {
    device.read_piece(name, 0, SEGMENT_HEADER_BYTES).ok()
}
