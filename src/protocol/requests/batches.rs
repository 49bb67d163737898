//! What a client asks of batches.

use super::super::bounds::{batch_name, batch_or_none, within};
use crate::codec::message;
use crate::limits::{BATCHES_TOLD_MAX, WAIT_MS_MAX};

message! {
    /// Begins a batch, or goes on filling one that is open.
    BeginBatch<'a> {
        batch: &'a str => batch_name;
    }
}

message! {
    /// All members are there: they may be handed out.
    EndBatch<'a> {
        batch: &'a str => batch_name;
    }
}

message! {
    /// Asks how far a batch is, and waits for its end.
    ShowBatch<'a> {
        batch: &'a str => batch_name;
        /// How long to wait until it is over; 0 for not at all.
        wait_ms: u32 => within(0, WAIT_MS_MAX.into());
    }
}

message! {
    /// Cancels all members of a batch that have not ended; no further ones are taken.
    CancelBatch<'a> {
        batch: &'a str => batch_name;
    }
}

message! {
    /// Lists batches, by their names.
    ListBatches<'a> {
        /// Where to go on: those behind this name.
        behind: &'a str => batch_or_none;
        limit: u16 => within(1, BATCHES_TOLD_MAX);
    }
}
