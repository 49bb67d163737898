//! A snapshot's file, and the state in it. Of the first byte bit 0 makes the checksums right.

use falconqueue::ids::Lsn;
use falconqueue::rebuilt::Rebuilt;
use falconqueue::wal::fuzzing::{SnapshotHeader, check_file, load};
use falconqueue::wal::{LogDevice, MemoryDevice, Restore, names};

use crate::{same, seeds, whole};

pub fn run(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let mut content = rest.to_vec();
    if how & 1 == 1 {
        whole::snapshot(&mut content);
    }
    let lsn = SnapshotHeader::decode(&content).map_or(Lsn(1), |header| {
        assert_eq!(header.encode(), content[..48], "one way to write it");
        header.lsn
    });
    let device = MemoryDevice::default();
    let name = names::snapshot(lsn);
    device.create(&name).and_then(|mut file| file.append(&content)).expect("a file in memory");
    let loaded = load(&device, lsn);
    // Read whole when it is loaded, and by pieces when it was just written.
    let checked = check_file(&device, &name).is_ok();
    // Only when it is loaded the list of its segments is read.
    let Ok(loaded) = loaded else { return };
    assert!(checked && loaded.lsn == lsn && loaded.bytes == content.len() as u64);
    let mut rebuilt = Rebuilt::default();
    // Of a log that is young enough for the memory of this process.
    rebuilt.begun(Lsn(loaded.lsn.0.min(1 << 20)));
    for (kind, body) in loaded.blocks() {
        if rebuilt.block(kind, body).is_err() {
            return;
        }
    }
    if rebuilt.loaded(loaded.lsn, loaded.at).is_ok() {
        rebuilt.queues.check();
        same::comes_back(rebuilt.queues, loaded.at);
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let snapshots = seeds::fixture().into_iter().filter(|(name, _)| name.contains(".snap"));
    snapshots.flat_map(|(_, content)| [0, 1].map(|how| [&[how], &content[..]].concat())).collect()
}
