//! `/api/users/{id}/second_factor`; `me` is the id of whoever asks.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{
        App,
        access::Caller,
        document::{self, Fields},
        second_factors::Proof,
    },
    domain::{Noun, Secret},
    http::{
        body::{Json, is_json, path_id, read},
        caller::Admitted,
        problem::{Failure, Kind},
    },
};

/// The most bytes of a body: a password or a code.
const MOST: usize = 16 * 1024;

fn user_id(caller: &Caller, request: &HttpRequest) -> Result<i64, Failure> {
    if request.match_info().get("id") == Some("me") {
        return Ok(caller.in_person()?.id);
    }
    path_id(request, "id", Noun::User)
}

/// Begins one; the answer has what codes are made from, this once.
pub(super) async fn begin(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let begun = app.begin_second_factor(&caller, user_id(&caller, &request)?).await?;
    let qr_code = begun.qr_code.as_ref().map(|code| json!({"size": code.size, "path": code.path.expose()}));
    Ok(result(json!({"secret": begun.secret.expose(), "url": begun.url.expose(), "qr_code": qr_code})))
}

/// `{"code"}`: confirms it; the answer has the recovery codes, this once.
pub(super) async fn confirm(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json<MOST>,
) -> Result<HttpResponse, Failure> {
    let id = user_id(&caller, &request)?;
    let mut fields = Fields::of(&body.0)?;
    fields.only(&["code"]);
    let code = fields.need_secret("code");
    let code = fields.faults.all(code)?;
    Ok(shown(&app.confirm_second_factor(&caller, id, &code).await?))
}

/// `{"password"}` or `{"code"}`: new recovery codes; the answer has them, this once. The machine itself sends no body.
pub(super) async fn renew_recovery_codes(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let id = user_id(&caller, &request)?;
    let proof = proof(&request, payload).await?;
    Ok(shown(&app.renew_recovery_codes(&caller, id, proof).await?))
}

fn shown(codes: &[Secret]) -> HttpResponse {
    result(json!({"recovery_codes": codes.iter().map(Secret::expose).collect::<Vec<_>>()}))
}

/// Takes it away: the own one with `{"password"}` or `{"code"}`, another's without a body.
pub(super) async fn remove(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let id = user_id(&caller, &request)?;
    app.remove_second_factor(&caller, id, proof(&request, payload).await?).await?;
    Ok(result(json!({"success": true})))
}

/// `{"password"}` or `{"code"}`, or nothing at all.
async fn proof(request: &HttpRequest, payload: web::Payload) -> Result<Proof, Failure> {
    let body = read(&mut payload.into_inner(), MOST).await?;
    let body = match body.as_ref() {
        [] => Value::Object(serde_json::Map::new()),
        _ if !is_json(request) => return Err(Kind::MediaType("application/json").into()),
        bytes => document::parse(bytes)?,
    };
    let mut fields = Fields::of(&body)?;
    fields.only(&["password", "code"]);
    let (password, code) = (fields.may("password", Secret::given), fields.may("code", Secret::given));
    fields.faults.or(())?;
    Ok(Proof { password, code })
}
