//! What is asked of `vulnerabilityFindings`, and what a page of it says.
//!
//! Only fields that ARX uses are asked for. Everything in a page may be null or of another kind
//! than documented ([`super::loose`]); what the filter asked for is checked again here, because
//! a filter that a server ignores must not escalate findings nobody asked about.

use std::borrow::Cow;

use arx_types::{Asset, Digest, Finding, Severity};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::loose::{Flag, Many, Number, Object, Tags, Text};
use crate::text;

/// Largest page that clients trust for findings.
pub(super) const PAGE_SIZE_MAX: u64 = 500;
/// How much of a page's end is looked through for its `pageInfo`.
const PEEK_BYTES: usize = 4096;
/// Longest title, in bytes.
const TITLE_BYTES_MAX: usize = 160;

/// What an asset is called that the tenant's schema or the finding says nothing about.
const UNKNOWN_ASSET: &str = "unknown asset";

/// Field sets, richest first. A field or fragment that the tenant's schema lacks fails the whole
/// query, so that the next set is tried; the last one holds what no schema lacks.
pub(super) const FIELD_SETS: &[&str] = &[
    "id vulnerabilityExternalId portalUrl name CVEDescription description remediation severity \
     score status firstDetectedAt detailedName version fixedVersion link hasExploit \
     hasCisaKevExploit epssProbability projects { name riskProfile { businessImpact } } \
     vulnerableAsset { ... on VulnerableAssetBase { id type name providerUniqueId \
     subscriptionName subscriptionExternalId tags hasLimitedInternetExposure \
     hasWideInternetExposure } }",
    "id portalUrl name CVEDescription description remediation severity score status \
     firstDetectedAt detailedName version fixedVersion hasExploit hasCisaKevExploit \
     vulnerableAsset { ... on VulnerableAssetBase { id type name subscriptionName } }",
    "id name severity status description remediation detailedName version fixedVersion",
];

/// What a read asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) severities: Vec<Severity>,
    pub(super) project_ids: Vec<String>,
    pub(super) page_size: u64,
}

impl Wanted {
    /// Reads the parameters of `findings:read`.
    pub(super) fn from_params(params: &Value) -> Result<Self, String> {
        let empty = Map::new();
        let params = match params {
            Value::Null => &empty,
            Value::Object(params) => params,
            _ => return Err("parameters must be named".to_owned()),
        };
        const KNOWN: &[&str] = &["severities", "project_ids", "page_size"];
        if let Some(unknown) = params.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let shown = text::one_line(unknown, 80);
            return Err(format!("no parameter `{shown}`; there are {}", KNOWN.join(", ")));
        }
        let mut severities = Vec::new();
        for word in texts(params.get("severities"), "severities")?.unwrap_or(vec!["CRITICAL"]) {
            let severity = Severity::parse(word).filter(|severity| *severity != Severity::None);
            let severity = severity.ok_or_else(|| {
                let shown = text::one_line(word, 80);
                format!(
                    "`severities` holds `{shown}`; use CRITICAL, HIGH, MEDIUM, LOW or INFORMATIONAL"
                )
            })?;
            if !severities.contains(&severity) {
                severities.push(severity);
            }
        }
        if severities.is_empty() {
            return Err("`severities` is empty; name at least one, e.g. CRITICAL".to_owned());
        }
        let project_ids = texts(params.get("project_ids"), "project_ids")?.unwrap_or_default();
        let project_ids = project_ids.into_iter().map(str::to_owned).collect();
        let page_size = match params.get("page_size") {
            None | Some(Value::Null) => PAGE_SIZE_MAX,
            Some(size) => size
                .as_u64()
                .filter(|size| (1..=PAGE_SIZE_MAX).contains(size))
                .ok_or_else(|| format!("`page_size` must be from 1 to {PAGE_SIZE_MAX}"))?,
        };
        Ok(Self { severities, project_ids, page_size })
    }

    /// The request body for one page.
    pub(super) fn query(&self, fields: &str, after: Option<&str>) -> Value {
        let severities: Vec<_> = self.severities.iter().map(|severity| severity.as_str()).collect();
        // Bare lists: this filter takes no `equals`, unlike its neighbours.
        let mut filter = Map::new();
        filter.insert("severity".to_owned(), json!(severities));
        filter.insert("status".to_owned(), json!(["OPEN"]));
        if !self.project_ids.is_empty() {
            filter.insert("projectId".to_owned(), json!(self.project_ids));
        }
        let mut variables = Map::new();
        variables.insert("filterBy".to_owned(), Value::Object(filter));
        variables.insert("first".to_owned(), json!(self.page_size));
        if let Some(after) = after {
            variables.insert("after".to_owned(), json!(after));
        }
        let query = format!(
            "query VulnerabilityFindingsPage($filterBy: VulnerabilityFindingFilters, $first: Int, \
             $after: String) {{ vulnerabilityFindings(filterBy: $filterBy, first: $first, \
             after: $after) {{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        json!({ "query": query, "variables": variables })
    }
}

