//! Who may ask for what: the name that the server is called by, the origin of what writes, and the role that a token
//! gives.
//!
//! A page of a stranger can make a browser send requests here. It cannot set `Host` to another name than its own, so
//! that a name which was made to lead here is refused; and it cannot hide its `Origin`, so that it cannot write.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::App;
use super::problem::Problem;
use super::session::Sessions;
use crate::address::Address;
use crate::protocol::{ErrorCode, Refusal};
use crate::roles::{Holder, Role, Tokens};

/// What a server is told of itself.
#[derive(Debug, Default)]
pub struct Site {
    /// Names that it may be called by, beside those of its addresses.
    pub names: Vec<String>,
    pub tokens: Option<Tokens>,
}

#[derive(Debug)]
pub struct Gate {
    names: Vec<String>,
    tokens: RwLock<Option<Tokens>>,
    pub sessions: Sessions,
}

impl Gate {
    pub fn new(site: Site, addresses: Vec<Address>) -> Gate {
        let hosts = addresses.into_iter().filter_map(|address| match address {
            Address::Tcp { host, .. } => Some(host),
            Address::Unix(_) => None,
        });
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter();
        let names = own.chain(site.names).chain(hosts).map(|name| name.to_ascii_lowercase()).collect();
        Gate { names, tokens: RwLock::new(site.tokens), sessions: Sessions::default() }
    }

    pub fn retoken(&self, tokens: Option<Tokens>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// Whether this is a name of ours, with or without a port.
    fn is_called(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        self.names.contains(&name)
    }

    /// Whether the request may be looked at: it calls us by a name of ours, and what writes comes from our own pages.
    fn look_at(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.is_called(host) {
            let text = format!("this server is not called {host:?}; name it with --http-name if it is");
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "WrongHost", text));
        }
        let Some(origin) = headers.get(ORIGIN).filter(|_| !method.is_safe()) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        let from = origin.split_once("://").map_or("", |(_, from)| from);
        if from.eq_ignore_ascii_case(host) {
            return Ok(());
        }
        let text = format!("a page of {origin:?} may not write here");
        Err(Problem::new(StatusCode::FORBIDDEN, "WrongOrigin", text))
    }

    /// Whether who sends this may do what needs this role.
    pub fn may(&self, method: &Method, headers: &HeaderMap, needed: Role) -> Result<(), Problem> {
        let Some(holder) = self.holder(headers)? else { return Ok(()) };
        // Browsers name the origin of all that writes. What a cookie vouches for has to come from our own page.
        let by_cookie = !headers.contains_key(AUTHORIZATION);
        if by_cookie && !method.is_safe() && !headers.contains_key(ORIGIN) {
            let text = "a session writes from the page alone; send a token as `Authorization: Bearer TOKEN`";
            return Err(Problem::new(StatusCode::FORBIDDEN, "WrongOrigin", text));
        }
        if holder.role.allows(needed) {
            return Ok(());
        }
        let text = format!(
            "this needs the role {}; the token {:?} has the role {}",
            needed.word(),
            holder.name,
            holder.role.word()
        );
        Err(Problem::from(Refusal::new(ErrorCode::Forbidden, text)))
    }

    /// Whose token this brings, itself or by a session; nobody's where the master wants none.
    pub fn holder(&self, headers: &HeaderMap) -> Result<Option<Holder>, Problem> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let Some(tokens) = &*tokens else { return Ok(None) };
        let told = headers.get(AUTHORIZATION).map(|value| bearer(value.as_bytes()).map(Box::from));
        let said: Option<Box<[u8]>> = told.unwrap_or_else(|| self.sessions.token(headers, Instant::now()));
        let said = said.ok_or_else(|| {
            Problem::unauthorized("this master wants a token; send it as `Authorization: Bearer TOKEN`")
        })?;
        let holder = tokens.find(&said).ok_or_else(|| Problem::unauthorized("the token is not one of this master"))?;
        Ok(Some(holder.clone()))
    }

    /// Whether the master wants no token.
    pub fn is_open(&self) -> bool {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Whether this is a token of the master.
    pub fn knows(&self, token: &[u8]) -> bool {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.as_ref().is_some_and(|tokens| tokens.find(token).is_some())
    }
}

