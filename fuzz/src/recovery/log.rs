//! The log that is edited, and all states that it ever had, as far back as it tells.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use falconqueue::ids::Lsn;
use falconqueue::rebuilt::Rebuilt;
use falconqueue::time::Timestamp;
use falconqueue::wal::{LogDevice, MemoryDevice, Record, Restore, WalError, inspect, names};

use super::Found;
use crate::bytes::{Namer, namers};
use crate::seeds;

pub type Files = BTreeMap<String, Vec<u8>>;

pub struct Log {
    pub files: Files,
    namers: Vec<Namer>,
    states: BTreeMap<u64, Vec<String>>,
}

/// Everything of it is durable.
pub fn device_of(files: &Files) -> MemoryDevice {
    let device = MemoryDevice::default();
    for (name, content) in files {
        device.create(name).and_then(|mut file| file.append(content)).expect("a file in memory");
    }
    device.kill()
}

pub fn files_of(device: &MemoryDevice) -> Files {
    let listed = device.names().expect("a memory device lists its names").into_iter();
    listed.map(|name| (name.clone(), device.read(&name).expect("it is listed"))).collect()
}

impl Log {
    pub fn get() -> &'static Log {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let files: Files = seeds::fixture().into_iter().collect();
            let device = device_of(&files);
            let namers = namers(&device);
            // Without its newest snapshot the log tells more of the past.
            let newest = names::snapshots(&device.names().expect("a memory device lists its names")).pop();
            device.remove(&names::snapshot(newest.expect("a snapshot"))).expect("it is there");
            let mut watch = Watch { rebuilt: Rebuilt::default(), states: BTreeMap::new() };
            watch.note(Lsn(0));
            inspect(&device, &mut watch).expect("a clean log");
            assert!(watch.states.len() > 50);
            Log { files, namers, states: watch.states }
        })
    }

    /// Holds what a damaged log came to against what it was.
    pub fn holds(&self, after: &Files, found: &Found) {
        let is_whole = |namer: &&Namer| {
            let (before, after) = (&self.files[&namer.file], after.get(&namer.file));
            let place = |content: &Vec<u8>| content.get(namer.from..namer.to).map(<[u8]>::to_vec);
            // A snapshot ends where its file does.
            let same_end = namer.file.ends_with(".wal") || after.is_some_and(|after| after.len() == before.len());
            same_end && after.and_then(place) == place(before)
        };
        let vouched = self.namers.iter().filter(is_whole).map(|namer| namer.durable).max().unwrap_or(0);
        assert!(found.last >= vouched, "cut after {}, and {vouched} is vouched for", found.last);
        assert_eq!(self.states.get(&found.last), Some(&found.state), "the state after record {}", found.last);
    }
}

/// Notes the state after each group.
struct Watch {
    rebuilt: Rebuilt,
    states: BTreeMap<u64, Vec<String>>,
}

impl Watch {
    fn note(&mut self, lsn: Lsn) {
        self.states.insert(lsn.0, self.rebuilt.queues.describe());
    }
}

impl Restore for Watch {
    fn begun(&mut self, lsn: Lsn) {
        self.rebuilt.begun(lsn);
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> Result<(), WalError> {
        self.rebuilt.block(kind, body)
    }

    fn loaded(&mut self, lsn: Lsn, at: Timestamp) -> Result<(), WalError> {
        self.rebuilt.loaded(lsn, at)?;
        self.note(lsn);
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), WalError> {
        self.rebuilt.record(record)?;
        if !record.head.more {
            self.note(record.head.lsn);
        }
        Ok(())
    }
}
