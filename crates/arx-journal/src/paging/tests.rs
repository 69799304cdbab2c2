use arx_audit::LeafKind;
use arx_types::{EffectState, RunStatus};

use super::*;
use crate::audit::of_kind;
use crate::effects::in_state;
use crate::testing::{Fixture, leaf, read, run_id, start, write};
use crate::{Journal, LeafDraft, RunFilter};

/// A journal with leaves of three actors in turn.
fn with_leaves(fixture: &Fixture, n: usize) -> Journal {
    let journal = fixture.open().unwrap();
    write(&journal, move |tx| {
        for n in 0..n {
            let kind = if n % 2 == 0 { LeafKind::Register } else { LeafKind::Stop };
            tx.append_leaf(LeafDraft::new(kind, ["ann", "bob", "cem"][n % 3]))?;
        }
        Ok(())
    })
    .unwrap();
    journal
}

#[test]
fn a_search_looks_no_further_than_it_is_told() {
    let fixture = Fixture::new();
    let journal = with_leaves(&fixture, 30);
    #[track_caller]
    fn check(
        journal: &Journal,
        filter: &LeafFilter,
        look_max: usize,
        expected: (&[u64], Option<u64>, bool),
    ) {
        let by_bob = |leaf: &StoredLeaf| leaf.decode().unwrap().actor == "bob";
        let search = read(journal, |reader| reader.search_leaves(filter, look_max, by_bob));
        let found: Vec<u64> = search.found.iter().map(|leaf| leaf.seq).collect();
        assert_eq!((found.as_slice(), search.reached, search.more), expected);
    }
    let filter = LeafFilter { limit: 3, ..LeafFilter::default() };
    check(&journal, &filter, 100, (&[28, 25, 22], Some(22), true));
    check(&journal, &filter, 4, (&[28], Some(26), true));
    let older = LeafFilter { before: Some(7), ..filter.clone() };
    check(&journal, &older, 100, (&[4, 1], Some(0), false));
    check(&journal, &older, 7, (&[4, 1], Some(0), false));
    let stops = LeafFilter { kind: Some(LeafKind::Stop), ..filter };
    check(&journal, &stops, 100, (&[25, 19, 13], Some(13), true));
    check(&journal, &LeafFilter { before: Some(0), ..stops }, 5, (&[], None, false));
}

#[test]
fn a_leaf_is_proven_against_the_checkpoint_that_reaches_it() {
    let fixture = Fixture::new();
    let journal = with_leaves(&fixture, 9);
    let key = std::sync::Arc::clone(journal.key());
    write(&journal, move |tx| tx.checkpoint(&key)).unwrap().unwrap();
    write(&journal, |tx| tx.append_leaf(leaf("late"))).unwrap();
    for seq in 0..10 {
        let proof = read(&journal, |reader| reader.leaf_proof(seq)).unwrap();
        let LeafProof { hash, size, root, path, checkpoint, .. } = proof;
        assert_eq!((size, checkpoint.is_some()), if seq < 9 { (9, true) } else { (10, false) });
        tree::verify_inclusion(&path, size, root, seq, hash).unwrap();
    }
    assert!(read(&journal, |reader| reader.leaf_proof(10)).is_none());
    let path = read(&journal, |reader| reader.consistency(4, 10));
    let (new, old) = read(&journal, |reader| Ok((reader.root_at(10)?, reader.root_at(4)?)));
    tree::verify_consistency(&path, 10, new, 4, old).unwrap();
    let error = journal.read_blocking(|reader| reader.consistency(4, 11)).unwrap_err();
    assert!(matches!(error, JournalError::Invalid { .. }), "{error:?}");
}

#[test]
fn runs_are_counted_no_further_than_asked() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    for n in 1..=5 {
        start(&journal, &run_id(n));
    }
    write(&journal, |tx| tx.set_run_status(&run_id(2), RunStatus::Failed)).unwrap();
    let count = |status, at_most| read(&journal, |reader| reader.n_runs(status, at_most));
    assert_eq!(count(RunStatus::Running, 100), 4);
    assert_eq!(count(RunStatus::Running, 3), 3);
    assert_eq!(count(RunStatus::Failed, 3), 1);
    assert_eq!(count(RunStatus::Parked, 3), 0);
}

#[test]
fn pages_follow_an_index() {
    let fixture = Fixture::new();
    let journal = fixture.with_run().0;
    let raw = fixture.raw();
    drop(journal);
    #[track_caller]
    fn check(raw: &rusqlite::Connection, (sql, values): (String, Vec<rusqlite::types::Value>)) {
        let plan: Vec<String> = raw
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map(params_from_iter(values), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let plan = plan.join("; ");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        assert!(plan.contains("SEARCH"), "{sql}\n{plan}");
    }
    let text = |text: &str| Some(text.to_owned());
    for (condition, order, table) in [
        ("workflow = ?", "n DESC", "runs"),
        ("status = ?", "n DESC", "runs"),
        ("state = ?", "n DESC", "approvals"),
        (in_state(Some(EffectState::Failed)), "intent_seq DESC, key DESC", "effects"),
        (of_kind(Some(LeafKind::Run)), "seq DESC", "leaves"),
        ("run = ?", "seq DESC", "leaves"),
        ("run = ?", "seq", "decisions"),
    ] {
        let page = Conditions::default().given(condition, text("x"));
        check(&raw, page.page(&format!("SELECT * FROM {table}"), order, 10, 10));
    }
    let page = Conditions::default()
        .given("workflow = ?", text("x"))
        .given("status = ?", text("x"))
        .page("SELECT * FROM runs", "n DESC", 10, 10);
    check(&raw, page);
    let place = Some((5_i64, "x".to_owned()));
    let page = Conditions::default().given_both("(intent_seq, key) < (?, ?)", place).page(
        "SELECT * FROM effects",
        "intent_seq DESC, key DESC",
        10,
        10,
    );
    check(&raw, page);
}

#[test]
fn a_list_of_runs_shows_its_pages_in_order() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    for n in 1..=7 {
        start(&journal, &run_id(n));
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let filter = RunFilter {
            workflow: Some(crate::testing::WORKFLOW.to_owned()),
            status: Some(RunStatus::Running),
            before: before.clone(),
            limit: 3,
            ..RunFilter::default()
        };
        let page = read(&journal, |reader| reader.runs(&filter));
        let Some(last) = page.last() else { break };
        before = Some(last.id.clone());
        seen.extend(page.into_iter().map(|run| run.id));
        // What is started meanwhile belongs to no later page.
        start(&journal, &run_id(100 + seen.len() as u128));
    }
    let expected: Vec<RunId> = (1..=7).rev().map(run_id).collect();
    assert_eq!(seen, expected);
}