/// What is behind the scheme, whose case does not matter.
fn bearer(said: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Bearer ";
    let (scheme, token) = said.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

/// The name of a host, without its port and brackets.
fn name_of(host: &str) -> &str {
    if let Some(inside) = host.strip_prefix('[') {
        return inside.split_once(']').map_or(inside, |(name, _)| name);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Looks at each request before it goes anywhere.
pub async fn look(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Problem> {
    app.gate.look_at(request.method(), request.headers())?;
    Ok(next.run(request).await)
}

macro_rules! roles {
    ($($name:ident)*) => {
        $(
            /// The first argument of what only this role may do.
            pub struct $name;

            impl FromRequestParts<Arc<App>> for $name {
                type Rejection = Problem;

                async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<$name, Problem> {
                    app.gate.may(&parts.method, &parts.headers, Role::$name).map(|()| $name)
                }
            }
        )*
    };
}

roles! { Read Submit Work Admin }

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn gate(tokens: Option<&str>) -> Gate {
        let tokens = tokens.map(|text| Tokens::parse(text.as_bytes()).unwrap());
        let addresses = ["10.0.0.7:80", "unix:/run/x.sock"].map(|text| text.parse().unwrap()).to_vec();
        Gate::new(Site { names: vec!["Queue.example".to_owned()], tokens }, addresses)
    }

    fn headers(pairs: &[(axum::http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn it_is_called_by_its_own_names_and_no_other() {
        let gate = gate(None);
        for host in ["localhost", "LOCALHOST:3253", "127.0.0.1:1", "[::1]:3253", "10.0.0.7", "queue.example:443"] {
            assert!(gate.look_at(&Method::GET, &headers(&[(HOST, host)])).is_ok(), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "10.0.0.8", "[::2]"] {
            let refused = gate.look_at(&Method::GET, &headers(&[(HOST, host)]));
            assert_eq!(refused.unwrap_err().status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
        assert!(gate.look_at(&Method::GET, &HeaderMap::new()).is_err());
    }

    #[test]
    fn pages_of_others_may_not_write() {
        let gate = gate(None);
        let post = |origin| gate.look_at(&Method::POST, &headers(&[(HOST, "localhost:3253"), (ORIGIN, origin)]));
        assert!(post("http://localhost:3253").is_ok() && post("https://LOCALHOST:3253").is_ok());
        for origin in ["http://localhost:8080", "https://evil.example", "null", ""] {
            assert_eq!(post(origin).unwrap_err().status, StatusCode::FORBIDDEN, "{origin}");
        }
        let get = headers(&[(HOST, "localhost"), (ORIGIN, "https://evil.example")]);
        assert!(gate.look_at(&Method::GET, &get).is_ok(), "what comes back cannot be read by that page");
    }

    #[test]
    fn a_token_gives_its_role_and_no_more() {
        let gate = gate(Some("ops:admin:secret\nboard:read:other\n"));
        let may = |said: &'static str, role| {
            gate.may(&Method::POST, &headers(&[(AUTHORIZATION, said)]), role).map_err(|no| no.status)
        };
        assert_eq!(may("Bearer secret", Role::Admin), Ok(()));
        assert_eq!(may("bearer other", Role::Read), Ok(()));
        assert_eq!(may("Bearer other", Role::Submit), Err(StatusCode::FORBIDDEN));
        for bad in ["Bearer wrong", "Basic secret", "secret", ""] {
            assert_eq!(may(bad, Role::Read), Err(StatusCode::UNAUTHORIZED), "{bad}");
        }
        assert!(gate.may(&Method::GET, &HeaderMap::new(), Role::Read).unwrap_err().detail.contains("Bearer"));
        gate.retoken(None);
        assert_eq!(may("", Role::Admin), Ok(()));
    }
}
