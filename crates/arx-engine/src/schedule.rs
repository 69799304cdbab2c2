//! When a schedule is due, and what is to be done about the times that were.
//!
//! Pure: the times since the last recorded one and the clock go in, fires come out. A time that the
//! clocks skip is due when they have skipped it; one that comes twice is due once, unless the
//! schedule is one of intervals.

#[cfg(test)]
mod tests;

use std::str::FromStr as _;

use arx_journal::FireCause;
use arx_types::Digest;
use arx_workflow::bundle::{CatchUp, Overlap, Schedule};
use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// How late a run may begin and still count as on time.
const ON_TIME: SignedDuration = SignedDuration::from_secs(60);
/// The most times that are counted one by one. A schedule that was due more often than that was
/// due every few minutes for weeks.
const COUNTED_MAX: usize = 50_000;
/// How far back such a schedule is looked at.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24 * 7);
/// The most runs that make up for missed times.
const MADE_UP_MAX: usize = 100;

/// A schedule that can be asked for its times.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    catch_up: CatchUp,
    jitter: SignedDuration,
    /// What happens to a time that is due while a run is unfinished.
    pub overlap: Overlap,
}

/// One or more times of a schedule that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Why a run begins.
    pub cause: FireCause,
    /// The first of the times.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many they are.
    pub n: u64,
    /// When the run may begin.
    pub not_before: Timestamp,
    /// Why none begins, where none does.
    pub skipped: Option<String>,
}

impl Timetable {
    /// The timetable of a schedule.
    ///
    /// # Errors
    /// In words, when it is never due, or the time zone is not known on this machine.
    pub fn new(schedule: &Schedule) -> Result<Self, String> {
        let zone = TimeZone::get(&schedule.timezone)
            .map_err(|_| format!("the time zone `{}` is not known here", schedule.timezone))?;
        let cron = Cron::from_str(&schedule.cron)
            .map_err(|error| format!("`{}` is not a schedule: {error}", schedule.cron))?;
        let jitter =
            SignedDuration::try_from(schedule.jitter.as_duration()).unwrap_or(SignedDuration::ZERO);
        let (catch_up, overlap) = (schedule.catch_up, schedule.overlap);
        let timetable = Self { cron, zone, catch_up, jitter, overlap };
        if timetable.next(Timestamp::UNIX_EPOCH, 1).is_empty() {
            return Err(format!("the schedule `{}` is never due", schedule.cron));
        }
        Ok(timetable)
    }

    /// The next times, strictly after an instant, in the schedule's time zone.
    #[must_use]
    pub fn next(&self, after: Timestamp, n: usize) -> Vec<Zoned> {
        self.times(after).take(n).collect()
    }

    fn times(&self, after: Timestamp) -> impl Iterator<Item = Zoned> + '_ {
        self.cron.iter_after(after.to_zoned(self.zone.clone()))
    }

    /// What is to be done about the times after `after` that have come by `now`, in their order;
    /// empty while none has. Every time that has come is in exactly one of them.
    #[must_use]
    pub fn due(&self, workflow: &str, after: Timestamp, now: Timestamp) -> Vec<Due> {
        let (times, uncounted) = self.come(after, now);
        let Some((newest, earlier)) = times.split_last() else { return Vec::new() };
        let is_late = |time: &Timestamp| now.duration_since(*time) > ON_TIME;
        let run = |time: &Timestamp| Due {
            cause: if is_late(time) { FireCause::CatchUp } else { FireCause::Schedule },
            first: *time,
            last: *time,
            n: 1,
            not_before: self.jittered(workflow, *time),
            skipped: None,
        };
        let leave_out = |times: &[Timestamp], why: &str| {
            let (first, last) = (times.first()?, times.last()?);
            let before = match uncounted {
                true => ", and those before that nobody counted",
                false => "",
            };
            Some(Due { skipped: Some(format!("{why}{before}")), ..run(first) }).map(|due| Due {
                last: *last,
                n: times.len() as u64,
                ..due
            })
        };
        match self.catch_up {
            CatchUp::Latest => {
                let why = "missed; one run makes up for all that were";
                leave_out(earlier, why).into_iter().chain([run(newest)]).collect()
            }
            CatchUp::None if is_late(newest) => {
                leave_out(&times, "missed, and nothing makes up for it").into_iter().collect()
            }
            CatchUp::None => {
                let why = "missed, and nothing makes up for it";
                leave_out(earlier, why).into_iter().chain([run(newest)]).collect()
            }
            CatchUp::All => {
                let n_left_out = times.len().saturating_sub(MADE_UP_MAX);
                let (left_out, made_up) = times.split_at_checked(n_left_out).unwrap_or_default();
                let why = format!("missed; the last {MADE_UP_MAX} are made up for");
                leave_out(left_out, &why).into_iter().chain(made_up.iter().map(run)).collect()
            }
        }
    }

    /// The times that have come, and whether there were more that nobody counts.
    fn come(&self, after: Timestamp, now: Timestamp) -> (Vec<Timestamp>, bool) {
        let count = |after| -> Vec<Timestamp> {
            self.times(after)
                .map(|time| time.timestamp())
                .take_while(|time| *time <= now)
                .take(COUNTED_MAX)
                .collect()
        };
        let times = count(after);
        if times.len() < COUNTED_MAX {
            return (times, false);
        }
        (count(now.checked_sub(LOOK_BACK).unwrap_or(after)), true)
    }

    /// When the run of a time may begin: the same on every machine and after every restart.
    fn jittered(&self, workflow: &str, time: Timestamp) -> Timestamp {
        let Ok(range @ 1..) = u64::try_from(self.jitter.as_millis()) else { return time };
        let digest = Digest::of_bytes(format!("{workflow} {time}").as_bytes());
        let drawn =
            digest.0.iter().take(8).fold(0_u64, |drawn, byte| drawn << 8 | u64::from(*byte));
        let by = i64::try_from(drawn % range).unwrap_or(0);
        time.checked_add(by.milliseconds()).unwrap_or(time)
    }
}

/// The next times at which a schedule is due, strictly after an instant, in its own time zone.
///
/// # Errors
/// As [`Timetable::new`].
pub fn next(schedule: &Schedule, after: Timestamp, n: usize) -> Result<Vec<Zoned>, String> {
    Ok(Timetable::new(schedule)?.next(after, n))
}