fn texts<'v>(value: Option<&'v Value>, name: &str) -> Result<Option<Vec<&'v str>>, String> {
    let problem = || format!("`{name}` must be a list of texts");
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(entries)) => {
            let texts: Option<Vec<_>> = entries.iter().map(Value::as_str).collect();
            texts.map(Some).ok_or_else(problem)
        }
        Some(_) => Err(problem()),
    }
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This was the last page.
    End,
    /// The cursor of the next page.
    After(String),
    /// There is more, and no way to ask for it.
    Lost(&'static str),
}

/// One page, decoded.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) findings: Vec<Finding<'a>>,
    pub(super) next: Next,
}

/// Why a body is no page.
#[derive(Debug)]
pub(super) enum NoPage {
    /// The server answered with errors.
    Errors(Value),
    /// The body is not what the protocol promises.
    Malformed(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    data: Object<Data<'a>>,
    #[serde(default)]
    errors: Value,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default, rename = "vulnerabilityFindings")]
    findings: Object<Connection<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection<'a> {
    #[serde(borrow, default)]
    nodes: Option<Many<Node<'a>>>,
    #[serde(default)]
    page_info: Object<PageInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    #[serde(default)]
    has_next_page: Flag,
    #[serde(default)]
    end_cursor: Option<String>,
}

impl PageInfo {
    fn next(self) -> Next {
        match (self.has_next_page.0, self.end_cursor) {
            (false, _) => Next::End,
            (true, Some(cursor)) if !cursor.is_empty() => Next::After(cursor),
            (true, _) => Next::Lost("there is a next page, but no cursor to ask for it"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    vulnerability_external_id: Text<'a>,
    #[serde(borrow, default)]
    portal_url: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default, rename = "CVEDescription")]
    cve_description: Text<'a>,
    #[serde(borrow, default)]
    description: Text<'a>,
    #[serde(borrow, default)]
    remediation: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(default)]
    score: Number,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    first_detected_at: Text<'a>,
    #[serde(borrow, default)]
    detailed_name: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    fixed_version: Text<'a>,
    #[serde(borrow, default)]
    link: Text<'a>,
    #[serde(default)]
    has_exploit: Flag,
    #[serde(default)]
    has_cisa_kev_exploit: Flag,
    #[serde(default)]
    epss_probability: Number,
    #[serde(borrow, default)]
    projects: Many<Project<'a>>,
    #[serde(borrow, default)]
    vulnerable_asset: Object<VulnerableAsset<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Project<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    risk_profile: Object<RiskProfile<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RiskProfile<'a> {
    #[serde(borrow, default)]
    business_impact: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct VulnerableAsset<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    provider_unique_id: Text<'a>,
    #[serde(borrow, default)]
    subscription_name: Text<'a>,
    #[serde(borrow, default)]
    subscription_external_id: Text<'a>,
    #[serde(borrow, default)]
    tags: Tags<'a>,
    #[serde(default)]
    has_limited_internet_exposure: Flag,
    #[serde(default)]
    has_wide_internet_exposure: Flag,
}

