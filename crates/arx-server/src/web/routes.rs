//! The table of routes: each with what it needs, so that rights stand in one place and a test can
//! try every route as everybody.

use arx_types::Role;
use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{Web, guard};

/// What a route needs of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nobody has to be signed in, and no session is looked at.
    Nothing,
    /// Nobody has to be signed in; a request that changes something must come from our own page.
    OwnPage,
    /// Somebody with at least this role.
    Role(Role),
    /// A viewer, or whoever asks from this very machine.
    ViewerOrLoopback,
}

/// How a route answers those whom it turns away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// With pages for people.
    Html,
    /// With problems for programs.
    Json,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The method.
    pub method: Method,
    /// The path, with `{names}` of what stands in it.
    pub path: String,
    /// What it needs.
    pub needs: Needs,
    /// How it refuses.
    pub speaks: Speaks,
}

/// The routes, as they are added.
pub(crate) struct Table {
    web: Web,
    router: Router<Web>,
    rules: Vec<Rule>,
}

impl Table {
    pub(crate) fn new(web: Web) -> Self {
        Self { web, router: Router::new(), rules: Vec::new() }
    }

    /// A page that is looked at.
    pub(crate) fn page<H, T>(self, path: &str, needs: Needs, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Web>,
        T: 'static,
    {
        let methods = MethodRouter::new().on(MethodFilter::GET, handler);
        self.add(Method::GET, path, needs, Speaks::Html, methods)
    }

    /// A form that is sent.
    pub(crate) fn form<H, T>(self, path: &str, needs: Needs, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Web>,
        T: 'static,
    {
        let methods = MethodRouter::new().on(MethodFilter::POST, handler);
        self.add(Method::POST, path, needs, Speaks::Html, methods)
    }

    /// A file or a figure for programs.
    pub(crate) fn plain<H, T>(self, path: &str, needs: Needs, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Web>,
        T: 'static,
    {
        let methods = MethodRouter::new().on(MethodFilter::GET, handler);
        self.add(Method::GET, path, needs, Speaks::Json, methods)
    }

    /// An operation of the API, as its description has it.
    pub(crate) fn api(mut self, needs: Needs, operation: UtoipaMethodRouter<Web>) -> Self {
        let (_, paths, methods) = operation;
        for (path, item) in paths.paths {
            let methods_of = [
                (Method::GET, item.get.is_some()),
                (Method::POST, item.post.is_some()),
                (Method::PUT, item.put.is_some()),
                (Method::PATCH, item.patch.is_some()),
                (Method::DELETE, item.delete.is_some()),
            ];
            for (method, _) in methods_of.into_iter().filter(|(_, is_there)| *is_there) {
                self = self.add(method, &path, needs, Speaks::Json, methods.clone());
            }
        }
        self
    }

    fn add(
        mut self,
        method: Method,
        path: &str,
        needs: Needs,
        speaks: Speaks,
        methods: MethodRouter<Web>,
    ) -> Self {
        let rule = Rule { method, path: path.to_owned(), needs, speaks };
        let post = guard::Post { web: self.web.clone(), rule: rule.clone() };
        // INVARIANT (one table of rights): the only way into the router is through the guard.
        self.router =
            self.router.route(path, methods.route_layer(from_fn_with_state(post, guard::check)));
        self.rules.push(rule);
        self
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(crate) fn router(self, web: &Web) -> Router {
        self.router.with_state(web.clone())
    }
}
