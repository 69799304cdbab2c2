//! The Merkle tree of RFC 6962 (unchanged in RFC 9162), SHA-256, over encoded leaves.
//!
//! A thin layer over `tlog_tiles` that turns its panics on bad storage into errors. The writer
//! keeps a [`Frontier`]: each push returns the hashes to store. Readers prove from any
//! [`HashStore`]. Nothing here knows what a leaf says.

#[cfg(test)]
mod tests;

use std::cell::RefCell;

use tlog_tiles::tlog;
pub use tlog_tiles::tlog::{EMPTY_HASH as EMPTY_ROOT, Hash};

use crate::{BoxError, INTEGER_MAX};

/// The most hashes a proof can have: the height of the largest tree, and a margin for RFC 9162
/// consistency proofs.
pub const PROOF_HASHES_MAX: usize = 64;

/// Where the hashes of the tree are kept.
///
/// Hash `i` must be the `i`-th hash that [`Frontier::push`] returned since the log was empty; it
/// never changes once written. `read` must return one hash for each index asked, in that order, or
/// an error.
pub trait HashStore {
    /// Returns the hashes at the given storage indexes.
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, BoxError>;
}

/// Why the tree could not be read, or a proof does not hold.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The storage failed.
    #[error("stored hashes cannot be read: {0}")]
    Store(#[source] BoxError),
    /// The storage broke its contract.
    #[error("asked the storage for {asked} hashes and got {got}")]
    ShortRead {
        /// How many were asked for.
        asked: usize,
        /// How many came.
        got: usize,
    },
    /// No such leaf, or no such earlier tree.
    #[error("`{index}` is not in a tree of {size} leaves")]
    OutOfRange {
        /// The leaf, or the size of the earlier tree.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The proof does not lead to the root.
    #[error("proof does not lead to the root")]
    Proof,
    /// The tree's own arithmetic failed.
    #[error("tree hashes do not fit together: {0}")]
    Tree(#[source] tlog::Error),
}

/// Returns the hash of one encoded leaf: `SHA-256(0x00 || bytes)`.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    tlog::record_hash(bytes)
}

/// Returns where the hash of leaf `seq` is stored.
pub fn leaf_index(seq: u64) -> u64 {
    tlog::stored_hash_index(0, seq)
}

/// Returns how many hashes are stored for a tree of `size` leaves.
pub fn stored_count(size: u64) -> u64 {
    tlog::stored_hash_count(size)
}

/// The right edge of a growing tree: all that is needed to append and to know the root.
///
/// It holds one hash for each complete subtree, at most 64.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, the largest (leftmost) first: one for each bit of `size`.
    edge: Vec<Hash>,
}

impl Frontier {
    /// Returns the frontier of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the frontier of a stored tree of `size` leaves.
    pub fn load(store: &dyn HashStore, size: u64) -> Result<Self, TreeError> {
        check_size(size)?;
        let indexes = tlog::sub_tree_index(0, size, Vec::new());
        let edge = read(store, &indexes)?;
        Ok(Self { size, edge })
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf hash and returns the hashes to store, each with its storage index.
    ///
    /// The indexes are consecutive and start at [`leaf_index`] of the leaf.
    pub fn push(&mut self, leaf: Hash) -> Vec<(u64, Hash)> {
        let mut index = leaf_index(self.size);
        let mut hash = leaf;
        let n_completed = self.size.trailing_ones();
        let mut stored = Vec::with_capacity(1 + n_completed as usize);
        stored.push((index, hash));
        // Every trailing one bit of the size is a complete subtree that this leaf completes into
        // one of twice the height.
        for _ in 0..n_completed {
            let Some(left) = self.edge.pop() else { break };
            hash = tlog::node_hash(left, hash);
            index += 1;
            stored.push((index, hash));
        }
        self.edge.push(hash);
        self.size += 1;
        stored
    }

    /// Returns the root hash.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.edge.iter().rev();
        let Some(last) = subtrees.next() else { return EMPTY_ROOT };
        subtrees.fold(*last, |right, left| tlog::node_hash(*left, right))
    }
}

/// Appends one leaf hash to a stored tree of `size` leaves and returns the hashes to store, each
/// with its storage index.
///
/// Reads up to log2(size) hashes; a writer of many leaves keeps a [`Frontier`] instead.
pub fn append(store: &dyn HashStore, size: u64, leaf: Hash) -> Result<Vec<(u64, Hash)>, TreeError> {
    Ok(Frontier::load(store, size)?.push(leaf))
}

