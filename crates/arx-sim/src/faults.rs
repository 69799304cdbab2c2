//! Faults on demand: the grammar, and when each strikes.
//!
//! A specification is a comma-separated list of `[vendor[.operation]:]fault[=value][@n|%p][xcount]`;
//! `docs/simulators.md` explains every fault. Chance comes from the seed and the number of matching
//! requests alone, so a run repeats exactly.
//! Start at [`Faults`] (parsed) and [`Armed`] (counting).

use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use crate::Vendor;
use crate::ledger::lock;

/// The largest number of rules in one specification.
const RULES_MAX: usize = 64;
/// The shortest window of a limit.
const WINDOW_MIN: Duration = Duration::from_millis(1);
/// The longest delay a rule may ask for.
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// A parsed fault specification.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    rules: Vec<Rule>,
}

/// Why a fault specification was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A name that no fault has.
    #[error("unknown fault `{fault}` in `{rule}`; known faults: {}", names())]
    UnknownFault {
        /// The name as written.
        fault: String,
        /// The rule it stands in.
        rule: String,
    },
    /// A vendor that is not simulated.
    #[error("unknown vendor `{vendor}` in `{rule}`; simulated: {}", Vendor::names())]
    UnknownVendor {
        /// The name as written.
        vendor: String,
        /// The rule it stands in.
        rule: String,
    },
    /// A fault that only another vendor can have.
    #[error("fault `{fault}` in `{rule}` belongs to {owners} alone")]
    WrongVendor {
        /// The fault as written.
        fault: String,
        /// Whose fault it is.
        owners: String,
        /// The rule it stands in.
        rule: String,
    },
    /// A value, position, chance or count that cannot be read.
    #[error("bad {part} `{text}` in `{rule}`: {wanted}")]
    BadPart {
        /// Which part of the rule.
        part: &'static str,
        /// The part as written.
        text: String,
        /// What it should be.
        wanted: &'static str,
        /// The rule it stands in.
        rule: String,
    },
    /// More rules than are accepted.
    #[error("more than {RULES_MAX} faults in one specification")]
    TooMany,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    vendor: Option<Vendor>,
    operation: Option<String>,
    fault: Fault,
    when: When,
    count_max: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    From(u64),
    Percent(u64),
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    Latency(Duration),
    TooMany {
        after_s: Option<u64>,
    },
    TooManyBare,
    ServerError,
    Unavailable,
    Reset,
    /// So many requests in a window; strikes as [`Fault::OverLimit`].
    Limit {
        n_max: u64,
        window: Duration,
    },
    /// A limit was exceeded; how long until the window ends.
    OverLimit {
        wait_s: u64,
    },
    Truncate,
    Cut,
    ErrorAfter,
    DropAfter,
    ExpireToken,
    TokenLife(Duration),
    GraphqlError(String),
    BadPaging(Paging),
    Concurrency,
    Rate {
        wait_s: u64,
    },
    SimpleReturn(u32),
    ForeignUrl,
    Lag(Duration),
    /// CrowdStrike sends the caller to another region's host.
    WrongRegion(String),
    /// CrowdStrike answers 200 with errors and some of the resources.
    ErrorsIn200,
    /// ServiceNow ran out of time in mid-result; `is_json`: the reply parses all the same.
    TransactionCancelled {
        is_json: bool,
    },
    /// ServiceNow's page of a hibernating instance.
    Hibernating,
    /// ServiceNow drops these fields of a write without a word.
    IgnoredFields(Vec<String>),
    /// Somebody edits a ServiceNow record just after it was read.
    EditedMeanwhile,
    /// The request arrives twice, and the second reply is the one that comes back.
    Twice,
    /// Every row of the reply comes twice.
    Doubled,
}

/// How a page lies about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    Null,
    Repeat,
    Empty,
}

/// When, in the life of a request, a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the service sees the request.
    Before,
    /// Inside the service, which knows what the fault looks like there.
    Within,
    /// Once a write is in the ledger.
    Committed,
    /// On any finished reply.
    Reply,
}

