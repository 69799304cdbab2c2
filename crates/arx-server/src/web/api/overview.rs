//! The overview, whoever asks, and what happens right now.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;

use crate::web::input::Asker;
use crate::web::views::overview::{self as view, Overview, VendorView};
use crate::web::views::people::MeView;
use crate::web::{Problem, Web, live};

/// What ran, what waits, and what comes next.
#[utoipa::path(get, path = "/api/v1/overview", operation_id = "overview", tag = "overview",
    responses((status = 200, body = Overview)))]
pub(super) async fn overview(State(web): State<Web>) -> Result<Json<Overview>, Problem> {
    let vendors = web.app.daemon.vendors().into_iter().map(VendorView::of).collect();
    let (library, world, now) = (web.library.clone(), web.app.world.clone(), web.now());
    let seen = web.read(move |reader| view::read(reader, &library, &world, vendors, now)).await?;
    Ok(Json(seen))
}

/// Whoever asks.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "me", tag = "people",
    responses((status = 200, body = MeView)))]
pub(super) async fn me(Asker(caller): Asker) -> Json<MeView> {
    Json(MeView::of(&caller))
}

/// What happens in all runs, from now on, as server-sent events: `status`, `progress`, `item`,
/// `log`, and `lagged` when some were lost.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "events", tag = "overview",
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(super) async fn events(State(web): State<Web>) -> impl IntoResponse {
    live::events(web.app.daemon.events(), |event| {
        // Whoever watches everything is told that it goes on; the lines belong to their run.
        !matches!(event.what, crate::daemon::What::Log { .. })
    })
}
