//! What the instance holds before any client wrote to it: people, choices, and the wave's tickets.

use std::collections::BTreeMap;

use super::render::stamp;
use super::store::{Row, Store};
use super::tables::{self, CHOICES, PENDING_LABEL, RETIRED_STATE, pending_state};
use crate::environment::SNOW_USERNAME;
use crate::estate::DAY;
use crate::faults::mix;
use crate::wave::{Case, Ci, HOUR, Wave, hex_id};

const PEOPLE: &[(&str, &str)] = &[
    (SNOW_USERNAME, "ARX Integration"),
    ("dana.whitfield", "Dana Whitfield"),
    ("omar.haddad", "Omar Haddad"),
    ("priya.nair", "Priya Nair"),
];

const GROUPS: &[(&str, &str)] = &[
    ("Linux Operations", "Patches the Linux servers"),
    ("Windows Operations", "Patches the Windows servers"),
    ("Vulnerability Response", "Decides what is patched first"),
];

/// Kinds of ids.
const USER: u64 = 0x5001;
const GROUP: u64 = 0x5002;
const CHOICE: u64 = 0x5003;
const TICKET: u64 = 0x5004;
const ITEM: u64 = 0x5005;
const AUDIT: u64 = 0x5006;
const OTHER: u64 = 0x5007;

pub(super) fn user_id(name: &str) -> String {
    let index = PEOPLE.iter().position(|(user, _)| *user == name);
    index.map_or_else(String::new, |index| hex_id(USER, index as u64))
}

/// The `sys_id` of a wave's ticket.
pub(super) fn ticket_id(n: u64) -> String {
    hex_id(TICKET, n)
}

fn group_id(name: &str) -> String {
    let index = GROUPS.iter().position(|(group, _)| *group == name);
    index.map_or_else(String::new, |index| hex_id(GROUP, index as u64))
}

pub(super) fn store(wave: &Wave) -> Store {
    let mut store = Store::default();
    people(&mut store, wave.at);
    choices(&mut store, wave.at);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for case in &wave.cases {
        let count = counts.entry(case.table).or_default();
        ticket(&mut store, wave.at, case, *count);
        *count += 1;
    }
    if !wave.cases.is_empty() {
        unrelated(&mut store, wave.at);
    }
    store
}

fn put(store: &mut Store, table: &str, mut row: Row, made: i64) {
    let Some(table) = tables::find(table) else { return };
    row.set("sys_created_on", stamp(made));
    for (name, value) in [("sys_created_by", "admin"), ("sys_class_name", table.name)] {
        if row.get(name).is_empty() {
            row.set(name, value);
        }
    }
    if row.get("sys_updated_on").is_empty() {
        row.set("sys_updated_on", stamp(made));
        row.set("sys_updated_by", "admin");
    }
    store.put(table, row);
}

fn people(store: &mut Store, at: i64) {
    for (user, name) in PEOPLE {
        let row = Row::of(&[
            ("sys_id", &user_id(user)),
            ("user_name", user),
            ("name", name),
            ("email", &format!("{user}@harbourline.example")),
            ("active", "true"),
        ]);
        put(store, "sys_user", row, at - 900 * DAY);
    }
    for (name, description) in GROUPS {
        let row = Row::of(&[
            ("sys_id", &group_id(name)),
            ("name", name),
            ("description", description),
            ("active", "true"),
        ]);
        put(store, "sys_user_group", row, at - 900 * DAY);
    }
}

fn choices(store: &mut Store, at: i64) {
    let mut n = 0;
    let mut add = |table: &str, element: &str, value: &str, label: &str, is_inactive: bool| {
        n += 1;
        let row = Row::of(&[
            ("sys_id", &hex_id(CHOICE, n)),
            ("name", table),
            ("element", element),
            ("value", value),
            ("label", label),
            ("language", "en"),
            ("sequence", &n.to_string()),
            ("inactive", if is_inactive { "true" } else { "false" }),
        ]);
        put(store, "sys_choice", row, at - 900 * DAY);
    };
    for (table, element, values) in CHOICES {
        for (value, label) in *values {
            add(table, element, value, label, false);
        }
    }
    // Taken out of use when the state got a new number.
    add("incident", "state", RETIRED_STATE, PENDING_LABEL, true);
    add("incident", "close_code", "Solved (Permanently)", "Solved (Permanently)", true);
}

