//! Answers: what a request's function gives back, and the one place where it is written and gated.

use crate::codec::Field;
use crate::ids::{Lsn, SessionId};
use crate::protocol::{Call, REPLY_BIT, Refusal};
use crate::wal::{Payload, WalError};

use super::sessions::Sessions;

/// The answer to a request, written: its reply's kind and body.
#[derive(Debug)]
pub enum Answer<'s> {
    /// It tells nothing of the state, and leaves at once.
    AtOnce(u16, &'s [u8]),
    /// The same, with bytes of a file behind a length of four bytes.
    Piece(u16, Option<Payload>),
    /// It leaves when everything that happened so far is durable.
    Told(u16, &'s [u8]),
    /// The same, with bytes of the log behind a length of four bytes.
    TextPiece(u16, Option<Payload>),
    /// It comes later: the request waits for something to happen.
    Parked,
}

/// Why a request has no answer of its own kind: it was refused, which is an answer; or the log fails, which is the end.
#[derive(Debug)]
pub enum Unanswered {
    Refused(Refusal),
    Fatal(WalError),
}

impl From<WalError> for Unanswered {
    fn from(error: WalError) -> Self {
        Unanswered::Fatal(error)
    }
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Unanswered::Refused(refusal)
    }
}

/// What a request's function comes to.
pub type Decided<'s> = Result<Answer<'s>, Unanswered>;

impl<'s> Answer<'s> {
    /// The reply to a request of type `R`, which tells nothing of the state.
    pub fn at_once<'r, R: Call<'r>>(reply: &R::Reply, written: &'s mut Vec<u8>) -> Answer<'s> {
        Answer::AtOnce(REPLY_BIT | R::KIND, rewritten(reply, written))
    }

    /// The reply to a request of type `R`, which tells of the state.
    pub fn told<'r, R: Call<'r>>(reply: &R::Reply, written: &'s mut Vec<u8>) -> Answer<'s> {
        Answer::Told(REPLY_BIT | R::KIND, rewritten(reply, written))
    }

    /// Sends it to the session that asked; `gate` is what has to be durable for what is told.
    pub fn send(self, sessions: &mut Sessions, id: SessionId, correlation: u64, gate: Option<Lsn>) {
        match self {
            Answer::AtOnce(kind, body) => sessions.write_body(id, correlation, None, kind, body),
            Answer::Told(kind, body) => sessions.write_body(id, correlation, gate, kind, body),
            Answer::Piece(kind, piece) => sessions.write_piece(id, correlation, None, kind, piece),
            Answer::TextPiece(kind, piece) => sessions.write_piece(id, correlation, gate, kind, piece),
            Answer::Parked => {}
        }
    }
}

fn rewritten<'a, 's>(reply: &impl Field<'a>, written: &'s mut Vec<u8>) -> &'s [u8] {
    written.clear();
    reply.write(written);
    written
}
