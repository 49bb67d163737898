//! A state that was built from anything: a snapshot of it comes back as the same.

use falconqueue::ids::Lsn;
use falconqueue::queue::{Queues, Slice};
use falconqueue::rebuilt::Rebuilt;
use falconqueue::time::Timestamp;
use falconqueue::wal::Restore;

/// Takes a snapshot and reads it again.
pub fn comes_back(mut queues: Queues, at: Timestamp) {
    let mut rebuilt = Rebuilt::default();
    let mut slice = queues.begin_snapshot();
    loop {
        match slice {
            Slice::Block(kind, body) => rebuilt.block(kind, &body).expect("a block that was just written"),
            Slice::Nothing => {}
            Slice::Done => break,
        }
        slice = queues.snapshot_slice(1000);
    }
    rebuilt.loaded(Lsn(1), at).expect("it was just written");
    rebuilt.queues.check();
    assert_eq!(rebuilt.queues.describe(), queues.describe());
}
