//! Mending: carries out what was decided. After each step recovery would decide the same again, so a crash in the
//! midst costs nothing. Whatever is taken out of the log and is not zeros is kept for a person.

use std::io;

use super::found::{Cut, Mending};
use crate::ids::Lsn;
use crate::limits::GROUP_BYTES_MAX;
use crate::wal::device::LogDevice;
use crate::wal::error::WalError;
use crate::wal::names;
use crate::wal::segment::header::SegmentHeader;
use crate::wal::segment::reader::is_zero;

/// Carries it out; `next` is the LSN at which the log will go on.
pub fn mend(device: &dyn LogDevice, mending: &Mending, next: Lsn) -> Result<(), WalError> {
    if mending.unsynced > 0 {
        let (records, before) = (mending.unsynced, next.0 - 1);
        log::warn!("{records} records after record {before} were never synced and arrived out of order");
    }
    // The newest go first: what is left always continues what is before it.
    for first in mending.drop.iter().rev() {
        drop_segment(device, *first).map_err(WalError::io("moving a segment away"))?;
    }
    if let Some(cut) = &mending.cut {
        cut_tail(device, cut, next).map_err(WalError::io("cutting the torn tail"))?;
    }
    for first in &mending.remove {
        let name = names::segment(*first);
        device.remove(&name).map_err(WalError::io(format!("removing segment {name}")))?;
        log::info!("segment {name} holds nothing that is needed; it was removed");
    }
    if mending.cuts() || !mending.remove.is_empty() {
        device.sync_names().map_err(WalError::io("syncing the data directory"))?;
    }
    Ok(())
}

fn cut_tail(device: &dyn LogDevice, cut: &Cut, next: Lsn) -> io::Result<()> {
    let Cut { segment, offset, bytes, bad } = *cut;
    let name = names::segment(segment);
    let content = device.read(&name)?;
    let tail = content.get(offset as usize..).unwrap_or_default();
    let torn_bytes = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut kept = "nowhere, since they are zeros".to_owned();
    if torn_bytes > 0 {
        kept = free_name(device, &format!("{segment:020}-{offset}"))?;
        // On a full disk the log goes on without the copy: nobody was told of what is in it.
        if let Err(error) = keep(device, &kept, &tail[..torn_bytes.min(GROUP_BYTES_MAX)]) {
            device.remove(&kept)?;
            kept = format!("nowhere ({error})");
        }
    }
    device.zero(&name, offset, bytes)?;
    log::warn!(
        "the log was cut after record {}, where there is {bad} (segment {name}, byte {offset}); nothing that was \
         answered with --sync always is lost; the torn bytes are kept in {kept}",
        next.0 - 1,
    );
    Ok(())
}

fn keep(device: &dyn LogDevice, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = device.create(name)?;
    file.append(bytes)?;
    file.sync()?;
    device.sync_names()
}

fn drop_segment(device: &dyn LogDevice, first: Lsn) -> io::Result<()> {
    let name = names::segment(first);
    let content = device.read(&name)?;
    // Zeros, or a file that is used again and was named before it got its new header.
    let was_begun = SegmentHeader::decode(&content).map_or(true, |header| header.first_lsn == first);
    if !was_begun || is_zero(&content) {
        device.remove(&name)?;
        log::info!("segment {name} was begun but never used; it was removed");
        return Ok(());
    }
    let kept = free_name(device, &format!("{first:020}-0"))?;
    device.rename(&name, &kept)?;
    log::warn!("segment {name} holds nothing that was synced; it was moved to {kept}");
    Ok(())
}

fn free_name(device: &dyn LogDevice, stem: &str) -> io::Result<String> {
    let taken = device.names()?;
    let mut number = 0u32;
    loop {
        let name = format!("{stem}-{number}.cut");
        if !taken.contains(&name) {
            return Ok(name);
        }
        number += 1;
    }
}
