//! When a ticket's host was patched, at the latest.
//!
//! A field that people or the change process filled in counts most, then the moment the ticket
//! began to wait: whoever asked for verification had patched by then. Where the account may not
//! read history, the last change of the ticket stands for that moment, which cannot be later.

use std::collections::BTreeMap;

use arx_gateway::{Call, CallError};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::hosts::BATCHES_AT_ONCE;
use super::listing::{Listing, Next};
use super::operations::{Mapping, sys_id};
use super::query::Query;
use super::rows::Row;
use crate::text;

/// Tickets whose history is asked for at once.
const BATCH: usize = 100;
/// Entries of one page of history.
const PAGE_ROWS: usize = 500;
/// Most entries that are read of one batch.
const ENTRIES_MAX: usize = 20_000;
/// How far the instance's clock may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How far ahead of UTC a day can begin, and how far behind it can end: a day has no zone.
const DAY_BEGINS_BEFORE: SignedDuration = SignedDuration::from_hours(14);
const DAY_ENDS_AFTER: SignedDuration = SignedDuration::from_hours(12);
/// When a ticket was last changed.
pub(super) const UPDATED_ON: &str = "sys_updated_on";

/// When, and where that is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patched {
    pub at: Timestamp,
    pub source: String,
}

/// The time of the first mapped field that has a value; `None` where none has.
pub(super) fn mapped(
    row: &Row,
    fields: &Mapping,
    now: Timestamp,
) -> Option<Result<Patched, String>> {
    let (field, value) =
        fields.patched_at.iter().find_map(|field| Some((field, row.filled(field)?)))?;
    Some(match time(value, now) {
        Some(at) if at <= now.saturating_add(SKEW).unwrap_or(now) => {
            Ok(Patched { at, source: field.clone() })
        }
        Some(at) => Err(format!(
            "patch time: `{field}` says {at}, which is yet to come; correct it, or map \
             `fields.patched_at` to another field"
        )),
        None => Err(format!(
            "patch time: `{field}` holds `{}`, which is no time; correct it, or map \
             `fields.patched_at` to a date and time field",
            text::one_line(value, 40)
        )),
    })
}

/// What history tells of tickets.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    entered: BTreeMap<String, Timestamp>,
    /// Not all of it was readable.
    pub hidden: bool,
}

impl History {
    /// When a ticket began to wait.
    pub fn of(&self, id: &str, updated_on: Option<Timestamp>) -> Result<Patched, String> {
        // Where some of it is hidden, the entry that is shown may not be the last.
        if let Some(at) = self.entered.get(id).filter(|_| !self.hidden) {
            let source = "history: the ticket began to wait".to_owned();
            return Ok(Patched { at: *at, source });
        }
        match updated_on {
            Some(at) if self.hidden => {
                let source = "last change of the ticket, so no later than that".to_owned();
                Ok(Patched { at, source })
            }
            Some(_) | None => Err("patch time: no mapped field has a value, and history does not \
                                   show when the ticket began to wait; map `fields.patched_at` to \
                                   the field that holds it"
                .to_owned()),
        }
    }
}

/// When the ticket was last changed.
pub(super) fn last_change(row: &Row, now: Timestamp) -> Option<Timestamp> {
    time(row.filled(UPDATED_ON)?, now)
}

/// When tickets entered a state, from their history.
pub(super) async fn history(
    call: Call<'_>,
    table: &str,
    field: &str,
    states: &[String],
    ids: Vec<String>,
) -> Result<History, CallError> {
    let batches: Vec<Vec<String>> = ids.chunks(BATCH).map(<[String]>::to_vec).collect();
    let reads = batches.into_iter().map(|batch| batch_entered(call, table, field, states, batch));
    let read: Result<Vec<History>, CallError> =
        stream::iter(reads).buffered(BATCHES_AT_ONCE).try_collect().await;
    let mut history = History::default();
    match read {
        Ok(batches) => {
            for batch in batches {
                history.entered.extend(batch.entered);
                history.hidden |= batch.hidden;
            }
        }
        // History is for administrators on most instances.
        Err(CallError::Refused { .. } | CallError::Malformed { .. }) => history.hidden = true,
        Err(error) => return Err(error),
    }
    Ok(history)
}

async fn batch_entered(
    call: Call<'_>,
    table: &str,
    field: &str,
    states: &[String],
    ids: Vec<String>,
) -> Result<History, CallError> {
    let query = Query::default()
        .is("tablename", table)
        .and_then(|query| query.is("fieldname", field))
        .and_then(|query| query.any_of("newvalue", states.iter().map(String::as_str)))
        .and_then(|query| query.any_of("documentkey", ids.iter().map(String::as_str)))
        .map_err(|message| call.parameters(message))?
        .order_by("sys_id");
    let listing = Listing {
        table: "sys_audit",
        query,
        fields: vec!["tablename", "fieldname", "documentkey", "newvalue", "sys_created_on"],
        texts: Vec::new(),
        page_rows: PAGE_ROWS,
    };
    let mut entered: BTreeMap<String, Timestamp> = BTreeMap::new();
    let (mut seen, mut room) = (0, ENTRIES_MAX);
    let read = listing.read(call, |page| {
        seen += page.len() as u64;
        room = room.saturating_sub(page.len());
        for listable in &page {
            let row = &listable.row;
            let asked = row.filled("tablename") == Some(table)
                && row.filled("fieldname") == Some(field)
                && row.filled("newvalue").is_some_and(|new| states.iter().any(|s| s == new));
            let id = row.filled("documentkey").and_then(sys_id).filter(|id| ids.contains(id));
            let at = row.filled("sys_created_on").and_then(|value| time(value, call.now));
            if let (true, Some(id), Some(at)) = (asked, id, at) {
                let newest = entered.entry(id).or_insert(at);
                *newest = at.max(*newest);
            }
        }
        Ok(if room == 0 { Next::Enough } else { Next::AtMost(room) })
    });
    let listed = read.await?;
    let hidden = listed.total.is_none_or(|total| total > seen) || !listed.passed_over.is_empty();
    Ok(History { entered, hidden })
}

/// A stored time, in UTC; a mere day ends where it ends last, or now if that is yet to come.
pub(super) fn time(value: &str, now: Timestamp) -> Option<Timestamp> {
    let value = value.trim();
    if let Ok(at) = value.parse::<Timestamp>() {
        return Some(at);
    }
    let utc = |at: DateTime| TimeZone::UTC.to_timestamp(at).ok();
    if let Ok(day) = value.parse::<Date>()
        && value.len() == "2024-01-31".len()
    {
        let first = utc(day.to_datetime(Time::midnight()))?.checked_sub(DAY_BEGINS_BEFORE).ok()?;
        let last = utc(day.to_datetime(Time::constant(23, 59, 59, 0)))?;
        let last = last.checked_add(DAY_ENDS_AFTER).ok()?;
        return Some(if first <= now { last.min(now) } else { last });
    }
    utc(value.parse::<DateTime>().ok()?)
}
