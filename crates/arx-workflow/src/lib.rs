//! Workflow bundles, the sandboxed Python host, and the objects workflows see.
