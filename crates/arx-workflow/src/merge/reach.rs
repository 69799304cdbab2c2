//! From a vulnerability back to its findings: the digest that commits to them, and the assets
//! they are on.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use arx_types::Digest;
use sha2::{Digest as _, Sha256};

use super::assets::{AssetIndex, AssetTable};
use super::findings::Findings;

/// Assets shown of one vulnerability.
const ASSETS_SHOWN_MAX: usize = 10;
/// Projects, and subscriptions, shown of one vulnerability.
const OWNERS_SHOWN_MAX: usize = 50;

/// Findings of one source that name a vulnerability, by digest.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// Which source.
    pub(super) part: usize,
    pub(super) findings: &'a Findings,
    pub(super) order: &'a [u32],
}

impl Run<'_> {
    fn digest(&self, at: usize) -> Option<[u8; 32]> {
        self.findings.digests.get(*self.order.get(at)? as usize).copied()
    }
}

/// SHA-256 over the digests of all runs in ascending order.
pub(super) fn lineage(runs: &[Run<'_>]) -> Digest {
    let mut hasher = Sha256::new();
    let mut heads: BinaryHeap<_> = runs
        .iter()
        .enumerate()
        .filter_map(|(run, r)| Some(Reverse((r.digest(0)?, run, 0_usize))))
        .collect();
    while let Some(Reverse((digest, run, at))) = heads.pop() {
        hasher.update(digest);
        if let Some(next) = runs.get(run).and_then(|run| run.digest(at + 1)) {
            heads.push(Reverse((next, run, at + 1)));
        }
    }
    Digest(hasher.finalize().into())
}

/// An asset of one of the sources.
pub(super) type AssetOf = (usize, AssetIndex);

/// The assets of a vulnerability.
pub(super) struct Reach<'a> {
    pub(super) asset_count: u64,
    /// Those that matter most.
    pub(super) assets: Vec<AssetOf>,
    pub(super) projects: Vec<&'a str>,
    pub(super) subscriptions: Vec<&'a str>,
}

/// Finds the assets of one vulnerability after another.
pub(super) struct Surveyor<'a> {
    tables: &'a [AssetTable],
    /// All assets, the one that matters most first.
    by_importance: Vec<AssetOf>,
    marks: Vec<Marks>,
    /// How many vulnerabilities were surveyed; what is marked with it belongs to this one.
    surveyed: u32,
}

/// What was met last by which vulnerability, for one source.
struct Marks {
    /// The place of each asset in the order of importance.
    ranks: Vec<u32>,
    assets: Vec<u32>,
    projects: Vec<u32>,
    subscriptions: Vec<u32>,
}

impl<'a> Surveyor<'a> {
    pub(super) fn new(tables: &'a [AssetTable]) -> Self {
        let mut by_importance: Vec<AssetOf> = tables
            .iter()
            .enumerate()
            .flat_map(|(part, table)| (0..table.len()).map(move |at| (part, AssetIndex::new(at))))
            .collect();
        let importance = |(part, asset): &AssetOf| {
            (tables.get(*part).and_then(|table| table.importance(*asset)), *part)
        };
        by_importance.sort_unstable_by(|left, right| importance(left).cmp(&importance(right)));
        let mut marks: Vec<Marks> = tables
            .iter()
            .map(|table| Marks {
                ranks: vec![0; table.len()],
                assets: vec![0; table.len()],
                projects: vec![0; table.n_texts()],
                subscriptions: vec![0; table.n_texts()],
            })
            .collect();
        for (rank, (part, asset)) in (0_u32..).zip(&by_importance) {
            let ranks = marks.get_mut(*part).map(|marks| &mut marks.ranks);
            if let Some(slot) = ranks.and_then(|ranks| ranks.get_mut(asset.at())) {
                *slot = rank;
            }
        }
        Self { tables, by_importance, marks, surveyed: 0 }
    }

    pub(super) fn survey(&mut self, runs: &[Run<'_>]) -> Reach<'a> {
        self.surveyed += 1;
        let now = self.surveyed;
        let mut ranks: Vec<u32> = Vec::new();
        let (mut projects, mut subscriptions) = (BTreeSet::new(), BTreeSet::new());
        for run in runs {
            let (Some(table), Some(marks)) =
                (self.tables.get(run.part), self.marks.get_mut(run.part))
            else {
                continue;
            };
            for at in run.order {
                let Some(place) = run.findings.places.get(*at as usize) else { continue };
                let asset = place.asset;
                if !first_met(&mut marks.assets, asset.at(), now) {
                    continue;
                }
                ranks.extend(marks.ranks.get(asset.at()));
                for text in table.projects(asset) {
                    if first_met(&mut marks.projects, *text as usize, now) {
                        projects.insert(table.text(*text));
                    }
                }
                if let Some(text) = table.subscription(asset)
                    && first_met(&mut marks.subscriptions, text as usize, now)
                {
                    subscriptions.insert(table.text(text));
                }
            }
        }
        let asset_count = ranks.len() as u64;
        if ranks.len() > ASSETS_SHOWN_MAX {
            ranks.select_nth_unstable(ASSETS_SHOWN_MAX);
            ranks.truncate(ASSETS_SHOWN_MAX);
        }
        ranks.sort_unstable();
        let shown = |texts: BTreeSet<&'a str>| {
            texts.into_iter().filter(|text| !text.is_empty()).take(OWNERS_SHOWN_MAX).collect()
        };
        Reach {
            asset_count,
            assets: ranks
                .iter()
                .filter_map(|rank| self.by_importance.get(*rank as usize).copied())
                .collect(),
            projects: shown(projects),
            subscriptions: shown(subscriptions),
        }
    }
}

/// Marks what is at `at`; whether it bore another mark before. Nothing is ever met outside.
fn first_met(marks: &mut [u32], at: usize, now: u32) -> bool {
    marks.get_mut(at).is_some_and(|mark| std::mem::replace(mark, now) != now)
}
