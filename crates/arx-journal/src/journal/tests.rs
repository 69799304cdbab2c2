use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use arx_audit::tree;

use super::*;
use crate::testing::{Fixture, leaf, read, run_id, start, write};
use crate::{LeafFilter, Packed, RunFilter};

/// Keeps the writer busy until `queue` has queued its tasks, so that they and the write that
/// kept it share one commit.
async fn in_one_batch<T: 'static>(
    journal: &Journal,
    queue: impl FnOnce() -> Vec<tokio::task::JoinHandle<T>>,
) -> Vec<T> {
    let (held, results) = in_one_batch_with(journal, queue).await;
    held.unwrap();
    results
}

/// As [`in_one_batch`], with what became of the write that kept the writer busy.
async fn in_one_batch_with<T: 'static>(
    journal: &Journal,
    queue: impl FnOnce() -> Vec<tokio::task::JoinHandle<T>>,
) -> (Result<(), JournalError>, Vec<T>) {
    let (release, released) = mpsc::channel::<()>();
    let holder = tokio::spawn({
        let journal = journal.clone();
        async move {
            let held = journal.write(move |_| {
                released.recv().unwrap();
                Ok(())
            });
            held.await
        }
    });
    let tasks = queue();
    let n_expected = tasks.len() as u64 + 1;
    while journal.inner.state.n_queued.load(Ordering::SeqCst) < n_expected {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    let held = holder.await.unwrap();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    (held, results)
}

#[derive(Debug, PartialEq)]
enum Refusal {
    Mine(u32),
    Journal(String),
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::Journal(error.to_string())
    }
}

/// A write that is queued by a task of its own.
fn queued<T: Send + 'static>(
    journal: &Journal,
    is_guarded: bool,
    write: impl FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
) -> tokio::task::JoinHandle<Result<T, Refusal>> {
    let journal = journal.clone();
    tokio::spawn(async move {
        match is_guarded {
            true => journal.try_write(write).await,
            false => journal.try_write_unguarded(write).await,
        }
    })
}

#[tokio::test]
async fn writes_that_wait_share_a_commit_and_fail_alone() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let write_one = |n: u32| {
        queued(&journal, true, move |tx| {
            let at = tx.append_leaf(leaf(&format!("writer {n}")))?;
            match n % 3 {
                0 => Ok((n, at.seq)),
                1 => Err(Refusal::Mine(n)),
                _ => panic!("writer {n} gives up"),
            }
        })
    };
    let results = in_one_batch(&journal, || (0..30).map(write_one).collect()).await;
    let mut stored = Vec::new();
    for (n, result) in (0..).zip(results) {
        match n % 3 {
            0 => stored.push((result.unwrap().1, format!("writer {n}"))),
            1 => assert_eq!(result, Err(Refusal::Mine(n))),
            _ => assert_eq!(
                result,
                Err(Refusal::Journal(format!("a journal write broke off: writer {n} gives up")))
            ),
        }
    }
    stored.sort_unstable();
    let seqs: Vec<u64> = stored.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (0..10).collect::<Vec<u64>>(), "the failed ones left no gap");
    let mut leaves = read(&journal, |reader| reader.leaves(&LeafFilter::default()));
    leaves.reverse();
    let actors: Vec<(u64, String)> =
        leaves.iter().map(|leaf| (leaf.seq, leaf.decode().unwrap().actor)).collect();
    assert_eq!(actors, stored);
    assert!(read(&journal, |reader| reader.verify(journal.vkey(), &[])).is_ok());
    assert_eq!((journal.n_writes(), journal.n_commits()), (11, 1));
}

#[tokio::test]
async fn an_unguarded_write_that_changed_nothing_fails_alone() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let write_one = |n: u32| {
        queued(&journal, false, move |tx| match n % 2 {
            0 => Ok(tx.append_leaf(leaf(&format!("writer {n}")))?.seq),
            _ => Err(Refusal::Mine(n)),
        })
    };
    let results = in_one_batch(&journal, || (0..6).map(write_one).collect()).await;
    let refused = |n| Err(Refusal::Mine(n));
    assert_eq!(results, [Ok(0), refused(1), Ok(1), refused(3), Ok(2), refused(5)]);
    assert!(read(&journal, |reader| reader.verify(journal.vkey(), &[])).is_ok());
    assert_eq!((journal.n_writes(), journal.n_commits()), (4, 1));
}

