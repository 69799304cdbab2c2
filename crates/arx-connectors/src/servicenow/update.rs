//! Changing one ticket, so that the result tells the truth.
//!
//! The record is read right before the write, because the vendor knows no conditional write and
//! the last one wins; and right after it, because a field that the account may not write is
//! ignored without a word.
//! INVARIANT (no second note): a note goes out only while the journal does not show this
//! effect's marker, and nothing goes out while an earlier attempt may still be on its way.

use std::time::Duration;

use arx_gateway::{Call, CallError, HttpError, Request, Response, Settlement};
use serde_json::{Map, Value, json};

use super::listing;
use super::operations::{Change, NOTE_UNITS_MAX};
use super::rows::{self, Row};
use super::tickets::{MOD_COUNT, page_of};
use super::trace::{CLOSE_NOTES, Marker, Noted, WORK_NOTES};
use super::{SPEC, USERNAME, rows::complaint};
use crate::text;

/// Who changed a record last.
const UPDATED_BY: &str = "sys_updated_by";
/// How long after the record was read it may be written: beyond that it is read again.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// How often a record is read again because its write was kept waiting.
const ROUNDS_MAX: u32 = 20;
/// Longest value that a message shows.
const SHOWN_UNITS_MAX: usize = 80;

/// A change with its marker.
#[derive(Clone, Debug)]
pub(super) struct Update {
    change: Change,
    marker: Marker,
    /// Stored values by field, with the marker where it goes.
    fields: Vec<(String, String)>,
}

/// What came of an attempt to write.
enum Written {
    /// It was sent, to the record as it is here.
    Sent(Row),
    /// There was nothing left to send.
    Nothing(Row),
    /// An earlier attempt had written it.
    Before(Value),
}

/// How the fields that were sent read back.
enum ReadBack {
    Equal,
    /// Some do not; in words.
    Different(String),
}

impl Update {
    pub fn of(call: Call<'_>) -> Result<Self, CallError> {
        let effect = call.effect.ok_or_else(|| call.parameters("needs an effect key"))?;
        let change = Change::read(call.params).map_err(|message| call.parameters(message))?;
        let marker = Marker::new(effect);
        let fields = marker.signed(&change);
        Ok(Self { change, marker, fields })
    }

    /// Writes the change, unless the record moved. Says in `answered` whether the instance ended
    /// its work on the update, whatever came of it.
    pub async fn perform(
        &self,
        call: Call<'_>,
        sending: impl Fn(),
        answered: &mut bool,
    ) -> Result<Value, CallError> {
        let mut warnings = Vec::new();
        let mut note = self.change.note.as_deref();
        let mut journal = false;
        // The journal first, so that nothing comes between reading the record and writing it.
        if note.is_some() {
            match self.marker.noted(call, &self.change.id).await.map_err(nothing_sent)? {
                Noted::NotThere => journal = true,
                Noted::There => {
                    note = None;
                    warnings.push("the work note of this effect was there already".to_owned());
                }
                Noted::CannotTell(why) => warnings.push(format!(
                    "work notes cannot be read back, so a lost reply will need a human: {why}"
                )),
            }
        }
        let before = match self.write(call, note, sending, answered).await? {
            Written::Sent(before) => before,
            Written::Nothing(before) => {
                return Ok(self.outcome(call, &before, false, &warnings));
            }
            Written::Before(outcome) => return Ok(outcome),
        };
        let after = self.read(call).await.map_err(not_read_back)?;
        if journal && note.is_some() {
            // INVARIANT (a note that was ignored is no note): the journal is asked, not the reply.
            match self.marker.noted(call, &self.change.id).await.map_err(not_read_back)? {
                Noted::NotThere => return Err(self.note_ignored(&before, &after)),
                Noted::There | Noted::CannotTell(_) => {}
            }
        } else if note.is_some() && self.fields.is_empty() && same_count(&before, &after) {
            return Err(self.note_ignored(&before, &after));
        }
        if let Some(others) = others_changes(&self.change.number, &before, &after) {
            warnings.push(others);
        }
        match self.compare(Some(&before), &after) {
            ReadBack::Equal => Ok(self.outcome(call, &after, note.is_some(), &warnings)),
            ReadBack::Different(what) => Err(self.not_as_asked(&what, note.is_some())),
        }
    }

