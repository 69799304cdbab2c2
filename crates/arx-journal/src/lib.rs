//! The one SQLite database: runs, steps, effects, approvals, audit leaves, with group commit.
