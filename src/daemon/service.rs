//! What systemd is told of a service of `Type=notify`: how far the start is, that it serves, that the loop turns, that
//! it stops. Without systemd nothing is told, and nothing fails.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How much longer the start may take, from each word on how far it is.
const START_EXTENDED: Duration = Duration::from_mins(1);

/// How far the start is; it takes as long as the log is.
pub fn starts(how_far: &str) {
    let more_us = START_EXTENDED.as_micros() as u32;
    tell(&[NotifyState::Status(&format!("starting: {how_far}")), NotifyState::ExtendTimeoutUsec(more_us)]);
}

pub fn serves(addresses: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving on {addresses}"))]);
}

/// The settings are read again.
pub fn reloads() {
    // systemd wants to know since when.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// They were read, or stay as they are.
pub fn goes_on() {
    tell(&[NotifyState::Ready]);
}

pub fn stops() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Whom the loop tells that it turns.
#[derive(Debug)]
pub struct Watchdog {
    /// How often it has to be told at least, if there is one.
    pub every: Option<Duration>,
    told_at: Option<Instant>,
}

impl Watchdog {
    pub fn new() -> Watchdog {
        Watchdog { every: sd_notify::watchdog_enabled().map(|span| span / 3), told_at: None }
    }

    pub fn tell(&mut self) {
        let Some(every) = self.every else { return };
        if self.told_at.is_none_or(|at| at.elapsed() >= every / 2) {
            self.told_at = Some(Instant::now());
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("telling systemd: {error}");
    }
}
