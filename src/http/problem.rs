//! What went wrong, on its way out.
//!
//! A handler answers `Result<HttpResponse, Failure>`; each scope has one [`Dress`] that turns *every* failure in it into
//! that scope's own shape: a domain error, a bad path, an unknown route, a wrong method, a panic. It is logged here, once,
//! without anything that the caller sent.

use std::panic::AssertUnwindSafe;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
};
use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};

use super::security::request_id;
use crate::domain::{
    Beyond, Error, Fault, Noun, OriginChange, Outage, Rejection, Why,
    grant::{NoToken, whole_seconds},
    proxy::NotPassed,
};

/// Why a request was not served.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub kind: Kind,
    /// What a dialect wants to say with it: fields of its own error shape.
    pub facts: Map<String, Value>,
}

/// What happened.
#[derive(Debug)]
pub enum Kind {
    /// A use case said no.
    Domain(Error),
    /// The resource has no such method; it has these.
    Method(String),
    /// The body is not of this media type, or it is encoded.
    MediaType(&'static str),
    /// None of the media types that the caller accepts is offered; these are.
    Accept(&'static str),
    /// The body did not come in time.
    Timeout,
    /// The body or the head is broken; in these words.
    Broken(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Kind::Domain(error).into()
    }
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Self { kind, facts: Map::new() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// Bare: the scope's dress makes the answer.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status())
    }
}

impl Failure {
    /// The failure with one more fact for the dialect's shape.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// The status of RFC 9110 that says it; a dialect may know better.
    pub fn status(&self) -> StatusCode {
        match &self.kind {
            Kind::Domain(error) => match error {
                Error::Unauthenticated(Rejection::CrossSite | Rejection::InPerson)
                | Error::Forbidden(_)
                | Error::OutOfReach(_) => StatusCode::FORBIDDEN,
                Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
                Error::NotFound { .. } => StatusCode::NOT_FOUND,
                Error::Conflict { .. } | Error::InUse { .. } | Error::OriginChange(_) => StatusCode::CONFLICT,
                Error::Changed { .. } => StatusCode::PRECONDITION_FAILED,
                Error::Invalid(_) => StatusCode::BAD_REQUEST,
                Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                Error::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
                Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
                Error::NoToken { why, .. } => match why {
                    NoToken::NotConnected | NoToken::NeedsReauthorization | NoToken::TooShortLived { .. } => {
                        StatusCode::CONFLICT
                    }
                    NoToken::AppSecretRejected => StatusCode::FAILED_DEPENDENCY,
                    NoToken::ProviderUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
                },
                Error::NotPassed(why) => not_passed_status(why),
                Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Kind::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Kind::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::Accept(_) => StatusCode::NOT_ACCEPTABLE,
            Kind::Timeout => StatusCode::REQUEST_TIMEOUT,
            Kind::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// A word for the log and for machines.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Domain(error) => match error {
                Error::Unauthenticated(_) => "unauthenticated",
                Error::Forbidden(_) | Error::OutOfReach(_) => "forbidden",
                Error::NotFound { .. } => "not_found",
                Error::Conflict { .. } => "conflict",
                Error::Changed { .. } => "changed",
                Error::InUse { .. } => "in_use",
                Error::OriginChange(_) => "origin_change_unconfirmed",
                Error::Invalid(_) => "invalid",
                Error::TooLarge { .. } => "too_large",
                Error::TooMany { .. } => "too_many",
                Error::Unavailable { .. } => "unavailable",
                Error::NoToken { why, .. } => why.as_str(),
                Error::NotPassed(why) => why.as_str(),
                Error::Internal(_) => "internal",
            },
            Kind::Method(_) => "method_not_allowed",
            Kind::MediaType(_) => "unsupported_media_type",
            Kind::Accept(_) => "not_acceptable",
            Kind::Timeout => "timeout",
            Kind::Broken(_) => "broken",
        }
    }

    /// The faults of the input, where it is at fault.
    pub fn faults(&self) -> &[Fault] {
        match &self.kind {
            Kind::Domain(Error::Invalid(faults)) => faults,
            _ => &[],
        }
    }

    /// Puts on `headers` what RFC 9110 wants beside the status: `Retry-After`, `Allow`, `WWW-Authenticate`,
    /// `Accept-Encoding`. Every answer that fails gets them, whatever its dress.
    fn headers(&self, asked: &Asked, headers: &mut HeaderMap) {
        match &self.kind {
            Kind::Domain(Error::TooMany { retry_after } | Error::Unavailable { retry_after, .. }) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*retry_after).max(1)));
            }
            Kind::Domain(Error::NoToken {
                why: NoToken::ProviderUnavailable { retry_after_s: seconds, .. }, ..
            }) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from((*seconds).max(1)));
            }
            Kind::Domain(Error::NoToken {
                why: NoToken::TooShortLived { retry_after_s: seconds @ 1.., .. }, ..
            }) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            // A dress that knows which credentials are taken has said so.
            Kind::Domain(Error::Unauthenticated(rejection))
                if !matches!(rejection, Rejection::CrossSite | Rejection::InPerson)
                    && !headers.contains_key(header::WWW_AUTHENTICATE) =>
            {
                let challenge = HeaderValue::from_static("Bearer realm=\"grantry\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
                // A browser would ask for name and password in a window of its own, over our page, and then send them
                // with every request, those that other sites begin included.
                if asked.headers.contains_key("sec-fetch-site") {
                    return;
                }
                let basic = HeaderValue::from_static("Basic realm=\"grantry\", charset=\"UTF-8\"");
                headers.append(header::WWW_AUTHENTICATE, basic);
            }
            Kind::Method(allow) => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    headers.insert(header::ALLOW, allow);
                }
            }
            Kind::MediaType("identity") => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            _ => {}
        }
    }
}

