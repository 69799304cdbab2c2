//! What a project's create screen takes: its issue types and, for one of them, its fields.
//!
//! Older Data Centers and scoped tokens cannot read this; then names are sent instead of ids, and
//! the vendor's own answer decides.

use std::time::Duration;

use arx_gateway::{Call, CallError, Request, Response};
use serde_json::Value;

use super::operations;
use super::site::Site;
use super::wire::{self, Complaint};
use crate::text;

/// Longest look at what a start may do without.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Largest page, the vendor's own limit.
const PAGE: usize = 200;
/// Most pages that are read.
const PAGES_MAX: usize = 20;
/// Most names that a message lists.
const NAMES_SHOWN_MAX: usize = 15;

/// An issue type of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IssueType {
    pub id: String,
    pub name: String,
    /// Whether it stands by itself: no sub-task, and no epic above others.
    pub standard: bool,
}

/// A field on the create screen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub id: String,
    pub name: String,
    pub required: bool,
    pub has_default: bool,
    /// `schema.type`, such as `option`, `array`, `user`, `string`.
    pub kind: String,
    /// `schema.items`, for arrays.
    pub items: String,
    /// `schema.custom`, the make of a custom field.
    pub make: String,
    /// The values it takes; `None` where it takes any.
    pub allowed: Option<Vec<Allowed>>,
}

/// A value that a field takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub id: Option<String>,
    pub name: String,
}

/// Something that was asked for, or why it cannot be known here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Discovered<T> {
    Known(T),
    Unavailable(String),
}

/// The issue types of a project.
pub(super) async fn issue_types(
    call: Call<'_>,
    site: &Site,
    project: &str,
) -> Result<Discovered<Vec<IssueType>>, CallError> {
    let path = format!("{}/issue/createmeta/{project}/issuetypes", site.api);
    let read = pages(call, &path, &["issueTypes", "values", "issuetypes"]).await?;
    Ok(match read {
        Discovered::Unavailable(why) => Discovered::Unavailable(why),
        Discovered::Known(items) => {
            let types: Vec<IssueType> = items.iter().filter_map(IssueType::read).collect();
            if types.is_empty() {
                Discovered::Unavailable(format!(
                    "project `{project}` shows no issue types to this user"
                ))
            } else {
                Discovered::Known(types)
            }
        }
    })
}

/// Whether the site has the project that issues go to by default. Only a reply that says otherwise
/// counts: sites without this endpoint answer 404 as well.
pub(super) async fn known_project(
    call: Call<'_>,
    site: &Site,
    project: &str,
) -> Result<(), CallError> {
    // What is no key is told to whoever uses it: inputs may name another project.
    let Ok(project) = operations::project_key(Some(project)) else { return Ok(()) };
    let path = format!("{}/issue/createmeta/{project}/issuetypes", site.api);
    let request = Request::get(&path).query("maxResults", "1");
    let sent = call.http.send(call.permit, request);
    let Ok(Ok(reply)) = tokio::time::timeout(LOOK_MAX, sent).await else { return Ok(()) };
    let message = Complaint::of(&reply).message();
    let words = message.to_lowercase();
    // A server that knows no such path may repeat it, and with it any word that a key has.
    let is_told = words.contains("project") && !words.contains("createmeta");
    if matches!(reply.status, 400 | 404) && is_told {
        return Err(CallError::Refused {
            vendor: super::SPEC.title,
            status: Some(reply.status),
            message: format!("{} does not name a project: {message}", super::PROJECT_KEY),
        });
    }
    Ok(())
}

/// The fields of the create screen of one issue type.
pub(super) async fn fields(
    call: Call<'_>,
    site: &Site,
    project: &str,
    issue_type: &str,
) -> Result<Discovered<Vec<Field>>, CallError> {
    let path = format!("{}/issue/createmeta/{project}/issuetypes/{issue_type}", site.api);
    let read = pages(call, &path, &["fields", "values", "results"]).await?;
    Ok(match read {
        Discovered::Unavailable(why) => Discovered::Unavailable(why),
        Discovered::Known(items) => {
            let fields: Vec<Field> = items.iter().filter_map(Field::read).collect();
            // Every create screen has a summary. One that shows nothing was not really read.
            if fields.is_empty() {
                Discovered::Unavailable("its fields are not shown to this user".to_owned())
            } else {
                Discovered::Known(fields)
            }
        }
    })
}

async fn pages(
    call: Call<'_>,
    path: &str,
    names: &[&str],
) -> Result<Discovered<Vec<Value>>, CallError> {
    let mut items: Vec<Value> = Vec::new();
    for _ in 0..PAGES_MAX {
        let request = Request::get(path)
            .query("startAt", items.len().to_string())
            .query("maxResults", PAGE.to_string());
        let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
        if reply.status == 401 {
            return Err(call.refused(&reply, &Complaint::of(&reply).message()));
        }
        if !reply.is_success() {
            return Ok(Discovered::Unavailable(unavailable(&reply)));
        }
        let Some(page) = reply.json::<Value>().ok().and_then(|body| Page::read(&body, names))
        else {
            let why = format!("the reply is `{}`", reply.excerpt());
            return Ok(Discovered::Unavailable(why));
        };
        let n_items = page.items.len();
        items.extend(page.items);
        let last = page.last.unwrap_or(n_items < PAGE)
            || page.total.is_some_and(|total| items.len() >= total);
        if n_items == 0 || last {
            break;
        }
    }
    Ok(Discovered::Known(items))
}

