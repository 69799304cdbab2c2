use arx_audit::{BundleChecks, FindingKind, LeafKind, verify_bundle};
use arx_types::{Decision, Operation, RiskClass, RiskFactor, RiskScore, Verdict};
use proptest::prelude::*;

use super::*;
use crate::testing::{Fixture, leaf, read, run_id, start, write};

fn run_leaf(run: &RunId, status: &str) -> LeafDraft {
    let version = crate::testing::version();
    LeafDraft::new(LeafKind::Run, "alice").of_run(run, "demo", &version.digest, "p1").status(status)
}

fn append(journal: &Journal, draft: LeafDraft) -> LeafRef {
    write(journal, move |tx| tx.append_leaf(draft)).unwrap()
}

fn decoded(journal: &Journal, seq: u64) -> Leaf {
    read(journal, |reader| reader.leaf(seq)).unwrap().decode().unwrap()
}

fn kinds(journal: &Journal, earlier: &[String]) -> Vec<FindingKind> {
    let report = read(journal, |reader| reader.verify(journal.vkey(), earlier));
    report.findings.iter().map(arx_audit::Finding::kind).collect()
}

#[test]
fn a_draft_becomes_a_leaf_with_place_and_time() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    let version = crate::testing::version().digest;
    let operation: Operation = "pagerduty.incidents:create".parse().unwrap();
    let key: EffectKey = "demo/CVE-1/1/page".parse().unwrap();
    let decision = Decision {
        verdict: Verdict::Permit,
        rule: Some("page".to_owned()),
        reasons: vec!["rule `page` permits".to_owned()],
        risk: Some(RiskScore {
            class: RiskClass::Medium,
            raw: 35,
            score: 35,
            factors: vec![
                RiskFactor { name: "operation".to_owned(), points: 25, on: "create".to_owned() },
                RiskFactor { name: "connector".to_owned(), points: 10, on: "pagerduty".to_owned() },
            ],
        }),
    };
    let params = Digest::of_bytes(b"params");
    append(&journal, leaf("before"));
    let draft = LeafDraft::new(LeafKind::Decision, "alice")
        .of_run(&run, "demo", &version, "p1")
        .about(&operation, Some(&key), Some(&params))
        .decided(&decision)
        .status("ok")
        .result(Digest::of_bytes(b"result"))
        .with("n", 3);
    let at = append(&journal, draft);
    assert_eq!(at.seq, 1);
    let leaf = decoded(&journal, 1);
    assert_eq!(leaf.at, at.at);
    assert_eq!(leaf.at.to_string(), "2026-01-01T00:00:00Z");
    let json = serde_json::to_value(&leaf).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "v": 1, "seq": 1, "at": "2026-01-01T00:00:00.000000Z", "kind": "decision",
            "run": run.as_str(),
            "workflow": { "name": "demo", "version": version.to_string() },
            "policy_version": "p1", "actor": "alice",
            "action": {
                "connector": "pagerduty", "operation": "incidents:create",
                "effect_key": "demo/CVE-1/1/page", "params_sha256": params.to_string(),
            },
            "verdict": "PERMIT", "rule": "page",
            "risk": {
                "class": "MEDIUM", "raw": 35, "score": 35,
                "factors": { "connector": 10, "operation": 25 },
            },
            "result_sha256": Digest::of_bytes(b"result").to_string(),
            "status": "ok",
            "detail": { "reasons": ["rule `page` permits"], "n": 3 },
        })
    );
    assert_eq!(tree::leaf_hash(&leaf.encode().unwrap()), at.hash);
}

#[test]
fn a_clock_that_steps_back_moves_no_leaf_back() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let first = append(&journal, leaf("first"));
    fixture.clock.advance_secs(-3600);
    let second = append(&journal, leaf("second"));
    assert_eq!(second.at, first.at);
    let detail = decoded(&journal, 1).detail.unwrap();
    assert_eq!(detail.get("clock_behind_us"), Some(&3_600_000_000_i64.into()));
    fixture.clock.advance_secs(3601);
    let third = append(&journal, leaf("third"));
    assert_eq!(third.at.duration_since(first.at).as_secs(), 1);
    assert_eq!(decoded(&journal, 2).detail, None);
}

