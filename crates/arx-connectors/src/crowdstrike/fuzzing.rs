//! Doors for the fuzzer: the three kinds of replies, the parameters of a read.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::read;
use super::wire::{self, Device, Envelope, State, Word};
use crate::fuzzing::{check_words, is_plain, reply};
use crate::hostname::{self, NameIndex};

/// Reads a body as each of the replies that a read of hosts asks for.
pub fn replies(body: &[u8]) {
    for id in envelope::<Word>(body) {
        assert!(id.id().is_none_or(is_plain), "an id that is none: {id:?}");
    }
    for device in envelope::<Device>(body) {
        let sensor = device.sensor();
        assert!(sensor.hostname.chars().count() <= 255, "{sensor:?}");
        assert!(sensor.version.chars().count() <= 255, "{sensor:?}");
        // Whoever says neither says nothing: missing is not negative.
        let told = serde_json::to_string(&format!("{device:?}")).unwrap_or_default();
        let told = told.to_ascii_lowercase();
        assert!(sensor.contained != Some(false) || told.contains("normal"), "{device:?}");
        assert!(sensor.reduced_functionality != Some(false) || told.contains("no"), "{device:?}");
    }
    for state in envelope::<State>(body) {
        let _ = (state.connection(), state.last_seen(), state.id.id());
    }
    check_words(&wire::words(&reply(400, body)));
}

fn envelope<T: DeserializeOwned + Debug>(body: &[u8]) -> Vec<T> {
    let Ok(reply) = Envelope::<T>::read(body) else { return Vec::new() };
    let _ = reply.total();
    if let Some(complaint) = reply.complaint() {
        assert!(reply.is_reply(), "a complaint in what is no reply");
        assert!(complaint.words.chars().count() <= 3 * 260, "{complaint:?}");
        check_words(&complaint.words);
    }
    if !reply.is_reply() {
        assert!(reply.resources.is_none(), "resources in what is no reply");
    }
    reply.resources.unwrap_or_default()
}

/// Checks parameters; names that are searched for hold nothing that the query language reads.
pub fn parameters(params: &Value) -> Result<(), String> {
    let hosts = read::asked(params)?;
    let usable: Vec<&str> = hosts
        .iter()
        .flat_map(|host| host.names.iter())
        .filter_map(|name| hostname::usable(name))
        .collect();
    let filter = read::filter(usable.iter().copied());
    assert_eq!(filter.matches('\'').count(), 2 * usable.len(), "{filter}");
    assert_eq!(filter.matches("hostname:'").count(), usable.len(), "{filter}");
    for form in read::other_forms(&usable) {
        assert!(is_plain(form.trim_end_matches(".*")), "`{form}` in a query");
    }
    let index = NameIndex::new(&hosts);
    let claims = index.claims(usable.iter().copied());
    assert!(claims.hosts.iter().all(|host| *host < hosts.len()), "a host that nobody asked for");
    Ok(())
}
