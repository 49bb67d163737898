//! Connections that were turned away before they said a valid Hello: counted, and told of once a minute, since anyone
//! who can reach the port can make any number of them.

use crate::protocol::Refusal;
use crate::time::{Millis, Timestamp};

/// How often they are told of.
const TELL_EVERY: Millis = Millis(60_000);

#[derive(Debug, Default)]
pub struct Strangers {
    /// Since the master started.
    pub turned_away: u64,
    told: u64,
    tell_at: Timestamp,
    reason: String,
}

impl Strangers {
    pub fn turn_away(&mut self, reason: &Refusal) {
        self.turned_away += 1;
        if self.turned_away - self.told == 1 {
            self.reason.clone_from(&reason.text);
        }
    }

    /// How many were turned away since they were told of last, and why the first of them was, if it is time to say so.
    pub fn take_untold(&mut self, now: Timestamp) -> Option<(u64, &str)> {
        let untold = self.turned_away - self.told;
        if untold == 0 || now < self.tell_at {
            return None;
        }
        self.told = self.turned_away;
        self.tell_at = now.plus(TELL_EVERY);
        Some((untold, &self.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_a_minute() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.take_untold(Timestamp(1000)), None);
        for number in 0..1000 {
            strangers.turn_away(&Refusal::new(ErrorCode::Unauthorized, format!("reason {number}")));
            let told = strangers.take_untold(Timestamp(1000 + number));
            assert_eq!(told, (number == 0).then_some((1, "reason 0")));
        }
        assert_eq!(strangers.take_untold(Timestamp(1000 + TELL_EVERY.0)), Some((999, "reason 1")));
        assert_eq!(strangers.turned_away, 1000);
    }
}
