//! Failures of `/api/v1` as problem documents (RFC 9457): a code for programs, a sentence for people.

pub mod codes;

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
};
use serde_json::{Value, json};

use super::problem::{Asked, Failure, Kind, noun, origin_change_facts, origin_change_sentence, phrase, sentence};
use crate::domain::{Beyond, Error, Fault, Noun, Outage, Rejection, Use, Why, grant::NoToken, user::Scope};
use codes::{InputErrorCode, ProblemCode};

/// The media type of a problem document.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Characters of a caller's own text that a sentence repeats.
const MAX_QUOTED: usize = 100;

/// The problem document of a failure.
pub fn problem(failure: &Failure, asked: &Asked) -> HttpResponse {
    let code = problem_code(&failure.kind);
    let errors = errors(&failure.kind);
    let mut body = json!({
        "type": format!("/docs/errors#{}", code.as_str()),
        "title": code.title(),
        "status": code.status().as_u16(),
        "code": code.as_str(),
        "detail": detail(failure, &errors),
        "request_id": asked.request_id,
        "errors": errors,
    });
    if let Kind::Domain(Error::NoToken { connect_url: Some(url), .. }) = &failure.kind {
        body["connect_url"] = url.as_str().into();
    }
    let mut answer = HttpResponse::build(code.status());
    answer.insert_header((header::CONTENT_TYPE, MEDIA_TYPE));
    if let Some(challenge) = challenge(&failure.kind) {
        answer.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    answer.json(body)
}

/// The challenge of RFC 6750 §3. A request without a credential is told no error (§3.1).
fn challenge(kind: &Kind) -> Option<String> {
    const REALM: &str = "Bearer realm=\"grantry\"";
    match kind {
        Kind::Domain(Error::Unauthenticated(rejection)) => match rejection {
            Rejection::Missing => Some(REALM.to_owned()),
            Rejection::InUrl => Some(format!("{REALM}, error=\"invalid_request\"")),
            Rejection::Bad | Rejection::SecondFactor | Rejection::CodeMissing | Rejection::CodeWrong => {
                Some(format!("{REALM}, error=\"invalid_token\""))
            }
            Rejection::CrossSite | Rejection::InPerson => None,
        },
        Kind::Domain(Error::Forbidden(scope)) => {
            Some(format!("{REALM}, error=\"insufficient_scope\", scope=\"{scope}\""))
        }
        _ => None,
    }
}

fn problem_code(kind: &Kind) -> ProblemCode {
    match kind {
        Kind::Domain(error) => error_code(error),
        Kind::Method(_) => ProblemCode::MethodNotAllowed,
        Kind::MediaType(_) => ProblemCode::UnsupportedMediaType,
        Kind::Accept(_) => ProblemCode::NotAcceptable,
        Kind::Timeout => ProblemCode::RequestTimeout,
        Kind::Broken(_) => ProblemCode::MalformedRequest,
    }
}

fn error_code(error: &Error) -> ProblemCode {
    match error {
        Error::Unauthenticated(rejection) => match rejection {
            Rejection::Missing => ProblemCode::MissingCredential,
            Rejection::Bad => ProblemCode::InvalidCredential,
            Rejection::InUrl => ProblemCode::CredentialInUrl,
            Rejection::CrossSite => ProblemCode::CrossSiteRequest,
            Rejection::InPerson => ProblemCode::UserRequired,
            Rejection::SecondFactor => ProblemCode::SecondFactorRequired,
            Rejection::CodeMissing => ProblemCode::SecondFactorMissing,
            Rejection::CodeWrong => ProblemCode::SecondFactorWrong,
        },
        Error::Forbidden(_) => ProblemCode::InsufficientScope,
        Error::OutOfReach(_) => ProblemCode::AccessRestricted,
        Error::NotFound { .. } => ProblemCode::NotFound,
        Error::Conflict { .. } => ProblemCode::AlreadyExists,
        Error::Changed { .. } => ProblemCode::PreconditionFailed,
        Error::InUse { .. } => ProblemCode::InUse,
        Error::OriginChange(_) => ProblemCode::OriginChangeUnconfirmed,
        Error::Invalid(faults) if faults.iter().any(is_of_syntax) => ProblemCode::MalformedJson,
        Error::Invalid(_) => ProblemCode::InvalidInput,
        Error::TooLarge { .. } => ProblemCode::ContentTooLarge,
        Error::TooMany { .. } => ProblemCode::TooManyRequests,
        Error::Unavailable { why, .. } => match why {
            Outage::Hashing
            | Outage::Writer
            | Outage::Readers
            | Outage::Uploads
            | Outage::Streams
            | Outage::Forwards
            | Outage::BackupBusy => ProblemCode::ServerBusy,
            Outage::Stopping => ProblemCode::ServerStopping,
            Outage::Storage | Outage::Backup => ProblemCode::StorageUnavailable,
            Outage::TokensLost => ProblemCode::TokensLost,
            Outage::TokensGivenBack => ProblemCode::TokensRevoked,
        },
        Error::NoToken { why, .. } => match why {
            NoToken::NotConnected => ProblemCode::NotConnected,
            NoToken::NeedsReauthorization => ProblemCode::NeedsReauthorization,
            NoToken::TooShortLived { .. } => ProblemCode::TokenTooShortLived,
            NoToken::AppSecretRejected => ProblemCode::AppSecretRejected,
            NoToken::ProviderUnavailable { .. } => ProblemCode::ProviderUnavailable,
        },
        Error::NotPassed(_) => ProblemCode::NotForwarded,
        Error::Internal(_) => ProblemCode::InternalError,
    }
}

/// Whether the body could not be read at all.
fn is_of_syntax(fault: &Fault) -> bool {
    fault.path.is_empty() && matches!(fault.why, Why::Syntax { .. } | Why::NotUtf8 { .. })
}

/// The items of `errors`.
fn errors(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Domain(Error::Invalid(faults)) => faults.iter().map(input_error).collect(),
        Kind::Domain(Error::Conflict { what, .. }) => {
            let field = if *what == Noun::Provider { "slug" } else { "name" };
            vec![input_error(&Fault::new(field, Why::Taken))]
        }
        Kind::Domain(Error::InUse { by, .. }) => by.iter().map(used_by).collect(),
        Kind::Domain(Error::OriginChange(change)) => vec![json!({
            "pointer": "/confirm_origins",
            "code": InputErrorCode::OriginUnconfirmed.as_str(),
            "detail": closed(&origin_change_sentence(change)),
            "params": origin_change_facts(change),
        })],
        _ => Vec::new(),
    }
}

