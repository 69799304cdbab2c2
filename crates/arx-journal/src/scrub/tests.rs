mod damage;
mod sample;

use arx_audit::{Cause, FindingKind};

use super::*;
use crate::testing::{Fixture, read};

#[test]
fn a_sound_journal_has_nothing_to_tell() {
    let fixture = Fixture::new();
    let journal = sample::fill(&fixture);
    assert_eq!(read(&journal, |reader| reader.scrub()), []);
    let report = read(&journal, |reader| reader.verify(journal.vkey(), &[]));
    assert!(report.is_ok(), "{:?}", report.findings);
    let counts = read(&journal, |reader| {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let tables: Vec<String> = reader.rows(sql, [], |row| row.get(0))?;
        let count = |table: &String| {
            let sql = format!("SELECT count(*) FROM \"{table}\"");
            Ok((table.clone(), reader.row(&sql, [], |row| row.get(0))?.unwrap_or(0_i64)))
        };
        tables.iter().map(count).collect::<Result<Vec<_>, JournalError>>()
    });
    assert!(counts.iter().all(|(_, n)| *n > 0), "a row of every sort: {counts:?}");
}

/// Somebody changes a row with the means of ARX itself, checksum and all.
#[test]
fn a_row_that_contradicts_the_log_is_told_with_its_leaf() {
    #[track_caller]
    fn check(sql: &str, expected: &[&str]) {
        let fixture = Fixture::new();
        let journal = sample::fill(&fixture);
        let raw = fixture.raw();
        raw.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
        let found = read(&journal, |reader| reader.scrub());
        let messages: Vec<&str> = found.iter().map(|damage| damage.message.as_str()).collect();
        assert_eq!(messages, expected, "{sql}");
        assert!(found.iter().all(|damage| damage.cause == Cause::Tampering), "{found:#?}");
    }
    let key = "`demo/CVE-1/1/page`";
    check(
        "UPDATE effects SET state = 'failed' WHERE key = 'demo/CVE-1/1/page'",
        &[&format!("row {key} of `effects` says state `failed`, leaf 5 says `done`")],
    );
    check(
        "UPDATE effects SET state = 'intended', outcome_seq = NULL WHERE key = 'demo/CVE-1/1/page'",
        &[
            &format!("row {key} of `effects` says state `intended`, leaf 5 says `done`"),
            &format!("row {key} of `effects` says outcome_seq ``, leaf 5 says `5`"),
        ],
    );
    check(
        "UPDATE effects SET attempts = 2 WHERE key = 'demo/CVE-1/1/page'",
        &[&format!("row {key} of `effects` says attempts `2`, leaf 3 says `1`")],
    );
    check(
        "DELETE FROM effects WHERE key = 'demo/CVE-1/1/page'",
        &[&format!(
            "row {key} of `effects` is gone: leaf 3 tells of it, and without it the effect could \
             happen again"
        )],
    );
    check(
        "UPDATE effects SET world = 'simulate:x' WHERE key = 'demo/CVE-2/1/page'",
        &[
            "row `simulate:x/demo/CVE-2/1/page` of `effects` is in no leaf of the log",
            "row `demo/CVE-2/1/page` of `effects` is gone: leaf 3 tells of it, and without it the \
             effect could happen again",
        ],
    );
    check(
        "UPDATE runs SET status = 'cancelled'",
        &[&format!(
            "row `{}` of `runs` says status `cancelled`, leaf 13 says `succeeded`",
            sample::run()
        )],
    );
    check(
        "DELETE FROM decisions WHERE seq = 2",
        &[
            "row `2` of `decisions` is gone: leaf 2 tells of it, and without it a limit counts too few",
        ],
    );
    check(
        "UPDATE decisions SET verdict = 'DENY' WHERE seq = 2",
        &["row `2` of `decisions` says verdict `not let through`, leaf 2 says `let through`"],
    );
    let approval = sample::approval();
    check(
        "UPDATE approval_actions SET state = 'approved'",
        &[&format!(
            "row `{approval}` of `approvals` was used 0 times, decisions in the log name it 1"
        )],
    );
    check(
        "UPDATE approvals SET quorum = 2, approvers = '[\"mallory\"]'",
        &[
            &format!("row `{approval}` of `approvals` says quorum `2`, leaf 6 says `1`"),
            &format!(
                "row `{approval}` of `approvals` says approvers `[\"mallory\"]`, leaf 6 says \
                 `[\"role:approver\"]`"
            ),
        ],
    );
    check(
        "DELETE FROM votes",
        &[&format!("row `{approval}/0/bob` of `votes` is gone: the log tells of the vote")],
    );
    check(
        "UPDATE votes SET who = 'mallory'",
        &[
            &format!("row `{approval}/0/mallory` of `votes` is in no leaf of the log"),
            &format!("row `{approval}/0/bob` of `votes` is gone: the log tells of the vote"),
        ],
    );
    check(
        "UPDATE stops SET lifted_at = 1, lifted_by = 'x'",
        &["row `other` of `stops` says that it is `started`, leaf 12 says `stopped`"],
    );
    check(
        "UPDATE registrations SET paused_at = 1, paused_by = 'x'",
        &["row `demo` of `registrations` says that it is `paused`, leaf 0 says `not paused`"],
    );
    check(
        "DELETE FROM registrations",
        &["row `demo` of `registrations` is gone: leaf 0 tells of it, and without it the \
             workflow would not run by itself"],
    );
    check(
        "UPDATE episodes SET closed_at = NULL, closed_by = NULL",
        &["row `demo/CVE-2/1` of `episodes` says that it is `open`, leaf 10 says `closed`"],
    );
    check(
        "UPDATE merges SET digest = zeroblob(32)",
        &["row `dataset` of `merges` is in no leaf of the log"],
    );
    check(
        "UPDATE people SET role = 'admin' WHERE name = 'Bo'",
        &["row `Bo` of `people` says role `admin`, leaf 18 says `viewer`"],
    );
    check(
        "UPDATE people SET password_hash = 'x' WHERE name = 'Bo'",
        &["row `Bo` of `people` says has a password `yes`, leaf 18 says `no`"],
    );
    check(
        "DELETE FROM sessions; UPDATE people SET name = 'Eve', folded = 'eve' WHERE name = 'Ada'",
        &[
            "row `Eve` of `people` is in no leaf of the log",
            "row `Ada` of `people` is gone: leaf 17 tells of it",
            "row `lnk_00000000010000000000000001` of `links` says person `Eve`, leaf 16 says `Ada`",
        ],
    );
    check("UPDATE sessions SET seq = 1", &["row `1` of `sessions` is in no leaf of the log"]);
    check("UPDATE sessions SET person = 2", &["row `20` of `sessions` is in no leaf of the log"]);
    check(
        "UPDATE tokens SET role = 'admin', revoked_at = 1",
        &[
            "row `tok_00000000010000000000000001` of `tokens` says role `admin`, leaf 21 says `viewer`",
            "row `tok_00000000010000000000000001` of `tokens` says revoked `yes`, leaf 21 says `no`",
        ],
    );
    check(
        "UPDATE links SET used_at = NULL",
        &["row `lnk_00000000010000000000000001` of `links` says used `no`, leaf 16 says `yes`"],
    );
}

