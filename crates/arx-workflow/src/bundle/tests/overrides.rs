use serde_json::{Value, json};

use super::with_inputs;
use crate::bundle::Manifest;

const INPUTS: &str = "\
qualys_enabled: true
count: 3
ratio: 0.5
severities: [CRITICAL]
name: x
maybe: { type: string, nullable: true }
storm_threshold: { type: int, default: 25, nullable: true, min: 1, max: 100 }
level: { type: string, default: high, values: [high, medium, low] }
numbers: { type: list, default: [1], min: 0, max: 9 }
max_age: { type: duration, default: 24h, nullable: true }
any_list: []
anything: null
jira: { project: null, priority: Blocker, fields: {}, nested: { deep: 1 } }
";

fn set(pairs: &[(&str, &str)]) -> Result<Manifest, String> {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    with_inputs(INPUTS).with_overrides(&pairs).map_err(|diagnostics| {
        diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn overrides_take_the_type_of_the_input() {
    #[track_caller]
    fn check(key: &str, text: &str, expected: Value) {
        let config = set(&[(key, text)]).unwrap().config();
        let found = key.split('.').fold(&config, |value, step| &value[step]);
        assert_eq!(*found, expected, "{key}={text}");
    }
    check("qualys_enabled", "false", json!(false));
    check("count", "-7", json!(-7));
    check("ratio", "2", json!(2.0));
    check("ratio", "0.25", json!(0.25));
    check("severities", "CRITICAL,HIGH", json!(["CRITICAL", "HIGH"]));
    check("severities", "HIGH", json!(["HIGH"]));
    check("severities", "[HIGH, 'LOW']", json!(["HIGH", "LOW"]));
    check("severities", "", json!([]));
    check("severities", "1, true", json!(["1", "true"]));
    check("name", "123", json!("123"));
    check("name", "1.10", json!("1.10"));
    check("name", "yes", json!("yes"));
    check("name", "null", json!("null"));
    check("name", "", json!(""));
    check("name", "a: b # c", json!("a: b # c"));
    check("name", "'quoted'", json!("quoted"));
    check("name", "\"tab\\t\"", json!("tab\t"));
    check("name", "'half", json!("'half"));
    check("maybe", "null", json!(null));
    check("maybe", "x", json!("x"));
    check("storm_threshold", "null", json!(null));
    check("storm_threshold", "100", json!(100));
    check("level", "low", json!("low"));
    check("max_age", "7d", json!("7d"));
    check("max_age", "null", json!(null));
    check("numbers", "1,2,3", json!([1, 2, 3]));
    check("any_list", "a, 1, true", json!(["a", 1, true]));
    check("anything", "5", json!(5));
    check("anything", "[a, {b: c}]", json!(["a", {"b": "c"}]));
    check("jira.project", "SEC", json!("SEC"));
    check("jira.nested.deep", "2", json!(2));
    check("jira.fields.customfield_1", "x", json!("x"));
    check("jira.fields", "{ team: blue }", json!({"team": "blue"}));
}

#[test]
fn a_map_is_overridden_key_by_key() {
    let config = set(&[("jira", "{ project: SEC, nested: { deep: 5 } }")]).unwrap().config();
    assert_eq!(
        config["jira"],
        json!({"project": "SEC", "priority": "Blocker", "fields": {}, "nested": {"deep": 5}})
    );
}

#[test]
fn the_last_override_of_a_key_wins_and_the_file_stays() {
    let manifest = with_inputs(INPUTS);
    let pairs = [("count".to_owned(), "1".to_owned()), ("count".to_owned(), "2".to_owned())];
    assert_eq!(manifest.with_overrides(&pairs).unwrap().config()["count"], json!(2));
    assert_eq!(manifest.config()["count"], json!(3));
}

#[test]
fn what_an_input_does_not_take_is_refused() {
    #[track_caller]
    fn check(key: &str, text: &str, expected: &str) {
        assert_eq!(set(&[(key, text)]).unwrap_err(), format!("--set {key}: error{expected}"));
    }
    check(
        "qualys_enable",
        "true",
        "[ARX-C021]: there is no input `qualys_enable`\nhint: did you mean `qualys_enabled`?",
    );
    check(
        "jira.projekt",
        "x",
        "[ARX-C021]: there is no input `projekt`\nhint: did you mean `project`?",
    );
    check(
        "jira",
        "{ projekt: x }",
        "[ARX-C021]: there is no input `projekt`\nhint: did you mean `project`?",
    );
    check("count.x", "1", "[ARX-C021]: `count` is not a map\nhint: write `count=1`");
    check("qualys_enabled", "yes", "[ARX-C022]: expected true or false, found the string `yes`");
    check("count", "1.5", "[ARX-C022]: expected a whole number, found the number `1.5`");
    check("count", "many", "[ARX-C022]: expected a whole number, found the string `many`");
    check("count", "", "[ARX-C022]: expected a whole number, found nothing");
    check("ratio", "[1]", "[ARX-C022]: expected a number, found a list");
    check("storm_threshold", "0", "[ARX-C022]: `0` is out of range: 1 to 100");
    check(
        "level",
        "hihg",
        "[ARX-C022]: the string `hihg` is not one of \"high\", \"medium\", \"low\"\nhint: did you mean `high`?",
    );
    check("numbers", "1,x", "[ARX-C022]: expected a whole number, found the string `x`");
    check("numbers", "10", "[ARX-C022]: `10` is out of range: 0 to 9");
    check("severities", "{a: b}", "[ARX-C022]: expected a list, found a map");
    check("jira", "SEC", "[ARX-C022]: expected a map, found the string `SEC`");
    check("jira.nested", "null", "[ARX-C022]: expected a map, found nothing");
}

#[test]
fn every_wrong_override_is_reported() {
    let error = set(&[("count", "x"), ("nope", "1"), ("name", "fine")]).unwrap_err();
    assert_eq!(error.matches("error[").count(), 2, "{error}");
    let long = "x".repeat(20_000);
    assert!(set(&[("name", &long)]).unwrap_err().contains("longer than 16384 bytes"));
    assert!(set(&[("anything", "[")]).unwrap_err().contains("`[` does not parse"));
}
