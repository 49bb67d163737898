//! The loop: sockets, signals, the clock, the threads that sync and read the log, all around a [`Master`]. One thread,
//! nothing else in here.
//!
//! Promises:
//! - No connection is read beyond its share of a turn, and none that leaves its replies unread is read at all.
//! - Whatever some connections do, the others are served.
//! - After a failed write or sync nothing more is sent, and the loop ends with the error.
//!
//! A sync begins when nothing more is ready to be read, or when the group of records is full. One more wait without a
//! time-out tells which it is. While the disk syncs, the loop goes on.

mod clock;
mod conn;
mod descriptors;
mod disk;
mod error;
mod finish;
mod greeter;
mod host;
mod listener;
mod locals;
mod machine;
mod stopping;
mod stream;
mod taking;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::ids::SessionId;
use crate::limits::READ_BYTES_PER_TURN;
use crate::master::local::{LocalDoor, LocalMessage};
use crate::master::{Input, Master, Opened, ReadThread, Room, SyncThread, Urgency, WalError};
use crate::time::{Millis, Timestamp};

use clock::{Clock, Stopwatch};
use conn::{Conn, ConnState};
pub use descriptors::raise_descriptor_limit;
pub use error::ReactorError;
use error::system;
pub use host::Host;
pub use listener::{Bound, Listener, StdSocket};
use locals::Locals;
use machine::Machine;
use stopping::Stopping;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const SIGNALS: Token = Token(2);

/// How long the last words to a connection may take to be read.
const LINGER: Millis = Millis(1000);

/// A loop that is this late was stopped, or kept waiting by the disk: what workers said meanwhile is still unread.
const STALL: Millis = Millis(500);

/// A sync that takes this long is told of.
const SLOW_SYNC: Duration = Duration::from_millis(500);

/// How long the loop waits at most for a deadline.
const WAIT_MAX: Millis = Millis(10_000);

pub struct Reactor {
    poll: Poll,
    /// None where the process has another purpose than this loop.
    signals: Option<Signals>,
    listener: Option<Listener>,
    master: Master,
    sync: SyncThread,
    reader: ReadThread,
    clock: Clock,
    /// By the place of their session.
    conns: Vec<Option<Conn>>,
    /// How many connections and log segments there may be.
    descriptors_max: usize,
    conns_open: usize,
    /// Connections that have more to read without a further event.
    to_read: VecDeque<SessionId>,
    /// Connections that had not said Hello when they were looked at last, the oldest first.
    strangers: VecDeque<SessionId>,
    /// What unfinished frames of all connections hold.
    unfinished_bytes: usize,
    /// When connections are looked at for those that take too long.
    look_at: Timestamp,
    machine: Machine,
    /// When the sync under way was asked for.
    syncing: Stopwatch,
    /// When the turn under way began.
    turn_at: Timestamp,
    locals: Locals,
    messages: Receiver<LocalMessage>,
    scratch: Vec<u8>,
    stopping: Stopping,
    is_told_to_stop: bool,
}