/// What a dress may look at: the head of the request, in a form that outlives it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request's id.
    pub request_id: String,
    /// `Accept`, `Accept-Language` and the other headers.
    pub headers: HeaderMap,
}

/// Turns a failure into a scope's own shape.
pub type Dress = fn(&Failure, &Asked) -> HttpResponse;

/// The middleware of a scope: serves, and dresses what fails.
pub async fn render<B: MessageBody + 'static>(
    dress: Dress,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let asked = Asked { request_id: request_id(&request), headers: request.headers().clone() };
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(answer)) => {
            let status = answer.status();
            if !(status.is_client_error() || status.is_server_error()) {
                return Ok(answer.map_into_boxed_body());
            }
            let Some(error) = answer.response().error() else { return Ok(answer.map_into_boxed_body()) };
            let answer_again = with_failure(error, |failure| dressed(dress, failure, &asked));
            Ok(answer.into_response(answer_again))
        }
        Ok(Err(error)) => {
            let answer = with_failure(&error, |failure| dressed(dress, failure, &asked));
            Err(InternalError::from_response("failed", answer).into())
        }
        Err(_) => {
            let failure = Failure::from(Error::internal("a panic in a handler"));
            Err(InternalError::from_response("panic", dressed(dress, &failure, &asked)).into())
        }
    }
}

