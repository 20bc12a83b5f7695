//! `/proxy/{connection}/…`: requests passed on to the API of a connection's provider, with the token put in.
//!
//! What a provider answers comes from our own address here, so a browser must not take it for a page of ours: the session's
//! cookie opens nothing (see [`Needs::PassOn`]), and every answer is in a sandbox. Whose answer it is says `Proxy-Status`
//! (RFC 9209): `received-status` on a provider's, `error` on ours.

use actix_web::{
    HttpRequest, HttpResponse,
    body::{self, BodyStream, SizedStream},
    http::{
        Method, StatusCode, Version,
        header::{self, HeaderName, HeaderValue},
    },
    web,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{
    body::path_id,
    caller::{Admitted, Needs},
    problem::{Asked, Failure, Kind, sentence},
    routes::Routes,
    security::SANDBOX,
    spawn,
};
use crate::{
    app::{
        App,
        proxy::{Body, Cut, Head, Passed, Request, body_way},
    },
    domain::{Error, Noun, proxy::NotPassed, user::Scope},
};

const PREFIX: &str = "/proxy";
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The one route.
pub fn routes() -> Routes {
    const NEEDS: Needs = Needs::PassOn(Scope::ConnectionsToken);
    Routes::below(PREFIX).all("/{connection}", NEEDS, web::to(pass_on)).all(
        "/{connection}/{path:.*}",
        NEEDS,
        web::to(pass_on),
    )
}

/// `{"error":"needs_reauthorization","message":"…"}`: a word for programs and a sentence, with `connect_url` where somebody
/// can mend it there.
pub fn dress(failure: &Failure, asked: &Asked) -> HttpResponse {
    let mut body = Map::from_iter([
        ("error".to_owned(), Value::from(failure.name())),
        ("message".to_owned(), sentence(failure).into()),
    ]);
    match &failure.kind {
        Kind::Domain(Error::NoToken { connect_url: Some(url), .. }) => {
            body.insert("connect_url".to_owned(), url.as_str().into());
        }
        Kind::Domain(Error::Internal(_)) => {
            body.insert("id".to_owned(), asked.request_id.clone().into());
        }
        _ => {}
    }
    let status = format!("grantry; error={}", error_type(failure));
    HttpResponse::build(failure.status()).insert_header((PROXY_STATUS, status)).json(body)
}

/// The error type of RFC 9209 §2.3 that comes nearest.
fn error_type(failure: &Failure) -> &'static str {
    match &failure.kind {
        Kind::Domain(Error::NotPassed(why)) => match why {
            NotPassed::NoApi | NotPassed::NoAddress(_) => "proxy_configuration_error",
            NotPassed::Path(_) | NotPassed::Upgrade | NotPassed::BodyCut | NotPassed::BodyTimeout => {
                "http_request_error"
            }
            NotPassed::Loop => "proxy_loop_detected",
            NotPassed::Inside => "destination_ip_prohibited",
            NotPassed::Unreachable(_) => "destination_unavailable",
            NotPassed::Timeout => "http_response_timeout",
            NotPassed::Broken(_) => "http_response_incomplete",
            NotPassed::Elsewhere => "http_protocol_error",
        },
        Kind::Domain(Error::NoToken { .. }) => "destination_unavailable",
        Kind::Domain(Error::Internal(_)) => "proxy_internal_error",
        Kind::Domain(Error::Unavailable { .. }) => "connection_limit_reached",
        _ => "http_request_denied",
    }
}

async fn pass_on(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let id = path_id(&request, "connection", Noun::Connection)?;
    let below = format!("{PREFIX}/{id}");
    // The path as it came: what was decoded on the way here may have been meant otherwise.
    let path =
        request.uri().path().strip_prefix(below.as_str()).filter(|path| path.is_empty() || path.starts_with('/'));
    let path = path.ok_or_else(|| Error::not_found(Noun::Path, ""))?.to_owned();
    if request.version() < Version::HTTP_2 && request.uri().authority().is_some() {
        return Err(Error::from(NotPassed::Path("asked for without scheme and host")).into());
    }
    let head = Head {
        method: request.method().as_str().to_owned(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
    };
    // Before anybody waits for a body: one that announces another protocol has none that ends.
    head.check(&path).map_err(Error::from)?;
    let body = take_body(&app, &request, payload).await.map_err(Error::from)?;
    let query = request.uri().query().map(str::to_owned);
    let passed = app.pass_on(&caller, id, &below, Request { head, path, query, body }).await?;
    answer(passed, *request.method() == Method::HEAD)
}

/// The body of a request, once its first part is here; `None`: it has none.
async fn take_body(app: &App, request: &HttpRequest, mut payload: web::Payload) -> Result<Option<Body>, NotPassed> {
    let first = match timeout(app.settings().proxy_idle, payload.next()).await {
        Err(_) => return Err(NotPassed::BodyTimeout),
        Ok(None) => return Ok(None),
        Ok(Some(Err(_))) => return Err(NotPassed::BodyCut),
        Ok(Some(Ok(first))) => first,
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let (way, parts) = body_way();
    // What the HTTP layer has stays on this thread; what is passed on need not.
    spawn(async move {
        let mut part: Result<Bytes, Cut> = Ok(first);
        loop {
            let ends = part.is_err();
            if way.send(part).await.is_err() || ends {
                return;
            }
            let next = tokio::select! {
                biased;
                () = way.closed() => return,
                next = payload.next() => next,
            };
            part = match next {
                None => return,
                Some(next) => next.map_err(|_| Cut),
            };
        }
    });
    Ok(Some(Body { length, parts }))
}

fn answer(passed: Passed, is_head: bool) -> Result<HttpResponse, Failure> {
    let status = StatusCode::from_u16(passed.status).map_err(Error::internal)?;
    let mut answer = HttpResponse::build(status);
    for (name, value) in passed.headers {
        let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&value));
        if let (Ok(name), Ok(value)) = pair {
            answer.append_header((name, value));
        }
    }
    answer
        .append_header((PROXY_STATUS, format!("grantry; received-status={}", passed.status)))
        .insert_header((header::CONTENT_SECURITY_POLICY, SANDBOX));
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(answer.body(body::None::new()));
    }
    let parts = stream::unfold(passed.parts, |mut parts| async move { Some((parts.recv().await?, parts)) });
    // A HEAD tells of a body that does not come.
    let parts = parts.take(if is_head { 0 } else { usize::MAX }).boxed_local();
    Ok(match passed.length {
        Some(length) => answer.body(SizedStream::new(length, parts)),
        None => answer.body(BodyStream::new(parts)),
    })
}
