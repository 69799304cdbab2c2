//! What an update leaves behind, and how it is found again when its reply was lost.
//!
//! Work notes are a journal: a repeated update appends them twice, and they read back empty. The
//! note's last line therefore names the effect, and the journal's own table is searched for it.

use arx_gateway::{Call, CallError};
use arx_types::EffectKey;
use sha2::{Digest as _, Sha256};

use super::listing::{Listing, Next};
use super::operations::{Change, VALUE_UNITS_MAX};
use super::query::Query;
use super::rows::Row;
use crate::text;

/// The field that closing explains itself in.
pub(super) const CLOSE_NOTES: &str = "close_notes";
/// The journal that notes are appended to.
pub(super) const WORK_NOTES: &str = "work_notes";
/// The table of all journals.
const JOURNAL: &str = "sys_journal_field";
/// Hexadecimal digits of the effect key's SHA-256 in the marker.
const MARKER_DIGITS: usize = 12;
/// Journal entries of one page; the search gives one or none.
const PAGE_ROWS: usize = 20;
/// Most entries that are looked at, should the search be ignored.
const ENTRIES_MAX: usize = 400;

/// How an effect's texts are recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker(String);

/// What the journal shows of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// Its note is there.
    There,
    /// It is not, and all there is was read.
    NotThere,
    /// Not all of the journal can be read.
    CannotTell(String),
}

/// A text without `[code]` tags, between which an instance renders HTML: a note quotes what others
/// wrote.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, tag) = rest.split_at(at);
        plain.push_str(before);
        let name = tag.trim_start_matches(['[', '/', ' ']);
        let is_code = name.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("code"));
        plain.push_str(if is_code { "(" } else { "[" });
        rest = tag.get(1..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

impl Marker {
    pub fn new(effect: &EffectKey) -> Self {
        let digest = hex::encode(Sha256::digest(effect.as_str().as_bytes()));
        Self(format!("ARX {}", digest.get(..MARKER_DIGITS).unwrap_or(&digest)))
    }

    /// A text with the marker as its last line.
    pub fn sign(&self, text: &str, units_max: usize) -> String {
        let room = units_max.saturating_sub(text::units(&self.0) + 1);
        format!("{}\n{}", text::cut(plain(text).trim_end(), room), self.0)
    }

    pub fn is_in(&self, text: &str) -> bool {
        text.contains(&self.0)
    }

    /// The fields of a change as they are sent.
    pub fn signed(&self, change: &Change) -> Vec<(String, String)> {
        let mut fields = change.fields.clone();
        for (name, value) in &mut fields {
            if name == CLOSE_NOTES && !value.trim().is_empty() {
                *value = self.sign(value, VALUE_UNITS_MAX);
            }
        }
        fields
    }

    /// Whether a record itself shows that the change was written.
    pub fn is_on(&self, row: &Row) -> bool {
        row.get(CLOSE_NOTES).is_some_and(|notes| self.is_in(notes))
    }

    /// Looks for the effect's note in the journal of a ticket.
    ///
    /// # Errors
    /// When the vendor cannot be reached or does not accept the credential.
    pub async fn noted(&self, call: Call<'_>, id: &str) -> Result<Noted, CallError> {
        let query = Query::default()
            .is("element_id", id)
            .and_then(|query| query.is("element", WORK_NOTES))
            .and_then(|query| query.contains("value", &self.0))
            .map_err(|message| call.parameters(message))?
            .order_by("sys_id");
        let listing = Listing {
            table: JOURNAL,
            query,
            fields: vec!["sys_id", "element_id", "element"],
            texts: vec!["value"],
            page_rows: PAGE_ROWS,
        };
        let (mut found, mut seen, mut blind) = (false, 0, 0_usize);
        let read = listing.read(call, |page| {
            for listable in &page {
                let row = &listable.row;
                seen += 1;
                let ours = row.filled("element_id").is_none_or(|of| of.eq_ignore_ascii_case(id));
                match row.get("value") {
                    Some(value) => found |= ours && self.is_in(value),
                    None => blind += 1,
                }
            }
            Ok(if found || seen >= ENTRIES_MAX { Next::Enough } else { Next::AtMost(PAGE_ROWS) })
        });
        let listed = match read.await {
            Ok(listed) => listed,
            Err(error @ (CallError::Refused { .. } | CallError::Malformed { .. })) => {
                return Ok(Noted::CannotTell(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        if found {
            return Ok(Noted::There);
        }
        let all = listed.total.is_some_and(|total| total <= (seen - blind) as u64);
        if all && blind == 0 && listed.passed_over.is_empty() {
            return Ok(Noted::NotThere);
        }
        Ok(Noted::CannotTell(format!(
            "table `{JOURNAL}` shows {} of {} entries to the account",
            seen - blind,
            listed.total.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string())
        )))
    }
}
