//! Host names as different systems write them: short or fully qualified, in any case, with a dot
//! at the end.
//!
//! Two fully qualified names of different domains are different hosts, whatever their first
//! labels; a short name may be any host of that label. What a system calls a host never decides
//! which host it is where several that were asked for could be meant: [`NameIndex`] says so.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use arx_types::HostNames;
use serde::Deserialize as _;
use serde_json::Value;

/// Longest name (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Hosts of one read.
const HOSTS_MAX: usize = 50_000;

/// The hosts that a read asks for.
pub(crate) fn hosts(value: Option<&Value>) -> Result<Vec<HostNames>, String> {
    let value = value.ok_or("`hosts` is missing; write a list of hosts")?;
    let hosts = Vec::<HostNames>::deserialize(value).map_err(|_| {
        "`hosts` must be a list of hosts, each with `id`, `name`, `names`, `ips` and `agent_ids`"
    })?;
    if hosts.len() > HOSTS_MAX {
        return Err(format!("`hosts` names {} hosts; at most {HOSTS_MAX}", hosts.len()));
    }
    Ok(hosts)
}

/// A name without white space around it and without a dot at its end, where it is one: letters,
/// digits, `.`, `_` and `-` alone, so that it holds nothing that a query language reads.
pub(crate) fn usable(name: &str) -> Option<&str> {
    let name = name.trim().trim_end_matches('.');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain);
    (fits && !name.starts_with('.')).then_some(name)
}

/// The first label of a name; an address has no labels.
pub(crate) fn short(name: &str) -> &str {
    if is_address(name) { name } else { name.split('.').next().unwrap_or(name) }
}

/// Whether a name is an address.
pub(crate) fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

/// Whether a name is fully qualified.
pub(crate) fn is_qualified(name: &str) -> bool {
    !is_address(name) && name.contains('.')
}

/// Whether two names may be one host's.
pub(crate) fn alike(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
        || (!(is_qualified(a) && is_qualified(b)) && short(a).eq_ignore_ascii_case(short(b)))
}

/// The hosts that were asked for, by their names.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    /// By first label, in lower case: the host and its name in lower case.
    by_label: HashMap<String, Vec<(usize, String)>>,
    /// Fully qualified names of the hosts that have any.
    qualified: HashMap<usize, BTreeSet<String>>,
}

/// The hosts that the names of one record may mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The hosts, in the order in which they were asked for.
    pub(crate) hosts: Vec<usize>,
    /// Those of them that are different hosts, of which the record can be only one.
    pub(crate) contested: Vec<usize>,
}

impl NameIndex {
    /// The hosts in the order in which they are asked for.
    pub(crate) fn new(hosts: &[HostNames]) -> Self {
        let mut index = Self::default();
        for (host, names) in hosts.iter().enumerate() {
            for name in names.names.iter().filter_map(|name| usable(name)) {
                let name = name.to_ascii_lowercase();
                if is_qualified(&name) {
                    index.qualified.entry(host).or_default().insert(name.clone());
                }
                index.by_label.entry(short(&name).to_owned()).or_default().push((host, name));
            }
        }
        index
    }

