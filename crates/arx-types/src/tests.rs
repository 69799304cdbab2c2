use crate::{Digest, EffectKey, Finding, Operation, RunId};

#[test]
fn operations_are_connector_dot_resource_colon_verb() {
    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str, &str)>) {
        let parsed = text.parse::<Operation>().ok();
        let parts = parsed.as_ref().map(|op| (op.connector.as_str(), op.name.as_str(), op.verb()));
        assert_eq!(parts, expected, "{text}");
        if let Some(operation) = parsed {
            assert_eq!(operation.to_string(), text);
        }
    }
    check("wiz.findings:read", Some(("wiz", "findings:read", "read")));
    check("jira.issues:links:create", Some(("jira", "issues:links:create", "create")));
    check("wiz.findings", None);
    check("findings:read", None);
    check("wiz.:read", None);
    check("wiz.findings:", None);
    check("wiz.*:read", None);
    check("", None);
}

#[test]
fn ids_keep_their_prefix_and_refuse_others() {
    let id = RunId::from_parts(1_700_000_000_000, 7);
    assert_eq!(id.as_str().parse::<RunId>().as_ref(), Ok(&id));
    assert!("run_".parse::<RunId>().is_err());
    assert!("apr_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse::<RunId>().is_err());
}

#[test]
fn effect_keys_are_printable_and_bounded() {
    #[track_caller]
    fn check(text: &str, accepted: bool) {
        assert_eq!(text.parse::<EffectKey>().is_ok(), accepted, "{text}");
    }
    check("critical-vuln-escalation/CVE-2026-0001/1/page", true);
    check("", false);
    check("a b", false);
    check("naïve", false);
    check(&"k".repeat(255), true);
    check(&"k".repeat(256), false);
}

#[test]
fn json_digests_ignore_the_order_of_keys() {
    let one = Digest::of_json(&serde_json::json!({"a": 1, "b": [true]})).unwrap();
    let two = Digest::of_json(&serde_json::json!({"b": [true], "a": 1})).unwrap();
    assert_eq!(one, two);
    assert_eq!(one.to_string().len(), 64);
    assert_eq!(serde_json::from_str::<Digest>(&format!("\"{one}\"")).unwrap(), one);
}

#[test]
fn a_finding_digest_commits_to_every_deciding_field() {
    let base = Finding { id: "f".into(), vulnerabilities: vec!["a".into()], ..Finding::default() };
    let digest = base.digest("wiz");
    assert_ne!(digest, base.digest("qualys"));
    let moved = Finding { vulnerabilities: vec![], aliases: vec!["a".into()], ..base.clone() };
    assert_ne!(digest, moved.digest("wiz"), "an alias is not a name");
    assert_ne!(digest, Finding { known_exploited: true, ..base.clone() }.digest("wiz"));
    assert_ne!(digest, Finding { cvss_tenths: Some(98), ..base }.digest("wiz"));
}
