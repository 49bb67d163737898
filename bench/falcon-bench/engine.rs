//! The loop: one thread, all connections, producers and workers. It sends what a load asks for and books the answers.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::books::Books;
use crate::conn::{Conn, Role};
use crate::load::{Figures, Load, Pace, Settle, Window};
use crate::schedule::Schedule;
use crate::wire::{Batch, Seen};

const READ_BYTES: usize = 256 << 10;
const EVENTS: usize = 1024;
/// How long greetings may take, and how long the jobs of a run may take to be acked once its window is over.
const READY_MAX: Duration = Duration::from_mins(1);
const SETTLE_MAX: Duration = Duration::from_mins(2);
/// How long a run that ends by a number of jobs may take.
const COUNTED_MAX: Duration = Duration::from_mins(15);
const SLEEP_MAX: Duration = Duration::from_millis(50);

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the process began.
pub fn now_ns() -> u64 {
    BEGUN.elapsed().as_nanos() as u64
}

/// Runs one load to its end.
pub fn run(load: &Load) -> Result<Figures, String> {
    let mut engine = Engine::new(load)?;
    engine.greet()?;
    let done = engine.serve();
    done.map_err(|why| format!("{why} ({})", engine.books.state()))?;
    let mut figures = engine.books.figures()?;
    if let Window::Acks(jobs) = load.window {
        engine.books.progress().add_ends(jobs, &mut figures);
    }
    if let Some(piece) = load.piece {
        engine.books.progress().add_pieces(piece, &mut figures);
    }
    Ok(figures)
}

struct Engine<'l> {
    load: &'l Load,
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
    buffer: Vec<u8>,
    seen: Seen,
    books: Books,
    /// Producers that could send; one stands here for each request that it may open.
    free: VecDeque<usize>,
    schedule: Option<Schedule>,
    /// Polls of all workers that are not answered.
    polls_open: u32,
    begun_ns: u64,
    /// When the window ends, or when the run has to be over.
    deadline_ns: u64,
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
}

impl<'l> Engine<'l> {
    fn new(load: &'l Load) -> Result<Engine<'l>, String> {
        let poll = Poll::new().map_err(failed("epoll"))?;
        let mut conns = Vec::new();
        let roles = [(Role::Worker, load.workers), (Role::Producer, load.producers), (Role::Idle, load.idle)];
        for (role, count) in roles {
            for _ in 0..count {
                let wire = load.wire.wire(conns.len(), load);
                let mut conn = Conn::open(&load.place, role, wire)?;
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut conn.stream, Token(conns.len()), both).map_err(failed("epoll"))?;
                conns.push(conn);
            }
        }
        Ok(Engine {
            load,
            poll,
            events: Events::with_capacity(EVENTS),
            conns,
            buffer: vec![0; READ_BYTES],
            seen: Seen::default(),
            books: Books::new(load.waiting, load.payload_bytes, load.server_pid),
            free: VecDeque::new(),
            schedule: None,
            polls_open: 0,
            begun_ns: 0,
            deadline_ns: u64::MAX,
        })
    }

