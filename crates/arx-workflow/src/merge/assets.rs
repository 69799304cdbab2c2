//! The assets of one source, each kept once however many findings it has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hash as _, Hasher as _};

use arx_types::{Asset, SinkError};
use hashbrown::HashTable;

use super::dataset::KEYS;
use super::facts::bounded;
use super::merged::AffectedAsset;

/// The longest identifier, name, project, subscription, tag key or tag value kept, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Distinct projects kept for one asset.
const PROJECTS_MAX: usize = 20;
/// Distinct tags kept for one asset.
const TAGS_MAX: usize = 20;
/// The highest business impact there is.
const BUSINESS_IMPACT_MAX: u8 = 3;

/// An asset in the table of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AssetIndex(u32);

impl AssetIndex {
    /// Of a finding that names no asset.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn new(at: usize) -> Self {
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// The place in the table; out of its bounds for [`Self::NONE`].
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// What is hashed of an asset before any lock is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct AssetHash {
    identity: u64,
    /// Of everything else; an asset read twice with the same content needs no second look.
    content: u64,
}

impl AssetHash {
    pub(super) fn of(asset: &Asset<'_>) -> Self {
        let mut hasher = KEYS.build_hasher();
        asset.name.hash(&mut hasher);
        asset.kind.hash(&mut hasher);
        asset.subscription.hash(&mut hasher);
        asset.projects.hash(&mut hasher);
        asset.tags.hash(&mut hasher);
        hasher.write_u8(asset.business_impact);
        hasher.write_u8(u8::from(asset.internet_facing));
        Self { identity: KEYS.hash_one(identity(asset)), content: hasher.finish() }
    }
}

/// What tells an asset from others of its source: its identifier, or its name for want of one.
fn identity<'a>(asset: &'a Asset<'_>) -> &'a str {
    let id = if asset.id.trim().is_empty() { &asset.name } else { &asset.id };
    bounded(id.trim(), TEXT_BYTES_MAX)
}

/// A text in the pool.
type TextIndex = u32;

#[derive(Debug)]
struct Entry {
    hash: AssetHash,
    id: Box<str>,
    name: Box<str>,
    kind: TextIndex,
    subscription: TextIndex,
    projects: Box<[TextIndex]>,
    tags: Box<[(TextIndex, TextIndex)]>,
    business_impact: u8,
    internet_facing: bool,
}

/// The assets of one source.
#[derive(Debug, Default)]
pub(super) struct AssetTable {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    texts: Pool,
}

impl AssetTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many texts the pool holds: the bound of what [`Self::projects`] and
    /// [`Self::subscription`] give.
    pub(super) fn n_texts(&self) -> usize {
        self.texts.texts.len()
    }

    /// Adds an asset, or joins it into what is known of it.
    pub(super) fn add(
        &mut self,
        asset: &Asset<'_>,
        hash: AssetHash,
        limit: usize,
    ) -> Result<AssetIndex, SinkError> {
        let id = identity(asset);
        if id.is_empty() {
            return Ok(AssetIndex::NONE);
        }
        let Self { entries, index, texts } = self;
        let found = index.find(hash.identity, |at| {
            entries.get(*at as usize).is_some_and(|entry| {
                entry.hash.identity == hash.identity
                    && (entry.hash.content == hash.content || *entry.id == *id)
            })
        });
        if let Some(at) = found {
            let at = *at as usize;
            if let Some(entry) = entries.get_mut(at).filter(|e| e.hash.content != hash.content) {
                entry.join(asset, texts);
                entry.hash.content = hash.content;
            }
            return Ok(AssetIndex::new(at));
        }
        if entries.len() >= limit {
            return Err(SinkError::TooMany { what: "assets", limit });
        }
        let at = AssetIndex::new(entries.len());
        let mut entry = Entry {
            hash,
            id: id.into(),
            name: Box::default(),
            kind: texts.add(""),
            subscription: texts.add(""),
            projects: Box::default(),
            tags: Box::default(),
            business_impact: 0,
            internet_facing: false,
        };
        entry.join(asset, texts);
        entries.push(entry);
        index.insert_unique(hash.identity, at.0, |at| {
            entries.get(*at as usize).map_or(0, |entry| entry.hash.identity)
        });
        Ok(at)
    }

    /// Adds every asset of another table of the same source; says where each went.
    pub(super) fn absorb(
        &mut self,
        other: &Self,
        limit: usize,
    ) -> Result<Vec<AssetIndex>, SinkError> {
        other
            .entries
            .iter()
            .map(|entry| {
                let asset = other.borrowed(entry);
                self.add(&asset, AssetHash::of(&asset), limit)
            })
            .collect()
    }

    /// The projects of an asset, as places in the pool.
    pub(super) fn projects(&self, asset: AssetIndex) -> &[u32] {
        self.entries.get(asset.at()).map_or(&[], |entry| &entry.projects)
    }

    /// The subscription of an asset, as a place in the pool.
    pub(super) fn subscription(&self, asset: AssetIndex) -> Option<u32> {
        self.entries.get(asset.at()).map(|entry| entry.subscription)
    }

    pub(super) fn text(&self, at: u32) -> &str {
        self.texts.get(at)
    }

    /// What orders assets by how much they matter, the most first.
    pub(super) fn importance(&self, asset: AssetIndex) -> Option<impl Ord + '_> {
        let entry = self.entries.get(asset.at())?;
        Some((
            std::cmp::Reverse((entry.business_impact, entry.internet_facing)),
            &*entry.name,
            &*entry.id,
        ))
    }

    /// The asset as people see it.
    pub(super) fn show(&self, source: &str, asset: AssetIndex) -> Option<AffectedAsset> {
        let entry = self.entries.get(asset.at())?;
        let mut tags = BTreeMap::new();
        for (key, value) in self.sorted_tags(entry) {
            tags.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        Some(AffectedAsset {
            source: source.to_owned(),
            id: entry.id.to_string(),
            name: entry.name.to_string(),
            kind: self.text(entry.kind).to_owned(),
            subscription: self.text(entry.subscription).to_owned(),
            projects: self.sorted_projects(entry).into_iter().map(str::to_owned).collect(),
            tags,
            business_impact: entry.business_impact,
            internet_facing: entry.internet_facing,
        })
    }

    fn borrowed<'a>(&'a self, entry: &'a Entry) -> Asset<'a> {
        Asset {
            id: Cow::Borrowed(&entry.id),
            name: Cow::Borrowed(&entry.name),
            kind: Cow::Borrowed(self.text(entry.kind)),
            subscription: Cow::Borrowed(self.text(entry.subscription)),
            projects: self.sorted_projects(entry).into_iter().map(Cow::Borrowed).collect(),
            tags: self
                .sorted_tags(entry)
                .into_iter()
                .map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)))
                .collect(),
            business_impact: entry.business_impact,
            internet_facing: entry.internet_facing,
        }
    }

    fn sorted_projects(&self, entry: &Entry) -> BTreeSet<&str> {
        entry.projects.iter().map(|at| self.text(*at)).collect()
    }

    fn sorted_tags(&self, entry: &Entry) -> BTreeSet<(&str, &str)> {
        entry.tags.iter().map(|(key, value)| (self.text(*key), self.text(*value))).collect()
    }
}

