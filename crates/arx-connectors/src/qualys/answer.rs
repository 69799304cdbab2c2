//! `SIMPLE_RETURN`: the one answer that stands for every error, also inside HTTP 200.

use std::time::Duration;

use arx_gateway::Pushback;

use super::xml::{Bounded, Xml, XmlError};
use crate::text;

/// Root of an answer.
pub(super) const ROOT: &str = "SIMPLE_RETURN";
/// Another call of this subscription is still running.
const CODE_CONCURRENCY: u32 = 1960;
/// The subscription's calls are used up for a while.
const CODE_RATE: u32 = 1965;
/// Codes of failures on Qualys' side.
const CODES_INTERNAL: &[u32] = &[999, 1999];
/// Codes about the account: wrong, expired, without access to the API.
const CODES_ACCOUNT: std::ops::Range<u32> = 2000..2100;
/// Those among them that say that the account may not make this call.
const CODES_ENTITLEMENT: &[u32] = &[2002, 2012];
/// Pause after a failure on Qualys' side.
const PAUSE_INTERNAL: Duration = Duration::from_millis(250);
/// Most items of an answer that are kept.
const ITEMS_MAX: usize = 100;

/// A `SIMPLE_RETURN`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: u32,
    pub(super) text: String,
    pub(super) items: Vec<(String, String)>,
}

/// What can be done about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Wait, and ask again.
    Wait(Pushback),
    /// Ask again after a short pause.
    Internal(Pushback),
    /// The account is not accepted.
    Account,
    /// Refused for good.
    Refused,
}

impl Answer {
    /// The answer in a body that is one; from a body that was cut, what can be read of it.
    pub(super) fn of_body(body: &[u8]) -> Option<Self> {
        let mut xml = Xml::open(body, body.len()).ok()?;
        if xml.name() != ROOT {
            return None;
        }
        let mut answer = Self::default();
        match answer.read(&mut xml) {
            Ok(()) => Some(answer),
            Err(_) => (answer.code != 0).then_some(answer),
        }
    }

    /// Reads an answer whose root has been entered.
    pub(super) fn read<R: Bounded>(&mut self, xml: &mut Xml<R>) -> Result<(), XmlError> {
        while xml.child()? {
            if xml.name() != "RESPONSE" {
                xml.skip()?;
                continue;
            }
            while xml.child()? {
                match xml.name() {
                    "CODE" => self.code = xml.text()?.parse().unwrap_or_default(),
                    "TEXT" => self.text = one_line(xml.text()?),
                    "ITEM_LIST" => self.read_items(xml)?,
                    _ => xml.skip()?,
                }
            }
        }
        Ok(())
    }

    fn read_items<R: Bounded>(&mut self, xml: &mut Xml<R>) -> Result<(), XmlError> {
        while xml.child()? {
            let (mut key, mut value) = (String::new(), String::new());
            while xml.child()? {
                match xml.name() {
                    "KEY" => key = xml.text()?.to_owned(),
                    "VALUE" => value = xml.text()?.to_owned(),
                    _ => xml.skip()?,
                }
            }
            if self.items.len() < ITEMS_MAX {
                self.items.push((key, value));
            }
        }
        Ok(())
    }

    /// What can be done about it.
    pub(super) fn kind(&self) -> Kind {
        match self.code {
            // Whoever is running now does not say for how long.
            CODE_CONCURRENCY => Kind::Wait(Pushback::Unspecified),
            CODE_RATE => {
                Kind::Wait(self.seconds_to_wait().map_or(Pushback::Unspecified, Pushback::For))
            }
            code if CODES_INTERNAL.contains(&code) => Kind::Internal(Pushback::For(PAUSE_INTERNAL)),
            code if CODES_ACCOUNT.contains(&code) => Kind::Account,
            _ => Kind::Refused,
        }
    }

    /// Whether it is about what this account may do, and not about the account itself.
    pub(super) fn is_about_entitlement(&self) -> bool {
        CODES_ENTITLEMENT.contains(&self.code)
    }

    /// Whether it is about calls that are used up, and not about one that is still running.
    pub(super) fn is_rate(&self) -> bool {
        self.code == CODE_RATE
    }

    /// How long to wait, from the items or the words: "for another 23 hours, 57 minutes and 54
    /// seconds".
    fn seconds_to_wait(&self) -> Option<Duration> {
        let item = self.items.iter().find(|(key, _)| key == "SECONDS_TO_WAIT");
        if let Some(seconds) = item.and_then(|(_, value)| value.parse().ok()) {
            return Some(Duration::from_secs(seconds));
        }
        let words: Vec<&str> = self.text.split([' ', ',', '.']).collect();
        let mut seconds: Option<u64> = None;
        for pair in words.windows(2) {
            let [number, unit] = pair else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            let length = match unit.trim_end_matches('s') {
                "day" => 86_400,
                "hour" => 3_600,
                "minute" => 60,
                "second" => 1,
                _ => continue,
            };
            seconds =
                Some(seconds.unwrap_or_default().saturating_add(number.saturating_mul(length)));
        }
        seconds.map(Duration::from_secs)
    }

    /// The code with its words, for messages.
    pub(super) fn message(&self) -> String {
        if self.text.is_empty() {
            format!("code {}", self.code)
        } else {
            format!("code {}: {}", self.code, self.text.trim_end_matches('.'))
        }
    }
}

/// The first characters of a text, on one line.
pub(super) fn one_line(text: &str) -> String {
    const UNITS_MAX: usize = 300;
    text::one_line(text, UNITS_MAX)
}
