//! Jira's catalogue, and the parameters of what is implemented.

use arx_types::{Access, OperationSpec, RiskClass};
use serde_json::{Map, Value};

use super::document::{self, Section};
use crate::params::{Params, kind};
use crate::text;

/// Opens a ticket.
pub(super) const CREATE: &str = "issues:create";
/// Reads tickets.
pub(super) const READ: &str = "issues:read";

/// Longest summary.
const SUMMARY_UNITS_MAX: usize = 255;
/// Longest label.
const LABEL_UNITS_MAX: usize = 255;
/// Most labels that one ticket is given.
const LABELS_MAX: usize = 100;
/// Longest project key.
const PROJECT_BYTES_MAX: usize = 80;
/// Longest title of a link.
const LINK_TITLE_UNITS_MAX: usize = 255;
/// What a ticket's priority is, unless a workflow says.
const PRIORITY_DEFAULT: &str = "Blocker";
/// What stands for [`PRIORITY_DEFAULT`] on sites that do not have it, most new ones.
const PRIORITY_INSTEAD: &str = "Highest";

/// Every operation.
pub(super) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec {
        name: CREATE,
        class: RiskClass::Medium,
        access: Access::Write,
        targeted: false,
        implemented: true,
        summary: "Open a ticket",
    },
    OperationSpec {
        name: READ,
        class: RiskClass::Low,
        access: Access::Read,
        targeted: false,
        implemented: true,
        summary: "Read a ticket by key, or the ticket of an effect",
    },
    OperationSpec::named(
        "issues:update",
        RiskClass::Medium,
        Access::Write,
        "Change a ticket's fields",
    ),
    OperationSpec::named("issues:comment", RiskClass::Medium, Access::Write, "Comment on a ticket"),
    OperationSpec::named(
        "issues:transition",
        RiskClass::Medium,
        Access::Write,
        "Move a ticket along",
    ),
    OperationSpec::named(
        "issues:delete",
        RiskClass::High,
        Access::Write,
        "Delete a ticket for good",
    ),
    OperationSpec::named("projects:read", RiskClass::Low, Access::Read, "Read projects"),
    OperationSpec::named("projects:update", RiskClass::High, Access::Write, "Change a project"),
    OperationSpec::named(
        "projects:delete",
        RiskClass::Critical,
        Access::Write,
        "Delete a project with its tickets",
    ),
];

/// What [`CREATE`] asks for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub project: String,
    pub summary: String,
    pub description: Vec<Section>,
    pub issue_type: Option<String>,
    /// Names of priorities, the most wanted first.
    pub priorities: Vec<String>,
    pub labels: Vec<String>,
    pub components: Vec<String>,
    pub assignee: Option<String>,
    pub fields: Map<String, Value>,
    pub link: Option<Link>,
    /// What was left out already.
    pub warnings: Vec<String>,
}

/// A page elsewhere that the ticket points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub id: Option<String>,
    pub url: String,
    pub title: String,
}

impl Wanted {
    pub fn read(params: &Value, default_project: Option<&str>) -> Result<Self, String> {
        let mut params = Params::of(params)?;
        let mut warnings = Vec::new();
        let summary = params.string("summary")?;
        let summary = summary.map(|summary| text::one_line(&summary, SUMMARY_UNITS_MAX));
        let description = document::sections(params.value("description"))?;
        let priority = params.string("priority")?;
        let fallback = params.strings("priority_fallback")?;
        let issue_type = params.string("issue_type")?;
        let project = params.string("project")?;
        let labels = params.strings("labels")?;
        let components = params.strings("components")?;
        let assignee = params.string("assignee")?;
        let fields = match params.value("fields") {
            None => Map::new(),
            Some(Value::Object(fields)) => fields.clone(),
            Some(other) => return Err(format!("`fields` is {}; write a mapping", kind(other))),
        };
        let link = params.value("link").map(|link| read_link(link, &mut warnings)).transpose()?;
        params.finish()?;
        Ok(Self {
            project: project_key(project.as_deref().or(default_project))?,
            summary: summary.filter(|text| !text.is_empty()).ok_or("`summary` is missing")?,
            description,
            issue_type: issue_type.map(|name| name.trim().to_owned()),
            priorities: priorities(priority, fallback),
            labels: sanitised(labels),
            components: components.into_iter().filter(|name| !name.trim().is_empty()).collect(),
            assignee: assignee.map(|who| who.trim().to_owned()),
            fields: fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            link: link.flatten(),
            warnings,
        })
    }
}

