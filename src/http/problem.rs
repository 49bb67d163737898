//! What goes wrong, as RFC 9457 has it: `application/problem+json` with the code of the protocol.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::client::ClientError;
use crate::protocol::{ErrorCode, Refusal};

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    /// Of the protocol; none where the master was not asked.
    pub code: Option<ErrorCode>,
    /// A name for programs.
    pub name: String,
    /// A sentence for a person.
    pub detail: String,
}

impl Problem {
    /// One that has no code of the protocol.
    pub fn new(status: StatusCode, name: &str, detail: impl Into<String>) -> Problem {
        Problem { status, code: None, name: name.to_owned(), detail: detail.into() }
    }

    /// A value that cannot be used.
    pub fn bad(detail: impl Into<String>) -> Problem {
        Problem::from(Refusal::new(ErrorCode::BadValue, detail))
    }

    pub fn starting(per_cent: u64) -> Problem {
        let text = format!("the master is reading its log: {per_cent} %");
        Problem::from(Refusal::new(ErrorCode::Starting, text))
    }

    pub fn stopping() -> Problem {
        Problem::from(Refusal::new(ErrorCode::ShuttingDown, "the master is stopping"))
    }

    pub fn busy() -> Problem {
        let text = "as many calls are under way as may be; try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", text)
    }

    pub fn broken(detail: &str) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Broken", detail)
    }

    pub fn nowhere(path: &str) -> Problem {
        let text = format!("there is nothing at {path}; /api/v1/openapi.json tells what there is");
        Problem::new(StatusCode::NOT_FOUND, "NoSuchPath", text)
    }

    /// Whether the same may work later.
    pub fn may_retry(&self) -> bool {
        self.code.map_or(self.status == StatusCode::SERVICE_UNAVAILABLE, ErrorCode::retry_may_help)
    }

    /// No token, or none that the master knows.
    pub fn unauthorized(detail: &str) -> Problem {
        Problem::from(Refusal::new(ErrorCode::Unauthorized, detail))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let Refusal { code, text } = refusal;
        Problem { status: status_of(code), code: Some(code), name: format!("{code:?}"), detail: text }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Problem {
        match error {
            ClientError::Refused(refusal) => Problem::from(refusal),
            // Who hears 503 tries again: that is said only where nothing was carried out.
            ClientError::TimedOut { .. } | ClientError::Broken { .. } => {
                let text = format!("the master has not answered: {error}; what was asked may have been carried out");
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "NoAnswer", text)
            }
            ClientError::Stopped | ClientError::Unreachable { .. } => Problem::stopping(),
            ClientError::NotTheProtocol { .. } | ClientError::System { .. } => Problem::broken(&error.to_string()),
        }
    }
}

/// The status that stands for a code of the protocol.
pub fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadQueueName
        | ErrorCode::BadValue
        | ErrorCode::Malformed
        | ErrorCode::NotUnderstood
        | ErrorCode::UnknownRequest => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::LeaseLost | ErrorCode::Cancelled | ErrorCode::WrongState | ErrorCode::KeyHeld => {
            StatusCode::CONFLICT
        }
        ErrorCode::PayloadTooLarge | ErrorCode::FrameTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::QueueFull
        | ErrorCode::QueuePaused
        | ErrorCode::TooManyQueues
        | ErrorCode::TooManyGroups
        | ErrorCode::TooManyBatches => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::StorageFull | ErrorCode::MemoryFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Starting
        | ErrorCode::ShuttingDown
        | ErrorCode::Unavailable
        | ErrorCode::TooManyConnections
        | ErrorCode::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::VersionMismatch | ErrorCode::HelloNeeded | ErrorCode::Other(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let may_retry = self.may_retry();
        let Problem { status, code, name, detail } = self;
        let json = json!({
            "type": format!("urn:falconqueue:error:{name}"),
            "title": name,
            "status": status.as_u16(),
            "detail": detail,
            "code": code.map(ErrorCode::code),
            "retry": may_retry,
        });
        let mut response = (status, json.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_carried_out_is_not_to_be_tried_again() {
        let io = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        for (error, status) in [
            (ClientError::TimedOut { waited: std::time::Duration::from_secs(1) }, StatusCode::GATEWAY_TIMEOUT),
            (ClientError::Broken { source: io() }, StatusCode::GATEWAY_TIMEOUT),
            (ClientError::Unreachable { address: String::new(), source: io() }, StatusCode::SERVICE_UNAVAILABLE),
            // Of a poll that was handed nothing.
            (ClientError::Stopped, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            assert_eq!(Problem::from(error).status, status);
        }
    }

    #[test]
    fn every_code_has_a_status_and_whether_a_retry_helps_goes_with_it() {
        for code in ErrorCode::ALL {
            let status = status_of(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            if status == StatusCode::SERVICE_UNAVAILABLE {
                assert!(code.retry_may_help(), "{code:?} says 503, which asks for a retry");
            }
        }
    }
}
