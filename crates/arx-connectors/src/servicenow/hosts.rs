//! Hosts of tickets: configuration items, or names that people wrote.

use std::collections::BTreeMap;
use std::net::IpAddr;

use arx_gateway::{Call, CallError};
use arx_types::HostNames;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::listing::{Listing, Next};
use super::operations::sys_id;
use super::query::Query;
use super::rows::Row;
use crate::text;

/// Configuration items asked for at once; their ids make most of a request's address.
pub(super) const BATCH: usize = 100;
/// Batches in flight.
pub(super) const BATCHES_AT_ONCE: usize = 4;
/// Longest host name.
const NAME_BYTES_MAX: usize = 253;
/// Most addresses and agents that are kept of one host.
const IDENTIFIERS_MAX: usize = 20;
/// The table of all configuration items.
const TABLE: &str = "cmdb_ci";
/// Fields that may say what a host is for, the first that says counts.
const PURPOSES: [&str; 3] = ["used_for", "environment", "u_environment"];

/// What a ticket's host field refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// A configuration item.
    Item(String),
    /// A name or an address in words.
    Words(String),
}

impl Reference {
    pub fn read(value: &str) -> Self {
        sys_id(value).map_or_else(|| Self::Words(value.trim().to_owned()), Self::Item)
    }
}

/// A host and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    pub names: HostNames,
    pub environment: &'static str,
}

/// The configuration items that were looked up.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
    found: BTreeMap<String, Row>,
    /// Items that the vendor counts and does not show may be among those not found.
    hidden: bool,
    /// Why the table could not be read at all.
    pub refused: Option<String>,
    agent_id: Option<String>,
}

