use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use arx_journal::{Clock, LeafFilter, StateDir};
use tempfile::TempDir;

use super::*;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const RIGHT: &str = "CANARY correct horse";

struct ManualClock(Mutex<Timestamp>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Fixture {
    _directory: TempDir,
    clock: Arc<ManualClock>,
    identity: Identity,
}

impl Fixture {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let clock =
            Arc::new(ManualClock(Mutex::new(Timestamp::from_second(1_767_225_600).unwrap())));
        let state = StateDir::open(&directory.path().join("state")).unwrap();
        let dynamic: Arc<dyn Clock> = clock.clone();
        let journal = Journal::open(&state, dynamic).unwrap();
        Self { _directory: directory, clock, identity: Identity::new(journal) }
    }

    /// With an admin who has a password, and nothing else.
    async fn with_ada() -> (Self, NewSession) {
        let fixture = Self::new();
        let link = fixture.identity.first_link("arx").await.unwrap().unwrap();
        let joined = fixture.identity.join(link.secret.expose_secret(), "Ada", RIGHT.into()).await;
        (fixture, joined.unwrap())
    }

    fn pass(&self, seconds: i64) {
        *self.clock.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    async fn try_as(&self, name: &str, password: &str) -> Result<NewSession, String> {
        let tried = self.identity.sign_in(name, password.into(), HOME).await;
        tried.map_err(|error| error.to_string())
    }

    async fn who(&self, cookie: &SecretString) -> Option<Caller> {
        self.identity.session(cookie.expose_secret()).await.unwrap()
    }

    fn log(&self) -> String {
        let filter = LeafFilter { limit: 1000, ..LeafFilter::default() };
        let leaves = self.identity.journal.read_blocking(|reader| reader.leaves(&filter)).unwrap();
        leaves.iter().rev().map(|leaf| String::from_utf8_lossy(&leaf.bytes).into_owned()).collect()
    }
}

const WRONG: &str = "the name or the password is wrong";

#[tokio::test]
async fn the_first_admin_comes_by_a_link_that_works_once() {
    let fixture = Fixture::new();
    let identity = &fixture.identity;
    let link = identity.first_link("arx").await.unwrap().unwrap();
    let link = link.secret.expose_secret();
    let invited = Some(Invited { name: None, role: Role::Admin });
    assert_eq!(identity.link(link).await.unwrap(), invited);
    assert_eq!(identity.link(link).await.unwrap(), invited, "looking uses nothing up");
    assert_eq!(identity.link("arxl_nonsense").await.unwrap(), None);
    let join = async |name: &str, password: &str| {
        let joined = identity.join(link, name, password.into()).await;
        joined.map(|session| session.caller).map_err(|error| error.to_string())
    };
    assert_eq!(join("ada", "short").await.unwrap_err(), "a password has at least 12 characters");
    let long = "x".repeat(257);
    assert_eq!(join("ada", &long).await.unwrap_err(), "a password has at most 256 bytes");
    let own = join("ada lovelace the first", "Ada Lovelace The First").await;
    assert_eq!(own.unwrap_err(), "a password is not the person's name");
    assert!(join("schedule", RIGHT).await.is_err());
    let caller = join("ada", RIGHT).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("ada", Role::Admin));
    assert!(join("eve", RIGHT).await.unwrap_err().contains("used already"));
    assert!(identity.first_link("arx").await.unwrap().is_none());
    assert_eq!(identity.link(link).await.unwrap(), None);
}

#[tokio::test]
async fn every_sign_in_is_a_session_of_its_own() {
    let (fixture, joined) = Fixture::with_ada().await;
    let one = fixture.try_as("ADA", RIGHT).await.unwrap();
    let two = fixture.try_as("ada", RIGHT).await.unwrap();
    let cookies = [&joined, &one, &two].map(|session| session.cookie.expose_secret().to_owned());
    assert!(cookies.iter().all(|cookie| cookie.starts_with(SESSION_PREFIX) && cookie.len() == 48));
    assert!(cookies[0] != cookies[1] && cookies[1] != cookies[2]);
    assert_eq!(fixture.who(&one.cookie).await.as_ref(), Some(&one.caller));
    let (Via::Session { csrf: a }, Via::Session { csrf: b }) = (&one.caller.via, &two.caller.via)
    else {
        panic!("a browser has a session");
    };
    assert!(one.caller.has_csrf(Some(a)) && !one.caller.has_csrf(Some(b)));
    assert!(!one.caller.has_csrf(None) && !one.caller.has_csrf(Some("")));
    fixture.identity.sign_out(&cookies[1]).await.unwrap();
    fixture.identity.sign_out("arxs_of nobody").await.unwrap();
    assert_eq!(fixture.who(&one.cookie).await, None);
    assert!(fixture.who(&two.cookie).await.is_some());
    for made_up in ["", "arxs_", &cookies[2].replace("arxs_", "arxt_"), &cookies[2][..47]] {
        assert_eq!(fixture.identity.session(made_up).await.unwrap(), None, "{made_up}");
    }
}

