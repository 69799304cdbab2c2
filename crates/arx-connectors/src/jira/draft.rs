//! The create request: what a workflow wants, said in the words of one project's create screen.
//!
//! What the screen does not have is left out with a warning, because a ticket without a component
//! is better than no ticket; what only a person can decide (a required field without a value, a
//! wrong value in `fields`) is refused before anything is sent.
//!
//! Some fields have several ways to be said, from the best to the least. When the vendor refuses
//! the request over such a field nothing has happened, and [`Draft::yield_to`] moves it on to its
//! next way.

use serde_json::{Map, Value, json};

use super::document::{self, DESCRIPTION_UNITS_MAX};
use super::operations::Wanted;
use super::schema::{self, Discovered, Field, IssueType, TYPE_DEFAULT};
use super::site::Deployment;
use super::trace::Marker;
use super::wire::Complaint;
use crate::params::kind;
use crate::text;

/// Length of a description that is tried when the vendor finds the longest one too long.
const DESCRIPTION_UNITS_SHORT: usize = 8_000;
/// Issue types that are tried by name when the project does not show what it has.
const TYPES_TRIED: [&str; 2] = [TYPE_DEFAULT, "Task"];
/// Fields that parameters of their own set.
const FIELDS_RESERVED: [&str; 8] = [
    "project",
    "issuetype",
    "summary",
    "description",
    "priority",
    "labels",
    "components",
    "assignee",
];
/// Fields that the vendor fills in when they are required and not given.
const FIELDS_FILLED: [&str; 3] = ["project", "issuetype", "reporter"];
/// Fields whose refusal says something of the project and not of one ticket.
const FIELDS_REMEMBERED: [&str; 4] = ["issuetype", "priority", "components", "assignee"];

/// What is known of the project when a ticket is drafted.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    pub issue_type: Discovered<IssueType>,
    pub fields: Discovered<Vec<Field>>,
}

/// A create request that can give way.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    slots: Vec<Slot>,
    marked: bool,
    property: Value,
    pub warnings: Vec<String>,
}

/// One field with the ways to say it, the best first.
#[derive(Clone, Debug)]
struct Slot {
    field: String,
    ways: Vec<Way>,
    next: usize,
    /// Whether the ticket can do without.
    optional: bool,
}

#[derive(Clone, Debug)]
struct Way {
    value: Value,
    /// How people call it, for warnings.
    called: String,
}

impl Way {
    fn new(value: Value, called: &str) -> Self {
        Self { value, called: called.to_owned() }
    }
}

impl Draft {
    pub fn new(
        wanted: &Wanted,
        screen: &Screen,
        deployment: Deployment,
        marker: &Marker,
    ) -> Result<Self, String> {
        let mut draft = Self {
            slots: Vec::new(),
            marked: true,
            property: marker.property(),
            warnings: wanted.warnings.clone(),
        };
        draft.fix("project", json!({"key": wanted.project}));
        draft.issue_type(wanted, screen);
        draft.fix("summary", json!(wanted.summary));
        let screen = match &screen.fields {
            Discovered::Known(fields) => Some(fields.as_slice()),
            Discovered::Unavailable(_) => None,
        };
        draft.description(wanted, screen, deployment);
        draft.priority(wanted, screen);
        draft.labels(wanted, screen, marker);
        draft.components(wanted, screen);
        draft.assignee(wanted, screen, deployment);
        draft.custom(&wanted.fields, screen, deployment)?;
        if let Some(fields) = screen {
            draft.complete(fields, wanted)?;
        }
        Ok(draft)
    }

    /// The request's body.
    pub fn body(&self) -> Value {
        let said = self.slots.iter().filter_map(|slot| {
            let way = slot.ways.get(slot.next)?;
            Some((slot.field.clone(), way.value.clone()))
        });
        let mut body = json!({ "fields": said.collect::<Map<_, _>>() });
        if let (true, Some(members)) = (self.marked, body.as_object_mut()) {
            members.insert("properties".to_owned(), json!([self.property]));
        }
        body
    }

    /// Moves every field that the vendor complains of on to its next way. False when it
    /// complains of something that cannot give way.
    pub fn yield_to(&mut self, complaint: &Complaint) -> bool {
        let mut moved = false;
        for slot in &mut self.slots {
            let Some(words) = complaint.about(&slot.field) else { continue };
            let Some(refused) = slot.ways.get(slot.next) else { continue };
            let refused = refused.called.clone();
            let next = slot.ways.get(slot.next + 1).map(|way| way.called.clone());
            if next.is_none() && !slot.optional {
                return false;
            }
            slot.next += 1;
            moved = true;
            let field = &slot.field;
            self.warnings.push(match next {
                Some(next) if next == refused => continue,
                Some(next) => format!("`{field}` is {next} and not {refused}: {words}"),
                None => format!("`{field}` is left out: {words}"),
            });
        }
        if !moved && self.marked && complaint.about("properties").is_some() {
            self.marked = false;
            moved = true;
        }
        moved
    }