fn used_by(by: &Use) -> Value {
    let resource_type = noun(by.what).to_ascii_lowercase().replace(' ', "_");
    json!({
        "pointer": "",
        "code": InputErrorCode::UsedBy.as_str(),
        "detail": format!("{} {}{}.", by.count, noun(by.what), if by.count == 1 { "" } else { "s" }),
        "params": {"resource_type": resource_type, "count": by.count},
    })
}

fn input_error(fault: &Fault) -> Value {
    let (code, params) = input_error_code(&fault.why);
    let pointer = pointer_of(&fault.path);
    json!({"pointer": pointer, "code": code.as_str(), "detail": input_sentence(&pointer, &fault.why), "params": params})
}

/// The code of an input error and its `params`.
fn input_error_code(why: &Why) -> (InputErrorCode, Value) {
    use InputErrorCode as Code;
    let none = || json!({});
    match why {
        Why::Missing => (Code::Required, none()),
        Why::Blank => (Code::Blank, none()),
        Why::WrongType(expected) => (Code::WrongType, json!({"expected": expected})),
        Why::TooLong(max) => (Code::TooLong, json!({"max": max})),
        Why::TooShort(min) => (Code::TooShort, json!({"min": min})),
        Why::ControlCharacter => (Code::ControlCharacter, none()),
        Why::NotInList => (Code::NotInList, none()),
        Why::NotOneOf(allowed) => (Code::NotOneOf, json!({"allowed": allowed})),
        Why::Taken => (Code::Taken, none()),
        Why::Unknown => (Code::UnknownField, none()),
        Why::NotForProvider => (Code::NotForProvider, none()),
        Why::Fixed => (Code::Immutable, none()),
        Why::LastAdmin => (Code::LastAdministrator, none()),
        Why::Placeholder => (Code::Placeholder, none()),
        Why::Duplicate => (Code::Duplicate, none()),
        Why::Differs => (Code::ConflictingValues, none()),
        Why::Malformed(expected) => (Code::Malformed, json!({"expected": expected})),
        Why::Syntax { line, column, what } => {
            (Code::Syntax, json!({"line": line, "column": column, "reason": shortened(what)}))
        }
        Why::NotUtf8 { offset } => (Code::NotUtf8, json!({"offset": offset})),
        Why::Ambiguous(candidates) => (Code::Ambiguous, json!({"candidates": candidates})),
        Why::NoneFits => (Code::NoMatch, none()),
        Why::NothingToChange => (Code::NothingToChange, none()),
        Why::TooMany(max) => (Code::TooMany, json!({"max": max})),
        Why::NotGranted => (Code::NotGranted, none()),
        Why::NotRight => (Code::WrongSecret, none()),
        Why::AlreadyOn => (Code::AlreadyEnabled, none()),
        Why::AndMore => (Code::MoreErrors, none()),
        Why::OtherAssigned => (Code::OtherProfileAssigned, none()),
        Why::OtherAccount => (Code::OtherAccount, none()),
        Why::OnlyHashed => (Code::SecretHashed, none()),
        Why::KeysElsewhere => (Code::KeysReadOnly, none()),
        Why::KeysChanged => (Code::KeyFileChanged, none()),
        Why::KeyFile(reason) => (Code::KeyFile, json!({"reason": reason})),
        Why::ActiveKey => (Code::ActiveKey, none()),
        Why::NoDevices => (Code::NoDeviceAuthorization, none()),
        Why::ProviderSays(reason) => (Code::ProviderRejects, json!({"reason": reason})),
        Why::NoNextSecret => (Code::NoNextSecret, none()),
        Why::NotDiscovered(reason) => (Code::DiscoveryFailed, json!({"reason": reason})),
    }
}

