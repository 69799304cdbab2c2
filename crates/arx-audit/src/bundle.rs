//! Evidence bundles: one file that lets anyone check, offline, what one run did.
//!
//! A bundle holds the run's leaves, the proof that each is in the log, a signed checkpoint and the
//! public key. Start at [`Bundle::build`] and [`verify_bundle`].
//!
//! A bundle checked with the key inside it proves integrity, not origin: whoever can make a key
//! can make a bundle. Pin the key ([`BundleChecks::pinned_vkey`]) to prove origin too. A bundle
//! proves what it holds; that it holds every leaf of the run is proved only up to the last run
//! leaf that counts them (`detail.run_leaves`).

#[cfg(test)]
mod tests;
mod verify;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    CheckpointError, KeyError, TreeError, checkpoint,
    leaf::LEAF_BYTES_MAX,
    tree::{self, Hash, HashStore, PROOF_HASHES_MAX},
};

pub use verify::{BundleChecks, BundleReport, verify_bundle};

/// The word that marks the format.
pub const BUNDLE_FORMAT: &str = "arx-evidence-bundle";
/// The version of the format that this crate writes and reads.
pub const BUNDLE_VERSION: u32 = 1;
/// The most bytes of a bundle file.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The most entries of a bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 200_000;
/// The characters of one hash in base64.
const HASH_CHARS: usize = 44;

/// The content of a bundle file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`BUNDLE_FORMAT`].
    pub format: String,
    /// [`BUNDLE_VERSION`].
    pub version: u32,
    /// The run whose leaves these are.
    pub run: String,
    /// The name of the log.
    pub origin: String,
    /// The log's public key.
    pub vkey: String,
    /// The signed checkpoint that every proof leads to.
    pub checkpoint: String,
    /// The run's leaves in log order.
    pub entries: Vec<Entry>,
    /// The proof that the log still begins with an earlier checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Earlier>,
}

/// One leaf with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The leaf's place in the log.
    pub seq: u64,
    /// The leaf's exact bytes, which are UTF-8.
    pub leaf: String,
    /// The inclusion proof, from the leaf upwards, each hash in base64.
    pub proof: Vec<String>,
}

/// An earlier checkpoint with the proof that the log still begins with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earlier {
    /// The earlier signed checkpoint.
    pub checkpoint: String,
    /// The consistency proof, each hash in base64.
    pub proof: Vec<String>,
}

