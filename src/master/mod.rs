//! The master as a value: frames, time and "durable up to" go in; replies and a deadline come out.
//!
//! Promises: state moves on at append, and a reply that tells of it leaves only when what it tells is durable (as
//! `--sync` defines it); a job leaves `pending` in one function only, in `dispatch`, to answer a poll that waits.
//! It does not: touch sockets, read clocks, start threads, or run a sync (it says what to sync and is told of the
//! outcome). So a simulation drives it whole.
//!
//! A turn, as the reactor drives it:
//!
//! 1. [`Master::begin_turn`]: time passes; leases that ran out are ended.
//! 2. [`Master::receive`] for each frame: decide, append events, apply them, write the reply behind its gate.
//! 3. [`Master::finish_turn`]: waiting polls get jobs, or are told that their wait is over.
//! 4. [`Master::sync_request`], run elsewhere; [`Master::synced`] releases what it made durable.
//! 5. [`Master::next_ready`] names the sessions that have something to send; see [`Outbox`].
//!
//! An error from any of these is the last: the daemon stops and sends nothing more.

pub mod local;

mod backoff;
mod backup;
mod checkpoint;
mod cleaning;
mod config;
mod dispatch;
mod gate;
mod open;
mod outbox;
mod requests;
mod room;
mod session;
#[cfg(test)]
mod tests;
mod views;
mod waiters;

use std::collections::VecDeque;

use backoff::Random;
use checkpoint::Checkpoint;
use cleaning::Cleaning;
use session::{Session, Sessions};
use waiters::{Waiter, Waiters};

use crate::ids::{JobId, LeaseId, Lsn, QueueId, SessionId};
use crate::protocol::{ErrorCode, ItemStatus, LeaseStatus, Refusal, Reply, Submitted, frame::BadHeader};
use crate::queue::{Event, Queues};
use crate::time::{Millis, Timestamp};
use crate::wal::{Entry, Wal};

pub use crate::wal::{Progress, SyncThread, WalError};
pub use config::{Config, ConfigError, SyncMode};
pub use outbox::Outbox;

/// Name and version that `HelloOk` carries.
pub const SOFTWARE: &str = concat!("falcond ", env!("CARGO_PKG_VERSION"));

/// How often segments that are being made ahead or removed are looked at.
const ROOM_LOOK: Millis = Millis(5);

/// The master.
#[derive(Debug)]
pub struct Master {
    config: Config,
    queues: Queues,
    wal: Wal,
    checkpoint: Checkpoint,
    cleaning: Cleaning,
    /// Sessions that read a backup.
    backups: Vec<SessionId>,
    sessions: Sessions,
    waiters: Waiters,
    random: Random,
    started_at: Timestamp,
    stopping: bool,
    /// Bytes appended since the last sync was asked for, and since when.
    group_bytes: usize,
    unsynced_since: Option<Timestamp>,
    /// When the turn under way began.
    turn_at: Timestamp,
    /// When the last sync ended.
    synced_at: Timestamp,
    /// Which sessions have replies that wait for which LSN, in the order of LSNs.
    gates: VecDeque<(Lsn, SessionId)>,
    /// Sessions with something to send or to be closed.
    ready: Vec<SessionId>,
    /// Sessions that will send nothing more, since the last turn's end.
    ended: Vec<SessionId>,
    /// Queues that may have both a job and a waiting poll.
    to_serve: Vec<QueueId>,
    scratch: Scratch,
}

/// Memory that is used again at each request.
#[derive(Debug, Default)]
struct Scratch {
    event: Vec<u8>,
    queues: Vec<QueueId>,
    submitted: Vec<Submitted>,
    statuses: Vec<ItemStatus>,
    held: Vec<LeaseStatus>,
    due: Vec<u32>,
}

/// What may be taken from a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Frames.
    Open {
        /// The longest body.
        body_bytes_max: usize,
    },
    /// Nothing before it was sent something.
    Stalled,
    /// Nothing that it sends counts any more.
    Closed,
}

/// A master with the newest moment that its log knows: time must not go back behind it.
#[derive(Debug)]
pub struct Opened {
    /// The master.
    pub master: Master,
    /// Moment of the newest record.
    pub last_at: Timestamp,
}

