//! Taking findings while they stream in.
//!
//! What costs time (digests, canonical names, the lines of the record) is done on the thread that
//! read the page; the lock is taken once a page, for look-ups and a few copies.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arx_types::{Digest, Finding, FindingSink, SinkError};
use hashbrown::HashTable;
use jiff::Timestamp;

use super::assets::AssetHash;
use super::dataset::{Dataset, Identity, KEYS, Limits, NAMES_PER_FINDING_MAX, Row};
use super::name::{Registry, canonical};

/// The most bytes of lines handed to a recorder at once; only a single longer line may exceed it.
pub const LINEAGE_CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Keeps the complete list of source findings.
///
/// Chunks come from several threads and in any order; their lines carry no order.
pub trait LineageRecorder: Send + Sync {
    /// Keeps one chunk of whole JSON lines, each ended by a line feed.
    ///
    /// # Errors
    /// When it could not be kept; the read then stops and fails.
    fn record(&self, chunk: Vec<u8>) -> Result<(), SinkError>;
}

/// Folds the findings of one source while they stream in.
pub struct Fold {
    source: String,
    recorder: Arc<dyn LineageRecorder>,
    state: Mutex<Option<State>>,
    /// A page was not kept: whatever the reader says, the read is not complete.
    spoilt: AtomicBool,
}

#[derive(Default)]
struct State {
    dataset: Dataset,
    /// Lines not yet handed to the recorder.
    lines: Vec<u8>,
}

impl Fold {
    /// A fold of nothing yet. `source` names the source in records and in people's sight.
    #[must_use]
    pub fn new(source: &str, recorder: Arc<dyn LineageRecorder>) -> Self {
        Self::with_limits(source, recorder, Limits::default())
    }

    pub(super) fn with_limits(
        source: &str,
        recorder: Arc<dyn LineageRecorder>,
        limits: Limits,
    ) -> Self {
        let state = State { dataset: Dataset::new(source, limits), lines: Vec::new() };
        Self {
            source: source.to_owned(),
            recorder,
            state: Mutex::new(Some(state)),
            spoilt: AtomicBool::new(false),
        }
    }

