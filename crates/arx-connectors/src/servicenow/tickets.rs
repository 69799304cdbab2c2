//! Reading the tickets that wait: rows become [`Ticket`]s with their hosts and vulnerabilities.
//!
//! A query whose term is wrong gives more rows and no error, so every row is checked again. One
//! ticket that cannot be worked on says so itself and keeps no other one back.

use std::collections::{BTreeMap, BTreeSet};

use arx_gateway::{Call, CallError};
use arx_types::{HostNames, Ticket};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::ServiceNow;
use super::choices::{CLOSE_CODE, Values};
use super::hosts::{Items, Reference};
use super::listing::{Listed, Listing, Next};
use super::operations::{Mapping, Repatch, Resolve, Wanted, sys_id};
use super::patch::{self, Patched, UPDATED_ON};
use super::query::Query;
use super::rows::Row;
use super::vulnerabilities::{Named, VULNERABILITIES_MAX};
use crate::text;

/// Tickets of one page.
const PAGE_ROWS: usize = 100;
/// Longest title that is kept.
const TITLE_UNITS_MAX: usize = 160;
/// Most rows in another state that are passed over before the reading ends.
const DROPPED_MAX: usize = 1_000;
/// How often a ticket was changed.
pub(super) const MOD_COUNT: &str = "sys_mod_count";
/// The texts that people write, searched where no field is mapped.
const TEXTS: [&str; 2] = ["short_description", "description"];

/// A ticket, and what of it is yet to be looked up.
struct Pending {
    ticket: Ticket,
    host: Option<Reference>,
    /// When it was patched, by its own fields; without one its history may know.
    patched: Option<Result<Patched, String>>,
    updated_on: Option<Timestamp>,
}

/// What the rows came to.
#[derive(Default)]
struct Gathered {
    pending: Vec<Pending>,
    ids: BTreeSet<String>,
    dropped: usize,
    unshown: usize,
}

/// Reads the tickets that wait.
pub(super) async fn read(snow: &ServiceNow, call: Call<'_>) -> Result<Value, CallError> {
    let wanted = Wanted::read(call.params).map_err(|message| CallError::Configuration {
        message: format!("servicenow: {message}"),
    })?;
    let fields = &wanted.fields;
    let choices = snow.choices(call, &wanted.table, &fields.state).await?;
    let found = choices.to_find(&fields.state, "pending_state", &wanted.pending_state);
    if found.is_err() {
        // Of a table that the account may not read, its choices are the lesser trouble.
        shows(call, &wanted.table).await?;
    }
    let states = settled(snow, found).await?;
    let resolve = match &wanted.resolve {
        None => None,
        Some(resolve) => {
            let state = std::slice::from_ref(&resolve.state);
            let state = choices.to_write(&fields.state, "resolve.state", state);
            let state = settled(snow, state).await?;
            let code = match resolve.close_codes.as_slice() {
                [] => None,
                codes => {
                    let code = choices.to_write(CLOSE_CODE, "resolve.close_code", codes);
                    Some(settled(snow, code).await?)
                }
            };
            Some(resolved(fields, &state, code.as_deref(), resolve))
        }
    };
    let repatch = match &wanted.repatch {
        None => None,
        Some(repatch) => {
            let state = match &repatch.state {
                None => None,
                Some(state) => {
                    let state = std::slice::from_ref(state);
                    let state = choices.to_write(&fields.state, "repatch.state", state);
                    Some(settled(snow, state).await?)
                }
            };
            Some(flagged(call, fields, state.as_deref(), repatch).await?)
        }
    };
    let (gathered, listed) = gather(call, &wanted, &states).await?;
    finish(call, &wanted, &states, gathered, &listed, resolve, repatch).await
}

/// A look-up in the choices as a result of the call. Where it failed, somebody may be about to
/// add the choice, so the choices are read again next time.
async fn settled<T>(snow: &ServiceNow, found: Result<T, String>) -> Result<T, CallError> {
    match found {
        Ok(found) => Ok(found),
        Err(message) => {
            snow.forget_choices().await;
            Err(CallError::Configuration { message })
        }
    }
}

/// Whether the account may read a table at all.
async fn shows(call: Call<'_>, table: &str) -> Result<(), CallError> {
    let listing = Listing {
        table,
        query: Query::default().order_by("sys_id"),
        fields: vec!["sys_id"],
        texts: Vec::new(),
        page_rows: 1,
    };
    listing.read(call, |_| Ok(Next::Enough)).await.map(drop)
}

