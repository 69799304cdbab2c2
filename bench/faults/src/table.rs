//! The table, as it is printed and as the page keeps it.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::company::Flow;
use crate::rows::Played;

/// Between these lines the page holds what was printed.
const BEGIN: &str = "<!-- written by `cargo xtask faults --write` -->";
const END: &str = "<!-- end of what is written -->";

/// The cases of one row for one workflow, added up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) cases: u64,
    /// The most runs that a case may take.
    pub(crate) runs_max: u32,
    pub(crate) intended: usize,
    pub(crate) in_ledgers: usize,
    pub(crate) duplicated: usize,
    pub(crate) lost: usize,
    pub(crate) left: usize,
    pub(crate) verified: u64,
    pub(crate) permitted: usize,
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) flow: Flow,
    /// None where the fault makes no sense for the workflow.
    pub(crate) cells: Option<Cells>,
    /// Why it makes none, or why something is left for a human.
    pub(crate) why: Option<String>,
}

impl Cells {
    pub(crate) fn add(&mut self, played: &Played) {
        let verdict = &played.verdict;
        self.cases += 1;
        self.intended += verdict.intended;
        self.in_ledgers += verdict.in_ledgers;
        self.duplicated += verdict.duplicated;
        self.lost += verdict.lost;
        self.left += verdict.left;
        self.verified += u64::from(verdict.verifies);
        self.permitted += verdict.permitted;
    }
}

/// The table with the command that makes it, and what its lines need said.
pub(crate) fn render(lines: &[Line], command: &str) -> String {
    let mut text = format!("`{command}`\n\n");
    text.push_str(
        "| fault | workflow | cases | runs, at most | effects intended | effects in the simulators' \
         ledgers | duplicated | lost | left for a human | audit verifies | permitted audit record \
         for every effect |\n|---|---|--:|--:|--:|--:|--:|--:|--:|---|---|\n",
    );
    for line in lines {
        let _ = writeln!(text, "| {} | {} | {} |", line.name, line.flow.name(), cells(line));
    }
    for line in lines {
        let Some(why) = &line.why else { continue };
        let lead = if line.cells.is_some() { "left for a human" } else { "no case" };
        let _ = write!(text, "\n- {}, {}: {lead}: {why}", line.name, line.flow.name());
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn cells(line: &Line) -> String {
    let Some(cells) = &line.cells else { return ["–"; 9].join(" | ") };
    let all = |n: u64, of: u64| if n == of { "yes".to_owned() } else { format!("{n} of {of}") };
    [
        cells.cases.to_string(),
        cells.runs_max.to_string(),
        cells.intended.to_string(),
        cells.in_ledgers.to_string(),
        cells.duplicated.to_string(),
        cells.lost.to_string(),
        cells.left.to_string(),
        all(cells.verified, cells.cases),
        all(cells.permitted as u64, cells.in_ledgers as u64),
    ]
    .join(" | ")
}

/// Puts the section into the page.
pub(crate) fn write(page: &Path, section: &str) -> Result<()> {
    let text = read(page)?;
    let (before, _, after) = parts(&text).context("the page has no place for the table")?;
    std::fs::write(page, format!("{before}{BEGIN}\n\n{section}\n{END}{after}"))?;
    Ok(())
}

/// Whether the page holds the section; tells what differs.
pub(crate) fn check(page: &Path, section: &str) -> Result<bool> {
    let text = read(page)?;
    let (_, kept, _) = parts(&text).context("the page has no place for the table")?;
    let differing = difference(kept.trim(), section.trim());
    if let Some((kept, found)) = &differing {
        println!("{} says otherwise:\n  page:  {kept}\n  found: {found}", page.display());
        println!("`cargo xtask faults --write` puts what was found into the page");
    }
    Ok(differing.is_none())
}

/// The first line that differs.
fn difference(kept: &str, found: &str) -> Option<(String, String)> {
    let (mut kept, mut found) = (kept.lines(), found.lines());
    loop {
        match (kept.next(), found.next()) {
            (None, None) => return None,
            (kept, found) if kept == found => {}
            (kept, found) => {
                let shown = |line: Option<&str>| line.unwrap_or("(nothing more)").to_owned();
                return Some((shown(kept), shown(found)));
            }
        }
    }
}

fn read(page: &Path) -> Result<String> {
    std::fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))
}

/// What is before, between and after the marks.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (kept, after) = rest.split_once(END)?;
    Some((before, kept, after))
}