/// The JSON Pointer (RFC 6901) of a member of the body. At most `MAX_QUOTED` characters of its name are repeated.
pub fn pointer(member: &str) -> String {
    format!("/{}", escaped(&shortened(member)))
}

fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The JSON Pointer of a fault's place: a pointer already, a dotted path (`data.client_id`) or a JSON path
/// (`$[0].actions[2].id`). The whole body is the empty pointer.
fn pointer_of(path: &str) -> String {
    if path.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    let path = path.strip_prefix('$').unwrap_or(path);
    let mut pointer = String::new();
    for token in path.split(['.', '[']).map(|token| token.strip_suffix(']').unwrap_or(token)) {
        if !token.is_empty() {
            pointer.push('/');
            pointer.push_str(&escaped(token));
        }
    }
    pointer
}

/// One sentence about one input error.
fn input_sentence(pointer: &str, why: &Why) -> String {
    let text = phrase(why);
    let field = pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
    // These phrases have a subject of their own.
    let whole = matches!(
        why,
        Why::Syntax { .. }
            | Why::NothingToChange
            | Why::TooMany(_)
            | Why::AndMore
            | Why::OtherAssigned
            | Why::NoneFits
            | Why::NoNextSecret
    );
    match (whole, field.is_empty()) {
        (true, true) => closed(&capitalized(&text)),
        (true, false) => closed(&format!("{field}: {text}")),
        (false, true) => closed(&format!("The request body {text}")),
        (false, false) if matches!(why, Why::Missing) => format!("{field} is required."),
        (false, false) => closed(&format!("{field} {text}")),
    }
}

/// One sentence about this occurrence (RFC 9457 §3.1.4).
fn detail(failure: &Failure, errors: &[Value]) -> String {
    let error = match &failure.kind {
        Kind::Domain(error) => error,
        other_kind => return other(failure, other_kind),
    };
    match error {
        Error::Unauthenticated(rejection) => rejection_sentence(*rejection).to_owned(),
        Error::Forbidden(scope) => lacks(*scope),
        Error::OutOfReach(beyond) => beyond_sentence(*beyond).to_owned(),
        Error::OriginChange(change) => closed(&origin_change_sentence(change)),
        Error::NotFound { what: Noun::Path, .. } => "The path does not exist.".to_owned(),
        Error::NotFound { what, key } => capitalized(&format!("{} {} does not exist.", noun(*what), shortened(key))),
        Error::Conflict { what, name } => {
            capitalized(&format!("{} \"{}\" exists already.", noun(*what), shortened(name)))
        }
        Error::Changed { what } => {
            format!("The {} was changed since this version was read. Read the current version and repeat.", noun(*what))
        }
        Error::Invalid(_) => match errors {
            [only] => only["detail"].as_str().unwrap_or_default().to_owned(),
            several => format!("The request has {} errors.", several.len()),
        },
        Error::TooLarge { limit: 0 } => "The request is too large.".to_owned(),
        Error::TooLarge { limit } => format!("The request body is larger than {limit} bytes."),
        Error::TooMany { .. } => "Too many requests. Repeat the request after the time in Retry-After.".to_owned(),
        // Whether an earlier step of the request was stored is not known here.
        Error::Unavailable { why: Outage::Storage, .. } => {
            "The database cannot be written (disk full or read-only).".to_owned()
        }
        Error::Internal(_) => {
            "The server failed to process the request. Its log has the details under this request_id.".to_owned()
        }
        Error::InUse { .. } | Error::Unavailable { .. } | Error::NoToken { .. } | Error::NotPassed(_) => {
            closed(&sentence(failure))
        }
    }
}

