//! The master as a value: frames, time and "durable up to" go in; replies and a deadline come out.
//!
//! Promises: state moves on at append, and a reply that tells of it leaves only when what it tells is durable (as
//! `--sync` defines it); a job leaves `pending` in one function only, in `door`, to answer a poll that waits.
//! It does not: touch sockets, read clocks, start threads, or run a sync (it says what to sync and is told of the
//! outcome). So a simulation drives it whole.
//!
//! Its parts own one thing each, and a request goes down through them once:
//!
//! | part | owns | knows nothing of |
//! | --- | --- | --- |
//! | `journal` | the log, the queues that its events made, and how far the promise reaches | sessions, frames |
//! | `decisions` | one function a request: looks at the state, decides events, gives an answer | bytes, sockets |
//! | `answers` | what an answer is, and the one place where it is written and gated | the state |
//! | `sessions` | who is connected, what waits to be sent to whom | the state |
//! | `workers` | who takes jobs, and what each is to be told | sessions, the state |
//! | `parked` | requests that wait for something, and their deadlines | the log |
//! | `dispatch` | which job goes to which poll | the wire |
//! | `flows` | what came into each queue and left it in the last minute | the state |
//! | `measures` | what was counted since the start, by queue | who asks |
//! | `keeping` | snapshots, cleaning, backups | clients |
//! | `reading` | what is read from the log beside the loop, and whose turn it is | what is answered |
//! | `initiative` | what is decided without a client | |
//! | `batches` | who fills which batch | the state |
//! | `ticks` | when schedules make jobs, and the clock on the wall | clients |
//!
//! A turn, as the reactor drives it:
//!
//! 1. [`Master::begin_turn`]: time passes; leases that ran out are ended.
//! 2. [`Master::take`] for what each session says: decide, append events, apply them, write the reply behind its gate.
//! 3. [`Master::finish_turn`]: waiting polls get jobs, or are told that their wait is over.
//! 4. [`Master::sync_request`], run elsewhere; [`Master::synced`] releases what it made durable.
//! 5. [`Master::read_request`], run elsewhere, too; [`Master::read_done`] answers who waits for it.
//! 6. [`Master::next_ready`] names the sessions that have something to send; see [`Outbox`].
//!
//! An error from any of these is the last: the daemon stops and sends nothing more.

pub mod local;

mod answers;
mod backoff;
mod batches;
mod config;
mod connections;
mod decisions;
mod dispatch;
mod door;
mod flows;
mod initiative;
mod journal;
mod keeping;
mod machine;
mod measures;
mod open;
mod outbox;
mod parked;
mod reading;
mod recent;
mod scans;
mod sessions;
mod strangers;
mod ticks;
mod waits;
mod workers;

use backoff::Random;
use batches::Fillers;
use decisions::Scratch;
use dispatch::Dispatch;
use journal::Journal;
use keeping::Keeping;
use machine::SyncTimes;
use parked::Parked;
use reading::{Reading, TextsFor};
use scans::Scans;
use sessions::Sessions;
use strangers::Strangers;
use ticks::Ticks;
use workers::Workers;

use std::time::Duration;

use crate::ids::{QueueId, SessionId};
use crate::protocol::frame::BadHeader;
use crate::protocol::{Header, Hello, Refusal, Reply};
use crate::queue::Queues;
use crate::time::{Millis, Timestamp};
use crate::wal::Wal;

pub use crate::wal::{Progress, SyncOutcome, SyncRequest, SyncThread, WalError};
pub use config::{Config, ConfigError, SyncMode};
pub use journal::Urgency;
pub use machine::{Memory, Room};
pub use outbox::Outbox;
pub use reading::thread::ReadThread;
pub use reading::{ReadOutcome, ReadRequest};
pub use sessions::Intake;

/// Name and version that `HelloOk` carries.
pub const SOFTWARE: &str = concat!("falcond ", env!("CARGO_PKG_VERSION"));

/// How often segments that are being made ahead or removed are looked at.
const ROOM_LOOK: Millis = Millis(5);

