//! What became of a case: the vendors' ledgers held against what had to happen, and the audit log
//! held against the ledgers.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use arx_audit::{Leaf, LeafKind, Verdict as Decided};
use arx_journal::{Journal, JournalError, LeafFilter};
use arx_sim::{Entry, Vendor};
use arx_testkit::world::effect_key;
use serde_json::Value;

use crate::company::{Effect, Flow, What};

/// The stored value of the state in which a ticket is resolved.
const RESOLVED: &str = "6";
/// Leaves that are read at once.
const PAGE: usize = 5_000;

/// What became of a case.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// Effects that had to happen.
    pub(crate) intended: usize,
    /// Effects in the vendors' ledgers.
    pub(crate) in_ledgers: usize,
    /// Effects beyond the first of their sort, and those that nobody asked for.
    pub(crate) duplicated: usize,
    /// Effects that did not happen and that no human was told of.
    pub(crate) lost: usize,
    /// Effects of which a human was told that they may or may not have happened.
    pub(crate) left: usize,
    /// Whether the whole audit log verifies.
    pub(crate) verifies: bool,
    /// Effects in the ledgers whose permit, intent and one outcome are in the audit log.
    pub(crate) permitted: usize,
    /// Everything that is not as promised, in words.
    pub(crate) complaints: Vec<String>,
}

/// What a case left behind.
pub(crate) struct Remains {
    pub(crate) flow: Flow,
    pub(crate) intended: BTreeSet<Effect>,
    pub(crate) ledger: Vec<Entry>,
    pub(crate) leaves: Vec<Leaf>,
    /// Keys of the effects that a human has to decide.
    pub(crate) attention: BTreeSet<String>,
    /// What the check of the audit log found.
    pub(crate) findings: Vec<String>,
    /// Whether journal and vendors went by one clock, so that their times can be compared.
    pub(crate) one_clock: bool,
}

/// One write to a vendor with what it brought about.
struct Written<'e> {
    entry: &'e Entry,
    effects: Vec<Effect>,
}

impl Remains {
    /// Reads what the journal of a case says.
    pub(crate) async fn read(
        flow: Flow,
        intended: BTreeSet<Effect>,
        ledger: Vec<Entry>,
        journal: &Journal,
        one_clock: bool,
    ) -> Result<Self> {
        let (leaves, attention) = journal
            .read(|reader| {
                let mut leaves = Vec::new();
                let mut before = None;
                loop {
                    let filter = LeafFilter { before, limit: PAGE, ..LeafFilter::default() };
                    let page = reader.leaves(&filter)?;
                    before = page.last().map(|leaf| leaf.seq);
                    let n = page.len();
                    for leaf in page {
                        leaves.push(leaf.decode()?);
                    }
                    if n < PAGE {
                        break;
                    }
                }
                leaves.reverse();
                let attention = reader.effects_needing_attention()?;
                let attention = attention.into_iter().map(|effect| effect.key.to_string());
                Ok::<_, JournalError>((leaves, attention.collect()))
            })
            .await?;
        let report = journal.verify(Vec::new()).await.context("the audit log cannot be read")?;
        let mut findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        findings.extend(journal.scrub().await?.iter().map(ToString::to_string));
        Ok(Self { flow, intended, ledger, leaves, attention, findings, one_clock })
    }

    /// Adds everything up.
    pub(crate) fn judge(&self) -> Verdict {
        let written = self.written();
        let mut verdict = Verdict {
            intended: self.intended.len(),
            verifies: self.findings.is_empty(),
            complaints: self.findings.iter().map(|text| format!("audit: {text}")).collect(),
            ..Verdict::default()
        };
        let mut happened: BTreeMap<&Effect, usize> = BTreeMap::new();
        for effect in written.iter().flat_map(|written| &written.effects) {
            *happened.entry(effect).or_default() += 1;
        }
        for (effect, n) in &happened {
            verdict.in_ledgers += n;
            let due = usize::from(self.intended.contains(effect));
            if *n > due {
                verdict.duplicated += n - due;
                verdict.complaints.push(format!("{n} times: {effect:?}"));
            }
        }
        for effect in &self.intended {
            let is_left = self.attention.iter().any(|key| self.is_about(key, effect));
            verdict.left += usize::from(is_left);
            if !is_left && !happened.contains_key(effect) {
                verdict.lost += 1;
                verdict.complaints.push(format!("lost: {effect:?}"));
            }
        }
        self.hold_against_log(&written, &mut verdict);
        verdict
    }

