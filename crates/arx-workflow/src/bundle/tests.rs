mod accepted;
mod crons;
mod overrides;
mod properties;
mod refused;
mod schemas;

use arx_types::{Access, OperationSpec, RiskClass};

use super::Manifest;

const fn read(name: &'static str) -> OperationSpec {
    operation(name, RiskClass::Low, Access::Read)
}

const fn write(name: &'static str) -> OperationSpec {
    operation(name, RiskClass::Medium, Access::Write)
}

const fn operation(name: &'static str, class: RiskClass, access: Access) -> OperationSpec {
    OperationSpec { name, class, access, targeted: false, implemented: true, summary: "For tests." }
}

const WIZ: [OperationSpec; 2] = [read("findings:read"), write("findings:update")];
const QUALYS: [OperationSpec; 3] =
    [read("findings:read"), read("scans:read"), write("scans:execute")];
const PAGERDUTY: [OperationSpec; 2] = [read("incidents:read"), write("incidents:create")];
const JIRA: [OperationSpec; 2] = [read("issues:read"), write("issues:create")];

pub(super) const CATALOGUE: [(&str, &[OperationSpec]); 4] =
    [("wiz", &WIZ), ("qualys", &QUALYS), ("pagerduty", &PAGERDUTY), ("jira", &JIRA)];

/// What the smallest bundle needs, to be followed by what a test is about.
pub(super) const HEAD: &str = "\
apiVersion: arx/v1
kind: Workflow
metadata: { name: small }
";

/// The lines that a person sees, without the `arx.yaml:` in front of each.
pub(super) fn diagnose(text: &str) -> String {
    match super::parse("arx.yaml", text, &CATALOGUE) {
        Ok(_) => "nothing wrong".to_owned(),
        Err(diagnostics) => {
            let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            lines.join("\n").replace("arx.yaml:", "")
        }
    }
}

#[track_caller]
pub(super) fn parsed(text: &str) -> Manifest {
    super::parse("arx.yaml", text, &CATALOGUE).unwrap_or_else(|_| panic!("{}", diagnose(text)))
}

/// A bundle with these inputs, given as the lines below `inputs:`.
#[track_caller]
pub(super) fn with_inputs(inputs: &str) -> Manifest {
    parsed(&inputs_text(inputs))
}

pub(super) fn inputs_text(inputs: &str) -> String {
    let lines: String = inputs.lines().map(|line| format!("  {line}\n")).collect();
    format!("{HEAD}policy: {{}}\ninputs:\n{lines}")
}
