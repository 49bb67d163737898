//! Events: everything that changes a job, decided once by the master and written to the log.
//!
//! An event carries what was decided (ids, moments, the retry moment with its jitter already drawn),
//! so that replay needs no policy, no clock and no randomness. Its body in the log is its fields, its extras and
//! then its tail, to the end of the record (see [`crate::codec`]). The names are those of `falcon-cli wal dump`.
//!
//! What a person asked for carries `by`: what the client that asked called itself.

mod about;
mod reasons;
mod room;

use crate::codec::message;
use crate::codec::{DecodeError, Fault, Field, Message, Reader, Value};
use crate::ids::{BatchId, JobId, LeaseId};
use crate::job::{Backoff, Before, BeforeList, HeadersText, IfFailed, Settings, StoryText};
use crate::rules::{GroupSettings, QueueSettings, Way};
use crate::schedule::{Plan, TickOutcome};
use crate::time::Timestamp;

pub use reasons::{DeathReason, Part, ReleaseReason};
pub use room::{CANCEL_BYTES, END_BYTES, HAND_OUT_BYTES, READY_BYTES};

/// Declares the events: number, name in listings, and fields of each.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $kind:literal $word:literal $name:ident $(<$life:lifetime>)? { $($fields:tt)* }
        $(extras { $($extras:tt)* })? $(tail $tail:ident: $type:ty)?;
    )*) => {
        $(message! {
            $(#[$doc])*
            $name $(<$life>)? { $($fields)* } $(extras { $($extras)* })? $(tail $tail: $type)?
        })*

        /// Something that happened to a job or a queue.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Event<'a> {
            $($name($name $(<$life>)?),)*
        }

        $(impl<'a> From<$name $(<$life>)?> for Event<'a> {
            fn from(event: $name $(<$life>)?) -> Self {
                Event::$name(event)
            }
        })*

        impl<'a> Event<'a> {
            /// Every kind with its name.
            pub const KINDS: &'static [(u8, &'static str)] = &[$(($kind, $word)),*];

            /// The number of this event's kind in the log.
            pub fn kind(&self) -> u8 {
                match self { $(Event::$name(_) => $kind),* }
            }

            pub fn name(&self) -> &'static str {
                match self { $(Event::$name(_) => $word),* }
            }

            /// Its bytes that lie at the end of its record.
            pub fn tail(&self) -> &'a [u8] {
                let tail = match self { $(Event::$name(event) => event.tail()),* };
                tail.unwrap_or_default()
            }

            /// Tells each field with its name.
            pub fn show(&self, see: &mut dyn FnMut(&'static str, Value<'_>)) {
                match self { $(Event::$name(event) => event.show_fields(see)),* }
            }

            /// Writes the body up to its tail, and returns that: the log copies it straight to its place, so a payload
            /// is copied once.
            pub fn encode_head(&self, out: &mut Vec<u8>) -> &'a [u8] {
                let tail = match self {
                    $(Event::$name(event) => {
                        event.write_head(out);
                        event.tail()
                    })*
                };
                tail.unwrap_or_default()
            }

            /// Reads the body of a record of this kind.
            ///
            /// # Errors
            /// The field that was wrong; one `is_unknown` if a later version may know the kind or what is in it.
            pub fn decode(kind: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
                let mut reader = Reader::new(body);
                let event = match kind {
                    $($kind => Event::$name($name::read_whole::<false>(&mut reader)?),)*
                    _ => return Err(DecodeError::new("event", Fault::Unknown(u64::from(kind)))),
                };
                reader.finish()?;
                Ok(event)
            }

            /// One of each kind, for tests.
            pub fn samples(number: &mut u64) -> Vec<Self> {
                vec![$(Event::$name(Field::sample(number))),*]
            }
        }
    };
}