    /// The writes in the ledgers that bring something about. Links between an incident and its
    /// issue are set again and again to the same, and are no effect of their own.
    fn written(&self) -> Vec<Written<'_>> {
        let entries = self.ledger.iter().filter(|entry| entry.operation != "remote_links.put");
        entries.map(|entry| Written { entry, effects: effects_of(entry) }).collect()
    }

    /// Whether the key that ARX gave an effect is that of something that happens at a vendor.
    fn is_about(&self, key: &str, effect: &Effect) -> bool {
        match self.flow {
            Flow::Escalation => {
                let (of, last) = key.rsplit_once('/').unwrap_or((key, ""));
                of == effect.of
                    && match effect.what {
                        What::Page => last == "page",
                        What::Ticket => last == "ticket",
                        _ => false,
                    }
            }
            Flow::Patches => key.split('/').any(|part| part == effect.of),
        }
    }

    /// INVARIANT (every effect has its record, and every record its effect): each write follows
    /// its intent, which follows its permit, and has one outcome; each outcome `done` has its
    /// write.
    fn hold_against_log(&self, written: &[Written<'_>], verdict: &mut Verdict) {
        let mut done: BTreeMap<&str, Vec<&Leaf>> = BTreeMap::new();
        for leaf in &self.leaves {
            let is_outcome = matches!(leaf.kind, LeafKind::Outcome | LeafKind::Settle);
            if is_outcome && leaf.status.as_deref() == Some("done") {
                done.entry(key_of(leaf).unwrap_or_default()).or_default().push(leaf);
            }
        }
        done.remove("");
        for (key, leaves) in done.iter().filter(|(_, leaves)| leaves.len() > 1) {
            verdict.complaints.push(format!("`{key}` is done {} times in the log", leaves.len()));
        }
        for written in written {
            let Written { entry, effects } = written;
            let about = |key: &str| effects.iter().all(|effect| self.is_about(key, effect));
            let key = done.keys().copied().find(|key| about(key));
            let left = self.attention.iter().map(String::as_str).find(|key| about(key));
            let Some(key) = key.or(left) else {
                verdict.complaints.push(format!("no outcome in the log: {}", entry.title));
                continue;
            };
            // One write, one outcome: a second write would find none.
            let outcome = done.remove(key).and_then(|leaves| leaves.first().map(|leaf| leaf.seq));
            match self.permitted(key, outcome.unwrap_or(u64::MAX), entry) {
                Ok(()) => verdict.permitted += effects.len(),
                Err(why) => verdict.complaints.push(format!("{why}: {}", entry.title)),
            }
        }
        for key in done.keys() {
            verdict.complaints.push(format!("`{key}` is done in the log and at no vendor"));
        }
    }

    /// Whether an intent, and before it its permit, precede an outcome.
    fn permitted(&self, key: &str, outcome: u64, entry: &Entry) -> Result<(), String> {
        let before = |kind: LeafKind, seq: u64| {
            let same = move |leaf: &&Leaf| leaf.kind == kind && leaf.seq < seq;
            self.leaves.iter().filter(same).filter(|leaf| key_of(leaf) == Some(key))
        };
        let intents: Vec<&Leaf> = before(LeafKind::Intent, outcome).collect();
        let first = intents.first().ok_or("no intent in the log")?;
        if self.one_clock && first.at > entry.at {
            return Err(format!("intended at {} and done at {}", first.at, entry.at));
        }
        for intent in intents {
            let decision = intent.detail.as_ref().and_then(|detail| detail.get("decision"));
            let decision = decision.and_then(Value::as_u64).ok_or("an intent names no decision")?;
            let mut decisions = before(LeafKind::Decision, intent.seq);
            let permit = decisions.find(|leaf| leaf.seq == decision).ok_or("no decision before")?;
            if permit.verdict != Some(Decided::Permit) {
                return Err("its decision is no permit".to_owned());
            }
        }
        Ok(())
    }
}

fn key_of(leaf: &Leaf) -> Option<&str> {
    leaf.action.as_ref()?.effect_key.as_deref()
}

/// What one accepted write brought about.
fn effects_of(entry: &Entry) -> Vec<Effect> {
    let key = entry.key.as_ref().and_then(effect_key).unwrap_or_default();
    let other = || What::Other(format!("{} {}", entry.vendor, entry.operation));
    let one = |of: &str, what| vec![Effect { of: of.to_owned(), what }];
    match (entry.vendor, entry.operation.as_str()) {
        (Vendor::PagerDuty, "incidents.create") => match key.strip_suffix("/page") {
            Some(episode) => one(episode, What::Page),
            None => one(key, other()),
        },
        (Vendor::Jira, "issues.create") => match key.strip_suffix("/ticket") {
            Some(episode) => one(episode, What::Ticket),
            None => one(key, other()),
        },
        (Vendor::ServiceNow, "table.update") => {
            let rows = |name: &str| {
                let rows = entry.state.get(name).and_then(Value::as_array);
                rows.into_iter().flatten()
            };
            let is = |row: &Value, field: &str, value: &str| {
                row.get(field).and_then(Value::as_str) == Some(value)
            };
            let mut effects = Vec::new();
            for change in rows("audit").filter(|row| is(row, "fieldname", "state")) {
                let closes = is(change, "newvalue", RESOLVED);
                effects.extend(one(key, if closes { What::Closing } else { What::Flag }));
            }
            for _ in rows("journal").filter(|row| is(row, "element", "work_notes")) {
                effects.extend(one(key, What::Note));
            }
            if effects.is_empty() { one(key, other()) } else { effects }
        }
        _ => one(key, other()),
    }
}
