//! What a token is good for: `/userinfo`, and a little API that tells what reached it.

use std::{io, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName},
    web,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, zeros},
    faults::On,
    like,
    options::Like,
    request::Parameters,
    state::Shared,
    token::answered,
};

/// What a header that may hold a credential is shown as.
const REDACTED: &str = "[redacted]";
/// The headers whose values are not shown.
const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-shopify-access-token"];
const MOST_CHUNKS: u64 = 100_000;
const MOST_CHUNK_MS: u64 = 60_000;
const MOST_MB: u64 = 10_000;

/// The token that a request carries, as this kind of provider takes it.
pub(super) fn token(request: &HttpRequest, like: Like) -> Option<&str> {
    let (name, scheme) = like::bearer(like);
    let value = request.headers().get(HeaderName::from_bytes(name.as_bytes()).ok()?)?.to_str().ok()?;
    if scheme.is_empty() {
        return Some(value);
    }
    let (given, token) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(token.trim())
}

/// The grant and account behind a request's token, which is used by this; or the refusal (RFC 6750 §3.1).
fn bearer(shared: &Shared, request: &HttpRequest) -> Result<(u64, String), NoToken> {
    let Some(token) = token(request, shared.options.like) else { return Err(NoToken::Missing) };
    let mut state = shared.state();
    let found = state.read_access(&shared.mint, token).and_then(|(id, serial)| {
        let grant = state.grant(id)?;
        let good = grant.use_access(serial, shared.options.rotation, std::time::Instant::now());
        good.then(|| (id, grant.account.clone()))
    });
    found.ok_or(NoToken::Bad)
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy)]
enum NoToken {
    Missing,
    Bad,
}

impl NoToken {
    /// The answer; a bad token has this status where one is given.
    fn answer(self, like: Like, expired_status: Option<u16>) -> Answer {
        let (challenge, why) = match self {
            Self::Missing => ("Bearer realm=\"simulator\"", "there is no access token"),
            Self::Bad => (
                "Bearer realm=\"simulator\", error=\"invalid_token\"",
                "the access token is unknown, expired or revoked",
            ),
        };
        let status = expired_status.filter(|_| matches!(self, Self::Bad)).unwrap_or(401);
        match like {
            Like::Slack if status == 401 => Answer::json(200, json!({"ok": false, "error": "invalid_auth"})),
            _ => Answer::json(status, json!({"error": "invalid_token", "error_description": why}))
                .with("WWW-Authenticate", challenge),
        }
    }
}

/// `GET /userinfo`.
pub(super) async fn userinfo(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    answered(&shared, On::Userinfo, (&request, b""), |plan| {
        Ok(match bearer(&shared, &request) {
            Ok((_, account)) => Answer::json(200, like::userinfo(shared.options.like, &account)),
            Err(refused) => refused.answer(shared.options.like, plan.expired_status()),
        })
    })
    .await
}

/// `/api/…`, any method: tells what reached it, and never what was in it.
pub(super) async fn echo(shared: web::Data<Shared>, request: HttpRequest, mut body: web::Payload) -> HttpResponse {
    let mut length: u64 = 0;
    let mut cut = false;
    while let Some(chunk) = body.next().await {
        let Ok(chunk) = chunk else {
            cut = true;
            break;
        };
        length += chunk.len() as u64;
    }
    answered(&shared, On::Api, (&request, b""), |plan| {
        let (grant, account) = match bearer(&shared, &request) {
            Ok(found) => found,
            Err(refused) => return Ok(refused.answer(shared.options.like, plan.expired_status())),
        };
        let mut headers = Map::new();
        for (name, value) in request.headers() {
            let value = match value.to_str() {
                _ if SECRET.contains(&name.as_str()) => REDACTED.to_owned(),
                Ok(value) => value.to_owned(),
                Err(_) => "[not text]".to_owned(),
            };
            match headers.get_mut(name.as_str()) {
                Some(Value::String(before)) => *before = format!("{before}, {value}"),
                _ => drop(headers.insert(name.to_string(), value.into())),
            }
        }
        let query = request.query_string();
        Ok(Answer::json(
            200,
            json!({
                "method": request.method().as_str(),
                "path": request.path(),
                "query": query,
                "headers": headers,
                "body_length": length,
                "body_cut_off": cut,
                "account": account,
                "grant": grant,
            }),
        ))
    })
    .await
}

/// A number of the query, within these bounds.
fn number(request: &HttpRequest, name: &str, default: u64, most: u64) -> u64 {
    let parameters = Parameters::of_form(request.query_string().as_bytes()).unwrap_or_default();
    parameters.get(name).and_then(|text| text.parse().ok()).unwrap_or(default).min(most)
}

/// `GET /api/stream?chunks=5&ms=0`: one line of JSON at a time.
pub(super) async fn stream(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    if let Err(refused) = bearer(&shared, &request) {
        return refused.answer(shared.options.like, None).whole();
    }
    let (chunks, ms) = (number(&request, "chunks", 5, MOST_CHUNKS), number(&request, "ms", 0, MOST_CHUNK_MS));
    let lines = stream::iter(0..chunks).then(move |number| async move {
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        } else {
            tokio::task::yield_now().await;
        }
        Ok::<_, io::Error>(Bytes::from(format!("{{\"chunk\":{number}}}\n")))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(Box::pin(lines))
}

/// `GET /api/redirect?to=URL`: a redirect to wherever is said.
pub(super) async fn redirect(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    if let Err(refused) = bearer(&shared, &request) {
        return refused.answer(shared.options.like, None).whole();
    }
    let parameters = Parameters::of_form(request.query_string().as_bytes()).unwrap_or_default();
    match parameters.get("to").map(header::HeaderValue::from_str) {
        Some(Ok(to)) => HttpResponse::Found().insert_header((header::LOCATION, to)).finish(),
        _ => Answer::json(400, json!({"error": "to: a URL is missing"})).whole(),
    }
}

/// `GET /api/big?mb=N`: so many million bytes.
pub(super) async fn big(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    match bearer(&shared, &request) {
        Ok(_) => zeros(number(&request, "mb", 1, MOST_MB)),
        Err(refused) => refused.answer(shared.options.like, None).whole(),
    }
}

/// Where redirects of faults lead: an answer that looks like success, for clients that ought not to be here.
pub(super) async fn elsewhere() -> HttpResponse {
    let body = json!({"access_token": "sim_at_elsewhere", "token_type": "Bearer", "expires_in": 3600});
    Answer::json(200, body).whole()
}