/// Our own failure inside an error, or the one that says the same.
fn with_failure<T>(error: &actix_web::Error, f: impl FnOnce(&Failure) -> T) -> T {
    if let Some(failure) = error.as_error::<Failure>() {
        return f(failure);
    }
    let status = error.as_response_error().status_code();
    f(&match status {
        StatusCode::NOT_FOUND => Failure::from(Error::not_found(Noun::Path, "")),
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge { limit: 0 }.into(),
        StatusCode::REQUEST_TIMEOUT => Kind::Timeout.into(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::MediaType("another media type").into(),
        _ if status.is_client_error() => Kind::Broken("the request is malformed").into(),
        _ => Error::internal("an error of the HTTP layer").into(),
    })
}

fn dressed(dress: Dress, failure: &Failure, asked: &Asked) -> HttpResponse {
    let status = failure.status();
    match &failure.kind {
        Kind::Domain(Error::Internal(what)) => tracing::error!(error = failure.name(), what, "request failed"),
        _ if status.is_server_error() => tracing::error!(error = failure.name(), "request failed"),
        _ => tracing::info!(error = failure.name(), status = status.as_u16(), "request refused"),
    }
    let mut answer = dress(failure, asked);
    failure.headers(asked, answer.headers_mut());
    answer
}

/// What answers where no route does.
pub async fn no_route(_: HttpRequest) -> Result<HttpResponse, Failure> {
    Err(Error::not_found(Noun::Path, "").into())
}

/// One sentence for a person, in English: the facts of a failure in words.
pub fn sentence(failure: &Failure) -> String {
    match &failure.kind {
        Kind::Domain(error) => error_sentence(error),
        Kind::Method(allow) => format!("Method not allowed; this resource has {allow}"),
        Kind::MediaType("identity") => {
            "The request body must not be compressed: send it without Content-Encoding".to_owned()
        }
        Kind::MediaType(expected) => format!("Unsupported media type: send the body as {expected}"),
        Kind::Accept(offered) => format!("Not acceptable: this resource offers {offered}"),
        Kind::Timeout => "The request body did not arrive in time".to_owned(),
        Kind::Broken(what) => (*what).to_owned(),
    }
}

/// Which origins wait for an administrator's confirmation.
pub fn origin_change_sentence(change: &OriginChange) -> String {
    let old = if change.old.is_empty() { "no origin".to_owned() } else { change.old.join(", ") };
    format!(
        "The secrets of provider {} were given for {old}. An administrator must confirm before they are sent to {} \
         (profiles: {}, connections: {})",
        change.provider,
        change.new.join(", "),
        change.profiles,
        change.connections
    )
}

/// The facts of such a change for programs.
pub fn origin_change_facts(change: &OriginChange) -> Value {
    json!({
        "old_origins": change.old,
        "new_origins": change.new,
        "profiles": change.profiles,
        "connections": change.connections,
    })
}

fn error_sentence(error: &Error) -> String {
    match error {
        Error::Unauthenticated(rejection) => match rejection {
            Rejection::Missing => "Unauthorized: a credential is needed".to_owned(),
            Rejection::Bad => "Unauthorized: this credential is unknown, expired or revoked".to_owned(),
            Rejection::InUrl => {
                "Unauthorized: a credential in the URL ends up in logs; send it in the header appKey".to_owned()
            }
            Rejection::CrossSite => "Forbidden: this request was sent by a page of another site".to_owned(),
            Rejection::InPerson => "Forbidden: this is for the user in person, and not for a token".to_owned(),
            Rejection::SecondFactor => {
                "Unauthorized: this user has a second factor, so the password alone is no credential; programs use an API \
                 token"
                    .to_owned()
            }
            Rejection::CodeMissing => "Unauthorized: a code of the second factor is needed".to_owned(),
            Rejection::CodeWrong => "Unauthorized: this code is wrong, or was used".to_owned(),
        },
        Error::Forbidden(scope) => format!("Unauthorized: this credential lacks {scope}"),
        Error::OutOfReach(beyond) => match beyond {
            Beyond::NewConnection => {
                "Unauthorized: this credential is limited to the connections that it names, and makes no new ones"
            }
            Beyond::Wider => {
                "Unauthorized: this credential is limited to some connections, and hands out no wider reach than its own"
            }
            Beyond::All => "Unauthorized: this credential is limited to some connections, and this tells of all of them",
            Beyond::Others => {
                "Unauthorized: this credential is limited to some connections, and others depend on what it would change"
            }
        }
        .to_owned(),
        Error::NotFound { what: Noun::Path, .. } => "Not found".to_owned(),
        Error::NotFound { what, key } => format!("Not found: {} {key} does not exist", noun(*what)),
        Error::Conflict { what, name } => format!("{} {name} exists already", noun(*what)),
        Error::Changed { what } => {
            format!("Somebody else has changed this {} since you looked: nothing was changed; look again", noun(*what))
        }
        Error::OriginChange(change) => origin_change_sentence(change),
        Error::InUse { what, by } => {
            let by: Vec<String> = by.iter().map(use_phrase).collect();
            format!("This {} is in use by {}", noun(*what), by.join(" and "))
        }
        Error::Invalid(faults) => {
            let faults: Vec<String> = faults.iter().map(fault_phrase).collect();
            faults.join("; ")
        }
        Error::TooLarge { limit: 0 } => "The request is too large".to_owned(),
        Error::TooLarge { limit } => format!("The body is larger than {limit} bytes"),
        Error::TooMany { .. } => "Too many requests: come back later".to_owned(),
        Error::Unavailable { why, .. } => match why {
            Outage::Hashing => "The server is busy checking passwords and secrets: try again",
            Outage::Writer => "The server is busy writing: try again",
            Outage::Storage => "The database cannot be written just now (disk full or read-only); nothing was changed",
            Outage::TokensLost => {
                "The provider gave tokens, and the database cannot be written just now (disk full or read-only): they are \
                 lost. Remove the grant at the provider and connect again; what was brought along may be used up"
            }
            Outage::TokensGivenBack => {
                "The provider gave tokens, and the database cannot be written just now (disk full or read-only): they were \
                 given back. Connect again; what was brought along is used up"
            }
            Outage::Stopping => "The server is stopping",
            Outage::Readers => "The server is busy with long lists: try again",
            Outage::Uploads => "The server is busy with uploads: try again",
            Outage::Streams => "Too many are listening for changes just now: try again",
            Outage::Forwards => "Too many requests are being passed on just now: try again",
            Outage::BackupBusy => "A backup is being made just now: try again",
            Outage::Backup => {
                "The backup could not be written or read (disk full, or its folder cannot be used); nothing half is left. \
                 The log and the list of backups say more"
            }
        }
        .to_owned(),
        Error::NoToken { why, .. } => match why {
            NoToken::NotConnected => "No account is connected yet".to_owned(),
            NoToken::NeedsReauthorization => {
                "This connection's grant is gone: it has to be authorized again".to_owned()
            }
            NoToken::AppSecretRejected => {
                "The provider turns down the client id or secret of this connection's profile".to_owned()
            }
            NoToken::ProviderUnavailable { refused: false, .. } => {
                "The provider is unavailable, and the stored token is not valid for long enough. Try again later.".to_owned()
            }
            NoToken::ProviderUnavailable { refused: true, .. } => {
                "The provider answered, and refused to refresh this connection. The connection shows its answer.".to_owned()
            }
            NoToken::TooShortLived { lifetime_s, retry_after_s: 0 } => {
                format!("Tokens of this provider live {lifetime_s} seconds. Request a smaller min_ttl.")
            }
            NoToken::TooShortLived { lifetime_s, retry_after_s } => format!(
                "Tokens of this provider live {lifetime_s} seconds, and the next refresh is possible in {retry_after_s} seconds."
            ),
        },
        Error::NotPassed(why) => not_passed(why),
        Error::Internal(_) => "Server error".to_owned(),
    }
}

/// The status of a request that was not passed on, or whose answer was not passed back.
fn not_passed_status(why: &NotPassed) -> StatusCode {
    match why {
        NotPassed::NoApi | NotPassed::NoAddress(_) => StatusCode::CONFLICT,
        NotPassed::Path(_) | NotPassed::BodyCut => StatusCode::BAD_REQUEST,
        NotPassed::Upgrade => StatusCode::NOT_IMPLEMENTED,
        NotPassed::Loop => StatusCode::LOOP_DETECTED,
        NotPassed::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
        NotPassed::Timeout => StatusCode::GATEWAY_TIMEOUT,
        NotPassed::Inside | NotPassed::Unreachable(_) | NotPassed::Broken(_) | NotPassed::Elsewhere => {
            StatusCode::BAD_GATEWAY
        }
    }
}

fn not_passed(why: &NotPassed) -> String {
    match why {
        NotPassed::NoApi => "It is not known where this provider's API is: its entry has no api.base_url".to_owned(),
        NotPassed::NoAddress(name) => {
            format!("It is not known where this connection's API is: {name} is missing, or leads to another host")
        }
        NotPassed::Path(form) => format!("The path must be {form}"),
        NotPassed::Upgrade => "Requests are passed on; a change of protocol (WebSocket) is not".to_owned(),
        NotPassed::Loop => "This request has been passed on here before".to_owned(),
        NotPassed::BodyCut => "The request body was cut off".to_owned(),
        NotPassed::BodyTimeout => "The request body did not go on in time".to_owned(),
        NotPassed::Inside => "The API's address is private or link-local (see allow-private)".to_owned(),
        NotPassed::Unreachable(what) => format!("The API cannot be reached: {what}"),
        NotPassed::Timeout => "The API said nothing in time".to_owned(),
        NotPassed::Broken(what) => format!("The API gave no whole answer: {what}"),
        NotPassed::Elsewhere => {
            "The API redirects to an address that is not below its own; nobody is sent there".to_owned()
        }
    }
}

fn use_phrase(by: &crate::domain::Use) -> String {
    let plural = if by.count == 1 { "" } else { "s" };
    format!("{} {}{plural}", by.count, noun(by.what))
}

/// A noun for people.
pub fn noun(noun: Noun) -> &'static str {
    match noun {
        Noun::Profile => "profile",
        Noun::Connection => "connection",
        Noun::Customer => "customer",
        Noun::Provider => "provider",
        Noun::ClientApplication => "client application",
        Noun::ClientApplicationSecret => "client secret",
        Noun::User => "user",
        Noun::SecondFactor => "second factor",
        Noun::Session => "session",
        Noun::ApiToken => "API token",
        Noun::Assignment => "assignment",
        Noun::Webhook => "webhook",
        Noun::Delivery => "delivery",
        Noun::Backup => "backup",
        Noun::Key => "key",
        Noun::SealedValue => "sealed value",
        Noun::Path => "path",
    }
}

