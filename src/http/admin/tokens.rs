//! `/api/connections/:id/token`: access tokens of providers, handed out.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::{
    app::{App, tokens},
    domain::{Error, Noun, Why},
    http::{
        body::{path_id, query},
        caller::Admitted,
        problem::Failure,
        time::whole_seconds,
    },
};

/// `min_ttl` in milliseconds: whole seconds in the query, 60 where nothing is said.
pub(in crate::http) fn min_ttl_ms(text: Option<&str>) -> Result<i64, Error> {
    let Some(text) = text else { return Ok(tokens::MIN_TTL_MS) };
    let seconds: i64 = text.parse().map_err(|_| Error::invalid("min_ttl", Why::WrongType("whole number")))?;
    let ms = seconds.checked_mul(1000).filter(|ms| (0..=tokens::MOST_TTL_MS).contains(ms));
    ms.ok_or_else(|| Error::invalid("min_ttl", Why::Malformed("a number of seconds from 0 to 86400")))
}

/// `{"access_token","token_type","expires_at","expires_in","scope","extra"}`, good for at least `min_ttl` seconds.
pub(super) async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let id = path_id(&request, "id", Noun::Connection)?;
    let given = app.access_token(&caller, id, min_ttl_ms(query(&request, "min_ttl").as_deref())?).await?;
    Ok(HttpResponse::Ok().json(json!({
        "access_token": given.access_token.expose(),
        "token_type": given.token_type,
        "expires_at": given.expires_at.map(whole_seconds),
        "expires_in": given.expires_in_s,
        "scope": given.scope,
        "extra": given.extra,
    })))
}