/// Reads a page.
pub(super) fn decode<'a>(text: &'a str, wanted: &Wanted) -> Result<Page<'a>, NoPage> {
    let envelope: Envelope<'a> = serde_json::from_str(text)
        .map_err(|error| NoPage::Malformed(format!("expected a page of findings: {error}")))?;
    if !text::is_object(text.as_bytes()) {
        return Err(NoPage::Malformed("the reply is no object".to_owned()));
    }
    // Data together with errors is partial data, and partial data is no page.
    if has_errors(&envelope.errors) {
        return Err(NoPage::Errors(envelope.errors));
    }
    let malformed = |what: &str| NoPage::Malformed(what.to_owned());
    let data = envelope.data.0.ok_or_else(|| malformed("the reply holds no data"))?;
    let connection =
        data.findings.0.ok_or_else(|| malformed("the reply holds no vulnerabilityFindings"))?;
    let nodes = connection.nodes.ok_or_else(|| malformed("the reply holds no nodes"))?.0;
    let next = match connection.page_info.0 {
        Some(info) => info.next(),
        None => Next::Lost("the page does not say whether it is the last"),
    };
    let next = match next {
        Next::After(_) if nodes.is_empty() => {
            Next::Lost("an empty page says that there is a next one")
        }
        next => next,
    };
    let findings = nodes.into_iter().filter_map(|node| finding(node, wanted)).collect();
    Ok(Page { findings, next })
}

/// The `pageInfo` of a body that has not been decoded yet, from its last bytes.
///
/// Inside a JSON text the quotes would be escaped, so that the name is found only as a key; the
/// decoder confirms what it says.
pub(super) fn peek_next(body: &[u8]) -> Option<Next> {
    const KEY: &[u8] = b"\"pageInfo\"";
    let tail = body.get(body.len().saturating_sub(PEEK_BYTES)..)?;
    let at = tail.windows(KEY.len()).rposition(|window| window == KEY)?;
    let rest = tail.get(at + KEY.len()..)?.trim_ascii_start().strip_prefix(b":")?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<PageInfo>();
    values.next()?.ok().map(PageInfo::next)
}

/// Whether a reply's `errors` says that something went wrong.
pub(super) fn has_errors(errors: &Value) -> bool {
    match errors {
        Value::Null => false,
        Value::Array(errors) => !errors.is_empty(),
        _ => true,
    }
}

fn finding<'a>(node: Node<'a>, wanted: &Wanted) -> Option<Finding<'a>> {
    let status = node.status.0.trim();
    if !(status.is_empty() || status.eq_ignore_ascii_case("OPEN")) {
        return None;
    }
    let severity = match Severity::parse(node.severity.0.trim()) {
        Some(severity) if severity != Severity::None => severity,
        // No severity, or one with an unknown word: the filter has matched it all the same, so
        // it counts as the least that was asked for.
        _ => wanted.severities.iter().copied().min().unwrap_or_default(),
    };
    if !wanted.severities.contains(&severity) {
        return None;
    }

    let external = trimmed(node.vulnerability_external_id.0);
    let name = trimmed(node.name.0);
    let mut aliases = Vec::new();
    let vulnerability = if name.is_empty() {
        external
    } else {
        // Two different CVEs are two vulnerabilities; the name is the one that counts.
        let is_alias = is_vulnerability_id(&external)
            && !external.eq_ignore_ascii_case(&name)
            && !(is_cve(&external) && is_cve(&name));
        if is_alias {
            aliases.push(external);
        }
        name
    };

    let mut asset = node.vulnerable_asset.0.unwrap_or_default();
    if asset.id.0.is_empty() {
        asset.id = if asset.provider_unique_id.0.is_empty() {
            asset.name.clone()
        } else {
            asset.provider_unique_id.clone()
        };
    }
    let id = if node.id.0.is_empty() {
        row_id(&vulnerability, &asset.id.0, &node.detailed_name.0, &node.version.0)
    } else {
        node.id.0
    };
    if asset.name.0.is_empty() {
        asset.name =
            if asset.id.0.is_empty() { Text(UNKNOWN_ASSET.into()) } else { asset.id.clone() };
    }
    if asset.id.0.is_empty() {
        // Nothing tells this asset from another, so each finding has its own.
        asset.id = Text(id.clone());
    }
    let vulnerability = if vulnerability.is_empty() { id.clone() } else { vulnerability };
    let projects = node.projects.0;
    let business_impact = projects.iter().map(business_impact).max().unwrap_or_default();

    let description =
        if node.cve_description.0.is_empty() { node.description.0 } else { node.cve_description.0 };
    Some(Finding {
        id,
        vulnerabilities: vec![vulnerability],
        aliases,
        asset: Asset {
            id: asset.id.0,
            name: asset.name.0,
            kind: asset.kind.0,
            subscription: if asset.subscription_name.0.is_empty() {
                asset.subscription_external_id.0
            } else {
                asset.subscription_name.0
            },
            projects: projects
                .into_iter()
                .map(|project| project.name.0)
                .filter(|name| !name.is_empty())
                .collect(),
            tags: asset.tags.0,
            business_impact,
            internet_facing: asset.has_wide_internet_exposure.0
                || asset.has_limited_internet_exposure.0,
        },
        severity,
        qualys_severity: 0,
        cvss_tenths: node.score.0.and_then(tenths),
        epss_millionths: node.epss_probability.0.and_then(millionths),
        known_exploited: node.has_cisa_kev_exploit.0,
        public_exploit: node.has_exploit.0,
        title: title(&description, &node.detailed_name.0),
        package: package(node.detailed_name.0, &node.version.0),
        description,
        remediation: node.remediation.0,
        fixed_version: node.fixed_version.0,
        url: if node.portal_url.0.is_empty() { node.link.0 } else { node.portal_url.0 },
        first_seen: node.first_detected_at.0,
    })
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// `CVE-`, four digits of the year, `-`, four or more digits.
pub(super) fn is_cve(text: &str) -> bool {
    let Some((prefix, rest)) = text.split_once('-') else { return false };
    let Some((year, number)) = rest.split_once('-') else { return false };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    prefix.eq_ignore_ascii_case("CVE")
        && year.len() == 4
        && digits(year)
        && number.len() >= 4
        && digits(number)
}

