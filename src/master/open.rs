//! Opening: the state is rebuilt from the newest snapshot and the log after it.

use std::sync::Arc;

use super::{Config, Master, Opened, Random};
use crate::rebuilt::Rebuilt;
use crate::wal::{LogDevice, Progress, Wal, WalConfig, WalError};

impl Master {
    /// Reads the log and rebuilds the state from it; `progress` tells others how far it is.
    pub fn open(config: Config, device: Arc<dyn LogDevice>, progress: &Progress) -> Result<Opened, WalError> {
        let mut random = Random(config.seed);
        let log_id = u128::from(random.next()) << 64 | u128::from(random.next());
        let mut rebuilt = Rebuilt::default();
        let settings = WalConfig { segment_bytes: config.segment_bytes, log_id, beside: config.beside };
        let wal = Wal::open(device, settings, progress, &mut rebuilt)?;
        let Rebuilt { queues, last_at, .. } = rebuilt;
        let mut master = Master::new(config, queues, wal, random);
        let reserved = master.journal.reserved_bytes(0);
        master.journal.wal.fill_room(reserved)?;
        Ok(Opened { master, last_at })
    }
}
