//! Stable error codes, and the refusal that carries one.

use std::fmt;

use crate::codec::{Bound, DecodeError, Fault};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, retry $retry:literal, closes $closes:literal;)*) => {
        /// What went wrong, as a number that keeps its meaning for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A code of a later version.
            Other(u16),
        }

        impl ErrorCode {
            /// Every code of this version, in order.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];

            /// The number on the wire.
            pub fn code(self) -> u16 {
                match self { $(ErrorCode::$name => $code,)* ErrorCode::Other(code) => code }
            }

            /// The code of a number on the wire.
            pub fn from_code(code: u16) -> Self {
                match code { $($code => ErrorCode::$name,)* other => ErrorCode::Other(other) }
            }

            /// Whether the same request may succeed later.
            pub fn retry_may_help(self) -> bool {
                match self { $(ErrorCode::$name => $retry,)* ErrorCode::Other(_) => false }
            }

            /// Whether the master closes the connection after it.
            pub fn closes(self) -> bool {
                match self { $(ErrorCode::$name => $closes,)* ErrorCode::Other(_) => false }
            }
        }
    };
}

error_codes! {
    /// The frame does not follow the protocol.
    Malformed = 1, retry false, closes true;
    /// The body would be longer than the limit.
    FrameTooLarge = 2, retry false, closes true;
    /// Hello named a version that the master does not speak.
    VersionMismatch = 3, retry false, closes true;
    /// A request came before Hello.
    HelloNeeded = 4, retry false, closes true;
    /// Wrong or missing token.
    Unauthorized = 5, retry false, closes true;
    /// A request kind that the master does not know.
    UnknownRequest = 6, retry false, closes false;
    /// A queue name out of its alphabet or length.
    BadQueueName = 7, retry false, closes false;
    /// A value out of its bounds.
    BadValue = 8, retry false, closes false;
    /// A payload over the limit.
    PayloadTooLarge = 9, retry false, closes false;
    /// The lease named is not the job's live lease.
    LeaseLost = 10, retry false, closes false;
    /// No such thing.
    NotFound = 11, retry false, closes false;
    /// No room in the log for more jobs.
    StorageFull = 12, retry true, closes false;
    /// The master has as many connections as it takes.
    TooManyConnections = 13, retry true, closes true;
    /// The master has as many queues as it takes.
    TooManyQueues = 14, retry false, closes false;
    /// The master is about to stop.
    ShuttingDown = 15, retry true, closes false;
    /// The master is still reading its log.
    Starting = 16, retry true, closes true;
    /// The master's system could not do what is needed; nothing changed.
    Unavailable = 17, retry true, closes false;
    /// The request holds something that must be understood, and that only a later version knows.
    NotUnderstood = 18, retry false, closes false;
    /// A frame that was begun did not go on, or the connection was silent for too long.
    TooSlow = 19, retry true, closes true;
    /// The master has no memory for more jobs.
    MemoryFull = 20, retry true, closes false;
    /// The job was cancelled: the report ended it, and what it said is dropped.
    Cancelled = 21, retry false, closes false;
    /// The queue is paused, and takes no jobs.
    QueuePaused = 22, retry true, closes false;
    /// As many jobs wait in the queue as may, or as many bytes.
    QueueFull = 23, retry true, closes false;
    /// The job, or the queue, stands where this cannot be done.
    WrongState = 24, retry false, closes false;
    /// The master has as many groups as it takes.
    TooManyGroups = 25, retry true, closes false;
    /// A job holds the key, and the submit says that this is an error.
    KeyHeld = 26, retry false, closes false;
    /// The master knows as many batches as it takes.
    TooManyBatches = 27, retry true, closes false;
    /// The session's token has not the role that the request needs.
    Forbidden = 28, retry false, closes false;
}

/// A request that was refused: a code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    /// What was wrong and what to do.
    pub text: String,
}

impl Refusal {
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Refusal { code, text: text.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.text, self.code)
    }
}

impl std::error::Error for Refusal {}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let said = error.to_string();
        match error.into_fault() {
            Fault::OutOfBounds(Bound::Value, text) => Refusal::new(ErrorCode::BadValue, text),
            Fault::OutOfBounds(Bound::QueueName, text) => Refusal::new(ErrorCode::BadQueueName, text),
            Fault::OutOfBounds(Bound::Payload, text) => Refusal::new(ErrorCode::PayloadTooLarge, text),
            // The frame is whole, and so is what comes after it.
            Fault::NotUtf8 | Fault::Undefined => Refusal::new(ErrorCode::BadValue, said),
            Fault::Unknown(_) => Refusal::new(ErrorCode::NotUnderstood, format!("{said}; a later version may know it")),
            _ => Refusal::new(ErrorCode::Malformed, format!("malformed frame: {said}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_from_one_and_come_back() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(usize::from(code.code()), index + 1);
            assert_eq!(ErrorCode::from_code(code.code()), *code);
        }
        assert_eq!(ErrorCode::from_code(999).code(), 999);
    }
}
