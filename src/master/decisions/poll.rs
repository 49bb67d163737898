//! Poll: the request waits in the lines of its queues. It is answered at the end of the turn at the earliest, so that
//! polls which came before it are answered before it.

use super::super::dispatch::Dispatch;
use super::super::journal::Journal;
use super::super::parked::{Caller, JobsWish, Parked, Wish};
use crate::ids::{QueueId, SessionId};
use crate::protocol::{ErrorCode, Header, Poll, Refusal};
use crate::time::{Millis, Timestamp};

/// Parks a poll; gives its number. Where more names are polled than may be, it waits for those that are there.
pub(super) fn poll(
    journal: &mut Journal,
    (parked, dispatch): (&mut Parked, &mut Dispatch),
    session: SessionId,
    header: &Header,
    poll: &Poll<'_>,
    now: Timestamp,
    named: &mut Vec<QueueId>,
) -> Result<u32, Refusal> {
    if poll.free == 0 && poll.extra.is_none() {
        return Err(Refusal::new(ErrorCode::BadValue, "free is 0 and there is no extra: the poll asks for no job"));
    }
    named.clear();
    for name in poll.queues.iter() {
        named.extend(journal.queues.polled(name));
    }
    let caller = Caller {
        session,
        correlation: header.correlation,
        since: now,
        deadline: now.plus(Millis(u64::from(poll.wait_ms))),
    };
    let wish = JobsWish {
        free: poll.free,
        extra: poll.extra.unwrap_or(0),
        payload_bytes_max: poll.payload_bytes_max.unwrap_or(u32::MAX),
        lease_ms: poll.lease_ms,
    };
    let number = parked.park(caller, Wish::Jobs(wish), named);
    dispatch.parked(named);
    Ok(number)
}
