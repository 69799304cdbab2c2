//! What is learned of one project and kept: its create screens and its highest key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arx_gateway::{Call, CallError};
use tokio::time::Instant;

use super::draft::Screen;
use super::schema::{self, Discovered, Field, IssueType};
use super::site::Site;
use super::trace;

/// How long a search that failed is not asked again before a create, so that it delays one
/// ticket of many and not each.
const SEARCH_FAILURE_KEPT: Duration = Duration::from_secs(60);

/// One project.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub key: String,
    schema: tokio::sync::Mutex<Schema>,
    /// Highest key number known to be taken.
    highest: Mutex<Option<u64>>,
    /// Held while the highest key is asked for, so that many creates at once ask once.
    asking: tokio::sync::Mutex<()>,
    /// Whether the search for the highest key failed of late.
    highest_search: Outage,
    /// Whether the search for labels failed of late.
    pub label_search: Outage,
}

/// A search that other work must not wait for when it fails.
#[derive(Debug, Default)]
pub(super) struct Outage {
    failed_at: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Schema {
    types: Option<Discovered<Vec<IssueType>>>,
    fields: BTreeMap<String, Discovered<Vec<Field>>>,
}

impl Project {
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }

    /// The create screen of the issue type that is wanted.
    pub async fn screen(
        &self,
        call: Call<'_>,
        site: &Site,
        wanted: Option<&str>,
    ) -> Result<Arc<Screen>, CallError> {
        let mut schema = self.schema.lock().await;
        if schema.types.is_none() {
            schema.types = Some(schema::issue_types(call, site, &self.key).await?);
        }
        let issue_type = match &schema.types {
            Some(Discovered::Known(types)) => {
                let chosen = schema::choose_type(types, wanted);
                Discovered::Known(chosen.map_err(|message| call.parameters(message))?.clone())
            }
            Some(Discovered::Unavailable(why)) => Discovered::Unavailable(why.clone()),
            None => Discovered::Unavailable("not asked".to_owned()),
        };
        let fields = match &issue_type {
            Discovered::Unavailable(why) => Discovered::Unavailable(why.clone()),
            Discovered::Known(IssueType { id, .. }) => match schema.fields.get(id) {
                Some(known) => known.clone(),
                None => {
                    let read = schema::fields(call, site, &self.key, id).await?;
                    schema.fields.insert(id.clone(), read.clone());
                    read
                }
            },
        };
        Ok(Arc::new(Screen { issue_type, fields }))
    }

    /// Forgets the create screens: the vendor refused what they allow.
    pub async fn forget_screens(&self) {
        *self.schema.lock().await = Schema::default();
    }

    /// A key number that is taken now, so that whatever is created from now on has a higher one.
    /// `None` when the project cannot be searched.
    pub async fn floor(&self, call: Call<'_>, site: &Site) -> Option<u64> {
        let _asking = self.asking.lock().await;
        if let Some(known) = self.highest() {
            return Some(known);
        }
        if self.highest_search.lasts() {
            return None;
        }
        match trace::highest(call, site, &self.key).await {
            Ok((number, _)) => {
                self.note(number);
                self.highest()
            }
            Err(_) => {
                self.highest_search.begin();
                None
            }
        }
    }

    /// The highest key number known to be taken.
    pub fn highest(&self) -> Option<u64> {
        *self.highest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a key number that is taken.
    pub fn note(&self, number: u64) {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        *highest = Some(highest.map_or(number, |known| known.max(number)));
    }
}

impl Outage {
    /// Whether it failed a short while ago.
    pub fn lasts(&self) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| at.elapsed() < SEARCH_FAILURE_KEPT)
    }

    /// Takes note that it failed just now.
    pub fn begin(&self) {
        let mut failed_at = self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        *failed_at = Some(Instant::now());
    }
}
