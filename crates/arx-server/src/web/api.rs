//! `/api/v1`: everything that the console shows and does, for programs.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod effects;
mod overview;
mod people;
mod runs;
mod workflows;

use arx_types::Role;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    ResponseBuilder,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::problem::PROBLEM_JSON;
use super::routes::{Needs, Table};
use super::views;
use super::{Problem, Web};

/// What may go wrong with any operation.
const PROBLEMS: [(&str, &str); 11] = [
    ("400", "the request makes no sense"),
    ("401", "nobody is signed in"),
    ("403", "this caller may not"),
    ("404", "there is no such thing"),
    ("405", "not with this method"),
    ("409", "the record says otherwise"),
    ("413", "the request is too large"),
    ("415", "the body is not JSON"),
    ("421", "the host is not this one"),
    ("422", "the request asks for what cannot be"),
    ("500", "the record cannot be read or written"),
];

/// Every operation with what it needs.
fn operations() -> Vec<(Needs, UtoipaMethodRouter<Web>)> {
    let viewer = Needs::Role(Role::Viewer);
    let approver = Needs::Role(Role::Approver);
    let admin = Needs::Role(Role::Admin);
    vec![
        (viewer, routes!(overview::overview)),
        (viewer, routes!(overview::me)),
        (viewer, routes!(overview::events)),
        (viewer, routes!(runs::list)),
        (viewer, routes!(runs::show)),
        (viewer, routes!(runs::steps)),
        (viewer, routes!(runs::decisions)),
        (viewer, routes!(runs::items)),
        (viewer, routes!(runs::lineage)),
        (viewer, routes!(runs::timeline)),
        (viewer, routes!(runs::events)),
        (viewer, routes!(runs::evidence)),
        (admin, routes!(runs::cancel)),
        (admin, routes!(runs::resume)),
        (viewer, routes!(approvals::list)),
        (viewer, routes!(approvals::show)),
        (approver, routes!(approvals::vote)),
        (viewer, routes!(workflows::list)),
        (viewer, routes!(workflows::show)),
        (viewer, routes!(workflows::fires)),
        (admin, routes!(workflows::register)),
        (admin, routes!(workflows::unregister)),
        (admin, routes!(workflows::pause)),
        (admin, routes!(workflows::resume)),
        (admin, routes!(workflows::run)),
        (admin, routes!(workflows::stop)),
        (admin, routes!(workflows::start)),
        (viewer, routes!(effects::list)),
        (viewer, routes!(effects::attention)),
        (admin, routes!(effects::settle)),
        (viewer, routes!(audit::leaves)),
        (viewer, routes!(audit::leaf)),
        (viewer, routes!(audit::checkpoint)),
        (viewer, routes!(audit::consistency)),
        (viewer, routes!(audit::verify)),
        (admin, routes!(people::list)),
        (admin, routes!(people::add)),
        (admin, routes!(people::change)),
        (admin, routes!(people::reset)),
        (viewer, routes!(people::tokens)),
        (viewer, routes!(people::new_token)),
        (viewer, routes!(people::revoke)),
    ]
}

/// Adds the API's routes.
pub(crate) fn add(table: Table) -> Table {
    let table = table.plain("/api/v1/openapi.json", Needs::Nothing, openapi);
    operations().into_iter().fold(table, |table, (needs, operation)| table.api(needs, operation))
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// Where the page begins: `next` of the page before.
    pub(crate) cursor: Option<String>,
    /// At most so many entries.
    #[param(minimum = 1, maximum = 200, default = 50)]
    #[serde(default, deserialize_with = "entries")]
    pub(crate) limit: Option<usize>,
}

/// A number of entries that a page can have.
fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let asked = Option::<usize>::deserialize(deserializer)?;
    match asked {
        Some(0) | Some(ENTRIES_BEYOND..) => {
            Err(D::Error::custom(format!("`limit` is 1 to {}", views::PAGE_MAX)))
        }
        asked => Ok(asked),
    }
}

/// The first number of entries that is too many.
const ENTRIES_BEYOND: usize = views::PAGE_MAX + 1;

impl PageParams {
    /// The cursor, where it is one of this list.
    fn cursor<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::unprocessable("the cursor is not one of an earlier answer");
        self.cursor.as_deref().map(|text| text.parse().map_err(wrong)).transpose()
    }
}

/// That something was done.
#[derive(Debug, serde::Serialize, ToSchema)]
pub(crate) struct Done {
    /// Whether anything changed: false where it was so already.
    pub(crate) changed: bool,
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi_text()).into_response()
}

/// The description, as it is committed.
pub(crate) fn openapi_text() -> String {
    let mut text = serde_json::to_string_pretty(&described()).unwrap_or_default();
    text.push('\n');
    text
}

fn described() -> OpenApi {
    let mut paths = utoipa::openapi::Paths::new();
    let mut components = Components::new();
    components.schemas.insert("Problem".to_owned(), <Problem as utoipa::PartialSchema>::schema());
    for (status, words) in PROBLEMS {
        components.responses.insert(status.to_owned(), problem(words));
    }
    for (needs, (schemas, of_operation, _)) in operations() {
        components.schemas.extend(schemas);
        for (path, mut item) in of_operation.paths {
            for operation in [
                item.get.as_mut(),
                item.post.as_mut(),
                item.put.as_mut(),
                item.patch.as_mut(),
                item.delete.as_mut(),
            ]
            .into_iter()
            .flatten()
            {
                if let Needs::Role(role) = needs {
                    let needs = format!("Needs: {role}.");
                    let before = operation.description.take();
                    operation.description =
                        Some(before.map_or(needs.clone(), |text| format!("{text}\n\n{needs}")));
                }
                for (status, _) in PROBLEMS {
                    let refused = || RefOr::Ref(Ref::from_response_name(status));
                    operation.responses.responses.entry(status.to_owned()).or_insert_with(refused);
                }
            }
            match paths.paths.get_mut(&path) {
                Some(known) => known.merge_operations(item),
                None => drop(paths.paths.insert(path, item)),
            }
        }
    }
    components.security_schemes.insert(
        "token".to_owned(),
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("An API token, as `arx tokens` or the console makes it."))
                .build(),
        ),
    );
    let info = InfoBuilder::new()
        .title("ARX")
        .version("1")
        .description(Some(
            "What ARX runs, decides, did and can prove. Lists come by page: send `next` back as \
             `cursor`. Errors are problems of RFC 9457 with a code of `docs/errors.md`.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    let requirement =
        utoipa::openapi::security::SecurityRequirement::new("token", Vec::<String>::new());
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .security(Some([requirement]))
        .build()
}

fn problem(words: &str) -> RefOr<utoipa::openapi::Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    RefOr::T(ResponseBuilder::new().description(words).content(PROBLEM_JSON, content).build())
}
