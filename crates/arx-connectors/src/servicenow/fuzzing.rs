//! Doors for the fuzzer: rows, refusals, times, and the parameters of both operations.
#![expect(clippy::expect_used, reason = "a promise that is broken ends the fuzzer")]

use jiff::Timestamp;
use serde_json::Value;

use super::hosts::environment;
use super::operations::{Change, Wanted};
use super::patch;
use super::query::{self, Query};
use super::rows::{self, Trouble};
use crate::fuzzing::{check_refusal, reply};
use crate::text;

/// Reads a body as rows and as a refusal.
pub fn rows(body: &[u8]) {
    let _ = rows::is_vendors(&reply(400, body));
    check_refusal(&rows::complaint(&reply(400, body)));
    let decoded = rows::decode(body, false);
    assert_eq!(rows::decode(body, true), Err(Trouble::Page), "a web page taken for rows");
    let found = match decoded {
        Ok(found) => found,
        Err(trouble) => {
            check_refusal(&trouble.to_string());
            return;
        }
    };

    // The same text, read by someone who knows nothing of rows.
    // He may be stricter with what nobody asked for.
    let Ok(whole) = serde_json::from_slice::<Value>(body) else { return };
    assert!(whole.get("error").is_none_or(Value::is_null), "rows beside an error");
    let result = whole.get("result").expect("rows without `result`");
    let records = match result {
        Value::Array(records) => records.as_slice(),
        one => std::slice::from_ref(one),
    };
    assert_eq!(found.len(), records.len(), "a record was lost or made up");
    let now = Timestamp::UNIX_EPOCH;
    for (row, record) in found.iter().zip(records) {
        for (name, value) in record.as_object().into_iter().flatten() {
            match value {
                Value::String(text) if record.as_object().is_some_and(|r| r.len() <= 200) => {
                    assert_eq!(row.get(name), Some(text.as_str()), "field `{name}`");
                }
                Value::Array(_) => assert_eq!(row.get(name), None, "field `{name}`"),
                _ => {}
            }
            let Some(told) = row.filled(name) else { continue };
            assert!(!told.trim().is_empty(), "`{name}` is filled with nothing");
            let _ = environment(told);
            if let Some(at) = patch::time(told, now) {
                // Midnight somewhere at the earliest, midnight somewhere else at the latest.
                assert!(at.as_second().abs() < 400_000_000_000, "{told} is {at}");
            }
        }
        let _ = patch::last_change(row, now);
    }
}

/// Checks the parameters of `incidents:read`; no name or value among them can be more than one in
/// a query.
pub fn parameters_of_read(params: &Value) -> Result<(), String> {
    let wanted = Wanted::read(params)?;
    assert!(query::is_name(&wanted.table) && !wanted.table.contains('.'), "{wanted:?}");
    assert!((1..=10_000).contains(&wanted.tickets_max), "{wanted:?}");
    let fields = &wanted.fields;
    let optional = fields.agent_id.iter().chain(&fields.vulnerabilities).chain(&fields.patched_at);
    for name in [&fields.state, &fields.host].into_iter().chain(optional) {
        assert!(query::is_name(name), "`{name}` is no field");
        let query = Query::default().is(name, &wanted.pending_state)?;
        assert_eq!(query.as_str().matches('^').count(), 0, "{}", query.as_str());
    }
    if let Some(resolve) = &wanted.resolve {
        assert!(!resolve.close_notes.is_empty(), "closed without notes");
        assert!(text::units(&resolve.close_notes) <= 4_000, "{resolve:?}");
    }
    Ok(())
}

/// Checks the parameters of `incidents:update`; nothing is written that is not allowed.
pub fn parameters_of_update(params: &Value) -> Result<(), String> {
    let change = Change::read(params)?;
    assert!(change.id.len() == 32 && change.id.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(query::is_name(&change.table) && !change.table.contains('.'), "{change:?}");
    assert!(query::is_name(&change.expect.field), "{change:?}");
    assert!(!change.expect.state.is_empty() && !change.expect.mod_count.is_empty(), "{change:?}");
    assert!(!change.fields.is_empty() || change.note.is_some(), "a change of nothing");
    assert!(change.fields.len() <= 50, "{change:?}");
    for (name, value) in &change.fields {
        let lower = name.to_ascii_lowercase();
        assert!(query::is_name(name) && !name.contains('.'), "`{name}` is no field");
        assert!(!lower.starts_with("sys_"), "`{name}` is the vendor's own");
        assert!(!lower.contains("comments") && lower != "work_notes" || lower.len() > 23, "{name}");
        assert!(text::units(value) <= 4_000, "`{name}` is too long");
    }
    assert!(change.note.as_deref().is_none_or(|note| text::units(note) <= 4_000), "{change:?}");
    Ok(())
}