/// A fault with its place: `name: can't be blank`.
pub fn fault_phrase(fault: &Fault) -> String {
    if fault.path.is_empty() { phrase(&fault.why) } else { format!("{}: {}", fault.path, phrase(&fault.why)) }
}

/// Faults by field, as `{"name": ["has already been taken"]}`: what is wrong with the whole has no field and is left out.
pub fn by_field(faults: &[Fault]) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for fault in faults.iter().filter(|fault| !fault.path.is_empty()) {
        if let Some(list) = fields.entry(fault.path.clone()).or_insert_with(|| json!([])).as_array_mut() {
            list.push(phrase(&fault.why).into());
        }
    }
    Value::Object(fields)
}

/// What is wrong with a value, to follow its name.
pub fn phrase(why: &Why) -> String {
    match why {
        Why::Missing | Why::Blank => "can't be blank".to_owned(),
        Why::WrongType(expected) => format!("must be of type {expected}"),
        Why::TooLong(most) => format!("is too long (maximum is {most} characters)"),
        Why::TooShort(least) => format!("is too short (minimum is {least} characters)"),
        Why::ControlCharacter => "must not have control characters".to_owned(),
        Why::NotInList => "is not included in the list".to_owned(),
        Why::NotOneOf(values) => format!("must be one of {}", values.join(", ")),
        Why::Taken => "has already been taken".to_owned(),
        Why::Unknown => "is not known here".to_owned(),
        Why::NotForProvider => "is not taken by this provider".to_owned(),
        Why::Fixed => "can't be changed".to_owned(),
        Why::LastAdmin => "is the last administrator's, and one must stay".to_owned(),
        Why::Placeholder => "is a placeholder from a template: put the real value there".to_owned(),
        Why::Duplicate => "stands there twice".to_owned(),
        Why::Differs => "is given twice, with different values".to_owned(),
        Why::Malformed(form) => format!("must be {form}"),
        Why::Syntax { line, column, what } => format!("malformed JSON at line {line}, column {column}: {what}"),
        Why::NotUtf8 { offset } => format!("is not UTF-8: the first bad byte is number {}", offset + 1),
        Why::Ambiguous(choices) => format!("must be given, as several fit: {}", choices.join(", ")),
        Why::NoneFits => "none fits, and one is needed".to_owned(),
        Why::NothingToChange => "the request changes nothing".to_owned(),
        Why::TooMany(most) => format!("at most {most} are allowed"),
        Why::NotGranted => "is not granted".to_owned(),
        Why::NotRight => "is not right".to_owned(),
        Why::AlreadyOn => "is on already: take it away before you begin another".to_owned(),
        Why::AndMore => "there may be more faults; these are the first".to_owned(),
        Why::OtherAccount => "had another account before: say other_account to take this one".to_owned(),
        Why::OnlyHashed => {
            "has its secret kept as a hash alone (--secrets hashed): nobody can connect through it".to_owned()
        }
        Why::KeysElsewhere => {
            "come from GRANTRY_KEYS or a systemd credential, which cannot be changed from here. There, change \
             `active` before the present key to `old`, add a line `active NEW-ID KEY` (a key: openssl rand 32 | basenc \
             --base64url | tr -d =), and start again: everything is sealed anew then"
                .to_owned()
        }
        Why::KeysChanged => {
            "were changed in the key file by somebody else: restart the server, which looks whether they fit".to_owned()
        }
        Why::KeyFile(why) => format!("were not changed: {why}"),
        Why::ActiveKey => "is the active key: rotate first, then it is an old one".to_owned(),
        Why::NoDevices => "has no endpoint for devices (device_url): connect by a link".to_owned(),
        Why::ProviderSays(what) => format!("is refused by the provider: {what}"),
        Why::OtherAssigned => "this customer already has another profile of that provider".to_owned(),
        Why::NoNextSecret => "there is none: it was promoted already, or never given".to_owned(),
        Why::NotDiscovered(why) => format!("has no discovery document that can be used: {why}"),
    }
}
