//! `/api/providers`: the catalogue, and the operator's own before it.

use actix_web::{HttpRequest, HttpResponse, dev::Payload, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{App, document, providers::Definition},
    domain::{Error, provider::Origin},
    http::{
        body::{self, is_json, path_text},
        caller::Admitted,
        condition::{expected, set_tag},
        problem::{Failure, Kind},
    },
};

/// The most bytes of a definition.
const MOST: usize = 64 * 1024;

fn wire(definition: &Definition) -> Result<Value, Failure> {
    let mut value: Value = serde_json::from_str(&definition.json).map_err(Error::internal)?;
    value["origin"] = match definition.provider.origin {
        Origin::BuiltIn => "built_in",
        Origin::Operator => "operator",
    }
    .into();
    Ok(value)
}

fn answer(definition: &Definition) -> Result<HttpResponse, Failure> {
    let mut answer = result(wire(definition)?);
    if let Some(updated_at) = definition.updated_at {
        set_tag(&mut answer, updated_at);
    }
    Ok(answer)
}

/// The text of a definition. The use case reads it, as it reads the catalogue; here it must only be one JSON value without
/// a key twice.
async fn definition(request: &HttpRequest, payload: web::Payload) -> Result<String, Failure> {
    let mut payload: Payload = payload.into_inner();
    let bytes = body::read(&mut payload, MOST).await?;
    if !is_json(request) {
        return Err(Kind::MediaType("application/json").into());
    }
    document::parse(&bytes)?;
    Ok(document::utf8(&bytes)?.to_owned())
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let all = app.list_providers(&caller).await?;
    Ok(result(all.iter().map(wire).collect::<Result<Vec<_>, _>>()?))
}

pub(super) async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    answer(&app.get_provider(&caller, &path_text(&request, "slug")?)?)
}

pub(super) async fn create(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let json = definition(&request, payload).await?;
    answer(&app.create_provider(&caller, &json).await?)
}

pub(super) async fn replace(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let json = definition(&request, payload).await?;
    let (slug, expected) = (path_text(&request, "slug")?, expected(&request)?);
    answer(&app.replace_provider(&caller, &slug, expected, &json).await?)
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_provider(&caller, &path_text(&request, "slug")?, expected(&request)?).await?;
    Ok(result(json!({"success": true})))
}
