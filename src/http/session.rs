//! Sessions of the page: somebody shows a token once, and their browser keeps a cookie in its place.
//!
//! Promises:
//! - A session gives what its token gives, for as long as that is a token of the master: a token that is taken away
//!   takes its sessions with it.
//! - The cookie says nothing of the token, cannot be guessed, and is out of reach for scripts and for pages of others.
//! - Sessions are few, and end: after 12 hours without a request, and with the process. Wrong tokens are answered
//!   slowly, a few at a time.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::header::{COOKIE, HOST, HeaderName, HeaderValue, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::App;
use super::given::Body;
use super::problem::Problem;
use crate::limits::{HTTP_SESSION_IDLE_MS_MAX, HTTP_SESSIONS_MAX, HTTP_WRONG_TOKENS_MAX};
use crate::roles::Role;

/// How long a wrong token is waited for.
const WRONG_TOKEN_PAUSE: Duration = Duration::from_secs(1);

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the cookie holds: 256 bits from the kernel.
type SessionKey = [u8; 32];

#[derive(Debug)]
pub struct Sessions {
    begun: Mutex<BTreeMap<SessionKey, Session>>,
    wrong: Semaphore,
}

struct Session {
    token: Box<[u8]>,
    used_at: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("used_at", &self.used_at).finish_non_exhaustive()
    }
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { begun: Mutex::default(), wrong: Semaphore::new(HTTP_WRONG_TOKENS_MAX) }
    }
}

impl Sessions {
    /// Begins one; the one that was used longest ago makes room where there are as many as may be.
    fn begin(&self, key: SessionKey, token: &[u8], now: Instant) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|_, session| !is_over(session, now));
        while begun.len() >= HTTP_SESSIONS_MAX {
            let oldest = begun.iter().min_by_key(|(_, session)| session.used_at).map(|(key, _)| *key);
            if let Some(key) = oldest {
                begun.remove(&key);
            }
        }
        begun.insert(key, Session { token: token.into(), used_at: now });
    }

    /// The token of the session that the cookie names, if there is one.
    pub fn token(&self, headers: &HeaderMap, now: Instant) -> Option<Box<[u8]>> {
        let key = cookie(headers)?;
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let session = begun.get_mut(&key).filter(|session| !is_over(session, now))?;
        session.used_at = now;
        Some(session.token.clone())
    }

    fn end(&self, headers: &HeaderMap) {
        if let Some(key) = cookie(headers) {
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

fn is_over(session: &Session, now: Instant) -> bool {
    now.saturating_duration_since(session.used_at) > Duration::from_millis(HTTP_SESSION_IDLE_MS_MAX)
}

/// What the browser sends to begin a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    token: String,
}

/// Who looks, and what they may do.
pub async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Json<Value> {
    Json(match app.gate.holder(&headers) {
        Ok(None) => json!({"holder": null, "role": Role::Admin.word(), "open": true}),
        Ok(Some(holder)) => json!({"holder": &*holder.name, "role": holder.role.word(), "open": false}),
        Err(_) => json!({"holder": null, "role": null, "open": false}),
    })
}

pub async fn begin(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Body(shown): Body<Shown>,
) -> Result<Response, Problem> {
    let token = shown.token.as_bytes();
    if app.gate.is_open() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if !app.gate.knows(token) {
        let text = "too many wrong tokens at once; wait a moment and try again";
        let busy = |_| Problem::new(StatusCode::TOO_MANY_REQUESTS, "Busy", text);
        let _turn = app.gate.sessions.wrong.try_acquire().map_err(busy)?;
        tokio::time::sleep(WRONG_TOKEN_PAUSE).await;
        log::warn!("somebody tried to log in at the page with a token that is none of this master");
        return Err(Problem::unauthorized("the token is not one of this master"));
    }
    let mut key = SessionKey::default();
    random(&mut key).map_err(|error| Problem::broken(&format!("no random bits for a session: {error}")))?;
    app.gate.sessions.begin(key, token, Instant::now());
    let value = key.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}"); // Writing to a text does not fail.
        digits
    });
    Ok(with_cookie(&headers, &value, ""))
}

