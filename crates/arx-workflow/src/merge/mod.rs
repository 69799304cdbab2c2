//! Folding findings into vulnerabilities.
