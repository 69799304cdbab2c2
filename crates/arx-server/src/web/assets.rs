//! The console's own files, which the binary holds. Their addresses name their content, so that
//! browsers keep them for good.

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::input::Named;
use super::{Needs, Problem, routes::Table};

/// One file.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

const ALL: [Asset; 3] = [
    Asset {
        name: "style.css",
        kind: "text/css; charset=utf-8",
        content: include_str!("assets/style.css"),
    },
    Asset {
        name: "app.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("assets/app.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", content: include_str!("assets/icon.svg") },
];

/// The files' addresses, in the order of the files.
static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = |asset: &Asset| {
        let digest = hex::encode(Sha256::digest(asset.content));
        format!("/assets/{}/{}", digest.get(..16).unwrap_or_default(), asset.name)
    };
    ALL.iter().map(path).collect()
});

/// The address of a file.
pub(crate) fn path(name: &str) -> &'static str {
    let at = ALL.iter().position(|asset| asset.name == name);
    at.and_then(|at| PATHS.get(at)).map_or("", String::as_str)
}

/// Adds the files' route.
pub(crate) fn add(table: Table) -> Table {
    table.plain("/assets/{digest}/{name}", Needs::Nothing, file)
}

async fn file(Named((digest, name)): Named<(String, String)>) -> Response {
    let wanted = format!("/assets/{digest}/{name}");
    let found = ALL.iter().zip(PATHS.iter()).find(|(_, path)| **path == wanted);
    let Some((asset, _)) = found else {
        let text = "there is no such file in this version";
        return Problem::new(StatusCode::NOT_FOUND, "ARX-E010", text).into_response();
    };
    let forever = "public, max-age=31536000, immutable";
    let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, forever)];
    (headers, asset.content).into_response()
}
