//! Faithful loopback simulators of the vendors, with an effect ledger and seeded faults.