/// Returns the root hash of a stored tree of `size` leaves.
pub fn root(store: &dyn HashStore, size: u64) -> Result<Hash, TreeError> {
    Ok(Frontier::load(store, size)?.root())
}

/// Returns the proof that leaf `seq` is in the tree of `size` leaves.
pub fn inclusion_proof(store: &dyn HashStore, size: u64, seq: u64) -> Result<Vec<Hash>, TreeError> {
    check_size(size)?;
    if seq >= size {
        return Err(TreeError::OutOfRange { index: seq, size });
    }
    with_reader(store, |reader| tlog::prove_record(size, seq, reader))
}

/// Returns the proof that the tree of `size` leaves begins with the tree of `earlier` leaves.
pub fn consistency_proof(
    store: &dyn HashStore,
    size: u64,
    earlier: u64,
) -> Result<Vec<Hash>, TreeError> {
    check_size(size)?;
    if earlier > size {
        return Err(TreeError::OutOfRange { index: earlier, size });
    }
    if earlier == 0 {
        return Ok(Vec::new());
    }
    with_reader(store, |reader| tlog::prove_tree(size, earlier, reader))
}

/// Checks that `leaf` is leaf `seq` of the tree with this size and root.
pub fn verify_inclusion(
    proof: &[Hash],
    size: u64,
    root: Hash,
    seq: u64,
    leaf: Hash,
) -> Result<(), TreeError> {
    check_size(size)?;
    if seq >= size {
        return Err(TreeError::OutOfRange { index: seq, size });
    }
    if proof.len() > PROOF_HASHES_MAX {
        return Err(TreeError::Proof);
    }
    tlog::check_record(&proof.to_vec(), size, root, seq, leaf).map_err(|_| TreeError::Proof)
}

/// Checks that the tree with this size and root begins with the earlier tree.
pub fn verify_consistency(
    proof: &[Hash],
    size: u64,
    root: Hash,
    earlier: u64,
    earlier_root: Hash,
) -> Result<(), TreeError> {
    check_size(size)?;
    if earlier > size {
        return Err(TreeError::OutOfRange { index: earlier, size });
    }
    if proof.len() > PROOF_HASHES_MAX {
        return Err(TreeError::Proof);
    }
    if earlier == 0 {
        // Every tree begins with the empty one; RFC 6962 has no proof for it.
        let holds = proof.is_empty() && earlier_root == EMPTY_ROOT;
        return if holds { Ok(()) } else { Err(TreeError::Proof) };
    }
    tlog::check_tree(&proof.to_vec(), size, root, earlier, earlier_root)
        .map_err(|_| TreeError::Proof)
}

/// A tree in memory, for tests and for checkers that hold all leaves.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    hashes: Vec<Hash>,
    frontier: Frontier,
}

impl MemoryStore {
    /// Returns an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.hashes.extend(self.frontier.push(leaf).into_iter().map(|(_, hash)| hash));
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Returns the root hash.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}

impl HashStore for MemoryStore {
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, BoxError> {
        let get = |index: &u64| {
            let hash = usize::try_from(*index).ok().and_then(|index| self.hashes.get(index));
            hash.copied().ok_or_else(|| format!("no hash at index `{index}`").into())
        };
        indexes.iter().map(get).collect()
    }
}

/// Gives a store to `tlog_tiles`, which knows neither our errors nor short reads.
struct Reader<'a> {
    store: &'a dyn HashStore,
    error: RefCell<Option<TreeError>>,
}

impl tlog::HashReader for Reader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        read(self.store, indexes).map_err(|error| {
            *self.error.borrow_mut() = Some(error);
            tlog::Error::IndexesNotInTree
        })
    }
}

fn with_reader<T>(
    store: &dyn HashStore,
    prove: impl FnOnce(&Reader<'_>) -> Result<T, tlog::Error>,
) -> Result<T, TreeError> {
    let reader = Reader { store, error: RefCell::new(None) };
    let result = prove(&reader);
    result.map_err(|error| reader.error.take().unwrap_or(TreeError::Tree(error)))
}

pub(crate) fn read(store: &dyn HashStore, indexes: &[u64]) -> Result<Vec<Hash>, TreeError> {
    if indexes.is_empty() {
        return Ok(Vec::new());
    }
    let hashes = store.read(indexes).map_err(TreeError::Store)?;
    if hashes.len() != indexes.len() {
        return Err(TreeError::ShortRead { asked: indexes.len(), got: hashes.len() });
    }
    Ok(hashes)
}

fn check_size(size: u64) -> Result<(), TreeError> {
    if size > INTEGER_MAX {
        return Err(TreeError::OutOfRange { index: size, size: INTEGER_MAX });
    }
    Ok(())
}