fn resolved(fields: &Mapping, state: &str, code: Option<&str>, resolve: &Resolve) -> Value {
    let mut sent = Map::new();
    sent.insert(fields.state.clone(), json!(state));
    if let Some(code) = code {
        sent.insert(CLOSE_CODE.to_owned(), json!(code));
    }
    sent.insert("close_notes".to_owned(), json!(resolve.close_notes));
    Value::Object(sent)
}

async fn flagged(
    call: Call<'_>,
    fields: &Mapping,
    state: Option<&str>,
    repatch: &Repatch,
) -> Result<Value, CallError> {
    let mut sent = Map::new();
    if let Some(state) = state {
        sent.insert(fields.state.clone(), json!(state));
    }
    if let Some(group) = &repatch.assignment_group {
        let id = match sys_id(group) {
            Some(id) => id,
            None => group_named(call, group).await?,
        };
        sent.insert("assignment_group".to_owned(), json!(id));
    }
    for (name, value) in &repatch.fields {
        sent.insert(name.clone(), json!(value));
    }
    Ok(Value::Object(sent))
}

/// The `sys_id` of a group.
async fn group_named(call: Call<'_>, name: &str) -> Result<String, CallError> {
    let query = Query::default().is("name", name).map_err(|message| call.parameters(message))?;
    let listing = Listing {
        table: "sys_user_group",
        query: query.order_by("sys_id"),
        fields: vec!["sys_id", "name", "active"],
        texts: Vec::new(),
        page_rows: 10,
    };
    let mut ids = BTreeSet::new();
    listing
        .read(call, |page| {
            let named = page.iter().map(|listable| &listable.row).filter(|row| {
                row.filled("name") == Some(name) && row.filled("active") != Some("false")
            });
            ids.extend(named.filter_map(|row| row.filled("sys_id").and_then(sys_id)));
            Ok(Next::Enough)
        })
        .await?;
    let mut ids = ids.into_iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(id),
        (found, _) => Err(CallError::Configuration {
            message: format!(
                "`repatch.assignment_group` in `inputs.servicenow` of arx.yaml: {} active group \
                 is named `{}`",
                if found.is_some() { "more than one" } else { "no" },
                text::one_line(name, 80)
            ),
        }),
    }
}

async fn gather(
    call: Call<'_>,
    wanted: &Wanted,
    states: &Values,
) -> Result<(Gathered, Listed), CallError> {
    let fields = &wanted.fields;
    let searched: Vec<&str> =
        states.active.iter().chain(&states.inactive).map(String::as_str).collect();
    let query = Query::default()
        .any_of(&fields.state, searched)
        .map_err(|message| call.parameters(message))?
        .order_by("sys_created_on")
        .order_by("sys_id");
    let mut asked = vec!["sys_id", "number", MOD_COUNT, UPDATED_ON, TEXTS[0]];
    asked.extend([fields.state.as_str(), fields.host.as_str()]);
    asked.extend(fields.vulnerabilities.iter().chain(&fields.patched_at).map(String::as_str));
    let listing = Listing {
        table: &wanted.table,
        query,
        fields: asked,
        texts: vec![TEXTS[1]],
        page_rows: PAGE_ROWS.min(wanted.tickets_max),
    };
    let mut gathered = Gathered::default();
    let listed = listing.read(call, |page| {
        let blind = page.iter().all(|l| l.row.get(&fields.state).is_none());
        if blind && page.len() > 1 {
            return Err(state_unshown(&wanted.table, &fields.state));
        }
        for listable in page {
            if gathered.pending.len() < wanted.tickets_max {
                gathered.take(call, wanted, states, &listable.row, listable.without_texts);
            }
        }
        let room = wanted.tickets_max - gathered.pending.len();
        let enough = room == 0 || gathered.dropped > DROPPED_MAX;
        Ok(if enough { Next::Enough } else { Next::AtMost(room) })
    });
    let listed = listed.await?;
    Ok((gathered, listed))
}

fn state_unshown(table: &str, field: &str) -> CallError {
    CallError::Configuration {
        message: format!(
            "table `{table}` shows no field `{field}`: there is none, or the account may not read \
             it; check `fields.state`"
        ),
    }
}

