use arx_types::TokenId;

use super::*;
use crate::approvals::voter::Standing;

#[test]
fn a_voter_is_a_person() {
    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<&str>)>) {
        let voter = Voter::said(text, "me");
        let parts = voter.as_ref().map(|voter| (voter.name.as_str(), voter.role.as_deref()));
        assert_eq!(parts, expected, "{text:?}");
    }
    check("bob", Some(("bob", None)));
    check(" bob@example.com ", Some(("bob@example.com", None)));
    check("approver:bob", Some(("bob", Some("approver"))));
    check("role:approver", Some(("me", Some("approver"))));
    check("user:bob", Some(("bob", None)));
    for text in ["", " ", ":bob", "approver:", "role:", "user:"] {
        check(text, None);
    }
}

#[track_caller]
fn may(fixture: &Fixture, voter: &Voter, approvers: &[&str], expected: Result<&str, &str>) {
    let approvers: Vec<String> = approvers.iter().map(|entry| (*entry).to_owned()).collect();
    let standing = fixture.journal.read_blocking(|reader| voter.standing(reader, &approvers));
    let standing = match standing.unwrap() {
        Ok((voter, Standing::Named)) => Ok(format!("{}, named", voter.name)),
        Ok((voter, Standing::Role { role, checked })) => {
            Ok(format!("{} as {role}{}", voter.name, if checked { ", checked" } else { "" }))
        }
        Err(refusal) => Err(refusal.to_string()),
    };
    let expected = expected.map(str::to_owned).map_err(str::to_owned);
    assert_eq!(standing, expected, "{voter:?} {approvers:?}");
}

#[test]
fn while_nobody_is_known_the_policy_says_who_is_asked() {
    let fixture = Fixture::new();
    let said = |who: &str, approvers: &[&str], expected: Result<&str, &str>| {
        may(&fixture, &Voter::said(who, "me").unwrap(), approvers, expected);
    };
    said("bob", &["role:approver"], Ok("bob as approver"));
    said("approver:bob", &["role:approver"], Ok("bob as approver"));
    said("bob", &["bob"], Ok("bob, named"));
    said("bob", &["user:bob"], Ok("bob, named"));
    said("user:bob", &["bob"], Ok("bob, named"));
    said("BOB", &["bob"], Ok("BOB, named"));
    said("approver:bob", &["bob"], Ok("bob, named"));
    said("bob", &["carol", "role:approver"], Ok("bob as approver"));
    said("bob", &["carol", "dave"], Err("`bob` is not among the approvers: carol, dave"));
    said("auditor:bob", &["role:approver"], Err("`bob` is not among the approvers: role:approver"));
    said(
        "bob",
        &[],
        Err("the policy names no approver, so nobody may decide; the request waits until it \
             expires"),
    );
    let signed_in = Voter::proven("bob", Proof::Session(Role::Admin));
    may(&fixture, &signed_in, &["bob"], Err("`bob` is nobody who is known here and enabled"));
}

#[test]
fn once_anybody_is_known_roles_are_theirs() {
    let fixture = Fixture::new();
    fixture.add("Bob", Role::Approver);
    fixture.add("carol", Role::Viewer);
    fixture.add("dave", Role::Admin);
    fixture.add("erin", Role::Admin);
    fixture.write(|tx| Ok(tx.disable_person("erin", "dave").unwrap()));
    let said = |who: &str, approvers: &[&str], expected: Result<&str, &str>| {
        may(&fixture, &Voter::said(who, "me").unwrap(), approvers, expected);
    };
    let unknown = |who: &str| format!("`{who}` is nobody who is known here and enabled");
    said("bob", &["role:approver"], Ok("Bob as approver, checked"));
    said("dave", &["role:approver"], Ok("dave as approver, checked"));
    said("approver:dave", &["role:approver"], Ok("dave as approver, checked"));
    said("bob", &["role:admin", "role:viewer"], Ok("Bob as viewer, checked"));
    said("bob", &["role:admin"], Err("`Bob` is not among the approvers: role:admin"));
    said("carol", &["role:approver"], Err("`carol` is not among the approvers: role:approver"));
    said("carol", &["role:viewer"], Ok("carol as viewer, checked"));
    said("carol", &["carol"], Err("`carol` is viewer here, and cannot decide"));
    said("bob", &["role:ciso"], Err("`Bob` is not among the approvers: role:ciso"));
    said("eve", &["role:viewer", "eve"], Err(&unknown("eve")));
    said("erin", &["role:viewer", "erin"], Err(&unknown("erin")));
    said("role:approver", &["role:approver"], Err(&unknown("me")));
    // What proved who they are may allow less than they have, and never more.
    let token = |role| Proof::Token(TokenId::from_parts(1, 1), role);
    let proven = |who: &str, proof, approvers: &[&str], expected: Result<&str, &str>| {
        may(&fixture, &Voter::proven(who, proof), approvers, expected);
    };
    let asked = &["role:approver"];
    proven("dave", token(Role::Approver), asked, Ok("dave as approver, checked"));
    let viewer = Err("`dave` is not among the approvers: role:approver");
    proven("dave", token(Role::Viewer), asked, viewer);
    let named = Err("`dave` is viewer here, and cannot decide");
    proven("dave", token(Role::Viewer), &["dave"], named);
    let stale = Err("`carol` is not among the approvers: role:approver");
    proven("carol", Proof::Session(Role::Admin), asked, stale);
    proven("erin", Proof::Session(Role::Admin), asked, Err(&unknown("erin")));
}
