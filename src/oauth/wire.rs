//! What goes over the wire to a provider and comes back: token requests and answers (RFC 6749 §4 to §6), revocation (RFC 7009),
//! introspection (RFC 7662), device authorization (RFC 8628), user info.
//!
//! Sending and reading are apart on purpose: an answer is a value that can be kept before anybody reads it.

use std::time::Duration;

use crate::domain::{Secret, Timestamp, grant::Blame};

/// What a token request asks for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// RFC 6749 §4.1.3, with the verifier of RFC 7636 §4.5 where the provider takes one.
    AuthorizationCode {
        /// The code of the callback.
        code: Secret,
        /// The code verifier.
        verifier: Option<Secret>,
        /// The redirect URI of the authorization request.
        redirect_uri: String,
    },
    /// RFC 6749 §6.
    Refresh {
        /// The refresh token.
        refresh_token: Secret,
        /// The scopes to ask for; empty: the parameter is left out.
        scopes: Vec<String>,
    },
    /// RFC 6749 §4.4.2.
    ClientCredentials {
        /// What to ask for; empty: the provider's default.
        scopes: Vec<String>,
    },
    /// RFC 8628 §3.4.
    DeviceCode {
        /// The device code.
        device_code: Secret,
    },
}

/// Who asks: an app's registration.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client identifier (RFC 6749 §2.2).
    pub id: String,
    /// The client secret; `None`: a public client.
    pub secret: Option<Secret>,
    /// Further secrets of the app and of its grant. They are not sent; an answer that repeats one of them is redacted.
    pub known: Vec<Secret>,
}

/// What came of sending a request.
#[derive(Debug, Clone)]
pub enum Sent {
    /// A whole answer came back.
    Answered(RawAnswer),
    /// The provider never saw the request: no name, no route, no TLS.
    NotSent(String),
    /// The provider may have seen it and done what it asked: no answer in time, or only part of one.
    Unclear(String),
}

/// An answer as it came, to be kept before it is read.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Date`, the provider's clock.
    pub date: Option<Timestamp>,
    /// `Retry-After`, in seconds or as a date.
    pub retry_after: Option<Duration>,
    /// When it was here, by our clock.
    pub received_at: Timestamp,
    /// The body; what is no UTF-8 is replaced.
    pub body: Secret,
}

/// What an answer to a token request means.
#[derive(Debug)]
pub enum Answer {
    /// RFC 6749 §5.1.
    Tokens(TokenSet),
    /// RFC 6749 §5.2, or what amounts to it.
    Refused(Refusal),
}

/// The tokens of an answer.
#[derive(Debug, Clone)]
pub struct TokenSet {
    /// The access token.
    pub access: Secret,
    /// The refresh token; `None`: the answer has none.
    pub refresh: Option<Secret>,
    /// How the access token is sent: an authentication scheme, `Bearer` where the answer names none.
    pub token_type: String,
    /// What the answer says about the lifetime of the access token.
    pub lifetime: StatedLifetime,
    /// When the refresh token ends, where the answer says so.
    pub refresh_expires_at: Option<Timestamp>,
    /// What was granted, as written.
    pub scope: Option<String>,
    /// Further fields to keep (`instance_url`), by the names of the entry's `keep`.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What an answer says about the lifetime of its access token (RFC 6749 §5.1, `expires_in`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatedLifetime {
    /// Nothing.
    Absent,
    /// Nothing that can be true: zero or less, not a finite number, or an instant that is over. The value as it was sent,
    /// at most 64 characters.
    Invalid(String),
    /// The access token expires then, by our clock: after the answer came, and within ten years.
    Until(Timestamp),
}

