//! What clients asked and heard, and a judge of it. A [`History`] is recorded from outside; [`check`] holds it
//! against the promises of the crate and gives every [`Violation`]. It is pure: no clock, no socket, no crate.
//!
//! The judge must be **sound**: it flags only what no master that keeps its promises can have caused. Three facts
//! carry all of its rules.
//!
//! * An operation took effect at one moment between its `start` (nothing was sent before) and its `end` (the
//!   answer was read, or the connection was seen to be broken). One with an unknown outcome took effect in that
//!   span, or never: a master that is dead, or has closed a connection, does nothing for it afterwards.
//! * An answer leaves only when what it tells is durable, so an OK, and a refusal too, is for ever.
//! * Job ids follow the order in which jobs entered, lease ids the order in which they left; neither repeats.
//!
//! Keys are taken to be remembered for the whole history: no job with a key is cancelled, purged or requeued, or
//! expires. Each submit without a key must have a payload of its own: only by that is a job known whose submit got no
//! answer.
//!
//! The rules stand at [`Rule`], each with the reason why it is sound.

// One crate makes histories up, the other one records them.
#![allow(dead_code)]

mod index;
mod leases;
mod ledger;
mod lines;
mod mending;
pub mod mutate;
pub mod synth;
mod updates;

use std::collections::{BTreeMap, BTreeSet};

/// Nanoseconds of a monotonic clock that all clients of a history share.
pub type Ns = u64;

pub const MS: Ns = 1_000_000;

/// The code of a refusal because of the lease.
pub const LEASE_LOST: u16 = 10;

/// The code of a report of a job that was cancelled, and of what is not there.
pub const CANCELLED: u16 = 21;
pub const NOT_FOUND: u16 = 11;

/// The code of what cannot be done to a job where it stands.
pub const WRONG_STATE: u16 = 24;

/// What `max_attempts` 0 stands for.
pub const DEFAULT_ATTEMPTS: u16 = 5;

/// The master counts whole milliseconds of the system's clock, which is corrected now and then; we count those
/// of a monotonic one. What is too early by less than this is not held against it.
pub const CLOCK_SLACK: Ns = 20 * MS;

/// The lease of a broken connection is cut to no less than this (`falcond --grace`).
pub const GRACE: Ns = 2_000 * MS;

/// The operations of all clients, in any order.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub ops: Vec<Op>,
}

#[derive(Clone, Debug)]
pub struct Op {
    pub client: usize,
    pub start: Ns,
    pub end: Ns,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Submit(Submit, Outcome<Submitted>),
    Poll(Poll, Outcome<Vec<Delivery>>),
    /// Of one lease; a frame with many items is as many operations.
    End(Ending, Lease, Outcome<()>),
    /// OK says whether the lease lives.
    Heartbeat(Lease, Outcome<bool>),
    /// Of one job.
    Mend(Change, u64, Outcome<()>),
    /// OK says where each job stands, as on the wire.
    Wait(Wait, Outcome<Ends>),
    Gate(Gate, Outcome<()>),
    /// What a queue keeps of jobs that say nothing of it themselves.
    Keep(Keep, Outcome<()>),
    /// Of a job's result.
    Read(u64, Outcome<()>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<T> {
    Ok(T),
    /// Refused with this code.
    Refused(u16),
    /// The connection broke before the answer came.
    Unknown,
    /// Neither an answer nor the end of the connection came in time.
    Silence,
}

impl<T> Outcome<T> {
    pub fn ok(&self) -> Option<&T> {
        if let Outcome::Ok(t) = self { Some(t) } else { None }
    }

    /// It may have taken effect.
    pub fn possible(&self) -> bool {
        !matches!(self, Outcome::Refused(_))
    }
}

/// Bytes by their first eight, their number and a hash of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payload {
    pub head: u64,
    pub bytes: usize,
    pub hash: u64,
}

impl Payload {
    pub fn of(bytes: &[u8]) -> Payload {
        let mut head = [0; 8];
        let known = bytes.len().min(8);
        head[..known].copy_from_slice(&bytes[..known]);
        // FNV-1a, 64 bits: each step is a bijection, so one changed byte changes the hash for certain.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
        Payload { head: u64::from_be_bytes(head), bytes: bytes.len(), hash }
    }
}

#[derive(Clone, Debug)]
pub struct Submit {
    pub queue: String,
    /// Empty for none.
    pub key: String,
    pub priority: u8,
    pub max_attempts: u16,
    pub delay_ms: u64,
    /// How long it is kept after its end, and how long it may wait to be begun; 0 for neither.
    pub keep_ms: u64,
    pub ttl_ms: u64,
    pub payload: Payload,
}

impl Submit {
    pub fn attempts_max(&self) -> u16 {
        if self.max_attempts == 0 { DEFAULT_ATTEMPTS } else { self.max_attempts }
    }