#[test]
fn run_leaves_count_the_leaves_before_them() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    let other = run_id(2);
    start(&journal, &other);
    let mut seqs = vec![append(&journal, run_leaf(&run, "started")).seq];
    append(&journal, run_leaf(&other, "started"));
    append(&journal, LeafDraft { run: Some(run.clone()), ..leaf("between") });
    seqs.push(append(&journal, run_leaf(&run, "ended")).seq);
    let counts: Vec<Value> = seqs
        .iter()
        .map(|seq| decoded(&journal, *seq).detail.unwrap().remove("run_leaves").unwrap())
        .collect();
    assert_eq!(counts, [Value::from(0), Value::from(2)]);
    assert_eq!(kinds(&journal, &[]), []);
}

#[test]
fn a_leaf_that_no_reader_accepts_is_refused() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let refused = |draft: LeafDraft| write(&journal, |tx| tx.append_leaf(draft)).unwrap_err();
    let error = refused(leaf("a").with("share", 0.5));
    assert!(matches!(error, JournalError::Invalid { what: "audit leaf", .. }), "{error:?}");
    let error = refused(leaf("a").with("long", "x".repeat(arx_audit::LEAF_BYTES_MAX)));
    assert!(matches!(error, JournalError::Invalid { .. }), "{error:?}");
    let error = refused(leaf(""));
    assert!(matches!(error, JournalError::Invalid { .. }), "{error:?}");
    assert_eq!(append(&journal, leaf("fine")).seq, 0);
}

#[tokio::test]
async fn a_checkpoint_is_made_once_for_each_size() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    assert_eq!(journal.checkpoint().await.unwrap(), None);
    journal.write(|tx| tx.append_leaf(leaf("first"))).await.unwrap();
    let one = journal.checkpoint().await.unwrap().unwrap();
    fixture.clock.advance_secs(60);
    assert_eq!(journal.checkpoint().await.unwrap().unwrap(), one);
    journal.write(|tx| tx.append_leaf(leaf("second"))).await.unwrap();
    let two = journal.checkpoint().await.unwrap().unwrap();
    assert_eq!((one.size, two.size), (1, 2));
    let signed = arx_audit::verify_checkpoint(journal.vkey(), &two.note).unwrap();
    assert_eq!(signed.size, 2);
    let report = journal.verify(vec![one.note]).await.unwrap();
    assert!(report.is_ok(), "{:?}", report.findings);
    assert_eq!((report.size, report.signed_size, report.n_checkpoints), (2, 2, 3));
}

#[tokio::test]
async fn a_run_is_exported_with_its_proofs() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    append(&journal, leaf("someone else"));
    let earlier = journal.checkpoint().await.unwrap().unwrap().note;
    append(&journal, run_leaf(&run, "started"));
    append(&journal, leaf("someone else"));
    append(&journal, run_leaf(&run, "succeeded"));
    let bundle = journal.export(&run, Some(earlier.clone())).await.unwrap();
    let bytes = bundle.write().unwrap();
    let checks =
        BundleChecks { pinned_vkey: Some(journal.vkey()), earlier_checkpoint: Some(&earlier) };
    let report = verify_bundle(&bytes, checks).unwrap();
    assert_eq!((report.n_leaves, report.n_counted, report.size), (2, 1, 4));
    assert_eq!(report.consistent_from, Some(1));
    let missing = journal.export(&run_id(9), None).await.unwrap_err();
    assert_eq!(missing.to_string(), format!("there is no audit leaf of run `{}`", run_id(9)));
}

#[test]
fn leaves_are_listed_newest_first_by_run_and_kind() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    append(&journal, run_leaf(&run, "started"));
    append(&journal, leaf("a"));
    append(&journal, LeafDraft { run: Some(run.clone()), ..leaf("b") });
    append(&journal, run_leaf(&run, "ended"));
    let seqs = |filter: LeafFilter| -> Vec<u64> {
        read(&journal, |reader| reader.leaves(&filter)).iter().map(|leaf| leaf.seq).collect()
    };
    let of_run = || LeafFilter { run: Some(run.clone()), ..LeafFilter::default() };
    assert_eq!(seqs(LeafFilter::default()), [3, 2, 1, 0]);
    assert_eq!(seqs(LeafFilter { before: Some(2), ..LeafFilter::default() }), [1, 0]);
    assert_eq!(seqs(LeafFilter { limit: 1, ..LeafFilter::default() }), [3]);
    assert_eq!(seqs(of_run()), [3, 2, 0]);
    assert_eq!(seqs(LeafFilter { kind: Some(LeafKind::Run), ..of_run() }), [3, 0]);
    assert_eq!(
        seqs(LeafFilter { kind: Some(LeafKind::Register), ..LeafFilter::default() }),
        [2, 1]
    );
    assert_eq!(read(&journal, |reader| reader.leaf(9)), None);
}

