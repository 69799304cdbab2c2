//! How the words of the product stand in columns: instants as microseconds, digests as 32 bytes,
//! everything with a text form as that text.
//!
//! A column that holds anything else was not written by this program; reading it is an error that
//! becomes [`crate::JournalError::Corrupt`].

use std::fmt::Display;
use std::str::FromStr;

use arx_types::{Digest, EffectState, RunStatus};
use jiff::Timestamp;
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

/// An instant, as microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Micros(pub(crate) Timestamp);

impl Micros {
    /// The instant as it will be read back.
    pub(crate) fn whole(self) -> Timestamp {
        Timestamp::from_microsecond(self.0.as_microsecond()).unwrap_or(self.0)
    }
}

impl ToSql for Micros {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_microsecond().into())
    }
}

impl FromSql for Micros {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::from_microsecond(value.as_i64()?)
            .map(Self)
            .map_err(|error| FromSqlError::Other(error.to_string().into()))
    }
}

/// A digest, as its 32 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes32(pub(crate) Digest);

impl ToSql for Bytes32 {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0.0)))
    }
}

impl FromSql for Bytes32 {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(|bytes| Self(Digest(bytes)))
    }
}

/// Anything with a text form that reads back.
#[derive(Clone, Debug)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: FromStr<Err: Display>> FromSql for Text<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let parsed = value.as_str()?.parse::<T>();
        parsed.map(Self).map_err(|error| FromSqlError::Other(error.to_string().into()))
    }
}

/// A word out of a fixed list.
pub(crate) trait Word: Sized {
    /// What the words are of, e.g. `run status`.
    const KIND: &'static str;
    /// The value of a word.
    fn of_word(text: &str) -> Option<Self>;
}

impl Word for RunStatus {
    const KIND: &'static str = "run status";
    fn of_word(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Word for EffectState {
    const KIND: &'static str = "effect state";
    fn of_word(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

/// A column that holds a [`Word`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worded<T>(pub(crate) T);

impl<T: Word> FromSql for Worded<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        T::of_word(text).map(Self).ok_or_else(|| {
            FromSqlError::Other(format!("`{text}` is not a known {}", T::KIND).into())
        })
    }
}

/// Counts and positions, which SQLite keeps as signed.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A count or position on its way into SQLite; none that is ever made comes near the limit.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
