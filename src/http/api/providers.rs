//! `/api/v1/providers`: definitions of authorization servers.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::MAX_ACTION_BODY;
use crate::{
    app::{
        App,
        document::{self, Fields},
    },
    domain::Why,
    http::{
        body::{is_json, path_text, read},
        caller::Admitted,
        problem::{Failure, Kind},
    },
};

/// The origins that a provider's secrets may go to.
#[derive(Debug, Serialize)]
struct ConfirmedOrigins {
    slug: String,
    origins: Vec<String>,
}

/// Confirms the origins of a provider's definition: `{"origins": ["https://new.example"]}`. Each new origin has to be named.
pub(super) async fn confirm_origins(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body = read(&mut payload.into_inner(), MAX_ACTION_BODY).await?;
    if !is_json(&request) {
        return Err(Kind::MediaType("application/json").into());
    }
    let value = document::parse(&body)?;
    let mut fields = Fields::of(&value)?;
    fields.only(&["origins"]);
    let origins = fields.texts("origins");
    if origins.is_none() && fields.value("origins").is_none() {
        fields.fault("origins", Why::Missing);
    }
    let origins = fields.faults.or(origins)?.unwrap_or_default();
    let slug = path_text(&request, "slug")?;
    let origins = app.confirm_origins(&caller, &slug, origins).await?;
    Ok(HttpResponse::Ok().json(ConfirmedOrigins { slug, origins }))
}
