//! `/api/connections/{id}/history`: what came of a connection's refreshes, and what happened to it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{result, search::limit};
use crate::{
    app::App,
    domain::{
        Error, Noun, Why,
        event::EventKind,
        history::{Moment, Place},
    },
    http::{
        body::{path_id, query},
        caller::Admitted,
        problem::Failure,
        time::with_offset,
    },
};

/// What an event is in the history of a connection, and whether it is good news.
fn kind(kind: EventKind) -> (&'static str, Option<bool>) {
    match kind {
        EventKind::Connected => ("connected", Some(true)),
        EventKind::NeedsReauthorization => ("lost", Some(false)),
        EventKind::AppSecretRejected => ("app_secret_rejected", Some(false)),
        EventKind::Healed => ("healed", Some(true)),
        EventKind::Disconnected => ("disconnected", None),
        EventKind::Warning => ("warning", None),
    }
}

fn wire(moment: &Moment) -> Result<Value, Failure> {
    Ok(match moment {
        Moment::Refresh(refresh) => {
            let failed = refresh.failed.as_ref();
            json!({
                "at": with_offset(refresh.at),
                "kind": "refresh",
                "ok": failed.is_none(),
                "result": failed.map_or("refreshed", |(_, result)| result.as_str()),
                "blame": failed.map(|(blame, _)| blame.as_str()),
                "detail": null,
            })
        }
        Moment::Event(event) => {
            let (kind, ok) = kind(event.kind);
            let detail: Value = serde_json::from_str(&event.detail).map_err(Error::internal)?;
            json!({
                "at": with_offset(event.at),
                "kind": kind,
                "ok": ok,
                "result": null,
                "blame": null,
                "detail": detail,
            })
        }
    })
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let id = path_id(&request, "id", Noun::Connection)?;
    let place = |text: String| {
        Place::parse(&text).ok_or_else(|| Error::invalid("before", Why::Malformed("the `next` of an answer")))
    };
    let before = query(&request, "before").filter(|text| !text.is_empty()).map(place).transpose()?;
    let (moments, next) = app.connection_history(&caller, id, before, limit(&request)?).await?;
    let items = moments.iter().map(wire).collect::<Result<Vec<_>, _>>()?;
    Ok(result(json!({"items": items, "next": next.map(|place| place.to_string())})))
}
