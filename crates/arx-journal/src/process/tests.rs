use super::*;
use crate::testing::Fixture;

#[test]
fn a_process_may_live_until_its_lock_is_released() {
    let state = Fixture::new().state();
    let one = Process::register(&state).unwrap();
    let two = Process::register(&state).unwrap();
    assert_ne!(one.name(), two.name());
    assert!(one.may_live(two.name()) && two.may_live(one.name()) && one.may_live(one.name()));
    let gone = one.name().to_owned();
    drop(one);
    assert!(!two.may_live(&gone) && !two.may_live("4711-0"));
}

#[test]
fn what_a_dead_process_left_is_swept_and_says_that_it_is_dead() {
    let fixture = Fixture::new();
    let state = fixture.state();
    let one = Process::register(&state).unwrap();
    // As `kill -9` leaves it: the file is there, and nobody holds its lock.
    let dead = state.path().join(DIRECTORY).join("4711-dead");
    fs::write(&dead, "").unwrap();
    assert!(!one.may_live("4711-dead"));
    assert!(dead.exists(), "looking removes nothing");
    let two = Process::register(&state).unwrap();
    assert!(!dead.exists());
    assert!(two.may_live(one.name()), "the living are not swept");
    let n_files = || fs::read_dir(state.path().join(DIRECTORY)).unwrap().count();
    assert_eq!(n_files(), 2);
    drop((one, two));
    assert_eq!(n_files(), 0);
}