/// The same bytes in the file that no write made: the checksum of the row is the old one.
#[test]
fn a_row_that_nobody_wrote_is_corruption() {
    let fixture = Fixture::new();
    drop(sample::fill(&fixture));
    let path = fixture.state().database();
    let mut file = std::fs::read(&path).unwrap();
    // The title of an incident in a result that is short enough to be kept as it is.
    let at = file.windows(8).position(|window| window == b"INCIDENT").unwrap();
    file[at] ^= 1;
    std::fs::write(&path, file).unwrap();
    let journal = fixture.open().unwrap();
    let found = read(&journal, |reader| reader.scrub());
    let [damage] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(
        damage.message,
        "row `live/demo/CVE-1/1/page` of `effects` is not as it was written: its checksum is wrong"
    );
    assert_eq!(damage.cause, Cause::Corruption);
    let effect = journal.read_blocking(|reader| {
        reader.effect(&crate::World::live(), &"demo/CVE-1/1/page".parse().unwrap())
    });
    let error = effect.unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
    assert!(error.hint().is_some());
}

#[test]
fn a_flipped_bit_of_a_leaf_is_told_from_a_changed_word() {
    let kinds = |sql: &str| {
        let fixture = Fixture::new();
        let journal = sample::fill(&fixture);
        fixture.raw().execute_batch(sql).unwrap();
        let report = read(&journal, |reader| reader.verify(journal.vkey(), &[]));
        let kinds: Vec<FindingKind> =
            report.findings.iter().map(arx_audit::Finding::kind).collect();
        (kinds, report.cause())
    };
    let change = |from: &str, to: &str| {
        format!(
            "UPDATE leaves SET bytes = CAST(replace(CAST(bytes AS TEXT), '{from}', '{to}') AS BLOB) \
             WHERE seq = 0"
        )
    };
    use FindingKind::{Tampered, Unreadable};
    // `b` and `c` differ in one bit, `b` and `m` do not.
    let (found, cause) = kinds(&change("\"actor\":\"bob\"", "\"actor\":\"cob\""));
    assert_eq!((found, cause), (vec![Tampered, Unreadable], Some(Cause::Corruption)));
    let (found, cause) = kinds(&change("\"actor\":\"bob\"", "\"actor\":\"mob\""));
    assert_eq!((found, cause), (vec![Tampered, Tampered], Some(Cause::Tampering)));
    let (_, cause) = kinds("UPDATE leaves SET bytes = X'00' WHERE seq = 0");
    assert_eq!(cause, Some(Cause::Corruption));
}
