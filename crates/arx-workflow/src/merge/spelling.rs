//! From names as a source writes them to what they mean, worked out once for a whole read.

use std::borrow::Cow;
use std::hash::BuildHasher as _;

use arx_types::{Digest, Finding, SinkError};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::dataset::{Identity, NAMES_PER_FINDING_MAX};
use super::json::push_list;
use super::name::{Registry, canonical};

/// Spellings remembered; more are worked out again for each finding.
const SPELLINGS_MAX: usize = 100_000;

/// What the names of a finding mean.
#[derive(Debug)]
pub(super) struct Meaning {
    /// The group of its identity.
    pub(super) group: u32,
    /// The end of its line in the record.
    pub(super) json: Box<[u8]>,
}

impl Meaning {
    pub(super) fn new(identity: &Identity, group: u32) -> Self {
        let mut json = b",\"vulnerabilities\":".to_vec();
        push_list(&mut json, &identity.names);
        if !identity.aliases.is_empty() {
            json.extend_from_slice(b",\"aliases\":");
            push_list(&mut json, &identity.aliases);
        }
        json.extend_from_slice(b"}\n");
        Self { group, json: json.into_boxed_slice() }
    }
}

/// The spellings met so far.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    known: Vec<Spelling>,
    index: HashTable<u32>,
    keys: DefaultHashBuilder,
}

#[derive(Debug)]
struct Spelling {
    hash: u64,
    /// Names and aliases, each ended by [`END`].
    written: Box<str>,
    meaning: Meaning,
}

/// Ends a name. A name that contains it could still not be taken for two: the hash differs.
const END: char = '\u{1f}';

impl Spelling {
    fn is_of(&self, finding: &Finding<'_>) -> bool {
        let mut rest = Some(&*self.written);
        for name in finding.vulnerabilities.iter().chain(&finding.aliases) {
            rest = rest.and_then(|rest| rest.strip_prefix(&**name)?.strip_prefix(END));
        }
        rest == Some("")
    }
}

/// The place of a spelling.
pub(super) type SpellingIndex = usize;

impl Spellings {
    pub(super) fn get(&self, at: SpellingIndex) -> Option<&Meaning> {
        self.known.get(at).map(|spelling| &spelling.meaning)
    }

    pub(super) fn find(&self, finding: &Finding<'_>) -> Option<SpellingIndex> {
        self.find_hashed(self.hash(finding), finding)
    }

    /// Remembers a meaning; gives it back when there is no room for it.
    pub(super) fn insert(
        &mut self,
        finding: &Finding<'_>,
        meaning: Meaning,
    ) -> Result<SpellingIndex, Meaning> {
        let hash = self.hash(finding);
        if let Some(known) = self.find_hashed(hash, finding) {
            return Ok(known);
        }
        let at = self.known.len();
        let entry = u32::try_from(at).ok().filter(|_| at < SPELLINGS_MAX);
        let Some(entry) = entry else { return Err(meaning) };
        let mut written = String::new();
        for name in finding.vulnerabilities.iter().chain(&finding.aliases) {
            written.push_str(name);
            written.push(END);
        }
        self.known.push(Spelling { hash, written: written.into_boxed_str(), meaning });
        let known = &self.known;
        self.index.insert_unique(hash, entry, |at| known.get(*at as usize).map_or(0, |s| s.hash));
        Ok(at)
    }

    fn hash(&self, finding: &Finding<'_>) -> u64 {
        self.keys.hash_one((&finding.vulnerabilities, &finding.aliases))
    }

    fn find_hashed(&self, hash: u64, finding: &Finding<'_>) -> Option<SpellingIndex> {
        let at = self.index.find(hash, |at| {
            let spelling = self.known.get(*at as usize);
            spelling.is_some_and(|spelling| spelling.hash == hash && spelling.is_of(finding))
        })?;
        Some(*at as usize)
    }
}

/// The identity that names and aliases give; `None` when none of them is a name.
pub(super) fn identify(finding: &Finding<'_>) -> Result<Option<Identity>, SinkError> {
    if finding.vulnerabilities.len() + finding.aliases.len() > NAMES_PER_FINDING_MAX {
        let what = "names of vulnerabilities in one finding";
        return Err(SinkError::TooMany { what, limit: NAMES_PER_FINDING_MAX });
    }
    let clean = |texts: &[Cow<'_, str>]| {
        let mut clean: Vec<String> = texts.iter().filter_map(|text| canonical(text)).collect();
        clean.sort_unstable();
        clean.dedup();
        clean
    };
    let (mut names, mut aliases) = (clean(&finding.vulnerabilities), clean(&finding.aliases));
    if names.is_empty() {
        // Aliases alone name it: by the best registry there is.
        let Some(best) = aliases.iter().map(|alias| Registry::of(alias)).min() else {
            return Ok(None);
        };
        names = aliases.iter().filter(|alias| Registry::of(alias) == best).cloned().collect();
    } else if let [name] = names.as_slice()
        && Registry::of(name) != Registry::Cve
    {
        let cves: Vec<_> =
            aliases.iter().filter(|alias| Registry::of(alias) == Registry::Cve).collect();
        if let [cve] = cves.as_slice() {
            let cve = (*cve).clone();
            aliases.append(&mut names);
            aliases.sort_unstable();
            names.push(cve);
        }
    }
    aliases.retain(|alias| !names.contains(alias));
    aliases.dedup();
    Ok(Some(Identity { names, aliases }))
}

/// The identity of a finding that names nothing: it stands for itself.
pub(super) fn nameless(source: &str, finding: &Finding<'_>) -> Identity {
    let row = canonical(&finding.id).unwrap_or_else(|| {
        let digest: Digest = finding.digest(source);
        digest.short()
    });
    let name = canonical(&format!("{source}-FINDING-{row}")).unwrap_or(row);
    Identity { names: vec![name], aliases: Vec::new() }
}
