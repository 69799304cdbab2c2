use arx_audit::LeafKind;
use arx_types::EffectState::{Done, Failed, Intended as Open, Unknown};

use super::*;
use crate::testing::{Fixture, new_run, packed, read, run_id, start, write};
use crate::{Journal, LeafDraft, RunFilter};

fn key(text: &str) -> EffectKey {
    text.parse().unwrap()
}

fn intent(text: &str, covers: &[&str]) -> NewIntent {
    NewIntent {
        world: World::live(),
        key: key(text),
        run: run_id(1),
        workflow: "demo".to_owned(),
        operation: "pagerduty.incidents:create".parse().unwrap(),
        params_sha256: Digest::of_bytes(b"params"),
        params: packed("params"),
        covers: covers.iter().map(|text| key(text)).collect(),
    }
}

fn draft(kind: LeafKind) -> LeafDraft {
    LeafDraft::new(kind, "gate")
}

fn intend(journal: &Journal, intent: NewIntent) -> Result<Intended, JournalError> {
    write(journal, move |tx| tx.intend_effect(&intent, draft(LeafKind::Register)))
}

fn settle(
    journal: &Journal,
    text: &str,
    attempt: u32,
    state: EffectState,
) -> Result<SettleOutcome, JournalError> {
    let key = key(text);
    let result = (state == Done).then(|| packed("incident 1"));
    let detail = (state != Done).then(|| "because".to_owned());
    let settlement = Settlement { state, attempt, result, detail };
    write(journal, move |tx| {
        tx.settle_effect(&World::live(), &key, &settlement, draft(LeafKind::Register))
    })
}

fn effect(journal: &Journal, text: &str) -> Effect {
    let key = key(text);
    read(journal, |reader| reader.effect(&World::live(), &key)).unwrap()
}

/// Brings `demo/a` into a state.
fn bring(journal: &Journal, state: Option<EffectState>) {
    let Some(state) = state else { return };
    intend(journal, intent("demo/a", &[])).unwrap();
    if state != Open {
        settle(journal, "demo/a", 1, state).unwrap();
    }
}

#[test]
fn an_effect_is_intended_only_when_it_provably_did_not_happen() {
    #[track_caller]
    fn check(before: Option<EffectState>, fresh_attempt: Option<u32>) {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        bring(&journal, before);
        let size_before = read(&journal, |reader| reader.tree_size());
        match intend(&journal, intent("demo/a", &[])).unwrap() {
            Intended::Fresh { attempt, leaf } => {
                assert_eq!(Some(attempt), fresh_attempt, "{before:?}");
                assert_eq!(leaf.seq, size_before);
                let present = effect(&journal, "demo/a");
                assert_eq!((present.state, present.attempts), (Open, attempt));
                assert_eq!((present.intent_seq, present.outcome_seq), (leaf.seq, None));
                assert_eq!((present.result, present.detail), (None, None));
            }
            Intended::Present(present) => {
                assert_eq!(None, fresh_attempt, "{before:?}");
                assert_eq!(Some(present.state), before);
                assert_eq!(read(&journal, |reader| reader.tree_size()), size_before);
            }
        }
    }
    check(None, Some(1));
    check(Some(Failed), Some(2));
    check(Some(Open), None);
    check(Some(Unknown), None);
    check(Some(Done), None);
}

#[test]
fn an_outcome_is_accepted_only_for_an_open_effect() {
    #[track_caller]
    fn check(before: EffectState, after: EffectState, accepted: bool) {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        bring(&journal, Some(before));
        let size_before = read(&journal, |reader| reader.tree_size());
        match settle(&journal, "demo/a", 1, after).unwrap() {
            SettleOutcome::Settled(leaf) => {
                assert!(accepted, "{before:?} to {after:?}");
                let present = effect(&journal, "demo/a");
                assert_eq!(present.state, after);
                assert_eq!((leaf.seq, present.outcome_seq), (size_before, Some(size_before)));
                assert_eq!(present.result.is_some(), after == Done);
                assert_eq!(present.detail.is_some(), after != Done);
            }
            SettleOutcome::Refused(present) => {
                assert!(!accepted, "{before:?} to {after:?}");
                assert_eq!(present.state, before);
                assert_eq!(effect(&journal, "demo/a").state, before);
                assert_eq!(read(&journal, |reader| reader.tree_size()), size_before);
            }
        }
    }
    for after in [Done, Failed, Unknown] {
        check(Open, after, true);
        check(Unknown, after, true);
        check(Done, after, false);
        check(Failed, after, false);
    }
}