/// Name, whose fault it is (nobody's: anybody's), and how to read its value.
type Reader = fn(Option<&str>) -> Result<Fault, &'static str>;
#[rustfmt::skip]
const FAULTS: &[(&str, &[Vendor], Reader)] = &[
    ("latency", &[], |v| duration(v, None).map(Fault::Latency)),
    ("429", &[], |v| Ok(Fault::TooMany { after_s: v.map(|t| number(Some(t), 0)).transpose()? })),
    ("429-bare", &[], |v| bare(v, Fault::TooManyBare)),
    ("500", &[], |v| bare(v, Fault::ServerError)),
    ("503", &[], |v| bare(v, Fault::Unavailable)),
    ("reset", &[], |v| bare(v, Fault::Reset)),
    ("down", &[], |v| bare(v, Fault::Reset)),
    ("limit", &[], |v| {
        const WANTED: &str = "write a count and a window, such as 10/60s";
        let (n, window) = v.and_then(|v| v.split_once('/')).ok_or(WANTED)?;
        let window = duration(Some(window), None)?;
        Ok(Fault::Limit { n_max: number(Some(n), 0)?, window: window.max(WINDOW_MIN) })
    }),
    ("truncate", &[], |v| bare(v, Fault::Truncate)),
    ("cut", &[], |v| bare(v, Fault::Cut)),
    ("500-after", &[], |v| bare(v, Fault::ErrorAfter)),
    ("drop-after", &[], |v| bare(v, Fault::DropAfter)),
    ("expire-token", &[Vendor::Wiz, Vendor::CrowdStrike], |v| bare(v, Fault::ExpireToken)),
    ("token-life", &[Vendor::Wiz, Vendor::CrowdStrike], |v| duration(v, None).map(Fault::TokenLife)),
    ("graphql-error", &[Vendor::Wiz], |v| {
        Ok(Fault::GraphqlError(v.unwrap_or("INTERNAL").to_owned()))
    }),
    ("bad-paging", &[Vendor::Wiz], |v| match v {
        None | Some("null") => Ok(Fault::BadPaging(Paging::Null)),
        Some("repeat") => Ok(Fault::BadPaging(Paging::Repeat)),
        Some("empty") => Ok(Fault::BadPaging(Paging::Empty)),
        Some(_) => Err("write null, repeat or empty"),
    }),
    ("409-concurrency", &[Vendor::Qualys], |v| bare(v, Fault::Concurrency)),
    ("409-rate", &[Vendor::Qualys], |v| Ok(Fault::Rate { wait_s: number(v, 60)? })),
    ("simple-return", &[Vendor::Qualys], |v| {
        let code = number(v, 2001)?;
        u32::try_from(code).map(Fault::SimpleReturn).map_err(|_| "write a Qualys error code")
    }),
    ("foreign-url", &[Vendor::Qualys], |v| bare(v, Fault::ForeignUrl)),
    ("lag", &[Vendor::Jira], |v| duration(v, None).map(Fault::Lag)),
    ("wrong-region", &[Vendor::CrowdStrike], |v| match v {
        None => Ok(Fault::WrongRegion("us-2".to_owned())),
        Some(region @ ("us-1" | "us-2" | "us-3" | "eu-1")) => Ok(Fault::WrongRegion(region.to_owned())),
        Some(_) => Err("write us-1, us-2, us-3 or eu-1"),
    }),
    ("errors-in-200", &[Vendor::CrowdStrike], |v| bare(v, Fault::ErrorsIn200)),
    ("transaction-cancelled", &[Vendor::ServiceNow], |v| match v {
        None => Ok(Fault::TransactionCancelled { is_json: false }),
        Some("json") => Ok(Fault::TransactionCancelled { is_json: true }),
        Some(_) => Err("write json or nothing"),
    }),
    ("html", &[Vendor::ServiceNow], |v| bare(v, Fault::Hibernating)),
    ("ignored-fields", &[Vendor::ServiceNow], |v| {
        let names: Vec<String> = v.unwrap_or("state").split('+').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) { Err("write field names joined by +") } else { Ok(Fault::IgnoredFields(names)) }
    }),
    ("edited-meanwhile", &[Vendor::ServiceNow], |v| bare(v, Fault::EditedMeanwhile)),
    ("twice", &[], |v| bare(v, Fault::Twice)),
    ("doubled", &[], |v| bare(v, Fault::Doubled)),
];

fn names() -> String {
    let names: Vec<&str> = FAULTS.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}

fn bare(value: Option<&str>, fault: Fault) -> Result<Fault, &'static str> {
    if value.is_some() { Err("this fault takes no value") } else { Ok(fault) }
}