pub async fn end(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.gate.sessions.end(&headers);
    with_cookie(&headers, "", "; Max-Age=0")
}

fn random(key: &mut SessionKey) -> rustix::io::Result<()> {
    let mut filled = 0;
    while filled < key.len() {
        filled += rustix::rand::getrandom(&mut key[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}

fn with_cookie(headers: &HeaderMap, value: &str, more: &str) -> Response {
    // A proxy that speaks TLS says so. Whoever lies only loses the cookie.
    let is_secure = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", cookie_name(headers));
    let mut response = StatusCode::NO_CONTENT.into_response();
    let cookie = HeaderValue::try_from(cookie).expect("names and digits are a header");
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}

/// Browsers tell cookies of one host's ports not apart: the name does, so that two masters do not end each other's.
fn cookie_name(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port =
        host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    format!("falcon_session_{}", port.unwrap_or("default"))
}

/// What our cookie holds, if it is one that we could have made.
fn cookie(headers: &HeaderMap) -> Option<SessionKey> {
    let name = cookie_name(headers);
    let said = headers.get_all(COOKIE).iter().filter_map(|said| said.to_str().ok());
    let value = said.flat_map(|said| said.split(';')).find_map(|pair| {
        let (named, value) = pair.trim().split_once('=')?;
        (named == name).then_some(value)
    })?;
    let mut key = SessionKey::default();
    if !value.is_ascii() || value.len() != 2 * key.len() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        let digit = |at: usize| char::from(value.as_bytes()[at]).to_digit(16);
        *byte = (digit(2 * at)? * 16 + digit(2 * at + 1)?) as u8;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: &str = "localhost:3253";

    fn headers(host: &'static str, cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        headers.insert(COOKIE, HeaderValue::try_from(cookie).unwrap());
        headers
    }

    fn asked(key: SessionKey) -> HeaderMap {
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        headers(PORT, &format!("other=1; falcon_session_3253={digits}"))
    }

    #[test]
    fn a_session_stands_for_its_token_until_nobody_used_it_for_long() {
        let sessions = Sessions::default();
        let begun = Instant::now();
        sessions.begin([7; 32], b"secret", begun);
        let idle = Duration::from_millis(HTTP_SESSION_IDLE_MS_MAX);
        assert_eq!(sessions.token(&asked([7; 32]), begun + idle).as_deref(), Some(&b"secret"[..]));
        assert_eq!(sessions.token(&asked([7; 32]), begun + idle * 2).as_deref(), Some(&b"secret"[..]), "it was used");
        assert_eq!(sessions.token(&asked([7; 32]), begun + idle * 4), None);
        assert_eq!(sessions.token(&asked([8; 32]), begun), None);
        sessions.end(&asked([7; 32]));
        assert_eq!(sessions.token(&asked([7; 32]), begun), None);
    }

    #[test]
    fn there_are_so_many_sessions_and_no_more() {
        let sessions = Sessions::default();
        let begun = Instant::now();
        let key = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            key
        };
        for number in 0..=HTTP_SESSIONS_MAX {
            sessions.begin(key(number), b"secret", begun + Duration::from_millis(number as u64));
        }
        assert_eq!(sessions.begun.lock().unwrap().len(), HTTP_SESSIONS_MAX);
        assert_eq!(sessions.token(&asked(key(0)), begun), None, "the one that was used longest ago made room");
        assert!(sessions.token(&asked(key(1)), begun).is_some());
    }

    #[test]
    fn a_cookie_is_that_of_its_port_and_whole() {
        assert_eq!(cookie(&asked([0xab; 32])), Some([0xab; 32]));
        let digits = "ab".repeat(32);
        assert_eq!(cookie(&headers("localhost:80", &format!("falcon_session_3253={digits}"))), None);
        for bad in [&digits[1..], &format!("{digits}a"), &"x1".repeat(32), &"+1".repeat(32), ""] {
            assert_eq!(cookie(&headers(PORT, &format!("falcon_session_3253={bad}"))), None, "{bad}");
        }
    }
}