fn other(failure: &Failure, kind: &Kind) -> String {
    match kind {
        Kind::Method(allow) => format!("The resource has the methods {allow}."),
        Kind::MediaType("identity") => "The request body must not be compressed.".to_owned(),
        Kind::MediaType(expected) => format!("The request body must be of media type {expected}."),
        Kind::Accept(offered) => format!("The resource offers {offered}."),
        _ => closed(&capitalized(&sentence(failure))),
    }
}

fn rejection_sentence(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::Missing => "The request has no credential. Send an API token as Authorization: Bearer.",
        Rejection::Bad => "The credential is unknown, expired or revoked.",
        Rejection::InUrl => "The URL holds a credential. Send it in a header field; URLs are logged.",
        Rejection::CrossSite => "A page of another site sent the request.",
        Rejection::InPerson => "The call requires a user's session or password, and accepts no token.",
        Rejection::SecondFactor => {
            "The user has a second factor, so a password alone is no credential. Programs use an API token."
        }
        Rejection::CodeMissing => "A code of the second factor is required.",
        Rejection::CodeWrong => "The code of the second factor is wrong or was used before.",
    }
}

fn lacks(scope: Scope) -> String {
    format!("The credential lacks the scope {scope}.")
}

fn beyond_sentence(beyond: Beyond) -> &'static str {
    match beyond {
        Beyond::NewConnection => "The credential is limited to certain connections and cannot create others.",
        Beyond::Wider => "The credential is limited to certain connections and cannot grant access to others.",
        Beyond::All => "The credential is limited to certain connections, and the call concerns all connections.",
        Beyond::Others => "The credential is limited to certain connections, and the call would affect others.",
    }
}