#[test]
fn a_late_outcome_of_an_earlier_attempt_is_refused() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    bring(&journal, Some(Failed));
    intend(&journal, intent("demo/a", &[])).unwrap();
    let late = settle(&journal, "demo/a", 1, Done).unwrap();
    assert!(matches!(late, SettleOutcome::Refused(present) if present.attempts == 2));
    assert!(matches!(settle(&journal, "demo/a", 2, Done).unwrap(), SettleOutcome::Settled(_)));
}

#[test]
fn what_is_no_outcome_or_no_effect_is_an_error() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    let error = settle(&journal, "demo/none", 1, Done).unwrap_err();
    assert_eq!(error.to_string(), "there is no effect `demo/none`");
    bring(&journal, Some(Open));
    let error = settle(&journal, "demo/a", 1, Open).unwrap_err();
    assert_eq!(error.to_string(), "settlement cannot be recorded: `intended` is no outcome");
    let error = intend(&journal, intent("demo/b", &["demo/b"])).unwrap_err();
    assert!(matches!(error, JournalError::Invalid { .. }));
    let nobodys = NewIntent { run: run_id(7), ..intent("demo/b", &[]) };
    assert!(matches!(intend(&journal, nobodys).unwrap_err(), JournalError::Conflict { .. }));
}

#[test]
fn worlds_do_not_meet() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    bring(&journal, Some(Done));
    let simulated = NewIntent { world: World::simulate("acme"), ..intent("demo/a", &[]) };
    assert!(matches!(intend(&journal, simulated).unwrap(), Intended::Fresh { attempt: 1, .. }));
    assert_eq!(effect(&journal, "demo/a").state, Done);
}

#[test]
fn a_covering_effect_decides_for_those_it_covers() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    bring(&journal, Some(Failed));
    let group = || intent("demo/group", &["demo/a", "demo/b"]);
    intend(&journal, group()).unwrap();
    let covered = effect(&journal, "demo/a");
    assert_eq!((covered.state, covered.attempts), (Open, 2));
    assert_eq!(covered.covered_by, Some(key("demo/group")));
    assert_eq!(covered.params.unpack::<serde_json::Value>().unwrap(), serde_json::Value::Null);

    // Neither may be sent or settled by itself.
    assert!(matches!(intend(&journal, intent("demo/b", &[])).unwrap(), Intended::Present(_)));
    let alone = settle(&journal, "demo/b", 1, Done).unwrap();
    assert!(matches!(alone, SettleOutcome::Refused(_)));

    settle(&journal, "demo/group", 1, Unknown).unwrap();
    let waiting = read(&journal, |reader| reader.effects_needing_attention());
    assert_eq!(
        waiting.iter().map(|effect| effect.key.as_str()).collect::<Vec<_>>(),
        ["demo/group"]
    );
    settle(&journal, "demo/group", 1, Done).unwrap();
    for text in ["demo/group", "demo/a", "demo/b"] {
        let effect = effect(&journal, text);
        assert_eq!(effect.state, Done, "{text}");
        assert_eq!(effect.result, Some(packed("incident 1")));
    }
    let of_run = read(&journal, |reader| reader.effects_of_run(&run));
    assert_eq!(of_run.len(), 3);
}

#[test]
fn a_group_with_one_member_that_happened_is_not_intended() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    bring(&journal, Some(Done));
    let refused = intend(&journal, intent("demo/group", &["demo/a", "demo/b"])).unwrap();
    assert!(matches!(refused, Intended::Present(present) if present.key == key("demo/a")));
    let keys = read(&journal, |reader| reader.effects(&EffectFilter::default()));
    assert_eq!(keys.len(), 1, "nothing of the group was recorded");
}

