//! One connection: bytes in, cut into frames; bytes out, as the socket takes them. mio tells of a change once, so
//! what was not finished is remembered here.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Event;
use mio::{Interest, Registry, Token};

use super::stream::Stream;
use crate::ids::SessionId;
use crate::limits::READ_BYTES_PER_TURN;
use crate::master::{Input, Intake, Master, Outbox, WalError};
use crate::protocol::FrameBuffer;
use crate::protocol::frame::{BadHeader, next_in};
use crate::time::Timestamp;

/// Pieces handed to the system in one call; Linux takes up to 1,024.
const PIECES_PER_WRITE: usize = 16;

/// A frame of this length that was not read at once is long.
const LONG_BYTES: usize = 16 << 10;

/// How much of a frame is read first where a long one is expected: enough for its head, and little enough to be moved.
const LONG_START_BYTES: usize = 512;

#[derive(Debug)]
pub struct Conn {
    stream: Stream,
    session: SessionId,
    /// What was read and not yet taken: the start of a frame, or frames that wait because the session is stalled.
    input: FrameBuffer,
    is_readable: bool,
    /// Its last frame was long. The next is begun with a short read, and all of its payload goes straight to one place.
    is_sending_long: bool,
    /// Its last read was filled to the last byte.
    is_sending_much: bool,
    is_writable: bool,
    /// Whether it is on the loop's list of connections to read from.
    pub is_listed: bool,
    /// Set once all was said and the sending side is closed: what still comes in is dropped, until then.
    linger_until: Option<Timestamp>,
    pub since: Timestamp,
    /// When bytes came last.
    pub heard_at: Timestamp,
    /// Since when its oldest unfinished frame is there.
    pub half_since: Option<Timestamp>,
    input_ended: bool,
    /// The other side has ended its sending; what it sent before may still be unread.
    is_read_closed: bool,
}

/// What a connection is after something was done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnState {
    /// Nothing more can be done now.
    Idle,
    /// There is more to do, and no further event will say so.
    More,
    /// It broke, or both sides are done.
    Gone,
}

impl Conn {
    /// Registers it, once for ever.
    pub fn new(mut stream: Stream, session: SessionId, registry: &Registry, now: Timestamp) -> io::Result<Conn> {
        stream.tune()?;
        let token = Token(usize::try_from(session.0).map_err(io::Error::other)?);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Conn {
            stream,
            session,
            input: FrameBuffer::default(),
            is_readable: true,
            is_sending_long: false,
            is_sending_much: false,
            is_writable: true,
            is_listed: false,
            linger_until: None,
            since: now,
            heard_at: now,
            half_since: None,
            input_ended: false,
            is_read_closed: false,
        })
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    pub fn linger_until(&self) -> Option<Timestamp> {
        self.linger_until
    }

    /// Bytes of memory for unfinished frames, and for those that wait because the session is stalled.
    pub fn held_bytes(&self) -> usize {
        self.input.taken_bytes()
    }

    /// Whether it is the other side that keeps a frame unfinished.
    pub fn waits_for_rest(&self, master: &Master) -> bool {
        matches!(master.intake(self.session), Intake::Open { .. }) && !self.is_listed
    }

    /// Whether the socket takes bytes, as far as is known.
    pub fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Notes what an event said; says whether the connection is gone.
    pub fn note(&mut self, event: &Event, master: &mut Master, now: Timestamp) -> Result<bool, WalError> {
        self.is_readable |= event.is_readable() || event.is_read_closed();
        self.is_writable |= event.is_writable();
        self.is_read_closed |= event.is_read_closed();
        self.end_waiting(master, now)?;
        Ok(event.is_error() || (event.is_write_closed() && self.linger_until.is_none()))
    }

