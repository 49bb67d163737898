//! What can go wrong for a client, and what may be tried again.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::protocol::{ErrorCode, Refusal};

/// Why a call of a client failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection could be made; nothing was sent.
    Unreachable {
        /// Where the master should be.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// This side cannot go on; nothing was sent.
    System {
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke after the request was sent: whether it was carried out is not known.
    Broken {
        /// What the system says.
        source: io::Error,
    },
    /// No answer came in time: whether the request was carried out is not known.
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// The master refused the request; nothing was changed.
    Refused(Refusal),
    /// The other side does not speak the protocol.
    NotTheProtocol {
        /// What was wrong.
        why: String,
    },
    /// This client was told to stop; nothing was sent.
    Stopped,
}

impl ClientError {
    /// Whether the same request may be sent again without a risk that it is carried out twice. Where this says no, a
    /// Submit whose jobs have keys may be sent again all the same.
    pub fn is_safe_to_retry(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::System { .. } => true,
            ClientError::Refused(refusal) => refusal.code.retry_may_help(),
            ClientError::Broken { .. }
            | ClientError::TimedOut { .. }
            | ClientError::NotTheProtocol { .. }
            | ClientError::Stopped => false,
        }
    }

    /// The same error for another one who waited for the same call.
    pub(super) fn copied(&self) -> ClientError {
        let copied = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
        match self {
            ClientError::Unreachable { address, source } => {
                ClientError::Unreachable { address: address.clone(), source: copied(source) }
            }
            ClientError::System { source } => ClientError::System { source: copied(source) },
            ClientError::Broken { source } => ClientError::Broken { source: copied(source) },
            ClientError::TimedOut { waited } => ClientError::TimedOut { waited: *waited },
            ClientError::Refused(refusal) => ClientError::Refused(refusal.clone()),
            ClientError::NotTheProtocol { why } => ClientError::NotTheProtocol { why: why.clone() },
            ClientError::Stopped => ClientError::Stopped,
        }
    }

    /// Whether the master is there but still reads its log: it may be asked again soon.
    pub fn is_starting(&self) -> bool {
        matches!(self, ClientError::Refused(refusal) if refusal.code == ErrorCode::Starting)
    }

    /// Whether no request was sent, and it may be otherwise in a moment: a master was just started or still reads its
    /// log, or one took the connection and was gone before it said Hello.
    pub(super) fn may_pass_unsent(&self) -> bool {
        match self {
            ClientError::Unreachable { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::UnexpectedEof
                        // A Unix socket is not even there before the master is.
                        | io::ErrorKind::NotFound
                )
            }
            error => error.is_starting(),
        }
    }

    /// Whether the master is away, busy or starting: asking again later may help, where that does no harm.
    pub fn may_pass(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::TimedOut { .. } => true,
            ClientError::Refused(refusal) => refusal.code.retry_may_help(),
            ClientError::System { .. } | ClientError::NotTheProtocol { .. } | ClientError::Stopped => false,
        }
    }

    /// Whether the master does not know the token, wants one, or wants one of another role.
    pub fn is_denied(&self) -> bool {
        matches!(self, ClientError::Refused(refusal)
            if matches!(refusal.code, ErrorCode::Unauthorized | ErrorCode::Forbidden))
    }

    /// Whether no later attempt can succeed: the token or the version is wrong.
    pub fn is_for_good(&self) -> bool {
        self.is_denied() || matches!(self, ClientError::Refused(refusal) if refusal.code == ErrorCode::VersionMismatch)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Unreachable { address, source } => {
                write!(f, "no master can be reached at {address} ({source}); is falcond running there? See --master")
            }
            ClientError::System { source } => write!(f, "the request could not be sent: {source}"),
            ClientError::Broken { source } => {
                write!(f, "the connection to the master broke ({source}); the request may have been carried out")
            }
            ClientError::TimedOut { waited } => write!(
                f,
                "the master did not answer within {} s; the request may have been carried out",
                waited.as_secs_f32()
            ),
            // It refuses nothing: it says how far it is.
            ClientError::Refused(refusal) if self.is_starting() => f.write_str(&refusal.text),
            ClientError::Refused(refusal) => write!(f, "the master refused: {refusal}"),
            ClientError::NotTheProtocol { why } => {
                write!(f, "the other side does not speak the FalconQueue protocol: {why}")
            }
            ClientError::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClientError::Unreachable { source, .. }
            | ClientError::System { source }
            | ClientError::Broken { source } => Some(source),
            ClientError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