    /// How far each field has given way, to begin there next time.
    pub fn concessions(&self) -> Vec<(String, usize, Option<String>)> {
        let lasting = |slot: &&Slot| FIELDS_REMEMBERED.contains(&slot.field.as_str());
        let given_way = self.slots.iter().filter(lasting).filter(|slot| slot.next > 0);
        given_way
            .map(|slot| {
                let about = format!("`{}` ", slot.field);
                let words = self.warnings.iter().rfind(|words| words.starts_with(&about)).cloned();
                (slot.signature(), slot.next, words)
            })
            .collect()
    }

    /// Begins where an earlier draft with the same wishes ended.
    pub fn concede(&mut self, known: impl Fn(&str) -> Option<(usize, Option<String>)>) {
        for slot in &mut self.slots {
            if !FIELDS_REMEMBERED.contains(&slot.field.as_str()) {
                continue;
            }
            if let Some((next, words)) = known(&slot.signature()) {
                slot.next = next.min(slot.ways.len());
                self.warnings.extend(words);
            }
        }
    }

    fn fix(&mut self, field: &str, value: Value) {
        self.slots.push(Slot {
            field: field.to_owned(),
            ways: vec![Way::new(value, field)],
            next: 0,
            optional: false,
        });
    }

    fn offer(&mut self, field: &str, ways: Vec<Way>) {
        if !ways.is_empty() {
            self.slots.push(Slot { field: field.to_owned(), ways, next: 0, optional: true });
        }
    }

    fn leave_out(&mut self, field: &str, why: &str) {
        self.warnings.push(format!("`{field}` is left out: {why}"));
    }

    fn issue_type(&mut self, wanted: &Wanted, screen: &Screen) {
        let ways = match (&screen.issue_type, &wanted.issue_type) {
            (Discovered::Known(known), _) => vec![Way::new(json!({"id": known.id}), &known.name)],
            (Discovered::Unavailable(_), Some(name)) => {
                vec![Way::new(json!({"name": name}), name)]
            }
            (Discovered::Unavailable(_), None) => {
                TYPES_TRIED.iter().map(|name| Way::new(json!({"name": name}), name)).collect()
            }
        };
        let slot = Slot { field: "issuetype".to_owned(), ways, next: 0, optional: false };
        self.slots.push(slot);
        let unknown = match (&screen.issue_type, &screen.fields) {
            (Discovered::Unavailable(why), _) | (_, Discovered::Unavailable(why)) => why,
            (Discovered::Known(_), Discovered::Known(_)) => return,
        };
        self.warnings.push(format!(
            "the project's create screen cannot be read, so names are sent unchecked ({})",
            text::one_line(unknown, 200)
        ));
    }

    fn description(&mut self, wanted: &Wanted, screen: Option<&[Field]>, deployment: Deployment) {
        let wiki = |units_max| document::wiki(&wanted.description, units_max).map(Value::String);
        let adf = |units_max| document::adf(&wanted.description, units_max);
        let ways = match deployment {
            Deployment::Cloud => [
                adf(DESCRIPTION_UNITS_MAX),
                adf(DESCRIPTION_UNITS_SHORT),
                wiki(DESCRIPTION_UNITS_SHORT),
            ],
            Deployment::DataCenter => {
                [wiki(DESCRIPTION_UNITS_MAX), wiki(DESCRIPTION_UNITS_SHORT), None]
            }
        };
        let mut ways: Vec<Way> =
            ways.into_iter().flatten().map(|value| Way::new(value, "the description")).collect();
        ways.dedup_by(|a, b| a.value == b.value);
        if !ways.is_empty() && !on_screen(screen, "description") {
            return self.leave_out("description", NOT_ON_SCREEN);
        }
        self.offer("description", ways);
    }

