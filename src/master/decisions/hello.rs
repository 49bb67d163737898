//! Hello: who may talk to the master, and in which version.

use super::super::SOFTWARE;
use super::super::answers::{Answer, Decided};
use super::super::config::Config;
use super::super::sessions::Sessions;
use super::super::workers::Workers;
use crate::ids::SessionId;
use crate::limits::{FRAME_BODY_BYTES_MAX, ITEMS_MAX, PAYLOAD_BYTES_MAX};
use crate::protocol::{Call, ErrorCode, Hello, HelloOk, MAGIC, Refusal, VERSION};
use crate::time::Timestamp;

/// Whether a request may come now. Of a Hello its versions are looked at first, since they say what the rest means.
pub(super) fn first_look(greeted: bool, kind: u16, body: &[u8]) -> Result<(), Refusal> {
    match (greeted, kind == Hello::KIND) {
        (true, false) => return Ok(()),
        (true, true) => return Err(malformed("a second Hello")),
        (false, false) => {
            return Err(Refusal::new(ErrorCode::HelloNeeded, "the first request has to be Hello"));
        }
        (false, true) => {}
    }
    let (magic, min, max) = Hello::first_fields(body).map_err(Refusal::from)?;
    if magic != MAGIC {
        return Err(malformed("its first bytes are not FLCN"));
    }
    if !(min..=max).contains(&VERSION) {
        let text = format!("this master speaks version {VERSION} of the protocol, the client versions {min} to {max}");
        return Err(Refusal::new(ErrorCode::VersionMismatch, text));
    }
    Ok(())
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(ErrorCode::Malformed, format!("malformed frame: {why}"))
}

/// Lets a session in that knows the token.
pub(super) fn hello<'s>(
    config: &Config,
    (sessions, workers): (&mut Sessions, &mut Workers),
    id: SessionId,
    hello: &Hello<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    if let Some(token) = &config.token
        && !equal_in_constant_time(token, hello.token)
    {
        let text = if hello.token.is_empty() {
            "this master wants a token; name its file with --token-file"
        } else {
            "the token is not the one of this master"
        };
        return Err(Refusal::new(ErrorCode::Unauthorized, text).into());
    }
    let_in(sessions, workers, id, hello, now);
    log::debug!("session {id} is {:?}", hello.name);
    let reply = HelloOk {
        version: VERSION,
        session: id,
        software: SOFTWARE,
        body_bytes_max: FRAME_BODY_BYTES_MAX as u32,
        payload_bytes_max: PAYLOAD_BYTES_MAX as u32,
        items_max: ITEMS_MAX as u16,
        silence_ms: Some(u32::try_from(config.silence.0).unwrap_or(u32::MAX)),
    };
    Ok(Answer::at_once::<Hello<'_>>(&reply, written))
}

/// From now on this session is taken for what it says of itself.
pub(in super::super) fn let_in(
    sessions: &mut Sessions,
    workers: &mut Workers,
    id: SessionId,
    hello: &Hello<'_>,
    now: Timestamp,
) {
    let Some(session) = sessions.session_mut(id) else { return };
    session.greeted = true;
    session.name = hello.name.into();
    session.says_begun = hello.says_begun.unwrap_or(false);
    session.worker = (hello.instance != 0).then(|| workers.greeted(id, hello, now));
}

/// Compares in a time that does not depend on where the first difference is.
fn equal_in_constant_time(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}
