//! What a request brings in its path and its body: names, JSON or bytes, bounded in size and time. What is wrong is
//! told as a problem.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::{Deserialize, DeserializeOwned};
use tokio::time::timeout;

use super::App;
use super::problem::Problem;
use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_BODY_MS_MAX};

/// What the path names.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Path<T>, Problem> {
        let named = extract::Path::from_request_parts(parts, app).await;
        named.map(|extract::Path(named)| Path(named)).map_err(|error| Problem::bad(error.body_text()))
    }
}

/// A body of any type.
pub struct Raw(pub Bytes);

/// A body that is JSON, and says so: a form of a stranger's page cannot.
pub struct Body<T>(pub T);

impl FromRequest<Arc<App>> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &Arc<App>) -> Result<Raw, Problem> {
        let reading = to_bytes(request.into_body(), HTTP_BODY_BYTES_MAX);
        match timeout(Duration::from_millis(HTTP_BODY_MS_MAX), reading).await {
            Ok(Ok(bytes)) => Ok(Raw(bytes)),
            Ok(Err(_)) => {
                let text = format!("a body has up to {HTTP_BODY_BYTES_MAX} bytes, and comes whole");
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", text))
            }
            Err(_) => {
                let text = format!("the body did not come within {HTTP_BODY_MS_MAX} ms");
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "TooSlow", text))
            }
        }
    }
}

/// The bytes of a body that is JSON, to be read where its texts are lent.
pub struct Json(pub Bytes);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Body<T>, Problem> {
        let Json(bytes) = Json::from_request(request, app).await?;
        read_json(&bytes).map(Body)
    }
}

/// Reads JSON that came in a body.
pub fn read_json<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| Problem::bad(format!("the body: {error}")))
}

impl FromRequest<Arc<App>> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Json, Problem> {
        let said = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(said) {
            let text = format!("the body has to be JSON, and Content-Type says {said:?}; say application/json");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NotJson", text));
        }
        let Raw(bytes) = Raw::from_request(request, app).await?;
        Ok(Json(bytes))
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_that_it_is() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("") && !is_json("text/plain") && !is_json("application/jsonp"));
    }
}
