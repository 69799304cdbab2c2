//! The maturity level that a bundle reaches, with every requirement and why it is met or not.
//!
//! A level is reached when all of its requirements are met and so are those of the levels below.
//! Nothing is taken on trust that can be observed, and what is taken on trust says so.

use arx_journal::KeptCheckpoint;
use arx_workflow::bundle::Manifest;
use serde::Serialize;

use super::review::Review;
use crate::context::Context;
use crate::output::{Paint, printable};

/// One level.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Level {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// Whether its own requirements are met and those of every level below.
    reached: bool,
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Requirement {
    what: &'static str,
    met: bool,
    why: String,
}

impl Requirement {
    fn new(what: &'static str, met: bool, why: impl Into<String>) -> Self {
        Self { what, met, why: why.into() }
    }
}

/// The last checkpoint that was written to a place outside.
pub(super) async fn kept(ctx: &Context) -> Option<KeptCheckpoint> {
    super::kept_checkpoint(ctx).await
}

/// Every level, the lowest first.
pub(super) fn levels(
    manifest: &Manifest,
    review: &Review,
    kept: Option<KeptCheckpoint>,
) -> Vec<Level> {
    let described = [
        ("L3", "Enforced", enforced(review)),
        ("L4", "Governed", governed(manifest, review)),
        ("L5", "Accountable", accountable(kept)),
    ];
    let mut reached = true;
    let mut levels = Vec::new();
    for (id, name, requirements) in described {
        reached = reached && requirements.iter().all(|requirement| requirement.met);
        levels.push(Level { id, name, reached, requirements });
    }
    levels
}

/// The highest level that is reached.
pub(super) fn reached(levels: &[Level]) -> Option<&Level> {
    levels.iter().rfind(|level| level.reached)
}

fn enforced(review: &Review) -> Vec<Requirement> {
    let unruled: Vec<String> = review
        .operations
        .iter()
        .filter(|one| one.called && !one.ruled)
        .map(|one| one.operation.to_string())
        .collect();
    let n_called = review.operations.iter().filter(|one| one.called).count();
    let why = match unruled.as_slice() {
        [] => format!("{n_called} operations are called, and a rule speaks of each"),
        unruled => format!("no rule speaks of {}", unruled.join(", ")),
    };
    vec![
        Requirement::new("every operation is ruled", unruled.is_empty(), why),
        Requirement::new(
            "every operation is recorded",
            true,
            "every call passes the gate, which records its decision before anything is sent",
        ),
    ]
}

fn governed(manifest: &Manifest, review: &Review) -> Vec<Requirement> {
    let owner = manifest.metadata.owner.as_deref().map(str::trim).filter(|who| !who.is_empty());
    let approvers = &manifest.policy.approvals.approvers;
    let unlimited: Vec<String> = review
        .operations
        .iter()
        .filter(|one| one.writes && one.can_pass && !one.limited)
        .map(|one| one.operation.to_string())
        .collect();
    vec![
        Requirement::new(
            "an owner",
            owner.is_some(),
            owner.map_or("metadata.owner is not set".to_owned(), str::to_owned),
        ),
        Requirement::new(
            "named approvers",
            !approvers.is_empty(),
            match approvers.as_slice() {
                [] => "policy.approvals.approvers is empty".to_owned(),
                approvers => approvers.join(", "),
            },
        ),
        Requirement::new(
            "a limit on every write",
            unlimited.is_empty(),
            match unlimited.as_slice() {
                [] => "every write that can pass is limited".to_owned(),
                unlimited => format!("policy.limits bounds no {}", unlimited.join(", ")),
            },
        ),
    ]
}

fn accountable(kept: Option<KeptCheckpoint>) -> Vec<Requirement> {
    let (is_kept, why) = match kept {
        Some(kept) => (
            true,
            format!(
                "one of {} leaves was written to {} at {:.0}; whether it is still there is not \
                 looked at",
                kept.size, kept.place, kept.at
            ),
        ),
        None => (
            false,
            "none was written by `arx audit checkpoint -o FILE` from this state directory"
                .to_owned(),
        ),
    };
    vec![
        Requirement::new(
            "evidence can be exported",
            true,
            "`arx audit export` writes what a run did with proofs that anyone can check",
        ),
        Requirement::new("a checkpoint is kept outside", is_kept, why),
    ]
}

pub(super) fn shown(levels: &[Level], paint: Paint) -> String {
    let head = match reached(levels) {
        Some(level) => paint.bold(&format!("{} {}", level.id, level.name)),
        None => paint.bold("below L3"),
    };
    let mut text = format!("  maturity  {head}\n");
    for level in levels {
        for (n, requirement) in level.requirements.iter().enumerate() {
            let id = if n == 0 { level.id } else { "" };
            let mark = if requirement.met { paint.green("yes") } else { paint.red("no ") };
            let why = paint.dim(&printable(&requirement.why));
            text.push_str(&format!("  {id:<4} {mark}  {:<30} {why}\n", requirement.what));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use arx_types::Operation;
    use jiff::Timestamp;

    use super::*;
    use crate::commands::check::review::Reviewed;

    const MANIFEST: &str = "apiVersion: arx/v1\nkind: Workflow\n\
        metadata: { name: t, owner: me }\npolicy: { approvals: { approvers: [bob] } }\n";

    fn reviewed(writes: bool, limited: bool, ruled: bool) -> Reviewed {
        Reviewed {
            operation: Operation::new("jira", "issues:create"),
            says: "permitted",
            called: true,
            writes,
            limited,
            ruled,
            can_pass: ruled,
        }
    }

    #[track_caller]
    fn check(yaml: &str, operation: Reviewed, is_kept: bool, expected: Option<&str>) {
        let catalogue = crate::context::catalogue();
        let manifest = arx_workflow::bundle::parse("arx.yaml", yaml, &catalogue).unwrap();
        let review = Review { findings: Vec::new(), operations: vec![operation] };
        let kept = is_kept.then(|| KeptCheckpoint {
            size: 7,
            place: "/mnt/usb".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        });
        let levels = levels(&manifest, &review, kept);
        assert_eq!(reached(&levels).map(|level| level.id), expected);
    }

    #[test]
    fn a_level_needs_all_of_its_own_and_of_those_below() {
        check(MANIFEST, reviewed(true, true, true), true, Some("L5"));
        check(MANIFEST, reviewed(true, true, true), false, Some("L4"));
        check(MANIFEST, reviewed(true, false, true), true, Some("L3"));
        check(MANIFEST, reviewed(false, false, true), false, Some("L4"));
        check(MANIFEST, reviewed(true, true, false), true, None);
        check(&MANIFEST.replace(", owner: me", ""), reviewed(true, true, true), true, Some("L3"));
        check(&MANIFEST.replace("[bob]", "[]"), reviewed(true, true, true), true, Some("L3"));
    }
}
