//! Descriptions in both forms: what they look like, what they never hold, how long they get.

use proptest::prelude::*;

use super::*;
use crate::jira::document::{adf, sections, wiki};
use crate::text::units;

fn markup(value: Value) -> String {
    wiki(&sections(Some(&value)).unwrap(), DESCRIPTION_UNITS_MAX).unwrap_or_default()
}

#[test]
fn wiki_markup_is_escaped() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(markup(json!(text)), expected);
    }
    check("CVE-2026-0001 in open_ssl+x", "CVE-2026-0001 in open_ssl+x");
    check("{code}rm -rf{code}", r"\{code\}rm \-rf\{code\}");
    check("[~admin] !http://x/y.png! *b*", r"\[\~admin\] \!http://x/y.png\! \*b\*");
    check("# one", r"\# one");
    check("- one", r"\- one");
    check("h1. one", "h1&#8203;. one");
    check("bq. one", "bq&#8203;. one");
    check(r"C:\temp\x", "C:&#92;temp&#92;x");
    check("a|b ??c??", r"a\|b \?\?c\?\?");
}

#[test]
fn wiki_links_stay_links() {
    let link = |url: &str, title: &str| markup(json!([{"link": {"url": url, "title": title}}]));
    assert_eq!(link("https://x.example/a|b]", "t|u]"), r"[t\|u\]|https://x.example/a%7Cb%5D]");
    assert_eq!(link("javascript:alert(1)", "click"), "click");
}

#[test]
fn a_line_that_is_an_address_leads_there() {
    #[track_caller]
    fn check(line: &str, wiki: &str, href: Option<&str>) {
        assert_eq!(markup(json!([{ "bullets": [line] }])), wiki);
        let read = sections(Some(&json!(line))).unwrap();
        let document = adf(&read, DESCRIPTION_UNITS_MAX).unwrap();
        let text = &document["content"][0]["content"][0];
        assert_eq!(text["marks"][0]["attrs"]["href"].as_str(), href);
    }
    let address = "https://app.wiz.io/issues?x=_1#a-b";
    check(address, &format!("* [{address}]"), Some(address));
    check("see https://x.example/", "* see https://x.example/", None);
    check("javascript:alert(1)", "* javascript:alert(1)", None);
}

#[test]
fn a_document_holds_text_and_no_markup() {
    let value = json!([
        {"heading": " ", "text": "\n\n", "bullets": ["", " "], "link": {"url": "", "title": ""}},
        {"heading": "{\"type\":\"x\"}", "bullets": ["a\nb"]},
        {"link": {"url": "ftp://x", "title": "not of the web"}},
    ]);
    let document = adf(&sections(Some(&value)).unwrap(), DESCRIPTION_UNITS_MAX).unwrap();
    insta::assert_snapshot!(pretty(&document), @r#"
    {
      "type": "doc",
      "version": 1,
      "content": [
        {
          "type": "heading",
          "attrs": {
            "level": 3
          },
          "content": [
            {
              "type": "text",
              "text": "{\"type\":\"x\"}"
            }
          ]
        },
        {
          "type": "bulletList",
          "content": [
            {
              "type": "listItem",
              "content": [
                {
                  "type": "paragraph",
                  "content": [
                    {
                      "type": "text",
                      "text": "a b"
                    }
                  ]
                }
              ]
            }
          ]
        },
        {
          "type": "paragraph",
          "content": [
            {
              "type": "text",
              "text": "not of the web"
            }
          ]
        }
      ]
    }
    "#);
    assert_eq!(adf(&sections(Some(&json!(" \n "))).unwrap(), DESCRIPTION_UNITS_MAX), None);
    assert_eq!(adf(&[], DESCRIPTION_UNITS_MAX), None);
    assert_eq!(wiki(&[], DESCRIPTION_UNITS_MAX), None);
}

#[test]
fn bullets_are_left_out_first() {
    let bullets: Vec<String> = (0..5_000).map(|n| format!("asset-{n}.prod.example")).collect();
    let value = json!([{"heading": "Assets", "text": "All of them.", "bullets": bullets}]);
    let read = sections(Some(&value)).unwrap();
    let document = adf(&read, DESCRIPTION_UNITS_MAX).unwrap();
    let size = units(&document.to_string());
    assert!((DESCRIPTION_UNITS_MAX - 300..=DESCRIPTION_UNITS_MAX).contains(&size), "{size}");
    let items = document["content"][2]["content"].as_array().unwrap();
    let last = items.last().unwrap()["content"][0]["content"][0]["text"].as_str().unwrap();
    assert_eq!(last, format!("… and {} more", 5_000 - (items.len() - 1)));
    let markup = wiki(&read, DESCRIPTION_UNITS_MAX).unwrap();
    assert!(markup.starts_with("h3. Assets\n\nAll of them.\n\n* asset"));
    assert!(units(&markup) <= DESCRIPTION_UNITS_MAX);
    assert!(markup.ends_with("… and 4000 more"), "a bullet list has a limit of its own");
}

fn section() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![8 => any::<String>(), 8 => "[a-z{}\\[\\]\\\\*\n ]{0,40}", 1 => Just("é🔥".repeat(3_000))];
    (text(), text(), prop::collection::vec(text(), 0..12), text()).prop_map(
        |(heading, text, bullets, title)| {
            json!({"heading": heading, "text": text, "bullets": bullets,
                "link": {"url": "https://x.example/", "title": title}})
        },
    )
}

/// Every text node of a document.
fn texts(node: &Value, found: &mut Vec<String>) {
    if node["type"] == "text" {
        found.push(node["text"].as_str().unwrap_or_default().to_owned());
    }
    for child in node["content"].as_array().into_iter().flatten() {
        texts(child, found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_description_is_bounded(parts in prop::collection::vec(section(), 0..24), units_max in 500_usize..=32_767) {
        let read = sections(Some(&json!(parts))).unwrap();
        if let Some(document) = adf(&read, units_max) {
            prop_assert!(units(&document.to_string()) <= units_max);
            let mut found = Vec::new();
            texts(&document, &mut found);
            prop_assert!(!found.is_empty());
            prop_assert!(found.iter().all(|text| !text.trim().is_empty()));
            prop_assert!(!found.iter().any(|text| text.contains(char::is_control)));
        } else {
            prop_assert!(parts.is_empty());
        }
        if let Some(markup) = wiki(&read, units_max) {
            prop_assert!(!markup.is_empty() && units(&markup) <= units_max);
        }
    }

    #[test]
    fn any_text_makes_a_bounded_create(summary in any::<String>(), labels in prop::collection::vec(any::<String>(), 0..8)) {
        let params = json!({"summary": summary, "labels": labels});
        let Ok(draft) = draft(params, &screen(&[]), Deployment::Cloud) else {
            prop_assert!(summary.split(|c: char| c.is_whitespace() || c.is_control()).all(str::is_empty));
            return Ok(());
        };
        let body = draft.body();
        let summary = body["fields"]["summary"].as_str().unwrap();
        prop_assert!((1..=255).contains(&units(summary)) && !summary.contains(char::is_control));
        for label in body["fields"]["labels"].as_array().unwrap() {
            let label = label.as_str().unwrap();
            prop_assert!((1..=255).contains(&units(label)));
            prop_assert!(!label.contains(|c: char| c.is_whitespace() || c.is_control()));
        }
    }
}
