//! What is kept of one source's findings: a few bytes each, and every text once.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use arx_types::{Finding, SinkError};
use hashbrown::HashTable;
use jiff::Timestamp;

use super::assets::{AssetHash, AssetIndex, AssetTable};
use super::facts::{Facts, TextsHash};
use super::findings::{Findings, Place};

/// Rows taken from one source in one run.
pub const FINDINGS_MAX: usize = 5_000_000;
/// Distinct assets taken from one source in one run.
pub const ASSETS_MAX: usize = 500_000;
/// Distinct names of vulnerabilities taken from one source in one run, aliases included.
pub const NAMES_MAX: usize = 50_000;
/// Distinct combinations of names taken from one source in one run.
pub const IDENTITIES_MAX: usize = 50_000;
/// Names and aliases that one finding may carry.
pub const NAMES_PER_FINDING_MAX: usize = 1024;

/// What a dataset may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) findings: usize,
    pub(super) assets: usize,
    pub(super) names: usize,
    pub(super) identities: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            findings: FINDINGS_MAX,
            assets: ASSETS_MAX,
            names: NAMES_MAX,
            identities: IDENTITIES_MAX,
        }
    }
}

/// Keys of the hashes of identifiers: unknown to whoever writes these, and the same for all
/// datasets of a process, so that two reads of one source can be joined.
pub(super) static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Which vulnerabilities a finding names, in canonical form, sorted and without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Identity {
    /// The vulnerabilities it is about.
    pub(super) names: Vec<String>,
    /// Other names: of the same vulnerability where `names` is one, else of the whole.
    pub(super) aliases: Vec<String>,
}

/// The findings of one source that name the same.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) identity: Identity,
    pub(super) facts: Facts,
}

/// A finding as it enters: what is worked out before any lock is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) id_hash: u64,
    pub(super) digest: [u8; 32],
    pub(super) group: u32,
    pub(super) asset: AssetHash,
    pub(super) texts: TextsHash,
    pub(super) first_seen: Option<Timestamp>,
}

/// Everything kept of one source's findings; made by [`Fold::finish`](super::Fold::finish), joined
/// with others by [`merge`](super::merge).
#[derive(Debug, Default)]
pub struct Dataset {
    pub(super) source: String,
    pub(super) complete: bool,
    pub(super) duplicates: u64,
    pub(super) groups: Vec<Group>,
    pub(super) findings: Findings,
    pub(super) assets: AssetTable,
    group_index: HashTable<u32>,
    names: HashSet<String>,
    limits: Limits,
}

impl Dataset {
    pub(super) fn new(source: &str, limits: Limits) -> Self {
        Self { source: source.to_owned(), limits, ..Self::default() }
    }

    /// The name of the source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the source was read to its end.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// How many distinct findings it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Whether it holds no finding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.len() == 0
    }

    /// How many rows were read again after they had been read once.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Takes one page.
    pub(super) fn take(&mut self, page: &[Finding<'_>], rows: &[Row]) -> Result<(), SinkError> {
        // One loop for each structure: the processor then waits for several look-ups at once.
        let mut assets = Vec::with_capacity(page.len());
        for (finding, row) in page.iter().zip(rows) {
            assets.push(self.assets.add(&finding.asset, row.asset, self.limits.assets)?);
        }
        for (finding, row) in page.iter().zip(rows) {
            if let Some(group) = self.groups.get_mut(row.group as usize) {
                group.facts.add(finding, row.texts, row.first_seen);
            }
        }
        for (row, asset) in rows.iter().zip(assets) {
            let place = Place { group: row.group, asset };
            self.findings.push(row.id_hash, row.digest, place, self.limits.findings)?;
        }
        Ok(())
    }

    /// Ends the read.
    pub(super) fn seal(&mut self, complete: bool) {
        self.complete = complete;
        self.duplicates += self.findings.settle();
        self.names = HashSet::new();
    }

    /// Takes in another read of the same source, as if both had been one.
    pub(super) fn absorb(&mut self, other: &Self) -> Result<(), SinkError> {
        let assets = self.assets.absorb(&other.assets, self.limits.assets)?;
        let mut groups = Vec::with_capacity(other.groups.len());
        for group in &other.groups {
            let at = self.group(group.identity.clone())?;
            if let Some(kept) = self.groups.get_mut(at as usize) {
                kept.facts.join(&group.facts);
            }
            groups.push(at);
        }
        for (id_hash, digest, place) in other.findings.counting() {
            let group = place.group().and_then(|group| groups.get(group)).copied();
            let asset = assets.get(place.asset.at()).copied().unwrap_or(AssetIndex::NONE);
            let place = Place { group: group.unwrap_or_default(), asset };
            self.findings.push(id_hash, digest, place, self.limits.findings)?;
        }
        self.duplicates += other.duplicates;
        self.seal(self.complete && other.complete);
        Ok(())
    }

    /// The group of the findings with this identity.
    pub(super) fn group(&mut self, identity: Identity) -> Result<u32, SinkError> {
        let hash = KEYS.hash_one(&identity);
        let Self { groups, group_index, names, limits, .. } = self;
        let known = group_index.find(hash, |at| {
            groups.get(*at as usize).is_some_and(|group| group.identity == identity)
        });
        if let Some(at) = known {
            return Ok(*at);
        }
        let what = "combinations of vulnerabilities";
        let too_many = SinkError::TooMany { what, limit: limits.identities };
        let at = u32::try_from(groups.len()).map_err(|_| too_many.clone())?;
        if groups.len() >= limits.identities {
            return Err(too_many);
        }
        for name in identity.names.iter().chain(&identity.aliases) {
            if !names.contains(name) {
                names.insert(name.clone());
            }
        }
        if names.len() > limits.names {
            let what = "names of vulnerabilities";
            return Err(SinkError::TooMany { what, limit: limits.names });
        }
        groups.push(Group { identity, facts: Facts::default() });
        group_index.insert_unique(hash, at, |at| {
            groups.get(*at as usize).map_or(0, |group| KEYS.hash_one(&group.identity))
        });
        Ok(at)
    }
}
