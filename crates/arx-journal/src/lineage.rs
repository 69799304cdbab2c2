//! Lineage: the list of every source finding behind a dataset, in chunks, and the merge that
//! commits to it.
//!
//! Chunks are written while the findings stream in, and may be written again by a run that
//! resumes. Once a merge names the dataset, it is sealed: what an audit leaf commits to is never
//! changed.

#[cfg(test)]
mod tests;

use arx_types::{Digest, RunId};
use rusqlite::params;

use crate::column::{Bytes32, Micros, signed, unsigned};
use crate::{JournalError, Packed, Reader, Tx};

/// The merge that a dataset's lineage belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// What the audit leaf commits to.
    pub digest: Digest,
    /// The dataset whose chunks are its lineage.
    pub dataset: String,
    /// The run that merged.
    pub run: String,
    /// How many chunks there are.
    pub n_chunks: u64,
}

impl Tx<'_> {
    /// Keeps one chunk of a dataset's lineage.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the dataset is sealed.
    pub fn put_lineage(
        &mut self,
        dataset: &str,
        n: u64,
        chunk: &Packed,
    ) -> Result<(), JournalError> {
        self.refuse_sealed(dataset)?;
        self.execute(
            "INSERT INTO lineage_chunks (dataset, n, chunk) VALUES (?1, ?2, ?3) \
             ON CONFLICT (dataset, n) DO UPDATE SET chunk = excluded.chunk",
            params![dataset, signed(n), chunk],
        )?;
        Ok(())
    }

    /// Forgets what was kept of a dataset that no merge names, so that a run that resumes begins
    /// its reading anew.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the dataset is sealed.
    pub fn drop_lineage(&mut self, dataset: &str) -> Result<(), JournalError> {
        self.refuse_sealed(dataset)?;
        self.execute("DELETE FROM lineage_chunks WHERE dataset = ?1", [dataset])?;
        Ok(())
    }

    /// Names a dataset as the lineage of a merge, and seals it; naming it again changes nothing.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the dataset belongs to another merge.
    pub fn link_merge(
        &mut self,
        digest: &Digest,
        dataset: &str,
        run: &RunId,
    ) -> Result<(), JournalError> {
        let sealed =
            self.row("SELECT digest FROM merges WHERE dataset = ?1", [dataset], |row| {
                Ok(row.get::<_, Bytes32>(0)?.0)
            })?;
        match sealed {
            Some(sealed) if sealed == *digest => return Ok(()),
            Some(_) => return Err(sealed_error(dataset)),
            None => {}
        }
        self.execute(
            "INSERT INTO merges (digest, dataset, run, n_chunks, at) SELECT ?1, ?2, ?3, \
             (SELECT count(*) FROM lineage_chunks WHERE dataset = ?2), ?4",
            params![Bytes32(*digest), dataset, run.as_str(), Micros(self.now())],
        )?;
        Ok(())
    }

    fn refuse_sealed(&self, dataset: &str) -> Result<(), JournalError> {
        let sql = "SELECT 1 FROM merges WHERE dataset = ?1";
        match self.row(sql, [dataset], |_| Ok(()))? {
            Some(()) => Err(sealed_error(dataset)),
            None => Ok(()),
        }
    }
}

impl Reader<'_> {
    /// The merges with a digest: one for each run that came to the same result.
    pub fn merges(&self, digest: &Digest) -> Result<Vec<Merge>, JournalError> {
        self.rows(
            "SELECT digest, dataset, run, n_chunks FROM merges WHERE digest = ?1 ORDER BY at",
            [Bytes32(*digest)],
            |row| {
                Ok(Merge {
                    digest: row.get::<_, Bytes32>(0)?.0,
                    dataset: row.get(1)?,
                    run: row.get(2)?,
                    n_chunks: unsigned(row.get(3)?),
                })
            },
        )
    }

    /// Gives every chunk of a dataset's lineage in order, one at a time in memory.
    ///
    /// # Errors
    /// What `take` returned, which ends it, or [`JournalError::Corrupt`] when a chunk is missing.
    pub fn lineage<E: From<JournalError>>(
        &self,
        dataset: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT n, chunk FROM lineage_chunks WHERE dataset = ?1 ORDER BY n";
        let mut statement = self.connection().prepare_cached(sql).map_err(JournalError::from)?;
        let mut rows = statement.query([dataset]).map_err(JournalError::from)?;
        let mut expected = 0;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let n = unsigned(row.get(0).map_err(JournalError::from)?);
            if n != expected {
                return Err(missing(dataset, expected).into());
            }
            expected += 1;
            let chunk: Packed = row.get(1).map_err(JournalError::from)?;
            take(&chunk.unpack_bytes()?)?;
        }
        let sql = "SELECT n_chunks FROM merges WHERE dataset = ?1";
        let sealed = self.row(sql, [dataset], |row| row.get(0))?.map(unsigned);
        match sealed {
            Some(n_chunks) if n_chunks != expected => Err(missing(dataset, expected).into()),
            Some(_) | None => Ok(()),
        }
    }
}

fn sealed_error(dataset: &str) -> JournalError {
    JournalError::Conflict {
        what: format!("the lineage of `{dataset}` belongs to a merge already"),
    }
}

fn missing(dataset: &str, n: u64) -> JournalError {
    JournalError::corrupt(format!("chunk {n} of the lineage of `{dataset}` is missing"))
}
