//! Our own calls, beside those of the dialects: users, their second factors and sessions, the audit trail, settings, API tokens, providers, the check of a profile, keys, loading, events,
//! webhooks, credentials of client applications. The admin page and the command
//! line are their clients. Errors have the shape of dialect 1, with which they share `/api`.

mod api_tokens;
mod applications;
mod audit;
mod backups;
pub(in crate::http) mod connect;
mod doctor;
mod events;
mod expiring;
mod history;
mod keys;
mod live;
mod load;
mod overview;
mod provider_check;
mod providers;
mod reach;
mod registration;
mod search;
mod second_factors;
mod sessions;
mod settings;
pub(in crate::http) mod tokens;
pub(in crate::http) mod users;
mod webhooks;

use actix_web::{HttpResponse, http::Method, web};
use serde::Serialize;

use super::{caller::Needs, routes::Routes};
use crate::domain::user::Scope;

/// Adds these routes to those of dialect 1.
pub fn routes(routes: Routes) -> Routes {
    const ADMIN: Needs = Needs::Scope(Scope::Admin);
    const READ: Needs = Needs::Scope(Scope::ProfilesRead);
    const WRITE: Needs = Needs::Scope(Scope::ProfilesWrite);
    const SEE: Needs = Needs::Scope(Scope::ApplicationsRead);
    const LINK: Needs = Needs::Scope(Scope::ConnectionsWrite);
    const AUDIT: Needs = Needs::Scope(Scope::AuditRead);
    const CHANGE: Needs = Needs::Scope(Scope::ApplicationsWrite);
    routes
        .at("/client_applications", [(Method::GET, SEE, web::to(applications::list))])
        .at("/client_applications/self/data", [(Method::GET, Needs::Caller, web::to(applications::own_data))])
        .at(
            "/client_applications/{id}/scopes",
            [
                (Method::GET, SEE, web::to(applications::get_scopes)),
                (Method::PUT, CHANGE, web::to(applications::grant_scopes)),
            ],
        )
        .at("/client_applications/{id}/secret", [(Method::POST, CHANGE, web::to(applications::issue_secret))])
        .at("/client_applications/{id}/secrets", [(Method::GET, SEE, web::to(applications::list_secrets))])
        .at(
            "/client_applications/{id}/secrets/{secret}",
            [(Method::DELETE, CHANGE, web::to(applications::revoke_secret))],
        )
        .at("/users", [(Method::GET, ADMIN, web::to(users::list)), (Method::POST, ADMIN, web::to(users::create))])
        .at(
            "/users/{id}",
            [(Method::PUT, ADMIN, web::to(users::update)), (Method::DELETE, ADMIN, web::to(users::delete))],
        )
        .at("/users/me/password", [(Method::PUT, Needs::Caller, web::to(sessions::change_password))])
        .at(
            "/users/{id}/second_factor",
            [
                (Method::POST, Needs::Caller, web::to(second_factors::begin)),
                (Method::PUT, Needs::Caller, web::to(second_factors::confirm)),
                (Method::DELETE, Needs::Caller, web::to(second_factors::remove)),
            ],
        )
        .at(
            "/users/{id}/second_factor/recovery_codes",
            [(Method::POST, Needs::Caller, web::to(second_factors::renew_recovery_codes))],
        )
        .at(
            "/sessions",
            [
                (Method::GET, Needs::Caller, web::to(sessions::list)),
                (Method::DELETE, Needs::Caller, web::to(sessions::end_all)),
            ],
        )
        .at("/sessions/{id}", [(Method::DELETE, Needs::Caller, web::to(sessions::end))])
        .at("/audit", [(Method::GET, AUDIT, web::to(audit::list))])
        .at("/audit/export", [(Method::GET, AUDIT, web::to(audit::export))])
        .at("/settings", [(Method::GET, ADMIN, web::to(settings::get))])
        .at("/setup_links", [(Method::POST, ADMIN, web::to(users::setup_link))])
        .at(
            "/api_tokens",
            [(Method::GET, ADMIN, web::to(api_tokens::list)), (Method::POST, ADMIN, web::to(api_tokens::create))],
        )
        .at("/api_tokens/{id}", [(Method::DELETE, ADMIN, web::to(api_tokens::delete))])
        .at(
            "/providers",
            [(Method::GET, READ, web::to(providers::list)), (Method::POST, WRITE, web::to(providers::create))],
        )
        .at(
            "/providers/{slug}",
            [
                (Method::GET, READ, web::to(providers::get)),
                (Method::PUT, WRITE, web::to(providers::replace)),
                (Method::DELETE, WRITE, web::to(providers::delete)),
            ],
        )
        .at("/connect", [(Method::POST, LINK, web::to(connect::link))])
        .at("/connect/device", [(Method::POST, LINK, web::to(connect::device))])
        .at("/connect/client_credentials", [(Method::POST, LINK, web::to(connect::client_credentials))])
        .at("/connections/{id}/refresh", [(Method::POST, LINK, web::to(connect::refresh))])
        .at(
            "/custom_oauth_profiles/{id}/registration",
            [
                (Method::GET, READ, web::to(registration::get)),
                (Method::PUT, WRITE, web::to(registration::change_registration)),
            ],
        )
        .at("/custom_oauth_profiles/{id}/promote_secret", [(Method::POST, WRITE, web::to(registration::promote))])
        .at("/custom_oauth_profiles/{id}/check", [(Method::POST, WRITE, web::to(provider_check::check))])
        .at("/connections/{id}/token", [(Method::GET, Needs::Scope(Scope::ConnectionsToken), web::to(tokens::get))])
        .at("/events", [(Method::GET, Needs::Scope(Scope::ConnectionsRead), web::to(events::list))])
        .at("/live", [(Method::GET, Needs::Caller, web::to(live::listen))])
        .at("/overview", [(Method::GET, Needs::Caller, web::to(overview::get))])
        .at("/search/profiles", [(Method::GET, READ, web::to(search::profiles))])
        .at("/search/connections", [(Method::GET, Needs::Scope(Scope::ConnectionsRead), web::to(search::connections))])
        .at("/search/customers", [(Method::GET, READ, web::to(search::customers))])
        .at("/search/client_applications", [(Method::GET, SEE, web::to(search::client_applications))])
        .at("/search/events", [(Method::GET, Needs::Scope(Scope::ConnectionsRead), web::to(search::events))])
        .at("/connections/{id}/history", [(Method::GET, Needs::Scope(Scope::ConnectionsRead), web::to(history::list))])
        .at("/expiring", [(Method::GET, Needs::Caller, web::to(expiring::list))])
        .at(
            "/webhooks",
            [(Method::GET, ADMIN, web::to(webhooks::list)), (Method::POST, ADMIN, web::to(webhooks::create))],
        )
        .at(
            "/webhooks/{id}",
            [
                (Method::GET, ADMIN, web::to(webhooks::get)),
                (Method::PUT, ADMIN, web::to(webhooks::update)),
                (Method::DELETE, ADMIN, web::to(webhooks::delete)),
            ],
        )
        .at("/webhooks/{id}/secret", [(Method::POST, ADMIN, web::to(webhooks::renew_secret))])
        .at("/webhooks/{id}/test", [(Method::POST, ADMIN, web::to(webhooks::test))])
        .at("/webhooks/{id}/deliveries", [(Method::GET, ADMIN, web::to(webhooks::list_deliveries))])
        .at("/webhooks/{id}/deliveries/{delivery}/retry", [(Method::POST, ADMIN, web::to(webhooks::retry_delivery))])
        .at("/keys", [(Method::GET, ADMIN, web::to(keys::list))])
        .at("/keys/rotate", [(Method::POST, ADMIN, web::to(keys::rotate))])
        .at("/keys/rotation", [(Method::GET, ADMIN, web::to(keys::rotation))])
        .at("/keys/verify", [(Method::POST, ADMIN, web::to(keys::verify))])
        .at("/keys/{id}", [(Method::DELETE, ADMIN, web::to(keys::forget))])
        .at("/backups", [(Method::GET, ADMIN, web::to(backups::list)), (Method::POST, ADMIN, web::to(backups::create))])
        .at(
            "/backups/{name}",
            [(Method::GET, ADMIN, web::to(backups::get)), (Method::DELETE, ADMIN, web::to(backups::delete))],
        )
        .at("/backups/{name}/verify", [(Method::POST, ADMIN, web::to(backups::verify))])
        .at("/doctor", [(Method::GET, ADMIN, web::to(doctor::get))])
        .at("/load", [(Method::POST, WRITE, web::to(load::load))])
        .at("/connector_template", [(Method::GET, READ, web::to(load::template))])
}

fn result(value: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"result": value}))
}
