use insta::assert_snapshot;

use super::{HEAD, diagnose, inputs_text};
use crate::bundle::Code;

/// One mistake below the head, on line 4 and later.
fn below_head(text: &str) -> String {
    diagnose(&format!("{HEAD}{text}"))
}

/// One mistake in a policy's rules.
fn rule(fields: &str) -> String {
    below_head(&format!("policy:\n  rules:\n    - {{ {fields} }}\n"))
}

fn limit(fields: &str) -> String {
    below_head(&format!("policy:\n  limits:\n    - {{ {fields} }}\n"))
}

fn connector(lines: &str) -> String {
    below_head(&format!("policy: {{}}\nconnectors:\n{lines}"))
}

fn inputs(lines: &str) -> String {
    diagnose(&inputs_text(lines))
}

#[test]
fn what_is_not_yaml() {
    assert_snapshot!(diagnose("apiVersion: [arx/v1\nkind: x"), @"2:5: error[ARX-C001]: illegal placement of ':' indicator");
    assert_snapshot!(diagnose("a: b: c"), @"1:5: error[ARX-C001]: mapping values are not allowed in this context");
    assert_snapshot!(diagnose("a: 1\n\tb: 2"), @"1:4: error[ARX-C001]: while scanning a plain scalar, found a tab");
    assert_snapshot!(diagnose("\"unterminated"), @"1:1: error[ARX-C001]: unclosed quote");
    assert_snapshot!(diagnose("a: *nobody"), @"1:4: error[ARX-C001]: alias references unknown anchor");
    assert_snapshot!(diagnose("a: 1\n---\nb: 2\n"), @"2:1: error[ARX-C001]: a second document begins here");
    assert_snapshot!(diagnose("<<: { a: 1 }\n"), @"1:1: error[ARX-C001]: merge keys (`<<`) are not read here");
    assert_snapshot!(diagnose("a: 99999999999999999999999\n"), @r#"
    1:1: error[ARX-C003]: arx.yaml has no key `a`
    hint: one of `apiVersion`, `kind`, `metadata`, `entrypoint`, `schedule`, `connectors`, `policy`, `inputs`
    1:1: error[ARX-C004]: arx.yaml lacks the key `apiVersion`
    1:1: error[ARX-C004]: arx.yaml lacks the key `kind`
    1:1: error[ARX-C004]: arx.yaml lacks the key `metadata`
    1:1: error[ARX-C004]: arx.yaml lacks the key `policy`
    "#);
    assert_snapshot!(diagnose("a: .inf\n"), @"1:4: error[ARX-C001]: a number must be finite");
    assert_snapshot!(diagnose("a: \u{0}\n"), @"1:4: error[ARX-C001]: unexpected character: `\\u{0}'");
}

#[test]
fn what_is_too_large() {
    assert_snapshot!(diagnose(&" ".repeat(300_000)), @"1:1: error[ARX-C002]: the text is larger than 256 KiB");
    assert_snapshot!(diagnose(&"[".repeat(100)), @"1:25: error[ARX-C002]: nested deeper than 24");
    assert_snapshot!(diagnose(&"- ".repeat(100)), @"1:49: error[ARX-C002]: nested deeper than 24");
    assert_snapshot!(diagnose(&"- 1\n".repeat(30_000)), @"20000:3: error[ARX-C002]: more than 20000 values");
    let bomb: String = (0..9)
        .map(|i| match i {
            0 => "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
            i => format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", ")),
        })
        .collect();
    assert_snapshot!(diagnose(&bomb), @"1:22: error[ARX-C002]: aliases expand to more than 20000 values");
    let text = format!("{HEAD}policy: {{}}\n")
        .replace("small }", &format!("small, description: {} }}", "x".repeat(5000)));
    assert_snapshot!(diagnose(&text), @"3:39: error[ARX-C002]: a text of more than 4096 bytes");
}

