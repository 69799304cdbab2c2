//! The assets of one source, each kept once however many findings it has.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::LazyLock;

use arx_types::{Asset, SinkError};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::column::Column;
use super::facts::bounded;
use super::merged::AffectedAsset;

/// The longest identifier, name, project, subscription, tag key or tag value kept, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Distinct projects kept for one asset.
const PROJECTS_MAX: usize = 20;
/// Distinct tags kept for one asset.
const TAGS_MAX: usize = 20;
/// Text kept about all assets of one source, in bytes.
const ALL_TEXT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The highest business impact there is.
const BUSINESS_IMPACT_MAX: u8 = 3;

/// Keys of the hashes of assets.
static KEYS: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

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
    /// Of everything else.
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

/// An asset in the index. An asset read again with the same content is found here alone, without
/// a look at what is kept of it.
#[derive(Debug)]
struct Known {
    hash: AssetHash,
    at: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: Slice,
    name: Slice,
    kind: TextIndex,
    subscription: TextIndex,
    projects: Slice,
    tags: Slice,
    business_impact: u8,
    internet_facing: bool,
}

/// The assets of one source: no allocation of their own, because there are many.
#[derive(Debug, Default)]
pub(super) struct AssetTable {
    entries: Column<Entry>,
    index: HashTable<Known>,
    /// Identifiers and names, which assets do not share.
    own: String,
    /// Projects, and tags as key and value.
    lists: Vec<TextIndex>,
    /// All that assets share.
    texts: Pool,
}

impl AssetTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many texts the pool holds: the bound of what [`Self::projects`] and
    /// [`Self::subscription`] give.
    pub(super) fn n_texts(&self) -> usize {
        self.texts.ends.len()
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
        let Self { entries, index, own, .. } = &mut *self;
        let found = index.find_mut(hash.identity, |known| {
            known.hash.identity == hash.identity
                && (known.hash.content == hash.content
                    || entries.get(known.at as usize).is_some_and(|e| e.id.text(own) == id))
        });
        if let Some(known) = found {
            let at = known.at;
            let news = known.hash.content != hash.content;
            known.hash.content = hash.content;
            if let Some(mut entry) = self.entries.get(at as usize).copied().filter(|_| news) {
                self.join(&mut entry, asset);
                if let Some(slot) = self.entries.get_mut(at as usize) {
                    *slot = entry;
                }
            }
            return Ok(AssetIndex(at));
        }
        if self.entries.len() >= limit {
            return Err(SinkError::TooMany { what: "assets", limit });
        }
        if self.own.len() + self.texts.all.len() > ALL_TEXT_BYTES_MAX {
            let what = "bytes of text about assets";
            return Err(SinkError::TooMany { what, limit: ALL_TEXT_BYTES_MAX });
        }
        let at = AssetIndex::new(self.entries.len());
        let nothing = self.texts.add("");
        let mut entry = Entry {
            id: Slice::push(&mut self.own, id),
            name: Slice::default(),
            kind: nothing,
            subscription: nothing,
            projects: Slice::default(),
            tags: Slice::default(),
            business_impact: 0,
            internet_facing: false,
        };
        self.join(&mut entry, asset);
        self.entries.push(entry);
        self.index.insert_unique(hash.identity, Known { hash, at: at.0 }, |k| k.hash.identity);
        Ok(at)
    }

    /// INVARIANT (joins): the smaller text, the greater impact, the smallest of a union. What is
    /// replaced stays behind unused; sources seldom contradict themselves.
    fn join(&mut self, entry: &mut Entry, asset: &Asset<'_>) {
        let Self { own, lists, texts, .. } = self;
        let name = bounded(asset.name.trim(), TEXT_BYTES_MAX);
        if is_better(name, entry.name.text(own)) {
            entry.name = Slice::push(own, name);
        }
        for (kept, text) in
            [(&mut entry.kind, &asset.kind), (&mut entry.subscription, &asset.subscription)]
        {
            let text = bounded(text.trim(), TEXT_BYTES_MAX);
            if is_better(text, texts.get(*kept)) {
                *kept = texts.add(text);
            }
        }
        let mut projects: Vec<[TextIndex; 1]> =
            asset.projects.iter().map(|project| [texts.add(project)]).collect();
        projects.extend(entry.projects.list(lists).as_chunks().0);
        entry.projects = texts.keep_smallest(projects, PROJECTS_MAX, lists, entry.projects);
        let mut tags: Vec<[TextIndex; 2]> =
            asset.tags.iter().map(|(key, value)| [texts.add(key), texts.add(value)]).collect();
        tags.extend(entry.tags.list(lists).as_chunks().0);
        entry.tags = texts.keep_smallest(tags, TAGS_MAX, lists, entry.tags);
        entry.business_impact =
            entry.business_impact.max(asset.business_impact.min(BUSINESS_IMPACT_MAX));
        entry.internet_facing |= asset.internet_facing;
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
                let asset = other.borrowed(&entry);
                self.add(&asset, AssetHash::of(&asset), limit)
            })
            .collect()
    }

    /// The projects of an asset, as places in the pool.
    pub(super) fn projects(&self, asset: AssetIndex) -> &[TextIndex] {
        self.entries.get(asset.at()).map_or(&[], |entry| entry.projects.list(&self.lists))
    }

    /// The subscription of an asset, as a place in the pool.
    pub(super) fn subscription(&self, asset: AssetIndex) -> Option<TextIndex> {
        self.entries.get(asset.at()).map(|entry| entry.subscription)
    }

    pub(super) fn text(&self, at: TextIndex) -> &str {
        self.texts.get(at)
    }

    /// What orders assets by how much they matter, the most first.
    pub(super) fn importance(&self, asset: AssetIndex) -> Option<impl Ord + '_> {
        let entry = self.entries.get(asset.at())?;
        Some((
            std::cmp::Reverse((entry.business_impact, entry.internet_facing)),
            entry.name.text(&self.own),
            entry.id.text(&self.own),
        ))
    }

    /// The asset as people see it.
    pub(super) fn show(&self, source: &str, asset: AssetIndex) -> Option<AffectedAsset> {
        let asset = self.borrowed(self.entries.get(asset.at())?);
        let mut tags = BTreeMap::new();
        for (key, value) in asset.tags {
            tags.entry(key.into_owned()).or_insert_with(|| value.into_owned());
        }
        Some(AffectedAsset {
            source: source.to_owned(),
            id: asset.id.into_owned(),
            name: asset.name.into_owned(),
            kind: asset.kind.into_owned(),
            subscription: asset.subscription.into_owned(),
            projects: asset.projects.into_iter().map(Cow::into_owned).collect(),
            tags,
            business_impact: asset.business_impact,
            internet_facing: asset.internet_facing,
        })
    }

    fn borrowed(&self, entry: &Entry) -> Asset<'_> {
        let text = |at: &TextIndex| Cow::Borrowed(self.text(*at));
        let tags = entry.tags.list(&self.lists).as_chunks().0.iter();
        Asset {
            id: Cow::Borrowed(entry.id.text(&self.own)),
            name: Cow::Borrowed(entry.name.text(&self.own)),
            kind: text(&entry.kind),
            subscription: text(&entry.subscription),
            projects: entry.projects.list(&self.lists).iter().map(text).collect(),
            tags: tags.map(|[key, value]| (text(key), text(value))).collect(),
            business_impact: entry.business_impact,
            internet_facing: entry.internet_facing,
        }
    }
}

