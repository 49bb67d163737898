//! Why a pool ended by itself.

use std::fmt;

use crate::client::ClientError;

/// Why a pool ended by itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// The master refused it for good.
    Refused(ClientError),
    /// None of the jobs that it got could be begun.
    CannotBegin {
        /// For how long.
        seconds: u64,
        /// What went wrong with the last.
        error: String,
    },
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Refused(error) => error.fmt(f),
            PoolError::CannotBegin { seconds, error } => write!(
                f,
                "no job could be begun here for {seconds} s, and all were given back uncounted; the last: {error}"
            ),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PoolError::Refused(error) => Some(error),
            PoolError::CannotBegin { .. } => None,
        }
    }
}
