//! ServiceNow's catalogue, and the parameters of what is implemented.

use arx_types::{Access, OperationSpec, RiskClass};
use serde_json::{Map, Value};

use super::query;
use crate::params::{Params, kind};
use crate::text;

/// Reads the tickets that wait for verification.
pub(super) const READ: &str = "incidents:read";
/// Changes one ticket.
pub(super) const UPDATE: &str = "incidents:update";

/// Where people find these parameters.
const PLACE: &str = "`inputs.servicenow` of arx.yaml";
/// Tickets that one read gives, unless a workflow says.
const TICKETS_DEFAULT: usize = 1_000;
/// Most tickets that one read gives.
const TICKETS_MAX: usize = 10_000;
/// Most fields that one mapping names.
const MAPPED_MAX: usize = 20;
/// Most fields that one update sends.
const SENT_MAX: usize = 50;
/// Longest value of a field that is sent, the vendor's length of `close_notes`.
pub(super) const VALUE_UNITS_MAX: usize = 4_000;
/// Longest work note; an instance that cuts longer ones would cut the marker off.
pub(super) const NOTE_UNITS_MAX: usize = 4_000;
/// Tables of vulnerability response, whose scanners close what they opened.
const NOTES_ONLY_TABLES: &str = "sn_vul_";
/// Length of a `sys_id`.
const SYS_ID_BYTES: usize = 32;

/// Every operation.
pub(super) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec {
        name: READ,
        class: RiskClass::Low,
        access: Access::Read,
        targeted: false,
        implemented: true,
        summary: "Read the tickets in a state, with their hosts and what was patched",
    },
    OperationSpec {
        name: UPDATE,
        class: RiskClass::Medium,
        access: Access::Write,
        targeted: true,
        implemented: true,
        summary: "Change a ticket's fields and append a work note, if nobody changed it since",
    },
    OperationSpec::named("incidents:create", RiskClass::Medium, Access::Write, "Open a ticket"),
    OperationSpec::named(
        "incidents:delete",
        RiskClass::Critical,
        Access::Write,
        "Delete a ticket with its history",
    ),
    OperationSpec::named("changes:create", RiskClass::Medium, Access::Write, "Request a change"),
    OperationSpec::named("changes:approve", RiskClass::High, Access::Write, "Approve a change"),
    OperationSpec::named(
        "hosts:update",
        RiskClass::High,
        Access::Write,
        "Change a configuration item",
    ),
    OperationSpec::named(
        "hosts:delete",
        RiskClass::Critical,
        Access::Write,
        "Delete a configuration item",
    ),
    OperationSpec::named(
        "users:update",
        RiskClass::Critical,
        Access::Write,
        "Change a user or its roles",
    ),
    OperationSpec::named("scripts:execute", RiskClass::Critical, Access::Write, "Run a script"),
];

/// What [`READ`] asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub table: String,
    /// Label or stored value of the state.
    pub pending_state: String,
    pub tickets_max: usize,
    pub fields: Mapping,
    /// What a verified ticket becomes; none where only notes are written.
    pub resolve: Option<Resolve>,
    /// What a ticket becomes whose patch failed; none where only notes are written.
    pub repatch: Option<Repatch>,
}

