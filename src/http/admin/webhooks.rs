//! `/api/webhooks`: addresses that want to hear of events.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{events::part, result};
use crate::{
    app::{
        App,
        document::Fields,
        webhooks::{Change, MOST_DELIVERIES},
    },
    domain::{
        Error, Noun, Why,
        event::EventKind,
        webhook::{Delivery, DeliveryStatus, Webhook},
    },
    http::{
        body::{Json, path_id, query},
        caller::Admitted,
        problem::Failure,
        time::with_offset,
    },
};

fn wire(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id,
        "url": webhook.url,
        "events": webhook.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "enabled": webhook.enabled,
        "waiting": webhook.waiting,
        "dead": webhook.dead,
        "created_at": with_offset(webhook.created_at),
        "updated_at": with_offset(webhook.updated_at),
    })
}

fn delivery_wire(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id,
        "event_id": delivery.event_id,
        "type": delivery.kind.as_str(),
        "status": delivery.status.as_str(),
        "attempts": delivery.attempts,
        "next_at": delivery.next_at.map(with_offset),
        "result": delivery.result,
        "settled_at": delivery.settled_at.map(with_offset),
    })
}

/// `{"url", "events"?: […], "enabled"?}`; no events are all events.
fn change(body: &Value, is_new: bool) -> Result<Change, Failure> {
    let mut fields = Fields::of(body)?;
    fields.only(&["url", "events", "enabled"]);
    let url = fields.text("url").map(str::to_owned);
    if is_new && fields.value("url").is_none() {
        fields.fault("url", Why::Missing);
    }
    let kinds = fields.texts("events").and_then(|words| {
        let kinds: Option<Vec<EventKind>> = words.iter().map(|word| EventKind::parse(word)).collect();
        if kinds.is_none() {
            fields.fault("events", Why::NotOneOf(EventKind::ALL.map(|kind| kind.as_str().to_owned()).to_vec()));
        }
        kinds
    });
    let enabled = fields.boolean("enabled");
    Ok(fields.faults.or(Change { url, kinds, enabled })?)
}

fn id(request: &HttpRequest) -> Result<i64, Failure> {
    path_id(request, "id", Noun::Webhook)
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    Ok(result(app.list_webhooks(&caller).await?.iter().map(wire).collect::<Vec<_>>()))
}

pub(super) async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Ok(result(wire(&app.get_webhook(&caller, id(&request)?).await?)))
}

/// The answer has the `secret`, this once.
pub(super) async fn create(app: web::Data<App>, caller: Admitted, body: Json) -> Result<HttpResponse, Failure> {
    let (webhook, secret) = app.create_webhook(&caller, change(&body.0, true)?).await?;
    let mut wire = wire(&webhook);
    wire["secret"] = secret.expose().into();
    Ok(result(wire))
}

/// Changes what the body has; the rest stays.
pub(super) async fn update(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let change = change(&body.0, false)?;
    Ok(result(wire(&app.update_webhook(&caller, id(&request)?, change).await?)))
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_webhook(&caller, id(&request)?).await?;
    Ok(result(json!({"success": true})))
}

/// A new secret, shown this once.
pub(super) async fn renew_secret(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let secret = app.renew_webhook_secret(&caller, id(&request)?).await?;
    Ok(result(json!({"secret": secret.expose()})))
}

/// `status`, and `before` and `limit` as for events.
pub(super) async fn list_deliveries(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let (before, limit) = part(&request, MOST_DELIVERIES)?;
    let not_one = || Why::NotOneOf(DeliveryStatus::ALL.map(|status| status.as_str().to_owned()).to_vec());
    let status = query(&request, "status")
        .map(|word| DeliveryStatus::parse(&word).ok_or_else(|| Error::invalid("status", not_one())))
        .transpose()?;
    let deliveries = app.list_deliveries(&caller, id(&request)?, status, before, limit).await?;
    Ok(result(deliveries.iter().map(delivery_wire).collect::<Vec<_>>()))
}

pub(super) async fn retry_delivery(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let delivery = path_id(&request, "delivery", Noun::Delivery)?;
    Ok(result(delivery_wire(&app.retry_delivery(&caller, id(&request)?, delivery).await?)))
}

/// Sends a ping, and tells what came back.
pub(super) async fn test(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let ping = app.test_webhook(&caller, id(&request)?).await?;
    let milliseconds = u64::try_from(ping.took.as_millis()).unwrap_or(u64::MAX);
    Ok(result(json!({"delivered": ping.delivered, "result": ping.result, "milliseconds": milliseconds})))
}
