use arx_types::{Access, Operation, OperationSpec, RiskClass, Target, Verdict};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::{Call, bound, limit, rule};
use crate::{Beyond, Effect, Policy, PolicyDef, RuleDef, score};

const TARGETS: [Target; 5] =
    [Target::None, Target::Dev, Target::Staging, Target::Unknown, Target::Production];

fn specs() -> impl Strategy<Value = OperationSpec> {
    (
        select(vec![
            "findings:read",
            "findings:update",
            "incidents:create",
            "hosts:contain",
            "x:y",
        ]),
        select(vec![RiskClass::Low, RiskClass::Medium, RiskClass::High, RiskClass::Critical]),
        select(vec![Access::Read, Access::Write]),
        any::<bool>(),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(name, class, access, targeted, implemented)| OperationSpec {
            name,
            class,
            access,
            targeted,
            implemented,
            summary: "For tests.",
        })
}

fn connectors() -> impl Strategy<Value = &'static str> {
    select(vec!["wiz", "pagerduty", "crowdstrike", "jira", "okta", "unheard-of"])
}

fn calls() -> impl Strategy<Value = Call> {
    let counts = prop::collection::vec(0..4_u32, 0..3);
    (connectors(), specs(), select(TARGETS.to_vec()), 0..200_u32, counts).prop_map(
        |(connector, spec, target, writes, counts)| Call {
            target,
            writes,
            counts,
            params: json!({"n": writes}),
            ..Call::new(connector, spec)
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<RuleDef>> {
    let conditions = select(vec![
        None,
        None,
        Some("true"),
        Some("false"),
        Some("params.n > 50"),
        Some("params.absent"),
        Some("risk.score > 40"),
        Some("target"),
    ]);
    let rule = (
        select(Effect::ALL.to_vec()),
        select(vec!["*", "wiz", "pagerduty", "{wiz,crowdstrike}", "{pagerduty,jira}"]),
        select(vec!["*", "findings:*", "*:{create,contain}", "*:read", "incidents:create"]),
        conditions,
    );
    prop::collection::vec(rule, 0..8).prop_map(|rules| {
        let named = rules.into_iter().enumerate();
        named
            .map(|(i, (effect, connector, operation, when))| RuleDef {
                when: when.map(str::to_owned),
                ..rule_named(i, effect, connector, operation)
            })
            .collect()
    })
}

fn rule_named(i: usize, effect: Effect, connector: &str, operation: &str) -> RuleDef {
    rule(&format!("rule-{i}"), effect, connector, operation)
}

fn policies() -> impl Strategy<Value = PolicyDef> {
    (rules(), any::<bool>(), 0..=100_u8, select(Beyond::ALL.to_vec())).prop_map(
        |(rules, hitl, risk_threshold, beyond)| PolicyDef {
            rules,
            hitl,
            risk_threshold,
            limits: vec![limit("*.*:create", 2, beyond)],
            ..PolicyDef::default()
        },
    )
}

fn compile(def: &PolicyDef) -> Policy {
    Policy::compile(def, &bound()).unwrap()
}

proptest! {
    #[test]
    fn scores_stay_in_the_band_and_rise_with_what_they_measure(
        connector in connectors(), spec in specs(), writes in any::<u32>(), more in any::<u32>(),
    ) {
        let operation = Operation::new(connector, spec.name);
        let (low, high) = match spec.class {
            RiskClass::Low => (0, 49),
            RiskClass::Medium => (25, 79),
            RiskClass::High => (60, 100),
            RiskClass::Critical => (85, 100),
        };
        let mut before = 0;
        for target in TARGETS {
            let risk = score(&operation, &spec, target, writes);
            prop_assert!((low..=high).contains(&risk.score) && risk.raw <= 100);
            prop_assert!(risk.score >= before, "a weightier target lowers the score");
            before = risk.score;
            let later = score(&operation, &spec, target, writes.saturating_add(more));
            prop_assert!(later.score >= risk.score, "more writes lower the score");
            let sum: u32 = risk.factors.iter().map(|factor| u32::from(factor.points)).sum();
            prop_assert_eq!(u32::from(risk.raw), sum.min(100));
        }
    }

    #[test]
    fn a_deny_rule_wins_over_anything(def in policies(), call in calls(), at in 0..8_usize) {
        let mut def = def;
        let at = at.min(def.rules.len());
        def.rules.insert(at, rule("never", Effect::Deny, "*", "*"));
        prop_assert_eq!(compile(&def).decide(&call.request()).verdict, Verdict::Deny);
    }

    #[test]
    fn without_a_permit_or_escalate_rule_everything_is_denied(def in policies(), call in calls()) {
        let mut def = def;
        def.rules.retain(|rule| rule.effect == Effect::Deny);
        prop_assert_eq!(compile(&def).decide(&call.request()).verdict, Verdict::Deny);
    }

    #[test]
    fn the_order_of_rules_does_not_change_the_verdict(
        (def, shuffled) in policies().prop_flat_map(|def| {
            let rules = Just(def.rules.clone()).prop_shuffle();
            (Just(def), rules)
        }),
        call in calls(),
    ) {
        let other = PolicyDef { rules: shuffled, ..def.clone() };
        let one = compile(&def).decide(&call.request());
        let two = compile(&other).decide(&call.request());
        prop_assert_eq!(one.verdict, two.verdict);
        prop_assert_eq!(one.risk, two.risk);
    }

    #[test]
    fn a_permit_has_a_rule_and_a_bound_implemented_operation(def in policies(), call in calls()) {
        let policy = compile(&def);
        let decision = policy.decide(&call.request());
        prop_assert!(!decision.reasons.is_empty());
        if decision.verdict != Verdict::Deny {
            prop_assert!(call.spec.is_some_and(|spec| spec.implemented));
            prop_assert!(policy.is_bound(&call.operation));
        }
        if decision.verdict == Verdict::Permit {
            let named = decision.rule.unwrap_or_default();
            prop_assert!(def.rules.iter().any(|rule| rule.name == named), "{named}");
            prop_assert!(decision.risk.is_some_and(|risk| risk.score <= def.risk_threshold));
        }
    }

    #[test]
    fn a_rule_whose_condition_fails_never_opens_anything(def in policies(), call in calls()) {
        let broken = |effect, rules: &[RuleDef]| {
            let mut rules = rules.to_vec();
            let rule = rule("broken", effect, "*", "*");
            rules.push(RuleDef { when: Some("params.absent == 1".to_owned()), ..rule });
            let def = PolicyDef { rules, ..def.clone() };
            compile(&def).decide(&call.request()).verdict
        };
        let base = compile(&def).decide(&call.request()).verdict;
        prop_assert_eq!(broken(Effect::Permit, &def.rules), base);
        prop_assert_eq!(broken(Effect::Deny, &def.rules), Verdict::Deny);
        if base != Verdict::Deny {
            prop_assert!(broken(Effect::Escalate, &def.rules) >= base);
        } else if !def.hitl {
            prop_assert_eq!(broken(Effect::Escalate, &def.rules), Verdict::Deny);
        }
    }

    #[test]
    fn no_text_breaks_the_compiler(glob in ".{0,40}", condition in ".{0,80}", name in ".{0,20}") {
        let def = PolicyDef {
            rules: vec![RuleDef {
                when: Some(condition),
                ..rule(&name, Effect::Permit, &glob, &glob)
            }],
            ..PolicyDef::default()
        };
        if let Ok(policy) = Policy::compile(&def, &bound()) {
            let _ = policy.decide(&Call::new("wiz", super::READ).request());
        }
    }

    #[test]
    fn no_plausible_condition_breaks_the_evaluation(
        words in prop::collection::vec(select(vec![
            "params", "run", "now", "risk", "target", "operation", ".n", ".absent", ".size()",
            "[0]", "==", "<", "+", "-", "&&", "||", "!", "?", ":", "(", ")", "[", "]", "{", "}",
            "1", "2u", "1.5", "'s'", "b'x'", "true", "null", "in", ".all(x, x)", ".map(x, x + x)",
            ".exists(x, true)", "has(params.n)", ",", "duration('1h')", "getHours()", ".",
        ]), 1..9),
    ) {
        let def = PolicyDef {
            rules: vec![RuleDef {
                when: Some(words.join(" ")),
                ..rule("r", Effect::Permit, "*", "*")
            }],
            ..PolicyDef::default()
        };
        if let Ok(policy) = Policy::compile(&def, &bound()) {
            let decision = policy.decide(&Call::new("wiz", super::READ).request());
            prop_assert!(!decision.reasons.iter().any(|reason| reason.contains("broke off")));
        }
    }
}