    /// Reads the record and writes to it at once: again, where the write had to wait for its turn
    /// so long that somebody may have changed the record meanwhile.
    async fn write(
        &self,
        call: Call<'_>,
        note: Option<&str>,
        sending: impl Fn(),
        answered: &mut bool,
    ) -> Result<Written, CallError> {
        for _ in 0..ROUNDS_MAX {
            let before = self.read(call).await.map_err(nothing_sent)?;
            if let Some(moved) = self.moved(&before) {
                return self.already_written(call, &before, moved).await.map(Written::Before);
            }
            self.check_writable(&before)?;
            let is_due = |(name, value): &&(String, String)| {
                !before.get(name).is_some_and(|kept| same(value, kept))
            };
            // An earlier attempt that was taken in part: what it wrote is there.
            let rest: Vec<&(String, String)> = match note {
                None if self.change.note.is_some() => self.fields.iter().filter(is_due).collect(),
                Some(_) | None => self.fields.iter().collect(),
            };
            if note.is_none() && rest.is_empty() {
                return Ok(Written::Nothing(before));
            }
            sending();
            if self.send(call, &rest, note, answered).await? {
                return Ok(Written::Sent(before));
            }
        }
        Err(CallError::Unreachable {
            vendor: SPEC.title,
            message: format!(
                "the vendor's limits kept the update of `{}` waiting {ROUNDS_MAX} times; nothing \
                 was sent",
                self.change.number
            ),
        })
    }

    /// Finds out what became of the change. `quiet` says that nothing of it can still be on its
    /// way to the vendor.
    pub async fn settle(&self, call: Call<'_>, quiet: bool) -> Result<Settlement, CallError> {
        let row = self.read(call).await?;
        let number = &self.change.number;
        let unknown = |why: String| Ok(Settlement::Unknown { why });
        let noted = match (self.marker.is_on(&row), &self.change.note) {
            (true, _) => Noted::There,
            (false, Some(_)) => self.marker.noted(call, &self.change.id).await?,
            (false, None) => Noted::CannotTell("this update carries no work note".to_owned()),
        };
        let moved = self.moved(&row);
        let as_asked = matches!(self.compare(None, &row), ReadBack::Equal);
        match noted {
            Noted::There if as_asked => {
                let noted = self.change.note.is_some();
                return Ok(Settlement::Happened(self.outcome(call, &row, noted, &[])));
            }
            // The update arrived, but a field was ignored or changed since. It is no closing;
            // asked for again it sends nothing, and says which field it is.
            Noted::There => return Ok(Settlement::Absent),
            Noted::NotThere | Noted::CannotTell(_) if !quiet => {
                return unknown(format!(
                    "`{number}` does not show the update, but it may still be on its way"
                ));
            }
            Noted::NotThere | Noted::CannotTell(_) => {}
        }
        let Some(moved) = moved else { return Ok(Settlement::Absent) };
        match noted {
            // Somebody else's change: ours would have left its note, and a note alone leaves
            // nothing else. Asked for again, it is left alone.
            Noted::NotThere if !as_asked || self.fields.is_empty() => Ok(Settlement::Absent),
            Noted::NotThere | Noted::There => unknown(format!(
                "`{number}` has every field as asked for, but its work notes do not show the note \
                 of this effect; {moved}"
            )),
            Noted::CannotTell(_)
                if as_asked && !self.fields.is_empty() && self.is_ours(call, &row) =>
            {
                Ok(Settlement::Happened(self.outcome(call, &row, false, &[])))
            }
            Noted::CannotTell(why) => unknown(format!(
                "{moved}, and whether that was this update cannot be told: {why}; look into the \
                 work notes of `{number}` for `{}`",
                self.marker.sign("", NOTE_UNITS_MAX).trim()
            )),
        }
    }

    /// Whether the account of this connector changed the record last.
    fn is_ours(&self, call: Call<'_>, row: &Row) -> bool {
        let by = row.filled(UPDATED_BY);
        self.change.note.is_none()
            && call.variables.get(USERNAME).is_some_and(|user| {
                by.is_some_and(|by| by.to_lowercase() == user.trim().to_lowercase())
            })
    }

    /// What differs from what was expected.
    fn moved(&self, row: &Row) -> Option<String> {
        let expect = &self.change.expect;
        let number = &self.change.number;
        let now = row.get(MOD_COUNT).map(str::trim);
        let by = row.filled(UPDATED_BY).map(|by| format!(" by `{}`", shown(by)));
        let by = by.unwrap_or_default();
        match row.get(&expect.field).map(str::trim) {
            Some(state) if state == expect.state => {}
            Some(state) => {
                return Some(format!(
                    "`{number}` was changed{by} since it was read: `{}` is `{}` and not `{}`",
                    expect.field,
                    shown(state),
                    shown(&expect.state)
                ));
            }
            None => return Some(format!("`{number}` does not show its `{}`", expect.field)),
        }
        match now {
            Some(now) if now == expect.mod_count => None,
            Some(now) => Some(format!(
                "`{number}` was changed{by} since it was read: `{MOD_COUNT}` is `{}` and not `{}`",
                shown(now),
                shown(&expect.mod_count)
            )),
            None => Some(format!("`{number}` does not show its `{MOD_COUNT}`")),
        }
    }

