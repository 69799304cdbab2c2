//! Times: exact in UTC, and in words relative to now.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde::Serialize;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An instant, as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(crate) struct At(pub(crate) Timestamp);

impl PartialSchema for At {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl ToSchema for At {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Instant")
    }
}

impl From<Timestamp> for At {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// The length of a span in its largest unit: `3 min`, `2 h`.
pub(crate) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().unsigned_abs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A span with two units, for how long something took.
pub(crate) fn took(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..10 => format!("{:.1} s", span.as_secs_f64().max(0.0)),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// An instant in words: `3 min ago`, `in 2 h`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let since = now.duration_since(at);
    match since.as_secs() {
        -1..=1 => "now".to_owned(),
        seconds if seconds > 0 => format!("{} ago", span(since)),
        _ => format!("in {}", span(since)),
    }
}

/// An instant as people read it, to the second.
pub(crate) fn exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An instant in words, with the exact one behind it.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) title=(exact(at)) data-relative { (relative(at, now)) } }
}

/// An instant, exactly, with the words beside it.
pub(crate) fn full(at: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(at.to_string()) { (exact(at)) }
        " " span.dim { "(" (relative(at, now)) ")" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let check = |seconds: i64, expected: &str| {
            assert_eq!(relative(now + SignedDuration::from_secs(seconds), now), expected);
        };
        check(0, "now");
        check(-59, "59 s ago");
        check(-3600, "1 h ago");
        check(7200, "in 2 h");
        check(-864_000, "10 days ago");
        assert_eq!(took(SignedDuration::from_millis(1234)), "1.2 s");
        assert_eq!(took(SignedDuration::from_secs(3725)), "1 h 2 min");
        assert_eq!(exact(now), "2026-01-01 12:00:00 UTC");
    }
}
