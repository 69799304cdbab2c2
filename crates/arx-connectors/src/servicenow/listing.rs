//! Reading a table page by page.
//!
//! Pages are counted by what the vendor counts and not by the rows that came: rows that the
//! account may not read are missing from their page. A page that is cut short, stopped in the
//! middle or too large is asked for again at half its size.
//! Never a reply that is not whole as data.

use std::time::Duration;

use arx_gateway::{Call, CallError, HttpError, Request, Response};

use super::query::Query;
use super::rows::{self, Row, Trouble};
use super::{SPEC, unreadable};

/// Largest page that is held in memory.
pub(super) const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a request may take: the vendor cuts its transactions at 60 seconds.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(70);
/// Most pages of one listing.
const PAGES_MAX: usize = 5_000;
/// How many pages in a row are whole before they grow again.
const WHOLE_PAGES_MIN: u32 = 4;
/// How often the smallest page is asked for again.
const TRIES_MAX: u32 = 3;
/// Most records of one listing that are passed over because no reply about them can be read.
const PASSED_OVER_MAX: usize = 10;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Listing<'a> {
    pub table: &'a str,
    pub query: Query,
    /// Short fields.
    pub fields: Vec<&'a str>,
    /// Fields of any length, left out where a record is too large with them.
    pub texts: Vec<&'a str>,
    pub page_rows: usize,
}

/// What became of a listing besides its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Listed {
    /// How many records match, whether readable or not; `None` where the vendor does not say.
    pub total: Option<u64>,
    /// How many of them lie before the place where the reading ended.
    pub read: u64,
    /// Records that were passed over because no reply about them could be read.
    pub passed_over: Vec<String>,
}

impl Listed {
    /// How many records lie beyond the place where the reading ended.
    pub fn beyond(&self) -> u64 {
        self.total.map_or(0, |total| total.saturating_sub(self.read))
    }
}

/// Whether a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// With at most so many rows.
    AtMost(usize),
    Enough,
}

/// One row, and whether its long texts had to be left out.
pub(super) struct Listable {
    pub row: Row,
    pub without_texts: bool,
}

enum Got {
    Rows(Vec<Row>, Option<u64>),
    TooLarge,
    Trouble(Trouble),
}

