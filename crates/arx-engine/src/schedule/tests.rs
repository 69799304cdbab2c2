use std::collections::BTreeMap;

use arx_journal::FireCause;
use arx_workflow::bundle::{CatchUp, Overlap, Schedule};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use proptest::prelude::*;

use super::{MADE_UP_MAX, Timetable, next};

fn schedule(cron: &str, timezone: &str) -> Schedule {
    Schedule {
        cron: cron.to_owned(),
        timezone: timezone.to_owned(),
        overlap: Overlap::Forbid,
        catch_up: CatchUp::Latest,
        jitter: "0".parse().unwrap_or_default(),
    }
}

#[track_caller]
fn check(cron: &str, timezone: &str, after: &str, expected: &[&str]) {
    let times = next(&schedule(cron, timezone), after.parse().unwrap(), expected.len());
    let times: Vec<String> =
        times.unwrap().iter().map(|time| time.timestamp().to_string()).collect();
    assert_eq!(times, expected);
}

#[test]
fn times_are_those_of_the_zone() {
    check(
        "0 */2 * * *",
        "UTC",
        "2026-01-01T00:00:00Z",
        &["2026-01-01T02:00:00Z", "2026-01-01T04:00:00Z"],
    );
    check("30 10 * * MON-FRI", "UTC", "2026-01-02T10:30:00Z", &["2026-01-05T10:30:00Z"]);
    check("0 9 * * 7", "UTC", "2026-01-01T00:00:00Z", &["2026-01-04T09:00:00Z"]);
    check(
        "0 10 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-29T08:00:00Z", "2026-03-30T08:00:00Z"],
    );
    // Either day counts where both are given.
    check(
        "0 0 13 * FRI",
        "UTC",
        "2026-01-01T00:00:00Z",
        &["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"],
    );
    check("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z"]);
}

#[test]
fn clocks_that_change_lose_no_run_and_double_none() {
    // 02:30 does not exist on the 29th of March.
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
    // 02:30 comes twice on the 25th of October.
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
}

#[test]
fn a_schedule_that_never_comes_is_an_error() {
    let after = Timestamp::UNIX_EPOCH;
    let never = next(&schedule("0 0 30 2 *", "UTC"), after, 5);
    assert_eq!(never, Err("the schedule `0 0 30 2 *` is never due".to_owned()));
    let nowhere = next(&schedule("0 0 * * *", "Mars/Olympus"), after, 5);
    assert_eq!(nowhere, Err("the time zone `Mars/Olympus` is not known here".to_owned()));
}

fn timetable(cron: &str, zone: &str, catch_up: CatchUp) -> Timetable {
    Timetable::new(&Schedule { catch_up, ..schedule(cron, zone) }).unwrap()
}

/// What is due, as `cause first..last xN`, `-` before what is left out.
#[track_caller]
fn due(cron: &str, catch_up: CatchUp, after: &str, now: &str, expected: &[&str]) {
    let table = timetable(cron, "UTC", catch_up);
    let due = table.due("demo", after.parse().unwrap(), now.parse().unwrap());
    let told: Vec<String> = due
        .iter()
        .map(|due| {
            let time = |at: Timestamp| at.strftime("%dT%H:%M").to_string();
            let mark = if due.skipped.is_some() { "-" } else { "" };
            let (cause, n) = (due.cause.as_str(), due.n);
            format!("{mark}{cause} {}..{} x{n}", time(due.first), time(due.last))
        })
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn what_is_due_is_started_and_what_was_missed_is_made_up_for_as_the_schedule_says() {
    let hourly = "0 * * * *";
    let (after, on_time) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:20Z");
    for catch_up in [CatchUp::Latest, CatchUp::All, CatchUp::None] {
        due(hourly, catch_up, after, "2026-01-01T00:59:59Z", &[]);
        due(hourly, catch_up, after, on_time, &["schedule 01T01:00..01T01:00 x1"]);
        // The clock is set back: what was due stays as it was.
        due(hourly, catch_up, after, "2025-12-31T00:00:00Z", &[]);
    }
    let late = "2026-01-01T04:30:00Z";
    due(
        hourly,
        CatchUp::Latest,
        after,
        late,
        &["-catch_up 01T01:00..01T03:00 x3", "catch_up 01T04:00..01T04:00 x1"],
    );
    due(hourly, CatchUp::None, after, late, &["-catch_up 01T01:00..01T04:00 x4"]);
    due(
        hourly,
        CatchUp::All,
        after,
        late,
        &[
            "catch_up 01T01:00..01T01:00 x1",
            "catch_up 01T02:00..01T02:00 x1",
            "catch_up 01T03:00..01T03:00 x1",
            "catch_up 01T04:00..01T04:00 x1",
        ],
    );
    // On time again after a gap.
    due(
        hourly,
        CatchUp::None,
        after,
        "2026-01-01T04:00:10Z",
        &["-catch_up 01T01:00..01T03:00 x3", "schedule 01T04:00..01T04:00 x1"],
    );
}

#[test]
fn years_of_missed_minutes_cost_no_years() {
    let now: Timestamp = "2036-01-01T00:00:30Z".parse().unwrap();
    let after = "2026-01-01T00:00:00Z".parse().unwrap();
    let due = timetable("* * * * *", "UTC", CatchUp::All).due("demo", after, now);
    assert_eq!(due.len(), MADE_UP_MAX + 1);
    assert!(due[0].skipped.as_ref().unwrap().contains("before that nobody counted"), "{due:?}");
    // A rare time is found however long ago it was.
    let due = timetable("0 0 1 1 *", "UTC", CatchUp::Latest).due("demo", after, now);
    assert_eq!(due.iter().map(|due| due.n).sum::<u64>(), 10);
}

#[test]
fn a_run_begins_within_its_jitter_and_always_at_the_same_time() {
    let jitter = "10m".parse().unwrap();
    let table = Timetable::new(&Schedule { jitter, ..schedule("0 * * * *", "UTC") }).unwrap();
    let after = "2026-01-01T00:00:00Z".parse().unwrap();
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    let begins = |workflow: &str| table.due(workflow, after, now)[0].not_before;
    let drawn: Vec<Timestamp> = (0..50).map(|n| begins(&format!("workflow-{n}"))).collect();
    for at in &drawn {
        let by = at.duration_since(now);
        assert!(by >= SignedDuration::ZERO && by < SignedDuration::from_mins(10), "{by:?}");
    }
    assert_eq!(begins("workflow-7"), drawn[7]);
    let early = drawn.iter().filter(|at| **at < now + 5.minutes()).count();
    assert!((10..40).contains(&early), "{early} of 50 in the first half");
}

/// Zones with every kind of change: whole and half hours, both hemispheres, changes at midnight,
/// and one that has none.
const ZONES: [&str; 7] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Kolkata",
];