events! {
    /// A job was accepted.
    1 "ENQUEUE" Enqueue<'a> {
        job: JobId;
        queue: &'a str;
        /// Empty for none.
        key: &'a str;
        settings: Settings;
        /// Not delivered before this; 0 for at once.
        due_at: Timestamp;
    } extras {
        /// Of the payload of a job with a key.
        1 digest: u64;
        /// How long it is kept after its end; without it as long as its queue says then.
        2 keep_s: u32;
        3 backoff: Backoff;
        /// If it was not begun by then, it ends.
        4 expires_at: Timestamp;
        /// Without it the job is in none.
        5 group: &'a str;
        /// Its key is held until then, whatever becomes of it.
        6 key_until: Timestamp;
        /// Its key is held until it is handed out.
        7 key_until_start: bool;
        /// It waits for these to end. Its delay is then counted from there, and it has no time.
        8 before: BeforeList<'a>;
        9 if_failed: IfFailed;
        10 delay_ms: u64;
        /// It is to be given the results of those.
        11 with_results: bool;
        /// It is a member of this batch, and waits until that is sealed.
        12 batch: BatchId;
        /// The last of all extras, so that they lie right before the payload.
        255 headers: HeadersText<'a>;
    } tail payload: &'a [u8];

    /// A job was handed to a worker's poll; its lease id is the LSN of this record.
    2 "DISPATCH" Dispatch<'a> {
        job: JobId;
        /// 1 for the first delivery.
        attempt: u16;
        lease_ms: u32;
        /// Who the worker said it is.
        worker: &'a str;
    };

    /// The attempt did its work.
    3 "ACK" Ack<'a> {
        job: JobId;
        lease: LeaseId;
        /// Its key is remembered until then; 0 if it has none.
        key_until: Timestamp;
    } extras {
        /// There was no room for its result.
        1 text_lost: bool;
        /// It is kept until then; without it, it is gone.
        2 kept_until: Timestamp;
    } tail result: &'a [u8];

    /// The attempt failed; there will be another.
    4 "RETRY" Retry<'a> {
        job: JobId;
        lease: LeaseId;
        retry_at: Timestamp;
    } tail story: StoryText<'a>;

    /// The lease ran out; there will be another attempt.
    5 "TIMEOUT" Timeout<'a> {
        job: JobId;
        lease: LeaseId;
        retry_at: Timestamp;
    } tail story: StoryText<'a>;

    /// There will be no further attempt.
    6 "DEAD" Dead<'a> {
        job: JobId;
        /// The lease of the last attempt.
        lease: LeaseId;
        reason: DeathReason;
    } extras {
        /// There was no room for its story, or for all of its error.
        1 text_lost: bool;
        /// Until then it holds its key, if it has one.
        2 key_until: Timestamp;
        /// It is kept until then; without it, until somebody requeues or purges it.
        3 kept_until: Timestamp;
    } tail story: StoryText<'a>;

    /// The job was given back; the attempt is not counted.
    7 "RELEASE" Release {
        job: JobId;
        lease: LeaseId;
        /// Not delivered again before this; 0 for at once, and then where it stood in line.
        due_at: Timestamp;
        reason: ReleaseReason;
    };

    /// The job is not to run. One in flight goes on until its worker reports, its lease ends, or this comes again.
    8 "CANCEL" Cancel<'a> {
        job: JobId;
        /// Whether this is its end.
        ends: bool;
    } extras {
        /// It is kept until then; without it, it is gone.
        1 kept_until: Timestamp;
        2 by: &'a str;
        /// That it did not complete is known until then.
        3 failed_until: Timestamp;
        /// For what became of this one, which it waited for.
        4 before: Before;
    };

    /// A dead job gets all its attempts again.
    9 "REQUEUE" Requeue<'a> {
        job: JobId;
    } extras {
        2 by: &'a str;
    };

    /// A job that is not in flight is gone, and nothing is kept of it.
    10 "PURGE" Purge<'a> {
        job: JobId;
    } extras {
        2 by: &'a str;
        /// That it did not complete is known until then.
        3 failed_until: Timestamp;
    };

    /// A queue takes no jobs in, or hands none out.
    11 "PAUSE" Pause<'a> {
        queue: &'a str;
        way: Way;
        /// It goes on by itself then; 0 for never.
        until: Timestamp;
    } extras {
        1 reason: &'a str;
        2 by: &'a str;
    };

    /// It does again.
    12 "RESUME" Resume<'a> {
        queue: &'a str;
        way: Way;
    } extras {
        2 by: &'a str;
    };

    /// A part of the job lies in this record from now on; nothing else about it changed.
    13 "MOVE" Move<'a> {
        job: JobId;
        part: Part;
    } tail bytes: &'a [u8];

    /// A queue without jobs is no longer known; what was counted in it stays in the totals.
    14 "FORGET" Forget<'a> {
        queue: &'a str;
    } extras {
        2 by: &'a str;
    };

    /// The job was not begun in time.
    15 "EXPIRE" Expire {
        job: JobId;
    } extras {
        /// It is kept until then; without it, it is gone.
        1 kept_until: Timestamp;
        /// That it did not complete is known until then.
        3 failed_until: Timestamp;
    };

    /// Some of what was settled when the job was submitted is another thing now.
    16 "UPDATE" Update<'a> {
        job: JobId;
    } extras {
        /// It waits at the end of the line of this priority.
        1 priority: u8;
        2 by: &'a str;
        3 max_attempts: u16;
        /// Not delivered before this; 0 for at once.
        4 due_at: Timestamp;
        /// If it was not begun by then, it ends; 0 for never.
        5 expires_at: Timestamp;
    };

    /// What holds in a queue from now on; what is not said is as everywhere.
    17 "SET" Set<'a> {
        queue: &'a str;
        settings: QueueSettings;
    } extras {
        2 by: &'a str;
    };

    /// A job that was not begun has another payload and other times.
    19 "REPLACE" Replace<'a> {
        job: JobId;
        /// Not delivered before this; 0 for at once.
        due_at: Timestamp;
        /// Of the payload.
        digest: u64;
    } extras {
        /// If it was not begun by then, it ends; without it never.
        4 expires_at: Timestamp;
    } tail payload: &'a [u8];

    /// What holds for one group of a queue from now on; what is not said is as for each of its groups.
    18 "SET_GROUP" SetGroup<'a> {
        queue: &'a str;
        /// Empty for the jobs that are in none.
        group: &'a str;
        settings: GroupSettings;
    } extras {
        2 by: &'a str;
    };

    /// A schedule is there from now on, or is another one than before.
    20 "SCHEDULE" Schedule<'a> {
        name: &'a str;
        /// Its next tick, and the same with its jitter; 0 for none.
        next_at: Timestamp;
        due_at: Timestamp;
        /// Where its spans are counted from.
        anchor: Timestamp;
        plan: Plan<'a>;
    } extras {
        2 by: &'a str;
    };

    /// It is there no more; the jobs that it made are left alone.
    21 "UNSCHEDULE" Unschedule<'a> {
        name: &'a str;
    } extras {
        2 by: &'a str;
    };

    /// A tick of a schedule is over, and so are all before it. The job that it made follows in the same group.
    22 "TICK" Tick<'a> {
        name: &'a str;
        tick_at: Timestamp;
        next_at: Timestamp;
        due_at: Timestamp;
        outcome: TickOutcome;
    } extras {
        1 made: JobId;
        /// Of a job that somebody asked for: the schedule goes on as it would have.
        2 by: &'a str;
    };

    /// A schedule makes no jobs, until it is told to go on.
    23 "SUSPEND" Suspend<'a> {
        name: &'a str;
    } extras {
        2 by: &'a str;
    };

    /// Those have ended that the job waited for: it is pending, or its delay begins.
    25 "READY" Ready {
        job: JobId;
    };

    /// A batch is there, and takes members.
    26 "BEGIN" Begin<'a> {
        batch: BatchId;
        name: &'a str;
        /// How long it is known once it is over.
        known_ms: u64;
    } extras {
        2 by: &'a str;
    };

    /// All its members are there: they are let go from now on.
    27 "END" End<'a> {
        batch: BatchId;
    } extras {
        2 by: &'a str;
    };

    /// Its members up to this one are pending, or their delays begin; some of them may wait for others still.
    28 "ADMIT" Admit {
        batch: BatchId;
        upto: JobId;
    };

    /// Its members are to be cancelled, and none comes any more.
    29 "CALL_OFF" CallOff<'a> {
        batch: BatchId;
    } extras {
        /// Without it, whoever filled the batch was gone for too long.
        2 by: &'a str;
    };

    /// It makes jobs again.
    24 "CONTINUE" Continue<'a> {
        name: &'a str;
        next_at: Timestamp;
        due_at: Timestamp;
    } extras {
        2 by: &'a str;
    };
}

#[cfg(test)]
mod tests;