/// Why a bundle cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file is not JSON of the bundle format.
    #[error("bundle is not JSON of the bundle format: {source}")]
    Parse {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The file says the right thing in the wrong spelling.
    #[error("bundle is not in its canonical form")]
    NotCanonical,
    /// The file is of another format or version.
    #[error(
        "bundle has format `{format}` version `{version}`, expected `{BUNDLE_FORMAT}` version `{BUNDLE_VERSION}`"
    )]
    Format {
        /// The format it has.
        format: String,
        /// The version it has.
        version: u32,
    },
    /// The bundle is larger than any reader accepts.
    #[error("bundle has {found} {what}, at most {max} are allowed")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much is allowed.
        max: usize,
    },
    /// There is nothing to prove.
    #[error("bundle holds no leaf of the run `{run}`")]
    Empty {
        /// The run.
        run: String,
    },
    /// A leaf is not text.
    #[error("leaf {seq} is not UTF-8")]
    NotText {
        /// The leaf.
        seq: u64,
    },
    /// A leaf is newer than the checkpoint.
    #[error("leaf {seq} is newer than the checkpoint of {size} leaves")]
    NotCovered {
        /// The leaf.
        seq: u64,
        /// The size of the checkpoint.
        size: u64,
    },
    /// A hash is not 32 bytes in base64.
    #[error("`{text}` is not a hash in base64")]
    Hash {
        /// The text.
        text: String,
    },
    /// The key is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A checkpoint does not verify.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A proof cannot be made.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Bundle {
    /// Makes the bundle of one run.
    ///
    /// `leaves` are the run's leaves in log order; each must be covered by the checkpoint. With an
    /// `earlier` checkpoint, the bundle also proves that the log still begins with it.
    pub fn build(
        run: &str,
        vkey: &str,
        note: &str,
        leaves: &[(u64, Vec<u8>)],
        store: &dyn HashStore,
        earlier: Option<&str>,
    ) -> Result<Self, BundleError> {
        let signed = checkpoint::verify_checkpoint(vkey, note)?;
        let mut entries = Vec::with_capacity(leaves.len());
        for (seq, bytes) in leaves {
            let (seq, size) = (*seq, signed.size);
            if seq >= size {
                return Err(BundleError::NotCovered { seq, size });
            }
            let leaf =
                std::str::from_utf8(bytes).map_err(|_| BundleError::NotText { seq })?.to_owned();
            let proof = encode_hashes(&tree::inclusion_proof(store, size, seq)?);
            entries.push(Entry { seq, leaf, proof });
        }
        let earlier = match earlier {
            Some(note) => {
                let before = checkpoint::verify_checkpoint(vkey, note)?;
                let proof = tree::consistency_proof(store, signed.size, before.size)?;
                Some(Earlier { checkpoint: note.to_owned(), proof: encode_hashes(&proof) })
            }
            None => None,
        };
        let bundle = Self {
            format: BUNDLE_FORMAT.to_owned(),
            version: BUNDLE_VERSION,
            run: run.to_owned(),
            origin: signed.origin,
            vkey: vkey.to_owned(),
            checkpoint: note.to_owned(),
            entries,
            earlier,
        };
        bundle.check_limits()?;
        Ok(bundle)
    }

    /// Returns the bytes of the file: canonical JSON and a final newline.
    pub fn write(&self) -> Result<Vec<u8>, BundleError> {
        self.check_limits()?;
        let mut bytes = serde_json_canonicalizer::to_vec(self)
            .map_err(|source| BundleError::Parse { source })?;
        bytes.push(b'\n');
        check_max("bytes", bytes.len(), BUNDLE_BYTES_MAX)?;
        Ok(bytes)
    }

    /// Reads a file, and refuses bytes that are not exactly what [`Bundle::write`] writes.
    ///
    /// This checks the format alone; [`verify_bundle`] checks the content.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        check_max("bytes", bytes.len(), BUNDLE_BYTES_MAX)?;
        let bundle: Self =
            serde_json::from_slice(bytes).map_err(|source| BundleError::Parse { source })?;
        if bundle.format != BUNDLE_FORMAT || bundle.version != BUNDLE_VERSION {
            let (format, version) = (bundle.format, bundle.version);
            return Err(BundleError::Format { format, version });
        }
        if bundle.write()? != bytes {
            return Err(BundleError::NotCanonical);
        }
        Ok(bundle)
    }

    fn check_limits(&self) -> Result<(), BundleError> {
        if self.entries.is_empty() {
            return Err(BundleError::Empty { run: self.run.clone() });
        }
        check_max("entries", self.entries.len(), BUNDLE_ENTRIES_MAX)?;
        for entry in &self.entries {
            check_max("bytes in one leaf", entry.leaf.len(), LEAF_BYTES_MAX)?;
            check_max("hashes in one proof", entry.proof.len(), PROOF_HASHES_MAX)?;
        }
        if let Some(earlier) = &self.earlier {
            check_max("hashes in one proof", earlier.proof.len(), PROOF_HASHES_MAX)?;
        }
        Ok(())
    }
}

fn check_max(what: &'static str, found: usize, max: usize) -> Result<(), BundleError> {
    if found > max {
        return Err(BundleError::TooLarge { what, found, max });
    }
    Ok(())
}

fn encode_hashes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| BASE64_STANDARD.encode(hash.0)).collect()
}

fn decode_hashes(hashes: &[String]) -> Result<Vec<Hash>, BundleError> {
    let decode = |text: &String| {
        let hash = BASE64_STANDARD.decode(text).ok().and_then(|hash| hash.try_into().ok());
        let shown = || text.chars().take(HASH_CHARS).collect();
        hash.map(Hash).ok_or_else(|| BundleError::Hash { text: shown() })
    };
    hashes.iter().map(decode).collect()
}
