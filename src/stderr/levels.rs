//! Which lines are said: a level, or levels by module, as `env_logger` reads them.

use std::fmt;
use std::str::FromStr;

/// The variable that says it for all three programs.
const VARIABLE: &str = "FALCON_LOG";

/// Levels that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(String);

impl Levels {
    /// Those of the environment, else this one; and what is wrong with the environment's, which then do not hold.
    pub(super) fn of_environment(level: &str) -> (Levels, Option<String>) {
        let usual = Levels(level.to_owned());
        match std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()).map(|text| text.parse()) {
            None => (usual, None),
            Some(Ok(levels)) => (levels, None),
            Some(Err(error)) => (usual, Some(format!("{VARIABLE}: {error}"))),
        }
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Levels, String> {
        let is_level = |level: &str| level.parse::<log::LevelFilter>().is_ok();
        let is_module = |module: &str| module.split("::").all(|part| !part.is_empty() && part.chars().all(is_in_name));
        for part in text.split(',') {
            let fits = match part.split_once('=') {
                Some((module, level)) => is_module(module) && is_level(level),
                None => is_level(part),
            };
            if !fits {
                return Err(format!(
                    "{part:?} is no level: write error, warn, info, debug, trace or off, or levels by module, \
                     as in info,falconqueue::wal=debug"
                ));
            }
        }
        Ok(Levels(text.to_owned()))
    }
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked() {
        for good in ["info", "WARN", "off", "info,falconqueue::wal=debug", "falconqueue=trace,error"] {
            assert_eq!(good.parse(), Ok(Levels(good.to_owned())));
        }
        for bad in ["", "loud", "info,", "wal=loud", "=info", "a b=info", "info,falconqueue::wal"] {
            assert!(bad.parse::<Levels>().is_err(), "{bad:?}");
        }
    }
}
