//! Doors for the fuzzer: a page of findings, a refusal, the parameters of a read.

use arx_types::{FindingSink, Severity};
use serde_json::Value;

use super::refusal::Refusal;
use super::wire::{self, FIELD_SETS, Next, NoPage, Wanted};
use crate::fuzzing::{check_refusal, check_words, reply};

/// Reads a body as a page, as `findings:read` does, and hands its findings on.
pub fn page(body: &[u8], sink: &dyn FindingSink) {
    for severities in [vec![Severity::Critical], vec![Severity::Medium, Severity::Informational]] {
        let wanted = Wanted { severities, project_ids: Vec::new(), page_size: 500 };
        read(body, &wanted, sink);
    }
    let _ = wire::peek_next(body);
}

fn read(body: &[u8], wanted: &Wanted, sink: &dyn FindingSink) {
    let text = String::from_utf8_lossy(body);
    let page = match wire::decode(&text, wanted) {
        Ok(page) => page,
        Err(NoPage::Errors(errors)) => {
            assert!(wire::has_errors(&errors), "refused for errors that are none");
            let refusal = Refusal::of(200, &errors, &reply(200, body));
            check_words(&refusal.message);
            return;
        }
        Err(NoPage::Malformed(message)) => {
            check_refusal(&message);
            return;
        }
    };

    // The same text, read by someone who knows nothing of pages.
    // He may be stricter with what nobody asked for.
    let Ok(whole) = serde_json::from_str::<Value>(&text) else { return };
    let errors = whole.get("errors").unwrap_or(&Value::Null);
    assert!(!wire::has_errors(errors), "data beside errors was taken for a page");
    let connection = whole.pointer("/data/vulnerabilityFindings").unwrap_or(&Value::Null);
    let has_next = connection.pointer("/pageInfo/hasNextPage");
    let is_last = match has_next {
        Some(Value::Bool(more)) => !more,
        Some(Value::String(word)) => !word.eq_ignore_ascii_case("true"),
        _ => true,
    };
    assert!(page.next != Next::End || is_last, "the end of the list, although there is more");
    let n_nodes = match connection.get("nodes") {
        Some(Value::Array(nodes)) => nodes.iter().filter(|node| node.is_object()).count(),
        Some(Value::Object(_)) => 1,
        _ => 0,
    };
    assert!(page.findings.len() <= n_nodes, "findings out of nothing");

    for finding in &page.findings {
        assert!(wanted.severities.contains(&finding.severity), "not asked for: {finding:?}");
        assert!(!finding.id.is_empty(), "a finding without id");
        assert!(!finding.asset.id.is_empty(), "an asset without id");
        assert!(!finding.asset.name.is_empty(), "an asset without name");
        assert_eq!(finding.vulnerabilities.len(), 1, "one row is one vulnerability");
        assert!(finding.vulnerabilities.iter().all(|name| !name.is_empty()), "a nameless one");
        assert!(finding.cvss_tenths.is_none_or(|score| score <= 100), "{finding:?}");
        assert!(finding.epss_millionths.is_none_or(|score| score <= 1_000_000), "{finding:?}");
        assert!(finding.asset.business_impact <= 3, "{finding:?}");
    }
    let _ = sink.accept(&page.findings);
}

/// Checks parameters; what is taken makes a request that holds what was asked for.
pub fn parameters(params: &Value) -> Result<(), String> {
    let wanted = Wanted::from_params(params)?;
    assert!(!wanted.severities.is_empty(), "a read that asks for nothing");
    assert!(!wanted.severities.contains(&Severity::None), "a severity that nothing has");
    assert!((1..=500).contains(&wanted.page_size), "{wanted:?}");
    for fields in FIELD_SETS {
        let query = wanted.query(fields, Some("cursor"));
        let filter = query.pointer("/variables/filterBy/severity").and_then(Value::as_array);
        assert_eq!(filter.map(Vec::len), Some(wanted.severities.len()), "{query}");
    }
    Ok(())
}