impl Gathered {
    fn take(
        &mut self,
        call: Call<'_>,
        wanted: &Wanted,
        states: &Values,
        row: &Row,
        without_texts: bool,
    ) {
        let id = row.filled("sys_id").and_then(sys_id);
        if let Some(id) = &id
            && !self.ids.insert(id.clone())
        {
            return;
        }
        let state = row.filled(&wanted.fields.state);
        let asked = |values: &[String]| state.is_some_and(|s| values.iter().any(|v| v == s));
        let unusable = if let Some(state) = state {
            let inactive = asked(&states.inactive);
            if !inactive && !asked(&states.active) {
                self.dropped += 1;
                return;
            }
            inactive.then(|| {
                format!(
                    "its state `{}` no longer exists: the choice `{}` with this value is inactive",
                    text::one_line(state, 40),
                    text::one_line(&wanted.pending_state, 80)
                )
            })
        } else {
            self.unshown += 1;
            Some(unreadable(&wanted.fields.state))
        };
        let needed = [("sys_id", id.as_deref()), ("number", row.filled("number"))];
        let needed = needed.into_iter().chain([(MOD_COUNT, row.filled(MOD_COUNT))]);
        let missing = needed.filter(|(_, value)| value.is_none()).map(|(name, _)| unreadable(name));
        let unusable = unusable.into_iter().chain(missing).next();
        self.pending.push(pending(call, wanted, row, id, unusable, without_texts));
    }
}

fn unreadable(field: &str) -> String {
    format!("its `{field}` is not shown: the account may not read it")
}

fn pending(
    call: Call<'_>,
    wanted: &Wanted,
    row: &Row,
    id: Option<String>,
    unusable: Option<String>,
    without_texts: bool,
) -> Pending {
    let fields = &wanted.fields;
    let plain = |name: &str| row.filled(name).unwrap_or_default();
    let id = id.unwrap_or_default();
    let mut ticket = Ticket {
        number: text::one_line(plain("number"), 80),
        title: text::one_line(plain(TEXTS[0]), TITLE_UNITS_MAX),
        url: page_of(call, &wanted.table, &id),
        state: plain(&fields.state).to_owned(),
        mod_count: plain(MOD_COUNT).to_owned(),
        id,
        unusable,
        ..Ticket::default()
    };
    if ticket.number.is_empty() {
        ticket.number.clone_from(&ticket.id);
    }
    let host = row.filled(&fields.host).map(Reference::read);
    if host.is_none() {
        ticket.missing.push(match row.get(&fields.host) {
            Some(_) => format!(
                "host: `{}` is empty; fill it in, or map `fields.host` to the field that names \
                 the host",
                fields.host
            ),
            None => format!(
                "host: `{}` is not shown; there is no such field or the account may not read it",
                fields.host
            ),
        });
    }
    name_vulnerabilities(&mut ticket, fields, row, without_texts);
    let patched = patch::mapped(row, fields, call.now);
    Pending { ticket, host, patched, updated_on: patch::last_change(row, call.now) }
}

/// Finds what was patched: in the mapped fields, else in what people wrote.
fn name_vulnerabilities(ticket: &mut Ticket, fields: &Mapping, row: &Row, without_texts: bool) {
    let mut named = Named::default();
    let filled: Vec<(&str, &str)> = fields
        .vulnerabilities
        .iter()
        .filter_map(|field| Some((field.as_str(), row.filled(field)?)))
        .collect();
    for (field, value) in &filled {
        named.field(field, value);
    }
    let in_texts = filled.is_empty();
    if in_texts {
        for field in TEXTS {
            named.scan(row.get(field).unwrap_or_default());
        }
        if without_texts {
            ticket.missing.push(
                "vulnerability: the description is too large to be read; map \
                 `fields.vulnerabilities` to a field that holds what was patched"
                    .to_owned(),
            );
        }
    }
    if named.more {
        ticket.missing.push(format!(
            "vulnerability: more than {VULNERABILITIES_MAX} are named, which is more than one \
             ticket is verified for; split it"
        ));
    }
    if !named.malformed.is_empty() {
        ticket.missing.push(format!(
            "vulnerability: `{}` is neither a CVE nor a QID; correct it",
            named.malformed.join("`, `")
        ));
    }
    if named.is_empty() && named.malformed.is_empty() {
        ticket.missing.push(if in_texts {
            "vulnerability: neither a mapped field nor the short description or description \
             names a CVE or QID; map `fields.vulnerabilities` to the field that does"
                .to_owned()
        } else {
            let names: Vec<&str> = filled.iter().map(|(field, _)| *field).collect();
            format!("vulnerability: `{}` names no CVE or QID; correct it", names.join("`, `"))
        });
    }
    ticket.vulnerabilities = named.into_names();
}

