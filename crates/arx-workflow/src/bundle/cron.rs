//! The form of a cron expression; no time is computed here.

/// The longest expression, in bytes.
const CRON_BYTES_MAX: usize = 200;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// Names of the values from `low` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    // 0 and 7 are both Sunday.
    Field { name: "day of week", low: 0, high: 7, names: &DAYS },
];

/// Checks the five fields of an expression.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.len() > CRON_BYTES_MAX {
        return Err(format!("a cron expression has at most {CRON_BYTES_MAX} bytes"));
    }
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let found = fields.len();
        return Err(format!("a cron expression has {} fields, this one has {found}", FIELDS.len()));
    }
    for (field, text) in FIELDS.iter().zip(fields) {
        for part in text.split(',') {
            field.check(part).ok_or_else(|| {
                let Field { name, low, high, .. } = field;
                format!("`{part}` does not fit the field of the {name} ({low} to {high})")
            })?;
        }
    }
    Ok(())
}

impl Field {
    fn check(&self, part: &str) -> Option<()> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        if let Some(step) = step {
            let step: u32 = number(step)?;
            if step == 0 || step > self.high {
                return None;
            }
        }
        if range == "*" {
            return Some(());
        }
        match range.split_once('-') {
            Some((from, to)) => (self.value(from)? <= self.value(to)?).then_some(()),
            // A step needs something to step through.
            None => (self.value(range).is_some() && step.is_none()).then_some(()),
        }
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(place) => u32::try_from(place).ok()? + self.low,
            None => number(text)?,
        };
        (self.low..=self.high).contains(&value).then_some(value)
    }
}

/// Digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
