//! Why the loop ended other than by a signal.

use std::fmt;
use std::io;

use crate::master::WalError;

#[derive(Debug)]
pub enum ReactorError {
    /// The log failed; nothing was answered since.
    Log(WalError),
    System {
        doing: &'static str,
        source: io::Error,
    },
}

impl fmt::Display for ReactorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReactorError::Log(error) => {
                write!(f, "{error}. Nothing was acknowledged since; mend the disk and start again")
            }
            ReactorError::System { doing, source } => write!(f, "{doing} failed: {source}"),
        }
    }
}

impl std::error::Error for ReactorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReactorError::Log(error) => Some(error),
            ReactorError::System { source, .. } => Some(source),
        }
    }
}

impl From<WalError> for ReactorError {
    fn from(error: WalError) -> Self {
        ReactorError::Log(error)
    }
}

pub(super) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> ReactorError {
    move |source| ReactorError::System { doing, source }
}
