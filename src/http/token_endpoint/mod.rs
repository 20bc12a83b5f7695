//! Where client applications get their access tokens (RFC 6749 §4.4), and where those are looked at (RFC 7662) and
//! revoked (RFC 7009).
//!
//! A client application shows its id and secret by `client_secret_basic` or `client_secret_post` (RFC 6749 §2.3.1).
//! These routes look at credentials themselves, as RFC 6749 §5.2 has its own answer to bad ones. Every failure below
//! `/oauth` has the shape of that section.
//!
//! # Where we differ or decide
//!
//! - Looking at a token and revoking it is also for API tokens with `applications:read`; for others a token that is not
//!   theirs is one that does not exist.
//! - A secret or a token in the query is refused: it is in somebody's log by now.
//! - Guessing is answered with 429, `temporarily_unavailable` and `Retry-After`.
//!
//! # Token exchange (RFC 8693)
//!
//! A token of ours (an access token of an application, or an API token) is exchanged for a provider's access token. The
//! token shown is enough; a client that shows its secret besides exchanges no other application's token.
//!
//! - The target is one connection: `audience=connection:7`, or `resource` with its address
//!   (`<public URL>/api/connections/7`). None, several, or one that is out of reach: `invalid_target`.
//! - §2.2.2 has a subject token that is bad, or may not, answered with `invalid_request`, and a target for which no token
//!   can be issued with `invalid_target`. So the refusals of the hand-out are `invalid_target`, 400, with their own word as
//!   `reason` and `connect_url` where there is one; only a provider that is out is 503, `temporarily_unavailable` with
//!   `Retry-After`, as that passes by itself.
//! - `scope` names what the token must have, and is answered with what it has: a provider's token cannot be made smaller.
//!   Where it has less, or nobody knows, the answer is `invalid_scope`.
//! - `token_type` is `Bearer` where the provider's API takes the token so, else `N_A`.
//! - `min_ttl` is ours: for how many seconds the token has to be good, 60 where nothing is said.
//! - No actor: `actor_token` is `invalid_request`. No refresh token is ever given.

mod exchange;

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
    web,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    Surface,
    body::{media_type, read},
    caller::{self, Needs},
    connect,
    problem::{Asked, Failure, Kind, sentence},
    routes::Routes,
};
use crate::{
    app::{
        App,
        access::{Caller, Shown},
        client_applications::Refusal,
    },
    domain::{Error, Rejection, Secret, Why, grant::NoToken, user::Scope},
};

/// The most bytes of a request: a few names, a secret, a list of scopes.
const MOST: usize = 16 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// The routes of the token endpoint.
pub fn routes() -> Routes {
    Routes::below("/oauth")
        .at("/token", [(Method::POST, Needs::Nothing, web::to(token))])
        .at("/introspect", [(Method::POST, Needs::Nothing, web::to(introspect))])
        .at("/revoke", [(Method::POST, Needs::Nothing, web::to(revoke))])
        .at("/callback", [(Method::GET, Needs::Nothing, web::to(connect::oauth_callback))])
}

/// The errors of RFC 6749 §5.2: `error` and `error_description`.
pub fn dress(failure: &Failure, _: &Asked) -> HttpResponse {
    let given = failure.facts.get("error").and_then(Value::as_str);
    let error = given.unwrap_or(match &failure.kind {
        Kind::Domain(error) => match error {
            Error::Unauthenticated(_) => "invalid_client",
            // RFC 6750 §3.1, as it is a bearer token that lacks something.
            Error::Forbidden(_) | Error::OutOfReach(_) => "insufficient_scope",
            Error::TooMany { .. }
            | Error::Unavailable { .. }
            | Error::NoToken { why: NoToken::ProviderUnavailable { .. }, .. } => "temporarily_unavailable",
            Error::NoToken { .. } => "invalid_target",
            Error::Internal(_) => "server_error",
            _ => "invalid_request",
        },
        _ => "invalid_request",
    });
    let description: String = sentence(failure).chars().map(describable).collect();
    let mut body =
        Map::from_iter([("error".to_owned(), error.into()), ("error_description".to_owned(), description.into())]);
    let mut status = failure.status();
    if let Kind::Domain(Error::NoToken { why, connect_url }) = &failure.kind {
        if error == "invalid_target" {
            status = StatusCode::BAD_REQUEST;
        }
        body.insert("reason".to_owned(), why.as_str().into());
        body.extend(connect_url.as_ref().map(|url| ("connect_url".to_owned(), url.as_str().into())));
    }
    let mut answer = HttpResponse::build(status);
    if status == StatusCode::UNAUTHORIZED {
        answer.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"grantry\", charset=\"UTF-8\""));
    }
    answer.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache")).json(body)
}

