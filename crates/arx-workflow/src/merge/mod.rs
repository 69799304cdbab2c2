//! Folding findings into vulnerabilities.
//!
//! Scanners report a million rows; people act on a few hundred vulnerabilities. Each read streams
//! its rows into a [`Fold`], which keeps a few bytes of each; [`merge`] then joins the
//! [`Dataset`]s of all sources into one [`Merged`], which says what qualified, why rows were put
//! together, and what became of every row.
//!
//! Nothing here depends on the order in which pages arrive, on how rows are split into pages, on
//! how often a row is read, or on which thread reads it. Nothing here does I/O: the complete list
//! of rows leaves through a [`LineageRecorder`].
//!
//! Start at [`Fold`], then [`merge`]. `docs/merging.md` is the specification, with the digests an
//! auditor can recompute.

mod alias;
mod assets;
mod column;
mod combine;
mod dataset;
mod facts;
mod findings;
mod fold;
mod json;
mod merged;
mod name;
mod reach;
mod spelling;
mod thresholds;

#[cfg(test)]
mod tests;

pub use combine::merge;
pub use dataset::{
    ASSETS_MAX, Dataset, FINDINGS_MAX, IDENTITIES_MAX, NAMES_MAX, NAMES_PER_FINDING_MAX,
};
pub use fold::{Fold, LINEAGE_CHUNK_BYTES_MAX, LineageRecorder};
pub use merged::{
    AffectedAsset, AliasDecision, Below, Conservation, Disposition, FindingGroup, Merged,
    SourceCount, SourceRead, Vulnerability,
};
pub use thresholds::{Require, Thresholds, ThresholdsError};