    /// A job of this submit is delivered like this.
    pub fn makes(&self, got: &Delivery) -> bool {
        (&self.queue, &self.key, self.priority, self.attempts_max(), self.payload)
            == (&got.queue, &got.key, got.priority, got.max_attempts, got.payload)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Submitted {
    pub job: u64,
    pub duplicate: bool,
}

#[derive(Clone, Debug)]
pub struct Poll {
    pub queues: Vec<String>,
    pub jobs_max: u16,
    pub wait_ms: u32,
    pub lease_ms: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub job: u64,
    pub lease: u64,
    pub queue: String,
    pub key: String,
    pub priority: u8,
    pub attempt: u16,
    pub max_attempts: u16,
    pub lease_ms: u32,
    pub payload: Payload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    pub job: u64,
    pub lease: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    Ack,
    Fail { for_good: bool },
    Release { delay_ms: u64 },
}

impl Ending {
    /// Whether the attempt counts.
    pub fn counts(&self) -> bool {
        !matches!(self, Ending::Release { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Cancel,
    CancelNow,
    Requeue,
    Purge,
    Update(Update),
}

/// What an update changes, all of it at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    pub priority: Option<u8>,
    pub max_attempts: Option<u16>,
    pub delay_ms: Option<u64>,
}

impl Change {
    pub fn is_cancel(self) -> bool {
        matches!(self, Change::Cancel | Change::CancelNow)
    }

    pub fn update(self) -> Option<Update> {
        if let Change::Update(update) = self { Some(update) } else { None }
    }
}

#[derive(Clone, Debug)]
pub struct Wait {
    pub jobs: Vec<u64>,
    pub any: bool,
    pub wait_ms: u32,
}

/// Jobs, each with the number of where it stands.
pub type Ends = Vec<(u64, u8)>;

/// Opens the way out of a queue, or closes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    pub queue: String,
    /// How long it is closed; nothing where it is opened.
    pub for_ms: Option<u64>,
}

impl Gate {
    pub fn closes(&self) -> bool {
        self.for_ms.is_some()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    pub queue: String,
    pub keep_ms: u64,
}

/// What was left when producers had stopped and workers had gone on until nothing came any more.
#[derive(Clone, Debug, Default)]
pub struct Left {
    pub queues: BTreeMap<String, Counts>,
    /// The ids of the dead, if there was a way to learn them. Without it a job that was lost after an ack of
    /// unknown outcome may be taken for one that is done.
    pub dead_jobs: Option<BTreeSet<u64>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub completed: u64,
    pub dead: u64,
    /// Pending, delayed or in flight.
    pub open: u64,
    /// Cancelled or expired.
    pub gone: u64,
    /// Purged, wherever they stood: one that was completed or cancelled before is counted there, too.
    pub purged: u64,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub text: String,
}

/// What a history may break, and why a flag is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Each request gets an answer, or the end of its connection, within the client's time-out.
    Unanswered,
    /// Promises 1 and 4. After the drain a job of an OK submit, or one that was delivered, has an ack (OK or
    /// unknown), or is dead, or may have been cancelled or have expired. Dead by its id where ids are known. Otherwise
    /// only if it can be: failed for good, or its seen attempts and those that unknown polls may hide reach the bound;
    /// and no more jobs need to be dead than are counted. An unknown ack may have been done, so it excuses its job
    /// unless a name among the dead or a count speaks against it.
    Lost,
    /// The drain came to its end: something stays open that nobody gets.
    NotDrained,
    /// The counts of the master lie between what must be and what may be. A submit without an answer may be a
    /// job, but one; an unknown ack or fail may have been done.
    Totals,
    /// Promise 2. A lease id above that of an OK ack was given after it, whenever its poll was seen; and so was
    /// whatever came in a poll that began when the OK was there.
    DeliveredAfterAck,
    /// The same for a fail for good, unless a requeue may have come between.
    DeliveredAfterDeath,
    /// Ids of leases never repeat, in all of a history.
    LeaseIdTwice,
    /// A poll that began after another had been answered gets higher lease ids.
    LeaseOrder,
    /// Two submits without a key, or of two keys, or two keyless payloads, got one job id.
    JobIdTwice,
    /// A submit that began after another had been answered gets a higher id, unless it is a duplicate.
    JobIdOrder,
    /// Promise 3. An OK for a lease when a higher one of its job had been answered before the request began, or
    /// for a lease that the job never had. A lease of another client's poll is known from that client's answer.
    StaleEnding,
    /// Promise 3. A lease was ended twice with OK: the first ended it.
    EndedTwice,
    /// Promise 3. A lease was reported lost, was ended, or was overtaken, and an OK or a heartbeat that began
    /// later found it alive.
    LeaseCameBack,
    /// Promises 3 and 11. A report of a lease was refused before it can have run out, and no ending of it was sent
    /// before. How long it lasts at least: see `TwoLeases`.
    RefusedAlive,
    /// Promise 3. The job was given again within its lease, and no ending of it was sent before. A lease is never
    /// shorter than the lesser of its length and the grace of a broken connection; heartbeats only extend it.
    TwoLeases,
    /// Promise 5. Two first grants of one queue and priority, of jobs without delay, not in the order of their
    /// job ids. A job's lowest seen lease is its first grant if it says attempt 1: an unseen one before would
    /// have been counted, since only a release is not, and nobody can release a lease that was not seen. Until
    /// its first grant a job was neither retried nor released.
    LineOrder,
    /// A job was given though a more urgent one of its queue, whose submit had been answered before that poll
    /// began and which had no delay, got its first grant later.
    PriorityOrder,
    /// A poll waited its whole time and got nothing, though a job of its queues, whose submit had been answered
    /// before and which had no delay, got its first grant by a poll that began after it. Polls that were
    /// answered sooner are not judged: a master that stops answers so.
    PassedOver,
    /// Promise 6: an attempt above `max_attempts`.
    TooManyAttempts,
    /// Attempts of a job grow by one with each lease: not at all behind a release; by more only as far as unknown
    /// polls that waited on the queue in between may hide a grant, one each.
    AttemptNumber,
    /// Promise 7. Delivered before its delay, or that of a release, or the least backoff of an attempt that
    /// failed or ran out, had passed; counted from the moment at which the request began, or the poll that gave
    /// the lease. Of several possible causes the earliest counts.
    TooEarly,
    /// Promise 8: a key got two job ids.
    TwoIdsForKey,
    /// An answer calls its job a duplicate, and no other submit of the key began before it came; or does not
    /// call it one, and another had not either.
    FalseDuplicate,
    /// A submit without a key made two jobs.
    SubmittedTwice,
    /// A job was delivered that no submit, unless refused, can have made.
    NeverSubmitted,
    /// Payload, queue, key, priority or bound of attempts are not those of any submit that may have made the job.
    WrongContent,
    /// A job whose cancel was answered OK was given in answer to a poll that began after that.
    DeliveredAfterCancel,
    /// A report that began after the cancel of its job was answered OK was taken: it is dropped, whatever it says.
    EndedAfterCancel,
    /// A wait was answered though not all that it waited for had ended, and its time was not over.
    WaitEarly,
    /// A wait was told an end that nothing can have caused (no ack, cancel or time to be begun before the answer), or
    /// that an earlier answer excludes: what was acked is completed for good, and is there while it is kept.
    WaitWrong,
    /// A job was said to have expired of which an attempt that counts had ended, or ends later: what has expired is
    /// never given again.
    ExpiredBegun,
    /// A poll that began after the close of its queue was answered OK got a job of it, and had ended before the queue
    /// can have been open again: by its time, by that of a later close, or by somebody.
    DeliveredInPause,
    /// A result was said not to be there, though its job was acked before, and is kept: by itself, or by all that its
    /// queue may have been told to keep when it was acked.
    ResultLost,
    /// Something was given, taken, changed or read of a job in answer to a request that began after its purge had been
    /// answered OK.
    SeenAfterPurge,
    /// A job was given with what it had before an update that had been answered OK when the poll began. One that shows
    /// a part of an update alone is `WrongContent`.
    UpdateLost,
}

/// Holds the history against every rule.
pub fn check(history: &History, left: &Left) -> Vec<Violation> {
    let mut found = Vec::new();
    unanswered(history, &mut found);
    let index = index::Index::of(history, &mut found);
    lines::check(&index, &mut found);
    for job in index.jobs.values() {
        leases::check(job, &index, &mut found);
        updates::check(job, &mut found);
    }
    ledger::check(&index, left, &mut found);
    mending::check(&index, &mut found);
    found
}

fn unanswered(history: &History, found: &mut Vec<Violation>) {
    for op in &history.ops {
        let silent = match &op.what {
            What::Submit(_, outcome) => *outcome == Outcome::Silence,
            What::Poll(_, outcome) => *outcome == Outcome::Silence,
            What::Heartbeat(_, outcome) => *outcome == Outcome::Silence,
            What::Wait(_, outcome) => *outcome == Outcome::Silence,
            What::End(_, _, outcome)
            | What::Mend(_, _, outcome)
            | What::Gate(_, outcome)
            | What::Keep(_, outcome)
            | What::Read(_, outcome) => *outcome == Outcome::Silence,
        };
        if silent {
            flag(found, Rule::Unanswered, format!("{op:?}"));
        }
    }
}

fn flag(found: &mut Vec<Violation>, rule: Rule, text: String) {
    found.push(Violation { rule, text });
}