#[tokio::test]
async fn a_session_ends_when_idle_and_after_a_week() {
    let (fixture, joined) = Fixture::with_ada().await;
    let hours = |n: i64| n * 3600;
    fixture.pass(hours(12) - 1);
    assert!(fixture.who(&joined.cookie).await.is_some());
    fixture.pass(hours(12) - 1);
    assert!(fixture.who(&joined.cookie).await.is_some(), "the last look counted as use");
    fixture.pass(hours(12));
    assert!(fixture.who(&joined.cookie).await.is_none(), "idle");
    let busy = fixture.try_as("ada", RIGHT).await.unwrap();
    for _ in 0..16 {
        fixture.pass(hours(10));
        assert!(fixture.who(&busy.cookie).await.is_some());
    }
    fixture.pass(hours(8));
    assert!(fixture.who(&busy.cookie).await.is_none(), "a week");
}

#[tokio::test]
async fn whoever_guesses_waits_ever_longer_and_learns_nothing() {
    let (fixture, _) = Fixture::with_ada().await;
    for name in ["ada", "nobody"] {
        for _ in 0..5 {
            assert_eq!(fixture.try_as(name, "wrong password").await.unwrap_err(), WRONG);
        }
        let waits = fixture.try_as(name, "wrong password").await.unwrap_err();
        assert_eq!(waits, "too many attempts, try again in 15 s", "{name}");
    }
    let right = fixture.try_as("Ada", RIGHT).await.unwrap_err();
    assert_eq!(right, "too many attempts, try again in 15 s", "even the right one");
    let mut wait = 15;
    for _ in 0..8 {
        fixture.pass(wait - 1);
        assert!(fixture.try_as("ada", "wrong password").await.unwrap_err().contains("in 1 s"));
        fixture.pass(1);
        assert_eq!(fixture.try_as("ada", "wrong password").await.unwrap_err(), WRONG);
        wait = (wait * 2).min(900);
        let waits = fixture.try_as("ada", "wrong password").await.unwrap_err();
        assert_eq!(waits, format!("too many attempts, try again in {wait} s"));
    }
    fixture.pass(900);
    fixture.try_as("ada", RIGHT).await.unwrap();
    assert_eq!(fixture.try_as("ada", "wrong password").await.unwrap_err(), WRONG, "begun anew");
    let log = fixture.log();
    assert!(log.contains("signed_in") && !log.contains("nobody"), "failures fill no log");
}

#[tokio::test]
async fn many_at_once_are_no_way_around_the_limit() {
    let (fixture, _) = Fixture::with_ada().await;
    let attempts = (0..20).map(|_| fixture.try_as("ada", "wrong password"));
    let judged = futures_util::future::join_all(attempts).await;
    let n_wrong = judged.iter().filter(|one| one.as_ref().is_err_and(|e| e == WRONG)).count();
    assert_eq!(n_wrong, 5);
}

#[tokio::test]
async fn an_address_that_tries_many_names_waits_too() {
    let (fixture, _) = Fixture::with_ada().await;
    for n in 0..20 {
        fixture.try_as(&format!("name{n}"), "wrong password").await.unwrap_err();
        // One account is no way to forget what failed for others.
        assert!(n > 18 || fixture.try_as("ada", RIGHT).await.is_ok(), "{n}");
    }
    assert!(fixture.try_as("ada", RIGHT).await.unwrap_err().contains("too many attempts"));
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    assert!(fixture.identity.sign_in("ada", RIGHT.into(), elsewhere).await.is_ok());
}

#[test]
fn one_customer_has_one_address_and_a_flood_forgets_the_least() {
    let (attempts, now) = (Attempts::new(), Timestamp::from_second(1_767_225_600).unwrap());
    let address = |n: u128| IpAddr::from(std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) | n));
    let tries = |name: &str, from: IpAddr| attempts.begin(name, from, now).is_ok();
    // The last 64 bits are the customer's own.
    assert!((0..20).all(|n| tries(&format!("name{n}"), address(n))));
    assert!(!tries("another", address(99)));
    assert!(tries("another", address(1 << 64)));
    assert!((0..5).all(|n| tries("ada", address((2 + n) << 64))));
    assert!(!tries("ada", address(8 << 64)));
    for n in 0..10_100_u128 {
        attempts.begin(&format!("flood{n}"), address((100 + n) << 64), now).unwrap();
    }
    assert!(!tries("ada", address(9 << 64)), "what failed often is remembered");
}

#[tokio::test]
async fn a_clock_that_was_set_back_lets_nobody_wait_for_it() {
    let (fixture, _) = Fixture::with_ada().await;
    for _ in 0..5 {
        fixture.try_as("ada", "wrong password").await.unwrap_err();
    }
    fixture.pass(-86_400);
    assert!(fixture.try_as("ada", RIGHT).await.unwrap_err().contains("15 s"));
    fixture.pass(15);
    fixture.try_as("ada", RIGHT).await.unwrap();
}

