//! `/api/events`: what happened to connections and profiles.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::{
    app::{
        App,
        events::{MOST_EVENTS, to_json},
    },
    domain::{Error, Why},
    http::{body::query, caller::Admitted, problem::Failure},
};

/// `before`: only what has a smaller id than this; `limit`: how many at most, clamped as dialect 1 clamps its pages.
pub(super) fn part(request: &HttpRequest, most: u32) -> Result<(Option<i64>, u32), Failure> {
    let before = query(request, "before")
        .map(|text| text.parse::<i64>().map_err(|_| Error::invalid("before", Why::Malformed("an id"))))
        .transpose()?;
    let limit = query(request, "limit").and_then(|text| text.parse::<u32>().ok()).unwrap_or(most);
    Ok((before, limit.clamp(1, most)))
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let (before, limit) = part(&request, MOST_EVENTS)?;
    let events = app.list_events(&caller, before, limit).await?;
    let events: Vec<Value> = events.iter().map(to_json).collect::<Result<_, Error>>()?;
    Ok(HttpResponse::Ok().json(json!({"result": events})))
}
