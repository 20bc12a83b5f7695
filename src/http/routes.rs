//! The route table: every surface writes down its routes here, with what each asks of its caller, so that a test can
//! walk over all of them.

use actix_web::{HttpResponse, Resource, Route, guard, http::Method, middleware::from_fn, web};

use super::{
    caller::{self, Needs},
    problem::{Failure, Kind},
};

/// One route.
#[derive(Debug, Clone)]
pub struct RouteInfo {
    /// The method.
    pub method: Method,
    /// The pattern: `/api/connections/{id}`.
    pub path: String,
    /// What it asks.
    pub needs: Needs,
}

/// The routes of one surface.
pub struct Routes {
    prefix: &'static str,
    resources: Vec<Resource>,
    list: Vec<RouteInfo>,
}

impl Routes {
    /// None so far, all below `prefix`.
    pub fn below(prefix: &'static str) -> Self {
        Self { prefix, resources: Vec::new(), list: Vec::new() }
    }

    /// A resource: what it asks and what serves it, for each of its methods. A GET serves HEAD too; any other method is
    /// answered with 405 and `Allow`.
    pub fn at<const N: usize>(mut self, path: &str, methods: [(Method, Needs, Route); N]) -> Self {
        let mut resource = if path.is_empty() {
            // The root of a surface, with and without the slash.
            web::resource(vec!["", "/"])
        } else {
            web::resource(path.to_owned())
        };
        let mut allow: Vec<&str> = Vec::new();
        let names: Vec<Method> = methods.iter().map(|(method, ..)| method.clone()).collect();
        for (method, needs, route) in methods {
            self.list.push(RouteInfo { method: method.clone(), path: format!("{}{path}", self.prefix), needs });
            let route = if method == Method::GET {
                route.guard(guard::Any(guard::Get()).or(guard::Head()))
            } else {
                route.method(method)
            };
            resource = resource.route(route.wrap(from_fn(move |request, next| caller::guard(needs, request, next))));
        }
        for name in &names {
            allow.push(name.as_str());
            if *name == Method::GET {
                allow.push("HEAD");
            }
        }
        let allow = allow.join(", ");
        let refuse = move || {
            let refused: Result<HttpResponse, Failure> = Err(Kind::Method(allow.clone()).into());
            std::future::ready(refused)
        };
        self.resources.push(resource.default_service(web::to(refuse)));
        self
    }

    /// A resource that takes any method but CONNECT, which makes a tunnel, and TRACE, which shows what a request carries:
    /// one route for all of them.
    pub fn all(mut self, path: &str, needs: Needs, route: Route) -> Self {
        const COMMON: [Method; 7] =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        for method in COMMON {
            self.list.push(RouteInfo { method, path: format!("{}{path}", self.prefix), needs });
        }
        let taken = guard::fn_guard(|asked| !matches!(asked.head().method, Method::CONNECT | Method::TRACE));
        let route = route.guard(taken).wrap(from_fn(move |request, next| caller::guard(needs, request, next)));
        let refuse = || {
            let allow = COMMON.map(|method| method.to_string()).join(", ");
            let refused: Result<HttpResponse, Failure> = Err(Kind::Method(allow).into());
            std::future::ready(refused)
        };
        self.resources.push(web::resource(path.to_owned()).route(route).default_service(web::to(refuse)));
        self
    }

    /// What was written down.
    pub fn list(&self) -> &[RouteInfo] {
        &self.list
    }

    /// The resources, for actix.
    pub fn into_resources(self) -> Vec<Resource> {
        self.resources
    }
}