impl Entry {
    /// INVARIANT (joins): the smaller text, the greater impact, the smallest of a union.
    fn join(&mut self, asset: &Asset<'_>, texts: &mut Pool) {
        let name = bounded(asset.name.trim(), TEXT_BYTES_MAX);
        if is_better(name, &self.name) {
            self.name = name.into();
        }
        for (kept, text) in
            [(&mut self.kind, &asset.kind), (&mut self.subscription, &asset.subscription)]
        {
            let text = bounded(text.trim(), TEXT_BYTES_MAX);
            if is_better(text, texts.get(*kept)) {
                *kept = texts.add(text);
            }
        }
        if !asset.projects.is_empty() {
            let new = asset.projects.iter().map(|project| texts.add(project)).collect();
            self.projects = union(&self.projects, new, PROJECTS_MAX, |at| (texts.get(*at), ""));
        }
        if !asset.tags.is_empty() {
            let new =
                asset.tags.iter().map(|(key, value)| (texts.add(key), texts.add(value))).collect();
            self.tags = union(&self.tags, new, TAGS_MAX, |(key, value)| {
                (texts.get(*key), texts.get(*value))
            });
        }
        self.business_impact =
            self.business_impact.max(asset.business_impact.min(BUSINESS_IMPACT_MAX));
        self.internet_facing |= asset.internet_facing;
    }
}

/// Any text is better than none, and the smaller of two.
fn is_better(text: &str, kept: &str) -> bool {
    !text.is_empty() && (kept.is_empty() || text < kept)
}

/// The `max` smallest of both, in the order of their texts; those without a text are left out.
fn union<'t, T: Copy>(
    kept: &[T],
    mut all: Vec<T>,
    max: usize,
    text: impl Fn(&T) -> (&'t str, &'t str),
) -> Box<[T]> {
    all.extend_from_slice(kept);
    all.retain(|item| !text(item).0.is_empty());
    all.sort_unstable_by(|left, right| text(left).cmp(&text(right)));
    all.dedup_by(|left, right| text(left) == text(right));
    all.truncate(max);
    all.into_boxed_slice()
}

/// Texts that many assets share, each kept once.
#[derive(Debug, Default)]
struct Pool {
    texts: Vec<Box<str>>,
    index: HashTable<TextIndex>,
}

impl Pool {
    fn get(&self, at: TextIndex) -> &str {
        self.texts.get(at as usize).map_or("", |text| text)
    }

    fn add(&mut self, text: &str) -> TextIndex {
        let text = bounded(text.trim(), TEXT_BYTES_MAX);
        let hash = KEYS.hash_one(text);
        let Self { texts, index } = self;
        if let Some(at) =
            index.find(hash, |at| texts.get(*at as usize).is_some_and(|kept| **kept == *text))
        {
            return *at;
        }
        let at = TextIndex::try_from(texts.len()).unwrap_or(TextIndex::MAX);
        texts.push(text.into());
        index.insert_unique(hash, at, |at| {
            texts.get(*at as usize).map_or(0, |text| KEYS.hash_one(&**text))
        });
        at
    }
}
