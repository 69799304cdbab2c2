use crate::testing::{Fixture, read, write};

#[test]
fn the_last_checkpoint_that_was_given_away_is_remembered() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    assert_eq!(read(&journal, |reader| reader.kept_checkpoint()), None);
    for (size, place) in [(3, "/mnt/usb/checkpoint"), (9, "ticket \"SEC-1\"")] {
        write(&journal, move |tx| tx.note_kept_checkpoint(size, place)).unwrap();
        let kept = read(&journal, |reader| reader.kept_checkpoint()).unwrap();
        assert_eq!((kept.size, kept.place.as_str()), (size, place));
    }
}
