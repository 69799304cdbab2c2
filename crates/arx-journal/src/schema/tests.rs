use std::io::{Seek as _, SeekFrom, Write as _};

use super::*;
use crate::testing::{Fixture, leaf, read, write};

/// Damages the file of a closed journal and says what opening it says.
#[track_caller]
fn damaged(fixture: &Fixture, damage: impl FnOnce(&Path)) -> JournalError {
    drop(fixture.open().unwrap());
    damage(&fixture.state().database());
    let error = fixture.open().unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    error
}

fn execute(sql: &str) -> impl FnOnce(&Path) + '_ {
    move |path| Connection::open(path).unwrap().execute_batch(sql).unwrap()
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_new_database_is_marked_and_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let raw = fixture.raw();
    let pragma = |name| -> i64 { raw.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    assert_eq!(pragma("application_id"), APPLICATION_ID);
    assert_eq!(pragma("user_version"), MIGRATIONS.len() as i64);
    let mode: String = raw.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    write(&journal, |tx| tx.append_leaf(leaf("first"))).unwrap();
    for name in ["arx.db", "arx.db-wal", "arx.db-shm", "audit.key"] {
        let mode = fixture.state().path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn every_connection_waits_for_the_disk_and_checks_references() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let connection = connect(journal.path()).unwrap();
    let pragma =
        |name| -> i64 { connection.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    assert_eq!(pragma("synchronous"), 2, "FULL");
    assert_eq!(pragma("foreign_keys"), 1);
    assert_eq!(pragma("busy_timeout"), BUSY_TIMEOUT.as_millis() as i64);
}

#[test]
fn a_newer_format_is_refused_by_number() {
    let fixture = Fixture::new();
    let error = damaged(&fixture, execute("PRAGMA user_version = 99"));
    let path = fixture.state().database();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` has format 99, this program knows formats up to {}",
            path.display(),
            MIGRATIONS.len()
        )
    );
    assert!(matches!(error, JournalError::Newer { found: 99, .. }));
}

#[test]
fn damage_is_told_at_open() {
    #[track_caller]
    fn check(damage: impl FnOnce(&Path), expected: &str) {
        let fixture = Fixture::new();
        let error = damaged(&fixture, damage);
        let path = fixture.state().database();
        assert_eq!(error.to_string(), format!("`{}` {expected}", path.display()));
    }
    let cut = |len| {
        move |path: &Path| {
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
        }
    };
    check(cut(0), "is damaged: the file is empty");
    check(cut(50), "is damaged: database disk image is malformed");
    check(cut(4096), "is damaged: database disk image is malformed");
    check(cut(20_000), "is damaged: database disk image is malformed");
    check(|path| overwrite(path, 0, &[0; 100]), "is damaged: file is not a database");
    check(|path| overwrite(path, 0, b"something else"), "is damaged: file is not a database");
    check(
        |path| overwrite(path, 100, &[0xFF; 3996]),
        "is damaged: database disk image is malformed",
    );
    check(execute("PRAGMA application_id = 7"), "is not an ARX journal");
    check(
        execute("DELETE FROM meta WHERE key = 'vkey'"),
        "is damaged: it does not say which key it is signed with",
    );
}

#[test]
fn another_database_is_left_alone() {
    let fixture = Fixture::new();
    let path = fixture.state().database();
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(raw);
    let error = fixture.open().unwrap_err();
    assert!(matches!(error, JournalError::Foreign { .. }), "{error:?}");
    let n: i64 =
        fixture.raw().query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
    assert_eq!(n, 1);
}

#[test]
fn a_torn_page_is_found_by_the_check_of_the_storage() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    for n in 0..200 {
        write(&journal, move |tx| tx.append_leaf(leaf(&format!("leaf {n}")))).unwrap();
    }
    drop(journal);
    let path = fixture.state().database();
    let len = path.metadata().unwrap().len();
    let mut n_told = 0;
    for at in (4096..len).step_by(4096) {
        let intact = std::fs::read(&path).unwrap();
        overwrite(&path, at, &[0xA5; 512]);
        let told = match fixture.open() {
            Err(_) => true,
            Ok(journal) => match journal.read_blocking(|reader| {
                let storage = reader.scrub()?;
                let log = reader.verify(journal.vkey(), &[])?;
                Ok::<_, JournalError>(!storage.is_empty() || !log.is_ok())
            }) {
                Ok(told) => told,
                Err(error) => matches!(error, JournalError::Corrupt { .. }),
            },
        };
        n_told += u64::from(told);
        std::fs::write(&path, intact).unwrap();
    }
    assert_eq!(n_told, len / 4096 - 1);
}

#[test]
fn the_key_must_be_the_one_that_signed() {
    let (one, other) = (Fixture::new(), Fixture::new());
    drop(one.open().unwrap());
    std::fs::copy(other.state().key_file(), one.state().key_file()).unwrap();
    let error = one.open().unwrap_err();
    assert!(matches!(error, JournalError::Key { .. }), "{error:?}");
    let error = {
        std::fs::write(one.state().key_file(), "PRIVATE+KEY+nonsense").unwrap();
        one.open().unwrap_err()
    };
    assert!(!error.to_string().contains("nonsense"), "{error}");
}

#[test]
fn an_older_format_is_brought_up_step_by_step_and_whole() {
    let fixture = Fixture::new();
    drop(fixture.open().unwrap());
    let path = fixture.state().database();
    let format = |connection: &Connection| format_of(connection).unwrap();
    let [first] = MIGRATIONS else { panic!("extend this test with the new format") };

    let mut connection = connect(&path).unwrap();
    let broken = [*first, "CREATE TABLE two (x)", "CREATE TABLE three (x); SELECT nonsense"];
    migrate(&mut connection, &path, &broken).unwrap_err();
    assert_eq!(format(&connection), 1, "a step that fails takes the ones before it along");
    assert!(connection.prepare("SELECT x FROM two").is_err());

    let good = [*first, "CREATE TABLE two (x)", "CREATE TABLE three (x)"];
    migrate(&mut connection, &path, &good).unwrap();
    assert_eq!(format(&connection), 3);
    migrate(&mut connection, &path, &good).unwrap();
    assert!(
        connection
            .prepare("SELECT x FROM two, three")
            .is_err_and(|e| e.to_string().contains("ambiguous"))
    );
    drop(connection);
    let error = fixture.open().unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 3, known: 1, .. }), "{error:?}");
}

#[test]
fn many_first_starts_at_once_make_one_journal() {
    let fixture = Fixture::new();
    let root = fixture.directory.path().join("state");
    let clock = fixture.clock.clone();
    let opened: Vec<_> = (0..8)
        .map(|n| {
            let (root, clock) = (root.clone(), clock.clone());
            std::thread::spawn(move || {
                let journal = crate::Journal::open(&StateDir::open(&root)?, clock)?;
                write(&journal, move |tx| tx.append_leaf(leaf(&n.to_string())))?;
                Ok::<_, JournalError>(journal)
            })
        })
        .collect();
    let journals: Vec<_> =
        opened.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();
    assert_eq!(read(&journals[0], |reader| reader.tree_size()), 8);
    assert!(journals.iter().all(|journal| journal.vkey() == journals[0].vkey()));
    drop(journals);
    let left = std::fs::read_dir(&root).unwrap().count();
    assert_eq!(left, 2, "nothing is left but the database and the key");
}
