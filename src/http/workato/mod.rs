//! Dialect 1: custom OAuth profiles and the calls around them, as in Workato's Developer API.
//!
//! # Where we differ or decide
//!
//! - A `page` or `per_page` that is too large, too small or no number is clamped, not refused; profiles come by ascending id.
//! - A provider and a name make a key: the same pair twice is 400 `name: has already been taken`.
//! - `data.token` for a provider that takes none is refused. PUT without it keeps it, `null` clears it.
//! - PUT may not change `provider` while connections or assignments exist.
//! - DELETE of a profile that is in use is 400 with both counts.
//! - Assigning the profile that is assigned already is a success, and so is taking away one that is not.
//! - 401 for a missing privilege names it: `Unauthorized: this token lacks profiles:write`. So is what goes beyond the
//!   reach of a credential; a connection out of its reach is 404, and missing from lists.
//! - A connection takes `custom_oauth_profile_id` and `owner` beside the fields of the original; without a profile the
//!   customer's own, or the only one of its provider, is taken, and with several the answer is 400 naming them.
//! - `get_oauth_url` asks for `connections:write`, as it makes a link. `callback_url` is taken and nobody is called; a
//!   `redirect_url` that the operator has not allowed is 400, since clients send one only when they are told to.
//! - A runtime user connection takes profile, customer, variables and scopes from its parent; `external_id` may be left out.
//! - `oauth_token_pair` may lack one of its tokens; a grant that came with both is refreshed at once, as nobody says how old
//!   the access token is. Beside `shell_connection` it is 400, and so is anything else in it.
//! - A connection that others were made from is not deleted, and connections are not made from each other in a circle.
//! - Deleting a connection or a customer answers `{"success":true}`, in `result` for a customer.

mod catalogue;
mod connections;
mod customers;
pub mod limit;
mod profiles;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode},
    web,
};
use serde_json::{Map, json};

use super::{
    body::query,
    caller::Needs,
    problem::{Asked, Failure, Kind, by_field, fault_phrase, origin_change_facts, sentence},
    routes::Routes,
};
use crate::domain::{Error, Fault, Noun, Page, Rejection, Use, Why, user::Scope};

/// The routes of this dialect.
pub fn routes() -> Routes {
    const READ: Needs = Needs::Scope(Scope::ProfilesRead);
    const WRITE: Needs = Needs::Scope(Scope::ProfilesWrite);
    const SEE: Needs = Needs::Scope(Scope::ConnectionsRead);
    const CHANGE: Needs = Needs::Scope(Scope::ConnectionsWrite);
    Routes::below("/api")
        .at(
            "/custom_oauth_profiles",
            [(Method::GET, READ, web::to(profiles::list)), (Method::POST, WRITE, web::to(profiles::create))],
        )
        .at(
            "/custom_oauth_profiles/{id}",
            [
                (Method::GET, READ, web::to(profiles::get)),
                (Method::PUT, WRITE, web::to(profiles::replace)),
                (Method::DELETE, WRITE, web::to(profiles::delete)),
            ],
        )
        .at("/custom_oauth_profiles/{id}/verify_secret", [(Method::POST, WRITE, web::to(profiles::verify_secret))])
        .at(
            "/managed_users",
            [(Method::GET, READ, web::to(customers::list)), (Method::POST, WRITE, web::to(customers::create))],
        )
        .at(
            "/managed_users/{customer}",
            [
                (Method::GET, READ, web::to(customers::get)),
                (Method::PUT, WRITE, web::to(customers::update)),
                (Method::DELETE, WRITE, web::to(customers::delete)),
            ],
        )
        // Ours: the vendor assigns, and lists nowhere what is assigned.
        .at("/managed_users/{customer}/custom_oauth_profiles", [(Method::GET, READ, web::to(customers::list_profiles))])
        .at(
            "/managed_users/{customer}/custom_oauth_profiles/{id}/assign",
            [(Method::POST, WRITE, web::to(customers::assign))],
        )
        .at(
            "/managed_users/{customer}/custom_oauth_profiles/{id}/unassign",
            [(Method::DELETE, WRITE, web::to(customers::unassign))],
        )
        .at(
            "/managed_users/{customer}/connections",
            [(Method::GET, SEE, web::to(connections::list)), (Method::POST, CHANGE, web::to(connections::create))],
        )
        .at(
            "/managed_users/{customer}/connections/runtime_user_connections",
            [(Method::POST, CHANGE, web::to(connections::runtime_connection))],
        )
        .at(
            "/managed_users/{customer}/connections/runtime_user_connections/{id}/get_oauth_url",
            [(Method::GET, CHANGE, web::to(connections::oauth_url))],
        )
        .at(
            "/managed_users/{customer}/connections/{id}",
            [
                (Method::PUT, CHANGE, web::to(connections::update)),
                (Method::DELETE, CHANGE, web::to(connections::delete)),
            ],
        )
        .at(
            "/managed_users/{customer}/connections/{id}/disconnect",
            [(Method::POST, CHANGE, web::to(connections::disconnect))],
        )
        .at(
            "/connections",
            [(Method::GET, SEE, web::to(connections::list)), (Method::POST, CHANGE, web::to(connections::create))],
        )
        // These before the one that would take the word for an id.
        .at("/connections/runtime_user_connections", [(Method::POST, CHANGE, web::to(connections::runtime_connection))])
        .at(
            "/connections/runtime_user_connections/{id}/get_oauth_url",
            [(Method::GET, CHANGE, web::to(connections::oauth_url))],
        )
        // Ours.
        .at("/connections/import", [(Method::POST, CHANGE, web::to(super::admin::connect::import))])
        .at(
            "/connections/{id}",
            [
                // The vendor has none; ours tells all that is known.
                (Method::GET, SEE, web::to(super::admin::connect::get)),
                (Method::PUT, CHANGE, web::to(connections::update)),
                (Method::DELETE, CHANGE, web::to(connections::delete)),
            ],
        )
        .at("/connections/{id}/disconnect", [(Method::POST, CHANGE, web::to(connections::disconnect))])
        .at("/users/me", [(Method::GET, Needs::Caller, web::to(catalogue::me))])
        .at("/integrations/all", [(Method::GET, READ, web::to(catalogue::integrations))])
        .at("/custom_connectors", [(Method::GET, READ, web::to(catalogue::custom_connectors))])
}

