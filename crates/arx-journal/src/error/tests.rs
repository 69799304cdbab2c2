use rusqlite::ffi;

use super::*;

#[test]
fn every_engine_error_says_what_to_do() {
    #[track_caller]
    fn check(code: i32, expected: &str) {
        let failure =
            rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("said".to_owned()));
        let error = JournalError::from(failure).at(Path::new("/s/arx.db"));
        assert_eq!(error.to_string(), expected);
    }
    check(ffi::SQLITE_FULL, "no space left on the device that holds `/s/arx.db`");
    for code in
        [ffi::SQLITE_READONLY, ffi::SQLITE_READONLY_DBMOVED, ffi::SQLITE_PERM, ffi::SQLITE_CANTOPEN]
    {
        check(code, "`/s/arx.db` cannot be written: said");
    }
    for code in [ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED] {
        check(code, "`/s/arx.db` is locked by another process");
    }
    for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
        check(code, "`/s/arx.db` is damaged: said");
    }
    check(ffi::SQLITE_IOERR_SHORT_READ, "`/s/arx.db` is damaged: the file ends too early");
    check(ffi::SQLITE_IOERR_FSYNC, "cannot sync `/s/arx.db`: said (code 1034)");
    check(ffi::SQLITE_IOERR_READ, "cannot read `/s/arx.db`: said (code 266)");
    check(ffi::SQLITE_IOERR_WRITE, "cannot write `/s/arx.db`: said (code 778)");
    check(ffi::SQLITE_CONSTRAINT_UNIQUE, "it is recorded already: said");
    check(
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY,
        "the record names a run, version or approval that is not recorded",
    );
    check(ffi::SQLITE_CONSTRAINT_CHECK, "record cannot be recorded: said");
    check(ffi::SQLITE_TOOBIG, "value cannot be recorded: said");
    check(ffi::SQLITE_MISUSE, "journal: said");
}

#[test]
fn every_file_error_says_what_to_do() {
    #[track_caller]
    fn check(kind: io::ErrorKind, expected: &str) {
        let error = JournalError::of_io("read", Path::new("/s"), io::Error::from(kind));
        assert_eq!(format!("{error}; {}", error.hint().unwrap()), expected);
    }
    let writable = "choose a writable directory with --state-dir or ARX_HOME";
    check(
        io::ErrorKind::StorageFull,
        "no space left on the device that holds `/s`; free some space and run again; nothing that was recorded is lost",
    );
    check(
        io::ErrorKind::QuotaExceeded,
        "no space left on the device that holds `/s`; free some space and run again; nothing that was recorded is lost",
    );
    check(
        io::ErrorKind::PermissionDenied,
        &format!("`/s` cannot be written: permission denied; {writable}"),
    );
    check(
        io::ErrorKind::ReadOnlyFilesystem,
        &format!("`/s` cannot be written: read-only filesystem or storage medium; {writable}"),
    );
    check(
        io::ErrorKind::NotFound,
        "cannot read `/s`: entity not found; check the device and the file system",
    );
}

#[test]
fn an_error_keeps_the_path_it_has() {
    let error = JournalError::of_io("read", Path::new("/key"), io::ErrorKind::StorageFull.into());
    assert!(
        matches!(error.at(Path::new("/db")), JournalError::Full { path } if path == Path::new("/key"))
    );
}
