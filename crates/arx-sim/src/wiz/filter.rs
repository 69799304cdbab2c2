//! `filterBy` of vulnerability findings: only the keys that are confirmed at the vendor.
//!
//! An unknown key, a wrong kind or an unknown enum value refuses the query; nothing is ignored.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Problem;
use crate::estate::{DAY, Estate, Finding, Severity, TODAY};

/// A filter that was read and checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Filter {
    severities: Option<BTreeSet<u8>>,
    /// Open, resolved.
    statuses: Option<(bool, bool)>,
    has_exploit: Option<bool>,
    has_fix: Option<bool>,
    projects: Option<BTreeSet<String>>,
    related_critical: Option<bool>,
    is_code_only: bool,
    updated_after: Option<i64>,
    updated_before: Option<i64>,
}

/// A filter made ready for one estate.
pub(super) struct Picks {
    weaknesses: Vec<bool>,
    assets: Vec<bool>,
    filter: Filter,
}

impl Picks {
    pub fn keeps(&self, finding: &Finding) -> bool {
        let (open, resolved) = self.filter.statuses.unwrap_or((true, false));
        // A finding's properties change when it is first seen and when it is resolved.
        let updated = finding.resolved.unwrap_or(finding.first_seen);
        (if finding.resolved.is_some() { resolved } else { open })
            && self.weaknesses.get(finding.weakness).copied().unwrap_or(false)
            && self.assets.get(finding.asset).copied().unwrap_or(false)
            && self.filter.updated_after.is_none_or(|after| updated > after)
            && self.filter.updated_before.is_none_or(|before| updated < before)
    }
}

impl Filter {
    pub fn read(value: &Value) -> Result<Self, Problem> {
        let object = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(object) => object,
            _ => return Err(wrong("")),
        };
        let mut filter = Self::default();
        for (key, value) in object {
            match key.as_str() {
                _ if value.is_null() => {}
                "severity" => {
                    filter.severities =
                        Some(severities(value)?.into_iter().map(|s| s as u8).collect());
                }
                "status" => {
                    let mut statuses = (false, false);
                    for status in words(value)? {
                        match status {
                            "OPEN" => statuses.0 = true,
                            "RESOLVED" => statuses.1 = true,
                            // Valid values that no finding of this estate has.
                            "IN_PROGRESS" | "REJECTED" => {}
                            _ => return Err(wrong(".status")),
                        }
                    }
                    filter.statuses = Some(statuses);
                }
                "hasExploit" => filter.has_exploit = Some(flag(value)?),
                "hasFix" => filter.has_fix = Some(flag(value)?),
                "projectId" => filter.projects = Some(owned(words(value)?)),
                "projectIdV2" => filter.projects = Some(owned(words(equals(value)?)?)),
                "relatedIssueSeverity" => {
                    filter.related_critical =
                        Some(severities(value)?.contains(&Severity::Critical));
                }
                "isDefaultBranch" => filter.is_code_only |= flag(equals(value)?)?,
                "codeToCloudPipelineStage" => {
                    filter.is_code_only |= words(value)?.contains(&"CODE")
                }
                "updatedAt" => filter.read_updated(value)?,
                _ => return Err(wrong(&format!(": unknown field \"{key}\""))),
            }
        }
        Ok(filter)
    }

    fn read_updated(&mut self, value: &Value) -> Result<(), Problem> {
        let Value::Object(range) = value else { return Err(wrong(".updatedAt")) };
        for (key, value) in range {
            match key.as_str() {
                "after" => self.updated_after = Some(instant(value)?),
                "before" => self.updated_before = Some(instant(value)?),
                "inLast" => self.updated_after = Some(TODAY - in_last(value)?),
                _ => return Err(wrong(&format!(".updatedAt: unknown field \"{key}\""))),
            }
        }
        Ok(())
    }

    pub fn picks(&self, estate: &Estate) -> Picks {
        use crate::estate::AssetKind;
        let weaknesses = estate
            .weaknesses
            .iter()
            .map(|w| {
                self.severities.as_ref().is_none_or(|wanted| wanted.contains(&(w.severity as u8)))
                    && self.has_exploit.is_none_or(|wanted| wanted == w.has_exploit)
                    && self.has_fix.is_none_or(|wanted| wanted == w.fixed_version.is_some())
                    && self
                        .related_critical
                        .is_none_or(|wanted| wanted && w.severity == Severity::Critical)
            })
            .collect();
        let assets = estate
            .assets
            .iter()
            .map(|asset| {
                let project = estate.project_of(asset);
                self.projects
                    .as_ref()
                    .is_none_or(|wanted| project.is_some_and(|p| wanted.contains(&p.id)))
                    && (!self.is_code_only || asset.kind == AssetKind::RepositoryBranch)
            })
            .collect();
        Picks { weaknesses, assets, filter: self.clone() }
    }
}

/// The severities an issue filter asks for; statuses other than open ones match no issue here.
pub(super) fn issue_severities(value: &Value) -> Result<Option<Vec<Severity>>, Problem> {
    let object: &Map<String, Value> = match value {
        Value::Null => return Ok(None),
        Value::Object(object) => object,
        _ => return Err(wrong("")),
    };
    let mut wanted = None;
    for (key, value) in object {
        match key.as_str() {
            "severity" => wanted = Some(severities(value)?),
            "status" => {
                if !words(value)?.contains(&"OPEN") {
                    return Ok(Some(Vec::new()));
                }
            }
            _ => return Err(wrong(&format!(": unknown field \"{key}\""))),
        }
    }
    Ok(wanted)
}

fn wrong(detail: &str) -> Problem {
    Problem::variable("filterBy", detail)
}

/// A list of enum values; GraphQL lets one value stand for a list of one.
fn words(value: &Value) -> Result<Vec<&str>, Problem> {
    match value {
        Value::String(word) => Ok(vec![word]),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().ok_or_else(|| wrong(""))).collect()
        }
        _ => Err(wrong("")),
    }
}

fn owned(words: Vec<&str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn severities(value: &Value) -> Result<Vec<Severity>, Problem> {
    words(value)?
        .into_iter()
        .map(|word| {
            let found = Severity::ALL.into_iter().find(|severity| severity.name() == word);
            found.ok_or_else(|| wrong(".severity"))
        })
        .collect()
}

fn flag(value: &Value) -> Result<bool, Problem> {
    value.as_bool().ok_or_else(|| wrong(""))
}

fn equals(value: &Value) -> Result<&Value, Problem> {
    value.get("equals").ok_or_else(|| wrong(""))
}

fn instant(value: &Value) -> Result<i64, Problem> {
    let text = value.as_str().ok_or_else(|| wrong(".updatedAt"))?;
    let at: Timestamp = text.parse().map_err(|_| wrong(".updatedAt"))?;
    Ok(at.as_second())
}

fn in_last(value: &Value) -> Result<i64, Problem> {
    let amount = value.get("amount").and_then(Value::as_i64).filter(|n| (1..=3_650).contains(n));
    let unit = match value.get("unit").and_then(Value::as_str) {
        Some("DurationFilterValueUnitDays") => DAY,
        Some("DurationFilterValueUnitHours") => 3_600,
        _ => return Err(wrong(".updatedAt")),
    };
    amount.map(|n| n * unit).ok_or_else(|| wrong(".updatedAt"))
}
