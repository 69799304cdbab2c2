//! Findings as JSON, fast: what a query selects of each weakness and asset is rendered once, and a
//! page is put together from those pieces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};

use super::graphql::Selection;
use super::schema;
use crate::estate::{
    Asset, AssetKind, Cvss, Estate, Finding, Project, Severity, Weakness, push_time, push_uuid,
};
use crate::ledger::lock;

/// Distinct selections whose pieces are kept.
const PLANS_MAX: usize = 8;

/// Fields that belong to the finding itself, not to its weakness or its asset.
const OWN_FIELDS: [&str; 6] =
    ["id", "portalUrl", "status", "firstDetectedAt", "lastDetectedAt", "resolvedAt"];

/// A piece of a reply is sealed once it is this large: small enough for the allocator to reuse.
const PIECE_BYTES: usize = 60 * 1024;

/// A reply's text in pieces, so that a large page is neither moved nor copied while it grows.
#[derive(Default)]
pub(super) struct Text {
    sealed: Vec<Bytes>,
    open: String,
}

impl Text {
    pub fn push(&mut self, text: &str) {
        self.open.push_str(text);
    }

    pub fn comma(&mut self, is_due: bool) {
        if is_due {
            self.open.push(',');
        }
    }

    /// A field's key and its colon, after a comma unless the object was just opened.
    pub fn key(&mut self, key: &str) {
        self.comma(!self.open.ends_with('{'));
        self.open.push_str(&Value::from(key).to_string());
        self.open.push(':');
    }

    pub fn append(&mut self, other: Self) {
        self.seal();
        self.sealed.extend(other.sealed);
        self.open = other.open;
    }

    pub fn into_pieces(mut self) -> Vec<Bytes> {
        self.seal();
        self.sealed
    }

    fn seal(&mut self) {
        let piece = std::mem::take(&mut self.open);
        if !piece.is_empty() {
            self.sealed.push(piece.into());
        }
    }

    fn seal_if_large(&mut self) {
        if self.open.len() >= PIECE_BYTES {
            self.seal();
            self.open.reserve(PIECE_BYTES + PIECE_BYTES / 8);
        }
    }
}

/// What is rendered once for one selection.
pub(super) struct Plan {
    own: Vec<(String, &'static str)>,
    weaknesses: Vec<String>,
    assets: Vec<String>,
}

#[derive(Default)]
pub(super) struct Plans {
    by_selection: Mutex<HashMap<String, Arc<Plan>>>,
}

impl Plans {
    pub fn get(&self, estate: &Estate, selections: &[Selection]) -> Arc<Plan> {
        let key = format!("{selections:?}");
        if let Some(plan) = lock(&self.by_selection).get(&key) {
            return plan.clone();
        }
        let plan = Arc::new(Plan::new(estate, selections));
        let mut kept = lock(&self.by_selection);
        if kept.len() >= PLANS_MAX {
            kept.clear();
        }
        kept.insert(key, plan.clone());
        plan
    }
}

impl Plan {
    fn new(estate: &Estate, selections: &[Selection]) -> Self {
        let mut flat = Vec::new();
        flatten(selections, &mut flat);
        let (own, rest): (Vec<_>, Vec<_>) = flat.into_iter().partition(
            |s| matches!(s, Selection::Field(f) if OWN_FIELDS.contains(&f.name.as_str())),
        );
        let own = own
            .iter()
            .filter_map(|selection| match selection {
                Selection::Field(field) => {
                    let name = OWN_FIELDS.iter().find(|name| **name == field.name)?;
                    Some((format!("{}:", Value::String(field.key().to_owned())), *name))
                }
                Selection::Fragment { .. } => None,
            })
            .collect();
        let (asset_part, weakness_part): (Vec<_>, Vec<_>) = rest.into_iter().partition(|s| {
            matches!(s, Selection::Field(f) if f.name == "vulnerableAsset" || f.name == "projects")
        });
        let pieces = |value: Value, part: &[Selection]| {
            let text = schema::prune(&value, part).to_string();
            // Without the braces: pieces are joined inside one object.
            text.get(1..text.len() - 1).unwrap_or_default().to_owned()
        };
        Self {
            own,
            weaknesses: estate
                .weaknesses
                .iter()
                .map(|weakness| pieces(weakness_json(weakness), &weakness_part))
                .collect(),
            assets: estate
                .assets
                .iter()
                .map(|asset| pieces(asset_part_json(estate, asset), &asset_part))
                .collect(),
        }
    }

    /// Appends one node.
    pub fn push(&self, text: &mut Text, finding: &Finding) {
        self.push_node(&mut text.open, finding);
        text.seal_if_large();
    }

