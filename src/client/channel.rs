//! The calls that are open on one link, from any number of threads.
//!
//! Promises:
//! - Answers are matched by correlation, in whatever order they come.
//! - Of the threads that wait one reads for all, and hands that over when it has its own answer: a lone caller needs no
//!   second thread, and none runs while nobody waits.
//! - What threads send at once leaves in one write. A link that takes nothing more is read from meanwhile, so that
//!   two sides which both wait for the other to read do not wait for ever.
//! - Once the link broke, every call that has no answer fails, and no further one is begun.
//!
//! It does not open links, nor know what requests mean.

mod alive;

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::{Link, TakeOrder};
use crate::limits::FRAME_BODY_BYTES_MAX;
use crate::protocol::frame::set_correlation;
use crate::protocol::{Call as _, Demand, FrameBuffer, Header, Heartbeat, REPLY_BIT, Refusal, Reply};

/// Calls without an answer that may be open on one link. Whoever begins a further one waits for one of these.
const OPEN_CALLS_MAX: usize = 1024;

/// A link that was quiet for so long is looked at before it is used again: the other side may have ended it.
const QUIET: Duration = Duration::from_secs(1);

/// How long a look takes at what may have come.
const LOOK: Duration = Duration::from_millis(1);

/// How long a sender that cannot send reads before it tries again.
const READ_BETWEEN_SENDS: Duration = Duration::from_millis(20);

/// One frame of the master.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    pub header: Header,
    pub body: Vec<u8>,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum NoAnswer {
    TimedOut,
    Broken(io::Error),
    /// The master ended the link by this, behind all its answers: what has none was not carried out.
    Ended(Refusal),
}

/// Why a link takes no further calls.
#[derive(Clone, Debug)]
enum Broken {
    Failed(io::ErrorKind, String),
    Ended(Refusal),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Failed(error.kind(), error.to_string())
    }
}

impl From<Broken> for NoAnswer {
    fn from(broken: Broken) -> NoAnswer {
        match broken {
            Broken::Failed(kind, text) => NoAnswer::Broken(io::Error::new(kind, text)),
            Broken::Ended(refusal) => NoAnswer::Ended(refusal),
        }
    }
}

/// What becomes of a request's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// It is waited for.
    Yes,
    /// Nobody waits for it; but the request has been sent when it was begun.
    No,
}

pub struct Channel {
    link: Box<dyn Link>,
    /// Takes what the master tells this side to do.
    orders: Option<TakeOrder>,
    /// Of the thread that reads.
    frames: Mutex<FrameBuffer>,
    state: Mutex<State>,
    /// Something was sent, or there is room for a further call.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last_correlation: u64,
    calls: BTreeMap<u64, Call>,
    /// Calls that have no answer yet.
    open_count: usize,
    /// Whole frames that wait to be sent, and how many bytes were put there and sent so far.
    outgoing: Vec<u8>,
    put_bytes: u64,
    sent_bytes: u64,
    is_sending: bool,
    is_reading: bool,
    /// How often something came.
    arrivals: u64,
    /// When something came or was sent last.
    heard_at: Option<Instant>,
    sent_at: Option<Instant>,
    /// Since when a sign of life has no answer.
    unheard_since: Option<Instant>,
    /// What the newest sign of life said of taking jobs.
    said_quiet: bool,
    broken: Option<Broken>,
    input_ended: bool,
}

struct Call {
    stage: Stage,
    /// `arrivals` when it was begun.
    arrivals: u64,
}

enum Stage {
    Open(Option<Thread>),
    Unawaited,
    Answered(Frame),
}

impl State {
    fn takes_calls(&self) -> bool {
        self.broken.is_none() && !self.input_ended
    }

    fn fail(&mut self, why: impl Into<Broken>) {
        self.broken.get_or_insert_with(|| why.into());
        self.calls.values().for_each(Call::wake);
    }

