//! What the sensor says: is it alive on the host, with all its functions, on the open network.

use arx_types::{Connection, HostSensors, Sensor};
use jiff::{SignedDuration, Timestamp};

use super::Statement;
use super::criteria::Criteria;
use super::outcome::Answer;
use super::words;

/// What the sensors of one host say.
pub(super) fn statement(
    host: Option<&HostSensors>,
    criteria: &Criteria,
    now: Timestamp,
) -> Statement {
    let unknown = |reason: &str, text: String| Statement::new(Answer::Unknown, reason, text);
    let Some(host) = host else {
        return unknown("not_asked", "no sensor was asked about the host".to_owned());
    };
    if let Some(why) = &host.unread {
        return unknown("unread", why.clone());
    }
    if host.sensors.is_empty() {
        return unknown("host_unknown", "no sensor with the host's name".to_owned());
    }
    let max_age = SignedDuration::try_from(criteria.sensor_max_age).unwrap_or(SignedDuration::MAX);
    // A record that was left behind by a host that was set up again falls silent and stays.
    let is_alive = |sensor: &&Sensor| {
        sensor.connection == Connection::Online
            || sensor.last_seen.is_none_or(|at| now.duration_since(at) <= max_age)
    };
    let alive: Vec<&Sensor> = host.sensors.iter().filter(is_alive).collect();
    match alive.as_slice() {
        [] => {
            let newest = host.sensors.iter().max_by_key(|sensor| sensor.last_seen);
            let Some(newest) = newest else {
                return unknown("host_unknown", "no sensor with the host's name".to_owned());
            };
            let silent = newest.last_seen.map(|at| words::ago(at, now)).unwrap_or_default();
            Statement::new(Answer::No, "silent", format!("sensor silent, last seen {silent}"))
        }
        [one] => of_sensor(one, max_age, now),
        several => {
            let ids: Vec<&str> = several.iter().map(|sensor| sensor.id.as_str()).collect();
            let text = format!("{} living sensors carry the name: {}", ids.len(), ids.join(", "));
            unknown("host_ambiguous", text)
        }
    }
}

fn of_sensor(sensor: &Sensor, max_age: SignedDuration, now: Timestamp) -> Statement {
    let say = |answer, reason, text: &str| {
        let version = match sensor.version.as_str() {
            "" => String::new(),
            version => format!(", sensor {version}"),
        };
        let seen = sensor.last_seen.map(|at| format!(", seen {}", words::ago(at, now)));
        let seen = seen.unwrap_or_default();
        Statement::new(answer, reason, format!("{text}{seen}{version}"))
    };
    // What speaks against the host counts whatever else is not known of it.
    if sensor.contained == Some(true) {
        return say(Answer::No, "contained", "the host is cut off from the network");
    }
    if sensor.reduced_functionality == Some(true) {
        let text = "the sensor runs in reduced functionality mode";
        return say(Answer::No, "reduced_functionality", text);
    }
    let is_fresh = sensor.last_seen.is_some_and(|at| now.duration_since(at) <= max_age);
    match sensor.connection {
        // It may be starting again after the patch.
        Connection::Offline => return say(Answer::Unknown, "offline", "the sensor is offline now"),
        Connection::Unknown => {
            let text = "it is not known whether the sensor is connected";
            return say(Answer::Unknown, "connection_unknown", text);
        }
        Connection::Online if sensor.last_seen.is_none() => {
            let text = "online, but when it was last seen is not known";
            return say(Answer::Unknown, "last_seen_unknown", text);
        }
        Connection::Online if !is_fresh => {
            let text = "online, but not heard of for too long";
            return say(Answer::Unknown, "last_seen_contradicts", text);
        }
        Connection::Online => {}
    }
    if sensor.reduced_functionality.is_none() {
        let text = "it is not known whether the sensor has all its functions";
        return say(Answer::Unknown, "functionality_unknown", text);
    }
    if sensor.contained.is_none() {
        let text = "it is not known whether the host is cut off from the network";
        return say(Answer::Unknown, "containment_unknown", text);
    }
    say(Answer::Yes, "alive", "online, all functions")
}
