//! What makes a vulnerability worth acting on.

use arx_types::Severity;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::facts::Scores;

/// Keys of [`Thresholds`], as workflows and `inputs` write them.
const KEYS: [&str; 4] = ["severities", "min_cvss", "qualys_min_severity", "require"];
/// Keys of [`Require`].
const REQUIRE_KEYS: [&str; 3] = ["known_exploited", "public_exploit", "epss_at_least"];
/// The highest CVSS base score.
const CVSS_MAX: f64 = 10.0;

/// What a vulnerability must show to qualify.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Severities that qualify, for sources whose severity is a word.
    pub severities: Vec<Severity>,
    /// The lowest CVSS that qualifies. A vulnerability without a CVSS passes: unknown is not low.
    pub min_cvss: Option<f64>,
    /// The lowest severity that qualifies on Qualys' scale of 1 to 5.
    pub qualys_min_severity: u8,
    /// Signs of exploitation, one of which must hold.
    pub require: Require,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            severities: vec![Severity::Critical],
            min_cvss: None,
            qualys_min_severity: 5,
            require: Require::default(),
        }
    }
}

/// Signs of exploitation: where any is asked for, one of those asked for must hold.
///
/// Unlike a missing CVSS, missing data satisfies none of them: they are claims that something is
/// known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Require {
    /// Listed as known exploited.
    pub known_exploited: bool,
    /// A public exploit exists.
    pub public_exploit: bool,
    /// EPSS probability of at least this.
    pub epss_at_least: Option<f64>,
}

/// Why thresholds could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdsError {
    /// There is no such threshold.
    #[error("unknown threshold `{key}`; did you mean `{nearest}`?")]
    UnknownKey {
        /// What was given.
        key: String,
        /// The threshold with the most similar name.
        nearest: &'static str,
    },
    /// A threshold has a value that it cannot have.
    #[error("`{key}` is `{given}`, but must be {expected}")]
    Invalid {
        /// The threshold.
        key: String,
        /// What was given, as JSON.
        given: String,
        /// What would have been accepted.
        expected: &'static str,
    },
}

impl Thresholds {
    /// From the keyword parameters of a call: nothing but thresholds may be in them.
    ///
    /// # Errors
    /// When a key is unknown or a value is not what its key takes.
    pub fn from_params(params: &Value) -> Result<Self, ThresholdsError> {
        let fields = fields(params, "thresholds", "an object of thresholds")?;
        known_keys(fields, "", &KEYS)?;
        Self::read(fields)
    }

    /// From the `inputs` of a bundle, which hold other keys too.
    ///
    /// # Errors
    /// When a value is not what its key takes.
    pub fn from_inputs(inputs: &Value) -> Result<Self, ThresholdsError> {
        Self::read(fields(inputs, "inputs", "an object of inputs")?)
    }

    fn read(fields: Option<&Map<String, Value>>) -> Result<Self, ThresholdsError> {
        let default = Self::default();
        let get = |key| given(fields, key);
        Ok(Self {
            severities: match get("severities") {
                Some(value) => severities(value)?,
                None => default.severities,
            },
            min_cvss: get("min_cvss")
                .map(|value| number("min_cvss", value, CVSS_MAX, "a CVSS score from 0 to 10"))
                .transpose()?,
            qualys_min_severity: match get("qualys_min_severity") {
                Some(value) => value
                    .as_u64()
                    .filter(|level| (1..=5).contains(level))
                    .and_then(|level| u8::try_from(level).ok())
                    .ok_or_else(|| {
                        invalid("qualys_min_severity", value, "a whole number from 1 to 5")
                    })?,
                None => default.qualys_min_severity,
            },
            require: match get("require") {
                Some(value) => Require::read(value)?,
                None => default.require,
            },
        })
    }

    /// Why a vulnerability with these scores does not qualify; `None` when it does.
    pub(super) fn objection(&self, scores: &Scores) -> Option<String> {
        if let Some(why) = self.not_severe(scores) {
            return Some(why);
        }
        if let (Some(min), Some(tenths)) = (self.min_cvss, scores.cvss_tenths)
            && cvss(tenths) < min
        {
            return Some(format!("CVSS {:.1} is under {min}", cvss(tenths)));
        }
        self.require.objection(scores)
    }
}

