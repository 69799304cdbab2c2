use arx_types::Digest;
use jiff::SignedDuration;

use super::*;
use crate::audit::LEAVES_LISTED_MAX;
use crate::testing::{Fixture, read};
use crate::{Clock as _, Journal};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A write about people, with its error in words.
fn act<T: Send + 'static>(
    journal: &Journal,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, PeopleError> + Send + 'static,
) -> Result<T, String> {
    let write = journal.write_blocking(|tx| match f(tx) {
        Ok(done) => Ok(Ok(done)),
        Err(PeopleError::Journal(error)) => Err(error),
        // As `try_write` would, but for the undoing: nothing is written before a refusal.
        Err(error) => Ok(Err(error.to_string())),
    });
    write.unwrap()
}

fn add(journal: &Journal, name: &'static str, role: Role) -> Result<Person, String> {
    act(journal, move |tx| tx.add_person(name, role, "ada"))
}

fn link(n: u128) -> NewLink {
    let id = LinkId::from_parts(1, n);
    let expires_at = Timestamp::from_second(1_767_225_600).unwrap() + DAY;
    NewLink { digest: Digest::of_bytes(id.as_str().as_bytes()), id, expires_at }
}

fn session(n: u8) -> NewSession {
    let expires_at = Timestamp::from_second(1_767_225_600).unwrap() + DAY;
    NewSession { digest: Digest([n; 32]), expires_at, from: None }
}

fn token(n: u8, role: Role) -> NewToken {
    NewToken {
        id: TokenId::from_parts(1, n.into()),
        digest: Digest([n; 32]),
        label: "ci".to_owned(),
        role,
        expires_at: Timestamp::from_second(1_767_225_600).unwrap() + DAY,
    }
}

/// Everything that the log says, as it is.
fn told(journal: &Journal) -> Vec<String> {
    let filter = crate::LeafFilter { limit: LEAVES_LISTED_MAX, ..crate::LeafFilter::default() };
    let leaves = read(journal, |reader| reader.leaves(&filter));
    leaves.into_iter().rev().map(|leaf| String::from_utf8(leaf.bytes).unwrap()).collect()
}

/// The statuses of the log, in order.
fn statuses(journal: &Journal) -> Vec<String> {
    let status = |leaf: String| {
        let leaf: serde_json::Value = serde_json::from_str(&leaf).unwrap();
        assert_eq!(leaf["kind"], "identity");
        format!("{} {}", leaf["status"].as_str().unwrap(), leaf["actor"].as_str().unwrap())
    };
    told(journal).into_iter().map(status).collect()
}

#[test]
fn a_name_is_a_person_in_one_spelling() {
    #[track_caller]
    fn check(name: &str, reason: Option<&str>) {
        let named = name_of(name).map_err(|error| error.to_string());
        match reason {
            None => assert_eq!(named, Ok(name.trim().to_owned())),
            Some(reason) => assert!(named.as_ref().is_err_and(|e| e.contains(reason)), "{named:?}"),
        }
    }
    check("Ada Lovelace", None);
    check(" bob@example.com ", None);
    check("Zoë", None);
    check("", Some("empty"));
    check("  ", Some("empty"));
    check("role:admin", Some("colon"));
    check("a\u{1b}[1m", Some("seen"));
    check("bo\u{200b}b", Some("seen"));
    check("bo\u{202e}b", Some("seen"));
    check("a\tb", Some("seen"));
    check(&"x".repeat(129), Some("128"));
    for name in ["arx", "ROLE", "Schedule", "system", "unknown", "user"] {
        check(name, Some("something else"));
    }
    assert_eq!(folded(" ZOË "), folded("zoë"));
}

#[test]
fn nobody_is_added_twice() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    assert!(!read(&journal, |reader| reader.knows_people()));
    assert_eq!(add(&journal, " Zoë ", Role::Viewer).unwrap().name, "Zoë");
    let taken = add(&journal, "ZOË", Role::Admin).unwrap_err();
    assert_eq!(taken, "there is somebody called `Zoë` already");
    assert!(read(&journal, |reader| reader.knows_people()));
    let person = read(&journal, |reader| reader.person("zoË")).unwrap();
    assert_eq!((person.role, person.has_password), (Role::Viewer, false));
    assert_eq!(statuses(&journal), ["person_added ada"]);
}