impl Listing<'_> {
    /// Reads until the end, or until `take` has enough; it is given every page.
    pub async fn read(
        &self,
        call: Call<'_>,
        mut take: impl FnMut(Vec<Listable>) -> Result<Next, CallError>,
    ) -> Result<Listed, CallError> {
        let mut listed = Listed::default();
        let mut size = self.page_rows.max(1);
        let mut room = usize::MAX;
        let mut lean = false;
        let mut tries = 0;
        let mut whole = 0;
        for _ in 0..PAGES_MAX {
            let limit = size.min(room).max(1);
            let (found, total) = match self.page(call, listed.read, limit, lean).await? {
                Got::Rows(found, total) => (found, total),
                Got::TooLarge | Got::Trouble(_) if limit > 1 => {
                    size = limit / 2;
                    whole = 0;
                    continue;
                }
                // A single record, without which the texts may well fit.
                Got::TooLarge if !lean && !self.texts.is_empty() => {
                    lean = true;
                    continue;
                }
                Got::TooLarge => {
                    let why = format!("is larger than {PAGE_BYTES_MAX} bytes");
                    listed.pass_over(&why, self.table)?;
                    (lean, tries) = (false, 0);
                    continue;
                }
                Got::Trouble(trouble) => {
                    tries += 1;
                    if tries < TRIES_MAX {
                        continue;
                    }
                    if trouble == Trouble::Page {
                        return Err(unreadable(call, &trouble));
                    }
                    if !lean && !self.texts.is_empty() {
                        (lean, tries) = (true, 0);
                        continue;
                    }
                    listed.pass_over(&trouble.to_string(), self.table)?;
                    (lean, tries) = (false, 0);
                    continue;
                }
            };
            // Records that left the list meanwhile drew the later ones forward, so some slipped
            // past this page. It is read again from as far back; who takes the rows knows those
            // that it has by their ids.
            let gone = match (listed.total, total) {
                (Some(before), Some(now)) => before.saturating_sub(now),
                _ => 0,
            };
            let empty = found.is_empty();
            listed.total = total.or(listed.total);
            let next =
                take(found.into_iter().map(|row| Listable { row, without_texts: lean }).collect())?;
            listed.read = match gone {
                0 => listed.read + limit as u64,
                gone => listed.read.saturating_sub(gone),
            };
            (lean, tries) = (false, 0);
            whole += 1;
            if whole >= WHOLE_PAGES_MIN {
                size = (size * 2).min(self.page_rows.max(1));
                whole = 0;
            }
            let ended = match listed.total {
                Some(total) => listed.read >= total,
                None => empty,
            };
            match next {
                Next::Enough => return Ok(listed),
                Next::AtMost(rows) => room = rows,
            }
            if ended {
                return Ok(listed);
            }
        }
        Err(CallError::Malformed {
            vendor: SPEC.title,
            message: format!("table `{}` does not end after {PAGES_MAX} pages", self.table),
        })
    }

    async fn page(
        &self,
        call: Call<'_>,
        offset: u64,
        limit: usize,
        lean: bool,
    ) -> Result<Got, CallError> {
        let mut fields = self.fields.clone();
        if !lean {
            fields.extend(&self.texts);
        }
        let request = request(&format!("/api/now/table/{}", self.table), &fields)
            .query("sysparm_query", self.query.as_str())
            .query("sysparm_limit", limit.to_string())
            .query("sysparm_offset", offset.to_string())
            .body_bytes_max(PAGE_BYTES_MAX);
        let reply = match call.http.send(call.permit, request).await {
            Ok(reply) => reply,
            Err(HttpError::TooLarge { .. }) => return Ok(Got::TooLarge),
            Err(error) => return Err(call.failed(error)),
        };
        if !reply.is_success() {
            return Err(super::refused(call, &reply, self.table));
        }
        let total = reply.header("x-total-count").and_then(|count| count.trim().parse().ok());
        Ok(match rows::rows(&reply) {
            Ok(rows) => Got::Rows(rows, total),
            Err(trouble) => Got::Trouble(trouble),
        })
    }
}

impl Listed {
    /// Goes past the record at the present place.
    fn pass_over(&mut self, why: &str, table: &str) -> Result<(), CallError> {
        self.passed_over.push(format!("record {} of table `{table}`: {why}", self.read + 1));
        self.read += 1;
        if self.passed_over.len() <= PASSED_OVER_MAX {
            return Ok(());
        }
        Err(CallError::Malformed {
            vendor: SPEC.title,
            message: self.passed_over.last().cloned().unwrap_or_default(),
        })
    }
}

/// A read of these fields, as stored values.
fn request(path: &str, fields: &[&str]) -> Request {
    let mut names: Vec<&str> = Vec::new();
    for name in fields {
        if !names.contains(name) {
            names.push(name);
        }
    }
    Request::get(path)
        .header("accept", "application/json")
        .query("sysparm_fields", names.join(","))
        .query("sysparm_display_value", "false")
        .query("sysparm_exclude_reference_link", "true")
        .timeout(TRANSACTION_TIMEOUT)
}

/// Reads one record.
///
/// # Errors
/// A refusal is told by its reply in `Ok(Err(…))`; a reply that is not whole after
/// [`TRIES_MAX`] tries is an error.
pub(super) async fn record(
    call: Call<'_>,
    table: &str,
    id: &str,
    fields: &[&str],
) -> Result<Result<Row, Response>, CallError> {
    let mut tries = 0;
    loop {
        let request = request(&format!("/api/now/table/{table}/{id}"), fields);
        let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
        if !reply.is_success() {
            return Ok(Err(reply));
        }
        tries += 1;
        match rows::rows(&reply).map(|rows| rows.into_iter().next()) {
            Ok(Some(row)) => return Ok(Ok(row)),
            Ok(None) => {
                let trouble = Trouble::Unreadable("expected a record, got none".to_owned());
                return Err(unreadable(call, &trouble));
            }
            Err(trouble) if tries >= TRIES_MAX => return Err(unreadable(call, &trouble)),
            Err(_) => {}
        }
    }
}
