use super::*;
use crate::Journal;
use crate::testing::{Fixture, read, run_id, write};

fn put(journal: &Journal, n: u64, text: &'static str) -> Result<(), JournalError> {
    let chunk = Packed::bytes(text.as_bytes()).unwrap();
    write(journal, move |tx| tx.put_lineage("d1", n, &chunk))
}

fn all(journal: &Journal) -> Result<String, JournalError> {
    journal.read_blocking(|reader| {
        let mut text = String::new();
        reader.lineage("d1", |chunk| {
            text.push_str(std::str::from_utf8(chunk).unwrap());
            Ok::<_, JournalError>(())
        })?;
        Ok(text)
    })
}

fn link(journal: &Journal, digest: &[u8], dataset: &'static str) -> Result<(), JournalError> {
    let digest = Digest::of_bytes(digest);
    write(journal, move |tx| tx.link_merge(&digest, dataset, &run_id(1)))
}

#[test]
fn lineage_is_kept_in_order_until_a_merge_seals_it() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    put(&journal, 1, "two ").unwrap();
    put(&journal, 0, "stale ").unwrap();
    put(&journal, 0, "one ").unwrap();
    assert_eq!(all(&journal).unwrap(), "one two ");
    link(&journal, b"merge", "d1").unwrap();
    link(&journal, b"merge", "d1").unwrap();
    let sealed = "the lineage of `d1` belongs to a merge already";
    assert_eq!(put(&journal, 2, "three").unwrap_err().to_string(), sealed);
    assert_eq!(link(&journal, b"another", "d1").unwrap_err().to_string(), sealed);
    let dropped = write(&journal, |tx| tx.drop_lineage("d1"));
    assert_eq!(dropped.unwrap_err().to_string(), sealed);
    link(&journal, b"merge", "d2").unwrap();
    let merges = read(&journal, |reader| reader.merges(&Digest::of_bytes(b"merge")));
    let found: Vec<_> = merges.iter().map(|m| (m.dataset.as_str(), m.n_chunks)).collect();
    assert_eq!(found, [("d1", 2), ("d2", 0)]);
    assert_eq!(merges[0].run, run.as_str());
}

#[test]
fn a_run_that_resumes_begins_its_reading_anew() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    put(&journal, 0, "half").unwrap();
    write(&journal, |tx| tx.drop_lineage("d1")).unwrap();
    assert_eq!(all(&journal).unwrap(), "");
}

#[test]
fn a_missing_chunk_is_damage() {
    #[track_caller]
    fn check(sql: &str, expected: &str) {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        put(&journal, 0, "one").unwrap();
        put(&journal, 1, "two").unwrap();
        link(&journal, b"merge", "d1").unwrap();
        fixture.raw().execute_batch(sql).unwrap();
        let error = all(&journal).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let gone = |n| format!("is damaged: chunk {n} of the lineage of `d1` is missing");
    check("DELETE FROM lineage_chunks WHERE n = 0", &gone(0));
    check("DELETE FROM lineage_chunks WHERE n = 1", &gone(1));
}
