//! `/api/providers`: the catalogue, and the operator's own before it.

use actix_web::{HttpRequest, HttpResponse, dev::Payload, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{App, document, providers::Definition},
    domain::{Error, Why, provider::Origin},
    http::{
        body::{self, is_json, path_text, queries},
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

/// The text of a definition, and the origins of `confirm_origins` beside its fields. The use case reads it, as it reads the
/// catalogue; here it must only be one JSON value without a key twice.
async fn definition(request: &HttpRequest, payload: web::Payload) -> Result<(String, Vec<String>), Failure> {
    let mut payload: Payload = payload.into_inner();
    let bytes = body::read(&mut payload, MOST).await?;
    if !is_json(request) {
        return Err(Kind::MediaType("application/json").into());
    }
    let mut value = document::parse(&bytes)?;
    let Some(confirmed) = value.as_object_mut().and_then(|fields| fields.remove("confirm_origins")) else {
        return Ok((document::utf8(&bytes)?.to_owned(), Vec::new()));
    };
    let origin = |item: &Value| item.as_str().map(str::to_owned);
    let confirmed = confirmed.as_array().and_then(|items| items.iter().map(origin).collect());
    let confirmed = confirmed.ok_or_else(|| Error::invalid("confirm_origins", Why::WrongType("array of strings")))?;
    Ok((value.to_string(), confirmed))
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
    let (json, confirmed) = definition(&request, payload).await?;
    answer(&app.create_provider(&caller, &json, confirmed).await?)
}

pub(super) async fn replace(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let (json, confirmed) = definition(&request, payload).await?;
    let (slug, expected) = (path_text(&request, "slug")?, expected(&request)?);
    answer(&app.replace_provider(&caller, &slug, expected, &json, confirmed).await?)
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let confirmed = queries(&request, "confirm_origins");
    app.delete_provider(&caller, &path_text(&request, "slug")?, expected(&request)?, confirmed).await?;
    Ok(result(json!({"success": true})))
}
