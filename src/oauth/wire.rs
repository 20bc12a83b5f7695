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
    /// `Bearer` where the answer does not say.
    pub token_type: String,
    /// When the access token ends, by our clock; `None`: nobody says, or never.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, where the answer says so.
    pub refresh_expires_at: Option<Timestamp>,
    /// What was granted, as written.
    pub scope: Option<String>,
    /// Further fields to keep (`instance_url`), by the names of the entry's `keep`.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who is to blame.
    pub blame: Blame,
    /// A word: the provider's `error` code where it has one of the usual form, else ours (`http_500`, `not_json`, `timeout`).
    pub error: String,
    /// The provider's own description, shortened and without control characters; it never holds what we sent.
    pub description: Option<String>,
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
