//! The Python host: a workflow in a child process behind a wall.
