//! Which fields the simulated Wiz schema has, and pruning of values to what a query selects.
//!
//! A field outside this table is refused, and so is a fragment on an unknown union member: one
//! wrong name fails the whole query, as it does at the vendor.

use serde_json::{Map, Value};

use super::graphql::{Field, Refused, Selection};

/// Type name, then its fields; `field>Type` has sub-fields.
const TYPES: &[(&str, &str)] = &[
    (
        "VulnerabilityFinding",
        "id vulnerabilityExternalId portalUrl name CVEDescription CVSSSeverity severity \
         vendorSeverity nvdSeverity score exploitabilityScore impactScore cnaScore vendorScore \
         dataSourceName hasExploit hasCisaKevExploit isHighProfileThreat status firstDetectedAt \
         lastDetectedAt resolvedAt resolutionReason description remediation detailedName version \
         fixedVersion recommendedVersion fixDate publishedDate detectionMethod link locationPath \
         epssSeverity epssPercentile epssProbability validatedInRuntime layerMetadata>LayerMetadata \
         projects>Project ignoreRules>IgnoreRule cvssv2>CVSSv2 cvssv3>CVSSv3 \
         relatedIssueAnalytics>IssueAnalytics vulnerableAsset>VulnerableAsset",
    ),
    ("LayerMetadata", "id details isBaseLayer"),
    ("Project", "id name slug businessUnit riskProfile>ProjectRiskProfile"),
    ("ProjectRiskProfile", "businessImpact"),
    ("IgnoreRule", "id name enabled expiredAt"),
    (
        "CVSSv2",
        "attackVector attackComplexity confidentialityImpact integrityImpact privilegesRequired \
         userInteractionRequired",
    ),
    (
        "CVSSv3",
        "attackVector attackComplexity confidentialityImpact integrityImpact privilegesRequired \
         userInteractionRequired",
    ),
    (
        "IssueAnalytics",
        "issueCount criticalSeverityCount highSeverityCount mediumSeverityCount lowSeverityCount \
         informationalSeverityCount",
    ),
    ("Issue", "id type status severity createdAt url sourceRule>SourceRule entitySnapshot>Entity"),
    ("SourceRule", "id name"),
    ("Entity", "id type name"),
    ("PageInfo", "hasNextPage endCursor"),
    ("ComputeInstanceGroup", "id externalId name replicaCount tags"),
];

/// What every member of the asset union has.
const ASSET_BASE: &str = "id type name region providerUniqueId cloudProviderURL cloudPlatform \
     status subscriptionName subscriptionExternalId subscriptionId tags \
     hasLimitedInternetExposure hasWideInternetExposure isAccessibleFromVPN \
     isAccessibleFromOtherVnets isAccessibleFromOtherSubscriptions nativeType";

/// Union members and what they add to the base; `-` takes a base field away.
const ASSET_MEMBERS: &[(&str, &str)] = &[
    ("VulnerableAssetBase", ""),
    (
        "VulnerableAssetVirtualMachine",
        "operatingSystem ipAddresses imageName computeInstanceGroup>ComputeInstanceGroup",
    ),
    ("VulnerableAssetServerless", "runtime"),
    (
        "VulnerableAssetContainerImage",
        "imageId scanSource registry repository executionControllers",
    ),
    (
        "VulnerableAssetContainer",
        "ImageExternalId VmExternalId ServerlessContainer PodNamespace PodName NodeName",
    ),
    (
        "VulnerableAssetRepositoryBranch",
        "repositoryId repositoryName -subscriptionName -subscriptionExternalId -subscriptionId",
    ),
    ("VulnerableAssetRepository", ""),
    ("VulnerableAssetIde", ""),
    ("VulnerableAssetEndpoint", ""),
    ("VulnerableAssetPaaSResource", ""),
    ("VulnerableAssetVirtualMachineImage", ""),
    ("VulnerableAssetNetworkAddress", ""),
    ("VulnerableAssetCommon", ""),
    ("VulnerableAssetDevice", ""),
    ("VulnerableAssetArtifact", ""),
];

