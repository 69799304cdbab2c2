use arx_types::{Target, Verdict};
use serde_json::json;

use super::{CREATE, Call, bound, compile, rule, when};
use crate::{Effect, Policy, PolicyDef};

fn policy(condition: &str, effect: Effect, hitl: bool) -> PolicyDef {
    PolicyDef {
        hitl,
        rules: vec![
            rule("base", Effect::Permit, "pagerduty", "*"),
            when(rule("r", effect, "pagerduty", "*"), condition),
        ],
        ..PolicyDef::default()
    }
}

/// Whether the condition holds: it then denies.
#[track_caller]
fn check(condition: &str, holds: bool) {
    let call = Call { target: Target::Staging, ..Call::new("pagerduty", CREATE) };
    let decision = compile(&policy(condition, Effect::Deny, true)).decide(&call.request());
    let told = decision.reasons.iter().all(|reason| !reason.contains("cannot be evaluated"));
    assert!(told, "{condition}: {:?}", decision.reasons);
    assert_eq!(decision.verdict == Verdict::Deny, holds, "{condition}: {:?}", decision.reasons);
}

#[test]
fn conditions_see_the_call() {
    check("operation.connector == 'pagerduty' && operation.name == 'incidents:create'", true);
    check("operation.verb == 'create' && operation.class == 'MEDIUM'", true);
    check("operation.access == 'write'", true);
    check("operation.verb in ['read', 'list']", false);
    check("params.severity == 'CRITICAL' && size(params.assets) == 2", true);
    check("params.cvss > 9", true);
    check("params.assets.exists(a, a.startsWith('b'))", true);
    check("params.assets.all(a, params.assets.exists(b, a == b))", true);
    check("has(params.absent)", false);
    check("has(params.severity) && params.severity.matches('^CRIT')", true);
    check("risk.score == 35 && risk.raw == 35 && risk.class == 'MEDIUM'", true);
    check("target == 'staging'", true);
    check("run.mode == 'live' && run.workflow == 'w'", true);
    check("now.getHours() == 10 && now.getDayOfWeek() == 1", true);
    check("now.getHours('Europe/Berlin') >= 11", true);
    check("now < timestamp('2026-03-02T10:30:01Z')", true);
    check("type(params.severity) == string", true);
    check("1 / 1 == 1 && -1 < 0 && !false", true);
}

#[test]
fn what_cannot_be_evaluated_fails_closed() {
    #[track_caller]
    fn check(condition: &str, because: &str) {
        let call = Call::new("pagerduty", CREATE);
        let decide =
            |effect, hitl| compile(&policy(condition, effect, hitl)).decide(&call.request());
        let reasons = decide(Effect::Deny, true).reasons;
        assert!(reasons.iter().any(|reason| reason.contains(because)), "{reasons:?}");
        assert_eq!(decide(Effect::Deny, true).verdict, Verdict::Deny);
        assert_eq!(decide(Effect::Escalate, true).verdict, Verdict::Escalate);
        let mut alone = policy(condition, Effect::Permit, true);
        alone.rules.remove(0);
        assert_eq!(compile(&alone).decide(&call.request()).verdict, Verdict::Deny);
        // Without a human in the loop an escalate rule is a permit rule, in this too.
        let mut alone = policy(condition, Effect::Escalate, false);
        alone.rules.remove(0);
        assert_eq!(compile(&alone).decide(&call.request()).verdict, Verdict::Deny);
    }
    check("params.absent == 1", "there is no `absent`");
    check("params.severity > 1", "does not take (string, int)");
    check("params.assets[9] == 'a'", "an index is out of bounds");
    check("1 / 0 == 1", "division by zero");
    check("9223372036854775807 + 1 > 0", "a number overflows");
    check("params.severity", "it gives a value of type string and not a bool");
    check("params.severity.matches('(')", "`matches` failed");
    check("run.id.size", "");
}

#[test]
fn reasons_never_quote_parameters() {
    let mut call = Call::new("pagerduty", CREATE);
    call.params = json!({"token": "canary-secret", "list": ["canary-secret"], "n": 1});
    for condition in [
        "params.token > 1",
        "params.token + 1 == 2",
        "params.list[params.token] == 1",
        "timestamp(params.token) < now",
        "params[params.list] == 1",
        "int(params.token) == 1",
        "-params.token == 1",
        "params.token.matches(params.list)",
        "{params.list: 1}.size() == 1",
        "params.token ? true : false",
        "params.token.all(x, x)",
        "params.token",
        "params.n.canary",
        "duration(params.token) > duration('1s')",
    ] {
        let decision = compile(&policy(condition, Effect::Deny, true)).decide(&call.request());
        let text = decision.reasons.join("\n");
        assert!(text.contains("cannot be evaluated"), "{condition}: {text}");
        assert!(!text.contains("canary-secret"), "{condition}: {text}");
    }
}

#[test]
fn conditions_that_are_too_large_are_refused() {
    #[track_caller]
    fn check(condition: &str, message: &str) {
        let errors = Policy::compile(&policy(condition, Effect::Deny, true), &bound()).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].path, "rules[1].when");
        let text = errors[0].kind.to_string();
        assert!(text.contains(message), "{text}");
    }
    check(&format!("params.{}a", "a.".repeat(200)), "nests deeper than allowed; the most is 32");
    check(&format!("{}true", "1 < 2 && ".repeat(120)), "is longer than allowed, in bytes");
    check(&"(".repeat(900), "nests brackets deeper than allowed; the most is 16");
    check(&"[".repeat(900), "nests brackets deeper than allowed; the most is 16");
    check(&"{1:".repeat(300), "nests brackets deeper than allowed; the most is 16");
    check(&"!".repeat(900), "does not parse");
    check(&format!("{}true{}", "(".repeat(400), ")".repeat(400)), "nests brackets");
    check(&format!("{}1", "a[".repeat(400)), "nests brackets");
    check(&format!("{}true", "true ? true : ".repeat(60)), "holds more `?` than allowed");
    check(&format!("1 == 1{}", "+1".repeat(400)), "nests deeper than allowed");
    check(
        "params.l.all(a, params.l.all(b, params.l.all(c, a == b && b == c)))",
        "nests loops deeper than allowed; the most is 2",
    );
    let chain = ".map(x, x + x)".repeat(9);
    check(&format!("params.l{chain}.size() > 1"), "holds more loops than allowed; the most is 8");
    check("cel.Thing{a: 1} == 1", "unknown type `cel.Thing`");
    check("x.all(x, x)", "unknown variable `x`");
}

#[test]
fn the_largest_conditions_allowed_need_little_stack() {
    let sum = format!("params.cvss{} > 0.0", " + 1.0".repeat(28));
    let choice = format!("{}false", "target == 'a' ? true : ".repeat(29));
    let nested = format!("{}true{}", "!(".repeat(15), ")".repeat(15));
    let both = format!("{}{choice}{}", "(".repeat(15), ")".repeat(15));
    for (condition, holds) in [(sum, true), (choice, false), (nested, false), (both, false)] {
        check(&condition, holds);
    }
}

#[test]
fn syntax_errors_name_the_column() {
    #[track_caller]
    fn check(condition: &str, column: usize) {
        let errors = Policy::compile(&policy(condition, Effect::Deny, true), &bound()).unwrap_err();
        let text = errors[0].kind.to_string();
        assert!(text.ends_with(&format!("(column {column} of the condition)")), "{text}");
    }
    check("", 1);
    check("target == ", 11);
    check("target = 'a'", 8);
    check("target == 'a' or true", 15);
}
