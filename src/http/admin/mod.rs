//! Our own calls, beside those of the dialects: users, API tokens, providers, keys, loading. The admin page and the command
//! line are their clients. Errors have the shape of dialect 1, with which they share `/api`.

mod api_tokens;
mod keys;
mod load;
mod providers;
pub(in crate::http) mod users;

use actix_web::{HttpResponse, http::Method, web};
use serde::Serialize;

use super::{caller::Needs, routes::Routes};
use crate::domain::user::Scope;

/// Adds these routes to those of dialect 1.
pub fn routes(routes: Routes) -> Routes {
    const ADMIN: Needs = Needs::Scope(Scope::Admin);
    const READ: Needs = Needs::Scope(Scope::ProfilesRead);
    const WRITE: Needs = Needs::Scope(Scope::ProfilesWrite);
    routes
        .at("/users", [(Method::GET, ADMIN, web::to(users::list)), (Method::POST, ADMIN, web::to(users::create))])
        .at("/users/{id}", [
            (Method::PUT, ADMIN, web::to(users::update)),
            (Method::DELETE, ADMIN, web::to(users::delete)),
        ])
        .at("/setup_links", [(Method::POST, ADMIN, web::to(users::setup_link))])
        .at("/api_tokens", [
            (Method::GET, ADMIN, web::to(api_tokens::list)),
            (Method::POST, ADMIN, web::to(api_tokens::create)),
        ])
        .at("/api_tokens/{id}", [(Method::DELETE, ADMIN, web::to(api_tokens::delete))])
        .at("/providers", [
            (Method::GET, READ, web::to(providers::list)),
            (Method::POST, WRITE, web::to(providers::create)),
        ])
        .at("/providers/{slug}", [
            (Method::GET, READ, web::to(providers::get)),
            (Method::PUT, WRITE, web::to(providers::replace)),
            (Method::DELETE, WRITE, web::to(providers::delete)),
        ])
        .at("/keys", [(Method::GET, ADMIN, web::to(keys::list))])
        .at("/keys/verify", [(Method::POST, ADMIN, web::to(keys::verify))])
        .at("/load", [(Method::POST, WRITE, web::to(load::load))])
        .at("/connector_template", [(Method::GET, READ, web::to(load::template))])
}

fn result(value: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"result": value}))
}
