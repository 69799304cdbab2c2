use super::*;
use crate::Journal;
use crate::testing::{Fixture, read, run_id, start, write};

fn open(journal: &Journal, vulnerability: &'static str, run: u128) -> (u32, bool) {
    let episode = write(journal, move |tx| {
        tx.open_episode(&World::live(), "demo", vulnerability, "all", &run_id(run))
    })
    .unwrap();
    (episode.n, episode.opened_by == run_id(run))
}

fn close(journal: &Journal, shown: &[&str], run: u128) -> Vec<(String, u32)> {
    let shown = shown.iter().map(|name| (*name).to_owned()).collect();
    let closed = write(journal, move |tx| {
        tx.close_missing(&World::live(), "demo", &shown, "all", &run_id(run))
    })
    .unwrap();
    assert!(closed.iter().all(|episode| episode.closed_by == Some(run_id(run))));
    closed.into_iter().map(|episode| (episode.vulnerability, episode.n)).collect()
}

#[test]
fn an_episode_opens_once_closes_when_missing_and_may_come_back() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    for n in 2..5 {
        start(&journal, &run_id(n));
    }
    assert_eq!(open(&journal, "CVE-1", 1), (1, true));
    assert_eq!(open(&journal, "CVE-1", 1), (1, true), "a run that resumes finds its own");
    assert_eq!(open(&journal, "CVE-2", 1), (1, true));
    assert_eq!(open(&journal, "CVE-1", 2), (1, false), "a later run finds it open");
    assert_eq!(close(&journal, &["CVE-1", "CVE-2", "CVE-3"], 2), []);
    assert_eq!(close(&journal, &["CVE-2"], 3), [("CVE-1".to_owned(), 1)]);
    assert_eq!(close(&journal, &["CVE-2"], 3), []);
    assert_eq!(open(&journal, "CVE-1", 4), (2, true), "it came back");

    let still_open = read(&journal, |reader| reader.open_episodes(&World::live(), "demo"));
    let names: Vec<_> = still_open.iter().map(|e| (e.vulnerability.as_str(), e.n)).collect();
    assert_eq!(names, [("CVE-1", 2), ("CVE-2", 1)]);
    let history = read(&journal, |reader| reader.episodes(&World::live(), "demo", "CVE-1"));
    assert_eq!(history.iter().map(|e| e.closed_at.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn worlds_and_workflows_have_their_own_episodes() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    open(&journal, "CVE-1", 1);
    for (world, workflow) in [(World::simulate("x"), "demo"), (World::live(), "other")] {
        let run = run.clone();
        let episode = write(&journal, move |tx| {
            let closed = tx.close_missing(&world, workflow, &BTreeSet::new(), "all", &run)?;
            assert_eq!(closed, []);
            tx.open_episode(&world, workflow, "CVE-1", "all", &run)
        });
        assert_eq!(episode.unwrap().n, 1);
    }
    assert_eq!(read(&journal, |reader| reader.open_episodes(&World::live(), "demo")).len(), 1);
}