#[test]
fn the_last_admin_stays() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let demote = |name| act(&journal, move |tx| tx.set_role(name, Role::Viewer, "cli"));
    let disable = |name| act(&journal, move |tx| tx.disable_person(name, "cli"));
    add(&journal, "ada", Role::Admin).unwrap();
    add(&journal, "eve", Role::Approver).unwrap();
    assert_eq!(demote("Ada").unwrap_err(), "`ada` is the last admin");
    assert_eq!(disable("ADA").unwrap_err(), "`ada` is the last admin");
    assert!(disable("eve").is_ok());
    add(&journal, "bob", Role::Admin).unwrap();
    assert!(disable("bob").is_ok());
    assert_eq!(disable("ada").unwrap_err(), "`ada` is the last admin", "bob is disabled");
    act(&journal, |tx| tx.enable_person("bob", "cli")).unwrap();
    // Who can sign in is not left to somebody who cannot.
    let new = link(1);
    act(&journal, move |tx| {
        tx.make_link("ada", &new, "cli")?;
        tx.use_link(&new.digest, "ada", &"$argon2id$ada".into())
    })
    .unwrap();
    assert_eq!(disable("ada").unwrap_err(), "`ada` is the last admin");
    assert_eq!(demote("bob").unwrap().role, Role::Viewer);
}

#[test]
fn a_link_is_used_once_and_by_who_it_is_for() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    let open = |n: u128| {
        let (digest, now) = (link(n).digest, fixture.clock.now());
        read(&journal, |reader| reader.link(&digest, now)).is_some()
    };
    let use_it = |n: u128, name: &'static str| {
        act(&journal, move |tx| tx.use_link(&link(n).digest, name, &"$argon2id$x".into()))
    };
    let gone = "the link was used already, was replaced by a newer one, or is too old";
    let first = |n: u128| act(&journal, move |tx| tx.make_first_link(&link(n), "arx")).unwrap();
    assert!(first(1) && first(2));
    assert!(!open(1) && open(2), "the second replaces the first");
    assert_eq!(use_it(1, "ada").unwrap_err(), gone);
    assert!(use_it(2, "role:admin").unwrap_err().contains("colon"));
    let ada = use_it(2, "Ada").unwrap();
    assert_eq!((ada.role, ada.has_password), (Role::Admin, true));
    assert_eq!(use_it(2, "Ada").unwrap_err(), gone);
    assert!(!first(3), "somebody is known");
    let bob = |n: u128| act(&journal, move |tx| tx.make_link("bob", &link(n), "Ada"));
    add(&journal, "bob", Role::Viewer).unwrap();
    bob(4).unwrap();
    assert!(use_it(4, "eve").unwrap_err().contains("somebody else"));
    act(&journal, |tx| tx.disable_person("bob", "Ada")).unwrap();
    assert_eq!(use_it(4, "bob").unwrap_err(), gone);
    assert_eq!(bob(5).unwrap_err(), "`bob` is disabled");
    act(&journal, |tx| tx.enable_person("bob", "Ada")).unwrap();
    assert_eq!(use_it(4, "bob").unwrap_err(), gone, "disabling withdrew it");
    bob(6).unwrap();
    fixture.clock.advance_secs(DAY.as_secs());
    assert!(!open(6));
    assert_eq!(use_it(6, "bob").unwrap_err(), gone);
}

#[test]
fn the_first_link_is_worthless_once_anybody_is_known() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    act(&journal, |tx| tx.make_first_link(&link(1), "arx")).unwrap();
    add(&journal, "bob", Role::Viewer).unwrap();
    let used = act(&journal, |tx| tx.use_link(&link(1).digest, "eve", &"$argon2id$x".into()));
    assert!(used.is_err());
}