    fn push_node(&self, out: &mut String, finding: &Finding) {
        out.push('{');
        for (key, name) in &self.own {
            out.push_str(key);
            match *name {
                "id" => {
                    out.push('"');
                    push_uuid(out, finding.id);
                    out.push('"');
                }
                "portalUrl" => {
                    out.push_str(
                        "\"https://app.wiz.io/explorer/vulnerability-findings#~(entity~(~'",
                    );
                    push_uuid(out, finding.id);
                    out.push_str("*2cSECURITY_TOOL_FINDING))\"");
                }
                "status" => {
                    out.push_str(if finding.resolved.is_some() {
                        "\"RESOLVED\""
                    } else {
                        "\"OPEN\""
                    });
                }
                "firstDetectedAt" => push_precise(out, finding.first_seen, finding.id),
                "lastDetectedAt" => push_quoted_time(out, finding.last_seen),
                _ => match finding.resolved {
                    Some(at) => push_quoted_time(out, at),
                    None => out.push_str("null"),
                },
            }
            out.push(',');
        }
        for pieces in [self.weaknesses.get(finding.weakness), self.assets.get(finding.asset)] {
            if let Some(piece) = pieces.filter(|piece| !piece.is_empty()) {
                out.push_str(piece);
                out.push(',');
            }
        }
        // Every piece ends in a comma; an object holds at least one.
        if out.ends_with(',') {
            out.pop();
        }
        out.push('}');
    }
}

fn push_quoted_time(out: &mut String, seconds: i64) {
    out.push('"');
    push_time(out, seconds);
    out.push('"');
}

/// Some timestamps carry microseconds: the vendor mixes precisions.
fn push_precise(out: &mut String, seconds: i64, id: u128) {
    if !id.is_multiple_of(3) {
        return push_quoted_time(out, seconds);
    }
    push_quoted_time(out, seconds);
    // Cut `Z"` and write the fraction before it.
    out.truncate(out.len() - 2);
    out.push_str(".063767Z\"");
}

/// Fragments on the finding's own type are transparent.
fn flatten(selections: &[Selection], flat: &mut Vec<Selection>) {
    for selection in selections {
        match selection {
            Selection::Field(_) => flat.push(selection.clone()),
            Selection::Fragment { selections, .. } => flatten(selections, flat),
        }
    }
}

/// Each word of a CVSS letter.
fn level(letter: &str) -> Option<&'static str> {
    Some(match letter {
        "N" => "NONE",
        "L" => "LOW",
        "H" => "HIGH",
        _ => return None,
    })
}

fn weakness_json(weakness: &Weakness) -> Value {
    let cvss = Cvss::from_vector(&weakness.vector);
    let metric = |name| crate::estate::cvss_metric(&weakness.vector, name);
    let score = cvss.map(|cvss| cvss.base);
    let nvd_severity = score.map(|score| severity_of(score).name());
    let or_null = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let vector = cvss.map(|_| {
        json!({
            "attackVector": match metric("AV") {
                "N" => "NETWORK",
                "A" => "ADJACENT",
                "L" => "LOCAL",
                _ => "PHYSICAL",
            },
            "attackComplexity": level(metric("AC")),
            "confidentialityImpact": level(metric("C")),
            "integrityImpact": level(metric("I")),
            "privilegesRequired": level(metric("PR")),
            "userInteractionRequired": metric("UI") == "R",
        })
    });
    json!({
        "__typename": "VulnerabilityFinding",
        "name": weakness.name,
        "vulnerabilityExternalId": or_null(&weakness.external_id),
        "CVEDescription": weakness.description,
        "CVSSSeverity": nvd_severity,
        "severity": weakness.severity.name(),
        "vendorSeverity": weakness.vendor_severity.name(),
        "nvdSeverity": nvd_severity,
        "score": score,
        "exploitabilityScore": cvss.map(|cvss| cvss.exploitability),
        "impactScore": cvss.map(|cvss| cvss.impact),
        "cnaScore": null,
        "vendorScore": null,
        "dataSourceName": weakness.source,
        "hasExploit": weakness.has_exploit,
        "hasCisaKevExploit": weakness.is_kev,
        "isHighProfileThreat": weakness.is_kev && weakness.severity == Severity::Critical,
        "resolutionReason": null,
        "description": format!(
            "{}. The package `{}` version `{}` was detected at `{}`.",
            weakness.title, weakness.package, weakness.version, weakness.path
        ),
        "remediation": weakness.remediation,
        "detailedName": weakness.package,
        "version": weakness.version,
        "fixedVersion": weakness.fixed_version,
        "recommendedVersion": weakness.fixed_version,
        "fixDate": null,
        "publishedDate": or_null(&weakness.published),
        "detectionMethod": weakness.method,
        "link": or_null(&weakness.link),
        "locationPath": weakness.path,
        "epssSeverity": weakness.epss.map(|p| if p > 0.5 { "CRITICAL" } else { "LOW" }),
        "epssPercentile": weakness.epss.map(|p| if p > 0.9 { 99.9 } else { p * 100.0 }),
        "epssProbability": weakness.epss,
        "validatedInRuntime": null,
        "layerMetadata": null,
        "ignoreRules": [],
        "cvssv2": null,
        "cvssv3": vector,
        "relatedIssueAnalytics": {
            "issueCount": i32::from(weakness.severity == Severity::Critical),
            "criticalSeverityCount": i32::from(weakness.severity == Severity::Critical),
            "highSeverityCount": 0,
            "mediumSeverityCount": 0,
            "lowSeverityCount": 0,
            "informationalSeverityCount": 0,
        },
    })
}

