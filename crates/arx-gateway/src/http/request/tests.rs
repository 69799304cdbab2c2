//! What is quoted of a reply.

use super::excerpt;

#[track_caller]
fn check(body: &[u8], expected: &str) {
    assert_eq!(excerpt(body), expected);
}

#[test]
fn an_excerpt_is_one_line_that_a_terminal_only_shows() {
    check(b"plain", "plain");
    check(b" two\r\n lines\t", "two lines");
    check(b"", "(empty reply)");
    check(b"\0\x1b\x07", "(empty reply)");
    check(b"red \x1b[31malert\x1b[0m\0\xff", "red [31malert [0m \u{fffd}");
    check(&[b'a'; 300], &format!("{}…", "a".repeat(200)));
}