/// What may stand in an `error_description` (RFC 6749 §5.2), or something in its place.
fn describable(c: char) -> char {
    match c {
        '"' => '\'',
        ' '..='~' if c != '\\' => c,
        _ => '?',
    }
}

fn invalid_request(path: &str, why: Why) -> Failure {
    Error::invalid(path, why).into()
}

/// The parameters of a request, each at most once; one without a value is one that is absent (RFC 6749 §3.1, §3.2).
struct Parameters {
    values: BTreeMap<String, Zeroizing<String>>,
    repeated: Vec<&'static str>,
}

/// Those that may be repeated (RFC 8693 §2.1, RFC 8707 §2).
const REPEATABLE: [&str; 2] = ["audience", "resource"];

impl Parameters {
    async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Failure> {
        let body = Zeroizing::new(read(&mut payload.into_inner(), MOST).await?.to_vec());
        if media_type(request).as_deref() != Some(FORM) {
            return Err(Kind::MediaType(FORM).into());
        }
        for secret in ["client_secret", "token", "subject_token", "actor_token"] {
            if super::body::query(request, secret).is_some() {
                return Err(Kind::Broken("a secret in the URL ends up in logs: send it in the body").into());
            }
        }
        let text = std::str::from_utf8(&body)
            .map_err(|error| invalid_request("", Why::NotUtf8 { offset: error.valid_up_to() }))?;
        let mut parameters: BTreeMap<String, Zeroizing<String>> = BTreeMap::new();
        let mut repeated = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let broken = || Kind::Broken("a parameter is not encoded as a form");
            let (name, value) = (decoded(name).ok_or_else(broken)?, decoded(value).ok_or_else(broken)?);
            if parameters.contains_key(name.as_str()) {
                if let Some(name) = REPEATABLE.iter().find(|repeatable| **repeatable == name.as_str()) {
                    repeated.push(*name);
                    continue;
                }
                return Err(invalid_request(&name.chars().take(100).collect::<String>(), Why::Duplicate));
            }
            parameters.insert(name.to_string(), value);
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self { values: parameters, repeated })
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.repeated.contains(&name)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.as_str())
    }

    fn need(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| invalid_request(name, Why::Missing))
    }
}

/// A text of a form: `+` is a space, `%XX` a byte of UTF-8.
fn decoded(text: &str) -> Option<Zeroizing<String>> {
    let spaced = Zeroizing::new(text.replace('+', " "));
    let bytes = spaced.as_bytes();
    let whole = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    let text = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    whole.then(|| Zeroizing::new(text.into_owned()))
}

const BAD: Error = Error::Unauthenticated(Rejection::Bad);

/// What a client application shows: its id and secret.
struct ApplicationCredentials {
    id: String,
    secret: Secret,
}

/// The value of `Authorization`, of which there may be one.
fn authorization(request: &HttpRequest) -> Result<Option<(&str, &str)>, Failure> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid_request("Authorization", Why::Duplicate));
    }
    let parts = value.to_str().ok().and_then(|value| value.trim().split_once(' '));
    let (scheme, rest) = parts.ok_or(BAD)?;
    Ok(Some((scheme, rest.trim())))
}

