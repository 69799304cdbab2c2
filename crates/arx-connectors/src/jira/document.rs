//! Descriptions: headings, texts, bullets and links, as an Atlassian document or as wiki markup.
//!
//! What goes in quotes scanners and people, so none of it is markup: in a document it is text
//! nodes, in wiki markup every character that could begin markup is escaped. What comes out is
//! never longer than the vendor takes and never holds an empty text node, which the vendor
//! refuses.

use serde_json::{Value, json};
use url::Url;

use crate::params::{Params, kind};
use crate::text;

/// Longest description in the vendor's count. A document is counted as its JSON text, which is
/// more than any count of its words.
pub(super) const DESCRIPTION_UNITS_MAX: usize = 32_767;
/// Most sections of one description.
const SECTIONS_MAX: usize = 100;
/// Most bullets of one section.
const BULLETS_MAX: usize = 1_000;
/// Longest text of one section.
const TEXT_UNITS_MAX: usize = 16_000;
/// Longest bullet, heading or title of a link.
const LINE_UNITS_MAX: usize = 500;
/// Longest address of a link.
const URL_BYTES_MAX: usize = 2_000;
/// Level of the headings.
const HEADING_LEVEL: u8 = 3;

/// One section of a description.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Section {
    heading: Option<String>,
    text: Option<String>,
    bullets: Vec<String>,
    link: Option<Link>,
}

/// A link that a person can follow.
#[derive(Clone, Debug, PartialEq)]
struct Link {
    title: String,
    /// `None` for an address that is not one of the web: its text is shown, and leads nowhere.
    url: Option<String>,
}

/// How much of the sections is written.
#[derive(Clone, Copy, Debug)]
struct Limits {
    sections: usize,
    bullets: usize,
    text_units: usize,
}

/// Reads the parameter `description`: a text, or a list of sections.
pub(super) fn sections(value: Option<&Value>) -> Result<Vec<Section>, String> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => {
            Ok(vec![Section { text: Some(text.clone()), ..Section::default() }])
        }
        Some(Value::Array(items)) => items.iter().map(section).collect(),
        Some(other) => Err(format!(
            "`description` is {}; write a text or a list of sections with `heading`, `text`, \
             `bullets`, `link`",
            kind(other)
        )),
    }
}

fn section(value: &Value) -> Result<Section, String> {
    if let Value::String(text) = value {
        return Ok(Section { text: Some(text.clone()), ..Section::default() });
    }
    let mut params = Params::within("description", value)?;
    let section = Section {
        heading: params.string("heading")?,
        text: params.string("text")?,
        bullets: params.strings("bullets")?,
        link: params.value("link").map(link).transpose()?.flatten(),
    };
    params.finish()?;
    Ok(section)
}

fn link(value: &Value) -> Result<Option<Link>, String> {
    let mut params = Params::within("description.link", value)?;
    let address = params.string("url")?;
    let title = params.string("title")?;
    params.finish()?;
    let url = address.as_deref().and_then(web_address);
    let title = title.or(address).map(|title| text::one_line(&title, LINE_UNITS_MAX));
    Ok(title.filter(|title| !title.is_empty()).map(|title| Link { title, url }))
}

/// An address of the web in its normal form, or nothing: `javascript:` is not one.
pub(super) fn web_address(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let fit = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= URL_BYTES_MAX;
    fit.then(|| url.to_string())
}

/// The sections as an Atlassian document of at most `units_max`; `None` when there is nothing
/// to say.
pub(super) fn adf(sections: &[Section], units_max: usize) -> Option<Value> {
    let document =
        fit(sections, units_max, render_adf, |document| text::units(&document.to_string()))?;
    let empty = document.get("content").and_then(Value::as_array).is_none_or(Vec::is_empty);
    (!empty).then_some(document)
}

/// The sections as wiki markup of at most `units_max`; `None` when there is nothing to say.
pub(super) fn wiki(sections: &[Section], units_max: usize) -> Option<String> {
    fit(sections, units_max, render_wiki, |markup| text::units(markup))
        .filter(|markup| !markup.is_empty())
}

/// Renders as much as fits: first bullets are left out, then text, then whole sections.
fn fit<T>(
    sections: &[Section],
    units_max: usize,
    render: impl Fn(&[Section], Limits) -> T,
    size: impl Fn(&T) -> usize,
) -> Option<T> {
    let fitting = |limits| Some(render(sections, limits)).filter(|whole| size(whole) <= units_max);
    let mut limits =
        Limits { sections: SECTIONS_MAX, bullets: BULLETS_MAX, text_units: TEXT_UNITS_MAX };
    if let Some(whole) = fitting(limits) {
        return Some(whole);
    }
    let most = largest(BULLETS_MAX, |bullets| fitting(Limits { bullets, ..limits }));
    if most.is_some() {
        return most;
    }
    limits.bullets = 0;
    let most = largest(TEXT_UNITS_MAX, |text_units| fitting(Limits { text_units, ..limits }));
    if most.is_some() {
        return most;
    }
    limits.text_units = 0;
    largest(SECTIONS_MAX, |sections| fitting(Limits { sections, ..limits }))
}

/// What `attempt` gives for the largest number up to `most` for which it gives anything, by
/// bisection.
fn largest<T>(most: usize, attempt: impl Fn(usize) -> Option<T>) -> Option<T> {
    let mut best = attempt(0)?;
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match attempt(middle) {
            Some(found) => {
                best = found;
                low = middle;
            }
            None => high = middle - 1,
        }
    }
    Some(best)
}

/// One section within limits: its parts as plain lines, none of them empty.
struct Plain {
    heading: Option<String>,
    lines: Vec<String>,
    bullets: Vec<String>,
    link: Option<Link>,
}

