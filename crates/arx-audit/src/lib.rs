//! Audit leaves, Merkle tree, checkpoints, proofs, evidence bundles and their verification.
