//! Device ids, device records and online states, with the limits that each call has.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fql::Filter;
use super::{Page, Problem};
use crate::estate::{DAY, time};
use crate::faults::mix;
use crate::http::Request;
use crate::wave::{DOMAIN, Sensor, hex_id};

const QUERY_LIMIT_DEFAULT: usize = 100;
const QUERY_LIMIT_MAX: usize = 5_000;
const SCROLL_LIMIT_MAX: usize = 10_000;
/// An offset of this and more is refused.
const OFFSET_MAX: usize = 10_000;
/// How long a scroll's position is good.
const SCROLL_LIFE_S: i64 = 120;
const IDS_POSTED_MAX: usize = 5_000;
const IDS_IN_QUERY_MAX: usize = 100;
const EXTERNAL_IP: &str = "203.0.113.24";
/// What may be sorted by.
const SORTABLE: [&str; 6] =
    ["hostname", "last_seen", "first_seen", "device_id", "local_ip", "platform_name"];

/// The one customer account.
fn cid() -> String {
    hex_id(0xC1D, 1)
}

pub(super) fn query(req: &Request, sensors: &[Sensor], now: Timestamp) -> Result<Page, Problem> {
    let limit = limit(req, QUERY_LIMIT_DEFAULT, QUERY_LIMIT_MAX)?;
    let offset = match req.query("offset") {
        None | Some("") => 0,
        Some(text) => text.parse().ok().filter(|n| *n < OFFSET_MAX).ok_or_else(|| {
            Problem::new(
                400,
                format!("invalid offset {text}: the maximum offset plus limit is 10000"),
            )
        })?,
    };
    let found = matching(req, sensors, now)?;
    let ids = found.iter().skip(offset).take(limit).map(|sensor| json!(sensor.aid)).collect();
    let pagination = json!({ "total": found.len(), "offset": offset, "limit": limit });
    Ok(Page { powered_by: "device-api", pagination: Some(pagination), resources: ids })
}

pub(super) fn scroll(req: &Request, sensors: &[Sensor], now: Timestamp) -> Result<Page, Problem> {
    let limit = limit(req, QUERY_LIMIT_DEFAULT, SCROLL_LIMIT_MAX)?;
    let start = match req.query("offset") {
        None | Some("") => 0,
        Some(token) => position(token, now)
            .ok_or_else(|| Problem::new(400, "invalid or expired offset token"))?,
    };
    let found = matching(req, sensors, now)?;
    let ids: Vec<Value> =
        found.iter().skip(start).take(limit).map(|sensor| json!(sensor.aid)).collect();
    let end = now.as_second() + SCROLL_LIFE_S;
    let pagination = if ids.is_empty() {
        json!({ "total": 0, "offset": "", "expires_at": 0 })
    } else {
        let token = BASE64.encode(format!("scroll:{}:{end}", start + ids.len()));
        json!({ "total": found.len(), "offset": token, "expires_at": end * 1_000_000_000 })
    };
    Ok(Page { powered_by: "device-api", pagination: Some(pagination), resources: ids })
}

fn position(token: &str, now: Timestamp) -> Option<usize> {
    let text = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
    let (start, end) = text.strip_prefix("scroll:")?.split_once(':')?;
    (end.parse::<i64>().ok()? > now.as_second()).then(|| start.parse().ok())?
}

/// Whole records, page by page: `offset` is the previous reply's `next`.
pub(super) fn combined(req: &Request, sensors: &[Sensor], now: Timestamp) -> Result<Page, Problem> {
    let limit = limit(req, QUERY_LIMIT_DEFAULT, SCROLL_LIMIT_MAX)?;
    let start = match req.query("offset") {
        None | Some("") => 0,
        Some(token) => position(token, now)
            .ok_or_else(|| Problem::new(400, "invalid or expired offset token"))?,
    };
    let wanted: Option<Vec<&str>> =
        req.query("fields").map(|text| text.split(',').map(str::trim).collect());
    let found = matching(req, sensors, now)?;
    let shown: Vec<Value> = found
        .iter()
        .skip(start)
        .take(limit)
        .map(|sensor| {
            let mut record = record(sensor, now);
            if let Some(wanted) = &wanted {
                record.retain(|name, _| name == "device_id" || wanted.contains(&name.as_str()));
            }
            Value::Object(record)
        })
        .collect();
    let next = start + shown.len();
    let mut pagination = json!({ "total": found.len(), "limit": limit });
    if let (true, Value::Object(pagination)) = (next < found.len(), &mut pagination) {
        let token = BASE64.encode(format!("scroll:{next}:{}", now.as_second() + SCROLL_LIFE_S));
        pagination.insert("next".to_owned(), json!(token));
    }
    Ok(Page { powered_by: "device-api", pagination: Some(pagination), resources: shown })
}

