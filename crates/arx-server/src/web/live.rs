//! What happens right now, as server-sent events. The journal is the record; a listener that falls
//! behind loses events, is told so, and reads the page again.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::daemon;

/// How often a quiet stream says that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long one stream lasts; browsers come again by themselves, and prove themselves again.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// The events that are wanted, from now on.
pub(crate) fn events(
    receiver: Receiver<daemon::Event>,
    wanted: impl Fn(&daemon::Event) -> bool + Send + 'static,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let end = Box::pin(tokio::time::sleep(LASTS));
    let received = stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(event) => Some((Some(event), receiver)),
            Err(RecvError::Lagged(_)) => Some((None, receiver)),
            Err(RecvError::Closed) => None,
        }
    });
    let told = received.filter_map(move |event| {
        let told = match event {
            None => Some(Event::default().event("lagged").data("{}")),
            Some(event) if wanted(&event) => told(&event),
            Some(_) => None,
        };
        std::future::ready(told.map(Ok))
    });
    let keep = KeepAlive::new().interval(ALIVE_EVERY).text("alive");
    Sse::new(told.take_until(end)).keep_alive(keep)
}

fn told(event: &daemon::Event) -> Option<Event> {
    let name = match event.what {
        daemon::What::Status { .. } => "status",
        daemon::What::Progress { .. } => "progress",
        daemon::What::Item { .. } => "item",
        daemon::What::Log { .. } => "log",
    };
    Event::default().event(name).json_data(event).ok()
}
