//! The calls that clients send before they get to work: who am I, and what is there.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::page;
use crate::{
    app::App,
    domain::Timestamp,
    http::{caller::Admitted, problem::Failure, time::with_offset},
};

/// `GET /api/users/me`. The keys that clients insist on are there and never null; what we have no plans and recipes for
/// is zero, and a billing period is the calendar's month.
pub(super) async fn me(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let user = caller.user();
    let created_at = user.map_or(Timestamp(0), |user| user.created_at);
    let (start, end) = month(app.db().now());
    Ok(HttpResponse::Ok().json(json!({
        "id": user.map_or(0, |user| user.id),
        "name": caller.name(),
        "email": user.map_or("", |user| user.email.as_str()),
        "created_at": with_offset(created_at),
        "plan_id": "grantry",
        "current_billing_period_start": start,
        "current_billing_period_end": end,
        "recipes_count": 0,
        "active_recipes_count": 0,
        "root_folder_id": 1,
        "scopes": caller.scopes().to_string(),
    })))
}

fn month(now: Timestamp) -> (String, String) {
    let edge = |next: i8| {
        let today = jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
        let first = today.first_of_month();
        let first = if next == 0 { first } else { first.checked_add(jiff::Span::new().months(next)).ok()? };
        let at = first.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some(with_offset(Timestamp(at.as_millisecond())))
    };
    (edge(0).unwrap_or_default(), edge(1).unwrap_or_default())
}

/// `GET /api/integrations/all`: the catalogue in this dialect's words.
pub(super) async fn integrations(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let (slice, number, size) = page(&request);
    let all = app.list_providers(&caller).await?;
    let count = all.len();
    let items: Vec<Value> = all
        .into_iter()
        .skip(usize::try_from(slice.offset).unwrap_or(usize::MAX))
        .take(size as usize)
        .map(|definition| {
            json!({
                "name": definition.provider.slug,
                "title": definition.provider.name,
                "categories": definition.provider.categories,
                "oauth": true,
                "deprecated": false,
                "secondary": false,
                "triggers": [],
                "actions": [],
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({"items": items, "count": count, "page": number, "per_page": size})))
}

/// `GET /api/custom_connectors`: there are none.
pub(super) async fn custom_connectors() -> HttpResponse {
    HttpResponse::Ok().json(json!({"result": []}))
}
