//! The gate over a connector that does what a test says, and governed HTTP over a server that
//! answers what a test says.

mod fake;
mod gate;
mod http;