    fn take_frame(&mut self, header: Header, body: &[u8]) -> Result<(), Broken> {
        let invalid = |text: String| Broken::Failed(io::ErrorKind::InvalidData, text);
        if header.correlation == 0 {
            return Err(match Reply::decode(header.kind, body) {
                Ok(Reply::Error(refusal)) => Broken::Ended(refusal),
                _ => invalid("a reply to no request came".to_owned()),
            });
        }
        let unknown = || invalid(format!("an answer to request {} came, which is not open", header.correlation));
        let call = self.calls.get_mut(&header.correlation).ok_or_else(unknown)?;
        let answered = Stage::Answered(Frame { header, body: body.to_owned() });
        match std::mem::replace(&mut call.stage, answered) {
            Stage::Open(waiting) => waiting.iter().for_each(Thread::unpark),
            Stage::Unawaited => {
                self.calls.remove(&header.correlation);
            }
            Stage::Answered(_) => return Err(unknown()),
        }
        self.open_count -= 1;
        Ok(())
    }

    /// Somebody else who waits reads from now on.
    fn hand_over(&self) {
        if self.is_reading {
            return;
        }
        let waits = |call: &&Call| matches!(&call.stage, Stage::Open(Some(_)));
        self.calls.values().find(waits).into_iter().for_each(Call::wake);
    }
}

impl Call {
    fn wake(&self) {
        if let Stage::Open(Some(thread)) = &self.stage {
            thread.unpark();
        }
    }
}

impl Channel {
    pub fn new(link: Box<dyn Link>, orders: Option<TakeOrder>) -> Channel {
        let now = Some(Instant::now());
        let state = Mutex::new(State { heard_at: now, sent_at: now, ..State::default() });
        Channel { link, orders, frames: Mutex::default(), state, changed: Condvar::new() }
    }

