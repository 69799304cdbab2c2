//! The instance's dictionary: tables, their columns, and the choices that come with them.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Flag,
    /// A value with a label in `sys_choice`.
    Choice,
    /// UTC as stored, the user's zone as displayed.
    DateTime,
    /// Written, never read back.
    Journal,
    /// The `sys_id` of a row of another table.
    Reference(&'static str),
}

pub(super) type Column = (&'static str, Kind);

pub(super) struct Table {
    pub name: &'static str,
    /// The table whose choices and columns it inherits.
    pub parent: Option<&'static str>,
    own: &'static [Column],
    /// The column that stands for the row in references to it.
    pub display: &'static str,
    /// Prefix and first number of records made here.
    pub numbers: Option<(&'static str, u64)>,
    /// The account may neither read nor write it.
    pub is_closed: bool,
    /// `table.list.<name>` and its like.
    pub operations: [&'static str; 5],
}

use Kind::{Choice, DateTime, Flag, Integer, Journal, Reference, Text};

const SYSTEM: &[Column] = &[
    ("sys_id", Text),
    ("sys_created_on", DateTime),
    ("sys_created_by", Text),
    ("sys_updated_on", DateTime),
    ("sys_updated_by", Text),
    ("sys_mod_count", Integer),
    ("sys_class_name", Text),
];

const TASK: &[Column] = &[
    ("number", Text),
    ("short_description", Text),
    ("description", Text),
    ("state", Choice),
    ("active", Flag),
    ("priority", Choice),
    ("impact", Choice),
    ("urgency", Choice),
    ("cmdb_ci", Reference("cmdb_ci")),
    ("assignment_group", Reference("sys_user_group")),
    ("assigned_to", Reference("sys_user")),
    ("opened_by", Reference("sys_user")),
    ("opened_at", DateTime),
    ("closed_at", DateTime),
    ("closed_by", Reference("sys_user")),
    ("work_start", DateTime),
    ("work_end", DateTime),
    ("close_notes", Text),
    ("work_notes", Journal),
    ("comments", Journal),
    ("correlation_id", Text),
    ("u_cve", Text),
    ("u_qid", Text),
    ("u_patched_at", DateTime),
    ("u_repatch", Flag),
    ("u_host", Text),
];

const INCIDENT: &[Column] = &[
    ("incident_state", Choice),
    ("category", Choice),
    ("caller_id", Reference("sys_user")),
    ("hold_reason", Choice),
    ("close_code", Choice),
    ("resolved_at", DateTime),
    ("resolved_by", Reference("sys_user")),
    ("reopen_count", Integer),
];

const CHANGE_TASK: &[Column] =
    &[("close_code", Choice), ("on_hold", Flag), ("on_hold_reason", Text)];

const PATCH_TASK: &[Column] = &[("close_code", Choice)];

const VULNERABLE_ITEM: &[Column] = &[("vulnerability", Text), ("close_code", Choice)];

const CI: &[Column] = &[
    ("name", Text),
    ("fqdn", Text),
    ("host_name", Text),
    ("ip_address", Text),
    ("dns_domain", Text),
    ("environment", Text),
    ("used_for", Text),
    ("operational_status", Choice),
    ("u_qualys_agent_id", Text),
];

const CHOICE: &[Column] = &[
    ("name", Text),
    ("element", Text),
    ("value", Text),
    ("label", Text),
    ("language", Text),
    ("inactive", Flag),
    ("sequence", Integer),
];

const JOURNAL: &[Column] =
    &[("element_id", Text), ("name", Text), ("element", Text), ("value", Text)];

const AUDIT: &[Column] = &[
    ("tablename", Text),
    ("documentkey", Text),
    ("fieldname", Text),
    ("oldvalue", Text),
    ("newvalue", Text),
    ("user", Text),
    ("reason", Text),
];

const USER: &[Column] =
    &[("user_name", Text), ("name", Text), ("email", Text), ("time_zone", Text), ("active", Flag)];

const GROUP: &[Column] = &[("name", Text), ("description", Text), ("active", Flag)];

macro_rules! table {
    ($name:literal, $parent:expr, $own:expr, $display:literal, $numbers:expr) => {
        table!($name, $parent, $own, $display, $numbers, false)
    };
    ($name:literal, $parent:expr, $own:expr, $display:literal, $numbers:expr, $closed:literal) => {
        Table {
            name: $name,
            parent: $parent,
            own: $own,
            display: $display,
            numbers: $numbers,
            is_closed: $closed,
            operations: [
                concat!("table.list.", $name),
                concat!("table.get.", $name),
                concat!("table.create.", $name),
                concat!("table.update.", $name),
                concat!("table.delete.", $name),
            ],
        }
    };
}

#[rustfmt::skip]
pub(super) const TABLES: &[Table] = &[
    table!("task", None, TASK, "number", None),
    table!("incident", Some("task"), INCIDENT, "number", Some(("INC", 10_101))),
    table!("change_task", Some("task"), CHANGE_TASK, "number", Some(("CTASK", 20_101))),
    table!("u_patch_task", Some("task"), PATCH_TASK, "number", Some(("PTASK", 30_101))),
    table!("sn_vul_vulnerable_item", Some("task"), VULNERABLE_ITEM, "number", Some(("VIT", 40_101))),
    table!("sn_si_incident", Some("task"), &[], "number", Some(("SIR", 50_101)), true),
    table!("cmdb_ci", None, CI, "name", None),
    table!("sys_choice", None, CHOICE, "label", None),
    table!("sys_journal_field", None, JOURNAL, "element", None),
    table!("sys_audit", None, AUDIT, "fieldname", None),
    table!("sys_user", None, USER, "name", None),
    table!("sys_user_group", None, GROUP, "name", None),
];

pub(super) fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

impl Table {
    /// Every column, the table's own ones before the inherited ones.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> {
        let inherited = self.parent.and_then(find).map_or(&[][..], |parent| parent.own);
        self.own.iter().chain(inherited).chain(SYSTEM)
    }

    pub fn kind(&self, column: &str) -> Option<Kind> {
        self.columns().find(|(name, _)| *name == column).map(|(_, kind)| *kind)
    }

    /// Whether rows of another table are rows of this one too.
    pub fn holds(&self, other: &Table) -> bool {
        self.name == other.name || other.parent == Some(self.name)
    }
}

/// Table, element, value, label, whether people may still choose it.
type Choices = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The state that Harbourline added to each table.
pub(super) const PENDING_LABEL: &str = "Pending Verification";

/// Its stored value.
pub(crate) fn pending_state(table: &str) -> &'static str {
    match table {
        "incident" => "15",
        "change_task" => "20",
        "u_patch_task" => "18",
        _ => "25",
    }
}

/// A value of `incident.state` whose choice was taken out of use.
pub(crate) const RETIRED_STATE: &str = "16";

#[rustfmt::skip]
pub(super) const CHOICES: &[Choices] = &[
    ("task", "state", &[("-5", "Pending"), ("1", "Open"), ("2", "Work in Progress"), ("3", "Closed Complete"), ("4", "Closed Incomplete"), ("7", "Closed Skipped")]),
    ("task", "priority", LEVELS), ("task", "impact", LEVELS), ("task", "urgency", LEVELS),
    ("incident", "state", INCIDENT_STATES), ("incident", "incident_state", INCIDENT_STATES),
    ("incident", "category", &[("inquiry", "Inquiry / Help"), ("software", "Software"), ("security", "Security")]),
    ("incident", "hold_reason", &[("1", "Awaiting Caller"), ("3", "Awaiting Problem"), ("4", "Awaiting Vendor"), ("5", "Awaiting Change")]),
    ("incident", "close_code", &[("Duplicate", "Duplicate"), ("Known error", "Known error"), ("No resolution provided", "No resolution provided"), ("Resolved by caller", "Resolved by caller"), ("Resolved by change", "Resolved by change"), ("Resolved by problem", "Resolved by problem"), ("Resolved by request", "Resolved by request"), ("Solution provided", "Solution provided"), ("Workaround provided", "Workaround provided"), ("User error", "User error")]),
    ("change_task", "state", &[("-5", "Pending"), ("1", "Open"), ("2", "In Progress"), ("3", "Closed"), ("4", "Canceled"), ("20", PENDING_LABEL)]),
    ("change_task", "close_code", &[("successful", "Successful"), ("successful_issues", "Successful with issues"), ("unsuccessful", "Unsuccessful")]),
    ("u_patch_task", "state", &[("1", "Open"), ("2", "Work in Progress"), ("3", "Closed Complete"), ("4", "Closed Incomplete"), ("18", PENDING_LABEL)]),
    ("u_patch_task", "close_code", &[("patched", "Patched"), ("not_applicable", "Not applicable"), ("failed", "Failed")]),
    ("sn_vul_vulnerable_item", "state", &[("1", "Open"), ("2", "Under Investigation"), ("3", "Closed"), ("25", PENDING_LABEL)]),
    ("cmdb_ci", "operational_status", &[("1", "Operational"), ("2", "Non-Operational"), ("6", "Retired")]),
];

const LEVELS: &[(&str, &str)] = &[("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low")];

const INCIDENT_STATES: &[(&str, &str)] = &[
    ("1", "New"),
    ("2", "In Progress"),
    ("3", "On Hold"),
    ("6", "Resolved"),
    ("7", "Closed"),
    ("8", "Canceled"),
    ("15", PENDING_LABEL),
];