    fn priority(&mut self, wanted: &Wanted, screen: Option<&[Field]>) {
        if wanted.priorities.is_empty() {
            return;
        }
        let first = wanted.priorities.first().map(String::as_str).unwrap_or_default();
        let Some(fields) = screen else {
            let by_name =
                wanted.priorities.iter().map(|name| Way::new(json!({"name": name}), name));
            return self.offer("priority", by_name.collect());
        };
        let Some(field) = fields.iter().find(|field| field.id == "priority") else {
            return self.leave_out("priority", NOT_ON_SCREEN);
        };
        if field.allowed.is_none() {
            let by_name =
                wanted.priorities.iter().map(|name| Way::new(json!({"name": name}), name));
            return self.offer("priority", by_name.collect());
        }
        let known = wanted.priorities.iter().filter_map(|name| field.allowed_named(name));
        let ways: Vec<Way> =
            known.map(|allowed| Way::new(reference(allowed), &allowed.name)).collect();
        match ways.first() {
            None => {
                let there = field.allowed_names();
                let missing = schema::names(wanted.priorities.iter().map(String::as_str));
                self.leave_out(
                    "priority",
                    &format!("the project has none of {missing}; it has {there}"),
                );
            }
            // `Highest` in place of `Blocker` is what most sites have, and worth no words.
            Some(used)
                if !used.called.eq_ignore_ascii_case(first)
                    && wanted.priorities.get(1).is_none_or(|second| {
                        !used.called.eq_ignore_ascii_case(second)
                            || !first.eq_ignore_ascii_case("blocker")
                    }) =>
            {
                self.warnings.push(format!(
                    "`priority` is {}: the project has no `{}`",
                    used.called,
                    text::one_line(first, 80)
                ));
            }
            Some(_) => {}
        }
        self.offer("priority", ways);
    }

    fn labels(&mut self, wanted: &Wanted, screen: Option<&[Field]>, marker: &Marker) {
        if !on_screen(screen, "labels") {
            return self.leave_out("labels", NOT_ON_SCREEN);
        }
        let mut labels = wanted.labels.clone();
        labels.retain(|label| *label != marker.label);
        labels.push(marker.label.clone());
        let mut ways = vec![Way::new(json!(labels), "the labels")];
        if labels.len() > 1 {
            ways.push(Way::new(json!([marker.label]), "ARX's own label"));
        }
        self.offer("labels", ways);
    }

    fn components(&mut self, wanted: &Wanted, screen: Option<&[Field]>) {
        if wanted.components.is_empty() {
            return;
        }
        let field = screen.map(|fields| fields.iter().find(|field| field.id == "components"));
        let mut said = Vec::new();
        match field {
            Some(None) => return self.leave_out("components", NOT_ON_SCREEN),
            Some(Some(field)) if field.allowed.is_some() => {
                for name in &wanted.components {
                    match field.allowed_named(name) {
                        Some(allowed) => said.push(reference(allowed)),
                        None => self.leave_out(
                            "components",
                            &format!(
                                "the project has no `{}`; it has {}",
                                text::one_line(name, 80),
                                field.allowed_names()
                            ),
                        ),
                    }
                }
            }
            Some(Some(_)) | None => {
                said.extend(wanted.components.iter().map(|name| json!({"name": name.trim()})));
            }
        }
        if !said.is_empty() {
            let called = wanted.components.join(", ");
            self.offer("components", vec![Way::new(Value::Array(said), &called)]);
        }
    }

    fn assignee(&mut self, wanted: &Wanted, screen: Option<&[Field]>, deployment: Deployment) {
        let Some(who) = &wanted.assignee else { return };
        if !on_screen(screen, "assignee") {
            return self.leave_out("assignee", NOT_ON_SCREEN);
        }
        let ways = match deployment {
            Deployment::Cloud if who.contains('@') => {
                let why = "it is an address; Jira Cloud assigns by account id";
                return self.leave_out("assignee", why);
            }
            Deployment::Cloud => {
                vec![Way::new(json!({"id": who}), who), Way::new(json!({"accountId": who}), who)]
            }
            Deployment::DataCenter => vec![Way::new(json!({"name": who}), who)],
        };
        self.offer("assignee", ways);
    }

    /// The fields that the workflow sets by id or name.
    fn custom(
        &mut self,
        fields: &Map<String, Value>,
        screen: Option<&[Field]>,
        deployment: Deployment,
    ) -> Result<(), String> {
        for (name, value) in fields {
            let shown = text::one_line(name, 80);
            if FIELDS_RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name.trim())) {
                return Err(format!("`fields.{shown}`: this field has a parameter of its own"));
            }
            let Some(known) = screen else {
                let is_id = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if !is_id {
                    return Err(format!(
                        "`fields.{shown}`: the project does not show its fields, so write the \
                         field's id, such as `customfield_10010`"
                    ));
                }
                self.fix(name, value.clone());
                continue;
            };
            let field = field_named(known, name)?;
            if self.slots.iter().any(|slot| slot.field == field.id) {
                return Err(format!("`fields.{shown}`: `{}` is set twice", field.id));
            }
            self.fix(&field.id, coerced(field, &shown, value, deployment)?);
        }
        Ok(())
    }

    /// Refuses a draft that lacks what the screen requires.
    fn complete(&self, fields: &[Field], wanted: &Wanted) -> Result<(), String> {
        let missing: Vec<String> = fields
            .iter()
            .filter(|field| field.required && !field.has_default)
            .filter(|field| !FIELDS_FILLED.contains(&field.id.as_str()))
            .filter(|field| self.slots.iter().all(|slot| slot.field != field.id))
            .map(|field| match field.allowed {
                None => format!("`{}` ({})", field.id, text::one_line(&field.name, 60)),
                Some(_) => format!(
                    "`{}` ({}; one of {})",
                    field.id,
                    text::one_line(&field.name, 60),
                    field.allowed_names()
                ),
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "project `{}` requires what is not given: {}; set custom fields in `fields`",
            wanted.project,
            missing.join(", ")
        ))
    }
}

