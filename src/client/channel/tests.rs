//! A channel over a master that answers when it is told to.

use super::*;
use crate::protocol::{Call, HeartbeatOk, Request, Stats, StatsOk};
use std::collections::VecDeque;
use std::sync::Arc;

/// A master that answers when it is told to, and takes nothing while `open` answers are not read.
#[derive(Clone, Default)]
struct Fake(Arc<(Mutex<FakeState>, Condvar)>);

#[derive(Default)]
struct FakeState {
    asked: Vec<u64>,
    answers: VecDeque<Vec<u8>>,
    is_over: bool,
    /// With this many answers to be read it reads nothing; 0 for no bound.
    answers_max: usize,
    answers_at_once: bool,
    /// How long the link may be silent, if it says so.
    silence: Option<Duration>,
}

fn answer(correlation: u64) -> Vec<u8> {
    let mut frame = Vec::new();
    Reply::StatsOk(StatsOk::default()).encode(correlation, &mut frame);
    frame
}

impl Fake {
    fn change<T>(&self, change: impl FnOnce(&mut FakeState) -> T) -> T {
        let changed = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        changed
    }

    fn wait_for_asked(&self, count: usize) -> Vec<u64> {
        let state = self.0.0.lock().unwrap();
        self.0.1.wait_while(state, |state| state.asked.len() < count).unwrap().asked.clone()
    }
}

