//! `/api/connections/:id/token`: access tokens of providers, handed out.

use actix_web::{HttpRequest, HttpResponse, http::Method, web};
use serde_json::json;

use crate::{
    app::{App, tokens},
    domain::{Error, Noun, Why},
    http::{
        body::{path_id, query},
        caller::Admitted,
        problem::Failure,
        time::whole_seconds,
        warnings,
    },
};

/// `min_ttl` in milliseconds: whole seconds in the query, 60 where nothing is said.
pub(in crate::http) fn min_ttl_ms(text: Option<&str>) -> Result<i64, Error> {
    let Some(text) = text else { return Ok(tokens::MIN_TTL_MS) };
    // Digits alone: a sign, a fraction or a space is somebody's mistake.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::invalid("min_ttl", Why::WrongType("whole number")));
    }
    let ms = text.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000));
    let ms = ms.filter(|ms| (0..=tokens::MOST_TTL_MS).contains(ms));
    ms.ok_or_else(|| Error::invalid("min_ttl", Why::Malformed("a number of seconds from 0 to 86400")))
}

/// `{"access_token","token_type","expires_at","expires_in","scope","extra"}`, good for at least `min_ttl` seconds. HEAD
/// tells whether there is one, and hands none out.
pub(super) async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let id = path_id(&request, "id", Noun::Connection)?;
    if url::form_urlencoded::parse(request.query_string().as_bytes()).filter(|(name, _)| name == "min_ttl").count() > 1
    {
        return Err(Error::invalid("min_ttl", Why::Duplicate).into());
    }
    let min_ttl_ms = min_ttl_ms(query(&request, "min_ttl").as_deref())?;
    if *request.method() == Method::HEAD {
        app.check_access_token(&caller, id, min_ttl_ms).await?;
        return Ok(HttpResponse::Ok().content_type("application/json").body(actix_web::body::None::new()));
    }
    let given = app.access_token(&caller, id, min_ttl_ms).await?;
    Ok(HttpResponse::Ok().json(json!({
        "access_token": given.access_token.expose(),
        "token_type": given.token_type,
        "expires_at": given.expires_at.map(whole_seconds),
        "expires_in": given.expires_in_s,
        "scope": given.scope,
        "extra": given.extra,
        "warnings": warnings::wire(&given.warnings),
    })))
}