/// Plays a scheduler that looks every so often, and gives every time that it was due.
fn played(cron: &str, zone: &str, from: &str, years: i64, step: SignedDuration) -> Vec<Timestamp> {
    let table = timetable(cron, zone, CatchUp::All);
    let from: Timestamp = from.parse().unwrap();
    let end = from + (years * 365 * 24).hours();
    let (mut now, mut after, mut fired) = (from, from, Vec::new());
    while now < end {
        now += step;
        for due in table.due("demo", after, now) {
            assert!(due.skipped.is_none() && due.first > after && due.first <= now, "{due:?}");
            after = due.last;
            fired.push(due.first);
        }
    }
    fired
}

#[test]
fn daily_times_come_once_a_day_through_years_of_changing_clocks() {
    for zone in ZONES {
        let tz = TimeZone::get(zone).unwrap();
        // Half past midnight and half past two do not exist, or exist twice, on some days.
        for cron in ["30 2 * * *", "30 0 * * *", "0 10 * * *"] {
            let fired =
                played(cron, zone, "2025-01-01T12:00:00Z", 4, SignedDuration::from_hours(7));
            let mut by_day = BTreeMap::new();
            for at in &fired {
                *by_day.entry(at.to_zoned(tz.clone()).date()).or_insert(0) += 1;
            }
            let twice: Vec<_> = by_day.iter().filter(|(_, n)| **n != 1).collect();
            assert!(twice.is_empty(), "{zone} {cron}: {twice:?}");
            let days = by_day.len() as i64;
            let (first, last) = (by_day.keys().next().unwrap(), by_day.keys().last().unwrap());
            assert_eq!(first.until((jiff::Unit::Day, *last)).unwrap().get_days() as i64 + 1, days);
        }
    }
}

#[test]
fn intervals_go_on_through_changing_clocks() {
    for zone in ZONES {
        let from = "2026-01-01T00:00:00Z";
        let fired = played("*/15 * * * *", zone, from, 1, SignedDuration::from_hours(5));
        let odd: Vec<_> = fired
            .windows(2)
            .filter(|pair| pair[1].duration_since(pair[0]) != SignedDuration::from_mins(15))
            .collect();
        assert!(odd.is_empty(), "{zone}: {odd:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the clock jumps, no time is due twice and none is lost between two looks.
    #[test]
    fn no_time_is_due_twice(
        jumps in prop::collection::vec(-7_200_i64..20_000, 1..60),
        catch_up in prop::sample::select(vec![CatchUp::Latest, CatchUp::All, CatchUp::None]),
    ) {
        let table = timetable("*/10 * * * *", "Europe/Berlin", catch_up);
        let from: Timestamp = "2026-03-28T20:00:00Z".parse().unwrap();
        let (mut now, mut after, mut n_due, mut latest) = (from, from, 0, from);
        for jump in jumps {
            now += jump.seconds();
            latest = latest.max(now);
            for due in table.due("demo", after, now) {
                prop_assert!(due.first > after && due.last >= due.first && due.last <= now);
                after = due.last;
                n_due += due.n;
            }
        }
        let all = table.times(from).take_while(|time| time.timestamp() <= latest).count();
        prop_assert_eq!(n_due, all as u64);
    }
}

#[test]
fn the_cause_is_that_of_the_lateness() {
    let table = timetable("0 * * * *", "UTC", CatchUp::Latest);
    let due = |now: &str| {
        table.due("demo", "2026-01-01T00:00:00Z".parse().unwrap(), now.parse().unwrap())[0].cause
    };
    assert_eq!(due("2026-01-01T01:01:00Z"), FireCause::Schedule);
    assert_eq!(due("2026-01-01T01:01:01Z"), FireCause::CatchUp);
}