/// Id and secret from the header or from the body, never from both.
fn credentials(request: &HttpRequest, parameters: &Parameters) -> Result<ApplicationCredentials, Failure> {
    let in_body = parameters.get("client_secret");
    let Some((scheme, encoded)) = authorization(request)? else {
        let (Some(id), Some(secret)) = (parameters.get("client_id"), in_body) else {
            return Err(Error::Unauthenticated(Rejection::Missing).into());
        };
        return Ok(ApplicationCredentials { id: id.to_owned(), secret: Secret::new(secret) });
    };
    if in_body.is_some() {
        return Err(Kind::Broken("the client shows its secret in two ways: use the header or the body").into());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(BAD.into());
    }
    let pair = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| BAD)?);
    let (id, secret) = std::str::from_utf8(&pair).ok().and_then(|pair| pair.split_once(':')).ok_or(BAD)?;
    let (id, secret) = (decoded(id).ok_or(BAD)?, decoded(secret).ok_or(BAD)?);
    if parameters.get("client_id").is_some_and(|other| other != id.as_str()) {
        return Err(invalid_request("client_id", Why::Differs));
    }
    Ok(ApplicationCredentials { id: id.to_string(), secret: Secret::new(secret.as_str()) })
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::InvalidClient => BAD.into(),
        Refusal::InvalidScope(scope) => {
            let shown: String = scope.chars().take(100).collect();
            Failure::from(Error::invalid(format!("scope {shown}"), Why::NotGranted)).with("error", "invalid_scope")
        }
        Refusal::Other(error) => error.into(),
    }
}

async fn token(
    app: web::Data<App>,
    surface: web::Data<Surface>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, payload).await?;
    let grant = parameters.need("grant_type")?;
    if grant == exchange::GRANT {
        return exchange::exchange(&app, &surface, &request, &parameters).await;
    }
    let shown = credentials(&request, &parameters)?;
    if grant != "client_credentials" {
        let why = Why::NotOneOf(vec!["client_credentials".to_owned(), exchange::GRANT.to_owned()]);
        return Err(invalid_request("grant_type", why).with("error", "unsupported_grant_type"));
    }
    let origin = caller::origin(&request)?;
    let issued =
        app.issue_access_token(&shown.id, &shown.secret, parameters.get("scope"), origin).await.map_err(refused)?;
    let mut body = Map::from_iter([
        ("access_token".to_owned(), issued.token.expose().into()),
        ("token_type".to_owned(), "Bearer".into()),
        ("expires_in".to_owned(), issued.expires_in.into()),
    ]);
    // The grammar of a scope has no empty one.
    if !issued.scopes.is_empty() {
        body.insert("scope".to_owned(), issued.scopes.to_string().into());
    }
    Ok(uncached(HttpResponse::Ok()).json(body))
}

fn uncached(mut answer: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
    answer.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
    answer
}

/// Who asks about a token: an application by its credentials, or somebody with an API token that may see applications.
async fn asker(app: &App, request: &HttpRequest, parameters: &Parameters) -> Result<Caller, Failure> {
    let origin = caller::origin(request)?;
    if let Some((scheme, token)) = authorization(request)?
        && scheme.eq_ignore_ascii_case("bearer")
    {
        if parameters.get("client_secret").is_some() {
            return Err(Kind::Broken("the client shows two credentials: use the header or the body").into());
        }
        let caller = app.authenticate(Some(Shown::Token(Secret::new(token))), origin).await?;
        caller.need(Scope::ApplicationsRead)?;
        return Ok(caller);
    }
    let shown = credentials(request, parameters)?;
    app.application_caller(&shown.id, &shown.secret, origin).await.map_err(refused)
}

async fn introspect(app: web::Data<App>, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, payload).await?;
    let asker = asker(&app, &request, &parameters).await?;
    let found = app.introspect(&asker, &Secret::new(parameters.need("token")?))?;
    let body = match found {
        None => json!({"active": false}),
        Some(found) => json!({
            "active": true,
            "client_id": found.client_id,
            "sub": found.client_id,
            "scope": found.scopes.to_string(),
            "token_type": "Bearer",
            "iat": found.issued_at.0 / 1000,
            "exp": found.expires_at.0 / 1000,
        }),
    };
    Ok(uncached(HttpResponse::Ok()).json(body))
}

async fn revoke(app: web::Data<App>, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, payload).await?;
    let asker = asker(&app, &request, &parameters).await?;
    app.revoke(&asker, &Secret::new(parameters.need("token")?)).await?;
    Ok(uncached(HttpResponse::Ok()).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_strictly() {
        let decoded = |text: &str| decoded(text).map(|text| text.to_string());
        assert_eq!(decoded("a+b%20c%3A%C3%A9"), Some("a b c:é".to_owned()));
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn descriptions_keep_to_their_alphabet() {
        let text: String = "a \"b\" \\ é\n".chars().map(describable).collect();
        assert_eq!(text, "a 'b' ? ??");
    }
}