impl Slot {
    /// The same for every draft with the same wishes for this field.
    fn signature(&self) -> String {
        let ways: Vec<String> = self.ways.iter().map(|way| way.called.clone()).collect();
        format!("{}\n{}", self.field, ways.join("\n"))
    }
}

const NOT_ON_SCREEN: &str = "it is not on the project's create screen";

fn on_screen(screen: Option<&[Field]>, id: &str) -> bool {
    screen.is_none_or(|fields| fields.iter().any(|field| field.id == id))
}

fn reference(allowed: &schema::Allowed) -> Value {
    match &allowed.id {
        Some(id) => json!({ "id": id }),
        None => json!({ "name": allowed.name }),
    }
}

/// The field of an id, else of a name without regard to case.
fn field_named<'a>(fields: &'a [Field], name: &str) -> Result<&'a Field, String> {
    if let Some(field) = fields.iter().find(|field| field.id == name) {
        return Ok(field);
    }
    let folded = name.trim().to_lowercase();
    let mut named = fields.iter().filter(|field| field.name.trim().to_lowercase() == folded);
    let shown = text::one_line(name, 80);
    match (named.next(), named.next()) {
        (Some(field), None) => Ok(field),
        (Some(one), Some(other)) => Err(format!(
            "`fields.{shown}`: the create screen has more than one field of this name; write \
             `{}` or `{}`",
            one.id, other.id
        )),
        (None, _) => {
            let there = schema::names(fields.iter().map(|field| field.name.as_str()));
            Err(format!("`fields.{shown}`: not on the project's create screen, which has {there}"))
        }
    }
}

/// A value as the field's schema wants it: a plain text becomes an option, a list of options, a
/// document or a user; anything else is sent as it is.
fn coerced(
    field: &Field,
    shown: &str,
    value: &Value,
    deployment: Deployment,
) -> Result<Value, String> {
    let one = |kind: &str, text: &str| -> Result<Value, String> {
        if let Some(allowed) = field.allowed_named(text) {
            return Ok(match (kind, &allowed.id) {
                ("string", _) => Value::String(allowed.name.clone()),
                (_, Some(id)) => json!({ "id": id }),
                ("option" | "option-with-child", None) => json!({ "value": allowed.name }),
                (_, None) => json!({ "name": allowed.name }),
            });
        }
        if field.allowed.is_some() && kind != "string" {
            return Err(format!(
                "`fields.{shown}`: `{}` is not one of {}",
                text::one_line(text, 80),
                field.allowed_names()
            ));
        }
        Ok(match (kind, deployment) {
            ("option" | "option-with-child", _) => json!({ "value": text }),
            ("user", Deployment::Cloud) => json!({ "id": text }),
            ("user" | "version" | "component" | "priority" | "group", _) => {
                json!({ "name": text })
            }
            _ => Value::String(text.to_owned()),
        })
    };
    match value {
        Value::String(text) if field.kind == "array" => {
            Ok(Value::Array(vec![one(&field.items, text)?]))
        }
        Value::Array(items) if field.kind == "array" => {
            let items = items.iter().map(|item| match item {
                Value::String(text) => one(&field.items, text),
                other => Ok(other.clone()),
            });
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        Value::String(text) if is_rich(field) && deployment == Deployment::Cloud => {
            let sections = document::sections(Some(&Value::String(text.clone())))?;
            document::adf(&sections, DESCRIPTION_UNITS_MAX)
                .ok_or_else(|| format!("`fields.{shown}` is empty"))
        }
        Value::String(text) if field.kind == "number" => {
            let number: serde_json::Number = text
                .trim()
                .parse()
                .map_err(|_| format!("`fields.{shown}` is {}; write a number", kind(value)))?;
            Ok(Value::Number(number))
        }
        Value::String(text) => one(&field.kind, text),
        other => Ok(other.clone()),
    }
}

/// Whether a field of the Cloud edition holds a document.
fn is_rich(field: &Field) -> bool {
    field.make.ends_with(":textarea") || field.id == "environment"
}
