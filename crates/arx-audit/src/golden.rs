//! The golden files: the lasting formats, byte for byte.
//!
//! A difference here means that evidence already handed out would no longer verify. To write the
//! files anew after a deliberate change of format, set `UPDATE_GOLDEN` while building the tests.

use std::path::Path;

use crate::{
    Bundle, BundleChecks, Leaf, sample,
    sample::{EARLIER_SIZE, RUN},
    tree, verify_bundle, verify_checkpoint,
};

#[track_caller]
fn check(name: &str, produced: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if option_env!("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, produced).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert_eq!(String::from_utf8_lossy(produced), String::from_utf8_lossy(&golden), "{name}");
}

#[test]
fn leaves() {
    let log = sample::log();
    let lines: Vec<u8> =
        log.leaves.iter().flat_map(|(_, bytes)| [bytes.as_slice(), b"\n"].concat()).collect();
    check("leaves.jsonl", &lines);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        Leaf::decode(line).unwrap();
    }
}

#[test]
fn leaf_hashes() {
    let log = sample::log();
    let hash = |(seq, bytes): &(u64, Vec<u8>)| {
        format!("{seq} {}\n", hex::encode(tree::leaf_hash(bytes).0))
    };
    let mut lines: String = log.leaves.iter().map(hash).collect();
    for size in [EARLIER_SIZE, 7] {
        let root = hex::encode(tree::root(&log.store, size).unwrap().0);
        lines.push_str(&format!("root {size} {root}\n"));
    }
    check("hashes.txt", lines.as_bytes());
}

#[test]
fn notes() {
    let log = sample::log();
    check("vkey.txt", format!("{}\n", log.key.vkey()).as_bytes());
    for size in [EARLIER_SIZE, 7] {
        let note = log.checkpoint(size);
        check(&format!("checkpoint-{size}.txt"), note.as_bytes());
        assert_eq!(verify_checkpoint(log.key.vkey(), &note).unwrap().size, size);
    }
}

#[test]
fn bundle() {
    let log = sample::log();
    let (now, earlier) = (log.checkpoint(7), log.checkpoint(EARLIER_SIZE));
    let leaves = log.of_run(RUN);
    let bundle =
        Bundle::build(RUN, log.key.vkey(), &now, &leaves, &log.store, Some(&earlier)).unwrap();
    let bytes = bundle.write().unwrap();
    check("bundle.json", &bytes);
    let checks =
        BundleChecks { pinned_vkey: Some(log.key.vkey()), earlier_checkpoint: Some(&earlier) };
    assert_eq!(verify_bundle(&bytes, checks).unwrap().n_leaves, 5);
}

/// The specification shows the bytes of leaf 1, its hash and proof, and the checkpoint.
#[test]
fn the_specification_shows_the_golden_files() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec/audit-log.md");
    let page = std::fs::read_to_string(path).unwrap();
    let log = sample::log();
    let (_, leaf) = &log.leaves[1];
    let proof = tree::inclusion_proof(&log.store, 7, 1).unwrap();
    let mut shown = vec![
        String::from_utf8(leaf.clone()).unwrap(),
        hex::encode(tree::leaf_hash(leaf).0),
        log.checkpoint(7),
        log.key.vkey().to_owned(),
        hex::encode(log.store.root().0),
    ];
    shown.extend(proof.iter().map(ToString::to_string));
    for text in shown {
        assert!(page.contains(&text), "not in the specification: {text}");
    }
}
