use crate::testing::{Fixture, read, write};

#[test]
fn a_stop_holds_from_the_next_transaction_until_it_is_lifted() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let other = fixture.open().unwrap();
    let active =
        || write(&other, |tx| tx.active_stop("demo")).unwrap().map(|stop| (stop.by, stop.reason));
    let stop = |by: &'static str| {
        write(&journal, move |tx| tx.stop_workflow("demo", by, "storm")).unwrap()
    };
    let lift = || write(&journal, |tx| tx.lift_stop("demo", "carol")).unwrap();
    assert_eq!((active(), lift()), (None, false));
    assert!(stop("alice"));
    assert!(!stop("bob"), "the first stands");
    assert_eq!(active(), Some(("alice".to_owned(), "storm".to_owned())));
    assert_eq!(read(&other, |reader| reader.active_stop("other")), None);
    assert!(lift());
    assert_eq!(active(), None);
    assert!(stop("bob"));
    let all = read(&journal, |reader| reader.stops());
    let who: Vec<_> =
        all.iter().map(|stop| (stop.by.as_str(), stop.lifted_by.as_deref())).collect();
    assert_eq!(who, [("bob", None), ("alice", Some("carol"))]);
}