impl Master {
    fn new(config: Config, queues: Queues, wal: Wal, random: Random) -> Master {
        Master {
            config,
            queues,
            wal,
            checkpoint: Checkpoint::default(),
            cleaning: Cleaning::default(),
            backups: Vec::new(),
            sessions: Sessions::default(),
            waiters: Waiters::default(),
            random,
            started_at: Timestamp(0),
            stopping: false,
            group_bytes: 0,
            unsynced_since: None,
            turn_at: Timestamp(0),
            synced_at: Timestamp(0),
            gates: VecDeque::new(),
            ready: Vec::new(),
            ended: Vec::new(),
            to_serve: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Begins to serve: every lease gets its full length from `now`.
    pub fn start(&mut self, now: Timestamp) {
        self.started_at = now;
        self.synced_at = now;
        self.queues.advance(now);
        self.queues.renew_leases(now);
    }

    /// Adds a connection or local source.
    pub fn connected(&mut self) -> SessionId {
        self.sessions.open()
    }

    /// Adds a source in the same process, which needs no Hello.
    pub fn connected_locally(&mut self, name: &str) -> SessionId {
        let id = self.sessions.open();
        if let Some(session) = self.sessions.session_mut(id) {
            session.greeted = true;
            session.name = name.into();
        }
        id
    }

    /// Whether this session has said Hello.
    #[must_use]
    pub fn is_greeted(&self, id: SessionId) -> bool {
        self.sessions.session(id).is_some_and(|session| session.greeted)
    }

    /// How many segments the log has; each takes a file descriptor.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.wal.stats().segments as usize
    }

    /// What may be taken from this session now.
    #[must_use]
    pub fn intake(&self, id: SessionId) -> Intake {
        match self.sessions.session(id) {
            Some(session) if !session.closing => {
                if session.is_stalled() {
                    Intake::Stalled
                } else {
                    Intake::Open { body_bytes_max: session.body_bytes_max() }
                }
            }
            _ => Intake::Closed,
        }
    }

    /// The longest body that this session may send now.
    #[must_use]
    pub fn body_bytes_max(&self, id: SessionId) -> usize {
        self.sessions.session(id).map_or(0, Session::body_bytes_max)
    }

    /// Whether nothing that this session sends counts any more.
    #[must_use]
    pub fn is_closing(&self, id: SessionId) -> bool {
        self.sessions.session(id).is_none_or(|session| session.closing)
    }

    /// Whether nothing more is to be read from this session before it was sent something.
    #[must_use]
    pub fn is_stalled(&self, id: SessionId) -> bool {
        self.sessions.session(id).is_some_and(Session::is_stalled)
    }

    /// Whether the session is over: it is closing, and all was sent to it.
    #[must_use]
    pub fn is_done(&self, id: SessionId) -> bool {
        self.sessions.session(id).is_none_or(Session::is_done)
    }

    /// What waits to be sent to this session.
    pub fn outbox(&mut self, id: SessionId) -> Option<&mut Outbox> {
        self.sessions.session_mut(id).map(|session| &mut session.outbox)
    }

    /// Time passes: leases that have run out by `now` are ended, and a log that has fallen silent gets its mark.
    ///
    /// # Errors
    /// When the log takes no more records.
    pub fn begin_turn(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.turn_at = now;
        self.queues.advance(now);
        if self.mark_at().is_some_and(|at| at <= now) {
            self.vouch(now)?;
        }
        for job in self.queues.take_run_out(now) {
            self.end_lease(job, now)?;
        }
        Ok(())
    }

    /// Answers a header that cannot be followed, and ends the session.
    pub fn refuse_header(&mut self, id: SessionId, bad: &BadHeader) {
        self.refuse(id, bad.correlation, bad.refusal.clone());
    }

    /// Ends a session that has not said Hello in time.
    pub fn refuse_silence(&mut self, id: SessionId) {
        self.refuse(id, 0, Refusal::new(ErrorCode::HelloNeeded, "no Hello came in time"));
    }

    /// The session will send nothing more: at the end of the turn its polls that still wait are answered without
    /// jobs, and when everything was sent it is done.
    pub fn input_ended(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.session_mut(id) {
            session.closing = true;
            self.ended.push(id);
        }
    }

    /// The session has begun to leave: its waiting polls are answered at the end of the turn, and it goes on to be read,
    /// to its last request.
    pub fn input_ending(&mut self, id: SessionId) {
        if self.sessions.session(id).is_some_and(|session| !session.polls.is_empty()) {
            self.ended.push(id);
        }
    }

    /// The session is gone. Its leases are cut to the grace, unless another session names them by then.
    pub fn disconnected(&mut self, id: SessionId, now: Timestamp) {
        let Some(mut session) = self.sessions.close(id) else { return };
        for number in session.polls.drain(..) {
            self.take_waiter(number);
        }
        let deadline = now.plus(self.config.grace);
        for (job, lease) in session.take_leases() {
            self.queues.cut(job, lease, id, deadline);
        }
    }

    /// Waiting polls get the jobs that are there, or are told that their wait is over.
    ///
    /// # Errors
    /// When the log takes no more records.
    pub fn finish_turn(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.serve_polls(now)?;
        while let Some(id) = self.ended.pop() {
            let polls = self.sessions.session_mut(id).map(|session| std::mem::take(&mut session.polls));
            polls.into_iter().flatten().for_each(|number| self.answer_empty(number));
            self.list_ready(id);
        }
        let mut due = std::mem::take(&mut self.scratch.due);
        self.waiters.run_out(now, &mut due);
        for number in due.drain(..) {
            self.answer_empty(number);
        }
        self.scratch.due = due;
        self.work_on_snapshot(now)?;
        self.clean(now)
    }

    /// The next moment at which a turn is due, or one before it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let sync_at = match (self.config.sync, self.unsynced_since) {
            (SyncMode::Every(interval), Some(since)) if !self.wal.is_syncing() => Some(since.plus(interval)),
            _ => None,
        };
        let keeping = self.checkpoint.next_deadline(self.turn_at, self.wal.durable()).into_iter();
        let keeping = keeping.chain(self.cleaning.next_deadline(self.turn_at));
        let room = self.wal.is_making_room().then(|| self.turn_at.plus(ROOM_LOOK));
        let queues = self.queues.next_deadline().into_iter().chain(keeping).chain(room);
        queues.chain(self.waiters.next_deadline()).chain(sync_at).chain(self.mark_at()).min()
    }

    /// Takes the next session that may have something to send or is done.
    pub fn next_ready(&mut self) -> Option<SessionId> {
        let id = self.ready.pop()?;
        if let Some(session) = self.sessions.session_mut(id) {
            session.listed = false;
        }
        Some(id)
    }

    /// Everything in the log's and the queues' keeping that can be compared, see [`Queues::describe`].
    #[must_use]
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Appends an event of the group that was begun, and applies it.
    fn record(&mut self, now: Timestamp, event: &Event<'_>, more: bool) -> Result<Lsn, WalError> {
        self.scratch.event.clear();
        let tail = event.encode_head(&mut self.scratch.event);
        let entry = Entry { at: now, kind: event.kind(), head: &self.scratch.event, tail, more };
        let appended = self.wal.append(&entry)?;
        self.group_bytes += entry.head.len() + tail.len();
        self.unsynced_since.get_or_insert(now);
        self.queues
            .apply(appended.lsn, now, event, appended.tail_at)
            .map_err(|broken| WalError::Replay { why: broken.to_string() })?;
        Ok(appended.lsn)
    }

    fn refuse(&mut self, id: SessionId, correlation: u64, refusal: Refusal) {
        let closes = refusal.code.closes();
        self.reply_at_once(id, correlation, &Reply::Error(refusal));
        let Some(session) = self.sessions.session_mut(id) else { return };
        if closes {
            session.closing = true;
            for number in std::mem::take(&mut session.polls) {
                self.take_waiter(number);
            }
        }
    }

    /// Takes a poll out of its lines without a job; a queue that nobody uses any more is forgotten.
    fn take_waiter(&mut self, number: u32) -> Waiter {
        let mut queues = std::mem::take(&mut self.scratch.queues);
        let waiter = self.waiters.take(number, &mut queues);
        for queue in queues.drain(..) {
            self.forget_if_idle(queue);
        }
        self.scratch.queues = queues;
        waiter
    }

    /// Forgets a queue that has no waiting poll and never had a job.
    fn forget_if_idle(&mut self, queue: QueueId) {
        if self.waiters.first(queue).is_none() {
            self.queues.forget_if_unused(queue);
        }
    }

    fn list_ready(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.session_mut(id)
            && !session.listed
        {
            session.listed = true;
            self.ready.push(id);
        }
    }

    /// Notes that a session holds a lease from now on.
    fn hold(&mut self, id: SessionId, job: JobId, lease: LeaseId) {
        self.queues.hold(job, lease, id);
        if let Some(session) = self.sessions.session_mut(id) {
            session.holds(job, lease, &self.queues);
        }
    }
}