/// Why there are no tokens: our own conclusion, from a closed list. What the provider said stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The provider answered with an error code (RFC 6749 §5.2).
    ProviderError,
    /// The provider answered with an error status and no readable code.
    HttpError,
    /// Too many requests (status 429).
    RateLimited,
    /// A redirect, which no token request follows (RFC 9700 §4.12).
    Redirect,
    /// The status says success, and the body is neither JSON nor a form.
    UnreadableBody,
    /// The body is readable and holds no access token.
    NoAccessToken,
    /// The body holds a token that cannot be sent in a header field.
    MalformedToken,
    /// The body holds no device code (RFC 8628 §3.2).
    NoDeviceCode,
    /// The address that a person has to open is not an https URL.
    VerificationUri,
    /// The body is in a content coding that is not supported (RFC 9110 §8.4).
    UnsupportedCoding,
    /// The content coding of the body is broken.
    Undecodable,
    /// More header fields than are read.
    TooManyHeaders,
    /// The answer is larger than what is read.
    TooLarge,
    /// No connection: name, route or TLS.
    Unreachable,
    /// No whole answer in time.
    Timeout,
    /// The connection ended before the answer did.
    CutOff,
    /// The provider has no such endpoint.
    Unsupported,
    /// The body does not tell the account (OpenID Connect Core §5.3.2).
    NoAccount,
}

impl Reason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderError => "provider_error",
            Self::HttpError => "http_error",
            Self::RateLimited => "rate_limited",
            Self::Redirect => "redirect",
            Self::UnreadableBody => "unreadable_body",
            Self::NoAccessToken => "no_access_token",
            Self::MalformedToken => "malformed_token",
            Self::NoDeviceCode => "no_device_code",
            Self::VerificationUri => "verification_uri",
            Self::UnsupportedCoding => "unsupported_coding",
            Self::Undecodable => "undecodable",
            Self::TooManyHeaders => "too_many_headers",
            Self::TooLarge => "too_large",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::CutOff => "cut_off",
            Self::Unsupported => "unsupported",
            Self::NoAccount => "no_account",
        }
    }
}

/// What an answer, or its absence, tells about the endpoint itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointHealth {
    /// It works: the answer is readable, whatever it says.
    Works,
    /// It does not: no answer, an unreadable one, or status 5xx.
    Fails,
    /// It limits requests, which tells neither.
    Limits,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who is to blame.
    pub blame: Blame,
    /// Our conclusion.
    pub reason: Reason,
    /// The provider's `error` code, if it has the usual form: at most 64 letters, digits, `_`, `-`, `.`.
    pub provider_error: Option<String>,
    /// The provider's own description: one line, at most 300 characters, secrets redacted. Where there is no answer, what
    /// went wrong on the way.
    pub description: Option<String>,
    /// The status; `None`: there was no whole answer.
    pub status: Option<u16>,
    /// `Content-Type`, at most 100 characters.
    pub media_type: Option<String>,
    /// The beginning of a body that could not be read: one line, at most 200 characters, without anything that may be a
    /// token.
    pub excerpt: Option<String>,
    /// Whether the status is 400, 401 or 403 and nothing in the answer tells whether the client or the grant is meant
    /// (`unauthorized_client` and `access_denied` do not either).
    pub ambiguous: bool,
    /// When the provider wants to be asked again.
    pub retry_after: Option<Duration>,
    /// Whether the provider may have done what was asked, and for a refresh changed the token, all the same.
    pub unclear: bool,
}

/// The kept form of an answer.
#[derive(serde::Serialize, serde::Deserialize)]
struct KeptAnswer {
    status: u16,
    content_type: Option<String>,
    date: Option<i64>,
    retry_after_s: Option<u64>,
    received_at: i64,
    body: String,
}

impl RawAnswer {
    /// The answer as JSON text, to be sealed and kept.
    pub fn to_secret(&self) -> Secret {
        let kept = KeptAnswer {
            status: self.status,
            content_type: self.content_type.clone(),
            date: self.date.map(|at| at.0),
            retry_after_s: self.retry_after.map(|after| after.as_secs()),
            received_at: self.received_at.0,
            body: self.body.expose().to_owned(),
        };
        Secret::new(serde_json::to_string(&kept).unwrap_or_default())
    }

    /// Reads what [`Self::to_secret`] wrote; `None` when it is something else.
    pub fn from_secret(text: &Secret) -> Option<Self> {
        let kept: KeptAnswer = serde_json::from_str(text.expose()).ok()?;
        Some(Self {
            status: kept.status,
            content_type: kept.content_type,
            date: kept.date.map(Timestamp),
            retry_after: kept.retry_after_s.map(Duration::from_secs),
            received_at: Timestamp(kept.received_at),
            body: Secret::new(kept.body),
        })
    }
}
