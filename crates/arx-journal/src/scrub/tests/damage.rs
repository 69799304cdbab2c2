//! Damages the files of a journal in every way that a disk does, and looks whether anyone notices.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::sample;
use crate::testing::{Fixture, start, write};
use crate::{Journal, JournalError};

/// One seed for all, so that a failing case is found again by its number.
const SEED: u64 = 20_261_122;
const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// Who noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Open,
    Verify,
    /// Nobody, and every table holds what it held.
    Harmless,
    /// Nobody, and every table holds what it held after an earlier write.
    Earlier,
}

/// Every row of every table as text; what cannot be read is no dump.
fn dump(fixture: &Fixture) -> Option<Vec<String>> {
    let raw = fixture.raw();
    let read = || -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        let tables: Vec<String> =
            raw.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut rows = Vec::new();
        for table in tables {
            let mut statement = raw.prepare(&format!("SELECT * FROM \"{table}\""))?;
            let n = statement.column_count();
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let values: Result<Vec<_>, _> =
                    (0..n).map(|column| row.get::<_, rusqlite::types::Value>(column)).collect();
                rows.push(format!("{table}: {:?}", values?));
            }
        }
        rows.sort();
        Ok(rows)
    };
    read().ok()
}

/// Opens and verifies, as a person would.
fn look(fixture: &Fixture, states: &[Vec<String>]) -> Option<Seen> {
    let journal: Journal = match fixture.open() {
        Ok(journal) => journal,
        Err(error) => {
            assert!(error.to_string().len() > 10, "{error}");
            return Some(Seen::Open);
        }
    };
    let sound = journal.read_blocking(|reader| {
        Ok::<_, JournalError>(
            reader.scrub()?.is_empty() && reader.verify(journal.vkey(), &[])?.is_ok(),
        )
    });
    if !sound.unwrap_or(false) {
        return Some(Seen::Verify);
    }
    drop(journal);
    let now = dump(fixture)?;
    let at = states.iter().rposition(|state| *state == now)?;
    Some(if at + 1 == states.len() { Seen::Harmless } else { Seen::Earlier })
}

fn run(
    name: &str,
    cases: u64,
    files: &BTreeMap<&str, Vec<u8>>,
    states: &[Vec<String>],
    fixture: &Fixture,
    allowed: &[Seen],
    damage: impl Fn(&mut SmallRng, &mut BTreeMap<&str, Vec<u8>>),
) {
    let mut counts: BTreeMap<Seen, u64> = BTreeMap::new();
    let directory = fixture.state().path().to_owned();
    for case in 0..cases {
        let mut random = SmallRng::seed_from_u64(SEED + case);
        let mut damaged = files.clone();
        damage(&mut random, &mut damaged);
        put(&directory, &damaged);
        let Some(seen) = look(fixture, states) else { panic!("{name}, case {case}: not noticed") };
        assert!(allowed.contains(&seen), "{name}, case {case}: {seen:?}");
        *counts.entry(seen).or_default() += 1;
    }
    println!("{name}: {cases} cases, {counts:?}");
}

/// Puts the files in their place, and removes what the last case left.
fn put(directory: &Path, files: &BTreeMap<&str, Vec<u8>>) {
    for name in ["arx.db", "arx.db-wal", "arx.db-shm"] {
        let path = directory.join(name);
        let _ = std::fs::remove_file(&path);
        if let Some(bytes) = files.get(name) {
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

fn read_files<'a>(directory: &Path, names: &[&'a str]) -> BTreeMap<&'a str, Vec<u8>> {
    names.iter().map(|name| (*name, std::fs::read(directory.join(name)).unwrap())).collect()
}

#[test]
fn damage_to_the_database_is_seen_or_harmless() {
    let fixture = Fixture::new();
    drop(sample::fill(&fixture));
    let directory = fixture.state().path().to_owned();
    let files = read_files(&directory, &["arx.db"]);
    let states = [dump(&fixture).unwrap()];
    let allowed = [Seen::Open, Seen::Verify, Seen::Harmless];
    let check = |name, cases, damage: fn(&mut SmallRng, &mut Vec<u8>)| {
        run(name, cases, &files, &states, &fixture, &allowed, |random, files| {
            damage(random, files.get_mut("arx.db").unwrap());
        });
    };
    check("one bit flipped", 150, |random, file| {
        let at = random.random_range(0..file.len() * 8);
        file[at / 8] ^= 1 << (at % 8);
    });
    // Most of so small a database is free space.
    check("one bit flipped that is in use", 250, |random, file| {
        let used: Vec<usize> = (0..file.len()).filter(|at| file[*at] != 0).collect();
        let at = used[random.random_range(0..used.len())];
        file[at] ^= 1 << random.random_range(0..8);
    });
    check("a sector of garbage", 100, |random, file| {
        let at = random.random_range(0..file.len() / SECTOR) * SECTOR;
        random.fill(&mut file[at..at + SECTOR]);
    });
    check("a page of zeros", 60, |random, file| {
        let at = random.random_range(0..file.len() / PAGE) * PAGE;
        file[at..at + PAGE].fill(0);
    });
    check("cut at a page", 40, |random, file| {
        let pages = random.random_range(0..file.len() / PAGE);
        file.truncate(pages * PAGE);
    });
    check("two pages exchanged", 60, |random, file| {
        let pages = file.len() / PAGE;
        let (one, other) = (random.random_range(0..pages), random.random_range(0..pages));
        for at in 0..PAGE {
            file.swap(one * PAGE + at, other * PAGE + at);
        }
    });
}

#[test]
fn damage_to_the_write_ahead_log_leaves_an_earlier_state_or_is_seen() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let mut states = vec![dump(&fixture).unwrap()];
    start(&journal, &sample::run());
    states.push(dump(&fixture).unwrap());
    for one in sample::WRITES {
        write(&journal, move |tx| {
            one(tx);
            Ok(())
        })
        .unwrap();
        states.push(dump(&fixture).unwrap());
    }
    assert_eq!(states.iter().collect::<BTreeSet<_>>().len(), states.len(), "each is a state");
    let directory = fixture.state().path().to_owned();
    let files = read_files(&directory, &["arx.db", "arx.db-wal"]);
    drop(journal);
    let allowed = [Seen::Open, Seen::Verify, Seen::Harmless, Seen::Earlier];
    let check = |name, cases, damage: fn(&mut SmallRng, &mut Vec<u8>)| {
        run(name, cases, &files, &states, &fixture, &allowed, |random, files| {
            damage(random, files.get_mut("arx.db-wal").unwrap());
        });
    };
    check("one bit of the log flipped", 60, |random, log| {
        let at = random.random_range(0..log.len() * 8);
        log[at / 8] ^= 1 << (at % 8);
    });
    check("the log torn", 60, |random, log| {
        let len = random.random_range(0..log.len());
        log.truncate(len);
    });
    check("the log's last frame torn", 20, |random, log| {
        let len = log.len() - random.random_range(1..PAGE + 24);
        log.truncate(len);
    });
    run("the log lost", 1, &files, &states, &fixture, &[Seen::Earlier], |_, files| {
        files.remove("arx.db-wal");
    });
}