#[test]
fn what_is_not_a_bundle_at_all() {
    assert_snapshot!(diagnose(""), @"1:1: error[ARX-C006]: expected a map, found nothing");
    assert_snapshot!(diagnose("- a\n"), @"1:1: error[ARX-C006]: expected a map, found a list");
    assert_snapshot!(diagnose("hello"), @"1:1: error[ARX-C006]: expected a map, found the string `hello`");
    assert_snapshot!(diagnose("{}"), @r#"
    1:1: error[ARX-C004]: arx.yaml lacks the key `apiVersion`
    1:1: error[ARX-C004]: arx.yaml lacks the key `kind`
    1:1: error[ARX-C004]: arx.yaml lacks the key `metadata`
    1:1: error[ARX-C004]: arx.yaml lacks the key `policy`
    "#);
}

#[test]
fn keys() {
    assert_snapshot!(below_head("polcy: {}\n"), @r#"
    1:1: error[ARX-C004]: arx.yaml lacks the key `policy`
    4:1: error[ARX-C003]: arx.yaml has no key `polcy`
    hint: did you mean `policy`?
    "#);
    assert_snapshot!(below_head("policy: {}\npolicy: {}\n"), @"5:1: error[ARX-C005]: the key `policy` comes twice");
    assert_snapshot!(below_head("policy: { hilt: true, zzzzzzzz: 1 }\n"), @r#"
    4:11: error[ARX-C003]: `policy` has no key `hilt`
    hint: did you mean `hitl`?
    4:23: error[ARX-C003]: `policy` has no key `zzzzzzzz`
    hint: one of `hitl`, `risk_threshold`, `rules`, `limits`, `approvals`
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: wiz"), @"6:7: error[ARX-C004]: a rule lacks the key `operation`");
    assert_snapshot!(rule("name: a, effect: permit, connector: wiz, operation: '*', if: 'true'"), @r#"
    6:66: error[ARX-C003]: a rule has no key `if`
    hint: one of `name`, `effect`, `connector`, `operation`, `when`
    "#);
}

#[test]
fn words_types_and_numbers() {
    assert_snapshot!(diagnose("apiVersion: arx/v2\nkind: Workflw\nmetadata: { name: a }\npolicy: {}\n"), @r#"
    1:13: error[ARX-C007]: `arx/v2` is not one of `arx/v1`
    hint: write `arx/v1`
    2:7: error[ARX-C007]: `Workflw` is not one of `Workflow`
    hint: write `Workflow`
    "#);
    assert_snapshot!(diagnose("apiVersion: 1\nkind: [Workflow]\nmetadata: a\npolicy: []\n"), @r#"
    1:13: error[ARX-C006]: expected a string, found the number `1`
    hint: put it in quotes
    2:7: error[ARX-C006]: expected a string, found a list
    3:11: error[ARX-C006]: expected a map, found the string `a`
    4:9: error[ARX-C006]: expected a map, found a list
    "#);
    assert_snapshot!(below_head("policy: { hitl: yes, risk_threshold: 101, rules: {}, limits: x }\n"), @r#"
    4:17: error[ARX-C006]: expected `true` or `false`, found the string `yes`
    hint: write `true`
    4:38: error[ARX-C009]: `101` is out of range: 0 to 100
    4:50: error[ARX-C006]: expected a list, found a map
    4:62: error[ARX-C006]: expected a list, found the string `x`
    hint: write `limits: [x]`
    "#);
    assert_snapshot!(below_head("policy:\n  approvals:\n    escalate_to: ['']\n    escalate_after: { low: 1h, high: 0, critical: soon }\n"), @r#"
    6:19: error[ARX-C008]: `` is neither a person nor a role
    hint: write `alice@example.com` or `role:approver`
    7:23: error[ARX-C003]: `escalate_after` has no key `low`
    hint: one of `medium`, `high`, `critical`
    7:38: error[ARX-C014]: a duration of zero
    7:51: error[ARX-C014]: `soon` is not a duration
    hint: write `90s`, `15m`, `1h30m` or `2d`
    "#);
    assert_snapshot!(below_head("policy: { risk_threshold: '70', approvals: { approvers: role:x, quorum: 0, expires: 0 } }\n"), @r#"
    4:27: error[ARX-C006]: expected a whole number, found the string `70`
    hint: leave out the quotes
    4:57: error[ARX-C006]: expected a list, found the string `role:x`
    hint: write `approvers: [role:x]`
    4:73: error[ARX-C009]: `0` is out of range: 1 to 20
    4:85: error[ARX-C014]: a duration of zero
    "#);
    assert_snapshot!(rule("name: a, effect: permitt, connector: wiz, operation: '*'"), @r#"
    6:26: error[ARX-C007]: `permitt` is not one of `deny`, `permit`, `escalate`
    hint: did you mean `permit`?
    "#);
    assert_snapshot!(rule("name: 1, effect: 2, connector: true, operation: 1.5, when: false"), @r#"
    6:15: error[ARX-C006]: expected a string, found the number `1`
    hint: put it in quotes
    6:26: error[ARX-C006]: expected a string, found the number `2`
    hint: put it in quotes
    6:40: error[ARX-C006]: expected a string, found `true`
    hint: put it in quotes
    6:57: error[ARX-C006]: expected a string, found the number `1.5`
    hint: put it in quotes
    6:68: error[ARX-C006]: expected a string, found `false`
    hint: put it in quotes
    "#);
    assert_snapshot!(below_head("policy: { approvals: { approvers: ['a b', '', 7] } }\n"), @r#"
    4:36: error[ARX-C008]: `a b` is neither a person nor a role
    hint: write `alice@example.com` or `role:approver`
    4:43: error[ARX-C008]: `` is neither a person nor a role
    hint: write `alice@example.com` or `role:approver`
    4:47: error[ARX-C006]: expected a string, found the number `7`
    hint: put it in quotes
    "#);
}

#[test]
fn names() {
    let named = |name: &str| {
        diagnose(&format!(
            "apiVersion: arx/v1\nkind: Workflow\nmetadata: {{ name: {name} }}\npolicy: {{}}\n"
        ))
    };
    assert_snapshot!(named("Critical_Vuln"), @r#"
    3:19: error[ARX-C008]: `Critical_Vuln` is not a name: kebab-case, at most 63 characters
    hint: did you mean `critical-vuln`?
    "#);
    assert_snapshot!(named("a--b"), @r#"
    3:19: error[ARX-C008]: `a--b` is not a name: kebab-case, at most 63 characters
    hint: did you mean `a-b`?
    "#);
    assert_snapshot!(named("'1st'"), @"3:19: error[ARX-C008]: `1st` is not a name: kebab-case, at most 63 characters");
    assert_snapshot!(named(&"a".repeat(64)), @"3:19: error[ARX-C008]: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is not a name: kebab-case, at most 63 characters");
    assert_snapshot!(below_head("policy: {}\nentrypoint: ../other.py\n"), @r#"
    5:13: error[ARX-C008]: `../other.py` is not a Python file beside arx.yaml
    hint: write `workflow.py`
    "#);
    assert_snapshot!(below_head("policy: {}\nentrypoint: workflow.sh\n"), @r#"
    5:13: error[ARX-C008]: `workflow.sh` is not a Python file beside arx.yaml
    hint: write `workflow.py`
    "#);
    assert_snapshot!(diagnose("apiVersion: arx/v1\nkind: Workflow\nmetadata: { name: a, owner: '', time_saved: { per: '', minutes: -1 } }\npolicy: {}\n"), @r#"
    3:29: error[ARX-C008]: `` is not a line of text
    3:52: error[ARX-C008]: `` is not a line of text
    3:65: error[ARX-C009]: `-1` is out of range: 0 to 10080
    "#);
}

#[test]
fn schedules() {
    let schedule = |fields: &str| below_head(&format!("policy: {{}}\nschedule: {{ {fields} }}\n"));
    assert_snapshot!(schedule("cron: '0 25 * * *'"), @r#"
    5:19: error[ARX-C015]: `25` does not fit the field of the hour (0 to 23)
    hint: minute, hour, day of month, month, day of week: `0 */2 * * *`
    "#);
    assert_snapshot!(schedule("timezone: UTC"), @"5:11: error[ARX-C004]: `schedule` lacks the key `cron`");
    assert_snapshot!(schedule("cron: '0 1 * * *', timezone: Europe/Berln"), @r#"
    5:42: error[ARX-C016]: there is no time zone `Europe/Berln`
    hint: did you mean `Europe/Berlin`?
    "#);
    assert_snapshot!(schedule("cron: '0 1 * * *', timezone: '+01'"), @r#"
    5:42: error[ARX-C016]: there is no time zone `+01`
    hint: write an IANA name such as `UTC` or `Europe/Berlin`
    "#);
    assert_snapshot!(schedule("cron: '0 1 * * *', overlap: allow, catch_up: lates"), @r#"
    5:41: error[ARX-C007]: `allow` is not one of `forbid`, `queue`
    5:58: error[ARX-C007]: `lates` is not one of `latest`, `all`, `none`
    hint: did you mean `latest`?
    "#);
    assert_snapshot!(schedule("cron: '0 1 * * *', jitter: 13h"), @"5:40: error[ARX-C009]: `13h` is more than 12 hours");
}

#[test]
fn connectors() {
    assert_snapshot!(connector("  pager_duty: { operations: ['incidents:read'] }\n"), @r#"
    6:3: error[ARX-C010]: there is no connector `pager_duty`
    hint: did you mean `pagerduty`?
    "#);
    assert_snapshot!(connector("  splunk: { operations: ['search:read'] }\n"), @r#"
    6:3: error[ARX-C010]: there is no connector `splunk`
    hint: one of `wiz`, `qualys`, `pagerduty`, `jira`
    "#);
    assert_snapshot!(connector("  wiz: { operations: ['finding:read', 'findings:{read,updaet}', '*:delete'] }\n"), @r#"
    6:23: error[ARX-C011]: `wiz` has no operation `finding:read`
    hint: did you mean `findings:read`?
    6:39: error[ARX-C011]: `wiz` has no operation `findings:updaet`
    hint: did you mean `findings:update`?
    6:65: error[ARX-C011]: `wiz` has no operation that matches `*:delete`
    hint: one of `findings:read`, `findings:update`
    "#);
    assert_snapshot!(connector("  wiz: { operations: findings:read }\n"), @r#"
    6:22: error[ARX-C006]: expected a list, found the string `findings:read`
    hint: write `operations: [findings:read]`
    "#);
    assert_snapshot!(connector("  wiz: { operations: [] }\n"), @r#"
    6:22: error[ARX-C004]: `wiz` is bound without any operation
    hint: name an operation, or leave the connector out
    "#);
    assert_snapshot!(connector("  wiz: { operations: ['findings:[a-z]*', 3] }\n"), @r#"
    6:23: error[ARX-C012]: `findings:[a-z]*` is not a glob: `[` cannot be part of a name
    hint: a glob is made of names, `*` and `{a,b}`
    6:42: error[ARX-C006]: expected a string, found the number `3`
    hint: put it in quotes
    "#);
    assert_snapshot!(connector("  wiz: { optional: true }\n"), @"6:8: error[ARX-C004]: `connectors.wiz` lacks the key `operations`");
    assert_snapshot!(connector("  wiz: { operations: ['*'] }\n  wiz: { operations: ['*'] }\n"), @"7:3: error[ARX-C005]: the key `wiz` comes twice");
    assert_snapshot!(connector("  wiz: { operations: ['*'], settings: { a: [1], b: null, c: 1, c: 2 } }\n"), @r#"
    6:44: error[ARX-C006]: expected a text, a number or a boolean, found a list
    6:52: error[ARX-C006]: expected a text, a number or a boolean, found nothing
    6:64: error[ARX-C005]: the key `c` comes twice
    "#);
    assert_snapshot!(connector("  - wiz\n"), @"6:3: error[ARX-C006]: expected a map, found a list");
}

#[test]
fn durations_and_rates() {
    let wiz = |field: &str| connector(&format!("  wiz: {{ operations: ['*'], {field} }}\n"));
    assert_snapshot!(wiz("settle_for: 90"), @r#"
    6:41: error[ARX-C014]: `90` is not a duration
    hint: give it a unit: `90s`, `90m`
    "#);
    assert_snapshot!(wiz("settle_for: 1.5h"), @r#"
    6:41: error[ARX-C014]: `1.5h` is not a duration
    hint: write `90s`, `15m`, `1h30m` or `2d`
    "#);
    assert_snapshot!(wiz("settle_for: 400d"), @r#"
    6:41: error[ARX-C014]: `400d` is longer than 366 days
    hint: write `90s`, `15m`, `1h30m` or `2d`
    "#);
    assert_snapshot!(wiz("settle_for: [1h]"), @"6:41: error[ARX-C006]: expected a duration, found a list");
    assert_snapshot!(wiz("rate: fast"), @r#"
    6:35: error[ARX-C017]: `fast` is not a rate
    hint: write `960/1m` or `{ requests: 960, per: 1m }`
    "#);
    assert_snapshot!(wiz("rate: 0/1m"), @r#"
    6:35: error[ARX-C017]: `0/1m` is not a rate
    hint: write `960/1m` or `{ requests: 960, per: 1m }`
    "#);
    assert_snapshot!(wiz("rate: 10/0s"), @r#"
    6:35: error[ARX-C017]: `10/0s` is not a rate
    hint: write `960/1m` or `{ requests: 960, per: 1m }`
    "#);
    assert_snapshot!(wiz("rate: 10"), @r#"
    6:35: error[ARX-C017]: expected a rate, found the number `10`
    hint: write `960/1m` or `{ requests: 960, per: 1m }`
    "#);
    assert_snapshot!(wiz("rate: { per: 1m }"), @r#"
    6:35: error[ARX-C004]: `rate` lacks the key `requests`
    hint: write `960/1m` or `{ requests: 960, per: 1m }`
    "#);
    assert_snapshot!(wiz("rate: { requests: 0, per: 0 }"), @r#"
    6:47: error[ARX-C009]: `0` is out of range: 1 to 4294967295
    6:55: error[ARX-C014]: a duration of zero
    "#);
    assert_snapshot!(wiz("rate: { requests: 1, max: 1, per: 1s, burst: 2 }"), @r#"
    6:55: error[ARX-C017]: `max` and `requests` say the same
    hint: write `960/1m` or `{ requests: 960, per: 1m }`
    6:67: error[ARX-C003]: `rate` has no key `burst`
    hint: one of `requests`, `max`, `per`
    "#);
}

#[test]
fn rules() {
    assert_snapshot!(rule("name: a, effect: permit, connector: wizz, operation: 'findings:read'"), @r#"
    6:45: error[ARX-C010]: there is no connector `wizz`
    hint: did you mean `wiz`?
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: '{wiz,qalys}', operation: 'findings:read'"), @r#"
    6:45: error[ARX-C010]: there is no connector `qalys`
    hint: did you mean `qualys`?
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: wiz, operation: 'scans:read'"), @r#"
    6:61: error[ARX-C011]: `wiz` has no operation `scans:read`
    hint: one of `findings:read`, `findings:update`
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: '*', operation: 'incident:read'"), @r#"
    6:61: error[ARX-C011]: the rule's connectors have no operation `incident:read`
    hint: did you mean `incidents:read`?
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: '{wiz', operation: 'x y'"), @r#"
    6:45: error[ARX-C012]: `{wiz` is not a glob: `{` without `}`
    hint: a glob is made of names, `*` and `{a,b}`
    6:64: error[ARX-C012]: `x y` is not a glob: ` ` cannot be part of a name
    hint: a glob is made of names, `*` and `{a,b}`
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: wiz, operation: '*', when: 'operation.verb = 1'"), @r#"
    6:72: error[ARX-C013]: the condition does not parse: token recognition error at: '= ' (column 16 of the condition)
    hint: a condition is a CEL expression such as `target == 'production'`
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: wiz, operation: '*', when: 'parms.x'"), @r#"
    6:72: error[ARX-C013]: the condition uses the unknown variable `parms`
    hint: did you mean `params`?
    "#);
    assert_snapshot!(rule("name: a, effect: permit, connector: wiz, operation: '*', when: 'target.startWith(\"p\")'"), @r#"
    6:72: error[ARX-C013]: the condition uses the unknown function `startWith`
    hint: did you mean `startsWith`?
    "#);
    assert_snapshot!(rule("name: ' ', effect: permit, connector: wiz, operation: '*'"), @"6:15: error[ARX-C008]: a rule needs a printable name of at most 100 bytes");
    let twice = "- { name: a, effect: deny, connector: '*', operation: '*' }\n";
    // A rule that does not decode must not shift the place of those after it.
    assert_snapshot!(below_head(&format!("policy:\n  rules:\n  - 7\n  {twice}  - {{}}\n  {twice}")), @r#"
    6:5: error[ARX-C006]: expected a map, found the number `7`
    8:5: error[ARX-C004]: a rule lacks the key `name`
    8:5: error[ARX-C004]: a rule lacks the key `effect`
    8:5: error[ARX-C004]: a rule lacks the key `connector`
    8:5: error[ARX-C004]: a rule lacks the key `operation`
    9:13: error[ARX-C018]: there is another rule named `a`
    hint: decisions are recorded under the rule's name; give each its own
    "#);
    // A deny rule may well speak of what no connector offers yet.
    assert_snapshot!(rule("name: a, effect: deny, connector: '*', operation: '*:{destroy,wipe}'"), @"nothing wrong");
}

#[test]
fn limits() {
    assert_snapshot!(limit("operation: 'pagerduty.incident:create', max: 5, per: 1h, beyond: deny"), @r#"
    6:20: error[ARX-C011]: there is no operation `pagerduty.incident:create`
    hint: did you mean `pagerduty.incidents:create`?
    "#);
    assert_snapshot!(limit("operation: 'incidents:create', max: 5, per: 1h, beyond: deny"), @r#"
    6:20: error[ARX-C011]: there is no operation `incidents:create`
    hint: write `connector.operation`, e.g. `pagerduty.incidents:create`
    "#);
    assert_snapshot!(limit("operation: 'wiz.findings:read', max: 5, per: 1h, beyond: deny"), @r#"
    6:20: error[ARX-C019]: `wiz.findings:read` matches no write, and limits count writes
    hint: reads are bounded by the vendor's rate budget
    "#);
    assert_snapshot!(limit("operation: '*:delete', max: -1, per: 0, beyond: ask"), @r#"
    6:37: error[ARX-C009]: `-1` is out of range: 0 to 4294967295
    6:57: error[ARX-C007]: `ask` is not one of `escalate`, `deny`
    "#);
    assert_snapshot!(limit("operation: '*:delete', max: 1, per: 0, beyond: deny"), @r#"
    6:20: error[ARX-C019]: `*:delete` matches no write, and limits count writes
    hint: reads are bounded by the vendor's rate budget
    6:45: error[ARX-C014]: a duration of zero
    "#);
    assert_snapshot!(limit(r#"operation: "a,\nb", max: 1, per: 1h, beyond: deny"#), @r"
    6:20: error[ARX-C012]: `a,�b` is not a glob: `,` outside of `{…}`
    hint: a glob is made of names, `*` and `{a,b}`
    ");
    assert_snapshot!(limit("operation: 'jira .*', max: 1, per: 1h, beyond: deny"), @r#"
    6:20: error[ARX-C012]: `jira .*` is not a glob: ` ` cannot be part of a name
    hint: a glob is made of names, `*` and `{a,b}`
    "#);
}

#[test]
fn inputs_that_contradict_themselves() {
    assert_snapshot!(inputs("Min-CVSS: 1\n_x: 2"), @r#"
    6:3: error[ARX-C008]: `Min-CVSS` is not the name of an input: snake_case
    hint: did you mean `min_cvss`?
    7:3: error[ARX-C008]: `_x` is not the name of an input: snake_case
    hint: did you mean `x`?
    "#);
    assert_snapshot!(inputs("a: 1\na: 2\nb: { c: 1, c: 2 }"), @r#"
    7:3: error[ARX-C005]: the key `a` comes twice
    8:14: error[ARX-C005]: the key `c` comes twice
    "#);
    assert_snapshot!(inputs("a: { type: int }"), @r#"
    6:6: error[ARX-C020]: an input needs a default
    hint: add `default: …`, or `nullable: true` for one that may stay empty
    "#);
    assert_snapshot!(inputs("a: { type: int, default: x }"), @"6:28: error[ARX-C020]: expected a whole number, found the string `x`");
    assert_snapshot!(inputs("a: { type: int, default: 5, max: 4 }"), @"6:28: error[ARX-C020]: `5` is out of range: at most 4");
    assert_snapshot!(inputs("a: { type: int, default: 5, min: 5, max: 4 }"), @"6:6: error[ARX-C020]: no number is at least 5 and at most 4");
    assert_snapshot!(inputs("a: { type: string, default: x, min: 1 }"), @r#"
    6:39: error[ARX-C020]: `min` bounds numbers, and this input is a string
    hint: types with `min`: `int`, `float`, `list`
    "#);
    assert_snapshot!(inputs("a: { type: string, default: x, values: [y, 3] }"), @r#"
    6:31: error[ARX-C020]: the string `x` is not one of "y"
    6:46: error[ARX-C020]: expected a string, found the number `3`
    "#);
    assert_snapshot!(inputs("a: { type: string, default: null, nullable: false }"), @"6:31: error[ARX-C020]: expected a string, found nothing");
    assert_snapshot!(inputs("a: { type: string, default: x, nulable: true }"), @r#"
    6:34: error[ARX-C003]: the declaration of an input has no key `nulable`
    hint: did you mean `nullable`?
    "#);
    assert_snapshot!(diagnose(&format!("{HEAD}policy: {{}}\ninputs: [a]\n")), @"5:9: error[ARX-C006]: expected a map, found a list");
}

#[test]
fn all_mistakes_come_at_once_in_the_order_of_the_text() {
    let text = r#"apiVersion: arx/v1
kind: Workflow
metadata: { name: Vuln, ownr: me }
connectors:
  wizz: { operations: ["findings:read"] }
  jira: { operations: ["issues:crate"], settle_for: 5 }
policy:
  rules:
    - { name: a, effect: allow, connector: jira, operation: "issues:*" }
    - { name: b, effect: deny, connector: jira, operation: "issues:*", when: "1 +" }
inputs:
  a: { type: int, default: b }
schedual: {}
"#;
    assert_snapshot!(diagnose(text), @r#"
    3:19: error[ARX-C008]: `Vuln` is not a name: kebab-case, at most 63 characters
    hint: did you mean `vuln`?
    3:25: error[ARX-C003]: `metadata` has no key `ownr`
    hint: did you mean `owner`?
    5:3: error[ARX-C010]: there is no connector `wizz`
    hint: did you mean `wiz`?
    6:24: error[ARX-C011]: `jira` has no operation `issues:crate`
    hint: did you mean `issues:create`?
    6:53: error[ARX-C014]: `5` is not a duration
    hint: give it a unit: `5s`, `5m`
    9:26: error[ARX-C007]: `allow` is not one of `deny`, `permit`, `escalate`
    10:78: error[ARX-C013]: the condition does not parse: mismatched input '<EOF>' (column 4 of the condition)
    hint: a condition is a CEL expression such as `target == 'production'`
    12:28: error[ARX-C020]: expected a whole number, found the string `b`
    13:1: error[ARX-C003]: arx.yaml has no key `schedual`
    hint: did you mean `schedule`?
    "#);
}

#[test]
fn the_list_of_mistakes_ends() {
    let lines: String = (0..500).map(|i| format!("k{i}: 1\n")).collect();
    assert_eq!(diagnose(&lines).matches("error[").count(), 100);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let text = format!("{HEAD}policy: {{}}\n\"\\e[31mred\\n\": 1\n");
    let shown = diagnose(&text);
    assert!(shown.contains("[31mred") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn every_code_is_explained_in_the_specification() {
    let page = include_str!("../../../../../docs/spec/arx-yaml.md");
    for code in Code::ALL {
        assert!(page.contains(&format!("| `{code}` |")), "{code} is not in docs/spec/arx-yaml.md");
    }
}