/// Unknown ids are simply missing.
pub(super) fn details(req: &Request, sensors: &[Sensor], now: Timestamp) -> Result<Page, Problem> {
    let (ids, n_max): (Vec<String>, usize) = if req.method == "POST" {
        let body = req.json().unwrap_or_default();
        let ids = body
            .get("ids")
            .and_then(Value::as_array)
            .map(|ids| ids.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>());
        (ids.unwrap_or_default(), IDS_POSTED_MAX)
    } else {
        (req.queries("ids").map(str::to_owned).collect(), IDS_IN_QUERY_MAX)
    };
    check_ids(ids.len(), n_max)?;
    let by_id = by_id(sensors);
    let found = ids.iter().filter_map(|id| by_id.get(id.as_str()));
    let resources = found.map(|sensor| Value::Object(record(sensor, now))).collect();
    Ok(Page { powered_by: "device-api", pagination: None, resources })
}

pub(super) fn online(req: &Request, sensors: &[Sensor], now: Timestamp) -> Result<Page, Problem> {
    let ids: Vec<&str> = req.queries("ids").collect();
    check_ids(ids.len(), IDS_POSTED_MAX)?;
    let by_id = by_id(sensors);
    let found = ids.iter().filter_map(|id| by_id.get(id));
    let resources = found
        .filter_map(|sensor| {
            let state = sensor.state?;
            Some(json!({
                "id": sensor.aid,
                "cid": cid(),
                "last_seen": time(sensor.last_seen(now)),
                "state": state,
            }))
        })
        .collect();
    Ok(Page { powered_by: "cs.agentonline", pagination: None, resources })
}

fn by_id(sensors: &[Sensor]) -> HashMap<&str, &Sensor> {
    sensors.iter().map(|sensor| (sensor.aid.as_str(), sensor)).collect()
}

fn check_ids(n: usize, n_max: usize) -> Result<(), Problem> {
    match n {
        0 => Err(Problem::new(400, "at least one id must be provided")),
        n if n > n_max => Err(Problem::new(400, format!("max number of ids is {n_max}, got {n}"))),
        _ => Ok(()),
    }
}

fn limit(req: &Request, default: usize, max: usize) -> Result<usize, Problem> {
    match req.query("limit") {
        None | Some("") => Ok(default),
        Some(text) => text.parse().ok().filter(|n| (1..=max).contains(n)).ok_or_else(|| {
            Problem::new(400, format!("invalid limit {text}: must be between 1 and {max}"))
        }),
    }
}

/// The sensors of a filter, in the order asked for; without one, by id.
fn matching<'s>(
    req: &Request,
    sensors: &'s [Sensor],
    now: Timestamp,
) -> Result<Vec<&'s Sensor>, Problem> {
    let filter = Filter::parse(req.query("filter").unwrap_or(""))
        .map_err(|why| Problem::new(400, format!("Invalid filter expression supplied: {why}")))?;
    let mut found: Vec<&Sensor> = sensors
        .iter()
        .filter(|sensor| filter.holds(&|name| property(sensor, name, now), now))
        .collect();
    let sort = req.query("sort").filter(|text| !text.is_empty()).unwrap_or("device_id.asc");
    let (name, direction) = sort.split_once(['.', '|']).unwrap_or((sort, "asc"));
    if !SORTABLE.contains(&name) || !["asc", "desc"].contains(&direction) {
        return Err(Problem::new(400, format!("Invalid sort expression supplied: {sort}")));
    }
    found.sort_by_cached_key(|sensor| {
        (property(sensor, name, now).unwrap_or_default(), sensor.aid.clone())
    });
    if direction == "desc" {
        found.reverse();
    }
    Ok(found)
}