impl Link for Fake {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.change(|state| {
            if state.is_over {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if state.answers_max > 0 && state.answers.len() >= state.answers_max {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let (header, frame_bytes) = crate::protocol::frame::next_in(bytes, usize::MAX).unwrap().unwrap();
            state.asked.push(header.correlation);
            if state.answers_at_once {
                state.answers.push_back(answer(header.correlation));
            }
            Ok(frame_bytes)
        })
    }

    fn silence(&self) -> Option<Duration> {
        self.change(|state| state.silence)
    }

    fn receive(&self, into: &mut FrameBuffer, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let state = self.0.0.lock().unwrap();
        let waits = |state: &mut FakeState| state.answers.is_empty() && !state.is_over;
        let mut state = self.0.1.wait_timeout_while(state, left, waits).unwrap().0;
        match state.answers.pop_front() {
            Some(frame) => into.push(&frame),
            None if state.is_over => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => return Err(io::ErrorKind::TimedOut.into()),
        }
        Ok(())
    }

    fn end(&self, _: Shutdown) {
        self.change(|state| state.is_over = true);
    }
}

fn channel() -> (Fake, Arc<Channel>) {
    let fake = Fake::default();
    (fake.clone(), Arc::new(Channel::new(Box::new(fake), None)))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn stats() -> Vec<u8> {
    let mut frame = Vec::new();
    Request::from(Stats {}).encode(0, &mut frame);
    frame
}

fn begin(channel: &Channel) -> u64 {
    channel.begin(&stats(), Awaited::Yes, soon()).expect("it takes calls")
}

#[test]
fn answers_find_who_waits_for_them_in_whatever_order_they_come() {
    let (fake, channel) = channel();
    let waits = |_| {
        let channel = Arc::clone(&channel);
        thread::spawn(move || {
            let correlation = begin(&channel);
            let frame = channel.wait(correlation, soon()).unwrap();
            assert_eq!((frame.header.correlation, frame.header.kind & 0xff), (correlation, Stats::KIND));
        })
    };
    let threads: Vec<_> = (0..8).map(waits).collect();
    for correlation in fake.wait_for_asked(8).into_iter().rev() {
        fake.change(|state| state.answers.push_back(answer(correlation)));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_link_that_breaks_fails_every_call_that_has_no_answer() {
    let (fake, channel) = channel();
    let (first, second) = (begin(&channel), begin(&channel));
    fake.change(|state| state.answers.push_back(answer(second)));
    channel.wait(second, soon()).unwrap();
    let waiting = {
        let channel = Arc::clone(&channel);
        thread::spawn(move || channel.wait(first, soon()))
    };
    fake.change(|state| state.is_over = true);
    assert!(matches!(waiting.join().unwrap(), Err(NoAnswer::Broken(_))));
    assert_eq!(channel.begin(&stats(), Awaited::Yes, soon()), None);
}

#[test]
fn a_call_whose_time_is_over_ends_a_silent_link_and_no_other() {
    let (fake, channel) = channel();
    let (slow, quick) = (begin(&channel), begin(&channel));
    fake.change(|state| state.answers.push_back(answer(quick)));
    channel.wait(quick, soon()).unwrap();
    assert!(matches!(channel.wait(slow, Instant::now()), Err(NoAnswer::TimedOut)));
    assert!(channel.takes_calls(), "something came meanwhile");
    fake.change(|state| state.answers.push_back(answer(slow)));
    let last = begin(&channel);
    assert!(matches!(channel.wait(last, Instant::now()), Err(NoAnswer::TimedOut)));
    assert!(!channel.takes_calls(), "nothing came");
}

#[test]
fn a_master_that_takes_nothing_before_it_is_read_from_is_read_from() {
    let (fake, channel) = channel();
    fake.change(|state| (state.answers_at_once, state.answers_max) = (true, 3));
    let calls: Vec<u64> = (0..3000).map(|_| begin(&channel)).collect();
    for correlation in calls {
        channel.wait(correlation, soon()).unwrap();
    }
}

#[test]
fn what_nobody_waits_for_was_sent_or_it_is_told() {
    let (fake, channel) = channel();
    assert!(channel.begin(&stats(), Awaited::No, soon()).is_some());
    fake.change(|state| state.is_over = true);
    assert_eq!(channel.begin(&stats(), Awaited::No, soon()), None, "the link broke while it was sent");
}

#[test]
fn an_answer_to_nothing_ends_the_link() {
    let (fake, channel) = channel();
    let call = begin(&channel);
    fake.change(|state| state.answers.push_back(answer(7)));
    let error = channel.wait(call, soon()).unwrap_err();
    assert!(matches!(error, NoAnswer::Broken(error) if error.kind() == io::ErrorKind::InvalidData));
}

#[test]
fn whoever_reads_hands_that_over_when_it_has_its_answer() {
    let (fake, channel) = channel();
    let waits = || {
        let (correlation, waiting) = (begin(&channel), Arc::clone(&channel));
        let thread = thread::spawn(move || waiting.wait(correlation, soon()).map(|frame| frame.header.correlation));
        // It is the one who reads, or waits for that one.
        while !channel.locked().is_reading {
            thread::yield_now();
        }
        (correlation, thread)
    };
    let (first, reads) = waits();
    let (second, parked) = waits();
    let is_parked = || matches!(channel.locked().calls[&second].stage, Stage::Open(Some(_)));
    while !is_parked() {
        thread::yield_now();
    }
    fake.change(|state| state.answers.push_back(answer(first)));
    assert_eq!(reads.join().unwrap().unwrap(), first);
    fake.change(|state| state.answers.push_back(answer(second)));
    assert_eq!(parked.join().unwrap().unwrap(), second);
}

/// A sign of life, and an answer to it that tells what to do.
fn beat() -> Vec<u8> {
    let mut frame = Vec::new();
    Request::from(Heartbeat::default()).encode(0, &mut frame);
    frame
}

fn told(correlation: u64, order: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    Reply::HeartbeatOk(HeartbeatOk { order: Some(order), ..HeartbeatOk::default() }).encode(correlation, &mut frame);
    frame
}

#[test]
fn an_order_is_taken_from_an_answer_that_nobody_waits_for() {
    let (fake, orders) = (Fake::default(), Arc::new(Mutex::new(Vec::new())));
    let taken = Arc::clone(&orders);
    let take: TakeOrder = Arc::new(move |order| taken.lock().unwrap().push(order));
    let channel = Channel::new(Box::new(fake.clone()), Some(take));
    let beats = [0; 3].map(|_| channel.begin(&beat(), Awaited::No, soon()).unwrap());
    let call = begin(&channel);
    fake.change(|state| {
        let orders = [Demand::Stop.code(), 200, Demand::Quiet.code()];
        state.answers.extend(beats.into_iter().zip(orders).map(|(beat, order)| told(beat, order)));
        state.answers.push_back(answer(call));
    });
    channel.wait(call, soon()).unwrap();
    assert_eq!(*orders.lock().unwrap(), [Demand::Stop, Demand::Quiet], "one of a later version is passed over");
}

#[test]
fn that_a_client_takes_no_jobs_is_said_at_once_and_again_only_when_it_changes() {
    let (fake, channel) = channel();
    let said = |quiet| {
        channel.keep_alive(&beat(), quiet);
        fake.change(|state| state.asked.len())
    };
    assert_eq!([false, true, true, false].map(said), [0, 1, 1, 2]);
}

#[test]
fn a_sign_of_life_leaves_early_enough_for_its_answer_to_come_within_a_third_of_the_silence() {
    let (fake, channel) = channel();
    fake.change(|state| state.silence = Some(Duration::from_secs(15)));
    let look = |sent_ago_ms| {
        channel.locked().sent_at = Instant::now().checked_sub(Duration::from_millis(sent_ago_ms));
        let next = channel.keep_alive(&beat(), false);
        (next.as_millis(), fake.change(|state| state.asked.len()))
    };
    assert_eq!(look(0), (1250, 0));
    let (next, asked) = look(4000);
    assert!(next <= 500 && asked == 0, "{next} ms");
    assert_eq!(look(4500), (100, 1));
    assert_eq!(look(4500), (100, 1), "its answer is looked for, and no second one is sent");
    fake.change(|state| state.answers.push_back(told(1, Demand::Quiet.code())));
    assert_eq!(look(0), (1250, 1));
}