impl Thresholds {
    /// Why no finding is severe enough on the scale of its source.
    fn not_severe(&self, scores: &Scores) -> Option<String> {
        let on_scale = scores.qualys_severity;
        if self.severities.iter().any(|severity| scores.has_word(*severity))
            || (on_scale > 0 && on_scale >= self.qualys_min_severity)
        {
            return None;
        }
        let words = scores.highest_word().map(|word| {
            let wanted: Vec<&str> = self.severities.iter().map(|word| word.as_str()).collect();
            format!("severity {} is not among {}", word.as_str(), wanted.join(", "))
        });
        let scale = (on_scale > 0)
            .then(|| format!("Qualys severity {on_scale} is under {}", self.qualys_min_severity));
        let reasons: Vec<String> = words.into_iter().chain(scale).collect();
        Some(reasons.join(" and "))
    }
}

impl Require {
    fn read(value: &Value) -> Result<Self, ThresholdsError> {
        let fields = fields(value, "require", "an object of requirements")?;
        known_keys(fields, "require.", &REQUIRE_KEYS)?;
        let flag = |key: &'static str, path: &str| match given(fields, key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| invalid(path, value, "true or false")),
        };
        Ok(Self {
            known_exploited: flag("known_exploited", "require.known_exploited")?,
            public_exploit: flag("public_exploit", "require.public_exploit")?,
            epss_at_least: given(fields, "epss_at_least")
                .map(|value| number("require.epss_at_least", value, 1.0, "a probability, 0 to 1"))
                .transpose()?,
        })
    }

    fn objection(&self, scores: &Scores) -> Option<String> {
        let asked = [
            self.known_exploited.then_some((scores.known_exploited, "listed as known exploited")),
            self.public_exploit.then_some((scores.public_exploit, "known to have an exploit")),
            self.epss_at_least.map(|min| {
                let met = scores.epss_millionths.is_some_and(|given| epss(given) >= min);
                (met, "given an EPSS that high")
            }),
        ];
        let missing: Vec<&str> = asked.iter().flatten().map(|(_, what)| *what).collect();
        let met = missing.is_empty() || asked.iter().flatten().any(|(met, _)| *met);
        (!met).then(|| format!("it is not {}", missing.join(" or ")))
    }
}

/// CVSS from tenths.
pub(super) fn cvss(tenths: u8) -> f64 {
    f64::from(tenths) / 10.0
}

/// EPSS from millionths.
pub(super) fn epss(millionths: u32) -> f64 {
    f64::from(millionths) / 1_000_000.0
}

/// A value that is there; `null` is as good as absent.
fn given<'a>(fields: Option<&'a Map<String, Value>>, key: &str) -> Option<&'a Value> {
    fields?.get(key).filter(|value| !value.is_null())
}

fn fields<'a>(
    value: &'a Value,
    key: &str,
    expected: &'static str,
) -> Result<Option<&'a Map<String, Value>>, ThresholdsError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(fields) => Ok(Some(fields)),
        _ => Err(invalid(key, value, expected)),
    }
}

fn known_keys(
    fields: Option<&Map<String, Value>>,
    prefix: &str,
    known: &[&'static str],
) -> Result<(), ThresholdsError> {
    let unknown = fields.into_iter().flat_map(Map::keys).find(|key| !known.contains(&key.as_str()));
    let Some(key) = unknown else { return Ok(()) };
    let nearest = known.iter().copied().min_by_key(|name| strsim::levenshtein(name, key));
    let key = format!("{prefix}{}", shortened(key));
    Err(ThresholdsError::UnknownKey { key, nearest: nearest.unwrap_or_default() })
}

fn severities(value: &Value) -> Result<Vec<Severity>, ThresholdsError> {
    let expected = "a list of CRITICAL, HIGH, MEDIUM, LOW, INFORMATIONAL or NONE, at least one";
    let words = value.as_array().filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| invalid("severities", value, expected))?;
    let mut severities = words
        .iter()
        .map(|word| word.as_str().and_then(|word| Severity::parse(word.trim())))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| invalid("severities", value, expected))?;
    severities.sort_unstable_by(|left, right| right.cmp(left));
    severities.dedup();
    Ok(severities)
}

fn number(
    key: &str,
    value: &Value,
    max: f64,
    expected: &'static str,
) -> Result<f64, ThresholdsError> {
    value
        .as_f64()
        .filter(|number| (0.0..=max).contains(number))
        .ok_or_else(|| invalid(key, value, expected))
}

fn invalid(key: &str, value: &Value, expected: &'static str) -> ThresholdsError {
    let given = shortened(&value.to_string());
    ThresholdsError::Invalid { key: key.to_owned(), given, expected }
}

/// What a person typed, short enough to be shown.
fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    text.chars().take(SHOWN_MAX).collect()
}
