use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::{bound, compile, limit, rule, when};
use crate::{Beyond, Effect, Glob, Period, Policy, PolicyDef, literals};

fn errors(def: &PolicyDef) -> String {
    let errors = Policy::compile(def, &bound()).unwrap_err();
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let mut def = PolicyDef {
        risk_threshold: 101,
        rules: vec![
            rule("one", Effect::Deny, "w[iz]", "findings:{read"),
            rule("one", Effect::Permit, "wiz", ""),
            when(rule(" ", Effect::Permit, "wiz", "*"), "1 +"),
            when(rule("name", Effect::Permit, "wiz", "*"), "operatoin.verb == 'read'"),
            when(rule("call", Effect::Permit, "wiz", "*"), "target.startWith('p')"),
        ],
        limits: vec![limit("pager duty.*", 1, Beyond::Deny)],
        ..PolicyDef::default()
    };
    def.limits[0].per = Period::default();
    def.approvals.quorum = 0;
    def.approvals.expires = Period::default();
    assert_snapshot!(errors(&def), @r#"
    risk_threshold: `101` is out of range: 0 to 100
    approvals.quorum: `0` is out of range: 1 to 20
    approvals.expires: a duration of zero
    limits[0].per: a duration of zero
    rules[0].connector: `w[iz]` is not a glob: `[` cannot be part of a name
    rules[0].operation: `findings:{read` is not a glob: `{` without `}`
    rules[1].name: there is another rule named `one`
    rules[1].operation: an empty glob matches nothing
    rules[2].name: a rule needs a printable name of at most 100 bytes
    rules[2].when: the condition does not parse: mismatched input '<EOF>' (column 4 of the condition)
    rules[3].when: the condition uses the unknown variable `operatoin`
    rules[4].when: the condition uses the unknown function `startWith`
    limits[0].operation: `pager duty.*` is not a glob: ` ` cannot be part of a name
    "#);
}

#[test]
fn bound_operations_are_checked_too() {
    let bound = BTreeMap::from([("wiz".to_owned(), vec!["a:*".to_owned(), "}".to_owned()])]);
    let errors = Policy::compile(&PolicyDef::default(), &bound).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].path, "connectors.wiz.operations[1]");
}

#[test]
fn globs_know_stars_and_choices() {
    #[track_caller]
    fn check(glob: &str, name: &str, expected: bool) {
        assert_eq!(Glob::new(glob).unwrap().is_match(name), expected, "{glob} {name}");
    }
    check("*", "wiz", true);
    check("*", "findings:read", true);
    check("findings:*", "findings:read", true);
    check("findings:*", "findings:", true);
    check("findings:*", "issues:read", false);
    check("findings:*", "xfindings:read", false);
    check("*:{create,update}", "issues:create", true);
    check("*:{create,update}", "issues:links:update", true);
    check("*:{create,update}", "issues:created", false);
    check("{wiz,qualys}", "wiz", true);
    check("{wiz,qualys}", "wi", false);
    check("{wiz,q*}", "qualys", true);
    check("wiz", "WIZ", false);
    check("**", "a.b", true);
    check("pagerduty.*", "pagerduty.incidents:create", true);
    check("a.b", "axb", false);
    check("wiz", "wiz\n", false);
    check("*", "a/b\\c", true);
}

#[test]
fn what_is_no_glob_is_refused() {
    #[track_caller]
    fn check(glob: &str, message: &str) {
        assert_eq!(Glob::new(glob).unwrap_err().to_string(), message);
        assert_eq!(literals(glob), None);
    }
    check("", "an empty glob matches nothing");
    check("a?", "`a?` is not a glob: `?` cannot be part of a name");
    check("[ab]", "`[ab]` is not a glob: `[` cannot be part of a name");
    check("a b", "`a b` is not a glob: ` ` cannot be part of a name");
    check("!a", "`!a` is not a glob: `!` cannot be part of a name");
    check("a\\*", "`a\\*` is not a glob: `\\` cannot be part of a name");
    check("a/b", "`a/b` is not a glob: `/` cannot be part of a name");
    check("é", "`é` is not a glob: `é` cannot be part of a name");
    check("{a", "`{a` is not a glob: `{` without `}`");
    check("a}", "`a}` is not a glob: `}` without `{`");
    check("a,b", "`a,b` is not a glob: `,` outside of `{…}`");
    check("{a,{b,c}}", "`{a,{b,c}}` is not a glob: a choice inside a choice");
    check("{a,}", "`{a,}` is not a glob: an empty choice");
    check("{,a}", "`{,a}` is not a glob: an empty choice");
    check("{}", "`{}` is not a glob: an empty choice");
    check(&"a".repeat(201), "a glob of more than 200 bytes");
}

#[test]
fn literals_are_spelled_out() {
    #[track_caller]
    fn check(glob: &str, expected: Option<&[&str]>) {
        let spelled = literals(glob);
        assert_eq!(
            spelled.as_ref().map(|s| s.iter().map(String::as_str).collect()),
            expected.map(<[_]>::to_vec)
        );
    }
    check("wiz", Some(&["wiz"]));
    check("{wiz,qualys}", Some(&["wiz", "qualys"]));
    check("x{a,b}y{c,d}z", Some(&["xaycz", "xaydz", "xbycz", "xbydz"]));
    check("a*", None);
    check(&"{a,b}".repeat(7), None);
}

#[test]
fn the_version_follows_the_meaning_and_not_the_spelling() {
    let def = |text: &str| serde_json::from_str::<PolicyDef>(text).unwrap();
    let base = compile(&def(r#"{"approvals": {"expires": "60m"}}"#)).version();
    assert_eq!(base, compile(&def(r#"{"approvals": {"expires": "1h"}, "hitl": true}"#)).version());
    assert_ne!(base, compile(&def(r#"{"hitl": false}"#)).version());
    let fewer = Policy::compile(&PolicyDef::default(), &BTreeMap::new()).unwrap();
    assert_ne!(base, fewer.version(), "what is bound is part of the policy");
}

#[test]
fn unknown_keys_are_refused_and_definitions_survive_json() {
    assert!(serde_json::from_str::<PolicyDef>(r#"{"hilt": true}"#).is_err());
    let def = PolicyDef {
        rules: vec![when(rule("a", Effect::Deny, "*", "*"), "true")],
        limits: vec![limit("*", 3, Beyond::Escalate)],
        ..PolicyDef::default()
    };
    let text = serde_json::to_string(&def).unwrap();
    assert_eq!(serde_json::from_str::<PolicyDef>(&text).unwrap(), def);
}

#[test]
fn a_policy_can_be_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Policy>();
}