/// Any text is better than none, and the smaller of two.
fn is_better(text: &str, kept: &str) -> bool {
    !text.is_empty() && (kept.is_empty() || text < kept)
}

/// A part of a longer sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    start: u32,
    len: u32,
}

impl Slice {
    /// Of `len` items that are about to follow `before` others. Sequences are bounded by far less
    /// than what 32 bits count; beyond that a slice is empty.
    fn after(before: usize, len: usize) -> Self {
        match (u32::try_from(before), u32::try_from(len)) {
            (Ok(start), Ok(len)) => Self { start, len },
            _ => Self::default(),
        }
    }

    fn push(all: &mut String, text: &str) -> Self {
        let slice = Self::after(all.len(), text.len());
        all.push_str(text);
        slice
    }

    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    fn text(self, all: &str) -> &str {
        all.get(self.range()).unwrap_or_default()
    }

    fn list(self, all: &[TextIndex]) -> &[TextIndex] {
        all.get(self.range()).unwrap_or_default()
    }
}

/// The place of a text in a [`Pool`].
type TextIndex = u32;

/// Texts that assets share, each kept once.
#[derive(Debug, Default)]
struct Pool {
    all: String,
    /// Where each text ends.
    ends: Vec<u32>,
    index: HashTable<TextIndex>,
}

impl Pool {
    fn get(&self, at: TextIndex) -> &str {
        text_of(&self.all, &self.ends, at)
    }

    fn add(&mut self, text: &str) -> TextIndex {
        let text = bounded(text.trim(), TEXT_BYTES_MAX);
        let hash = KEYS.hash_one(text);
        let Self { all, ends, index } = self;
        if let Some(at) = index.find(hash, |at| text_of(all, ends, *at) == text) {
            return *at;
        }
        let at = TextIndex::try_from(ends.len()).unwrap_or(TextIndex::MAX);
        all.push_str(text);
        ends.push(u32::try_from(all.len()).unwrap_or(u32::MAX));
        index.insert_unique(hash, at, |at| KEYS.hash_one(text_of(all, ends, *at)));
        at
    }

    /// Writes the `max` smallest of `items` to `lists`, in the order of their texts and each once;
    /// those without a first text are left out. Gives `kept` when that is what it holds already.
    fn keep_smallest<const N: usize>(
        &self,
        mut items: Vec<[TextIndex; N]>,
        max: usize,
        lists: &mut Vec<TextIndex>,
        kept: Slice,
    ) -> Slice {
        let texts = |item: &[TextIndex; N]| item.map(|at| self.get(at));
        items.retain(|item| texts(item).first().is_some_and(|text| !text.is_empty()));
        items.sort_unstable_by_key(texts);
        items.dedup();
        items.truncate(max);
        let items = items.as_flattened();
        if kept.list(lists) == items {
            return kept;
        }
        let slice = Slice::after(lists.len(), items.len());
        lists.extend_from_slice(items);
        slice
    }
}

fn text_of<'a>(all: &'a str, ends: &[u32], at: TextIndex) -> &'a str {
    let at = at as usize;
    let start = at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(at).copied().unwrap_or(start);
    all.get(start as usize..end as usize).unwrap_or_default()
}