#[tokio::test]
async fn no_change_leaves_a_way_in() {
    let (fixture, _) = Fixture::with_ada().await;
    let identity = &fixture.identity;
    let invited = identity.add("Ada", "bob", Role::Approver).await.unwrap();
    let link = invited.secret.expose_secret();
    let bob = identity.join(link, "BOB", "another password".into()).await.unwrap();
    assert_eq!((bob.caller.name.as_str(), bob.caller.role), ("bob", Role::Approver));
    let sign_in = async || fixture.try_as("bob", "another password").await;
    identity.set_role("Ada", "bob", Role::Viewer).await.unwrap();
    assert_eq!(fixture.who(&bob.cookie).await, None);
    assert_eq!(sign_in().await.unwrap().caller.role, Role::Viewer);
    identity.disable("Ada", "bob").await.unwrap();
    assert_eq!(sign_in().await.unwrap_err(), WRONG);
    identity.enable("Ada", "bob").await.unwrap();
    let again = sign_in().await.unwrap();
    let invited = identity.reset("Ada", "bob").await.unwrap();
    assert_eq!(fixture.who(&again.cookie).await, None);
    assert_eq!(sign_in().await.unwrap_err(), WRONG);
    let link = invited.secret.expose_secret();
    identity.join(link, "bob", "a third password".into()).await.unwrap();
    fixture.try_as("bob", "a third password").await.unwrap();
}

#[tokio::test]
async fn tokens_are_capped_end_and_make_no_tokens() {
    let (fixture, ada) = Fixture::with_ada().await;
    let identity = &fixture.identity;
    let day = Duration::from_hours(24);
    let made = identity.new_token(&ada.caller, "ci", Role::Approver, day).await.unwrap();
    let bearer = made.secret.expose_secret();
    assert!(bearer.starts_with(TOKEN_PREFIX));
    let caller = identity.token(bearer).await.unwrap().unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("Ada", Role::Approver));
    assert!(caller.has_csrf(None));
    let error = identity.new_token(&caller, "more", Role::Viewer, day).await.unwrap_err();
    assert_eq!(error.to_string(), "a token cannot make tokens; sign in for that");
    let lesser = Caller { role: Role::Viewer, ..ada.caller.clone() };
    assert!(identity.new_token(&lesser, "more", Role::Admin, day).await.is_err());
    let error = identity.new_token(&ada.caller, "x", Role::Admin, 400 * day).await.unwrap_err();
    assert_eq!(error.to_string(), "a token lives at most 366 days");
    let bob = Caller { name: "bob".to_owned(), role: Role::Approver, via: ada.caller.via.clone() };
    assert!(identity.revoke_token(&bob, &made.id).await.is_err(), "it is not bob's");
    assert!(identity.token(bearer).await.unwrap().is_some());
    fixture.pass(24 * 3600);
    assert!(identity.token(bearer).await.unwrap().is_none(), "over");
    let made = identity.new_token(&ada.caller, "ci", Role::Admin, day).await.unwrap();
    assert!(identity.token(made.secret.expose_secret()).await.unwrap().is_some());
    identity.revoke_token(&ada.caller, &made.id).await.unwrap();
    assert!(identity.token(made.secret.expose_secret()).await.unwrap().is_none());
    let listed = identity.tokens(Some("ada")).await.unwrap();
    assert_eq!(listed.iter().filter(|token| token.revoked_at.is_some()).count(), 1);
}

#[tokio::test]
async fn nothing_secret_is_told_or_kept_in_the_clear() {
    let (fixture, ada) = Fixture::with_ada().await;
    let identity = &fixture.identity;
    let link = identity.add("Ada", "bob", Role::Viewer).await.unwrap();
    let day = Duration::from_hours(24);
    let token = identity.new_token(&ada.caller, "ci", Role::Admin, day).await.unwrap();
    let wrong = fixture.try_as("Ada", "CANARY wrong").await.unwrap_err();
    let shown = format!("{ada:?} {link:?} {token:?} {wrong} {:?}", ada.caller);
    let log = fixture.log();
    let database = std::fs::read(identity.journal.path()).unwrap();
    let wal = std::fs::read(identity.journal.path().with_extension("db-wal")).unwrap_or_default();
    let files = String::from_utf8_lossy(&[database, wal].concat()).into_owned();
    let Via::Session { csrf } = &ada.caller.via else { panic!("a session") };
    let secrets = [
        "CANARY",
        ada.cookie.expose_secret(),
        link.secret.expose_secret(),
        token.secret.expose_secret(),
        csrf,
    ];
    for secret in secrets {
        assert!(!shown.contains(secret) && !log.contains(secret) && !files.contains(secret));
    }
    assert!(files.contains("$argon2id$v=19$m=19456,t=2,p=1$") && !log.contains("argon2"));
    let signed_in = r#""address":"192.0.2.1","person":"Ada""#;
    fixture.try_as("ada", RIGHT).await.unwrap();
    assert!(fixture.log().contains(signed_in));
}
