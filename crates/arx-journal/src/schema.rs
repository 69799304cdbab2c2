//! The tables, and how a database becomes one of this format.
//!
//! `docs/spec/journal.md` explains every table; change both together. A released migration is
//! never edited: a change of the tables is one more entry in [`MIGRATIONS`].

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::state_dir::{self, StateDir};
use crate::{Clock, JournalError};

/// `ARXJ` in ASCII: tells an ARX journal from any other SQLite database.
pub(crate) const APPLICATION_ID: i64 = 0x4152_584A;
/// How long a process waits for another one's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements kept by a connection; there are fewer than this in the whole crate.
const STATEMENTS_MAX: usize = 160;
/// The write-ahead log is cut back to this many bytes whenever it is reset.
const WAL_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// Pages that the write-ahead log may grow by before they are moved into the database. The ends of
/// the tables are written again at nearly every commit and moved once.
const WAL_PAGES_MAX: i64 = 4000;
/// Page cache of a connection, in KiB.
const CACHE_KIB: i64 = 8 * 1024;

/// What turns format `n` into format `n + 1`; the number of entries is the current format.
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("schema/0001.sql")];

/// Opens the database of a state directory, and makes or migrates it where needed.
pub(crate) fn open(
    state: &StateDir,
    vkey: &str,
    clock: &dyn Clock,
) -> Result<Connection, JournalError> {
    let path = state.database();
    if !path.exists() {
        create(state, vkey, clock)?;
    }
    let mut connection = connect(&path)?;
    let result = migrate(&mut connection, &path, MIGRATIONS)
        .and_then(|()| check_tables(&connection))
        .and_then(|()| check_key(&connection, &path, state, vkey));
    result.map(|()| connection).map_err(|error| error.at(&path))
}

/// A connection to an existing database, set up the way every one must be.
pub(crate) fn connect(path: &Path) -> Result<Connection, JournalError> {
    let set_up = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        // Plans do not follow the values that are bound: every statement that a partial index
        // might serve would be compiled anew at each use.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        add_row_crc(&connection)?;
        // INVARIANT (intent before effect): a commit returns once it is on disk. WAL with
        // `synchronous = FULL` syncs the log at every commit.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        Ok(connection)
    };
    set_up().map_err(|error| JournalError::of_sqlite(path, error))
}

/// Adds `row_crc`, the CRC-32 of its arguments, each with its type and length. SQLite has no
/// checksum of its own; every table has a column that this makes at each write, and that nothing
/// but a write through this program makes right again.
pub(crate) fn add_row_crc(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("row_crc", -1, flags, |arguments: &Context<'_>| {
        let mut hasher = crc32fast::Hasher::new();
        for n in 0..arguments.len() {
            let mut add = |kind: u8, bytes: &[u8]| {
                hasher.update(&[kind]);
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            };
            match arguments.get_raw(n) {
                ValueRef::Null => add(0, &[]),
                ValueRef::Integer(value) => add(1, &value.to_le_bytes()),
                ValueRef::Real(value) => add(2, &value.to_le_bytes()),
                ValueRef::Text(text) => add(3, text),
                ValueRef::Blob(bytes) => add(4, bytes),
            }
        }
        Ok(i64::from(hasher.finalize()))
    })
}

/// Makes the database beside its place and links it there complete, so that an empty or
/// half-made file in its place is never the trace of a first start.
fn create(state: &StateDir, vkey: &str, clock: &dyn Clock) -> Result<(), JournalError> {
    let scratch = state.scratch("db")?;
    state_dir::create(&scratch).map_err(|error| JournalError::of_io("create", &scratch, error))?;
    let made = connect(&scratch).and_then(|mut connection| {
        let fill = |connection: &mut Connection| {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            run_migrations(connection, 0, MIGRATIONS)?;
            let now = clock.now().to_string();
            let meta = "INSERT INTO meta (key, value) VALUES (?1, ?2)";
            connection.execute(meta, ["vkey", vkey])?;
            connection.execute(meta, ["created_at", now.as_str()])?;
            Ok(())
        };
        fill(&mut connection).map_err(|error| JournalError::of_sqlite(&scratch, error))?;
        // Closing moves everything out of the write-ahead log and removes it.
        connection.close().map_err(|(_, error)| JournalError::of_sqlite(&scratch, error))
    });
    if let Err(error) = made {
        let _ = std::fs::remove_file(&scratch);
        return Err(error);
    }
    state.place(&scratch, &state.database())?;
    Ok(())
}

/// Brings a database to the newest format, or says why it cannot be used.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), JournalError> {
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        let n_tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        return Err(if application == 0 && n_tables == 0 {
            let reason = "the file is empty".to_owned();
            JournalError::Corrupt { path: path.to_owned(), reason }
        } else {
            JournalError::Foreign { path: path.to_owned() }
        });
    }
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found = format_of(connection)?;
    if found > known {
        return Err(JournalError::Newer { path: path.to_owned(), found, known });
    }
    if found < known {
        run_migrations(connection, found, migrations)?;
    }
    Ok(())
}

fn run_migrations(
    connection: &mut Connection,
    found: i64,
    migrations: &[&str],
) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated while this one waited for the lock.
    let found = format_of(&tx)?.max(found);
    for (step, sql) in (0..).zip(migrations).skip(usize::try_from(found).unwrap_or(0)) {
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "user_version", step + 1_i64)?;
    }
    tx.commit()
}

fn format_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses a database whose tables, indexes or checks are not those of this format: a constraint
/// that a flipped bit or a person changed would let through what it was there to stop.
fn check_tables(connection: &Connection) -> Result<(), JournalError> {
    static EXPECTED: OnceLock<Vec<String>> = OnceLock::new();
    let expected = match EXPECTED.get() {
        Some(expected) => expected,
        None => {
            let mut fresh = Connection::open_in_memory()?;
            add_row_crc(&fresh)?;
            run_migrations(&mut fresh, 0, MIGRATIONS)?;
            let made = tables_of(&fresh)?;
            EXPECTED.get_or_init(|| made)
        }
    };
    let found = tables_of(connection)?;
    match found.iter().zip(expected).find(|(found, expected)| found != expected) {
        None if found.len() == expected.len() => Ok(()),
        _ => Err(JournalError::corrupt("its tables are not those of its format".to_owned())),
    }
}

/// What the database says of its tables; what SQLite keeps about them for itself is left out.
fn tables_of(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') \
               FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn check_key(
    connection: &Connection,
    path: &Path,
    state: &StateDir,
    vkey: &str,
) -> Result<(), JournalError> {
    let sql = "SELECT value FROM meta WHERE key = 'vkey'";
    let signed_with: String =
        connection.query_row(sql, [], |row| row.get(0)).map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => JournalError::Corrupt {
                path: path.to_owned(),
                reason: "it does not say which key it is signed with".to_owned(),
            },
            error => JournalError::from(error),
        })?;
    if signed_with != vkey {
        let reason = format!("this journal is signed with `{signed_with}`, the file holds another");
        return Err(JournalError::Key { path: state.key_file(), reason });
    }
    Ok(())
}