    /// One turn of the loop.
    fn turn(&mut self, sleep: Duration) -> Result<(), String> {
        match self.poll.poll(&mut self.events, Some(sleep)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result.map_err(failed("epoll"))?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let served = events.iter().try_for_each(|event| self.serve_conn(event.token().0));
        self.events = events;
        served
    }

    fn greet(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while !self.conns.iter().all(|conn| conn.is_ready) {
            self.turn(SLEEP_MAX)?;
            if begun.elapsed() > READY_MAX {
                return Err("not every connection was greeted in time".into());
            }
        }
        Ok(())
    }

    fn serve(&mut self) -> Result<(), String> {
        self.begin()?;
        loop {
            let now_ns = now_ns();
            self.keep_window(now_ns)?;
            if self.books.window_ended() && self.is_settled() {
                return Ok(());
            }
            self.submit_all(now_ns)?;
            let sleep = self.schedule.as_ref().map_or(SLEEP_MAX, |schedule| schedule.sleep(now_ns));
            self.turn(if self.books.window_ended() { SLEEP_MAX } else { sleep.min(SLEEP_MAX) })?;
        }
    }

    fn is_settled(&self) -> bool {
        match self.load.settle {
            Settle::Nothing => true,
            Settle::HandedOut => self.polls_open == 0 && self.books.acked == self.books.delivered,
            Settle::All => self.books.is_settled(self.load.workers > 0),
        }
    }

    /// Workers poll first, so that the first jobs find them waiting.
    fn begin(&mut self) -> Result<(), String> {
        for index in 0..self.conns.len() {
            let conn = &mut self.conns[index];
            for _ in 0..self.load.open {
                match conn.role {
                    Role::Worker => {
                        conn.wire.poll(&mut conn.out);
                        self.polls_open += 1;
                    }
                    Role::Producer => self.free.push_back(index),
                    Role::Idle => {}
                }
            }
            conn.flush()?;
        }
        self.begun_ns = now_ns();
        if let Pace::Open { per_s } = self.load.pace {
            self.schedule = Some(Schedule::new(self.begun_ns, per_s));
        }
        Ok(())
    }

    fn keep_window(&mut self, now_ns: u64) -> Result<(), String> {
        let warm_ns = self.begun_ns + self.load.warmup.as_nanos() as u64;
        if !self.books.window_begun() && now_ns >= warm_ns {
            self.books.begin_window(now_ns);
            self.deadline_ns = match self.load.window {
                Window::Time(span) => now_ns + span.as_nanos() as u64,
                _ => now_ns + COUNTED_MAX.as_nanos() as u64,
            };
        }
        let is_over = match self.load.window {
            Window::Time(_) => now_ns >= self.deadline_ns,
            Window::Submits(jobs) => self.books.submitted >= jobs,
            Window::Acks(jobs) => self.books.acked >= jobs,
        };
        if self.books.window_begun() && !self.books.window_ended() && is_over {
            self.books.end_window(now_ns);
            self.deadline_ns = now_ns + SETTLE_MAX.as_nanos() as u64;
        } else if now_ns > self.deadline_ns {
            return Err("the run is not over in time".into());
        }
        Ok(())
    }

    /// How many jobs the next submit may hold.
    fn room(&self) -> u64 {
        if self.books.window_ended() {
            return 0;
        }
        let under = |bound: u64, count: u64| bound.saturating_sub(count).min(self.load.batch.into());
        match (self.load.window, self.load.backlog_max) {
            (Window::Submits(jobs), _) => under(jobs, self.books.sent),
            (_, Some(jobs)) => under(jobs, self.books.sent - self.load.waiting - self.books.delivered),
            _ => self.load.batch.into(),
        }
    }

    /// Sends all that may be sent now.
    fn submit_all(&mut self, now_ns: u64) -> Result<(), String> {
        while let (Some(index), count @ 1..) = (self.free.front().copied(), self.room()) {
            let stamp_ns = match &mut self.schedule {
                Some(schedule) => match schedule.take_due(now_ns) {
                    Some(due_ns) => due_ns,
                    None => return Ok(()),
                },
                None => self::now_ns(),
            };
            self.free.pop_front();
            let (first, count) = (self.books.sent, count as u32);
            let batch = Batch { first, count, stamp_ns, payload_bytes: self.load.payload_bytes };
            self.books.sent += u64::from(count);
            let conn = &mut self.conns[index];
            conn.submits.push_back((stamp_ns, count));
            conn.wire.submit(&batch, &mut conn.out);
            // A producer that stands next in line again has more to send in the same write.
            if self.schedule.is_some() || self.free.front() != Some(&index) {
                conn.flush()?;
            }
        }
        Ok(())
    }

    fn serve_conn(&mut self, index: usize) -> Result<(), String> {
        let conn = &mut self.conns[index];
        self.seen.clear();
        conn.read(&mut self.buffer, &mut self.seen)?;
        conn.is_ready |= self.seen.ready;
        let now_ns = now_ns();
        for _ in 0..self.seen.submits {
            let (stamp_ns, jobs) = conn.submits.pop_front().ok_or("an answer to no submit")?;
            self.books.submitted(jobs, stamp_ns, now_ns);
            self.free.push_back(index);
        }
        for job in self.seen.delivered.drain(..) {
            self.books.delivered(job, now_ns)?;
        }
        self.books.acked(self.seen.acks, now_ns);
        conn.wire.ack(&mut conn.out);
        if self.books.window_ended() && self.load.settle == Settle::HandedOut {
            self.polls_open -= self.seen.polls;
        } else {
            (0..self.seen.polls).for_each(|_| conn.wire.poll(&mut conn.out));
        }
        if self.seen.submits > 0 {
            self.submit_all(now_ns)?;
        }
        self.conns[index].flush()
    }
}
