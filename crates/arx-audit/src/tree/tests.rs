use proptest::prelude::*;
use tlog_tiles::tlog;

use super::*;

/// The largest tree that is tried in every shape.
const SIZE_MAX: u64 = 48;

fn tree_of(size: u64) -> MemoryStore {
    let mut store = MemoryStore::new();
    (0..size).for_each(|n| store.push(leaf_hash(&n.to_le_bytes())));
    store
}

/// The definition in RFC 6962 section 2.1, word by word.
fn root_by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let split = 1 << (leaves.len() - 1).ilog2();
            let (left, right) = leaves.split_at(split);
            tlog::node_hash(root_by_definition(left), root_by_definition(right))
        }
    }
}

#[test]
fn roots_are_the_published_test_vectors() {
    let leaves: [&[u8]; 8] =
        [b"", b"\x00", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut store = MemoryStore::new();
    assert_eq!(hex::encode(store.root().0), roots[0]);
    for (leaf, root) in leaves.into_iter().zip(&roots[1..]) {
        store.push(leaf_hash(leaf));
        assert_eq!(hex::encode(store.root().0), *root);
    }
}

#[test]
fn the_frontier_stores_what_the_library_stores() {
    let mut store = MemoryStore::new();
    for n in 0..SIZE_MAX {
        let leaf = leaf_hash(&n.to_le_bytes());
        let by_library =
            with_reader(&store, |reader| tlog::stored_hashes_for_record_hash(n, leaf, reader));
        let stored = append(&store, n, leaf).unwrap();
        let hashes: Vec<Hash> = stored.iter().map(|(_, hash)| *hash).collect();
        assert_eq!(hashes, by_library.unwrap());
        let indexes: Vec<u64> = stored.iter().map(|(index, _)| *index).collect();
        let expected: Vec<u64> = (stored_count(n)..stored_count(n + 1)).collect();
        assert_eq!(indexes, expected);
        assert_eq!(indexes[0], leaf_index(n));
        store.push(leaf);
        let by_library = with_reader(&store, |reader| tlog::tree_hash(n + 1, reader)).unwrap();
        assert_eq!(store.root(), by_library);
        assert_eq!(Frontier::load(&store, n + 1).unwrap(), store.frontier);
    }
}

#[test]
fn every_leaf_of_every_tree_is_proved_and_no_other() {
    let store = tree_of(SIZE_MAX);
    let leaves: Vec<Hash> = (0..SIZE_MAX).map(|n| leaf_hash(&n.to_le_bytes())).collect();
    for size in 1..=SIZE_MAX {
        let root = root(&store, size).unwrap();
        assert_eq!(root, root_by_definition(&leaves[..size as usize]));
        for seq in 0..size {
            let proof = inclusion_proof(&store, size, seq).unwrap();
            let leaf = leaves[seq as usize];
            verify_inclusion(&proof, size, root, seq, leaf).unwrap();
            let other = (seq + 1) % size;
            if other != seq {
                verify_inclusion(&proof, size, root, other, leaf).unwrap_err();
                verify_inclusion(&proof, size, root, seq, leaves[other as usize]).unwrap_err();
            }
            let longer = [proof.as_slice(), &[leaf]].concat();
            verify_inclusion(&longer, size, root, seq, leaf).unwrap_err();
        }
    }
}

#[test]
fn every_tree_begins_with_every_smaller_one() {
    let store = tree_of(SIZE_MAX);
    for size in 0..=SIZE_MAX {
        let root_now = root(&store, size).unwrap();
        for earlier in 0..=size {
            let root_then = root(&store, earlier).unwrap();
            let proof = consistency_proof(&store, size, earlier).unwrap();
            verify_consistency(&proof, size, root_now, earlier, root_then).unwrap();
            let other = leaf_hash(b"another history");
            verify_consistency(&proof, size, root_now, earlier, other).unwrap_err();
            if earlier != 0 {
                verify_consistency(&proof, size, other, earlier, root_then).unwrap_err();
            }
        }
    }
}

#[test]
fn what_is_not_in_the_tree_is_an_error() {
    let store = tree_of(5);
    let root = store.root();
    let leaf = leaf_hash(b"");
    let is_out = |error| matches!(error, TreeError::OutOfRange { .. });
    assert!(is_out(inclusion_proof(&store, 5, 5).unwrap_err()));
    assert!(is_out(inclusion_proof(&store, 0, 0).unwrap_err()));
    assert!(is_out(consistency_proof(&store, 5, 6).unwrap_err()));
    assert!(is_out(verify_inclusion(&[], 5, root, 5, leaf).unwrap_err()));
    assert!(is_out(verify_consistency(&[], 5, root, 6, root).unwrap_err()));
    for size in [u64::MAX, INTEGER_MAX + 1] {
        assert!(is_out(super::root(&store, size).unwrap_err()));
        assert!(is_out(inclusion_proof(&store, size, 0).unwrap_err()));
        assert!(is_out(verify_inclusion(&[], size, root, 0, leaf).unwrap_err()));
    }
    assert!(matches!(super::root(&store, 6), Err(TreeError::Store(_))));
    let endless = vec![leaf; PROOF_HASHES_MAX + 1];
    assert!(matches!(verify_inclusion(&endless, 5, root, 0, leaf), Err(TreeError::Proof)));
    assert!(matches!(verify_consistency(&endless, 5, root, 3, root), Err(TreeError::Proof)));
}

#[test]
fn a_store_that_answers_short_is_an_error() {
    struct Short;
    impl HashStore for Short {
        fn read(&self, _: &[u64]) -> Result<Vec<Hash>, BoxError> {
            Ok(Vec::new())
        }
    }
    let short = |error| matches!(error, TreeError::ShortRead { got: 0, .. });
    assert!(short(root(&Short, 3).unwrap_err()));
    assert!(short(inclusion_proof(&Short, 3, 1).unwrap_err()));
    assert!(short(consistency_proof(&Short, 3, 2).unwrap_err()));
    assert!(short(append(&Short, 3, EMPTY_ROOT).unwrap_err()));
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_proof_is_found(
        size in 2_u64..200,
        seq in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let store = tree_of(size);
        let root = store.root();
        let seq = seq.index(size as usize) as u64;
        let leaf = leaf_hash(&seq.to_le_bytes());
        let mut proof = inclusion_proof(&store, size, seq).unwrap();
        verify_inclusion(&proof, size, root, seq, leaf).unwrap();
        let place = place.index(proof.len() * 32);
        proof[place / 32].0[place % 32] ^= flip;
        prop_assert!(verify_inclusion(&proof, size, root, seq, leaf).is_err());
    }

    #[test]
    fn any_changed_byte_of_a_consistency_proof_is_found(
        size in 3_u64..200,
        earlier in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let store = tree_of(size);
        let earlier = earlier.index(size as usize - 1) as u64 + 1;
        let (now, then) = (store.root(), root(&store, earlier).unwrap());
        let mut proof = consistency_proof(&store, size, earlier).unwrap();
        verify_consistency(&proof, size, now, earlier, then).unwrap();
        let place = place.index(proof.len() * 32);
        proof[place / 32].0[place % 32] ^= flip;
        prop_assert!(verify_consistency(&proof, size, now, earlier, then).is_err());
    }
}
