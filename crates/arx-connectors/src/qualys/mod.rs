//! Qualys.