impl Reactor {
    /// A loop that serves connections until a signal says stop, with the log of this directory, and the door for
    /// sources in the same process.
    pub fn new(mut listener: Listener, opened: Opened, dir: &Path) -> Result<(Reactor, LocalDoor), ReactorError> {
        let (mut reactor, door) = Reactor::within(opened, dir)?;
        let registry = reactor.poll.registry();
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]).map_err(system("catching signals"))?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(system("registering for signals"))?;
        listener.register(registry, LISTENER).map_err(system("registering the listener"))?;
        reactor.signals = Some(signals);
        reactor.listener = Some(listener);
        reactor.descriptors_max = raise_descriptor_limit();
        reactor.stopping = Stopping::No;
        Ok((reactor, door))
    }

    /// A loop that serves sources in the same process alone, until its door says stop or they and the door are gone.
    pub fn within(opened: Opened, dir: &Path) -> Result<(Reactor, LocalDoor), ReactorError> {
        let poll = Poll::new().map_err(system("making the event queue"))?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(system("making the waker"))?);
        let wake = move || {
            if let Err(error) = waker.wake() {
                log::error!("waking the loop: {error}");
            }
        };
        let (door, messages) = LocalDoor::new(wake.clone());
        let reader = ReadThread::new(wake.clone());
        let sync = SyncThread::start(wake).map_err(system("starting the sync thread"))?;
        let clock = Clock::start(opened.last_at, dir);
        let mut master = opened.master;
        master.start(clock.now());
        let reactor = Reactor {
            poll,
            signals: None,
            listener: None,
            master,
            sync,
            reader,
            clock,
            conns: Vec::new(),
            descriptors_max: 0,
            conns_open: 0,
            to_read: VecDeque::new(),
            strangers: VecDeque::new(),
            unfinished_bytes: 0,
            look_at: Timestamp(0),
            machine: Machine::new(dir),
            syncing: Stopwatch::start(),
            turn_at: Timestamp(0),
            locals: Locals::default(),
            messages,
            scratch: vec![0; READ_BYTES_PER_TURN],
            stopping: Stopping::Wanted,
            is_told_to_stop: false,
        };
        Ok((reactor, door))
    }

    /// Serves until a signal says stop. The host is told at each such signal, to stop local sources. The loop ends when
    /// they are gone, 5 s after the second signal, or at the third.
    pub fn run(mut self, mut host: impl Host) -> Result<(), ReactorError> {
        let outcome = self.serve(&mut host);
        if outcome.is_err() {
            // Helper threads may hang on a failing disk, so nobody waits for them. The rest is dropped as always,
            // which tells local sources.
            let Reactor { master, sync, .. } = self;
            std::mem::forget((master, sync));
        }
        outcome
    }

    fn serve(&mut self, host: &mut impl Host) -> Result<(), ReactorError> {
        let mut events = Events::with_capacity(1024);
        self.turn_at = self.clock.now();
        while !self.stopping.is_over(self.locals.are_closed(), self.turn_at) {
            self.turn(&mut events, self.stopping.deadline(), host)?;
        }
        self.finish(&mut events, host)
    }

    /// Waits for something to happen, until then at most, and does what follows from it.
    fn turn(
        &mut self,
        events: &mut Events,
        until: Option<Timestamp>,
        host: &mut impl Host,
    ) -> Result<(), ReactorError> {
        host.beat();
        let timeout = self.timeout(until, host.beat_every());
        self.wait(events, timeout)?;
        let woken = Stopwatch::start();
        let mended = self.clock.look(self.master.waits_for_time());
        let now = self.clock.now();
        let before = std::mem::replace(&mut self.turn_at, now);
        self.note_stall(Millis(now.since(before).0.saturating_sub(mended.0)), timeout);
        self.excuse(mended);
        if let Some(memory) = self.machine.look(now) {
            self.master.note_memory(memory);
            self.master.note_room(Room { descriptors_max: self.descriptors_max as u64, ..self.machine.room() });
        }
        self.master.note_wall(Clock::wall(), now);
        self.master.begin_turn(now)?;
        let mut quiet = events.is_empty() && self.to_read.is_empty();
        for event in &*events {
            self.note(event, now, host)?;
        }
        self.accept(now)?;
        self.read_ready(now)?;
        quiet &= !self.locals.read(&self.messages, &mut self.master, now)?;
        self.master.finish_turn(now)?;
        if self.is_told_to_stop {
            // What came before the signal was taken before this.
            self.master.begin_stop();
        }
        self.read_log();
        self.sync(now, if quiet { Urgency::Quiet } else { Urgency::Full })?;
        self.drop_late(now)?;
        self.write_ready(now)?;
        self.master.note_turn(woken.passed());
        Ok(())
    }

    /// Looks whether a turn and the wait behind it took much longer than the wait should have. Without a deadline there
    /// is no lease.
    fn note_stall(&mut self, span: Millis, timeout: Option<Duration>) {
        let Some(timeout) = timeout else { return };
        let late_ms = u128::from(span.0).saturating_sub(timeout.as_millis());
        let gap = Millis(u64::try_from(late_ms).unwrap_or(u64::MAX));
        if gap >= STALL {
            log::warn!("this master stood still for {gap}; all leases last as much longer");
            self.excuse(gap);
        }
    }

    /// Gives everyone a time back in which nobody could be heard, or that has not passed.
    fn excuse(&mut self, gap: Millis) {
        if gap > Millis(0) {
            self.master.stood_still(gap);
            self.forgive(gap);
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> Result<(), ReactorError> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            outcome => outcome.map_err(system("waiting for events")),
        }
    }

    /// How long nothing needs to be done that no event tells of.
    fn timeout(&self, until: Option<Timestamp>, beat_every: Option<Duration>) -> Option<Duration> {
        let more = !self.to_read.is_empty() || self.listener.as_ref().is_some_and(|listener| listener.is_ready);
        if more || self.master.wants_sync() {
            return Some(Duration::ZERO);
        }
        let deadline = until.into_iter().chain(self.next_look()).chain(self.master.next_deadline()).min();
        // The system's wait stands still in suspend, and knows nothing of a clock that is mended.
        let left = deadline.map(|deadline| deadline.since(self.clock.now()).min(WAIT_MAX).into());
        left.into_iter().chain(beat_every).min()
    }

    fn note(&mut self, event: &Event, now: Timestamp, host: &mut impl Host) -> Result<(), WalError> {
        match event.token() {
            LISTENER => {
                if let Some(listener) = &mut self.listener {
                    listener.is_ready = true;
                }
            }
            WAKER => {}
            SIGNALS => self.take_signals(host),
            Token(session) => {
                let id = SessionId(session as u64);
                let Some(conn) = conn_of(&mut self.conns, id) else { return Ok(()) };
                let was_full = !conn.is_writable();
                if conn.note(event, &mut self.master, now)? {
                    return self.drop_connection(id, now);
                }
                if conn.has_unread() {
                    list(&mut self.to_read, conn);
                }
                // Each event says whether the socket takes bytes, also where there never was a doubt.
                if was_full && conn.is_writable() {
                    self.write_one(id, now)?;
                }
            }
        }
        Ok(())
    }

    fn take_signals(&mut self, host: &mut impl Host) {
        for signal in self.signals.iter_mut().flat_map(Signals::pending) {
            if signal == SIGHUP {
                if let Some(config) = host.reload() {
                    self.master.reconfigure(config);
                }
                continue;
            }
            log::info!("stopping (signal {signal})");
            self.stopping = self.stopping.hastened(self.clock.now());
            self.is_told_to_stop = true;
            host.stop();
        }
    }

    /// Reads from every connection that has something, each within its budget.
    fn read_ready(&mut self, now: Timestamp) -> Result<(), WalError> {
        for _ in 0..self.to_read.len() {
            let Some(id) = self.to_read.pop_front() else { break };
            let Some(conn) = conn_of(&mut self.conns, id) else { continue };
            conn.is_listed = false;
            let before = conn.held_bytes();
            let state = conn.read(&mut self.master, &mut self.scratch, now)?;
            self.unfinished_bytes = self.unfinished_bytes + conn.held_bytes() - before;
            match state {
                ConnState::Idle => {}
                ConnState::More => list(&mut self.to_read, conn),
                ConnState::Gone => self.drop_connection(id, now)?,
            }
            self.bound_unfinished(now)?;
            if self.master.is_group_full() {
                self.sync(now, Urgency::Full)?;
            }
        }
        Ok(())
    }

    /// Takes the outcome of the sync under way, and asks for the next when it is time.
    fn sync(&mut self, now: Timestamp, urgency: Urgency) -> Result<(), WalError> {
        if let Some(outcome) = self.sync.outcome() {
            let took = self.syncing.passed();
            self.master.note_sync(took, now);
            if took >= SLOW_SYNC {
                log::warn!("a sync took {} ms, and all answers waited for it; is the disk busy?", took.as_millis());
            }
            self.master.synced(&outcome)?;
        }
        if let Some(request) = self.master.sync_request(now, urgency) {
            self.syncing = Stopwatch::start();
            self.sync.submit(request);
        }
        Ok(())
    }

    /// Takes the outcome of the reading under way, and asks for the next.
    fn read_log(&mut self) {
        if let Some(outcome) = self.reader.outcome() {
            self.master.read_done(outcome);
        }
        if let Some(request) = self.master.read_request()
            && let Err(outcome) = self.reader.submit(request)
        {
            self.master.read_done(outcome);
        }
    }

    fn write_ready(&mut self, now: Timestamp) -> Result<(), WalError> {
        while let Some(id) = self.master.next_ready() {
            if !self.locals.write(id, &mut self.master) {
                self.write_one(id, now)?;
            }
        }
        Ok(())
    }

    /// Sends what may leave; closes a connection that is done; goes on reading from one that was stalled.
    fn write_one(&mut self, id: SessionId, now: Timestamp) -> Result<(), WalError> {
        let Some(conn) = conn_of(&mut self.conns, id) else { return Ok(()) };
        let Some(outbox) = self.master.outbox(id) else { return Ok(()) };
        let mut outcome = conn.write(outbox);
        if outcome != ConnState::Gone && self.master.is_done(id) && conn.linger_until().is_none() {
            self.unfinished_bytes -= conn.held_bytes();
            outcome = conn.finish(now.plus(LINGER));
        }
        match outcome {
            ConnState::Gone => self.drop_connection(id, now)?,
            ConnState::More => list(&mut self.to_read, conn),
            // It may have been stalled, with frames or bytes that no event will tell of.
            ConnState::Idle if conn.has_unread() => list(&mut self.to_read, conn),
            ConnState::Idle => {}
        }
        Ok(())
    }

    fn drop_connection(&mut self, id: SessionId, now: Timestamp) -> Result<(), WalError> {
        if conn_of(&mut self.conns, id).is_none() {
            return Ok(());
        }
        if let Some(mut conn) = self.conns[id.place()].take() {
            conn.deregister(self.poll.registry());
            self.unfinished_bytes -= conn.held_bytes();
            self.conns_open -= 1;
            if let Some(listener) = &mut self.listener {
                // It may have run out of descriptors before; there is one now.
                listener.is_ready = true;
            }
        }
        self.master.take(id, Input::Gone, now)
    }
}

/// The connection of this session, if it is still there.
fn conn_of(conns: &mut [Option<Conn>], id: SessionId) -> Option<&mut Conn> {
    conns.get_mut(id.place())?.as_mut().filter(|conn| conn.session() == id)
}

fn list(to_read: &mut VecDeque<SessionId>, conn: &mut Conn) {
    if !conn.is_listed {
        conn.is_listed = true;
        to_read.push_back(conn.session());
    }
}
