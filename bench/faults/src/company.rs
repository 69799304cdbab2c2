//! The companies that are worked for, and what a workflow has to bring about there.
//!
//! What must happen is known from how the scenario is made (`docs/simulators.md`), never from
//! what ARX says of itself.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use arx_sim::{Expected, Scenario, Simulators, Vendor};
use arx_testkit::world::{ESCALATION, Library, PATCHES};

/// A workflow of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// `critical-vuln-escalation`.
    Escalation,
    /// `patch-verification`.
    Patches,
}

/// One thing that happens at a vendor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Effect {
    /// The episode of a vulnerability, or the number of a ticket.
    pub(crate) of: String,
    pub(crate) what: What,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// An incident is opened at the pager.
    Page,
    /// An issue is created.
    Ticket,
    /// A ticket is resolved.
    Closing,
    /// A ticket's state says that the patch failed.
    Flag,
    /// A ticket gets a work note.
    Note,
    /// Something that nobody asked for.
    Other(String),
}

impl Flow {
    pub(crate) const ALL: [Self; 2] = [Self::Escalation, Self::Patches];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Escalation => "critical-vuln-escalation",
            Self::Patches => "patch-verification",
        }
    }

    pub(crate) fn library(self) -> Library {
        match self {
            Self::Escalation => ESCALATION,
            Self::Patches => PATCHES,
        }
    }

    /// A company with a handful of effects, some of every sort.
    pub(crate) fn small(self) -> &'static str {
        match self {
            // Two vulnerabilities that both scanners see.
            Self::Escalation => "generated:seed=3,findings=8,detections=6,cves=2,assets=4",
            // Tickets of every outcome: verified, failed, inconclusive.
            Self::Patches => "generated:seed=18,findings=0,detections=0,tickets=4",
        }
    }

    /// The vendors that it reads from.
    pub(crate) fn sources(self) -> &'static [Vendor] {
        match self {
            Self::Escalation => &[Vendor::Wiz, Vendor::Qualys],
            Self::Patches => &[Vendor::Qualys, Vendor::CrowdStrike],
        }
    }

    /// The operations that write, as fault rules name them.
    pub(crate) fn writes(self) -> &'static [&'static str] {
        match self {
            Self::Escalation => &["pagerduty.incidents.create", "jira.issues.create"],
            Self::Patches => &["servicenow.table.update"],
        }
    }
}

/// What a workflow has to bring about in a scenario, each once.
pub(crate) fn intended(
    flow: Flow,
    scenario: &str,
    simulators: &Simulators,
) -> Result<BTreeSet<Effect>> {
    let effect = |of: &str, what| Effect { of: of.to_owned(), what };
    let mut intended = BTreeSet::new();
    match flow {
        Flow::Escalation => {
            let Scenario::Generated(size) = scenario.parse()? else {
                anyhow::bail!("only of generated scenarios it is known what they hold");
            };
            // Every CVE of a generated scenario is critical, and its first rows name each once.
            anyhow::ensure!(size.critical == 100 && size.findings >= size.cves);
            for n in 1..=size.cves {
                let of = format!("{}/CVE-2099-{n:05}/1", flow.name());
                intended.extend([effect(&of, What::Page), effect(&of, What::Ticket)]);
            }
        }
        Flow::Patches => {
            let tickets = simulators.control().tickets();
            for ticket in tickets.iter().filter(|ticket| ticket.table == "incident") {
                let state = match ticket.expected {
                    Some(Expected::Verified) => Some(What::Closing),
                    Some(Expected::Failed) => Some(What::Flag),
                    Some(Expected::Inconclusive) => None,
                    Some(Expected::Unusable) | None => continue,
                };
                intended.extend(state.map(|what| effect(&ticket.number, what)));
                intended.insert(effect(&ticket.number, What::Note));
            }
        }
    }
    Ok(intended).and_then(|all: BTreeSet<_>| {
        (!all.is_empty()).then_some(all).context("a scenario in which nothing has to happen")
    })
}
