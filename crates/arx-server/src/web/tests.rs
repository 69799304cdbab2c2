//! The console and the API in-process, over a record whose every text tries to break out.

mod api;
mod connections;
mod console;
mod escaping;
mod rights;
mod site;
