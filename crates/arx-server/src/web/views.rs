//! What is shown of the record: one typed form for the API and for the pages.

pub(crate) mod approval;
pub(crate) mod audit;
pub(crate) mod effect;
pub(crate) mod overview;
pub(crate) mod people;
pub(crate) mod permission;
pub(crate) mod run;
pub(crate) mod workflow;

use serde::Serialize;
use utoipa::ToSchema;

/// Entries of a page unless more are asked for.
pub(crate) const PAGE: usize = 50;
/// The most entries of a page.
pub(crate) const PAGE_MAX: usize = 200;
/// How far the console counts; beyond, it says "or more".
pub(crate) const COUNT_MAX: u32 = 1000;

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The entries.
    pub(crate) items: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// A page out of one entry more than it may hold.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    pub(crate) fn map<U>(self, f: impl Fn(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

/// How many entries a page has, by what was asked for.
pub(crate) fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(PAGE).clamp(1, PAGE_MAX)
}

/// A number that was counted up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Count {
    /// So many.
    pub(crate) n: u32,
    /// Or more.
    pub(crate) or_more: bool,
}

impl Count {
    /// A count that was made no further than [`COUNT_MAX`] and one.
    pub(crate) fn of(n: u32) -> Self {
        Self { n: n.min(COUNT_MAX), or_more: n > COUNT_MAX }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if self.or_more { "+" } else { "" };
        write!(f, "{}{more}", super::text::grouped(self.n.into()))
    }
}