    /// The hosts that a record with these names may be.
    pub(crate) fn claims<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Claims {
        let names: BTreeSet<String> =
            names.into_iter().filter_map(usable).map(str::to_ascii_lowercase).collect();
        let is_qualified_record = names.iter().any(|name| is_qualified(name));
        let mut found: BTreeSet<usize> = BTreeSet::new();
        for name in &names {
            let asked = self.by_label.get(short(name)).into_iter().flatten();
            found.extend(asked.filter(|(_, asked)| alike(asked, name)).map(|(host, _)| *host));
        }
        // Two domains are two hosts, also where their short names are one.
        let of = |host: &usize| self.qualified.get(host);
        if is_qualified_record {
            found.retain(|host| of(host).is_none_or(|asked| !asked.is_disjoint(&names)));
            return Claims { hosts: found.into_iter().collect(), contested: Vec::new() };
        }
        let in_domains: Vec<usize> =
            found.iter().copied().filter(|host| of(host).is_some()).collect();
        let mut domains = in_domains.iter().filter_map(of);
        let common = domains.next().cloned().unwrap_or_default();
        let common = domains.fold(common, |common, names| &common & names);
        let contested = if common.is_empty() { in_domains } else { Vec::new() };
        Claims { hosts: found.into_iter().collect(), contested }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_a_query_could_misread_are_not_used() {
        #[track_caller]
        fn check(name: &str, expected: Option<&str>) {
            assert_eq!(usable(name), expected);
        }
        check("web-01", Some("web-01"));
        check(" Web_01.Example.com. ", Some("Web_01.Example.com"));
        check("10.0.0.1", Some("10.0.0.1"));
        for name in ["", " ", ".", "..", "a b", "a'b", "a\\b", "a*", "a,b", "bücher", ".a", "a\0"]
        {
            check(name, None);
        }
        check(&"a".repeat(253), Some(&"a".repeat(253)));
        check(&"a".repeat(254), None);
    }

    #[test]
    fn names_are_alike_by_label_unless_both_have_a_domain() {
        #[track_caller]
        fn check(a: &str, b: &str, expected: bool) {
            assert_eq!((alike(a, b), alike(b, a)), (expected, expected));
        }
        check("web01", "WEB01", true);
        check("web01", "web01.example.com", true);
        check("web01.example.com", "WEB01.EXAMPLE.COM", true);
        check("web01.example.com", "web01.example.org", false);
        check("web01", "web011", false);
        check("10.0.0.1", "10.0.0.2", false);
        check("10.0.0.1", "10", false);
    }

    #[test]
    fn a_record_is_claimed_by_the_hosts_that_it_may_be() {
        #[track_caller]
        fn check(asked: &[&[&str]], record: &[&str], hosts: &[usize], contested: &[usize]) {
            let asked: Vec<HostNames> = asked
                .iter()
                .map(|names| HostNames {
                    names: names.iter().map(|name| (*name).to_owned()).collect(),
                    ..HostNames::default()
                })
                .collect();
            let claims = NameIndex::new(&asked).claims(record.iter().copied());
            assert_eq!((claims.hosts.as_slice(), claims.contested.as_slice()), (hosts, contested));
        }
        check(&[&["web01"], &["db01"]], &["WEB01"], &[0], &[]);
        check(&[&["web01"], &["web01.a.example"]], &["web01.a.example"], &[0, 1], &[]);
        check(&[&["web01.a.example"]], &["web01"], &[0], &[]);
        check(&[&["web01.a.example"]], &["web01.b.example"], &[], &[]);
        check(&[&["web01", "web01.a.example"]], &["web01.b.example"], &[], &[]);
        check(&[&["web01.a.example"]], &["web01.b.example", "WEB01"], &[], &[]);
        check(&[&["web01.a.example"], &["web01.b.example"]], &["web01"], &[0, 1], &[0, 1]);
        check(&[&["web01.a.example"], &["web01.b.example"]], &["web01.a.example"], &[0], &[]);
        check(&[&["web01.a.example"], &["web01.a.example"]], &["web01"], &[0, 1], &[]);
        check(&[&["web01", "web01.a.example"], &["web01.b.example"]], &["web01"], &[0, 1], &[0, 1]);
        check(&[&["web01.a", "web01.b"], &["web01.b"], &["web01"]], &["WEB01"], &[0, 1, 2], &[]);
        check(&[&["web01"]], &[], &[], &[]);
        check(&[&["a'b"]], &["a'b"], &[], &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_none(a in any::<String>(), b in any::<String>()) {
            let asked = [HostNames { names: vec![a.clone()], ..HostNames::default() }];
            let claims = NameIndex::new(&asked).claims([b.as_str()]);
            if let (Some(a), Some(b)) = (usable(&a), usable(&b)) {
                prop_assert_eq!(!claims.hosts.is_empty(), alike(a, b));
            } else {
                prop_assert_eq!(claims, Claims::default());
            }
        }
    }
}