async fn finish(
    call: Call<'_>,
    wanted: &Wanted,
    states: &Values,
    gathered: Gathered,
    listed: &Listed,
    resolve: Option<Value>,
    repatch: Option<Value>,
) -> Result<Value, CallError> {
    let mut warnings = Vec::new();
    let mut why: Vec<String> = listed.passed_over.clone();
    let items: BTreeSet<String> = gathered
        .pending
        .iter()
        .filter_map(|pending| match &pending.host {
            Some(Reference::Item(id)) => Some(id.clone()),
            Some(Reference::Words(_)) | None => None,
        })
        .collect();
    let asking = gathered.pending.iter().filter(|pending| pending.patched.is_none());
    let asking = asking.filter(|pending| pending.ticket.unusable.is_none());
    let asking: Vec<String> = asking.map(|pending| pending.ticket.id.clone()).collect();
    let state = &wanted.fields.state;
    let (items, history) = futures_util::future::try_join(
        Items::read(call, items.into_iter().collect(), wanted.fields.agent_id.as_deref()),
        patch::history(call, &wanted.table, state, &states.active, asking),
    )
    .await?;
    if let Some(refused) = &items.refused {
        let role = "the account needs to read `cmdb_ci` (role `cmdb_read`)";
        why.push(format!("configuration items cannot be read: {refused}; {role}"));
    }
    let mut hosts: BTreeMap<String, HostNames> = BTreeMap::new();
    let mut vulnerabilities = BTreeSet::new();
    let mut tickets = Vec::with_capacity(gathered.pending.len());
    for Pending { mut ticket, host, patched, updated_on } in gathered.pending {
        "unknown".clone_into(&mut ticket.environment);
        match host.map(|host| items.host(&host, &wanted.fields.host)) {
            None => {}
            Some(Ok(host)) => {
                ticket.host = Some(host.names.id.clone());
                host.environment.clone_into(&mut ticket.environment);
                hosts.insert(host.names.id.clone(), host.names);
            }
            Some(Err(missing)) => ticket.missing.push(missing),
        }
        match patched.unwrap_or_else(|| history.of(&ticket.id, updated_on)) {
            Ok(Patched { at, source }) => {
                ticket.patched_at = Some(at);
                ticket.patched_at_source = source;
            }
            Err(missing) => ticket.missing.push(missing),
        }
        vulnerabilities.extend(ticket.vulnerabilities.iter().cloned());
        tickets.push(ticket);
    }
    let waiting = listed.beyond();
    let read = tickets.len();
    if gathered.dropped > 0 {
        warnings.push(format!(
            "{} rows of table `{}` were in another state than the one asked for and were dropped: \
             the instance ignored an invalid term of the query; check `fields.state`",
            gathered.dropped, wanted.table
        ));
    }
    if read >= wanted.tickets_max && waiting > 0 {
        warnings.push(format!(
            "{waiting} more tickets wait; `max_tickets` is {}, and the oldest are read first",
            wanted.tickets_max
        ));
    } else if waiting > 0 {
        why.push(format!("{waiting} rows were not read, because too many were in another state"));
    }
    let seen = (gathered.ids.len() + listed.passed_over.len()).max(read + gathered.dropped) as u64;
    let hidden = listed.read.min(listed.total.unwrap_or(0)).saturating_sub(seen);
    if hidden > 0 {
        warnings.push(format!(
            "{hidden} tickets of table `{}` wait that the account may not read",
            wanted.table
        ));
    }
    Ok(json!({
        "evidence": "tickets",
        "table": wanted.table,
        "state_field": wanted.fields.state,
        "tickets": tickets,
        "hosts": hosts.into_values().collect::<Vec<_>>(),
        "vulnerabilities": vulnerabilities,
        "resolve": resolve,
        "repatch": repatch,
        "waiting": waiting,
        "complete": why.is_empty(),
        "why": (!why.is_empty()).then(|| why.join("; ")),
        "warnings": warnings,
    }))
}

/// Where people read a ticket.
pub(super) fn page_of(call: Call<'_>, table: &str, id: &str) -> String {
    let base = call.http.base().as_str().trim_end_matches('/');
    format!("{base}/{table}.do?sys_id={id}")
}
