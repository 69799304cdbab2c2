//! The directory that holds everything ARX keeps: the database and the signing key.
//!
//! It must never be readable by others, and nothing in it may appear half-written: files are made
//! beside their place and linked into it.

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use arx_audit::SigningKey;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret as _, SecretString};

use crate::JournalError;

/// The database's name in the state directory.
const DATABASE: &str = "arx.db";
/// The signing key's name in the state directory.
const KEY: &str = "audit.key";
/// The most bytes a key file may have; a real one has about a hundred.
const KEY_BYTES_MAX: u64 = 4096;
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Permission bits that let others write into a directory.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Permission bits that let others do anything.
const OPEN_TO_OTHERS: u32 = 0o077;

/// A state directory that exists, is writable, belongs to its owner alone, and has a key.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Opens a state directory, and makes it and its signing key where there is none yet.
    ///
    /// # Errors
    /// [`JournalError::ReadOnly`] and [`JournalError::Full`] when nothing can be written there,
    /// [`JournalError::Exposed`] when others can write to it or read its key, and
    /// [`JournalError::Key`] when a journal is there and its key is not.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if !path.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(path)
                .map_err(|error| JournalError::of_io("create", path, error))?;
        }
        check_mode(path, WRITABLE_BY_OTHERS, DIRECTORY_MODE)?;
        let state = Self { path: path.to_owned() };
        state.check_writable()?;
        state.ensure_key()?;
        Ok(state)
    }

    /// Whether a directory holds a journal; nothing is made, and nothing is opened.
    #[must_use]
    pub fn has_journal(path: &Path) -> bool {
        path.join(DATABASE).exists()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database is.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Where the signing key is.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.path.join(KEY)
    }

    /// Reads the signing key.
    pub(crate) fn signing_key(&self) -> Result<SigningKey, JournalError> {
        let path = self.key_file();
        check_mode(&path, OPEN_TO_OTHERS, FILE_MODE)?;
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| JournalError::of_io("read", &path, error))?;
        SigningKey::parse(&SecretString::from(text))
            .map_err(|error| JournalError::Key { path, reason: error.to_string() })
    }

    /// Puts a file in its place that appears there whole or not at all. Returns false when
    /// another process was first; its file stands.
    pub(crate) fn place(&self, made: &Path, target: &Path) -> Result<bool, JournalError> {
        let linked = fs::hard_link(made, target);
        let removed = fs::remove_file(made);
        let placed = match linked {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(JournalError::of_io("create", target, error)),
        };
        removed.map_err(|error| JournalError::of_io("remove", made, error))?;
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| JournalError::of_io("sync", &self.path, error))?;
        Ok(placed)
    }

    /// A name beside the others that no other process uses.
    pub(crate) fn scratch(&self, purpose: &str) -> Result<PathBuf, JournalError> {
        Ok(self.path.join(format!(".{purpose}-{}", self.unique()?)))
    }

    /// A word that was never used here before.
    pub(crate) fn unique(&self) -> Result<String, JournalError> {
        Ok(hex::encode(random::<8>(&self.path)?))
    }

    fn check_writable(&self) -> Result<(), JournalError> {
        let probe = self.scratch("probe")?;
        create(&probe)
            .and_then(|mut file| file.write_all(b"arx"))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| {
                // What is left of a probe on a full disk would only confuse.
                let _ = fs::remove_file(&probe);
                JournalError::of_io("write", &self.path, error)
            })
    }

    fn ensure_key(&self) -> Result<(), JournalError> {
        let path = self.key_file();
        if path.exists() {
            return check_mode(&path, OPEN_TO_OTHERS, FILE_MODE);
        }
        // A journal without its key has lost it: a new key would make every earlier checkpoint
        // look forged. (Looked at in this order, because another process may be making both.)
        if self.database().exists() && !path.exists() {
            return Err(JournalError::Key { path, reason: "it is missing".to_owned() });
        }
        let key = SigningKey::generate(random::<32>(&path)?)
            .map_err(|error| JournalError::Key { path: path.clone(), reason: error.to_string() })?;
        let scratch = self.scratch("key")?;
        create(&scratch)
            .and_then(|mut file| {
                file.write_all(key.encode().expose_secret().as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            })
            .map_err(|error| JournalError::of_io("write", &scratch, error))?;
        self.place(&scratch, &path)?;
        Ok(())
    }
}

/// Makes a file for its owner alone.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

fn check_mode(path: &Path, forbidden: u32, wanted: u32) -> Result<(), JournalError> {
    let metadata = fs::metadata(path).map_err(|error| JournalError::of_io("read", path, error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(JournalError::Exposed { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

fn random<const N: usize>(path: &Path) -> Result<[u8; N], JournalError> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        JournalError::of_io("draw randomness for", path, io::Error::other(error.to_string()))
    })?;
    Ok(bytes)
}