fn severity_of(score: f64) -> Severity {
    match score {
        s if s >= 9.0 => Severity::Critical,
        s if s >= 7.0 => Severity::High,
        s if s >= 4.0 => Severity::Medium,
        s if s > 0.0 => Severity::Low,
        _ => Severity::Informational,
    }
}

fn asset_part_json(estate: &Estate, asset: &Asset) -> Value {
    let Some(project) = estate.project_of(asset) else {
        return json!({ "vulnerableAsset": null, "projects": [] });
    };
    json!({
        "vulnerableAsset": asset_json(asset, project),
        "projects": [{
            "id": project.id,
            "name": project.name,
            "slug": project.slug,
            "businessUnit": project.business_unit,
            "riskProfile": { "businessImpact": project.business_impact },
        }],
    })
}

fn asset_json(asset: &Asset, project: &Project) -> Value {
    let (type_name, kind, native) = match asset.kind {
        AssetKind::ContainerImage => {
            ("VulnerableAssetContainerImage", "CONTAINER_IMAGE", "docker.io#image")
        }
        AssetKind::RepositoryBranch => {
            ("VulnerableAssetRepositoryBranch", "REPOSITORY_BRANCH", "github#branch")
        }
        AssetKind::VirtualMachine | AssetKind::Unmanaged => (
            "VulnerableAssetVirtualMachine",
            "VIRTUAL_MACHINE",
            match project.platform {
                "AWS" => "ec2#instance",
                "GCP" => "compute#instance",
                _ => "Microsoft.Compute/virtualMachines",
            },
        ),
    };
    let short = asset.id.get(..8).unwrap_or_default();
    let provider_id = match project.platform {
        "AWS" => format!(
            "arn:aws:ec2:{}:{}:instance/i-0{short}",
            asset.region, project.subscription_external_id
        ),
        "GCP" => format!(
            "https://www.googleapis.com/compute/v1/projects/{}/zones/{}-a/instances/{}",
            project.subscription_external_id, asset.region, asset.name
        ),
        _ => format!(
            "/subscriptions/{}/resourcegroups/prod/providers/microsoft.compute/virtualmachines/{}",
            project.subscription_external_id, asset.name
        ),
    };
    let mut value = json!({
        "__typename": type_name,
        "id": asset.id,
        "type": kind,
        "name": asset.name,
        "region": asset.region,
        "providerUniqueId": provider_id,
        "cloudProviderURL": format!("https://console.example/{}", asset.id),
        "cloudPlatform": project.platform,
        "status": "Active",
        "subscriptionName": project.subscription,
        "subscriptionExternalId": project.subscription_external_id,
        "subscriptionId": project.subscription_id,
        "tags": {
            "environment": project.environment,
            "owner": project.owner,
            "team": project.slug,
        },
        "hasLimitedInternetExposure": asset.is_internet_facing,
        "hasWideInternetExposure": asset.is_internet_facing,
        "isAccessibleFromVPN": !asset.is_internet_facing,
        "isAccessibleFromOtherVnets": false,
        "isAccessibleFromOtherSubscriptions": false,
        "nativeType": native,
    });
    let extra = match asset.kind {
        AssetKind::ContainerImage => json!({
            "imageId": format!("sha256:{}", asset.id.replace('-', "").repeat(2)),
            "scanSource": "REGISTRY",
            "registry": "registry.harbourline.example",
            "repository": asset.name,
            "executionControllers": [],
        }),
        AssetKind::RepositoryBranch => json!({
            "repositoryId": format!("repo-{short}"),
            "repositoryName": asset.name,
        }),
        AssetKind::VirtualMachine | AssetKind::Unmanaged => json!({
            "operatingSystem": if asset.os.contains("Windows") { "Windows" } else { "Linux" },
            "ipAddresses": [asset.ip],
            "imageName": asset.os,
            "computeInstanceGroup": null,
        }),
    };
    if let (Value::Object(value), Value::Object(extra)) = (&mut value, extra) {
        value.extend(extra);
    }
    value
}