#[derive(Debug)]
pub struct Master {
    config: Config,
    journal: Journal,
    sessions: Sessions,
    strangers: Strangers,
    workers: Workers,
    parked: Parked,
    dispatch: Dispatch,
    scans: Scans,
    ticks: Ticks,
    fillers: Fillers,
    keeping: Keeping,
    reading: Reading,
    random: Random,
    started_at: Timestamp,
    /// When the turn under way began.
    turn_at: Timestamp,
    idle_look_at: Timestamp,
    sweep_at: Timestamp,
    memory: Memory,
    room: Room,
    sync_times: SyncTimes,
    stopping: bool,
    /// Whether no more jobs are taken, until somebody says otherwise.
    draining: bool,
    /// Sessions that will send nothing more, since the last turn's end.
    ended: Vec<SessionId>,
    /// Behind a pointer, since it is taken out while a request is decided.
    scratch: Option<Box<Scratch>>,
    /// Reused: the queues that a poll named, and requests whose wait is over.
    named: Vec<QueueId>,
    due: Vec<u32>,
}

/// What a session says, and what happens to it.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    Frame(&'a Header, &'a [u8]),
    /// A header that cannot be followed: it is answered, and the session ends.
    BadHeader(&'a BadHeader),
    /// It has not said Hello in time.
    NoHello,
    /// It is too slow, for this reason; it is told so, and the session ends.
    TooSlow(&'a str),
    /// It has begun to leave: its waiting polls are answered at the end of the turn, and it goes on to be read, to
    /// its last request.
    Ending,
    /// It will send nothing more: at the end of the turn its polls that still wait are answered without jobs, and when
    /// everything was sent it is done.
    Ended,
    /// It is gone. Its leases are cut to the grace, unless another session names them by then.
    Gone,
}

/// What is left to be made durable before the daemon stops.
#[derive(Debug)]
pub enum LastSync {
    Wanted(SyncRequest),
    UnderWay,
    Done,
}

/// A master with the newest moment that its log knows: time must not go back behind it.
#[derive(Debug)]
pub struct Opened {
    pub master: Master,
    /// Moment of the newest record.
    pub last_at: Timestamp,
}

impl Master {
    fn new(config: Config, queues: Queues, wal: Wal, random: Random) -> Master {
        Master {
            journal: Journal::new(wal, queues, config.sync),
            config,
            sessions: Sessions::default(),
            strangers: Strangers::default(),
            workers: Workers::default(),
            parked: Parked::default(),
            dispatch: Dispatch::default(),
            scans: Scans::default(),
            ticks: Ticks::default(),
            fillers: Fillers::default(),
            keeping: Keeping::default(),
            reading: Reading::default(),
            random,
            started_at: Timestamp(0),
            turn_at: Timestamp(0),
            idle_look_at: Timestamp(0),
            sweep_at: Timestamp(0),
            memory: Memory::default(),
            room: Room::default(),
            sync_times: SyncTimes::default(),
            stopping: false,
            draining: false,
            ended: Vec::new(),
            scratch: Some(Box::default()),
            named: Vec::new(),
            due: Vec::new(),
        }
    }

    /// Begins to serve: every lease gets its full length from `now`.
    pub fn start(&mut self, now: Timestamp) {
        self.started_at = now;
        self.journal.start(now);
        self.fillers.begin(self.journal.queues.open_batches(), now);
    }

    /// Adds a connection.
    pub fn connected(&mut self) -> SessionId {
        self.sessions.open()
    }

    /// Adds a source within the process, which is let in by what it says of itself: it needs no token.
    pub fn connected_within(&mut self, hello: &Hello<'_>) -> SessionId {
        let id = self.sessions.open();
        decisions::let_in(&mut self.sessions, &mut self.workers, id, (hello, None), self.turn_at);
        id
    }

    /// How many segments the log has; each takes a file descriptor.
    pub fn segments(&self) -> usize {
        self.journal.wal.stats().segments as usize
    }

    /// The state, to be looked at; see [`Queues::describe`].
    pub fn queues(&self) -> &Queues {
        &self.journal.queues
    }

    /// How many snapshots were taken since the log was opened.
    pub fn snapshots(&self) -> u64 {
        self.keeping.snapshots.taken
    }

    /// The master stood still for so long (stopped, or kept waiting by the disk), and heard nothing of its clients:
    /// every lease lasts as much longer, and every open batch waits as much longer for somebody to come back.
    pub fn stood_still(&mut self, gap: Millis) {
        self.journal.queues.prolong_leases(gap);
        self.fillers.prolong(gap);
    }

    /// Tells how much memory the process has. Past [`Config::memory_max`] no more jobs are taken.
    pub fn note_memory(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// Tells how much room there is.
    pub fn note_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Tells how long a sync took.
    pub fn note_sync(&mut self, took: Duration, now: Timestamp) {
        self.sync_times.note(Millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)), now);
        self.journal.measures.sync.note(micros(took));
    }

    /// Tells how long a turn took.
    pub fn note_turn(&mut self, took: Duration) {
        self.journal.measures.turn.note(micros(took));
    }

    /// A turn begins: time passes.
    pub fn begin_turn(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.turn_at = now;
        self.journal.measures.turn_begins(&self.journal.queues, now);
        self.journal.queues.advance(now);
        self.decide_at_begin(now)
    }

    /// A turn ends: waiting polls get the jobs that are there, or are told that their wait is over.
    pub fn finish_turn(&mut self, now: Timestamp) -> Result<(), WalError> {
        self.decide_at_end(now)?;
        while let Some(id) = self.ended.pop() {
            let parked = self.sessions.session(id).map(|session| session.parked.clone());
            for number in parked.into_iter().flatten() {
                if self.parked.ends_with_input(number) {
                    self.answer_empty(number);
                }
            }
            self.sessions.list_ready(id);
        }
        let mut due = std::mem::take(&mut self.due);
        self.parked.run_out(now, &mut due);
        for number in due.drain(..) {
            self.answer_empty(number);
        }
        self.due = due;
        Ok(())
    }

    /// The next moment at which a turn is due, or one before it.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let journal = &self.journal;
        let wanted = self.parked.snapshots() > 0;
        let keeping = self.keeping.next_deadline(journal, self.turn_at, wanted);
        let room = journal.wal.is_making_room().then(|| self.turn_at.plus(ROOM_LOOK));
        let served = self.has_read().then_some(self.turn_at);
        let queues = journal.queues.next_deadline().into_iter().chain(keeping).chain(room).chain(served);
        let ticks = self.ticks.next_deadline(&journal.queues).filter(|_| !self.stopping);
        let has_work = journal.queues.has_looks() || journal.queues.has_batch_work();
        let looks = has_work.then_some(self.turn_at).into_iter().chain(self.fillers.next_deadline());
        let queues =
            queues.chain(ticks).chain(looks).chain(self.scans.next_deadline()).chain(self.parked.waits.next_tell());
        queues.chain(self.parked.next_deadline()).chain(journal.sync_at()).chain(journal.mark_at()).min()
    }

    /// Whether anything waits for log time to go on: jobs that are delayed, and keys that are remembered.
    pub fn waits_for_time(&self) -> bool {
        self.journal.queues.waits_for_time()
    }

    /// Whether a sync is to be asked for as soon as nothing more is ready to be read.
    pub fn wants_sync(&self) -> bool {
        self.journal.wants_sync(self.keeping.snapshots.wants_sync())
    }

    /// Whether enough was written for a sync in the midst of a turn, and none is under way.
    pub fn is_group_full(&self) -> bool {
        self.journal.is_group_full()
    }

    /// What to make durable now, if anything; one sync is under way at a time.
    pub fn sync_request(&mut self, now: Timestamp, urgency: Urgency) -> Option<SyncRequest> {
        let urgency = if self.keeping.snapshots.wants_sync() { Urgency::Now } else { urgency };
        self.journal.sync_request(now, urgency)
    }

    /// Takes the outcome of a sync and releases the replies that waited for it.
    pub fn synced(&mut self, outcome: &SyncOutcome) -> Result<(), WalError> {
        self.journal.synced(outcome, self.turn_at)?;
        self.sessions.release(self.journal.reached());
        Ok(())
    }

    /// What to read from the log now, if anything; one reading is under way at a time.
    pub fn read_request(&mut self) -> Option<ReadRequest> {
        self.reading.next(&self.journal.wal)
    }

    /// Takes the outcome of a reading, and answers the request that waited for it. What cannot be read is told to that
    /// alone: a look does no harm.
    pub fn read_done(&mut self, outcome: ReadOutcome) {
        let Some((number, read, texts_for)) = self.reading.done(outcome) else { return };
        if let Some(TextsFor::Scan(_)) = texts_for {
            return self.scan_read(number, read);
        }
        let (caller, _) = self.unpark(number);
        let gate = self.journal.gate();
        match decisions::answer_read(read, texts_for) {
            Ok((kind, body)) => self.sessions.write_body(caller.session, caller.correlation, gate, kind, &body),
            Err(refusal) => {
                self.sessions.write(caller.session, caller.correlation, gate, &Reply::Error(refusal));
            }
        }
    }

    /// Takes no more jobs and polls: those that wait are refused, so that their clients come back later. Reports are
    /// taken as ever.
    pub fn begin_stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        for number in self.parked.all() {
            if self.parked.is_scan(number) {
                self.end_scan(number);
                continue;
            }
            let (caller, _) = self.unpark(number);
            let reply = Reply::Error(decisions::stopping());
            self.sessions.write(caller.session, caller.correlation, None, &reply);
        }
    }

    /// Tells a session that nothing more will be answered, after the replies to what came so far.
    pub fn say_goodbye(&mut self, id: SessionId) {
        if self.sessions.session(id).is_some_and(|session| !session.closing) {
            self.close(id, 0, decisions::stopping());
        }
    }

    /// The last sync before the daemon stops, or the next of them: a mark is made durable, too. Nothing once all
    /// is, and none is under way.
    pub fn last_sync(&mut self, now: Timestamp) -> Result<LastSync, WalError> {
        if self.journal.wal.is_syncing() {
            return Ok(LastSync::UnderWay);
        }
        if !self.journal.wal.has_unsynced() && !self.journal.mark(now)? {
            return Ok(LastSync::Done);
        }
        Ok(self.journal.sync_request(now, Urgency::Now).map_or(LastSync::Done, LastSync::Wanted))
    }

    fn disconnected(&mut self, id: SessionId, now: Timestamp) {
        let Some(mut session) = self.sessions.close(id) else { return };
        self.keeping.backups.end(id);
        self.fillers.left(id, now);
        if let Some(worker) = session.worker {
            self.workers.left(worker, id);
        }
        for number in session.parked.drain(..) {
            self.unpark(number);
        }
        let deadline = now.plus(self.config.grace);
        for (job, lease) in session.take_leases() {
            // One that its client never heard of is of no use to it.
            if session.leases_stay && !session.has_untold(lease) {
                continue;
            }
            self.journal.queues.cut(job, lease, id, deadline);
        }
    }

    fn refuse(&mut self, id: SessionId, correlation: u64, refusal: Refusal) {
        let Some(session) = self.sessions.session(id) else { return };
        if refusal.code.closes() || !session.greeted {
            self.close(id, correlation, refusal);
        } else {
            self.sessions.write(id, correlation, self.journal.gate(), &Reply::Error(refusal));
        }
    }

    /// Ends a session by an error, which may tell of the state, too, and comes after the replies to what came before.
    fn close(&mut self, id: SessionId, correlation: u64, refusal: Refusal) {
        let Some(session) = self.sessions.session_mut(id) else { return };
        session.closing = true;
        if !session.greeted && !self.stopping {
            self.strangers.turn_away(&refusal);
        }
        let gate = self.journal.gate().filter(|_| session.greeted);
        for number in std::mem::take(&mut session.parked) {
            self.answer_empty(number);
        }
        self.sessions.write(id, correlation, gate, &Reply::Error(refusal));
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
