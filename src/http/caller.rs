//! Who sends a request: reads the credential, lets `app` make a caller of it, and holds the door of every route.

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Surface,
    problem::{Failure, Kind},
    security::{address, request_id},
};
use crate::{
    app::{
        App,
        access::{Caller, Origin, Shown},
    },
    domain::{Error, Rejection, Secret, user::Scope},
};

/// What a route asks of whoever comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: anybody may.
    Nothing,
    /// A good credential, whatever its scopes.
    Caller,
    /// A credential with this scope.
    Scope(Scope),
    /// The same, to have a request passed on. The session's cookie is none, as a browser sends it by itself, whoever wrote
    /// the page that asks; and the body is not ours to read.
    PassOn(Scope),
}

/// The name of the session's cookie: with `__Host-` where TLS is.
pub fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-grantry" } else { "grantry" }
}

/// The middleware of every route: nothing of the request is looked at before the caller may.
pub async fn guard<B: MessageBody + 'static>(
    needs: Needs,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let origin = Origin { request_id: request_id(&request), address: address(&request) };
    request.extensions_mut().insert(origin.clone());
    if needs != Needs::Nothing {
        let admitted = match shown(&request, needs) {
            Ok(shown) => admit(&request, shown, origin, needs).await,
            Err(error) => Err(error),
        };
        match admitted {
            Ok(caller) => drop(request.extensions_mut().insert(caller)),
            Err(error) => return Ok(request.error_response(Failure::from(error)).map_into_boxed_body()),
        }
    }
    let opaque = matches!(needs, Needs::PassOn(_));
    if !opaque && request.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Ok(request.error_response(Failure::from(Kind::MediaType("identity"))).map_into_boxed_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

async fn admit(request: &ServiceRequest, shown: Option<Shown>, origin: Origin, needs: Needs) -> Result<Caller, Error> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no app"))?;
    let caller = app.authenticate(shown, origin).await?;
    match needs {
        Needs::Scope(scope) | Needs::PassOn(scope) => caller.need(scope).map(|()| caller),
        Needs::Caller | Needs::Nothing => Ok(caller),
    }
}

/// The credential that a request shows: `Authorization` (Bearer, Basic), `appKey`, or the session's cookie.
fn shown(request: &ServiceRequest, needs: Needs) -> Result<Option<Shown>, Error> {
    const BAD: Error = Error::Unauthenticated(Rejection::Bad);
    if request.query_string().split('&').any(|pair| pair.split('=').next() == Some("appKey")) {
        return Err(Error::Unauthenticated(Rejection::InUrl));
    }
    let headers = request.headers();
    let mut given = headers.get_all(header::AUTHORIZATION).map(authorization);
    let mut keys = headers
        .get_all("appkey")
        .map(|key| key.to_str().map(|key| Shown::Token(Secret::new(key.trim()))).map_err(|_| BAD));
    match (given.next(), keys.next()) {
        (Some(one), None) if given.next().is_none() => {
            let one = one?;
            // A browser that was once given a password sends it by itself, whoever's page asks.
            let harmless = is_safe(request.method()) && !matches!(needs, Needs::PassOn(_));
            if matches!(one, Shown::Basic { .. }) && !harmless {
                refuse_other_sites(request.request())?;
            }
            return Ok(Some(one));
        }
        (None, Some(one)) if keys.next().is_none() => return one.map(Some),
        (None, None) => {}
        // Two credentials: which one was meant is not ours to guess.
        _ => return Err(BAD),
    }
    if matches!(needs, Needs::PassOn(_)) {
        return Ok(None);
    }
    let Some(surface) = request.app_data::<web::Data<Surface>>() else { return Ok(None) };
    let Some(cookie) = request.cookie(cookie_name(surface.secure)) else { return Ok(None) };
    if !is_same_origin(request, surface) {
        return Err(Error::Unauthenticated(Rejection::CrossSite));
    }
    Ok(Some(Shown::Session(Secret::new(cookie.value()))))
}

/// The credential that a request was let in with, for an answer that takes so long that it must be looked at again.
pub fn shown_again(request: &HttpRequest) -> Result<Shown, Error> {
    const BAD: Error = Error::Unauthenticated(Rejection::Bad);
    let headers = request.headers();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        return authorization(value);
    }
    if let Some(key) = headers.get("appkey") {
        return key.to_str().map(|key| Shown::Token(Secret::new(key.trim()))).map_err(|_| BAD);
    }
    let surface = request.app_data::<web::Data<Surface>>().ok_or_else(|| Error::internal("no surface"))?;
    let cookie = request.cookie(cookie_name(surface.secure)).ok_or(BAD)?;
    Ok(Shown::Session(Secret::new(cookie.value())))
}

fn authorization(value: &header::HeaderValue) -> Result<Shown, Error> {
    const BAD: Error = Error::Unauthenticated(Rejection::Bad);
    let (scheme, rest) = value.to_str().map_err(|_| BAD)?.trim().split_once(' ').ok_or(BAD)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Shown::Token(Secret::new(rest.trim())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(BAD);
    }
    let (name, password) = basic(rest.trim()).ok_or(BAD)?;
    Ok(Shown::Basic { name, password })
}

/// Name and password of RFC 7617.
pub fn basic(encoded: &str) -> Option<(String, Secret)> {
    let decoded = zeroize::Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), Secret::new(password)))
}

/// A browser sends a session's cookie by itself, so a request that changes something must come from our own page:
/// `Sec-Fetch-Site` says so, or, in browsers without it, `Origin`.
fn is_same_origin(request: &ServiceRequest, surface: &Surface) -> bool {
    is_safe(request.method()) || comes_from_own_page(request.headers(), &surface.public_url)
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the headers of a request say that one of our own pages sent it.
pub fn comes_from_own_page(headers: &header::HeaderMap, public_url: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() == public_url.as_bytes())
}

/// Turns down what a page of another site makes a browser send, where no credential is needed: somebody else's login in
/// one's own browser is an attack too. What is no browser says nothing of its own accord, and may.
pub fn refuse_other_sites(request: &HttpRequest) -> Result<(), Error> {
    let headers = request.headers();
    let silent = !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN);
    let surface = request.app_data::<web::Data<Surface>>().ok_or_else(|| Error::internal("no surface"))?;
    if silent || comes_from_own_page(headers, &surface.public_url) {
        return Ok(());
    }
    Err(Error::Unauthenticated(Rejection::CrossSite))
}

/// The caller whom the door let in.
#[derive(Debug)]
pub struct Admitted(pub Caller);

impl std::ops::Deref for Admitted {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequest for Admitted {
    type Error = Failure;
    type Future = std::future::Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        std::future::ready(caller.map(Self).ok_or_else(|| Error::internal("a route without a door").into()))
    }
}

/// Where the request comes from, for routes that need no caller.
pub fn origin(request: &HttpRequest) -> Result<Origin, Failure> {
    request.extensions().get::<Origin>().cloned().ok_or_else(|| Error::internal("a route without a door").into())
}
