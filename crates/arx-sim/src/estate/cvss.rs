//! CVSS 3.x base scores, computed from the vector so that the two never disagree.

/// Base score and its two parts, rounded as the standard says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cvss {
    pub base: f64,
    pub exploitability: f64,
    pub impact: f64,
}

/// One metric's letter, e.g. `metric("AV:N/AC:L", "AC")` is `L`.
pub(crate) fn metric<'v>(vector: &'v str, name: &str) -> &'v str {
    vector
        .split('/')
        .find_map(|part| part.split_once(':').filter(|(n, _)| *n == name).map(|(_, v)| v))
        .unwrap_or("")
}

impl Cvss {
    /// `None` where the vector is incomplete.
    pub fn from_vector(vector: &str) -> Option<Self> {
        let is_changed = metric(vector, "S") == "C";
        let part = |name| match (name, metric(vector, name)) {
            ("AV", "N") => Some(0.85),
            ("AV", "A") => Some(0.62),
            ("AV", "L") => Some(0.55),
            ("AV", "P") => Some(0.2),
            ("AC", "L") => Some(0.77),
            ("AC", "H") => Some(0.44),
            ("PR", "N") => Some(0.85),
            ("PR", "L") => Some(if is_changed { 0.68 } else { 0.62 }),
            ("PR", "H") => Some(if is_changed { 0.5 } else { 0.27 }),
            ("UI", "N") => Some(0.85),
            ("UI", "R") => Some(0.62),
            ("C" | "I" | "A", "H") => Some(0.56),
            ("C" | "I" | "A", "L") => Some(0.22),
            ("C" | "I" | "A", "N") => Some(0.0),
            _ => None,
        };
        let exploitability = 8.22 * part("AV")? * part("AC")? * part("PR")? * part("UI")?;
        let lost: f64 = 1.0 - (1.0 - part("C")?) * (1.0 - part("I")?) * (1.0 - part("A")?);
        let impact = if is_changed {
            7.52 * (lost - 0.029) - 3.25 * (lost - 0.02).powi(15)
        } else {
            6.42 * lost
        };
        let base = if impact <= 0.0 {
            0.0
        } else if is_changed {
            round_up((1.08 * (impact + exploitability)).min(10.0))
        } else {
            round_up((impact + exploitability).min(10.0))
        };
        let one = |x: f64| (x * 10.0).round() / 10.0;
        Some(Self { base, exploitability: one(exploitability), impact: one(impact.max(0.0)) })
    }
}

fn round_up(score: f64) -> f64 {
    let scaled = (score * 100_000.0).round() as i64;
    if scaled % 10_000 == 0 {
        scaled as f64 / 100_000.0
    } else {
        (scaled / 10_000 + 1) as f64 / 10.0
    }
}