#[test]
fn tampering_in_the_database_is_found() {
    #[track_caller]
    fn check(sql: &str, expected: &[FindingKind], storage: &[&str]) {
        let fixture = Fixture::new();
        let (journal, run) = fixture.with_run();
        for n in 0..5 {
            append(&journal, leaf(&format!("leaf {n}")));
        }
        append(&journal, run_leaf(&run, "started"));
        write(&journal, {
            let key = std::sync::Arc::clone(journal.key());
            move |tx| tx.checkpoint(&key)
        })
        .unwrap();
        append(&journal, leaf("after the checkpoint"));
        fixture.raw().execute_batch(sql).unwrap();
        assert_eq!(kinds(&journal, &[]), expected, "{sql}");
        let damage = read(&journal, |reader| reader.scrub());
        let told: Vec<&str> = damage.iter().map(|damage| damage.message.as_str()).collect();
        assert_eq!(told, storage, "{sql}");
    }
    use FindingKind::{Tampered, Truncated, Unreadable};
    check("", &[], &[]);
    let text = "UPDATE leaves SET bytes = \
                CAST(replace(CAST(bytes AS TEXT), 'leaf 2', 'leaf X') AS BLOB) WHERE seq = 2";
    check(text, &[Tampered, Tampered], &[]);
    let misfiled = "leaf 3 is filed under a run or kind that it does not name";
    check(
        "UPDATE leaves SET bytes = X'00' WHERE seq = 3",
        &[Unreadable, Tampered, Tampered],
        &[misfiled],
    );
    check("DELETE FROM leaves WHERE seq = 1", &[Tampered, Tampered, Tampered], &[]);
    check("DELETE FROM leaves WHERE seq >= 4", &[Truncated], &[]);
    check("UPDATE hashes SET hashes = zeroblob(32) WHERE first = 3", &[Tampered], &[]);
    check("DELETE FROM hashes WHERE first = 3", &[Unreadable], &[]);
    check("UPDATE checkpoints SET note = 'no'", &[FindingKind::BadSignature], &[]);
    check(
        "UPDATE leaves SET run = NULL WHERE seq = 5",
        &[],
        &["leaf 5 is filed under a run or kind that it does not name"],
    );
    check("UPDATE leaves SET kind = 'stop' WHERE seq = 3", &[], &[misfiled]);
    let orphan = "a row of `runs` refers to one of `workflow_versions` that is not there";
    check("PRAGMA foreign_keys = OFF; DELETE FROM workflow_versions", &[], &[orphan]);
}

#[test]
fn a_log_that_lost_its_end_takes_no_more() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    for n in 0..4 {
        append(&journal, leaf(&n.to_string()));
    }
    fixture.raw().execute_batch("DELETE FROM leaves WHERE seq = 3").unwrap();
    let error = write(&journal, |tx| tx.append_leaf(leaf("next"))).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("is damaged: the audit log lost leaves from 3 on"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is appended together, undone or not, by whichever handle: the tree is that of the
    /// leaves that stayed.
    #[test]
    fn any_batches_make_one_valid_tree(
        writes in prop::collection::vec((0..2_usize, 0..6_usize, any::<bool>()), 1..24)
    ) {
        let fixture = Fixture::new();
        let handles = [fixture.open().unwrap(), fixture.open().unwrap()];
        let mut expected = 0_u64;
        for (handle, n_leaves, stays) in writes {
            let result = write(&handles[handle], move |tx| {
                for n in 0..n_leaves {
                    tx.append_leaf(leaf(&n.to_string()))?;
                }
                if stays { Ok(()) } else { Err(JournalError::Stopped) }
            });
            prop_assert_eq!(result.is_ok(), stays);
            expected += if stays { n_leaves as u64 } else { 0 };
        }
        let journal = &handles[0];
        let report = read(journal, |reader| reader.verify(journal.vkey(), &[]));
        prop_assert!(report.is_ok(), "{:?}", report.findings);
        prop_assert_eq!(report.size, expected);
        let root = read(journal, |reader| tree::root(reader, expected).map_err(corrupt_tree));
        prop_assert_eq!(report.root, root.to_string());
        for seq in 0..expected {
            let (proof, bytes) = read(journal, |reader| {
                let proof = tree::inclusion_proof(reader, expected, seq).map_err(corrupt_tree)?;
                Ok((proof, reader.leaf(seq)?.unwrap().bytes))
            });
            let hash = tree::leaf_hash(&bytes);
            prop_assert!(tree::verify_inclusion(&proof, expected, root, seq, hash).is_ok());
        }
    }
}
