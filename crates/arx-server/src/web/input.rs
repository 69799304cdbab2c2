//! What requests carry, read strictly: whatever is wrong with it is a problem with its own words.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::guard::BODY_BYTES_MAX;
use super::{Problem, Web};
use crate::identity::Caller;

/// The longest reason that a person may give.
const REASON_BYTES_MAX: usize = 2000;

/// Whoever asks; the guard has let them through.
#[derive(Clone, Debug)]
pub(crate) struct Asker(pub(crate) Caller);

impl FromRequestParts<Web> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _web: &Web) -> Result<Self, Problem> {
        // A route that asks for a caller and needs none is a mistake, and shows nothing.
        let missing = || Problem::forbidden("nobody is signed in");
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(missing)
    }
}

/// What stands in the path.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Web> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, web).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "ARX-E010",
                format!("nothing is called that: {}", error.body_text()),
            )),
        }
    }
}

/// What stands behind the question mark.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Web> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, web).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::bad(error.body_text())),
        }
    }
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Web> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        // A list of values would pass for an object with these fields in their order.
        let wrong =
            |error: JsonRejection| Problem::new(error.status(), "ARX-E001", error.body_text());
        let axum::Json(object) =
            axum::Json::<Map<String, Value>>::from_request(request, web).await.map_err(wrong)?;
        serde_json::from_value(Value::Object(object))
            .map(Self)
            .map_err(|error| Problem::unprocessable(format!("the body: {error}")))
    }
}

/// The fields of a form, in their order; a name may come several times.
pub(crate) struct Form(Vec<(String, String)>);

impl FromRequest<Web> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _web: &Web) -> Result<Self, Problem> {
        let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        let body = body.map_err(|_| {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "ARX-E001", "the form is too large")
        })?;
        let fields = url::form_urlencoded::parse(&body);
        Ok(Self(fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }
}

impl Form {
    /// A field that is there, without spaces around it.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// A field that is there, exactly as it came: a password.
    pub(crate) fn exactly(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every field of a name.
    pub(crate) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A reason as the record keeps it.
pub(crate) fn reason(text: &str) -> Result<String, Problem> {
    let reason = text.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let words = format!("a reason is 1 to {REASON_BYTES_MAX} bytes");
        return Err(Problem::unprocessable(words));
    }
    Ok(reason.to_owned())
}

/// A text as it may stand in a query.
pub(crate) fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A path of our own to go on with, or the beginning.
pub(crate) fn own_path(text: Option<&str>) -> &str {
    match text {
        // `//host` and `/\host` lead elsewhere.
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && !path.contains('\\')
                && !path.chars().any(char::is_control) =>
        {
            path
        }
        Some(_) | None => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_led_elsewhere() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(own_path(Some(text)), expected);
        }
        check("/runs/run_1?x=1", "/runs/run_1?x=1");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("https://evil.example", "/");
        check("/a\r\nLocation: x", "/");
    }
}