fn unavailable(reply: &Response) -> String {
    format!("status {}: {}", reply.status, Complaint::of(reply).message())
}

/// One page of create metadata, in whichever edition's words.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub items: Vec<Value>,
    pub total: Option<usize>,
    pub last: Option<bool>,
}

impl Page {
    pub fn read(body: &Value, names: &[&str]) -> Option<Self> {
        let listed = wire::list(body, names).cloned();
        let items = listed.or_else(|| {
            // The oldest shape: fields as members of an object.
            let fields = names.iter().find_map(|name| body.get(name)?.as_object())?;
            let named = fields.iter().map(|(id, field)| {
                let mut field = field.clone();
                if let Some(members) = field.as_object_mut() {
                    members.entry("fieldId").or_insert_with(|| Value::String(id.clone()));
                }
                field
            });
            Some(named.collect())
        })?;
        let total = body.get("total").and_then(Value::as_u64);
        Some(Self {
            items,
            total: total.and_then(|total| usize::try_from(total).ok()),
            last: body.get("isLast").and_then(Value::as_bool),
        })
    }
}

impl IssueType {
    pub fn read(value: &Value) -> Option<Self> {
        let subtask = value.get("subtask").and_then(Value::as_bool).unwrap_or(false);
        let level = value.get("hierarchyLevel").and_then(Value::as_i64).unwrap_or(0);
        let name = wire::word(value, "name")?;
        let standard = !subtask && level == 0 && !name.eq_ignore_ascii_case("epic");
        Some(Self { id: wire::word(value, "id")?, name, standard })
    }
}

impl Field {
    pub fn read(value: &Value) -> Option<Self> {
        let id = wire::word(value, "fieldId").or_else(|| wire::word(value, "key"));
        // Messages repeat ids as they are, and no id of the vendor holds a control character.
        let plain = |id: &String| !id.chars().any(char::is_control);
        let id = id.or_else(|| wire::word(value, "id")).filter(plain)?;
        let truth = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
        let schema = |name: &str| {
            let schema = value.get("schema").and_then(|schema| wire::word(schema, name));
            schema.unwrap_or_default()
        };
        let allowed = value.get("allowedValues").and_then(Value::as_array);
        let allowed: Option<Vec<Allowed>> =
            allowed.map(|values| values.iter().filter_map(Allowed::read).collect());
        Some(Self {
            name: wire::word(value, "name").unwrap_or_else(|| id.clone()),
            required: truth("required"),
            has_default: truth("hasDefaultValue")
                || value.get("defaultValue").is_some_and(|v| !v.is_null()),
            kind: schema("type"),
            items: schema("items"),
            make: schema("custom"),
            allowed: allowed.filter(|values| !values.is_empty()),
            id,
        })
    }

    /// The allowed value of a name: exactly, else without regard to case, else by id.
    pub fn allowed_named(&self, name: &str) -> Option<&Allowed> {
        let allowed = self.allowed.as_deref()?;
        let exact = allowed.iter().find(|value| value.name == name);
        let folded = || {
            let name = name.trim().to_lowercase();
            allowed.iter().find(|value| value.name.trim().to_lowercase() == name)
        };
        let by_id = || allowed.iter().find(|value| value.id.as_deref() == Some(name));
        exact.or_else(folded).or_else(by_id)
    }

    /// The names of the allowed values, for a message.
    pub fn allowed_names(&self) -> String {
        names(self.allowed.iter().flatten().map(|value| value.name.as_str()))
    }
}

impl Allowed {
    fn read(value: &Value) -> Option<Self> {
        let name = wire::word(value, "name").or_else(|| wire::word(value, "value"));
        let id = wire::word(value, "id");
        Some(Self { name: name.or_else(|| id.clone())?, id })
    }
}

/// The issue type that is wanted, else `Bug`, else the first that stands by itself.
pub(super) fn choose_type<'a>(
    types: &'a [IssueType],
    wanted: Option<&str>,
) -> Result<&'a IssueType, String> {
    let named = |name: &str| {
        let exact = types.iter().find(|one| one.name == name);
        let folded = || {
            let name = name.trim().to_lowercase();
            types.iter().find(|one| one.name.trim().to_lowercase() == name)
        };
        exact.or_else(folded).or_else(|| types.iter().find(|one| one.id == name))
    };
    if let Some(name) = wanted {
        return named(name).ok_or_else(|| {
            let there = names(types.iter().map(|one| one.name.as_str()));
            let shown = text::one_line(name, 80);
            format!("`issue_type`: the project has no `{shown}`; it has {there}")
        });
    }
    let default = named(TYPE_DEFAULT).filter(|one| one.standard);
    let default = default.or_else(|| types.iter().find(|one| one.standard));
    default.ok_or_else(|| {
        let there = names(types.iter().map(|one| one.name.as_str()));
        format!("no issue type of the project stands by itself; set `issue_type` to one of {there}")
    })
}

/// The issue type of a vulnerability ticket, unless a workflow says.
pub(super) const TYPE_DEFAULT: &str = "Bug";

/// A list of names for a message, not too long.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    let shown: Vec<String> = all
        .iter()
        .take(NAMES_SHOWN_MAX)
        .map(|name| format!("`{}`", text::one_line(name, 60)))
        .collect();
    let left_out = all.len().saturating_sub(NAMES_SHOWN_MAX);
    match left_out {
        0 => shown.join(", "),
        _ => format!("{} and {left_out} more", shown.join(", ")),
    }
}
