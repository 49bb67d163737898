//! Hello: who may talk to the master, and in which version.

use super::super::SOFTWARE;
use super::super::answers::{Answer, Decided, Unanswered};
use super::super::config::Config;
use super::super::sessions::Sessions;
use crate::ids::SessionId;
use crate::limits::{FRAME_BODY_BYTES_MAX, ITEMS_MAX, PAYLOAD_BYTES_MAX};
use crate::protocol::{Call, ErrorCode, Hello, HelloOk, MAGIC, Refusal, Reply, Request, VERSION};

/// Reads a request. Before anything else of a Hello its version is looked at, since that says what the rest means; and
/// its token before its bounds.
pub(super) fn first_look<'b>(
    config: &Config,
    sessions: &Sessions,
    id: SessionId,
    kind: u16,
    body: &'b [u8],
) -> Result<Request<'b>, Unanswered> {
    let greeted = sessions.session(id).is_some_and(|session| session.greeted);
    if kind != Hello::KIND {
        if !greeted {
            let text = "the first request has to be Hello";
            return Err(Refusal::new(ErrorCode::HelloNeeded, text).into());
        }
        return Ok(Request::decode(kind, body)?);
    }
    if greeted {
        return Err(malformed("a second Hello").into());
    }
    let (magic, version_min, version_max) = Hello::first_fields(body).map_err(Refusal::from)?;
    if magic != MAGIC {
        return Err(malformed("its first bytes are not FLCN").into());
    }
    if !(version_min..=version_max).contains(&VERSION) {
        let text = format!(
            "this master speaks version {VERSION} of the protocol, the client versions {version_min} to {version_max}"
        );
        return Err(Refusal::new(ErrorCode::VersionMismatch, text).into());
    }
    let request = Request::decode(kind, body)?;
    if let (Some(token), Request::Hello(hello)) = (&config.token, &request)
        && !equal_in_constant_time(token, hello.token)
    {
        let text = if hello.token.is_empty() {
            "this master wants a token; name its file with --token-file"
        } else {
            "the token is not the one of this master"
        };
        log::warn!("session {id}: {text}");
        return Err(Refusal::new(ErrorCode::Unauthorized, text).into());
    }
    Ok(request)
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(ErrorCode::Malformed, format!("malformed frame: {why}"))
}

/// Lets a session in.
pub(super) fn hello<'s>(sessions: &mut Sessions, id: SessionId, hello: &Hello<'_>) -> Decided<'s> {
    if let Some(session) = sessions.session_mut(id) {
        session.greeted = true;
        session.name = hello.name.into();
    }
    log::debug!("session {id} is {:?}", hello.name);
    Ok(Answer::AtOnce(Reply::HelloOk(HelloOk {
        version: VERSION,
        session: id,
        software: SOFTWARE,
        body_bytes_max: FRAME_BODY_BYTES_MAX as u32,
        payload_bytes_max: PAYLOAD_BYTES_MAX as u32,
        items_max: ITEMS_MAX as u16,
    })))
}

/// Compares in a time that does not depend on where the first difference is.
fn equal_in_constant_time(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}
