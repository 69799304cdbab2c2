//! What a run prints and what it leaves, in both languages: people's and JSON.

use insta::assert_snapshot;
use serde_json::Value;

use crate::home::{Home, SMALL, Simulators, WORKFLOW};

#[test]
fn a_second_run_pages_nobody() {
    let home = Home::new();
    let first = home.arx(&["run", WORKFLOW, "--simulate", "--json"]).code(0).json();
    assert_eq!(first["status"], "succeeded");
    assert_eq!(first["workflow"], WORKFLOW);
    assert!(first["run_id"].as_str().unwrap().starts_with("run_"));
    assert!(first["findings_read"].as_u64().unwrap() > 100);
    let paged = first["counts"]["paged"].as_u64().unwrap();
    assert!(paged > 10 && first["merged"].as_u64().unwrap() >= paged, "{first:#}");
    assert_eq!(first["counts"]["ticketed"], paged);
    assert_eq!(first["items"].as_array().unwrap().len() as u64, paged);
    assert_eq!(first["time_saved_minutes"], 30 * paged);
    assert!(first["audit"]["leaves"].as_u64().unwrap() > 4 * paged);
    let checkpoint = first["audit"]["checkpoint"].as_str().unwrap();
    assert!(checkpoint.contains(first["audit"]["root"].as_str().unwrap()));

    let second = home.arx(&["run", WORKFLOW, "--simulate", "--json"]).code(0).json();
    assert_eq!(second["counts"]["paged"], 0);
    assert_eq!(second["counts"]["ticketed"], 0);
    assert_eq!(second["counts"]["already_open"], paged);
    assert_eq!(second["findings_read"], first["findings_read"]);
    assert_eq!(home.runs().len(), 2);
}

#[test]
fn a_summary_reads_well() {
    let home = Home::new();
    let run = home.arx(&["run", WORKFLOW, &format!("--simulate={SMALL}")]).code(0);
    let state = home.state().canonicalize().unwrap().display().to_string();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"run_[0-9A-Z]{26}", "run_R");
    settings.add_filter(r"\d+\.\d s ·", "0.0 s ·");
    settings.add_filter(r"checkpoint root [A-Za-z0-9+/=]{44}", "checkpoint root ROOT");
    settings.add_filter(r"SEC-\d", "SEC-N");
    settings.add_filter(r"\d+ leaves", "N leaves");
    settings.add_filter(r"(  arx .*\S) {3,}(\S.*)", "$1  $2");
    settings.add_filter(SMALL, "SMALL");
    settings.add_filter(&regex_of(&state), "STATE");
    settings.add_filter(&regex_of(&home.state().display().to_string()), "STATE");
    settings.bind(|| {
        assert_snapshot!(run.stdout, @r"
        critical-vuln-escalation  succeeded  0.0 s · simulate SMALL

          findings read            12   qualys 0 · wiz 12
          vulnerabilities           3   merged by CVE

          paged                     3   one P1 incident each
          ticketed                  3   one blocker each
          already open              0   paged in an earlier run
          grouped                   0   named together in one P1 incident
          below threshold           0
          failed                    0

          time saved        1 h 30 min

          new
          CVE-2099-00001  Generated vulnerability number 1 in libexample-0              SEC-N     paged, ticketed
          CVE-2099-00002  Generated vulnerability number 2 in libexample-1              SEC-N     paged, ticketed
          CVE-2099-00003  Generated vulnerability number 3 in libexample-2              SEC-N     paged, ticketed

          audit log         N leaves · checkpoint root ROOT
          record            STATE/arx.db
          run               run_R

          next
          arx runs show run_R  every step, decision and effect
          arx audit verify  re-derives the whole record
          arx audit export --run run_R -o evidence.json  evidence for an auditor
        ");
    });
}

fn regex_of(text: &str) -> String {
    text.replace('.', "\\.")
}

#[test]
fn a_dry_run_sends_no_write() {
    let simulators = Simulators::new(SMALL, "");
    let home = Home::at(&simulators);
    let report = home.arx(&["run", WORKFLOW, "--dry-run", "--json"]).code(0).json();
    assert_eq!(report["dry_run"], true);
    assert_eq!(report["time_saved_minutes"], 0);
    assert!(simulators.writes().is_empty(), "{:?}", simulators.writes());
    // What was only tried is not taken for done.
    let report = home.arx(&["run", WORKFLOW, "--json"]).code(0).json();
    assert_eq!(report["counts"]["paged"], 3, "{report:#}");
    simulators.happened_once(6);
}