/// The text of a property that can be filtered by; `None` where the record has none.
fn property(sensor: &Sensor, name: &str, now: Timestamp) -> Option<String> {
    let is_windows = sensor.platform == "Windows";
    let value = match name {
        "agent_version" => sensor.version.to_owned(),
        "cid" => cid(),
        "connection_ip" | "local_ip" => sensor.ip.clone(),
        "device_id" => sensor.aid.clone(),
        "external_ip" => EXTERNAL_IP.to_owned(),
        "first_seen" => time(sensor.first_seen),
        "hostname" => sensor.hostname.clone(),
        "last_seen" | "modified_timestamp" => time(sensor.last_seen(now)),
        "mac_address" => mac(sensor),
        "machine_domain" => (if is_windows { DOMAIN } else { "" }).to_owned(),
        "os_version" => sensor.os.to_owned(),
        "platform_name" => sensor.platform.to_owned(),
        "product_type_desc" => "Server".to_owned(),
        "provision_status" => "Provisioned".to_owned(),
        "reduced_functionality_mode" => sensor.reduced?.to_owned(),
        "status" => sensor.status.to_owned(),
        _ => return None,
    };
    (!value.is_empty()).then_some(value)
}

fn record(sensor: &Sensor, now: Timestamp) -> Map<String, Value> {
    let chance = mix(0xD3, 1, sensor.first_seen.unsigned_abs() ^ sensor.aid.len() as u64);
    let is_windows = sensor.platform == "Windows";
    let last_seen = sensor.last_seen(now);
    let policy = |kind: &str, id: u64| {
        json!({
            "policy_type": kind,
            "policy_id": hex_id(0x901, id),
            "applied": true,
            "settings_hash": format!("{:08x}", chance as u32),
            "assigned_date": time(sensor.first_seen + 150),
            "applied_date": time(sensor.first_seen + 165),
        })
    };
    let all = json!({
        "device_id": sensor.aid,
        "cid": cid(),
        "agent_load_flags": if is_windows { "1" } else { "0" },
        "agent_local_time": time(last_seen),
        "agent_version": sensor.version,
        "config_id_base": "65994767",
        "config_id_build": sensor.version.split('.').nth(2).unwrap_or("0"),
        "config_id_platform": if is_windows { "3" } else { "8" },
        "external_ip": EXTERNAL_IP,
        "connection_ip": sensor.ip,
        "local_ip": sensor.ip,
        "mac_address": mac(sensor),
        "hostname": sensor.hostname,
        "first_seen": time(sensor.first_seen),
        "last_seen": time(last_seen),
        "last_reboot": time(last_seen - 2 * DAY),
        "machine_domain": if is_windows { DOMAIN } else { "" },
        "major_version": if is_windows { "10" } else { "5" },
        "minor_version": if is_windows { "0" } else { "15" },
        "os_version": sensor.os,
        "kernel_version": if is_windows { "10.0.17763.6414" } else { "5.15.0-122-generic" },
        "platform_id": if is_windows { "0" } else { "3" },
        "platform_name": sensor.platform,
        "product_type": "3",
        "product_type_desc": "Server",
        "provision_status": "Provisioned",
        "reduced_functionality_mode": sensor.reduced,
        "status": sensor.status,
        "serial_number": format!("SN{:012x}", chance & 0xFFFF_FFFF_FFFF),
        "system_manufacturer": "Harbourline Cloud",
        "system_product_name": "hvm",
        "tags": ["SensorGroupingTags/production"],
        "device_policies": {
            "prevention": policy("prevention", 1),
            "sensor_update": policy("sensor-update", 2),
        },
        "modified_timestamp": time(last_seen),
        "meta": { "version": "412" },
    });
    let Value::Object(mut all) = all else { return Map::new() };
    // What a record has no value for, it leaves out.
    all.retain(|_, value| !value.is_null());
    all
}

fn mac(sensor: &Sensor) -> String {
    let bits = mix(0x3AC, 1, sensor.first_seen.unsigned_abs()).to_be_bytes();
    let [a, b, c, d, ..] = bits;
    format!("02-00-{a:02x}-{b:02x}-{c:02x}-{d:02x}")
}
