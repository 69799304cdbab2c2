use jiff::SignedDuration;

use super::*;
use crate::testing::{Fixture, packed, read, write};

#[test]
fn values_are_found_by_connector_kind_and_key_while_fresh() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let put = |key: &str, text: &str| {
        let entry = (key.to_owned(), packed(text));
        write(&journal, move |tx| tx.put_cached("qualys", "kb", &[entry])).unwrap();
    };
    put("1", "old");
    put("2", "old");
    fixture.clock.advance_secs(60);
    put("2", "new");
    let keys = ["1", "2", "3"].map(str::to_owned);
    let get = |connector: &str, kind: &str, age: i64| {
        let since = journal.clock().now() - SignedDuration::from_secs(age);
        read(&journal, |reader| reader.cached(connector, kind, &keys, since))
            .into_iter()
            .collect::<Vec<_>>()
    };
    let (one, two) = (("1".to_owned(), packed("old")), ("2".to_owned(), packed("new")));
    assert_eq!(get("qualys", "kb", 60), [one, two.clone()]);
    assert_eq!(get("qualys", "kb", 59), [two]);
    assert_eq!(get("qualys", "other", 60), []);
    assert_eq!(get("wiz", "kb", 60), []);
}

#[test]
fn too_many_at_once_are_refused() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let keys = vec![String::new(); ENTRIES_MAX + 1];
    let entries: Vec<_> = keys.iter().map(|key| (key.clone(), packed(""))).collect();
    let since = journal.clock().now();
    let error = journal.read_blocking(|reader| reader.cached("c", "k", &keys, since).map(drop));
    assert!(matches!(error, Err(JournalError::Invalid { .. })), "{error:?}");
    let error = write(&journal, move |tx| tx.put_cached("c", "k", &entries));
    assert!(matches!(error, Err(JournalError::Invalid { .. })), "{error:?}");
}