#[test]
fn a_run_is_shown_from_its_record() {
    let home = Home::new();
    let simulate = format!("--simulate={SMALL}");
    let report = home.arx(&["run", WORKFLOW, &simulate, "--json"]).code(0).json();
    let run = report["run_id"].as_str().unwrap();

    let shown = home.arx(&["runs", "show", run, "--json"]).code(0).json();
    assert_eq!(shown["run"]["status"], "succeeded");
    assert_eq!(shown["run"]["actor"], "tester");
    assert_eq!(shown["effects"].as_array().unwrap().len(), 6);
    let kinds = |kind: &str| {
        shown["timeline"].as_array().unwrap().iter().filter(|leaf| leaf["kind"] == kind).count()
    };
    assert_eq!((kinds("intent"), kinds("merge")), (6, 1));

    let people = home.arx(&["runs", "show", run]).code(0).stdout;
    assert!(people.contains("PERMIT"), "{people}");
    assert!(people.contains("pagerduty.incidents:create"), "{people}");

    let name = report["items"][0]["id"].as_str().unwrap();
    let args = ["runs", "show", run, "--vulnerability", name, "--json"];
    let traced = home.arx(&args).code(0).json();
    assert_eq!(traced["vulnerability"], name);
    assert_eq!(traced["lineage_holds"], true);
    assert!(!traced["findings"].as_array().unwrap().is_empty());
    assert_eq!(traced["effects"].as_array().unwrap().len(), 2, "{traced:#}");
    let text = home.arx(&["runs", "show", run, "--vulnerability", name]).code(0).stdout;
    assert!(text.contains("hash to what the merge committed to"), "{text}");

    home.arx(&["runs", "show", run, "--vulnerability", "CVE-1999-0001"])
        .code(1)
        .says("no merge of");
    home.arx(&["runs", "show", "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"]).code(1).says("there is no run");
    home.arx(&["runs", "show", "nonsense"]).code(2).says("is not a run id");
}

#[test]
fn nothing_on_a_pipe_is_coloured_unless_asked() {
    let home = Home::new();
    let simulate = format!("--simulate={SMALL}");
    let plain = home.arx(&["run", WORKFLOW, &simulate]).code(0);
    assert!(!plain.stdout.contains('\u{1b}') && !plain.stderr.contains('\u{1b}'));
    let coloured = home.arx(&["run", WORKFLOW, &simulate, "--color", "always"]).code(0);
    assert!(coloured.stdout.contains("\u{1b}[32m"));
}

#[test]
fn what_a_workflow_says_cannot_move_the_cursor() {
    let home = Home::new();
    let log = "async def main():\n    arx.log(\"\\x1b[2Jcleared\\x9b1m\")\n";
    let bundle = home.bundle(&[("async def main():\n", log)]);
    let simulate = format!("--simulate={SMALL}");
    let run = home.arx(&["run", &bundle, &simulate]).code(0).says("\\u{1b}[2Jcleared\\u{9b}1m");
    assert!(!run.stderr.contains('\u{1b}') && !run.stdout.contains('\u{1b}'));
}

#[test]
fn help_teaches() {
    let home = Home::new();
    let help = home.arx(&["--help"]).code(0).stdout;
    for word in ["run", "runs", "approvals", "audit", "doctor", "sim", "--state-dir"] {
        assert!(help.contains(word), "no `{word}` in:\n{help}");
    }
    let help = home.arx(&["run", "--help"]).code(0).stdout;
    assert!(help.contains("critical-vuln-escalation --simulate"), "{help}");
    home.arx(&[]).code(2);
    home.arx(&["rum"]).code(2).says("run");
}

#[test]
fn a_workflow_is_found_by_path_and_by_name() {
    let home = Home::new();
    let simulate = format!("--simulate={SMALL}");
    let bundle = home.bundle(&[]);
    let check = |what: &str| {
        let report = home.arx(&["run", what, &simulate, "--dry-run", "--json"]).code(0).json();
        let Value::String(version) = &report["version"] else { panic!("{report:#}") };
        version.clone()
    };
    let by_name = check(WORKFLOW);
    assert_eq!(check(&bundle), by_name);
    assert_eq!(check("bundle"), by_name);
    assert_eq!(check("bundle/workflow.py"), by_name);
    assert_eq!(check("bundle/arx.yaml"), by_name);
    // A directory that has the name of a library workflow wins over it.
    std::fs::rename(&bundle, home.path().join(WORKFLOW)).unwrap();
    std::fs::write(home.path().join(WORKFLOW).join("arx.yaml"), "nonsense").unwrap();
    home.arx(&["run", WORKFLOW, &simulate]).code(2).says("arx.yaml:1:1");

    home.arx(&["run", "./nowhere"]).code(2).says("there is no `./nowhere`");
    home.arx(&["run", "no-such-workflow"]).code(2).says("critical-vuln-escalation");
    std::fs::write(home.path().join("alone.py"), "").unwrap();
    home.arx(&["run", "alone.py"]).code(2).says("there is no `arx.yaml` beside");
}