const RULE_MEMBERS: [&str; 3] = ["Control", "CloudConfigurationRule", "CloudEventRule"];

/// What a field leads to: nothing (a scalar or a JSON blob) or a type.
fn lookup<'t>(table: &'t str, name: &str) -> Option<Option<&'t str>> {
    table.split_whitespace().find_map(|entry| {
        let (field, to) = match entry.split_once('>') {
            Some((field, to)) => (field, Some(to)),
            None => (entry, None),
        };
        (field == name).then_some(to)
    })
}

fn field_of(type_name: &str, name: &str) -> Option<Option<&'static str>> {
    if name == "__typename" {
        return Some(None);
    }
    if let Some((_, extra)) = ASSET_MEMBERS.iter().find(|(member, _)| *member == type_name) {
        if extra.split_whitespace().any(|e| e.strip_prefix('-') == Some(name)) {
            return None;
        }
        return lookup(extra, name).or_else(|| lookup(ASSET_BASE, name));
    }
    let (_, fields) = TYPES.iter().find(|(known, _)| *known == type_name)?;
    lookup(fields, name)
}

/// Refuses selections that the schema does not have.
pub(super) fn validate(type_name: &str, selections: &[Selection]) -> Result<(), Refused> {
    for selection in selections {
        match selection {
            Selection::Field(field) => validate_field(type_name, field)?,
            Selection::Fragment { on, selections } => {
                let on = on.as_deref().unwrap_or(type_name);
                let is_known = match type_name {
                    "VulnerableAsset" => ASSET_MEMBERS.iter().any(|(member, _)| *member == on),
                    "SourceRule" => RULE_MEMBERS.contains(&on),
                    _ => on == type_name,
                };
                if !is_known {
                    return Err(format!("Unknown type \"{on}\"."));
                }
                let inner = if type_name == "SourceRule" { type_name } else { on };
                validate(inner, selections)?;
            }
        }
    }
    Ok(())
}

fn validate_field(type_name: &str, field: &Field) -> Result<(), Refused> {
    let name = &field.name;
    match (field_of(type_name, name), field.selections.is_empty()) {
        (None, _) => Err(format!("Cannot query field \"{name}\" on type \"{type_name}\".")),
        (Some(None), true) => Ok(()),
        (Some(None), false) => {
            Err(format!("Field \"{name}\" must not have a selection since it has no subfields."))
        }
        (Some(Some(to)), true) => {
            Err(format!("Field \"{name}\" of type \"{to}\" must have a selection of subfields."))
        }
        (Some(Some(to)), false) => validate(to, &field.selections),
    }
}

/// The part of a value that the selections ask for, in their order.
pub(super) fn prune(value: &Value, selections: &[Selection]) -> Value {
    match value {
        Value::Object(object) => {
            let mut kept = Map::new();
            keep(object, selections, &mut kept);
            Value::Object(kept)
        }
        Value::Array(items) => items.iter().map(|item| prune(item, selections)).collect(),
        other => other.clone(),
    }
}

fn keep(object: &Map<String, Value>, selections: &[Selection], kept: &mut Map<String, Value>) {
    for selection in selections {
        match selection {
            Selection::Field(field) => {
                let value = object.get(&field.name).unwrap_or(&Value::Null);
                let value = if field.selections.is_empty() {
                    value.clone()
                } else {
                    prune(value, &field.selections)
                };
                kept.insert(field.key().to_owned(), value);
            }
            Selection::Fragment { on, selections } => {
                let here = object.get("__typename").and_then(Value::as_str);
                let applies = on.as_deref().is_none_or(|on| {
                    here.is_none_or(|here| here == on) || on == "VulnerableAssetBase"
                });
                if applies {
                    keep(object, selections, kept);
                }
            }
        }
    }
}