#[tokio::test]
async fn an_unguarded_write_that_fails_half_way_takes_its_commit_along() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let write_one = |n: u32| {
        queued(&journal, n == 1, move |tx| {
            let at = tx.append_leaf(leaf(&format!("writer {n}")))?;
            if n == 2 { Err(Refusal::Mine(n)) } else { Ok(at.seq) }
        })
    };
    let queue = || vec![write_one(0), write_one(1), write_one(2)];
    let (held, results) = in_one_batch_with(&journal, queue).await;
    let undone = |result: &Result<u64, Refusal>| match result {
        Err(Refusal::Journal(reason)) => reason.contains("another of the same commit failed"),
        Err(Refusal::Mine(_)) | Ok(_) => false,
    };
    assert!(held.is_err(), "whoever shares the commit is told");
    assert!(undone(&results[0]) && undone(&results[1]), "{results:?}");
    assert_eq!(results[2], Err(Refusal::Mine(2)));
    assert_eq!(read(&journal, |reader| reader.tree_size()), 0);
    journal.write(|tx| tx.append_leaf(leaf("next"))).await.unwrap();
    assert!(read(&journal, |reader| reader.verify(journal.vkey(), &[])).is_ok());
}

#[tokio::test]
async fn a_guarded_write_is_undone_between_others_of_a_large_commit() {
    const WRITERS: u32 = 120;
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let write_one = |n: u32| {
        queued(&journal, !n.is_multiple_of(3), move |tx| {
            let at = tx.append_leaf(leaf(&format!("writer {n}")))?;
            if n % 3 == 1 { Err(Refusal::Mine(n)) } else { Ok(at.seq) }
        })
    };
    let results = in_one_batch(&journal, || (0..WRITERS).map(write_one).collect()).await;
    for (n, result) in (0..).zip(results) {
        match n % 3 {
            1 => assert_eq!(result, Err(Refusal::Mine(n))),
            _ => assert!(result.is_ok(), "{result:?}"),
        }
    }
    assert_eq!(journal.n_commits(), 1);
    let size = u64::from(WRITERS) / 3 * 2;
    assert!(read(&journal, |reader| reader.verify(journal.vkey(), &[])).is_ok());
    // Their hashes take more than one row.
    let root = read(&journal, |reader| reader.root_at(size));
    for seq in 0..size {
        let proof = read(&journal, |reader| reader.leaf_proof(seq)).unwrap();
        assert_eq!((proof.size, proof.root), (size, root));
        let held = tree::verify_inclusion(&proof.path, size, root, seq, proof.hash);
        assert!(held.is_ok(), "leaf {seq}");
    }
}

#[tokio::test]
async fn asynchronous_writers_and_readers_meet() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move {
                journal.write(move |tx| tx.append_leaf(leaf(&format!("task {n}")))).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let size = journal.read(|reader| reader.tree_size()).await;
    assert_eq!(size.unwrap(), 64);
    assert!(journal.n_commits() <= journal.n_writes());
}

#[test]
fn a_read_sees_one_moment() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let inner = journal.clone();
    let sizes = read(&journal, move |reader| {
        let before = reader.tree_size()?;
        inner.write_blocking(|tx| tx.append_leaf(leaf("meanwhile")))?;
        Ok((before, reader.tree_size()?))
    });
    assert_eq!(sizes, (0, 0));
    assert_eq!(read(&journal, |reader| reader.tree_size()), 1);
}

#[test]
fn a_reader_cannot_write() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let error = journal.read_blocking(|reader| {
        reader.row("DELETE FROM meta RETURNING key", [], |row| row.get::<_, String>(0))
    });
    assert!(matches!(error, Err(JournalError::ReadOnly { .. })), "{error:?}");
}

#[test]
fn a_panicking_reader_harms_nobody() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let result: Result<(), JournalError> = journal.read_blocking(|_| panic!("no"));
    assert_eq!(result.unwrap_err().to_string(), "a journal write broke off: no");
    assert_eq!(read(&journal, |reader| reader.tree_size()), 0);
}

#[test]
fn a_write_is_there_after_the_process() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    start(&journal, &run_id(1));
    // As `kill -9` does it: nothing is closed.
    std::mem::forget(journal);
    let journal = fixture.open().unwrap();
    assert_eq!(read(&journal, |reader| reader.runs(&RunFilter::default())).len(), 1);
}

#[test]
fn an_orderly_end_leaves_one_closed_file() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    start(&journal, &run_id(1));
    read(&journal, |reader| reader.tree_size());
    drop(journal);
    let mut names: Vec<String> = std::fs::read_dir(fixture.state().path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["arx.db", "audit.key"]);
}

