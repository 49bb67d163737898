//! Signs of life over one link: when the next is due, and when the other side is taken for dead.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::{Awaited, Broken, Channel};
use crate::limits::SILENCE_MS_DEFAULT;

/// How often a link is looked at whose master did not say how long it may be silent.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether a sign of life was answered, where nobody reads: the answer may tell what to do.
const ANSWER_LOOK: Duration = Duration::from_millis(100);

impl Channel {
    /// Sends this sign of life if nothing was sent for most of a third of the time that either side may be silent, so
    /// that its answer is there within that third; or if it says something else of taking jobs than the one before.
    /// Ends the link if one had no answer for two thirds. Returns when to call it again.
    pub fn keep_alive(&self, frame: &[u8], quiet: bool) -> Duration {
        let silence = self.link.silence();
        let third = silence.unwrap_or(Duration::from_millis(SILENCE_MS_DEFAULT)) / 3;
        let beat_after = third * 9 / 10;
        let look_every = silence.map_or(LOOK_EVERY, |silence| silence / 12);
        let mut state = self.look(self.locked());
        if !state.takes_calls() {
            return look_every;
        }
        if silence.is_some() && state.unheard_since.is_some_and(|since| since.elapsed() >= 2 * third) {
            let text = format!("the master was silent for {} s", (3 * third).as_secs_f32());
            state.fail(Broken::Failed(io::ErrorKind::TimedOut, text));
            self.link.end(Shutdown::Both);
            self.changed.notify_all();
            return look_every;
        }
        let sent_ago = state.sent_at.map_or(beat_after, |at| at.elapsed());
        let is_news = state.said_quiet != quiet;
        let is_due = state.unheard_since.is_none() && sent_ago >= beat_after;
        if (is_news || is_due) && !state.is_sending {
            state.unheard_since.get_or_insert_with(Instant::now);
            state.said_quiet = quiet;
            drop(state);
            self.begin(frame, Awaited::No, Instant::now() + 2 * third);
            return look_every.min(ANSWER_LOOK);
        }
        let next = if state.unheard_since.is_some() { ANSWER_LOOK } else { beat_after.saturating_sub(sent_ago) };
        next.clamp(Duration::from_millis(1), look_every)
    }
}
