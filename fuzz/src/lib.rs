//! What fuzz targets share: a sink that folds findings as a run does, and values made from bytes.
//!
//! Targets are in `fuzz_targets/`; each states what it reads and what it asserts.
//! `cargo xtask fuzz` builds and runs them, `docs/reliability.md` says what came of it.

pub mod json;

use std::sync::Arc;

use arx_types::{FindingSink, SinkError};
use arx_workflow::merge::{Disposition, Fold, LineageRecorder, Merged, Thresholds, merge};

/// The catalogue of every vendor, as bundles are checked against it.
#[must_use]
pub fn catalogue() -> Vec<(&'static str, &'static [arx_types::OperationSpec])> {
    arx_connectors::ALL.iter().map(|known| (known.spec.name, known.spec.operations)).collect()
}

/// Keeps no lineage, but checks that it comes as whole lines of JSON.
struct Lines;

impl LineageRecorder for Lines {
    fn record(&self, chunk: Vec<u8>) -> Result<(), SinkError> {
        assert!(chunk.ends_with(b"\n"), "a chunk ends inside a line");
        for line in chunk.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "no line of JSON");
        }
        Ok(())
    }
}

/// Reads findings through `read`, merges them as a run does, and checks that none is lost.
pub fn fold_and_merge(source: &str, read: impl FnOnce(&dyn FindingSink)) {
    let fold = Fold::new(source, Arc::new(Lines));
    read(&fold);
    let Ok(dataset) = fold.finish(true) else { return };
    let n_findings = dataset.len() as u64;
    let Ok(merged) = merge(vec![dataset], &Thresholds::default()) else { return };
    assert_eq!(merged.findings_read, n_findings, "findings were lost in the merge");
    let counted = merged.conservation(|_| Disposition::Paged);
    assert!(counted.balanced, "findings do not add up: {counted:?}");
    let text = serde_json::to_string(&merged).expect("a merge is recorded as JSON");
    let again: Merged = serde_json::from_str(&text).expect("a recorded merge can be read");
    let again = serde_json::to_string(&again).expect("a merge is recorded as JSON");
    assert_eq!(again, text, "a merge was recorded otherwise than it was");
}