#[test]
fn a_stop_point_is_a_death_before_or_after_one_commit() {
    #[track_caller]
    fn check(write_at: u64, when: StopWhen, on_disk: u64) {
        let fixture = Fixture::new();
        let stop = Some(StopPoint { write: write_at, when });
        let journal =
            fixture.open_with(JournalOptions { stop, ..JournalOptions::default() }).unwrap();
        for n in 1..write_at {
            write(&journal, move |tx| tx.append_leaf(leaf(&n.to_string()))).unwrap();
        }
        // A write that fails by itself is none.
        let own = JournalError::Conflict { what: "own".to_owned() };
        let failed = write(&journal, |_| Err::<(), _>(own)).unwrap_err();
        assert_eq!(failed.to_string(), "own");
        for _ in 0..3 {
            let dead = write(&journal, |tx| tx.append_leaf(leaf("last")));
            assert!(matches!(dead, Err(JournalError::Stopped)), "{dead:?}");
        }
        let read_dead: Result<u64, JournalError> =
            journal.read_blocking(|reader| reader.tree_size());
        assert!(matches!(read_dead, Err(JournalError::Stopped)));
        drop(journal);
        let journal = fixture.open().unwrap();
        assert_eq!(read(&journal, |reader| reader.tree_size()), on_disk, "{write_at} {when:?}");
    }
    check(1, StopWhen::BeforeCommit, 0);
    check(1, StopWhen::AfterCommit, 1);
    check(4, StopWhen::BeforeCommit, 3);
    check(4, StopWhen::AfterCommit, 4);
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    drop(journal);
    let pages: u32 =
        fixture.raw().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let options = JournalOptions { pages_max: Some(pages + 20), ..JournalOptions::default() };
    let journal = fixture.open_with(options).unwrap();
    let mut stored = 0_u64;
    let error = loop {
        let random: Vec<u8> =
            (0..8192_u32).flat_map(|n| (n * stored as u32).to_le_bytes()).collect();
        let blob = Packed::bytes(&random).unwrap();
        let result = write(&journal, move |tx| {
            tx.append_leaf(leaf("with a blob"))?;
            tx.put_lineage("d", stored, &blob)
        });
        match result {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("no space left on the device that holds `{}`", journal.path().display())
    );
    assert!(stored > 0);
    assert_eq!(read(&journal, |reader| reader.tree_size()), stored);
    drop(journal);
    let journal = fixture.open().unwrap();
    assert!(read(&journal, |reader| reader.verify(journal.vkey(), &[])).is_ok());
    assert!(read(&journal, |reader| reader.run(&run)).is_some());
    write(&journal, |tx| tx.append_leaf(leaf("room again"))).unwrap();
}

#[test]
fn a_lock_that_is_never_given_back_is_an_error() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    write(&journal, |tx| tx.append_leaf(leaf("first"))).unwrap();
    let other = fixture.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let patience = Some(Duration::ZERO);
    let impatient =
        fixture.open_with(JournalOptions { patience, ..JournalOptions::default() }).unwrap();
    for _ in 0..3 {
        let error = write(&impatient, |tx| tx.append_leaf(leaf("second"))).unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    }
    assert_eq!(read(&impatient, |reader| reader.tree_size()), 1, "readers do not wait");
    other.execute_batch("ROLLBACK").unwrap();
    write(&impatient, |tx| tx.append_leaf(leaf("second"))).unwrap();
}