fn number(value: Option<&str>, default: u64) -> Result<u64, &'static str> {
    value.map_or(Ok(default), |text| text.parse().map_err(|_| "write a whole number"))
}

/// `250ms`, `3s`, `2m`; a bare number is seconds.
fn duration(value: Option<&str>, default: Option<Duration>) -> Result<Duration, &'static str> {
    const WANTED: &str = "write a duration such as 250ms, 3s or 2m";
    let Some(text) = value else { return default.ok_or(WANTED) };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let amount: u64 = amount.parse().map_err(|_| WANTED)?;
    let found = match unit {
        "ms" => Duration::from_millis(amount),
        "" | "s" => Duration::from_secs(amount),
        "m" => Duration::from_secs(amount.saturating_mul(60)),
        _ => return Err(WANTED),
    };
    if found > DELAY_MAX { Err("at most one hour") } else { Ok(found) }
}

impl Fault {
    fn stage(&self) -> Stage {
        match self {
            Self::Latency(_)
            | Self::TooMany { .. }
            | Self::TooManyBare
            | Self::ServerError
            | Self::Unavailable
            | Self::Reset
            | Self::Limit { .. }
            | Self::OverLimit { .. } => Stage::Before,
            Self::ExpireToken
            | Self::TokenLife(_)
            | Self::GraphqlError(_)
            | Self::BadPaging(_)
            | Self::Concurrency
            | Self::Rate { .. }
            | Self::SimpleReturn(_)
            | Self::ForeignUrl
            | Self::Lag(_)
            | Self::WrongRegion(_)
            | Self::ErrorsIn200
            | Self::TransactionCancelled { .. }
            | Self::Hibernating
            | Self::IgnoredFields(_)
            | Self::EditedMeanwhile
            | Self::Twice => Stage::Within,
            Self::ErrorAfter | Self::DropAfter => Stage::Committed,
            Self::Truncate | Self::Cut | Self::Doubled => Stage::Reply,
        }
    }

    /// Some faults mean something to a few operations only; others must not use up their turn.
    fn fits(&self, operation: &str) -> bool {
        match self {
            Self::Lag(_) => operation == "issues.create" || operation == "issues.bulk_create",
            Self::TokenLife(_) => operation == "oauth.token" || operation == "oauth2.token",
            Self::ExpireToken => {
                operation.starts_with("graphql.") || operation.starts_with("devices.")
            }
            Self::GraphqlError(_) | Self::BadPaging(_) => operation.starts_with("graphql."),
            Self::ErrorsIn200 => operation.starts_with("devices."),
            Self::TransactionCancelled { .. } => {
                operation.starts_with("table.list") || operation.starts_with("table.get")
            }
            Self::EditedMeanwhile => operation.starts_with("table.get"),
            Self::IgnoredFields(_) => operation.starts_with("table.update"),
            _ => true,
        }
    }
}