/// Which fields of the table hold what.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mapping {
    pub state: String,
    pub host: String,
    pub vulnerabilities: Vec<String>,
    pub patched_at: Vec<String>,
    /// A field of the configuration item.
    pub agent_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolve {
    pub state: String,
    /// The most wanted first.
    pub close_codes: Vec<String>,
    pub close_notes: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Repatch {
    pub state: Option<String>,
    /// Name or `sys_id`.
    pub assignment_group: Option<String>,
    pub fields: Vec<(String, String)>,
}

impl Wanted {
    pub fn read(params: &Value) -> Result<Self, String> {
        refuse_blank(params, "")?;
        let mut params = Params::of(params)?;
        let table = params.string("table")?.unwrap_or_else(|| "incident".to_owned());
        let table = table_name(&table)?;
        let pending_state = word(&mut params, "pending_state", "pending_state")?;
        let tickets_max = tickets_max(params.value("max_tickets"))?;
        let fields = Mapping::read(params.value("fields"))?;
        let resolve = params.value("resolve").map(Resolve::read).transpose()?;
        let repatch = params.value("repatch").map(Repatch::read).transpose()?;
        let notes_only = match params.value("notes_only") {
            None => table.starts_with(NOTES_ONLY_TABLES),
            Some(Value::Bool(notes_only)) => *notes_only,
            Some(other) => {
                return Err(format!("`notes_only` is {}; write true or false", kind(other)));
            }
        };
        params.finish()?;
        let pending_state = pending_state.ok_or_else(|| {
            format!(
                "`pending_state` is missing; write into {PLACE} the label of the state that \
                 waits for verification"
            )
        })?;
        query::check_value("pending_state", &pending_state)?;
        Ok(Self {
            table,
            pending_state,
            tickets_max,
            fields,
            resolve: resolve.filter(|_| !notes_only),
            repatch: repatch.filter(|_| !notes_only),
        })
    }
}

/// Refuses settings that are there and say nothing, such as those of an empty shell variable: a
/// default in their place would write to something else than was meant. Values that tickets are
/// given may be empty.
fn refuse_blank(value: &Value, path: &str) -> Result<(), String> {
    match value {
        Value::String(said) if said.trim().is_empty() => {
            let shown = text::one_line(path, 80);
            Err(format!("`{shown}` is empty; give it a value, or leave it out of {PLACE}"))
        }
        Value::Object(fields) if path != "repatch.fields" => {
            fields.iter().try_for_each(|(name, value)| {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                refuse_blank(value, &inner)
            })
        }
        _ => Ok(()),
    }
}

impl Mapping {
    fn read(value: Option<&Value>) -> Result<Self, String> {
        let none = Value::Object(Map::new());
        let mut params = Params::within("fields", value.unwrap_or(&none))?;
        let state = params.string("state")?.unwrap_or_else(|| "state".to_owned());
        let host = params.string("host")?.unwrap_or_else(|| "cmdb_ci".to_owned());
        let vulnerabilities = params.strings("vulnerabilities")?;
        let patched_at = match params.value("patched_at") {
            None => vec!["work_end".to_owned(), "u_patched_at".to_owned()],
            Some(_) => params.strings("patched_at")?,
        };
        let agent_id = params.string("agent_id")?;
        params.finish()?;
        Ok(Self {
            state: field_name("fields.state", &state)?,
            host: field_name("fields.host", &host)?,
            vulnerabilities: field_names("fields.vulnerabilities", &vulnerabilities)?,
            patched_at: field_names("fields.patched_at", &patched_at)?,
            agent_id: agent_id.map(|name| field_name("fields.agent_id", &name)).transpose()?,
        })
    }
}

impl Resolve {
    fn read(value: &Value) -> Result<Self, String> {
        let mut params = Params::within("resolve", value)?;
        let state = word(&mut params, "state", "resolve.state")?;
        let close_codes = match params.value("close_code") {
            None => vec!["Solution provided".to_owned(), "Solved (Permanently)".to_owned()],
            Some(Value::Number(number)) => vec![number.to_string()],
            Some(_) => params.strings("close_code")?,
        };
        let close_notes = params.string("close_notes")?;
        params.finish()?;
        let close_notes = close_notes.map(|notes| text::lines(notes.trim(), VALUE_UNITS_MAX));
        Ok(Self {
            state: state.unwrap_or_else(|| "Resolved".to_owned()),
            close_codes: close_codes.into_iter().filter(|code| !code.trim().is_empty()).collect(),
            close_notes: close_notes.filter(|notes| !notes.is_empty()).ok_or_else(|| {
                format!(
                    "`resolve.close_notes` is missing; closing needs them, write them into {PLACE}"
                )
            })?,
        })
    }
}

impl Repatch {
    fn read(value: &Value) -> Result<Self, String> {
        let mut params = Params::within("repatch", value)?;
        let state = word(&mut params, "state", "repatch.state")?;
        let assignment_group = params.string("assignment_group")?;
        let fields = match params.value("fields") {
            None => Vec::new(),
            Some(Value::Object(fields)) => sent_fields("repatch.fields", fields)?,
            Some(other) => {
                return Err(format!("`repatch.fields` is {}; write a mapping", kind(other)));
            }
        };
        params.finish()?;
        if state.is_none() && assignment_group.is_none() && fields.is_empty() {
            return Err(format!(
                "`repatch` sets nothing; give it `state`, `assignment_group` or `fields` in {PLACE}"
            ));
        }
        if let Some(group) = &assignment_group {
            query::check_value("repatch.assignment_group", group.trim())?;
        }
        Ok(Self { state, assignment_group: assignment_group.map(|g| g.trim().to_owned()), fields })
    }
}

/// What [`UPDATE`] asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub table: String,
    pub id: String,
    /// What people call the ticket; its id where they call it nothing.
    pub number: String,
    pub expect: Expected,
    /// Stored values by field.
    pub fields: Vec<(String, String)>,
    pub note: Option<String>,
}

/// How the ticket was when it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expected {
    /// The field that holds the state.
    pub field: String,
    pub state: String,
    pub mod_count: String,
}