fn ticket(store: &mut Store, at: i64, case: &Case, nth: u64) {
    let Some(table) = tables::find(case.table) else { return };
    let Some((prefix, first)) = table.numbers else { return };
    let id = ticket_id(case.n);
    let state = case.state.unwrap_or_else(|| pending_state(case.table));
    let windows = case.host.os.contains("Windows");
    let group = group_id(if windows { "Windows Operations" } else { "Linux Operations" });
    let updated = case.entered.unwrap_or_else(|| case.patched()) + HOUR / 4;
    let mut row = Row::of(&[
        ("sys_id", &id),
        ("number", &format!("{prefix}{:07}", first + nth)),
        ("short_description", &case.title),
        ("description", &case.description),
        ("state", state),
        ("active", "true"),
        ("priority", "2"),
        ("impact", "2"),
        ("urgency", "1"),
        ("assignment_group", &group),
        ("assigned_to", &user_id("omar.haddad")),
        ("opened_by", &user_id("priya.nair")),
        ("opened_at", &stamp(case.opened)),
        ("u_cve", &case.cve),
        ("u_qid", &case.qid),
        ("sys_mod_count", &(3 + mix(0x3D, 1, case.n) % 9).to_string()),
        ("sys_updated_on", &stamp(updated.min(at))),
        ("sys_updated_by", "omar.haddad"),
        ("sys_created_by", "priya.nair"),
    ]);
    if let Some(time) = case.work_end {
        row.set("work_end", stamp(time));
        row.set("work_start", stamp(time - HOUR));
    }
    if let Some(time) = case.patched_at {
        row.set("u_patched_at", stamp(time));
    }
    if case.table == "incident" {
        row.set("incident_state", state);
        row.set("category", "security");
        row.set("caller_id", user_id("priya.nair"));
    }
    match &case.ci {
        Ci::Item { name, fqdn, ip, environment } => {
            let item = hex_id(ITEM, case.n);
            row.set("cmdb_ci", item.as_str());
            let mut ci = Row::of(&[
                ("sys_id", &item),
                ("name", name),
                ("fqdn", fqdn),
                ("ip_address", ip),
                ("environment", environment),
                ("used_for", environment),
                ("operational_status", "1"),
                ("u_qualys_agent_id", &case.host.agent),
            ]);
            let class = if windows { "cmdb_ci_win_server" } else { "cmdb_ci_linux_server" };
            ci.set("sys_class_name", class);
            put(store, "cmdb_ci", ci, case.opened - 200 * DAY);
        }
        // The reference outlived what it points to.
        Ci::Deleted => row.set("cmdb_ci", hex_id(ITEM, case.n)),
        Ci::Text(name) => row.set("u_host", name.as_str()),
        Ci::None => {}
    }
    row.padded_bytes = case.padded_bytes;
    row.ignored = case.ignored.iter().map(|name| (*name).to_owned()).collect();
    row.is_restricted = case.is_restricted;
    put(store, case.table, row, case.opened);
    if let Some(entered) = case.entered {
        for (n, (old, new, when)) in
            [("1", "2", case.opened + DAY), ("2", state, entered)].into_iter().enumerate()
        {
            let audit = Row::of(&[
                ("sys_id", &hex_id(AUDIT, case.n * 2 + n as u64)),
                ("tablename", case.table),
                ("documentkey", &id),
                ("fieldname", "state"),
                ("oldvalue", old),
                ("newvalue", new),
                ("user", "omar.haddad"),
            ]);
            put(store, "sys_audit", audit, when);
        }
    }
}

/// Incidents that have nothing to do with the wave: a query whose terms were dropped finds them.
fn unrelated(store: &mut Store, at: i64) {
    const ROWS: &[(&str, &str, bool)] = &[
        ("1", "Printer on the second floor is out of toner", false),
        ("2", "VPN drops every afternoon", false),
        ("2", "Salary data visible in a shared folder", true),
        ("6", "Mailbox full", false),
        ("7", "New laptop for a joiner", false),
    ];
    for (n, (state, title, is_restricted)) in ROWS.iter().enumerate() {
        let opened = at - (3 + n as i64) * DAY;
        let mut row = Row::of(&[
            ("sys_id", &hex_id(OTHER, n as u64)),
            ("number", &format!("INC{:07}", 9_001 + n)),
            ("short_description", title),
            ("state", state),
            ("incident_state", state),
            ("active", if *state == "7" { "false" } else { "true" }),
            ("priority", "3"),
            ("category", "inquiry"),
            ("caller_id", &user_id("dana.whitfield")),
            ("opened_at", &stamp(opened)),
            ("sys_mod_count", "2"),
        ]);
        if matches!(*state, "6" | "7") {
            row.set("close_code", "Solution provided");
            row.set("close_notes", "Done.");
        }
        row.is_restricted = *is_restricted;
        put(store, "incident", row, opened);
    }
}