impl FromStr for Faults {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let rules: Vec<Rule> = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Rule::parse)
            .collect::<Result<_, _>>()?;
        if rules.len() > RULES_MAX { Err(FaultError::TooMany) } else { Ok(Self { rules }) }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, FaultError> {
        let rule = || text.to_owned();
        let bad = |part, text: &str, wanted| FaultError::BadPart {
            part,
            text: text.to_owned(),
            wanted,
            rule: rule(),
        };

        let (target, rest) = match text.split_once(':') {
            Some((target, rest)) => (Some(target), rest),
            None => (None, text),
        };
        // The count and the chance are read from the end: fault names hold neither `@` nor `%`.
        let (rest, count) = match rest.rsplit_once('x') {
            Some((head, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
                (head, Some(n))
            }
            _ => (rest, None),
        };
        let (rest, when) = if let Some((head, n)) = rest.split_once('@') {
            let n = n.parse().ok().filter(|n| *n > 0);
            (head, When::From(n.ok_or_else(|| bad("position", rest, "write @1 or more"))?))
        } else if let Some((head, p)) = rest.split_once('%') {
            let p = p.parse().ok().filter(|p| (1..=100).contains(p));
            (head, When::Percent(p.ok_or_else(|| bad("chance", rest, "write %1 to %100"))?))
        } else {
            (rest, When::Always)
        };
        let count_max = match (count, when) {
            (Some(n), _) => {
                Some(n.parse().map_err(|_| bad("count", n, "write x and a whole number"))?)
            }
            (None, When::From(_)) => Some(1),
            (None, _) => None,
        };

        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let Some((_, owners, read)) = FAULTS.iter().find(|(known, ..)| *known == name) else {
            return Err(FaultError::UnknownFault { fault: name.to_owned(), rule: rule() });
        };
        let fault = read(value).map_err(|wanted| bad("value", value.unwrap_or(""), wanted))?;

        let (vendor, operation) = match target {
            None => (
                match owners {
                    [owner] => Some(*owner),
                    _ => None,
                },
                None,
            ),
            Some(target) => {
                let (vendor, operation) = match target.split_once('.') {
                    Some((vendor, operation)) => (vendor, Some(operation.to_owned())),
                    None => (target, None),
                };
                let found = vendor.parse().map_err(|_| FaultError::UnknownVendor {
                    vendor: vendor.to_owned(),
                    rule: rule(),
                })?;
                if !owners.is_empty() && !owners.contains(&found) {
                    let owners: Vec<&str> = owners.iter().map(|owner| owner.name()).collect();
                    let (fault, owners) = (name.to_owned(), owners.join(" and "));
                    return Err(FaultError::WrongVendor { fault, owners, rule: rule() });
                }
                (Some(found), operation)
            }
        };
        Ok(Self { vendor, operation, fault, when, count_max })
    }

    fn matches(&self, vendor: Vendor, operation: &str, stage: Stage) -> bool {
        self.fault.stage() == stage
            && self.vendor.is_none_or(|wanted| wanted == vendor)
            && self.operation.as_deref().is_none_or(|wanted| {
                operation == wanted
                    || operation.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
            })
            && self.fault.fits(operation)
    }
}

/// Faults with their counters.
pub(crate) struct Armed {
    seed: u64,
    rules: Mutex<Vec<(Rule, Count)>>,
}

#[derive(Default)]
struct Count {
    seen: u64,
    struck: u64,
    /// The window of a limit that is running, and the requests in it.
    window: Option<(Timestamp, u64)>,
}

impl Count {
    /// Counts a request against a limit; how long to wait when it is one too many.
    fn over_limit(&mut self, now: Timestamp, n_max: u64, length: Duration) -> Option<u64> {
        let (start, used) = self
            .window
            .filter(|(start, _)| now.duration_since(*start).unsigned_abs() < length)
            .unwrap_or((now, 0));
        self.window = Some((start, used + 1));
        let left = length.saturating_sub(now.duration_since(start).unsigned_abs());
        (used >= n_max).then(|| left.as_millis().div_ceil(1_000) as u64)
    }
}

impl Armed {
    pub fn new(faults: Faults, seed: u64) -> Self {
        let armed = Self { seed, rules: Mutex::default() };
        armed.replace(faults);
        armed
    }

    /// Puts other rules in force, with fresh counters.
    pub fn replace(&self, faults: Faults) {
        *lock(&self.rules) =
            faults.rules.into_iter().map(|rule| (rule, Count::default())).collect();
    }

    /// The faults that strike this request at this stage, in the order they were written.
    pub fn strike(
        &self,
        now: Timestamp,
        vendor: Vendor,
        operation: &str,
        stage: Stage,
    ) -> Vec<Fault> {
        let mut struck = Vec::new();
        for (index, (rule, count)) in lock(&self.rules).iter_mut().enumerate() {
            if !rule.matches(vendor, operation, stage) {
                continue;
            }
            count.seen += 1;
            let due = match rule.when {
                When::Always => true,
                When::From(n) => count.seen >= n,
                When::Percent(p) => mix(self.seed, index as u64, count.seen) % 100 < p,
            };
            if !due || rule.count_max.is_some_and(|max| count.struck >= max) {
                continue;
            }
            let fault = match &rule.fault {
                Fault::Limit { n_max, window } => match count.over_limit(now, *n_max, *window) {
                    Some(wait_s) => Fault::OverLimit { wait_s },
                    None => continue,
                },
                other => other.clone(),
            };
            count.struck += 1;
            struck.push(fault);
        }
        struck
    }
}

/// A well-mixed number from three (the SplitMix64 finaliser).
pub(crate) fn mix(a: u64, b: u64, c: u64) -> u64 {
    let mut x = a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ c.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