#[test]
fn a_failed_group_leaves_its_members_free() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    intend(&journal, intent("demo/group", &["demo/a", "demo/b"])).unwrap();
    settle(&journal, "demo/group", 1, Failed).unwrap();
    assert!(matches!(
        intend(&journal, intent("demo/a", &[])).unwrap(),
        Intended::Fresh { attempt: 2, .. }
    ));
    assert_eq!(effect(&journal, "demo/a").covered_by, None);
    // The group, tried again without it, must not touch it.
    intend(&journal, intent("demo/group", &["demo/b"])).unwrap();
    settle(&journal, "demo/group", 2, Done).unwrap();
    assert_eq!(effect(&journal, "demo/a").state, Open);
    assert_eq!(effect(&journal, "demo/b").state, Done);
}

#[test]
fn an_intent_left_behind_needs_a_human_once_its_run_is_over() {
    #[track_caller]
    fn check(status: RunStatus, expected: usize) {
        let fixture = Fixture::new();
        let (journal, run) = fixture.with_run();
        bring(&journal, Some(Open));
        write(&journal, move |tx| tx.set_run_status(&run, status)).unwrap();
        let waiting = read(&journal, |reader| reader.effects_needing_attention());
        assert_eq!(waiting.len(), expected, "{status}");
        let count = read(&journal, |reader| reader.n_effects_needing_attention(9));
        assert_eq!(count as usize, expected, "{status}");
    }
    use arx_types::RunStatus;
    check(RunStatus::Running, 0);
    check(RunStatus::Parked, 0);
    check(RunStatus::Interrupted, 0);
    check(RunStatus::NeedsAttention, 1);
    check(RunStatus::Cancelled, 1);
    check(RunStatus::Failed, 1);
}

#[test]
fn effects_are_listed_by_what_they_are() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    let other = run_id(2);
    start(&journal, &other);
    bring(&journal, Some(Done));
    intend(&journal, intent("demo/b", &[])).unwrap();
    intend(&journal, NewIntent { run: other.clone(), ..intent("demo/c", &[]) }).unwrap();
    let keys = |filter: EffectFilter| -> Vec<String> {
        let effects = read(&journal, |reader| reader.effects(&filter));
        effects.iter().map(|effect| effect.key.to_string()).collect()
    };
    assert_eq!(keys(EffectFilter::default()), ["demo/c", "demo/b", "demo/a"]);
    assert_eq!(
        keys(EffectFilter { state: Some(Open), ..EffectFilter::default() }),
        ["demo/c", "demo/b"]
    );
    assert_eq!(
        keys(EffectFilter { run: Some(run), ..EffectFilter::default() }),
        ["demo/b", "demo/a"]
    );
    let world = Some(World::simulate("x"));
    assert_eq!(keys(EffectFilter { world, ..EffectFilter::default() }), Vec::<String>::new());
    let runs = read(&journal, |reader| reader.runs(&RunFilter::default()));
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].id, new_run(&other).id);
}

#[test]
fn a_key_named_twice_is_refused_before_anything_is_written() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    for covers in [&["demo/b", "demo/b"][..], &["demo/a"]] {
        let error = intend(&journal, intent("demo/a", covers)).unwrap_err();
        assert!(matches!(error, JournalError::Invalid { what: "intent", .. }), "{error:?}");
    }
    assert_eq!(read(&journal, |reader| reader.tree_size()), 0);
}

#[test]
fn members_of_a_group_count_their_own_attempts() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    intend(&journal, intent("demo/b", &[])).unwrap();
    settle(&journal, "demo/b", 1, Failed).unwrap();
    let fresh = intend(&journal, intent("demo/a", &["demo/b", "demo/c"])).unwrap();
    assert!(matches!(fresh, Intended::Fresh { attempt: 1, .. }), "{fresh:?}");
    let attempts = ["demo/a", "demo/b", "demo/c"].map(|text| effect(&journal, text).attempts);
    assert_eq!(attempts, [1, 2, 1]);
}
