//! What changes from one version of a workflow to the next, and what of it is wider.
//!
//! Wider is whatever lets more pass, more often, or with fewer people asked. In doubt it is wider:
//! a change that is called out needlessly costs a glance.

use std::collections::BTreeMap;

use arx_gateway::ConnectorSpec;
use arx_policy::{Beyond, LimitDef, Policy};
use arx_workflow::bundle::{Bundle, CatchUp, ConnectorBinding, Overlap, Schedule};
use serde::Serialize;

use super::standing::{self, Says};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What sort of thing changed.
    pub what: &'static str,
    /// Which one.
    pub name: String,
    /// What it was.
    pub was: String,
    /// What it becomes.
    pub now: String,
    /// Whether more may happen.
    pub wider: bool,
}

const NONE: &str = "none";

/// A version with its policy.
pub(super) struct Version<'b> {
    pub(super) bundle: &'b Bundle,
    pub(super) policy: &'b Policy,
}

/// Every difference, in the order in which a reviewer asks.
pub(super) fn between(
    old: &Version<'_>,
    new: &Version<'_>,
    catalogue: &[&'static ConnectorSpec],
) -> Vec<Change> {
    let mut changes = Changes::default();
    changes.permissions(old.policy, new.policy, catalogue);
    changes.limits(&old.policy.def().limits, &new.policy.def().limits);
    changes.people(old.policy, new.policy);
    changes.connectors(old.bundle, new.bundle);
    changes.schedule(old.bundle, new.bundle);
    changes.texts(old.bundle, new.bundle);
    changes.list
}

#[derive(Default)]
struct Changes {
    list: Vec<Change>,
}

impl Changes {
    fn add(
        &mut self,
        what: &'static str,
        name: impl Into<String>,
        was: impl Into<String>,
        now: impl Into<String>,
        wider: bool,
    ) {
        let (name, was, now) = (name.into(), was.into(), now.into());
        self.list.push(Change { what, name, was, now, wider });
    }

    fn add_if_other<T: PartialEq + ToString>(
        &mut self,
        what: &'static str,
        name: &str,
        was: &T,
        now: &T,
        wider: bool,
    ) {
        if was != now {
            self.add(what, name, was.to_string(), now.to_string(), wider);
        }
    }

    fn permissions(&mut self, old: &Policy, new: &Policy, catalogue: &[&'static ConnectorSpec]) {
        for (operation, spec) in standing::operations(catalogue) {
            let was = standing::of(old, &operation, spec);
            let now = standing::of(new, &operation, spec);
            let (was_says, now_says) = (was.says.as_str(), now.says.as_str());
            if was.says != now.says {
                let wider = now.says > was.says;
                self.add("permission", operation.to_string(), was_says, now_says, wider);
            } else if was.says == Says::Depends && !was.has_rules_of(&now) {
                let now_says = format!("{now_says}, by other rules");
                self.add("permission", operation.to_string(), was_says, now_says, true);
            }
        }
    }

    fn limits(&mut self, old: &[LimitDef], new: &[LimitDef]) {
        let (old, new) = (by_glob(old), by_glob(new));
        let mut globs: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
        globs.sort_unstable();
        globs.dedup();
        for glob in globs {
            let empty = Vec::new();
            let was = old.get(glob).unwrap_or(&empty);
            let now = new.get(glob).unwrap_or(&empty);
            if was == now {
                continue;
            }
            let wider = match (was.as_slice(), now.as_slice()) {
                ([], _) => false,
                ([was], [now]) => is_wider(was, now),
                _ => true,
            };
            self.add("limit", glob, words(was), words(now), wider);
        }
    }

    fn people(&mut self, old: &Policy, new: &Policy) {
        let (old, new) = (old.def(), new.def());
        self.add_if_other("policy", "hitl", &old.hitl, &new.hitl, !new.hitl);
        let (was, now) = (old.risk_threshold, new.risk_threshold);
        self.add_if_other("policy", "risk_threshold", &was, &now, now > was);
        let (old, new) = (&old.approvals, &new.approvals);
        self.add_if_other("approvals", "quorum", &old.quorum, &new.quorum, new.quorum < old.quorum);
        let wider = new.expires.as_duration() > old.expires.as_duration();
        self.add_if_other("approvals", "expires", &old.expires, &new.expires, wider);
        let lists = [
            ("approvers", &old.approvers, &new.approvers),
            ("escalate_to", &old.escalate_to, &new.escalate_to),
        ];
        for (name, old, new) in lists.into_iter().filter(|(_, old, new)| old != new) {
            let list = |approvers: &[String]| match approvers {
                [] => NONE.to_owned(),
                approvers => approvers.join(", "),
            };
            let wider = new.iter().any(|who| !old.contains(who));
            self.add("approvals", name, list(old), list(new), wider);
        }
        let (old, new) = (&old.escalate_after, &new.escalate_after);
        let classes = [
            ("escalate_after.medium", old.medium, new.medium),
            ("escalate_after.high", old.high, new.high),
            ("escalate_after.critical", old.critical, new.critical),
        ];
        for (name, old, new) in classes {
            let wider = new.as_duration() < old.as_duration();
            self.add_if_other("approvals", name, &old, &new, wider);
        }
    }

    fn connectors(&mut self, old: &Bundle, new: &Bundle) {
        let (old, new) = (&old.manifest.connectors, &new.manifest.connectors);
        // Also what no rule lets pass yet: a binding is half of a permission.
        let bound = |binding: Option<&ConnectorBinding>| match binding {
            None => NONE.to_owned(),
            Some(binding) => binding.operations.join(", "),
        };
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (before, after) = (old.get(name), new.get(name));
            let had =
                |operation: &String| before.is_some_and(|one| one.operations.contains(operation));
            let wider = after.is_some_and(|one| !one.operations.iter().all(had));
            self.add_if_other("binding", name, &bound(before), &bound(after), wider);
        }
        for (name, binding) in new {
            let Some(before) = old.get(name) else { continue };
            self.add_if_other(
                "connector",
                &format!("{name} optional"),
                &before.optional,
                &binding.optional,
                false,
            );
            let rate = |rate: &Option<arx_workflow::bundle::Rate>| {
                rate.as_ref().map_or("the vendor's own".to_owned(), ToString::to_string)
            };
            let (was, now) = (rate(&before.rate), rate(&binding.rate));
            self.add_if_other("connector", &format!("{name} rate"), &was, &now, false);
            if before.settings != binding.settings {
                let text = |settings: &BTreeMap<String, serde_json::Value>| {
                    serde_json::to_string(settings).unwrap_or_default()
                };
                let name = format!("{name} settings");
                self.add("connector", name, text(&before.settings), text(&binding.settings), false);
            }
        }
    }

    fn schedule(&mut self, old: &Bundle, new: &Bundle) {
        let words = |schedule: &Option<Schedule>| {
            schedule.as_ref().map_or(NONE.to_owned(), |schedule| {
                let Schedule { cron, timezone, overlap, catch_up, jitter } = schedule;
                let mut words = format!("{cron} {timezone}");
                if *overlap != Overlap::default() {
                    words.push_str(", overlapping runs queue");
                }
                match catch_up {
                    CatchUp::Latest => {}
                    CatchUp::All => words.push_str(", every missed time is made up for"),
                    CatchUp::None => words.push_str(", no missed time is made up for"),
                }
                if !jitter.is_zero() {
                    words.push_str(&format!(", up to {jitter} later"));
                }
                words
            })
        };
        let (was, now) = (words(&old.manifest.schedule), words(&new.manifest.schedule));
        self.add_if_other("schedule", "schedule", &was, &now, false);
    }

    fn texts(&mut self, old: &Bundle, new: &Bundle) {
        let (was, now) = (old.manifest.config(), new.manifest.config());
        let empty = serde_json::Map::new();
        let (was, now) = (was.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
        let mut names: Vec<&String> = was.keys().chain(now.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let text = |value: Option<&serde_json::Value>| {
                value.map_or(NONE.to_owned(), ToString::to_string)
            };
            self.add_if_other("input", name, &text(was.get(name)), &text(now.get(name)), false);
        }
        let owner = |bundle: &Bundle| bundle.manifest.metadata.owner.clone().unwrap_or(NONE.into());
        self.add_if_other("metadata", "owner", &owner(old), &owner(new), false);
        if old.workflow_text != new.workflow_text {
            let lines = |text: &str| format!("{} lines", text.lines().count());
            let name = new.manifest.entrypoint.clone();
            self.add("code", name, lines(&old.workflow_text), lines(&new.workflow_text), false);
        }
    }
}

fn by_glob(limits: &[LimitDef]) -> BTreeMap<&str, Vec<&LimitDef>> {
    let mut found: BTreeMap<&str, Vec<&LimitDef>> = BTreeMap::new();
    for limit in limits {
        found.entry(limit.operation.as_str()).or_default().push(limit);
    }
    found
}

/// More at once, more in the long run, or asking where it denied.
fn is_wider(was: &LimitDef, now: &LimitDef) -> bool {
    let often = |one: &LimitDef, other: &LimitDef| {
        u128::from(one.max) * other.per.as_duration().as_millis()
    };
    now.max > was.max
        || often(now, was) > often(was, now)
        || (was.beyond == Beyond::Deny && now.beyond == Beyond::Escalate)
}

fn words(limits: &[&LimitDef]) -> String {
    if limits.is_empty() {
        return NONE.to_owned();
    }
    let one = |limit: &&LimitDef| {
        format!("{} per {}, then {}", limit.max, limit.per, limit.beyond.as_str())
    };
    limits.iter().map(one).collect::<Vec<_>>().join("; ")
}
