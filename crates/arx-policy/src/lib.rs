//! Rules, score, limits and time windows to a verdict with reasons.