impl Change {
    pub fn read(params: &Value) -> Result<Self, String> {
        let mut params = Params::of(params)?;
        let table = params.string("table")?.ok_or("`table` is missing")?;
        let id = params.string("id")?.ok_or("`id` is missing")?;
        let number = params.string("number")?;
        let expect = params.value("expect").ok_or("`expect` is missing")?;
        let fields = match params.value("fields") {
            None => Vec::new(),
            Some(Value::Object(fields)) => sent_fields("fields", fields)?,
            Some(other) => return Err(format!("`fields` is {}; write a mapping", kind(other))),
        };
        let note = params.string("note")?;
        params.finish()?;
        let mut expected = Params::within("expect", expect)?;
        let field = expected.string("field")?.unwrap_or_else(|| "state".to_owned());
        let state = word(&mut expected, "state", "expect.state")?;
        let mod_count = word(&mut expected, "mod_count", "expect.mod_count")?;
        expected.finish()?;
        let id = sys_id(&id).ok_or_else(|| {
            format!("`id`: `{}` is not a sys_id of 32 hexadecimal digits", text::one_line(&id, 80))
        })?;
        let note = note.map(|note| text::lines(note.trim_end(), NOTE_UNITS_MAX));
        if fields.is_empty() && note.is_none() {
            return Err("there is nothing to write; give `fields` or a `note`".to_owned());
        }
        let number = number.map(|number| text::one_line(&number, 80));
        Ok(Self {
            table: table_name(&table)?,
            number: number.unwrap_or_else(|| id.clone()),
            id,
            expect: Expected {
                field: field_name("expect.field", &field)?,
                state: state.ok_or("`expect.state` is missing")?,
                mod_count: mod_count.ok_or("`expect.mod_count` is missing")?,
            },
            fields,
            note,
        })
    }
}

/// A text, or a number as text: stored values look like numbers in YAML.
fn word(
    params: &mut Params<'_>,
    name: &'static str,
    path: &'static str,
) -> Result<Option<String>, String> {
    match params.value(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::String(text)) => {
            Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        }
        Some(other) => Err(format!("`{path}` is {}; write a text", kind(other))),
    }
}

fn tickets_max(value: Option<&Value>) -> Result<usize, String> {
    let Some(value) = value else { return Ok(TICKETS_DEFAULT) };
    let wanted = value.as_u64().and_then(|wanted| usize::try_from(wanted).ok());
    wanted
        .filter(|wanted| (1..=TICKETS_MAX).contains(wanted))
        .ok_or_else(|| format!("`max_tickets` is not a whole number from 1 to {TICKETS_MAX}"))
}

/// The name of a table: safe in a path and in a query.
fn table_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    if query::is_name(name) && !name.contains('.') {
        return Ok(name.to_owned());
    }
    let shown = text::one_line(name, 80);
    Err(format!("`table`: `{shown}` is not the name of a table; write one such as `incident`"))
}

fn field_name(path: &str, name: &str) -> Result<String, String> {
    let name = name.trim();
    if query::is_name(name) {
        return Ok(name.to_owned());
    }
    let shown = text::one_line(name, 80);
    Err(format!("`{path}`: `{shown}` is not the name of a field; write one such as `u_cve`"))
}

fn field_names(path: &str, names: &[String]) -> Result<Vec<String>, String> {
    if names.len() > MAPPED_MAX {
        return Err(format!("`{path}` names more than {MAPPED_MAX} fields"));
    }
    let named = names.iter().filter(|name| !name.trim().is_empty());
    named.map(|name| field_name(path, name)).collect()
}

/// Fields to be written, with stored values. What the vendor keeps of its own accord is none of
/// them: a writer can falsify it.
fn sent_fields(path: &str, fields: &Map<String, Value>) -> Result<Vec<(String, String)>, String> {
    if fields.len() > SENT_MAX {
        return Err(format!("`{path}` sets more than {SENT_MAX} fields"));
    }
    let mut sent = Vec::new();
    for (name, value) in fields {
        let name = field_name(path, name)?;
        if name.contains('.') {
            return Err(format!("`{path}`: `{name}` is a field of another record"));
        }
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("sys_") {
            return Err(format!("`{path}`: `{name}` is the vendor's own and never written"));
        }
        if matches!(lower.as_str(), "work_notes" | "comments" | "comments_and_work_notes") {
            return Err(format!("`{path}`: `{name}` is a journal; use `note`"));
        }
        let value = match value {
            Value::Null => String::new(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(value) => text::lines(value, VALUE_UNITS_MAX),
            other => {
                return Err(format!("`{path}.{name}` is {}; write a text", kind(other)));
            }
        };
        sent.push((name, value));
    }
    Ok(sent)
}

/// A `sys_id` in lower case, or nothing.
pub(super) fn sys_id(text: &str) -> Option<String> {
    let text = text.trim();
    let fit = text.len() == SYS_ID_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fit.then(|| text.to_ascii_lowercase())
}