    /// Polls that wait may be what stalls the session; once the other side has ended its sending, nobody waits for
    /// their jobs any more.
    fn end_waiting(&self, master: &mut Master, now: Timestamp) -> Result<(), WalError> {
        if self.is_read_closed && master.intake(self.session) == Intake::Stalled {
            master.take(self.session, Input::Ending, now)?;
        }
        Ok(())
    }

    /// Whether there may be something to read or to take without a further event.
    pub fn has_unread(&self) -> bool {
        self.input.waiting_bytes() > 0 || (self.is_readable && !self.input_ended)
    }

    /// Reads up to the turn's budget and hands every whole frame to the master.
    pub fn read(&mut self, master: &mut Master, scratch: &mut [u8], now: Timestamp) -> Result<ConnState, WalError> {
        if self.linger_until.is_some() {
            return Ok(self.drop_input(scratch));
        }
        let outcome = self.read_frames(master, scratch, now);
        let is_half = self.held_bytes() > 0;
        self.half_since = if is_half { self.half_since.or(Some(now)) } else { None };
        outcome
    }

    fn read_frames(&mut self, master: &mut Master, scratch: &mut [u8], now: Timestamp) -> Result<ConnState, WalError> {
        let mut budget = READ_BYTES_PER_TURN;
        loop {
            let Some(body_bytes_max) = self.take_waiting(master, now)? else {
                self.end_waiting(master, now)?;
                return Ok(ConnState::Idle);
            };
            if budget == 0 {
                return Ok(ConnState::More);
            }
            if !self.is_readable || self.input_ended {
                return Ok(ConnState::Idle);
            }
            match self.read_once(master, scratch, budget, body_bytes_max, now) {
                Ok(Ok(0)) => {
                    self.input_ended = true;
                    master.take(self.session, Input::Ended, now)?;
                    return Ok(ConnState::Idle);
                }
                Ok(Ok(came)) => {
                    self.heard_at = now;
                    budget = budget.saturating_sub(came);
                }
                Ok(Err(fatal)) => return Err(fatal),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("session {}: reading: {error}", self.session);
                    return Ok(ConnState::Gone);
                }
            }
        }
    }

    /// One read, into the middle of a long frame if there is one, else into the shared scratch; so an idle
    /// connection keeps no memory and a long payload is not copied on its way to the log.
    fn read_once(
        &mut self,
        master: &mut Master,
        scratch: &mut [u8],
        budget: usize,
        body_bytes_max: usize,
        now: Timestamp,
    ) -> io::Result<Result<usize, WalError>> {
        let missing = self.input.missing_bytes(body_bytes_max);
        // Memory for much is taken only where much comes at once: a slow sender's few bytes go through the scratch.
        if missing > 0 && self.is_sending_much {
            let stream = &mut self.stream;
            let room = missing.min(budget);
            let came = self.input.read_with(missing, room, |room| stream.read(room))?;
            self.note_came(came, room);
            return Ok(Ok(came));
        }
        let whole = if missing > 0 { missing.min(scratch.len()) } else { scratch.len() };
        let room = if self.is_sending_long && missing == 0 { LONG_START_BYTES } else { whole }.min(budget);
        let came = self.stream.read(&mut scratch[..room])?;
        self.note_came(came, room);
        let fresh = &scratch[..came];
        if !self.input.is_empty() {
            self.input.push(fresh);
            return Ok(Ok(came));
        }
        let taken = self.take_fresh(master, fresh, now);
        // However little of it is missing: the next one of that length would be moved as a whole, too.
        let missing = self.input.missing_bytes(body_bytes_max);
        self.is_sending_long = missing > 0 && self.input.waiting_bytes() + missing >= LONG_BYTES;
        Ok(taken.map(|()| came))
    }

    /// A read that came back short emptied the socket, and what comes later has an event of its own. So a request
    /// costs one read, without a second that finds nothing. Only the other side's end, once its event was seen, has
    /// no further event.
    fn note_came(&mut self, came: usize, room: usize) {
        self.is_sending_much = came == room;
        if came < room && !self.is_read_closed {
            self.is_readable = false;
        }
    }

    /// Hands the frames in `fresh` to the master; the rest is kept.
    fn take_fresh(&mut self, master: &mut Master, mut fresh: &[u8], now: Timestamp) -> Result<(), WalError> {
        while !fresh.is_empty()
            && let Intake::Open { body_bytes_max } = master.intake(self.session)
        {
            match next_in(fresh, body_bytes_max) {
                Ok(Some((header, frame_bytes))) => {
                    let body = &fresh[frame_bytes - header.body_bytes..frame_bytes];
                    master.take(self.session, Input::Frame(&header, body), now)?;
                    fresh = &fresh[frame_bytes..];
                }
                Ok(None) => break,
                Err(bad) => return self.refuse(master, &bad, now),
            }
        }
        if !fresh.is_empty() {
            self.input.push(fresh);
        }
        Ok(())
    }

    /// Hands frames that wait in the buffer to the master; if reading may go on, says how long a body may be.
    fn take_waiting(&mut self, master: &mut Master, now: Timestamp) -> Result<Option<usize>, WalError> {
        loop {
            let Intake::Open { body_bytes_max } = master.intake(self.session) else { return Ok(None) };
            if self.input.is_empty() {
                return Ok(Some(body_bytes_max));
            }
            match self.input.next_frame(body_bytes_max) {
                Ok(Some((header, body))) => {
                    master.take(self.session, Input::Frame(&header, body), now)?;
                }
                Ok(None) => return Ok(Some(body_bytes_max)),
                Err(bad) => {
                    self.refuse(master, &bad, now)?;
                    return Ok(None);
                }
            }
        }
    }

    fn refuse(&mut self, master: &mut Master, bad: &BadHeader, now: Timestamp) -> Result<(), WalError> {
        self.input = FrameBuffer::default();
        master.take(self.session, Input::BadHeader(bad), now)
    }

    /// Reads and drops, so that the last words are not lost to a reset by unread data.
    fn drop_input(&mut self, scratch: &mut [u8]) -> ConnState {
        let mut budget = READ_BYTES_PER_TURN;
        while self.is_readable && !self.input_ended {
            if budget == 0 {
                return ConnState::More;
            }
            match self.stream.read(scratch) {
                Ok(0) => self.input_ended = true,
                Ok(came) => budget = budget.saturating_sub(came),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return ConnState::Gone,
            }
        }
        if self.input_ended { ConnState::Gone } else { ConnState::Idle }
    }

    /// Writes what may leave, as far as the socket takes it.
    pub fn write(&mut self, outbox: &mut Outbox) -> ConnState {
        while self.is_writable && outbox.ready_bytes() > 0 {
            let mut pieces = [IoSlice::new(&[]); PIECES_PER_WRITE];
            let count = outbox.fill(&mut pieces);
            let written = match &pieces[..count] {
                [piece] => self.stream.write(piece),
                pieces => self.stream.write_vectored(pieces),
            };
            match written {
                Ok(sent) => outbox.consume(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("session {}: writing: {error}", self.session);
                    return ConnState::Gone;
                }
            }
        }
        ConnState::Idle
    }

    /// Everything was said: closes the sending side. The connection is gone when the other side has closed, too, and at
    /// that moment.
    pub fn finish(&mut self, until: Timestamp) -> ConnState {
        self.input = FrameBuffer::default();
        if self.input_ended || self.stream.shutdown(Shutdown::Write).is_err() {
            return ConnState::Gone;
        }
        self.linger_until = Some(until);
        self.half_since = None;
        ConnState::More
    }

    /// Ends the registration; the socket closes with the value.
    pub fn deregister(&mut self, registry: &Registry) {
        if let Err(error) = registry.deregister(&mut self.stream) {
            log::debug!("session {}: deregistering: {error}", self.session);
        }
    }
}