    /// Whether further calls may be begun.
    pub fn takes_calls(&self) -> bool {
        let mut state = self.locked();
        let is_quiet = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() >= QUIET);
        if is_quiet(state.heard_at) && is_quiet(state.sent_at) {
            state = self.look(state);
        }
        state.takes_calls()
    }

    /// Takes what has come, if nobody reads.
    fn look<'s>(&'s self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        if state.is_reading || !state.takes_calls() {
            return state;
        }
        let state = self.read(state, Instant::now() + LOOK);
        state.hand_over();
        state
    }

    /// Sends a request, whose frame gets its correlation here and gives it back. `None` if the link takes no further
    /// calls, or broke before this one was sent that nobody would wait for.
    pub fn begin(&self, frame: &[u8], awaited: Awaited, deadline: Instant) -> Option<u64> {
        let mut state = self.locked();
        while state.open_count >= OPEN_CALLS_MAX && state.takes_calls() && Instant::now() < deadline {
            state = self.wait_for_change(state, deadline);
        }
        if !state.takes_calls() {
            return None;
        }
        state.last_correlation += 1;
        let correlation = state.last_correlation;
        let call = Call {
            stage: if awaited == Awaited::Yes { Stage::Open(None) } else { Stage::Unawaited },
            arrivals: state.arrivals,
        };
        state.calls.insert(correlation, call);
        state.open_count += 1;
        let at = state.outgoing.len();
        state.outgoing.extend_from_slice(frame);
        set_correlation(&mut state.outgoing[at..], correlation);
        state.put_bytes += frame.len() as u64;
        let sent_at = state.put_bytes;
        if !state.is_sending {
            state = self.send_all(state, deadline);
        }
        while awaited == Awaited::No && state.sent_bytes < sent_at && state.broken.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (awaited == Awaited::Yes || state.sent_bytes >= sent_at).then_some(correlation)
    }

    /// Waits for the answer to a call; once.
    pub fn wait(&self, correlation: u64, deadline: Instant) -> Result<Frame, NoAnswer> {
        let mut state = self.locked();
        let outcome = loop {
            let call = state.calls.get_mut(&correlation).expect("a call is waited for once");
            if let Stage::Answered(frame) = &mut call.stage {
                break Ok(std::mem::take(frame));
            }
            if let Some(broken) = &state.broken {
                break Err(broken.clone().into());
            }
            if Instant::now() >= deadline {
                self.give_up(&mut state, correlation);
                state.hand_over();
                return Err(NoAnswer::TimedOut);
            }
            if !state.is_reading {
                state = self.read(state, deadline);
                continue;
            }
            if let Some(call) = state.calls.get_mut(&correlation) {
                call.stage = Stage::Open(Some(thread::current()));
            }
            drop(state);
            thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
            state = self.locked();
        };
        state.calls.remove(&correlation);
        state.hand_over();
        outcome
    }

    /// Nobody will wait for this call.
    pub fn forget(&self, correlation: u64) {
        let mut state = self.locked();
        match state.calls.get_mut(&correlation) {
            Some(Call { stage: Stage::Answered(_), .. }) => {
                state.calls.remove(&correlation);
            }
            Some(call) => call.stage = Stage::Unawaited,
            None => {}
        }
    }

    /// Ends the sending side, or all of it; no further call is begun.
    pub fn end(&self, how: Shutdown) {
        self.locked().input_ended = true;
        self.link.end(how);
    }

    /// A link over which nothing came since the call was begun is given up with it. Otherwise it lives, and the answer
    /// may come later.
    fn give_up(&self, state: &mut State, correlation: u64) {
        let Some(call) = state.calls.get_mut(&correlation) else { return };
        call.stage = Stage::Unawaited;
        if call.arrivals == state.arrivals {
            state.fail(Broken::Failed(io::ErrorKind::TimedOut, "the master was silent for too long".to_owned()));
            self.link.end(Shutdown::Both);
        }
    }

    /// Sends all that waits to be sent, also what comes meanwhile.
    fn send_all<'s>(&'s self, mut state: MutexGuard<'s, State>, deadline: Instant) -> MutexGuard<'s, State> {
        state.is_sending = true;
        while !state.outgoing.is_empty() && state.broken.is_none() {
            let bytes = std::mem::take(&mut state.outgoing);
            let mut sent = 0;
            while sent < bytes.len() && state.broken.is_none() {
                drop(state);
                let outcome = self.link.send(&bytes[sent..]);
                state = self.locked();
                match outcome {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == io::ErrorKind::TimedOut && Instant::now() < deadline => {
                        if !state.is_reading {
                            state = self.read(state, Instant::now() + READ_BETWEEN_SENDS);
                            state.hand_over();
                        }
                    }
                    Err(error) => {
                        state.fail(error);
                        self.link.end(Shutdown::Both);
                    }
                }
            }
            state.sent_bytes += sent as u64;
            state.sent_at = Some(Instant::now());
            self.changed.notify_all();
        }
        state.is_sending = false;
        state.hand_over();
        state
    }

    /// Waits until a further call may perhaps be begun.
    fn wait_for_change<'s>(&'s self, state: MutexGuard<'s, State>, deadline: Instant) -> MutexGuard<'s, State> {
        if !state.is_reading {
            let state = self.read(state, deadline);
            state.hand_over();
            return state;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Reads what comes next, and gives each answer to the one who waits for it.
    fn read<'s>(&'s self, mut state: MutexGuard<'s, State>, deadline: Instant) -> MutexGuard<'s, State> {
        state.is_reading = true;
        drop(state);
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let received = self.link.receive(&mut frames, deadline);
        let mut state = self.locked();
        state.is_reading = false;
        let outcome = match received {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => {
                state.arrivals += 1;
                state.heard_at = Some(Instant::now());
                state.unheard_since = None;
                take_frames(&mut state, &mut frames, self.orders.as_ref())
            }
        };
        if let Err(why) = outcome {
            state.fail(why);
            self.link.end(Shutdown::Both);
        }
        self.changed.notify_all();
        state
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_frames(state: &mut State, frames: &mut FrameBuffer, orders: Option<&TakeOrder>) -> Result<(), Broken> {
    let invalid = |text: String| Broken::Failed(io::ErrorKind::InvalidData, text);
    while let Some((header, body)) = frames.next_frame(FRAME_BODY_BYTES_MAX).map_err(|bad| invalid(bad.refusal.text))? {
        state.take_frame(header, body)?;
        if let Some(take) = orders
            && let Some(order) = order_in(header, body)
        {
            take(order);
        }
    }
    Ok(())
}

/// What this side is told to do, by an answer that may have nobody who waits for it. An order of a later version is
/// passed over.
fn order_in(header: Header, body: &[u8]) -> Option<Demand> {
    if header.kind != REPLY_BIT | Heartbeat::KIND {
        return None;
    }
    match Reply::decode(header.kind, body) {
        Ok(Reply::HeartbeatOk(answer)) => answer.order.and_then(Demand::from_code),
        // Whoever waits for it is told what is wrong.
        _ => None,
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.link.end(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests;