    /// Ends the read and gives what was folded. `complete` says whether the source was read to
    /// its end; a fold that had to refuse a page is never complete.
    ///
    /// # Errors
    /// When the last lines could not be recorded, or the fold was finished before.
    pub fn finish(&self, complete: bool) -> Result<Dataset, SinkError> {
        let State { mut dataset, lines } = self.lock()?.take().ok_or_else(finished)?;
        if !lines.is_empty() {
            self.recorder.record(lines)?;
        }
        dataset.seal(complete && !self.spoilt.load(Ordering::Acquire));
        Ok(dataset)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<State>>, SinkError> {
        // A thread that panicked while it held the lock may have left half a page.
        self.state.lock().map_err(|_| SinkError::NotRecorded {
            reason: "an earlier page was not folded to its end".to_owned(),
        })
    }

    fn take(&self, page: &[Finding<'_>]) -> Result<(), SinkError> {
        let prepared = Prepared::of(&self.source, page)?;
        let full = {
            let mut guard = self.lock()?;
            let state = guard.as_mut().ok_or_else(finished)?;
            state.dataset.take(page, prepared.identities, &prepared.rows)?;
            state.add_lines(prepared.lines)
        };
        full.into_iter().try_for_each(|chunk| self.recorder.record(chunk))
    }
}

impl FindingSink for Fold {
    fn accept(&self, page: &[Finding<'_>]) -> Result<(), SinkError> {
        self.take(page).inspect_err(|_| self.spoilt.store(true, Ordering::Release))
    }
}

fn finished() -> SinkError {
    SinkError::NotRecorded { reason: "the read is over".to_owned() }
}

impl State {
    /// Adds chunks of lines to those that wait; gives the chunks that are full.
    fn add_lines(&mut self, chunks: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut full = Vec::new();
        for chunk in chunks {
            if self.lines.len() + chunk.len() > LINEAGE_CHUNK_BYTES_MAX && !self.lines.is_empty() {
                full.push(std::mem::take(&mut self.lines));
            }
            if self.lines.is_empty() {
                self.lines = chunk;
            } else {
                self.lines.extend_from_slice(&chunk);
            }
        }
        full
    }
}

/// A page, worked out as far as is possible without the lock.
struct Prepared {
    identities: Vec<Identity>,
    rows: Vec<Row>,
    lines: Vec<Vec<u8>>,
}

impl Prepared {
    fn of(source: &str, page: &[Finding<'_>]) -> Result<Self, SinkError> {
        let mut identities = Identities::default();
        let mut rows = Vec::with_capacity(page.len());
        let mut lines = Lines::new(source);
        let mut last_seen = ("", None);
        for finding in page {
            if finding.first_seen != last_seen.0 {
                last_seen = (&*finding.first_seen, timestamp(&finding.first_seen));
            }
            let digest = finding.digest(source);
            let identity = identities.of(source, page, rows.len(), finding, &digest)?;
            lines.add(finding, &digest, identities.get(identity));
            rows.push(Row {
                id_hash: id_hash(finding, &digest),
                digest: digest.0,
                identity,
                asset: AssetHash::of(&finding.asset),
                first_seen: last_seen.1,
            });
        }
        Ok(Self { identities: identities.found, rows, lines: lines.finish() })
    }
}

fn timestamp(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok()
}

/// What two readings of one row have in common: its identifier, or all of it where the source
/// gives it none.
fn id_hash(finding: &Finding<'_>, digest: &Digest) -> u64 {
    if finding.id.is_empty() { KEYS.hash_one(digest) } else { KEYS.hash_one(&*finding.id) }
}

/// The identities of one page, each worked out once.
#[derive(Default)]
struct Identities {
    found: Vec<Identity>,
    /// Hash of the names as written, the first finding that has them, its identity.
    index: HashTable<(u64, usize, usize)>,
}

impl Identities {
    fn get(&self, at: usize) -> Option<&Identity> {
        self.found.get(at)
    }

    fn of(
        &mut self,
        source: &str,
        page: &[Finding<'_>],
        at: usize,
        finding: &Finding<'_>,
        digest: &Digest,
    ) -> Result<usize, SinkError> {
        let mut hasher = KEYS.build_hasher();
        finding.vulnerabilities.hash(&mut hasher);
        finding.aliases.hash(&mut hasher);
        let hash = hasher.finish();
        let known = self.index.find(hash, |(known, first, _)| {
            *known == hash
                && page.get(*first).is_some_and(|first| {
                    first.vulnerabilities == finding.vulnerabilities
                        && first.aliases == finding.aliases
                })
        });
        if let Some((_, _, identity)) = known {
            return Ok(*identity);
        }
        let identity = self.found.len();
        match identify(&finding.vulnerabilities, &finding.aliases)? {
            Some(named) => {
                self.found.push(named);
                self.index.insert_unique(hash, (hash, at, identity), |(hash, _, _)| *hash);
            }
            None => self.found.push(nameless(source, &finding.id, digest)),
        }
        Ok(identity)
    }
}

/// The identity that names and aliases give; `None` when none of them is a name.
fn identify<T: AsRef<str>>(names: &[T], aliases: &[T]) -> Result<Option<Identity>, SinkError> {
    if names.len() + aliases.len() > NAMES_PER_FINDING_MAX {
        let what = "names of vulnerabilities in one finding";
        return Err(SinkError::TooMany { what, limit: NAMES_PER_FINDING_MAX });
    }
    let clean = |texts: &[T]| {
        let mut clean: Vec<String> =
            texts.iter().filter_map(|text| canonical(text.as_ref())).collect();
        clean.sort_unstable();
        clean.dedup();
        clean
    };
    let (mut names, mut aliases) = (clean(names), clean(aliases));
    if names.is_empty() {
        // Aliases alone name it: by the best registry there is.
        let Some(best) = aliases.iter().map(|alias| Registry::of(alias)).min() else {
            return Ok(None);
        };
        names = aliases.iter().filter(|alias| Registry::of(alias) == best).cloned().collect();
    } else if let [name] = names.as_slice()
        && Registry::of(name) != Registry::Cve
    {
        let cves: Vec<_> =
            aliases.iter().filter(|alias| Registry::of(alias) == Registry::Cve).collect();
        if let [cve] = cves.as_slice() {
            let cve = (*cve).clone();
            aliases.append(&mut names);
            aliases.sort_unstable();
            names.push(cve);
        }
    }
    aliases.retain(|alias| !names.contains(alias));
    aliases.dedup();
    Ok(Some(Identity { names, aliases }))
}

/// A finding that names nothing stands for itself.
fn nameless(source: &str, id: &str, digest: &Digest) -> Identity {
    let row = canonical(id).unwrap_or_else(|| digest.short());
    let name = canonical(&format!("{source}-FINDING-{row}")).unwrap_or(row);
    Identity { names: vec![name], aliases: Vec::new() }
}

/// The lines of one page, in chunks.
struct Lines {
    source: Vec<u8>,
    full: Vec<Vec<u8>>,
    lines: Vec<u8>,
}

impl Lines {
    fn new(source: &str) -> Self {
        let mut json = Vec::new();
        push_json(&mut json, source);
        Self { source: json, full: Vec::new(), lines: Vec::new() }
    }

    fn add(&mut self, finding: &Finding<'_>, digest: &Digest, identity: Option<&Identity>) {
        let start = self.lines.len();
        self.write(finding, digest, identity);
        if self.lines.len() > LINEAGE_CHUNK_BYTES_MAX && start > 0 {
            let line = self.lines.split_off(start);
            self.full.push(std::mem::replace(&mut self.lines, line));
        }
    }

    fn write(&mut self, finding: &Finding<'_>, digest: &Digest, identity: Option<&Identity>) {
        let out = &mut self.lines;
        out.extend_from_slice(b"{\"source\":");
        out.extend_from_slice(&self.source);
        out.extend_from_slice(b",\"id\":");
        push_json(out, &finding.id);
        out.extend_from_slice(b",\"digest\":\"");
        let mut hexadecimal = [0; 64];
        if hex::encode_to_slice(digest.0, &mut hexadecimal).is_ok() {
            out.extend_from_slice(&hexadecimal);
        }
        out.extend_from_slice(b"\",\"asset\":");
        push_json(out, &finding.asset.id);
        out.extend_from_slice(b",\"vulnerabilities\":[");
        if let Some(identity) = identity {
            push_list(out, &identity.names);
            if !identity.aliases.is_empty() {
                out.extend_from_slice(b"],\"aliases\":[");
                push_list(out, &identity.aliases);
            }
        }
        out.extend_from_slice(b"]}\n");
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.lines.is_empty() {
            self.full.push(self.lines);
        }
        self.full
    }
}

fn push_list(out: &mut Vec<u8>, texts: &[String]) {
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_json(out, text);
    }
}

/// Most texts need no escape, and looking for one is cheaper than the general way.
fn push_json(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        for character in text.chars() {
            let mut utf8 = [0; 4];
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\u{0}'..='\u{1f}' => {
                    // Writing into memory does not fail.
                    let _ = write!(out, "\\u{:04x}", u32::from(character));
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes()),
            }
        }
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}
