//! `/api/search/…`: long lists, searched, filtered and in pages.
//!
//! `q`: a text that stands somewhere in what is found, without regard to case; each of its signs stands for itself. `limit`:
//! 1 to 200, else 50. `after`: the `next` of the page before. A parameter without a value is one that is not there; one
//! that means nothing is refused, so that nobody takes everything for what they asked for.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{App, events::to_json, search::EventFilter},
    domain::{
        Error, Timestamp, Why,
        connection::Status,
        event::EventKind,
        grant::Blame,
        search::{
            ApplicationItem, ConnectionFilter, ConnectionItem, ConnectionState, CustomerItem, Found, MOST_ITEMS, Named,
            Needle, ProfileFilter, ProfileItem, ProfileState, Wanted,
        },
    },
    http::{body::query, caller::Admitted, problem::Failure, time::with_offset},
};

/// How many items a page has unless told otherwise.
const USUAL: usize = 50;

fn given(request: &HttpRequest, name: &str) -> Option<String> {
    query(request, name).filter(|text| !text.is_empty())
}

/// A parameter of a certain form.
fn parsed<T>(
    request: &HttpRequest,
    name: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    otherwise: impl FnOnce() -> Why,
) -> Result<Option<T>, Error> {
    let parse = |text: String| parse(&text).ok_or_else(|| Error::invalid(name, otherwise()));
    given(request, name).map(parse).transpose()
}

fn words<const N: usize>(words: [&str; N]) -> Why {
    Why::NotOneOf(words.map(str::to_owned).to_vec())
}

/// A number in its one way to be written.
fn number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

fn id(request: &HttpRequest, name: &str) -> Result<Option<i64>, Error> {
    parsed(request, name, number, || Why::Malformed("an id"))
}

/// `limit`.
pub(super) fn limit(request: &HttpRequest) -> Result<usize, Error> {
    let within = |text: &str| text.parse().ok().filter(|limit| (1..=MOST_ITEMS).contains(limit));
    let limit = parsed(request, "limit", within, || Why::Malformed("a number from 1 to 200"))?;
    Ok(limit.unwrap_or(USUAL))
}

fn wanted(request: &HttpRequest) -> Result<Wanted, Error> {
    let text = query(request, "q").map(|text| Needle::new(&text)).transpose();
    Ok(Wanted {
        text: text.map_err(|why| Error::invalid("q", why))?.flatten(),
        after: parsed(request, "after", number, || Why::Malformed("the `next` of an answer"))?,
        limit: limit(request)?,
    })
}

fn answer<T>(found: &Found<T>, wire: impl Fn(&T) -> Result<Value, Failure>) -> Result<HttpResponse, Failure> {
    let mut value = json!({
        "items": found.items.iter().map(wire).collect::<Result<Vec<_>, _>>()?,
        "next": found.next.map(|next| next.to_string()),
        "total": found.total,
    });
    if found.total_is_at_least {
        value["total_is_at_least"] = true.into();
    }
    Ok(result(value))
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(with_offset)
}

pub(super) fn named(named: &Named) -> Value {
    json!({"id": named.id, "name": named.name, "provider": named.provider})
}

fn profile(item: &ProfileItem) -> Value {
    json!({
        "id": item.id,
        "name": item.name,
        "provider": item.provider,
        "client_id": item.client_id,
        "owner": item.owner,
        "callback": item.callback,
        "connections": item.connections,
        "customers": item.customers,
        "created_at": with_offset(item.created_at),
        "updated_at": with_offset(item.updated_at),
        "secret": {
            "created_at": with_offset(item.secret_since),
            "last_used_at": time(item.secret_used_at),
            "expires_at": time(item.secret_expires_at),
        },
        "has_next": item.has_next_secret,
        "rejected_at": time(item.rejected_at),
        "rejected_why": item.rejected_why,
    })
}

fn connection(item: &ConnectionItem) -> Value {
    let last_refresh = item.last_attempt_at.map(|at| {
        json!({
            "at": with_offset(at),
            "ok": item.last_result.as_deref().map(|result| result == "refreshed"),
            "result": item.last_result,
        })
    });
    json!({
        "id": item.id,
        "name": item.name,
        "provider": item.provider,
        "custom_oauth_profile_id": item.profile_id,
        "profile_name": item.profile_name,
        "owner": item.owner,
        "customer_id": item.customer_id,
        "customer_name": item.customer_name,
        "external_id": item.external_id,
        "account": item.account_id.as_ref().map(|id| json!({"id": id, "label": item.account_label})),
        "authorization_status": item.status.map(Status::as_str),
        "connection_lost_at": time(item.lost_at),
        "connection_lost_reason": item.lost_reason,
        "blame": item.blame.map(Blame::as_str),
        "uncertain_since": time(item.uncertain_since),
        "failures": item.failures,
        "last_refresh": last_refresh,
        "next_refresh_at": time(item.next_refresh_at),
        "expires_at": time(item.expires_at),
        "created_at": with_offset(item.created_at),
        "updated_at": with_offset(item.updated_at),
    })
}

fn customer(item: &CustomerItem) -> Value {
    json!({
        "id": item.id,
        "name": item.name,
        "notification_email": item.notification_email,
        "external_id": item.external_id,
        "connections": item.connections,
        "profiles": item.profiles.iter().map(named).collect::<Vec<_>>(),
        "created_at": with_offset(item.created_at),
        "updated_at": with_offset(item.updated_at),
    })
}

fn client_application(item: &ApplicationItem) -> Value {
    json!({
        "id": item.id,
        "name": item.name,
        "is_enabled": item.enabled,
        "scopes": item.scopes.split_ascii_whitespace().collect::<Vec<_>>(),
        "secrets": item.secrets,
        "file_name": item.file_name,
        "size": item.size,
        "created_at": with_offset(item.created_at),
        "modified_at": with_offset(item.modified_at),
    })
}

pub(super) async fn profiles(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let states = || words(ProfileState::ALL.map(ProfileState::as_str));
    let filter = ProfileFilter {
        provider: given(&request, "provider"),
        state: parsed(&request, "state", ProfileState::parse, states)?,
    };
    let found = app.search_profiles(&caller, filter, wanted(&request)?).await?;
    answer(&found, |item| Ok(profile(item)))
}

pub(super) async fn connections(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let states = || words(ConnectionState::ALL.map(ConnectionState::as_str));
    let filter = ConnectionFilter {
        provider: given(&request, "provider"),
        profile_id: id(&request, "profile_id")?,
        owner: given(&request, "owner"),
        customer_id: id(&request, "customer_id")?,
        state: parsed(&request, "state", ConnectionState::parse, states)?,
    };
    let found = app.search_connections(&caller, filter, wanted(&request)?).await?;
    answer(&found, |item| Ok(connection(item)))
}

pub(super) async fn customers(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let found = app.search_customers(&caller, wanted(&request)?).await?;
    answer(&found, |item| Ok(customer(item)))
}

pub(super) async fn client_applications(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let found = app.search_client_applications(&caller, wanted(&request)?).await?;
    answer(&found, |item| Ok(client_application(item)))
}

/// Newest first. The items are those of `/api/events`.
pub(super) async fn events(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let kinds = || words(EventKind::ALL.map(EventKind::as_str));
    let filter = EventFilter {
        kind: parsed(&request, "type", EventKind::parse, kinds)?,
        connection_id: id(&request, "connection_id")?,
        profile_id: id(&request, "profile_id")?,
    };
    let found = app.search_events(&caller, filter, wanted(&request)?).await?;
    answer(&found, |event| Ok(to_json(event)?))
}
