//! Lengths of time as people write them in `arx.yaml`: `90s`, `15m`, `1h30m`, `2d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest length of time that a policy can speak of, in days.
pub const PERIOD_DAYS_MAX: u64 = 366;

/// Units from long to short, with their length in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time in whole milliseconds, at most [`PERIOD_DAYS_MAX`] days.
///
/// Written as numbers with units from long to short, each unit at most once; a bare `0` is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    ms: u64,
}

/// Why a text is not a length of time.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PeriodError {
    /// It does not have the form of one.
    #[error("`{text}` is not a duration")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// It is longer than anything that makes sense.
    #[error("`{text}` is longer than {PERIOD_DAYS_MAX} days")]
    TooLong {
        /// What was given.
        text: String,
    },
}

impl Period {
    /// One hour.
    pub const HOUR: Self = Self { ms: 3_600_000 };

    /// A length of time in seconds, cut at the longest one.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        let ms = seconds.saturating_mul(1_000);
        let ms_max = PERIOD_DAYS_MAX * 86_400_000;
        Self { ms: if ms > ms_max { ms_max } else { ms } }
    }

    /// Milliseconds.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        self.ms
    }

    /// For timers.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.ms == 0
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let malformed = || PeriodError::Malformed { text: text.chars().take(40).collect() };
        if text == "0" {
            return Ok(Self::default());
        }
        let mut ms: u64 = 0;
        let mut rest = text;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(malformed)?;
            let letters =
                tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
            let (unit, tail) = tail.split_at_checked(letters).ok_or_else(malformed)?;
            // Going on where the last unit was found keeps the units in order and unrepeated.
            let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(malformed)?;
            if number.is_empty() {
                return Err(malformed());
            }
            let too_long = || PeriodError::TooLong { text: text.chars().take(40).collect() };
            let number: u64 = number.parse().map_err(|_| too_long())?;
            ms = number
                .checked_mul(*length)
                .and_then(|part| ms.checked_add(part))
                .filter(|ms| *ms <= PERIOD_DAYS_MAX * 86_400_000)
                .ok_or_else(too_long)?;
            rest = tail;
        }
        if text.is_empty() { Err(malformed()) } else { Ok(Self { ms }) }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.ms;
        for (unit, length) in UNITS {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A length of time such as `90s`, `15m`, `1h30m` or `2d`; a bare `0` is zero.",
            "oneOf": [
                {
                    "type": "string",
                    "pattern": "^(0|(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$",
                },
                { "type": "integer", "const": 0 },
            ],
        })
    }
}
