use std::time::Duration;

use arx_journal::{Clock as _, StateDir};
use rand::RngCore as _;

use crate::{SeededRng, SimClock, TestEnv, seeded_rng};

#[test]
fn a_clock_moves_only_when_told() {
    let clock = SimClock::new();
    let start = clock.now();
    assert_eq!(start.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(clock.now(), start);
    clock.advance(Duration::from_secs(90));
    assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
    clock.set(start);
    assert_eq!(clock.now(), start);
}

#[test]
fn a_clock_that_runs_is_moved_and_goes_on() {
    let clock = SimClock::running();
    let before = clock.now();
    clock.step_back(Duration::from_secs(3600));
    let jumped = clock.now();
    assert!(jumped < before - jiff::SignedDuration::from_mins(59), "{before} {jumped}");
    while clock.now() == jumped {}
    clock.set(before);
    assert!(clock.now() >= before);
    assert!(clock.now() < before + jiff::SignedDuration::from_mins(1));
}

#[test]
fn one_seed_gives_one_sequence() {
    let seed = seeded_rng("one").seed();
    let draw = |seed| SeededRng::new("any", seed).next_u64();
    assert_eq!(draw(seed), draw(seed));
    assert_ne!(draw(seed), draw(seed + 1));
}

#[test]
fn an_environment_has_a_journal_of_its_own() {
    let (one, other) = (TestEnv::new().unwrap(), TestEnv::new().unwrap());
    let journal = one.journal().unwrap();
    assert_eq!(journal.path(), StateDir::open(&one.state()).unwrap().database());
    assert_ne!(other.journal().unwrap().vkey(), journal.vkey());
}
