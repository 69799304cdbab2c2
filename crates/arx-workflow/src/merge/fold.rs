//! Taking findings while they stream in.
//!
//! What costs time (digests, hashes, the lines of the record) is done on the thread that read the
//! page; the lock is taken once a page, for look-ups and a few copies.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use arx_types::{Digest, Finding, FindingSink, SinkError};
use jiff::Timestamp;

use super::assets::AssetHash;
use super::dataset::{Dataset, KEYS, Limits, Row};
use super::facts::TextsHash;
use super::json::push_text;
use super::spelling::{Meaning, SpellingIndex, Spellings, identify, nameless};

/// The most bytes of lines handed to a recorder at once; only a single longer line may exceed it.
pub const LINEAGE_CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Room set aside for one line of the record, so that a page's lines rarely move while they grow.
const LINE_BYTES_EXPECTED: usize = 256;

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
    spellings: RwLock<Spellings>,
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
            spellings: RwLock::default(),
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

    fn take(&self, page: &[Finding<'_>]) -> Result<(), SinkError> {
        let meanings = self.learn(page)?;
        let (rows, lines) = self.prepare(page, &meanings)?;
        let full = {
            let mut guard = self.lock()?;
            let state = guard.as_mut().ok_or_else(finished)?;
            state.dataset.take(page, &rows)?;
            state.add_lines(lines)
        };
        full.into_iter().try_for_each(|chunk| self.recorder.record(chunk))
    }

    /// What the findings of a page mean; spellings that are new are learnt.
    fn learn(&self, page: &[Finding<'_>]) -> Result<Vec<PageMeaning>, SinkError> {
        let known: Vec<Option<SpellingIndex>> = {
            let spellings = self.spellings()?;
            page.iter().map(|finding| spellings.find(finding)).collect()
        };
        let n_new = known.iter().filter(|known| known.is_none()).count();
        let mut learnt = Vec::with_capacity(n_new);
        for (finding, _) in page.iter().zip(&known).filter(|(_, known)| known.is_none()) {
            let named = identify(finding)?;
            let is_named = named.is_some();
            let identity = named.unwrap_or_else(|| nameless(&self.source, finding));
            learnt.push((finding, is_named, identity));
        }
        // One lock at a time, so that no order of locks is needed.
        let mut groups = Vec::with_capacity(n_new);
        if n_new > 0 {
            let mut guard = self.lock()?;
            let dataset = &mut guard.as_mut().ok_or_else(finished)?.dataset;
            for (_, _, identity) in &learnt {
                groups.push(dataset.group(identity.clone())?);
            }
        }
        let mut new = Vec::with_capacity(n_new);
        if n_new > 0 {
            let mut spellings = self.spellings.write().map_err(|_| broken())?;
            for ((finding, is_named, identity), group) in learnt.into_iter().zip(groups) {
                let meaning = Meaning::new(&identity, group);
                let shared =
                    if is_named { spellings.insert(finding, meaning) } else { Err(meaning) };
                new.push(shared.map_or_else(PageMeaning::Own, PageMeaning::Shared));
            }
        }
        let mut new = new.into_iter();
        known
            .into_iter()
            .map(|known| known.map(PageMeaning::Shared).or_else(|| new.next()).ok_or_else(broken))
            .collect()
    }

    /// Works out all that needs no lock of the dataset: rows, and lines in chunks.
    fn prepare(
        &self,
        page: &[Finding<'_>],
        meanings: &[PageMeaning],
    ) -> Result<(Vec<Row>, Vec<Vec<u8>>), SinkError> {
        let spellings = self.spellings()?;
        let mut rows = Vec::with_capacity(page.len());
        let mut lines = Lines::new(&self.source, page.len());
        let mut last_seen = ("", None);
        for (finding, meaning) in page.iter().zip(meanings) {
            if finding.first_seen != last_seen.0 {
                last_seen = (&*finding.first_seen, timestamp(&finding.first_seen));
            }
            let meaning = match meaning {
                PageMeaning::Shared(at) => spellings.get(*at).ok_or_else(broken)?,
                PageMeaning::Own(meaning) => meaning,
            };
            let digest = finding.digest(&self.source);
            lines.add(finding, &digest, &meaning.json);
            rows.push(Row {
                id_hash: id_hash(finding, &digest),
                digest: digest.0,
                group: meaning.group,
                asset: AssetHash::of(&finding.asset),
                texts: TextsHash::of(finding),
                first_seen: last_seen.1,
            });
        }
        Ok((rows, lines.finish()))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<State>>, SinkError> {
        self.state.lock().map_err(|_| broken())
    }

    fn spellings(&self) -> Result<RwLockReadGuard<'_, Spellings>, SinkError> {
        self.spellings.read().map_err(|_| broken())
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

/// A thread that panicked while it held a lock may have left half a page.
fn broken() -> SinkError {
    SinkError::NotRecorded { reason: "an earlier page was not folded to its end".to_owned() }
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

fn timestamp(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok()
}

/// What two readings of one row have in common: its identifier, or all of it where the source
/// gives it none.
fn id_hash(finding: &Finding<'_>, digest: &Digest) -> u64 {
    if finding.id.is_empty() { KEYS.hash_one(digest) } else { KEYS.hash_one(&*finding.id) }
}

/// What a finding of a page means.
enum PageMeaning {
    /// What others spelt the same way mean.
    Shared(SpellingIndex),
    /// What no other means.
    Own(Meaning),
}

/// The lines of one page, in chunks.
struct Lines {
    /// How every line starts.
    start: Vec<u8>,
    full: Vec<Vec<u8>>,
    lines: Vec<u8>,
}

impl Lines {
    fn new(source: &str, n_lines: usize) -> Self {
        let mut start = b"{\"source\":".to_vec();
        push_text(&mut start, source);
        start.extend_from_slice(b",\"id\":");
        let bytes = n_lines.saturating_mul(LINE_BYTES_EXPECTED).min(LINEAGE_CHUNK_BYTES_MAX);
        Self { start, full: Vec::new(), lines: Vec::with_capacity(bytes) }
    }

    fn add(&mut self, finding: &Finding<'_>, digest: &Digest, end: &[u8]) {
        let out = &mut self.lines;
        let start = out.len();
        out.extend_from_slice(&self.start);
        push_text(out, &finding.id);
        out.extend_from_slice(b",\"digest\":\"");
        let mut hexadecimal = [0; 64];
        if hex::encode_to_slice(digest.0, &mut hexadecimal).is_ok() {
            out.extend_from_slice(&hexadecimal);
        }
        out.extend_from_slice(b"\",\"asset\":");
        push_text(out, &finding.asset.id);
        out.extend_from_slice(end);
        if out.len() > LINEAGE_CHUNK_BYTES_MAX && start > 0 {
            let line = out.split_off(start);
            self.full.push(std::mem::replace(&mut self.lines, line));
        }
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.lines.is_empty() {
            self.full.push(self.lines);
        }
        self.full
    }
}