/// The errors of this dialect: `{"message":"…"}`, with `errors` by field for 400, `id` for 500.
pub fn dress(failure: &Failure, asked: &Asked) -> HttpResponse {
    let mut more = Map::new();
    let (status, message) = match &failure.kind {
        Kind::Domain(Error::Unauthenticated(Rejection::Missing | Rejection::Bad)) => {
            (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned())
        }
        Kind::Domain(Error::Forbidden(scope)) => {
            (StatusCode::UNAUTHORIZED, format!("Unauthorized: this token lacks {scope}"))
        }
        Kind::Domain(Error::OutOfReach(_)) => (StatusCode::UNAUTHORIZED, sentence(failure)),
        Kind::Domain(Error::NotFound { .. }) => (StatusCode::NOT_FOUND, "Not found".to_owned()),
        Kind::Domain(Error::Conflict { what, .. }) => {
            let fault = Fault::new(if *what == Noun::Provider { "slug" } else { "name" }, Why::Taken);
            more.insert("errors".to_owned(), by_field(std::slice::from_ref(&fault)));
            (StatusCode::BAD_REQUEST, fault_phrase(&fault))
        }
        // None of the nouns that the original has a sentence for.
        Kind::Domain(Error::InUse { what: Noun::Key, .. }) => (StatusCode::BAD_REQUEST, sentence(failure)),
        Kind::Domain(Error::InUse { what, by }) => (StatusCode::BAD_REQUEST, in_use(*what, by)),
        Kind::Domain(Error::Invalid(faults)) => {
            if faults.iter().any(|fault| !fault.path.is_empty()) {
                more.insert("errors".to_owned(), by_field(faults));
            }
            (StatusCode::BAD_REQUEST, sentence(failure))
        }
        Kind::Domain(Error::Internal(_)) => {
            more.insert("id".to_owned(), asked.request_id.clone().into());
            (StatusCode::INTERNAL_SERVER_ERROR, "Server error".to_owned())
        }
        _ => (failure.status(), sentence(failure)),
    };
    let mut body = Map::new();
    // A refusal of ours, for programs: the word goes first, as in the token itself.
    if let Kind::Domain(Error::NoToken { why, connect_url }) = &failure.kind {
        body.insert("error".to_owned(), why.as_str().into());
        more.extend(connect_url.as_ref().map(|url| ("connect_url".to_owned(), url.as_str().into())));
    }
    if let Kind::Domain(Error::OriginChange(change)) = &failure.kind {
        body.insert("error".to_owned(), failure.name().into());
        more.extend(origin_change_facts(change).as_object().cloned().unwrap_or_default());
    }
    // `message` before the rest: clients print the body's beginning.
    body.insert("message".to_owned(), message.into());
    body.extend(more);
    HttpResponse::build(status).json(body)
}

/// Both counts, whatever they are, so that a reader sees what is in the way and what is not.
fn in_use(what: Noun, by: &[Use]) -> String {
    let counts: Vec<String> = by
        .iter()
        .map(|by| {
            let noun = match by.what {
                Noun::Connection => "connection",
                Noun::Customer => "customer",
                Noun::Profile => "profile",
                _ => "other",
            };
            format!("{} {noun}{}", by.count, if by.count == 1 { "" } else { "s" })
        })
        .collect();
    let (noun, hint) = match what {
        Noun::Assignment => ("assignment", "; add force=true to take it away all the same"),
        Noun::Customer => ("customer", ""),
        Noun::Connection => ("connection", ""),
        Noun::Provider => ("provider", ""),
        _ => ("profile", ""),
    };
    format!("This {noun} is in use by {}{hint}", counts.join(" and "))
}

/// `page` and `per_page`, clamped.
fn page(request: &HttpRequest) -> (Page, u64, u32) {
    let number = |name: &str| {
        let text = query(request, name)?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Digits beyond what we count with are a very late page, not the first.
        text.parse::<i64>().ok().or(digits.then_some(i64::MAX))
    };
    let page = number("page").unwrap_or(1).max(1).unsigned_abs();
    let size = number("per_page").unwrap_or(100).clamp(1, 100);
    let size = u32::try_from(size).unwrap_or(100);
    (Page::number(page, size), page, size)
}

fn success() -> HttpResponse {
    HttpResponse::Ok().json(json!({"result": {"success": true}}))
}
