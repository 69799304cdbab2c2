//! What must hold for a patch to count as proven.

use std::time::Duration;

use arx_policy::Period;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long a sensor may have been silent, unless `sensor_max_age` says otherwise.
const SENSOR_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Which sources must speak for the patch. None may ever speak against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The scanner and the sensor.
    #[default]
    Both,
    /// At least one of them.
    Either,
}

/// What it means that the scanner lists a vulnerability in no status at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AbsentMeans {
    /// Nothing: the scanner may never have looked for it.
    #[default]
    Inconclusive,
    /// That it is fixed, on a host with an authenticated scan since the patch; for teams whose
    /// scanner covers everything.
    Fixed,
}

/// What must hold for a patch to count as proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criteria {
    /// Which sources must speak for it.
    pub verification: Mode,
    /// How long ago a sensor may have been heard of.
    pub sensor_max_age: Duration,
    /// How long ago the rescan may be; none asks only that it came after the patch.
    pub rescan_max_age: Option<Duration>,
    /// What it means to be listed in no status.
    pub absent_means: AbsentMeans,
}

impl Default for Criteria {
    fn default() -> Self {
        Self {
            verification: Mode::Both,
            sensor_max_age: SENSOR_MAX_AGE,
            rescan_max_age: None,
            absent_means: AbsentMeans::Inconclusive,
        }
    }
}

/// An input that is no criterion.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{key}` is `{given}`, but must be {expected}")]
pub struct CriteriaError {
    /// The input.
    pub key: &'static str,
    /// What was given, as JSON.
    pub given: String,
    /// What would have been accepted.
    pub expected: &'static str,
}

impl Criteria {
    /// From the `inputs` of a bundle, which hold other keys too.
    ///
    /// # Errors
    /// When a value is not what its key takes.
    pub fn from_inputs(inputs: &Value) -> Result<Self, CriteriaError> {
        let default = Self::default();
        let given = |key: &'static str| inputs.get(key).filter(|value| !value.is_null());
        Ok(Self {
            verification: choice(given, "verification", "`both` or `either`")?
                .unwrap_or(default.verification),
            sensor_max_age: period(given, "sensor_max_age")?.unwrap_or(default.sensor_max_age),
            rescan_max_age: period(given, "rescan_max_age")?,
            absent_means: choice(given, "absent_means", "`inconclusive` or `fixed`")?
                .unwrap_or(default.absent_means),
        })
    }
}

fn choice<'v, T: Deserialize<'v>>(
    given: impl Fn(&'static str) -> Option<&'v Value>,
    key: &'static str,
    expected: &'static str,
) -> Result<Option<T>, CriteriaError> {
    given(key)
        .map(|value| T::deserialize(value).map_err(|_| invalid(key, value, expected)))
        .transpose()
}

fn period<'v>(
    given: impl Fn(&'static str) -> Option<&'v Value>,
    key: &'static str,
) -> Result<Option<Duration>, CriteriaError> {
    let Some(value) = given(key) else { return Ok(None) };
    let parsed = value.as_str().and_then(|text| text.parse::<Period>().ok());
    match parsed.filter(|period| !period.is_zero()) {
        Some(period) => Ok(Some(period.as_duration())),
        None => Err(invalid(key, value, "a duration such as `24h` or `7d`")),
    }
}

fn invalid(key: &'static str, value: &Value, expected: &'static str) -> CriteriaError {
    let shown: String = value.to_string().chars().take(80).collect();
    CriteriaError { key, given: shown.trim_matches('"').to_owned(), expected }
}