impl Items {
    /// Looks the items up, in batches.
    ///
    /// # Errors
    /// When the vendor cannot be reached or does not accept the credential. That the account may
    /// not read the table is no error: tickets say it.
    pub async fn read(
        call: Call<'_>,
        ids: Vec<String>,
        agent_id: Option<&str>,
    ) -> Result<Self, CallError> {
        let batches: Vec<Vec<String>> = ids.chunks(BATCH).map(<[String]>::to_vec).collect();
        let reads = batches.into_iter().map(|batch| Self::batch(call, batch, agent_id));
        let read: Result<Vec<Self>, CallError> =
            stream::iter(reads).buffered(BATCHES_AT_ONCE).try_collect().await;
        let mut items = Self { agent_id: agent_id.map(str::to_owned), ..Self::default() };
        match read {
            Ok(batches) => {
                for batch in batches {
                    items.found.extend(batch.found);
                    items.hidden |= batch.hidden;
                }
            }
            Err(error @ CallError::Refused { .. }) => items.refused = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(items)
    }

    async fn batch(
        call: Call<'_>,
        ids: Vec<String>,
        agent_id: Option<&str>,
    ) -> Result<Self, CallError> {
        let query = Query::default()
            .any_of("sys_id", ids.iter().map(String::as_str))
            .map_err(|message| call.parameters(message))?
            .order_by("sys_id");
        let mut fields = vec!["sys_id", "name", "fqdn", "host_name", "dns_domain", "ip_address"];
        fields.extend(PURPOSES);
        fields.extend(agent_id);
        let listing =
            Listing { table: TABLE, query, fields, texts: Vec::new(), page_rows: ids.len() };
        let mut found = BTreeMap::new();
        let listed = listing.read(call, |page| {
            for listable in page {
                // A row that was not asked for is no host of ours.
                let id = listable.row.filled("sys_id").and_then(sys_id);
                if let Some(id) = id.filter(|id| ids.contains(id)) {
                    found.insert(id, listable.row);
                }
            }
            Ok(if found.len() >= ids.len() { Next::Enough } else { Next::AtMost(ids.len()) })
        });
        let listed = listed.await?;
        let hidden = listed.total.is_none_or(|total| total > found.len() as u64)
            || !listed.passed_over.is_empty();
        Ok(Self { found, hidden, refused: None, agent_id: None })
    }

    /// The host that a reference means, or why there is none.
    pub fn host(&self, reference: &Reference, field: &str) -> Result<Host, String> {
        let id = match reference {
            Reference::Words(words) => return named(words, field),
            Reference::Item(id) => id,
        };
        if let Some(row) = self.found.get(id) {
            return self.item(id, row);
        }
        Err(match (&self.refused, self.hidden) {
            (Some(why), _) => format!("host: configuration item `{id}` cannot be read: {why}"),
            (None, true) => format!(
                "host: configuration item `{id}` no longer exists, or the account may not read \
                 it; correct `{field}` of the ticket"
            ),
            (None, false) => format!(
                "host: configuration item `{id}` no longer exists; correct `{field}` of the ticket"
            ),
        })
    }

    fn item(&self, id: &str, row: &Row) -> Result<Host, String> {
        let field = |name: &str| row.filled(name).unwrap_or_default();
        let mut names = HostNames { id: id.to_owned(), ..HostNames::default() };
        for name in [field("name"), field("fqdn"), field("host_name")] {
            add_name(&mut names.names, name);
        }
        let domain = field("dns_domain").trim_matches('.');
        if field("fqdn").is_empty() && !domain.is_empty() {
            let short = [field("host_name"), field("name")].into_iter().find(|n| is_host_name(n));
            if let Some(short) = short.filter(|short| !short.contains('.')) {
                add_name(&mut names.names, &format!("{short}.{domain}"));
            }
        }
        add_addresses(&mut names.ips, field("ip_address"));
        // Some name an item by its address.
        add_addresses(&mut names.ips, field("name"));
        if let Some(agent_id) = &self.agent_id {
            let gap = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
            let agents = field(agent_id).split(gap).filter(|agent| !agent.is_empty());
            names.agent_ids = agents.take(IDENTIFIERS_MAX).map(str::to_owned).collect();
        }
        if names.names.is_empty() && names.ips.is_empty() && names.agent_ids.is_empty() {
            return Err(format!(
                "host: configuration item `{id}` has no host name, FQDN or IP address that other \
                 systems could know it by; fill in `name` or `fqdn`"
            ));
        }
        let shown = [field("name"), field("fqdn"), field("host_name"), field("ip_address")];
        let shown = shown.into_iter().find(|shown| !shown.is_empty()).unwrap_or(id);
        names.name = text::one_line(shown, 120);
        let environment = PURPOSES
            .into_iter()
            .map(|name| environment(field(name)))
            .find(|environment| *environment != UNKNOWN)
            .unwrap_or(UNKNOWN);
        Ok(Host { names, environment })
    }
}

/// A host that is named in words.
fn named(words: &str, field: &str) -> Result<Host, String> {
    let mut names = HostNames { name: text::one_line(words, 120), ..HostNames::default() };
    add_name(&mut names.names, words);
    add_addresses(&mut names.ips, words);
    if names.names.is_empty() && names.ips.is_empty() {
        return Err(format!(
            "host: `{}` in `{field}` is no host name and no IP address",
            text::one_line(words, 80)
        ));
    }
    let id = names.names.first().or(names.ips.first()).map(|name| name.to_lowercase());
    names.id = format!("name:{}", id.unwrap_or_default().trim_end_matches('.'));
    Ok(Host { names, environment: UNKNOWN })
}

const UNKNOWN: &str = "unknown";

/// What a host is for, from the word in the record.
pub(super) fn environment(text: &str) -> &'static str {
    let lower = text.to_lowercase();
    let plain: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    let has = |words: &[&str]| words.iter().any(|word| plain.contains(word));
    let is = |words: &[&str]| words.contains(&plain.as_str());
    // `non-production` and `pre-production` say what they are before they say `production`.
    if has(&["nonprod", "preprod", "staging", "test", "uat", "acceptance", "training", "demo"])
        || is(&["stage", "stg", "qa", "qs", "pre", "integration", "int"])
    {
        "staging"
    } else if has(&["production", "disasterrecovery"]) || is(&["prod", "prd", "live", "dr"]) {
        "production"
    } else if has(&["develop", "sandbox"]) || is(&["dev", "lab"]) {
        "dev"
    } else {
        UNKNOWN
    }
}

/// Whether other systems could know a host by it.
fn is_host_name(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let named = name.len() <= NAME_BYTES_MAX && name.bytes().all(fit);
    named
        && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && name.parse::<IpAddr>().is_err()
}

fn add_name(names: &mut Vec<String>, name: &str) {
    let name = name.trim().trim_end_matches('.');
    if is_host_name(name) && !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        names.push(name.to_owned());
    }
}

fn add_addresses(ips: &mut Vec<String>, text: &str) {
    let gap = |c: char| c.is_whitespace() || matches!(c, ',' | ';');
    for word in text.split(gap) {
        let Ok(address) = word.parse::<IpAddr>() else { continue };
        // `0.0.0.0` and `127.0.0.1` are what a record says that knows no address.
        if address.is_unspecified() || address.is_loopback() {
            continue;
        }
        let address = address.to_string();
        if ips.len() < IDENTIFIERS_MAX && !ips.contains(&address) {
            ips.push(address);
        }
    }
}