#[test]
fn whatever_changes_somebody_ends_their_sessions() {
    #[track_caller]
    fn check(f: fn(&mut Tx<'_>) -> Result<(), PeopleError>) {
        let fixture = Fixture::new();
        let journal = fixture.open().unwrap();
        add(&journal, "ada", Role::Admin).unwrap();
        add(&journal, "bob", Role::Admin).unwrap();
        for (n, name) in [(1, "ada"), (2, "ada"), (3, "bob")] {
            act(&journal, move |tx| tx.start_session(name, &session(n))).unwrap();
        }
        let live = |n: u8| read(&journal, |reader| reader.session(&Digest([n; 32]))).is_some();
        assert!(live(1) && live(2) && live(3));
        act(&journal, f).unwrap();
        assert_eq!((live(1), live(2), live(3)), (false, false, true));
        assert_eq!(read(&journal, |reader| reader.scrub()), []);
    }
    check(|tx| tx.set_role("ada", Role::Viewer, "bob").map(drop));
    check(|tx| tx.disable_person("ada", "bob").map(drop));
    check(|tx| tx.clear_password("ada", "bob").map(drop));
    check(|tx| {
        tx.make_link("ada", &link(1), "bob")?;
        tx.use_link(&link(1).digest, "ada", &"$argon2id$x".into()).map(drop)
    });
}

#[test]
fn sessions_are_few_and_end_by_themselves() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    add(&journal, "ada", Role::Admin).unwrap();
    let n_sessions = || -> u32 {
        let count = "SELECT count(*) FROM sessions";
        fixture.raw().query_row(count, [], |row| row.get(0)).unwrap()
    };
    for n in 0..30 {
        act(&journal, move |tx| tx.start_session("ada", &session(n))).unwrap();
    }
    assert_eq!(n_sessions() as usize, SESSIONS_MAX);
    let live = |n: u8| read(&journal, |reader| reader.session(&Digest([n; 32]))).is_some();
    assert!(!live(9) && live(10) && live(29), "the oldest end");
    fixture.clock.advance_secs(DAY.as_secs());
    let late = NewSession { expires_at: fixture.clock.now() + DAY, ..session(99) };
    act(&journal, move |tx| tx.start_session("ada", &late)).unwrap();
    assert_eq!(n_sessions(), 1);
    let end = |n: u8| act(&journal, move |tx| Ok(tx.end_session(&Digest([n; 32]))?)).unwrap();
    assert!(end(99) && !end(99));
    assert_eq!(statuses(&journal).last().unwrap(), "signed_out ada");
}

#[test]
fn a_token_does_no_more_than_its_person() {
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    add(&journal, "ada", Role::Admin).unwrap();
    add(&journal, "bob", Role::Approver).unwrap();
    let make = |n, role| act(&journal, move |tx| tx.make_token("bob", &token(n, role), "ada"));
    assert_eq!(
        make(1, Role::Admin).unwrap_err(),
        "`bob` is approver, and cannot have a token for admin"
    );
    make(2, Role::Approver).unwrap();
    let found = || {
        let token = read(&journal, |reader| reader.token_by_digest(&Digest([2; 32]))).unwrap();
        (token.role, token.is_good(fixture.clock.now()))
    };
    assert_eq!(found(), (Role::Approver, true));
    act(&journal, |tx| tx.set_role("bob", Role::Viewer, "ada")).unwrap();
    assert_eq!(found(), (Role::Viewer, true), "capped at once");
    act(&journal, |tx| tx.disable_person("bob", "ada")).unwrap();
    assert!(!found().1);
    act(&journal, |tx| tx.enable_person("bob", "ada")).unwrap();
    assert!(found().1);
    fixture.clock.advance_secs(DAY.as_secs());
    assert!(!found().1, "it is over");
    fixture.clock.advance_secs(-DAY.as_secs());
    let id = TokenId::from_parts(1, 2);
    act(&journal, move |tx| tx.revoke_token(&id, "ada")).unwrap();
    assert!(!found().1);
    let none = TokenId::from_parts(1, 9);
    assert!(act(&journal, move |tx| tx.revoke_token(&none, "ada")).is_err());
    assert_eq!(read(&journal, |reader| reader.tokens(Some("BOB"))).len(), 1);
    assert_eq!(read(&journal, |reader| reader.tokens(Some("ada"))).len(), 0);
    assert_eq!(read(&journal, |reader| reader.scrub()), []);
}

#[test]
fn no_hash_and_no_digest_stands_in_the_log() {
    const CANARY: &str = "$argon2id$v=19$CANARYHASH";
    let fixture = Fixture::new();
    let journal = fixture.open().unwrap();
    act(&journal, |tx| {
        tx.make_first_link(&link(1), "arx")?;
        tx.use_link(&link(1).digest, "ada", &CANARY.into())?;
        tx.start_session("ada", &session(7))?;
        tx.make_token("ada", &token(8, Role::Admin), "ada")?;
        Ok(())
    })
    .unwrap();
    let log = told(&journal).concat();
    let digests = [link(1).digest, Digest([7; 32]), Digest([8; 32])];
    let digests = digests.map(|digest| digest.to_string());
    for secret in digests.iter().map(String::as_str).chain(["CANARYHASH", "argon2"]) {
        assert!(!log.contains(secret), "{secret}");
    }
    assert_eq!(
        statuses(&journal),
        [
            "link_made arx",
            "person_added ada",
            "link_used ada",
            "password_set ada",
            "signed_in ada",
            "token_made ada"
        ]
    );
}
