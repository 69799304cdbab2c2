//! Where what was done comes from, read back from the record and hashed again.
//!
//! What does not hash to what the audit log commits to is said to be so, never hidden.

mod ticket;
mod vulnerability;

pub use ticket::{Read, TicketProvenance, trace_ticket};
pub use vulnerability::{Provenance, SourceFinding, trace};
