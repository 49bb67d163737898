//! The longest bodies of the events for which room is kept.

use super::{Ack, Admit, Cancel, Dead, Dispatch, Expire, Ready};
use crate::codec::{Field, Message};
use crate::job::Before;
use crate::limits::CLIENT_NAME_BYTES_MAX;

/// The longest body of an event that hands a job out, with the longest name of a worker.
pub const HAND_OUT_BYTES: usize = Dispatch::HEAD_BYTES + CLIENT_NAME_BYTES_MAX;

/// The longest body of an event that ends the wait of a job for others.
pub const READY_BYTES: usize =
    if Ready::HEAD_BYTES > Admit::HEAD_BYTES { Ready::HEAD_BYTES } else { Admit::HEAD_BYTES };

/// The longest body of an event that ends a job, without its texts and without who did it.
pub const END_BYTES: usize = {
    let ends = [Ack::HEAD_BYTES, Dead::HEAD_BYTES, Cancel::HEAD_BYTES, Expire::HEAD_BYTES];
    let (mut most, mut at) = (0, 0);
    while at < ends.len() {
        most = if ends[at] > most { ends[at] } else { most };
        at += 1;
    }
    most
};

/// The longest body of an event by which a person ends a job, without who did it.
pub const CANCEL_BYTES: usize = Cancel::HEAD_BYTES - EXTRA_HEAD_BYTES - EXTRA_HEAD_BYTES - Before::BYTES - BY_BYTES;

/// Tag and length of an extra.
const EXTRA_HEAD_BYTES: usize = 3;

/// The name of nobody, with its length.
const BY_BYTES: usize = 2;
