//! What the loop tells and asks its program: to stop, to read the settings again, that it turns.

use std::ffi::OsString;
use std::time::Duration;

use super::config;
use super::service::{self, Watchdog};
use super::settings::{Settings, Unread};
use super::web::WebTeller;
use crate::exit::Failure;
use crate::master::Config;
use crate::reactor::Host;
use crate::stderr::Lines;
use crate::worker::PoolStopper;

/// Settings that change while it runs.
const CHANGEABLE: [&str; 7] = ["log", "token-file", "default-timeout", "key-window", "grace", "silence", "memory-max"];

pub struct Program<'l> {
    watchdog: Watchdog,
    lines: &'l Lines,
    /// The command line, which does not change.
    line: Vec<OsString>,
    /// The settings as they were read last.
    settings: Option<Settings>,
    stopper: Option<PoolStopper>,
    web: WebTeller,
}

impl<'l> Program<'l> {
    pub fn new(lines: &'l Lines, line: Vec<OsString>, (stopper, web): (Option<PoolStopper>, WebTeller)) -> Program<'l> {
        let settings = Settings::read(&line).ok();
        Program { watchdog: Watchdog::new(), lines, line, settings, stopper, web }
    }

    fn read_again(&mut self) -> Result<Config, Failure> {
        let settings = Settings::read(&self.line).map_err(Unread::into_failure)?;
        let config = config(&settings.args)?;
        let differ = self.settings.as_ref().map(|before| settings.that_differ(before)).unwrap_or_default();
        let (changed, kept): (Vec<&str>, Vec<&str>) = differ.iter().partition(|name| CHANGEABLE.contains(*name));
        if !kept.is_empty() {
            log::warn!("what cannot change while it runs needs a restart: {}", kept.join(", "));
        }
        let told = if changed.is_empty() { "no other setting".to_owned() } else { changed.join(", ") };
        self.lines.filter(&settings.args.log);
        log::info!("the settings were read again: {told} changed, and the tokens were read");
        self.web.retoken(config.tokens.as_ref());
        self.settings = Some(settings);
        Ok(config)
    }
}

impl Host for Program<'_> {
    fn stop(&mut self) {
        service::stops();
        self.stopper.iter().for_each(PoolStopper::stop);
        self.web.stop();
    }

    fn reload(&mut self) -> Option<Config> {
        service::reloads();
        let config = self.read_again();
        service::goes_on();
        config.inspect_err(|failure| log::error!("the settings stay as they are: {}", failure.text)).ok()
    }

    fn beat(&mut self) {
        self.watchdog.tell();
    }

    fn beat_every(&self) -> Option<Duration> {
        self.watchdog.every
    }
}
