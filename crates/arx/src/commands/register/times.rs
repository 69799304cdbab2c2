//! When a schedule is due.

use std::str::FromStr as _;

use arx_workflow::bundle::Schedule;
use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The next times at which a schedule is due, strictly after an instant, in its own time zone.
///
/// A time that the clocks skip is due when they have skipped it; one that comes twice is due once.
///
/// # Errors
/// In words, when it is never due, or the time zone is not known on this machine.
pub(in crate::commands) fn next(
    schedule: &Schedule,
    after: Timestamp,
    n: usize,
) -> Result<Vec<Zoned>, String> {
    let zone = TimeZone::get(&schedule.timezone)
        .map_err(|_| format!("the time zone `{}` is not known here", schedule.timezone))?;
    let cron = Cron::from_str(&schedule.cron)
        .map_err(|error| format!("`{}` is not a schedule: {error}", schedule.cron))?;
    let times: Vec<Zoned> = cron.iter_after(after.to_zoned(zone)).take(n).collect();
    if times.is_empty() && n > 0 {
        return Err(format!("the schedule `{}` is never due", schedule.cron));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use arx_workflow::bundle::{CatchUp, Overlap};

    use super::*;

    fn schedule(cron: &str, timezone: &str) -> Schedule {
        Schedule {
            cron: cron.to_owned(),
            timezone: timezone.to_owned(),
            overlap: Overlap::Forbid,
            catch_up: CatchUp::Latest,
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
}