    /// The record moved: by this very effect, whose reply was lost, or by somebody else.
    async fn already_written(
        &self,
        call: Call<'_>,
        row: &Row,
        moved: String,
    ) -> Result<Value, CallError> {
        let ours = self.marker.is_on(row)
            || (self.change.note.is_some()
                && self.marker.noted(call, &self.change.id).await.map_err(nothing_sent)?
                    == Noted::There);
        if !ours {
            return Err(CallError::Moved { vendor: SPEC.title, message: moved });
        }
        match self.compare(None, row) {
            ReadBack::Equal => {
                let warning = "this effect had been written already".to_owned();
                Ok(self.outcome(call, row, self.change.note.is_some(), &[warning]))
            }
            ReadBack::Different(what) => Err(self.not_as_asked(&what, true)),
        }
    }

    /// Refuses, before anything is sent, fields that could not be read back after it.
    fn check_writable(&self, row: &Row) -> Result<(), CallError> {
        let hidden: Vec<String> = self
            .fields
            .iter()
            .filter(|(name, _)| row.get(name).is_none())
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        if hidden.is_empty() {
            return Ok(());
        }
        Err(refused(format!(
            "`{}` does not show {}: there is no such field, or the account may not read it, and \
             what cannot be read back is not written; nothing was written",
            self.change.number,
            hidden.join(", ")
        )))
    }

    async fn read(&self, call: Call<'_>) -> Result<Row, CallError> {
        let change = &self.change;
        let mut fields = vec!["sys_id", "number", &change.expect.field, MOD_COUNT, UPDATED_BY];
        fields.push(CLOSE_NOTES);
        fields.extend(self.fields.iter().map(|(name, _)| name.as_str()));
        match listing::record(call, &change.table, &change.id, &fields).await? {
            Ok(row) => {
                let id = row.filled("sys_id");
                if id.is_some_and(|id| !id.eq_ignore_ascii_case(&change.id)) {
                    return Err(CallError::Malformed {
                        vendor: SPEC.title,
                        message: format!("asked for `{}`, got another record", change.number),
                    });
                }
                Ok(row)
            }
            Err(reply) if reply.status == 404 => Err(CallError::Refused {
                vendor: SPEC.title,
                status: Some(404),
                message: call.http.scrub(&format!(
                    "`{}` of table `{}` is gone, or the account may not read it: {}",
                    change.number,
                    change.table,
                    complaint(&reply)
                )),
            }),
            Err(reply) => Err(super::refused(call, &reply, &change.table)),
        }
    }

    /// Sends the update; false where it was kept waiting and is not sent.
    async fn send(
        &self,
        call: Call<'_>,
        fields: &[&(String, String)],
        note: Option<&str>,
        answered: &mut bool,
    ) -> Result<bool, CallError> {
        let mut body = Map::new();
        for (name, value) in fields {
            body.insert(name.clone(), json!(value));
        }
        if let Some(note) = note {
            let note = self.marker.sign(note, NOTE_UNITS_MAX);
            body.insert(WORK_NOTES.to_owned(), json!(note));
        }
        let path = format!("/api/now/table/{}/{}", self.change.table, self.change.id);
        let request = Request::patch(&path)
            .header("accept", "application/json")
            .query("sysparm_input_display_value", "false")
            .query("sysparm_display_value", "false")
            .query("sysparm_exclude_reference_link", "true")
            .query("sysparm_fields", format!("sys_id,{MOD_COUNT}"))
            .timeout(listing::TRANSACTION_TIMEOUT)
            .fresh_for(FRESH_FOR)
            .json(&Value::Object(body));
        let reply = match call.http.send(call.permit, request).await {
            Ok(reply) => reply,
            Err(HttpError::Stale) => return Ok(false),
            // The reply came and was too large to read: the write may well have happened.
            Err(error @ HttpError::TooLarge { .. }) => return Err(unknown(&error.to_string())),
            Err(error) => {
                // A gateway in front of the instance answers for itself alone.
                *answered = matches!(error, HttpError::Ambiguous { status: Some(500), .. });
                return Err(call.failed(error));
            }
        };
        *answered = reply.status != 408;
        self.taken(call, &reply).map(|()| true)
    }

    /// Whether the vendor's reply says that the update was taken, was not, or neither.
    fn taken(&self, call: Call<'_>, reply: &Response) -> Result<(), CallError> {
        if reply.is_success() {
            // A transaction that was cut says so inside a 200.
            return rows::rows(reply).map(drop).map_err(|trouble| {
                unknown(&call.http.scrub(&format!("the reply to the update: {trouble}")))
            });
        }
        let words = complaint(reply);
        match reply.status {
            401 => Err(call.refused(reply, &words)),
            // A gateway gave up waiting; the instance may have finished all the same.
            408 => Err(unknown(&call.http.scrub(&words))),
            status => Err(CallError::Refused {
                vendor: SPEC.title,
                status: Some(status),
                message: call.http.scrub(&format!("`{}`: {words}", self.change.number)),
            }),
        }
    }

