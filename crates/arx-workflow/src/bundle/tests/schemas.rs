use serde_json::Value;

use crate::bundle::{decode, inputs, policy, schema_text};

#[test]
fn the_committed_schema_is_the_one_generated() {
    let committed = include_str!("../../../../../docs/spec/arx.schema.json");
    assert!(
        committed == schema_text(),
        "docs/spec/arx.schema.json is stale; run `cargo run -p arx-workflow --example schema`"
    );
}

/// The schema and the decoder know the same keys.
#[test]
fn the_schema_has_the_keys_of_the_decoder() {
    let schema: Value = serde_json::from_str(&schema_text()).unwrap();
    #[track_caller]
    fn check(schema: &Value, keys: &[&str]) {
        let mut known: Vec<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut keys = keys.to_vec();
        known.sort_unstable();
        keys.sort_unstable();
        assert_eq!(known, keys);
        assert_eq!(schema["additionalProperties"], Value::Bool(false));
    }
    let defs = &schema["$defs"];
    check(&schema, &decode::MANIFEST_KEYS);
    check(&defs["Metadata"], &decode::METADATA_KEYS);
    check(&defs["TimeSaved"], &decode::TIME_SAVED_KEYS);
    check(&defs["Schedule"], &decode::SCHEDULE_KEYS);
    check(&defs["ConnectorBinding"], &decode::CONNECTOR_KEYS);
    check(&defs["Rate"]["oneOf"][1], &decode::RATE_KEYS);
    check(&defs["PolicyDef"], &policy::POLICY_KEYS);
    check(&defs["RuleDef"], &policy::RULE_KEYS);
    check(&defs["LimitDef"], &policy::LIMIT_KEYS);
    check(&defs["ApprovalsDef"], &policy::APPROVALS_KEYS);
    check(&defs["EscalateAfter"], &policy::ESCALATE_AFTER_KEYS);
    check(&defs["InputDeclaration"], &inputs::INPUT_KEYS);
}

#[test]
fn the_schema_asks_for_what_the_decoder_asks_for() {
    let schema: Value = serde_json::from_str(&schema_text()).unwrap();
    let required = |schema: &Value| schema["required"].as_array().cloned().unwrap_or_default();
    assert_eq!(required(&schema), ["apiVersion", "kind", "metadata", "policy"]);
    let defs = &schema["$defs"];
    assert_eq!(required(&defs["Metadata"]), ["name"]);
    assert_eq!(required(&defs["TimeSaved"]), ["per", "minutes"]);
    assert_eq!(required(&defs["Schedule"]), ["cron"]);
    assert_eq!(required(&defs["ConnectorBinding"]), ["operations"]);
    assert_eq!(required(&defs["PolicyDef"]), [""; 0]);
    assert_eq!(required(&defs["RuleDef"]), ["name", "effect", "connector", "operation"]);
    assert_eq!(required(&defs["LimitDef"]), ["operation", "max", "per", "beyond"]);
    assert_eq!(required(&defs["ApprovalsDef"]), [""; 0]);
    assert_eq!(required(&defs["InputDeclaration"]), ["type"]);
}