/// The beginning of a text that a caller or another system wrote.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The text as a sentence with its full stop.
fn closed(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use actix_web::{body::to_bytes, http::header::HeaderMap};

    use super::*;
    use crate::domain::{OriginChange, proxy::NotPassed};

    fn asked() -> Asked {
        Asked { request_id: "r-1".to_owned(), headers: HeaderMap::new() }
    }

    /// Each kind of failure that a handler can answer.
    fn all_failures() -> Vec<Failure> {
        let soon = Duration::from_secs(3);
        let mut all: Vec<Failure> = vec![
            Error::Forbidden(Scope::Admin).into(),
            Error::not_found(Noun::Path, "").into(),
            Error::not_found(Noun::Profile, 9).into(),
            Error::Conflict { what: Noun::Profile, name: "Sales".to_owned() }.into(),
            Error::Changed { what: Noun::Customer }.into(),
            Error::InUse { what: Noun::Profile, by: vec![Use { what: Noun::ApiToken, count: 2, examples: vec![] }] }
                .into(),
            Error::invalid("name", Why::Missing).into(),
            Error::invalid("", Why::NotUtf8 { offset: 7 }).into(),
            Error::TooLarge { limit: 10 }.into(),
            Error::TooMany { retry_after: soon }.into(),
            Error::NotPassed(NotPassed::Loop).into(),
            Error::internal("PLANTED_internals").into(),
            Kind::Method("GET, HEAD".to_owned()).into(),
            Kind::MediaType("application/json").into(),
            Kind::MediaType("identity").into(),
            Kind::Accept("application/json").into(),
            Kind::Timeout.into(),
            Kind::Broken("the request body was cut off").into(),
        ];
        for rejection in [
            Rejection::Missing,
            Rejection::Bad,
            Rejection::InUrl,
            Rejection::CrossSite,
            Rejection::InPerson,
            Rejection::SecondFactor,
            Rejection::CodeMissing,
            Rejection::CodeWrong,
        ] {
            all.push(Error::Unauthenticated(rejection).into());
        }
        let change = OriginChange {
            provider: "acme".to_owned(),
            old: vec!["https://old.example".to_owned()],
            new: vec!["https://new.example".to_owned()],
            profiles: 1,
            connections: 2,
        };
        all.push(Error::OriginChange(Box::new(change)).into());
        for beyond in [Beyond::NewConnection, Beyond::Wider, Beyond::Others, Beyond::All] {
            all.push(Error::OutOfReach(beyond).into());
        }
        for why in [
            Outage::Hashing,
            Outage::Writer,
            Outage::Storage,
            Outage::TokensLost,
            Outage::TokensGivenBack,
            Outage::Stopping,
            Outage::Uploads,
            Outage::Readers,
            Outage::Forwards,
            Outage::BackupBusy,
            Outage::Backup,
            Outage::Streams,
        ] {
            all.push(Error::Unavailable { why, retry_after: soon }.into());
        }
        for why in [
            NoToken::NotConnected,
            NoToken::NeedsReauthorization,
            NoToken::AppSecretRejected,
            NoToken::ProviderUnavailable { retry_after_s: 7, refused: true },
            NoToken::TooShortLived { lifetime_s: 5, retry_after_s: 7 },
        ] {
            let connect_url = Some("https://grantry.example/connect/1".to_owned());
            all.push(Error::NoToken { why, connect_url }.into());
        }
        all
    }

    #[actix_web::test]
    async fn each_failure_is_a_whole_problem_document_and_each_code_belongs_to_one() {
        let mut seen = BTreeSet::new();
        for failure in all_failures() {
            let answer = problem(&failure, &asked());
            assert_eq!(answer.headers().get(header::CONTENT_TYPE), Some(&MEDIA_TYPE));
            let (status, challenged) = (answer.status(), answer.headers().contains_key(header::WWW_AUTHENTICATE));
            let Ok(bytes) = to_bytes(answer.into_body()).await else { panic!("no body") };
            let body: Value = serde_json::from_slice(&bytes).expect("JSON");
            let keys: Vec<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
            let usual = ["type", "title", "status", "code", "detail", "request_id", "errors"];
            assert_eq!(keys[..7], usual, "{body}");
            assert!(keys.len() == 7 || keys[7..] == ["connect_url"], "{body}");
            assert_eq!(body["status"], status.as_u16());
            assert_eq!(body["request_id"], "r-1");
            assert_eq!(body["type"], format!("/docs/errors#{}", body["code"].as_str().expect("a code")));
            let detail = body["detail"].as_str().expect("a detail");
            let begins = detail.starts_with(char::is_uppercase) || detail.starts_with("name ");
            assert!(begins && detail.ends_with('.'), "{detail}");
            assert!(!body.to_string().contains("PLANTED"), "{body}");
            assert!(status != 401 || challenged, "{body}");
            seen.insert(body["code"].as_str().expect("a code").to_owned());
        }
        let known: BTreeSet<String> = ProblemCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
        assert_eq!(seen, known);
    }

    #[test]
    fn a_place_becomes_a_json_pointer() {
        for (path, expected) in [
            ("", ""),
            ("name", "/name"),
            ("data.client_id", "/data/client_id"),
            ("$[0].actions[2].id", "/0/actions/2/id"),
            ("scopes[3]", "/scopes/3"),
            ("a/b.c~d", "/a~1b/c~0d"),
            ("/a~1b", "/a~1b"),
            ("$", ""),
        ] {
            assert_eq!(pointer_of(path), expected, "{path}");
        }
        assert_eq!(pointer("a.b/c~"), "/a.b~1c~0");
        assert_eq!(pointer(&"é".repeat(500)).chars().count(), 102);
    }

    #[test]
    fn an_input_error_is_a_sentence_about_its_field() {
        for (path, why, expected) in [
            ("client_secret", Why::Missing, "client_secret is required."),
            ("data.name", Why::TooLong(9), "data.name is too long (maximum is 9 characters)."),
            ("", Why::WrongType("object"), "The request body must be of type object."),
            ("", Why::NothingToChange, "The request changes nothing."),
            (
                "next_client_secret",
                Why::NoNextSecret,
                "next_client_secret: there is none: it was promoted already, or never given.",
            ),
            ("/a~1b", Why::Unknown, "a/b is not known here."),
        ] {
            assert_eq!(input_sentence(&pointer_of(path), &why), expected);
        }
    }
}
