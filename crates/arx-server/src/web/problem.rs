//! What goes wrong, as RFC 9457 has it for programs; pages show the same words to people.

use std::borrow::Cow;

use arx_engine::EngineError;
use arx_journal::JournalError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not answered as asked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What sort of problem it is; `about:blank` where the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The sort of problem in a few words, the same for every one of its sort.
    title: Cow<'static, str>,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The code of the error, as in `docs/errors.md`.
    code: &'static str,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("Error")),
            status,
            detail: Some(detail.into()),
            code,
            hint: None,
        }
    }

    /// Says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The request makes no sense.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ARX-E001", detail)
    }

    /// The request is well-formed, and asks for what cannot be.
    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "ARX-E001", detail)
    }

    /// There is no such thing.
    pub(crate) fn missing(what: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ARX-E010", format!("there is no {what} `{id}`"))
    }

    /// It may not be done now: the record says otherwise by now.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ARX-E011", detail)
    }

    /// This caller may not.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "ARX-E003", detail)
    }

    /// Another code than the usual one of its sort.
    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        self.detail.as_deref().unwrap_or_default()
    }

    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn code_text(&self) -> &'static str {
        self.code
    }
}

/// As JSON; the response carries the problem itself too, so that a page can be made of it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let json = HeaderValue::from_static(PROBLEM_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        let detail = error.to_string();
        match error {
            JournalError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "ARX-E010", detail),
            JournalError::Conflict { .. } => Self::conflict(detail),
            JournalError::Invalid { .. } => Self::unprocessable(detail),
            JournalError::Fenced { .. } => {
                Self::conflict("another process drives it").code("ARX-E032")
            }
            error => {
                // What is wrong with the machine is told to its operator, not to whoever asks.
                tracing::error!(%error, "the journal could not be asked");
                let text = "the record could not be read or written";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ARX-E017", text)
                    .hint("the daemon's log says why; try again")
            }
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Journal(error) => error.into(),
            EngineError::Held { .. } => Self::conflict(detail)
                .code("ARX-E030")
                .hint("wait until it has parked or ended, then try again"),
            EngineError::Stopped { .. } => {
                Self::conflict(detail).code("ARX-E031").hint("lift the stop first")
            }
            EngineError::NoRun { run } => Self::missing("run", run.as_str()),
        }
    }
}