/// Whether a text has the shape of a public identifier (`GHSA-…`, `RHSA-2024:1234`), not that of
/// a row id or a sentence.
fn is_vulnerability_id(text: &str) -> bool {
    const BYTES_MAX: usize = 64;
    let prefix = text.split('-').next().unwrap_or_default();
    text.len() <= BYTES_MAX
        && prefix.len() < text.len()
        && prefix.len() >= 2
        && prefix.bytes().all(|byte| byte.is_ascii_alphabetic())
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte))
}

/// An identifier for a row that has none, from what makes it distinct.
fn row_id(vulnerability: &str, asset: &str, package: &str, version: &str) -> Cow<'static, str> {
    let text = [vulnerability, asset, package, version].join("\n");
    Cow::Owned(format!("row-{}", Digest::of_bytes(text.as_bytes()).short()))
}

fn business_impact(project: &Project<'_>) -> u8 {
    let Some(profile) = &project.risk_profile.0 else { return 0 };
    match profile.business_impact.0.trim() {
        "HBI" => 3,
        "MBI" => 2,
        "LBI" => 1,
        _ => 0,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range")]
fn tenths(score: f64) -> Option<u8> {
    (0.0..=10.0).contains(&score).then(|| (score * 10.0).round() as u8)
}

/// A probability, written as a fraction or as a percentage.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range")]
fn millionths(probability: f64) -> Option<u32> {
    match probability {
        p if (0.0..=1.0).contains(&p) => Some((p * 1e6).round() as u32),
        p if (1.0..=100.0).contains(&p) => Some((p * 1e4).round() as u32),
        _ => None,
    }
}

/// The first sentence of a description, or the package where there is none.
fn title<'a>(description: &Cow<'a, str>, package: &Cow<'a, str>) -> Cow<'a, str> {
    match description {
        Cow::Borrowed(text) if !text.trim().is_empty() => Cow::Borrowed(first_sentence(text)),
        Cow::Owned(text) if !text.trim().is_empty() => Cow::Owned(first_sentence(text).to_owned()),
        _ => package.clone(),
    }
}

fn first_sentence(text: &str) -> &str {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let sentence = line.split_once(". ").map_or(line, |(first, _)| first);
    let sentence = match sentence.get(..floor_char_boundary(sentence, TITLE_BYTES_MAX)) {
        Some(short) if short.len() < sentence.len() => {
            short.rsplit_once(' ').map_or(short, |(words, _)| words)
        }
        _ => sentence,
    };
    sentence.trim().trim_end_matches('.')
}

fn floor_char_boundary(text: &str, bytes_max: usize) -> usize {
    let end = text.len().min(bytes_max);
    (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

fn package<'a>(name: Cow<'a, str>, version: &str) -> Cow<'a, str> {
    match (name.is_empty(), version.is_empty()) {
        (_, true) => name,
        (true, false) => Cow::Owned(version.to_owned()),
        (false, false) => Cow::Owned(format!("{name} {version}")),
    }
}