    /// Compares what was sent with what the record says.
    fn compare(&self, before: Option<&Row>, after: &Row) -> ReadBack {
        let mut different = Vec::new();
        for (name, sent) in &self.fields {
            let kept = after.get(name);
            if kept.is_some_and(|kept| same(sent, kept)) {
                continue;
            }
            let was = before.and_then(|row| row.get(name));
            different.push(match (kept, was) {
                (None, _) => format!("`{name}` cannot be read back"),
                (Some(kept), Some(was)) if same(kept, was) => format!(
                    "`{name}` kept its value `{}` instead of `{}`: the account may not write it",
                    shown(kept),
                    shown(sent)
                ),
                (Some(kept), Some(_)) => format!(
                    "`{name}` is `{}` and not `{}`: a rule of the instance set it",
                    shown(kept),
                    shown(sent)
                ),
                (Some(kept), None) => format!(
                    "`{name}` is `{}` and not `{}`: the account may not write it, or it was \
                     changed since",
                    shown(kept),
                    shown(sent)
                ),
            });
        }
        if different.is_empty() {
            ReadBack::Equal
        } else {
            ReadBack::Different(different.join("; "))
        }
    }

    fn not_as_asked(&self, what: &str, noted: bool) -> CallError {
        let number = &self.change.number;
        let note = if noted { "; the work note is there" } else { "" };
        refused(format!("`{number}` is not as asked for after the update: {what}{note}"))
    }

    fn note_ignored(&self, before: &Row, after: &Row) -> CallError {
        let number = &self.change.number;
        let rest = match self.compare(Some(before), after) {
            ReadBack::Equal if self.fields.is_empty() => String::new(),
            ReadBack::Equal => "; its fields were written".to_owned(),
            ReadBack::Different(what) => format!("; {what}"),
        };
        refused(format!(
            "`{number}` does not show the work note that was sent: the account may not write \
             `{WORK_NOTES}`{rest}"
        ))
    }

    fn outcome(&self, call: Call<'_>, row: &Row, note: bool, warnings: &[String]) -> Value {
        let change = &self.change;
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .filter_map(|(name, _)| Some((name.clone(), json!(row.get(name)?))))
            .collect();
        json!({
            "id": change.id,
            "number": row.filled("number").unwrap_or(&change.number),
            "url": page_of(call, &change.table, &change.id),
            "state": row.filled(&change.expect.field),
            "mod_count": row.filled(MOD_COUNT),
            "fields": fields,
            "note": note,
            "warnings": warnings,
        })
    }
}

/// Whether a stored value is the one that was sent; the vendor trims, and writes lines its way.
fn same(sent: &str, kept: &str) -> bool {
    let plain = |text: &str| {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines: Vec<&str> = text.trim().split('\n').map(str::trim_end).collect();
        lines.join("\n")
    };
    let flag = |text: &str| match text.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    plain(sent) == plain(kept) || flag(sent).is_some_and(|sent| flag(kept) == Some(sent))
}

fn same_count(before: &Row, after: &Row) -> bool {
    before.filled(MOD_COUNT) == after.filled(MOD_COUNT)
}

/// The vendor knows no conditional write, so a change in the same moment can only be told.
fn others_changes(number: &str, before: &Row, after: &Row) -> Option<String> {
    let count = |row: &Row| row.filled(MOD_COUNT)?.parse::<u64>().ok();
    let (before, after) = (count(before)?, count(after)?);
    (after > before.saturating_add(1)).then(|| {
        format!(
            "somebody else or a rule of the instance changed `{number}` at the same moment: \
             `{MOD_COUNT}` went from {before} to {after}"
        )
    })
}

fn shown(value: &str) -> String {
    text::one_line(value, SHOWN_UNITS_MAX)
}

fn refused(message: String) -> CallError {
    CallError::Refused { vendor: SPEC.title, status: None, message }
}

fn unknown(message: &str) -> CallError {
    CallError::OutcomeUnknown { vendor: SPEC.title, message: message.to_owned() }
}

/// A reply that cannot be read, before anything was sent, leaves nothing to settle.
fn nothing_sent(error: CallError) -> CallError {
    match error {
        CallError::Malformed { vendor, message } => CallError::Unreachable { vendor, message },
        other => other,
    }
}

/// After the write no failure says that nothing happened.
fn not_read_back(error: CallError) -> CallError {
    unknown(&format!("the update was taken, but cannot be read back: {error}"))
}