/// What [`READ`] looks for.
#[derive(Debug)]
pub(super) enum Sought {
    /// One ticket by key or id.
    Key(String),
    /// The tickets of an effect.
    Effect { effect_key: String, project: String },
}

impl Sought {
    pub fn read(params: &Value, default_project: Option<&str>) -> Result<Self, String> {
        let mut params = Params::of(params)?;
        let key = params.string("key")?;
        let id = params.string("id")?;
        let effect_key = params.string("effect_key")?;
        let project = params.string("project")?;
        params.finish()?;
        match (key.or(id), effect_key) {
            (Some(key), None) => Ok(Self::Key(issue_key(&key)?)),
            (None, Some(effect_key)) => {
                let project = project_key(project.as_deref().or(default_project))?;
                Ok(Self::Effect { effect_key, project })
            }
            _ => Err("give either `key` or `effect_key`".to_owned()),
        }
    }
}

/// Names of priorities in the order of preference, each once.
fn priorities(wanted: Option<String>, fallback: Vec<String>) -> Vec<String> {
    let wanted = wanted.unwrap_or_else(|| PRIORITY_DEFAULT.to_owned());
    let instead = wanted.trim().eq_ignore_ascii_case(PRIORITY_DEFAULT);
    let instead = instead.then(|| PRIORITY_INSTEAD.to_owned());
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(wanted).chain(instead).chain(fallback) {
        let name = name.trim();
        if !name.is_empty() && !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Labels as the vendor takes them: no white space, not too long, each once.
fn sanitised(labels: Vec<String>) -> Vec<String> {
    let mut fit: Vec<String> = Vec::new();
    for label in labels {
        let label = text::one_line(&label, usize::MAX).replace(' ', "-");
        let label = text::cut(&label, LABEL_UNITS_MAX);
        if !label.is_empty() && !fit.contains(&label) {
            fit.push(label);
        }
    }
    fit.truncate(LABELS_MAX);
    fit
}

fn read_link(value: &Value, warnings: &mut Vec<String>) -> Result<Option<Link>, String> {
    let mut params = Params::within("link", value)?;
    let id = params.string("id")?;
    let url = params.string("url")?;
    let title = params.string("title")?;
    params.finish()?;
    let Some(url) = url.as_deref().and_then(document::web_address) else {
        warnings.push("not linked: the link has no address of the web".to_owned());
        return Ok(None);
    };
    let title = title.or_else(|| id.clone()).unwrap_or_else(|| url.clone());
    Ok(Some(Link { id, title: text::one_line(&title, LINK_TITLE_UNITS_MAX), url }))
}

/// A project key that is safe in a path and in a query.
pub(super) fn project_key(key: Option<&str>) -> Result<String, String> {
    let key = key.map(str::trim).filter(|key| !key.is_empty());
    let key = key.ok_or("no `project` is given and JIRA_PROJECT_KEY is not set")?;
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if key.len() > PROJECT_BYTES_MAX || !key.bytes().all(fit) {
        let shown = text::one_line(key, 80);
        return Err(format!("`{shown}` is not a project key; write one such as `SEC`"));
    }
    Ok(key.to_owned())
}

/// An issue key or id that is safe in a path.
fn issue_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fit = match key.rsplit_once('-') {
        None => number(key),
        Some((project, digits)) => project_key(Some(project)).is_ok() && number(digits),
    };
    if fit && key.len() <= PROJECT_BYTES_MAX + 20 {
        return Ok(key.to_owned());
    }
    Err(format!("`{}` is not an issue key; write one such as `SEC-12`", text::one_line(key, 80)))
}