fn plain(section: &Section, limits: Limits) -> Plain {
    let line = |text: &str| text::one_line(text, LINE_UNITS_MAX.min(limits.text_units));
    let body = section.text.as_deref().map(|body| text::lines(body, limits.text_units));
    let lines = body.unwrap_or_default();
    let lines = lines.split('\n').map(|line| text::one_line(line, TEXT_UNITS_MAX));
    let mut bullets: Vec<String> =
        section.bullets.iter().take(limits.bullets).map(|bullet| line(bullet)).collect();
    bullets.retain(|bullet| !bullet.is_empty());
    let left_out = section.bullets.len().saturating_sub(limits.bullets);
    if left_out > 0 {
        bullets.push(format!("… and {left_out} more"));
    }
    let heading = section.heading.as_deref().map(|text| text::one_line(text, LINE_UNITS_MAX));
    Plain {
        heading: heading.filter(|heading| !heading.is_empty()),
        lines: lines.filter(|line| !line.is_empty()).collect(),
        bullets,
        link: section.link.clone(),
    }
}

/// What stands for sections that were left out.
fn sections_left_out(sections: &[Section], limits: Limits) -> Option<String> {
    let left_out = sections.len().saturating_sub(limits.sections);
    (left_out > 0).then(|| format!("… and {left_out} more sections"))
}

fn render_adf(sections: &[Section], limits: Limits) -> Value {
    let mut content = Vec::new();
    for section in sections.iter().take(limits.sections) {
        let plain = plain(section, limits);
        if let Some(heading) = plain.heading {
            content.push(json!({
                "type": "heading",
                "attrs": {"level": HEADING_LEVEL},
                "content": [{"type": "text", "text": heading}],
            }));
        }
        content.extend(plain.lines.iter().map(|line| paragraph(line, address_in(line))));
        if !plain.bullets.is_empty() {
            let items: Vec<Value> = plain
                .bullets
                .iter()
                .map(|bullet| {
                    let bullet = paragraph(bullet, address_in(bullet));
                    json!({"type": "listItem", "content": [bullet]})
                })
                .collect();
            content.push(json!({"type": "bulletList", "content": items}));
        }
        if let Some(Link { title, url }) = plain.link {
            content.push(paragraph(&title, url));
        }
    }
    content.extend(sections_left_out(sections, limits).map(|line| paragraph(&line, None)));
    json!({"type": "doc", "version": 1, "content": content})
}

/// A paragraph of one line, which leads to `url` where there is one.
fn paragraph(line: &str, url: Option<String>) -> Value {
    let mut text = json!({"type": "text", "text": line});
    if let (Some(url), Some(members)) = (url, text.as_object_mut()) {
        let mark = json!({"type": "link", "attrs": {"href": url}});
        members.insert("marks".to_owned(), json!([mark]));
    }
    json!({"type": "paragraph", "content": [text]})
}

/// The address that a line is and nothing else; it may then be followed, because it says where it
/// leads.
fn address_in(line: &str) -> Option<String> {
    let whole = !line.contains(char::is_whitespace) && !line.ends_with('…');
    web_address(line).filter(|_| whole)
}

fn render_wiki(sections: &[Section], limits: Limits) -> String {
    let mut blocks = Vec::new();
    for section in sections.iter().take(limits.sections) {
        let plain = plain(section, limits);
        blocks.extend(plain.heading.map(|text| format!("h{HEADING_LEVEL}. {}", escape(&text))));
        if !plain.lines.is_empty() {
            let lines: Vec<String> = plain.lines.iter().map(|line| wiki_line(line)).collect();
            blocks.push(lines.join("\n"));
        }
        if !plain.bullets.is_empty() {
            let bullets = plain.bullets.iter().map(|bullet| format!("* {}", wiki_line(bullet)));
            blocks.push(bullets.collect::<Vec<_>>().join("\n"));
        }
        if let Some(Link { title, url }) = plain.link {
            blocks.push(match url {
                None => escape(&title),
                Some(url) => format!("[{}|{}]", escape(&title), escape_address(&url)),
            });
        }
    }
    blocks.extend(sections_left_out(sections, limits));
    blocks.join("\n\n")
}

/// A line, which leads to its address where it is one.
fn wiki_line(line: &str) -> String {
    match address_in(line) {
        Some(url) => format!("[{}]", escape_address(&url)),
        None => escape(line),
    }
}

/// `line` with every character escaped that wiki markup could read as its own.
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len() + 8);
    let mut before: Option<char> = None;
    let mut rest = line.chars().peekable();
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    while let Some(c) = rest.next() {
        let inside_word = word(before) && word(rest.peek().copied());
        match c {
            // Two of them are a line break, so this one cannot be escaped by itself.
            '\\' => escaped.push_str("&#92;"),
            '{' | '}' | '[' | ']' | '|' | '!' | '*' | '^' | '~' => escaped.extend(['\\', c]),
            // Inside a word, as in `CVE-2026-0001`, these mean themselves.
            '_' | '-' | '+' | '?' | '#' if !inside_word => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
        before = Some(c);
    }
    // `h1. ` and `bq. ` at the beginning of a line are markup.
    let start = escaped.get(..3).unwrap_or_default().to_ascii_lowercase();
    let heading = start.starts_with('h') && start.ends_with('.');
    if heading || start == "bq." {
        escaped.insert_str(2, "&#8203;");
    }
    escaped
}

/// An address inside `[title|address]`.
fn escape_address(url: &str) -> String {
    let mut escaped = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '|' | '[' | ']' | '{' | '}' | '\\' | '!' | '^' | '*' | ' ' => {
                escaped.push_str(&format!("%{:02X}", u32::from(c)));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}
