//! Hello: who may talk to the master, and in which version.

use super::super::SOFTWARE;
use super::super::answers::{Answer, Decided};
use super::super::config::Config;
use super::super::sessions::{Session, Sessions};
use super::super::workers::Workers;
use crate::ids::SessionId;
use crate::limits::{FRAME_BODY_BYTES_MAX, ITEMS_MAX, PAYLOAD_BYTES_MAX};
use crate::protocol::{Call, ErrorCode, Hello, HelloOk, MAGIC, Refusal, Request, VERSION};
use crate::roles::{Holder, Role};
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

/// Lets a session in that knows a token.
pub(super) fn hello<'s>(
    config: &Config,
    (sessions, workers): (&mut Sessions, &mut Workers),
    id: SessionId,
    hello: &Hello<'_>,
    now: Timestamp,
    written: &'s mut Vec<u8>,
) -> Decided<'s> {
    let holder = holder_of(config, hello)?;
    let_in(sessions, workers, id, (hello, holder), now);
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

/// Whose token it says; nobody's where none is asked for.
fn holder_of<'c>(config: &'c Config, hello: &Hello<'_>) -> Result<Option<&'c Holder>, Refusal> {
    let Some(tokens) = &config.tokens else { return Ok(None) };
    tokens.find(hello.token).map(Some).ok_or_else(|| {
        let text = if hello.token.is_empty() {
            "this master wants a token; name its file with --token-file"
        } else {
            "the token is none that this master knows"
        };
        Refusal::new(ErrorCode::Unauthorized, text)
    })
}

/// What needs a role that the session's token has not.
pub(super) fn hold_against_role(session: &Session, request: &Request<'_>) -> Result<(), Refusal> {
    let needed = request.role();
    if session.role.allows(needed) {
        return Ok(());
    }
    let (holder, role) = (session.holder.as_deref().unwrap_or_default(), session.role);
    let text = format!("this needs the role {needed}; the token {holder:?} has the role {role}");
    Err(Refusal::new(ErrorCode::Forbidden, text))
}

/// From now on this session is taken for what it says of itself, with the role of its token; all others may do all.
/// Who may not take jobs is no worker.
pub(in super::super) fn let_in(
    sessions: &mut Sessions,
    workers: &mut Workers,
    id: SessionId,
    (hello, holder): (&Hello<'_>, Option<&Holder>),
    now: Timestamp,
) {
    let Some(session) = sessions.session_mut(id) else { return };
    session.greeted = true;
    session.name = hello.name.into();
    session.says_begun = hello.says_begun.unwrap_or(false);
    session.leases_stay = hello.leases_stay.unwrap_or(false);
    session.role = holder.map_or(Role::Admin, |holder| holder.role);
    session.holder = holder.map(|holder| holder.name.clone()).filter(|name| !name.is_empty());
    let is_worker = hello.instance != 0 && session.role.allows(Role::Work);
    session.worker = is_worker.then(|| workers.greeted(id, hello, now));
}
