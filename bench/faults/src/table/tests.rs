use crate::company::Flow;

use super::{Cells, Line, difference, parts, render};

fn line() -> Line {
    let cells =
        Cells { cases: 2, runs_max: 3, intended: 8, in_ledgers: 7, left: 1, ..Cells::default() };
    let cells = Cells { verified: 2, permitted: 7, ..cells };
    Line { name: "a fault".to_owned(), flow: Flow::Patches, cells: Some(cells), why: None }
}

#[test]
fn a_line_holds_every_column() {
    let text = render(&[line()], "a command");
    assert!(text.starts_with("`a command`\n"), "{text}");
    let wanted = "| a fault | patch-verification | 2 | 3 | 8 | 7 | 0 | 0 | 1 | yes | yes |";
    assert_eq!(text.lines().last(), Some(wanted));
    let columns = |line: &str| line.matches('|').count();
    let counts: Vec<usize> = text.lines().skip(2).map(columns).collect();
    assert!(counts.iter().all(|n| *n == counts[0]), "{text}");
}

#[test]
fn what_does_not_hold_is_counted() {
    let mut line = line();
    let cells = line.cells.as_mut().unwrap();
    (cells.verified, cells.permitted) = (1, 5);
    let text = render(&[line], "a command");
    assert!(text.ends_with("| 1 of 2 | 5 of 7 |\n"), "{text}");
}

#[test]
fn a_row_without_cases_says_why() {
    let line = Line { cells: None, why: Some("it pages nobody.".to_owned()), ..line() };
    let text = render(&[line], "a command");
    assert!(text.contains("| – | – | – | – | – | – | – | – | – |\n"), "{text}");
    assert!(text.ends_with("- a fault, patch-verification: no case: it pages nobody.\n"), "{text}");
}

#[test]
fn the_first_difference_is_told() {
    assert_eq!(difference("a\nb", "a\nb"), None);
    let told = |kept, found| difference(kept, found).unwrap();
    assert_eq!(told("a\nb", "a\nc"), ("b".to_owned(), "c".to_owned()));
    assert_eq!(told("a", "a\nc"), ("(nothing more)".to_owned(), "c".to_owned()));
}

#[test]
fn a_page_without_marks_is_refused() {
    assert_eq!(parts("nothing here"), None);
}
