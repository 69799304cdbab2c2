//! Durable execution: replay, steps, the driver of a run.
