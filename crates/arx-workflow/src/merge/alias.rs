//! Which names mean the same vulnerability.
//!
//! Decided once, over all that every source said, so that no order can matter:
//!
//! - A CVE always is itself: two CVEs are never folded into one.
//! - Any other name is the one CVE that it is given for; given for two, it is ambiguous.
//! - A vendor's name for which no CVE is known is the one GHSA it is given for, and through it
//!   that GHSA's CVE; given for two that differ, it is ambiguous.
//! - A name that covers several vulnerabilities at once is none of them.
//! - An ambiguous name stays on its own.

use std::collections::{BTreeMap, BTreeSet};

use super::dataset::Identity;
use super::merged::AliasDecision;
use super::name::Registry;

/// What is known of a name beside others.
#[derive(Debug, Default)]
struct Given<'a> {
    /// The CVEs it is given for.
    cves: BTreeSet<&'a str>,
    /// The GHSAs it is given for.
    ghsas: BTreeSet<&'a str>,
    /// Some source uses it for several vulnerabilities at once.
    covers_several: bool,
    sources: BTreeSet<&'a str>,
}

/// What a name means.
enum Meaning<'a> {
    /// It is another name of this one.
    Into(&'a str),
    /// It stays on its own, for this reason.
    Ambiguous(String),
    /// Nothing better is known.
    Itself,
}

/// The meaning of every name.
#[derive(Debug, Default)]
pub(super) struct Resolution<'a> {
    into: BTreeMap<&'a str, &'a str>,
    decisions: Vec<AliasDecision>,
}

impl<'a> Resolution<'a> {
    /// Decides over all identities that some finding has, each with its source.
    pub(super) fn of(identities: impl Iterator<Item = (&'a Identity, &'a str)>) -> Self {
        let mut known: BTreeMap<&str, Given<'_>> = BTreeMap::new();
        for (identity, source) in identities {
            learn(&mut known, identity, source);
        }
        let mut resolution = Self::default();
        for (name, given) in &known {
            let sources = listed(&given.sources);
            let (into, why) = match meaning(&known, name, given) {
                Meaning::Into(target) => {
                    resolution.into.insert(name, target);
                    (Some(target.to_owned()), format!("{sources} gives it as a name of {target}"))
                }
                Meaning::Ambiguous(why) => (None, why),
                Meaning::Itself => continue,
            };
            resolution.decisions.push(AliasDecision { name: (*name).to_owned(), into, why });
        }
        resolution
    }

    /// The vulnerability that a name means.
    pub(super) fn target<'b>(&self, name: &'b str) -> &'b str
    where
        'a: 'b,
    {
        self.into.get(name).copied().unwrap_or(name)
    }

    /// What was decided, by name.
    pub(super) fn into_decisions(self) -> Vec<AliasDecision> {
        self.decisions
    }
}

fn learn<'a>(known: &mut BTreeMap<&'a str, Given<'a>>, identity: &'a Identity, source: &'a str) {
    if identity.aliases.is_empty() {
        return;
    }
    let several = identity.names.len() > 1;
    let of_registry = |registry| {
        let names = identity.names.iter().chain(&identity.aliases).map(String::as_str);
        names.filter(move |name| Registry::of(name) == registry)
    };
    let aliases = identity.aliases.iter().map(String::as_str);
    // With one name, the name and its aliases all mean the same; with several, the aliases stand
    // for the whole and say nothing about any of the names.
    let own = identity.names.iter().map(String::as_str).filter(|_| !several);
    for name in own.chain(aliases) {
        let given = known.entry(name).or_default();
        given.covers_several |= several;
        given.sources.insert(source);
        given.cves.extend(of_registry(Registry::Cve).filter(|cve| *cve != name));
        given.ghsas.extend(of_registry(Registry::Ghsa).filter(|ghsa| *ghsa != name));
    }
}

fn meaning<'a>(known: &BTreeMap<&'a str, Given<'a>>, name: &str, given: &Given<'a>) -> Meaning<'a> {
    let sources = listed(&given.sources);
    if given.covers_several {
        return Meaning::Ambiguous(format!(
            "{sources} uses it for several vulnerabilities at once"
        ));
    }
    let registry = Registry::of(name);
    if registry == Registry::Cve {
        return match given.cves.first() {
            None => Meaning::Itself,
            Some(_) => Meaning::Ambiguous(format!(
                "{sources} gives it beside {}; two CVEs are never one",
                listed(&given.cves)
            )),
        };
    }
    let mut targets = given.cves.clone();
    if targets.is_empty() && registry == Registry::Vendor {
        targets = given
            .ghsas
            .iter()
            .map(|ghsa| match known.get(ghsa).map(|g| meaning(known, ghsa, g)) {
                Some(Meaning::Into(cve)) => cve,
                Some(Meaning::Ambiguous(_) | Meaning::Itself) | None => ghsa,
            })
            .collect();
    }
    match (targets.first(), targets.len()) {
        (None, _) => Meaning::Itself,
        (Some(target), 1) => Meaning::Into(target),
        (Some(_), _) => Meaning::Ambiguous(format!(
            "{sources} gives it for {}; it stays on its own",
            listed(&targets)
        )),
    }
}

/// How many names a reason lists before it only counts.
const LISTED_MAX: usize = 5;

/// Names as people list them.
pub(super) fn listed(names: &BTreeSet<&str>) -> String {
    let mut words: Vec<&str> = names.iter().take(LISTED_MAX).copied().collect();
    let more = names.len().saturating_sub(words.len());
    let counted = format!("{more} more");
    if more > 0 {
        words.push(&counted);
    }
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
