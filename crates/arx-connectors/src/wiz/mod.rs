//! Wiz.