#[test]
fn two_handles_share_one_log() {
    let fixture = Fixture::new();
    let handles = [fixture.open().unwrap(), fixture.open().unwrap(), fixture.open().unwrap()];
    let threads: Vec<_> = handles
        .iter()
        .enumerate()
        .flat_map(|(h, journal)| (0..4).map(move |t| (h, t, journal.clone())))
        .map(|(h, t, journal)| {
            thread::spawn(move || {
                for n in 0..25 {
                    write(&journal, move |tx| tx.append_leaf(leaf(&format!("{h}/{t}/{n}"))))
                        .unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let report = read(&handles[0], |reader| reader.verify(handles[1].vkey(), &[]));
    assert!(report.is_ok(), "{:?}", report.findings);
    assert_eq!(report.size, 300);
}

/// What each fault answers, what is on disk after it, and whether the handle goes on.
#[test]
fn a_storage_fault_fails_closed() {
    #[derive(Debug, PartialEq)]
    enum After {
        GoesOn,
        Refuses,
    }
    #[track_caller]
    fn check(fault: Fault, expected: &str, on_disk: u64, after: After) {
        let fixture = Fixture::new();
        for write_at in [1, 4] {
            let point = FaultPoint { write: write_at, fault, lasting: false };
            let options = JournalOptions { fault: Some(point), ..JournalOptions::default() };
            let journal = fixture.open_with(options).unwrap();
            let before = read(&journal, |reader| reader.tree_size());
            for n in 1..write_at {
                write(&journal, move |tx| tx.append_leaf(leaf(&n.to_string()))).unwrap();
            }
            let error = write(&journal, |tx| tx.append_leaf(leaf("struck"))).unwrap_err();
            let path = journal.path().display().to_string();
            assert_eq!(error.to_string().replace(&path, "arx.db"), expected);
            let next = write(&journal, |tx| tx.append_leaf(leaf("next")));
            let seen = journal.read_blocking(|reader| reader.tree_size());
            let n_next = match (&after, next, seen) {
                (After::GoesOn, Ok(_), Ok(_)) => 1,
                (After::Refuses, Err(next), Err(seen)) => {
                    assert!(matches!(next, JournalError::Uncertain { .. }), "{next:?}");
                    assert!(matches!(seen, JournalError::Uncertain { .. }), "{seen:?}");
                    0
                }
                (_, next, seen) => panic!("{fault:?}: {next:?} {seen:?}"),
            };
            drop(journal);
            let journal = fixture.open().unwrap();
            let size = read(&journal, |reader| reader.tree_size());
            assert_eq!(size, before + write_at - 1 + on_disk + n_next, "{fault:?}");
            assert!(read(&journal, |reader| reader.verify(journal.vkey(), &[])).is_ok());
        }
    }
    check(Fault::Full, "no space left on the device that holds `arx.db`", 0, After::GoesOn);
    check(Fault::Locked, "`arx.db` is locked by another process", 0, After::GoesOn);
    let io = "cannot write `arx.db`: disk I/O error (code 778)";
    check(Fault::Io, io, 0, After::GoesOn);
    let unknown = "whether the last write to `arx.db` is on disk is not known: \
                   cannot sync `arx.db`: disk I/O error (code 1034)";
    check(Fault::CommitLost, unknown, 0, After::Refuses);
    check(Fault::CommitKept, unknown, 1, After::Refuses);
}

#[test]
fn a_fault_that_lasts_strikes_every_write() {
    let fixture = Fixture::new();
    let point = FaultPoint { write: 2, fault: Fault::Full, lasting: true };
    let options = JournalOptions { fault: Some(point), ..JournalOptions::default() };
    let journal = fixture.open_with(options).unwrap();
    write(&journal, |tx| tx.append_leaf(leaf("first"))).unwrap();
    for _ in 0..3 {
        let error = write(&journal, |tx| tx.append_leaf(leaf("more"))).unwrap_err();
        assert!(matches!(error, JournalError::Full { .. }), "{error:?}");
    }
    assert_eq!(read(&journal, |reader| reader.tree_size()), 1);
}

/// A closure that does not mind an error cannot write outside of its transaction.
#[test]
fn nothing_is_written_after_the_database_undid_a_transaction() {
    let fixture = Fixture::new();
    let point = FaultPoint { write: 1, fault: Fault::Full, lasting: false };
    let options = JournalOptions { fault: Some(point), ..JournalOptions::default() };
    let journal = fixture.open_with(options).unwrap();
    let error = write(&journal, |tx| {
        let first = tx.append_leaf(leaf("first"));
        assert!(matches!(first, Err(JournalError::Full { .. })), "{first:?}");
        assert!(tx.append_leaf(leaf("second")).is_err());
        assert!(tx.stop_workflow("demo", "alice", "no").is_err());
        Ok(())
    });
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("the database undid the writes of one commit"), "{error}");
    assert_eq!(read(&journal, |reader| reader.tree_size()), 0);
    assert_eq!(read(&journal, |reader| reader.stops()), []);
}

/// As the injected one, with a lock that another connection really holds.
#[test]
fn an_exclusive_lock_lets_nothing_through() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    write(&journal, |tx| tx.append_leaf(leaf("first"))).unwrap();
    let patience = Some(Duration::ZERO);
    let impatient =
        fixture.open_with(JournalOptions { patience, ..JournalOptions::default() }).unwrap();
    let other = fixture.raw();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = write(&impatient, |tx| tx.append_leaf(leaf("second"))).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error:?}");
    other.execute_batch("COMMIT").unwrap();
    write(&impatient, |tx| tx.append_leaf(leaf("second"))).unwrap();
    assert_eq!(read(&journal, |reader| reader.tree_size()), 2);
}
