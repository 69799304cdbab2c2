//! Request parameters: from the query or a form, checked as Qualys checks them.

use jiff::Timestamp;

use super::Problem;
use crate::http::{Request, pairs};

/// Parameters in the order sent; a repeated one keeps its last value.
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
}

/// Whole numbers and ranges of them, e.g. `105,200-300`.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub fn contains(&self, n: u64) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&n))
    }
}

impl Parameters {
    pub fn of(req: &Request) -> Self {
        let mut all = req.query.clone();
        if req.method == "POST" {
            all.extend(pairs(&req.body));
        }
        Self { pairs: all }
    }

    pub fn last(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// Everything but one parameter, for the link to the next page.
    pub fn without<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a (String, String)> {
        self.pairs.iter().filter(move |(k, _)| k != name)
    }

    /// Refuses what the call does not know.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Problem::unrecognized(name)),
            None => Ok(()),
        }
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.last(name)
            .map(|text| {
                let why = format!("not a positive integer: {text}");
                text.parse().map_err(|_| Problem::invalid(name, text, &why))
            })
            .transpose()
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Problem> {
        match self.last(name) {
            None => Ok(default),
            Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(other) => Err(Problem::invalid(name, other, "")),
        }
    }

    pub fn ranges(&self, name: &str) -> Result<Option<Ranges>, Problem> {
        let Some(text) = self.last(name) else { return Ok(None) };
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let why = format!("neither a positive integer nor a range: {part}");
            let bad = || Problem::invalid(name, text, &why);
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let low: u64 = low.trim().parse().map_err(|_| bad())?;
            let high: u64 = high.trim().parse().map_err(|_| bad())?;
            if low > high {
                return Err(bad());
            }
            ranges.push((low, high));
        }
        Ok(Some(Ranges(ranges)))
    }

    /// Comma-separated words out of a fixed set.
    pub fn words(&self, name: &str, known: &[&str]) -> Result<Option<Vec<&str>>, Problem> {
        let Some(text) = self.last(name) else { return Ok(None) };
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        match words.iter().find(|word| !known.contains(word)) {
            Some(word) => Err(Problem::invalid(name, word, "")),
            None => Ok(Some(words)),
        }
    }

    /// `YYYY-MM-DD[THH:MM:SSZ]`, as seconds since the epoch.
    pub fn date(&self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.last(name) else { return Ok(None) };
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let at: Timestamp = whole.parse().map_err(|_| Problem::invalid(name, text, ""))?;
        Ok(Some(at.as_second()))
    }
}
