//! Giving tokens back (RFC 7009, or the provider's own way).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::catalogue::TokenHint;
use super::{
    Engine,
    catalogue::{ClientAuth, RequestFormat, Resolved, Revoke, RevokeAuth, RevokeMethod, Success},
    fields,
    redact::{self, Redactor},
    request,
    wire::{Client, RawAnswer, Refusal, Sent},
};
use crate::domain::{Error, Result, Secret, Timestamp};

/// A revocation, complete: it can be kept and sent when profile, provider and connection are long gone.
#[derive(Debug, Clone)]
pub struct RevocationRequest {
    request: request::Request,
    success: Option<Success>,
    /// Further secrets of the app and of the grant, to be redacted in the answer.
    known: Vec<Secret>,
    /// The same with the client's other secret.
    other: Option<Box<RevocationRequest>>,
}

/// What came of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// The token is no good any more.
    Revoked,
    /// The provider says no, and will say so again; its error code, or ours (`http_404`).
    Refused(String),
    /// It may work later: nobody was there, or somebody was busy.
    Again {
        /// The error code (`timeout`, `http_503`).
        error: String,
        /// When the provider wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// The kept form.
#[derive(Serialize, Deserialize)]
struct Kept {
    url: String,
    #[serde(default)]
    method: RevokeMethod,
    #[serde(default)]
    format: RequestFormat,
    fields: Vec<(String, String)>,
    header: Option<(String, String)>,
    success: Option<Success>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    known: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other: Option<Box<Kept>>,
}

impl RevocationRequest {
    /// The same, with another secret of the client for the day on which this one is turned down.
    pub fn or(self, other: Option<Self>) -> Self {
        // Where the client shows no secret there is no other one to show.
        let other = other.filter(|other| other.to_secret().expose() != self.to_secret().expose());
        Self { other: other.map(Box::new), ..self }
    }

    /// What to send next where this is what came of it: the client was turned down (RFC 6749 §5.2, `invalid_client`), and
    /// has another secret. Any other refusal is about the token, and would be said again.
    pub fn after(&self, outcome: &RevocationOutcome) -> Option<&Self> {
        self.other
            .as_deref()
            .filter(|_| matches!(outcome, RevocationOutcome::Refused(error) if error == "invalid_client"))
    }

    /// The request as JSON text, to be sealed and kept.
    pub fn to_secret(&self) -> Secret {
        Secret::new(serde_json::to_string(&self.to_kept()).unwrap_or_default())
    }

    fn to_kept(&self) -> Kept {
        let exposed = |(name, value): &(String, Secret)| (name.clone(), value.expose().to_owned());
        Kept {
            url: self.request.url.clone(),
            method: match self.request.method {
                request::Method::Delete => RevokeMethod::Delete,
                request::Method::Post | request::Method::Get => RevokeMethod::Post,
            },
            format: self.request.format,
            fields: self.request.fields.iter().map(exposed).collect(),
            header: self.request.authorization.as_ref().map(exposed),
            success: self.success.clone(),
            known: self.known.iter().map(|secret| secret.expose().to_owned()).collect(),
            other: self.other.as_ref().map(|other| Box::new(other.to_kept())),
        }
    }

    /// Reads what [`Self::to_secret`] wrote.
    pub fn from_secret(text: &Secret) -> Result<Self> {
        // The parser's words would quote the text.
        let kept: Kept = serde_json::from_str(text.expose())
            .map_err(|_| Error::internal("a kept revocation that nobody can read"))?;
        Ok(Self::of_kept(kept))
    }

    fn of_kept(kept: Kept) -> Self {
        let secret = |(name, value): (String, String)| (name, Secret::new(value));
        Self {
            request: request::Request {
                method: kept.method.into(),
                url: kept.url,
                authorization: kept.header.map(secret),
                format: kept.format,
                fields: kept.fields.into_iter().map(secret).collect(),
                is_repeatable: true,
            },
            success: kept.success,
            known: kept.known.into_iter().map(Secret::new).collect(),
            other: kept.other.map(|other| Box::new(Self::of_kept(*other))),
        }
    }

    /// What came of sending it. RFC 7009 §2.2: a token that was no good before is revoked.
    pub fn outcome(&self, sent: &Sent) -> RevocationOutcome {
        let Sent::Answered(raw) = sent else {
            return RevocationOutcome::Again { error: Refusal::of_sent(sent).word(), retry_after: None };
        };
        let again = |error| RevocationOutcome::Again { error, retry_after: raw.retry_after };
        let by_status = format!("http_{}", raw.status);
        match raw.status {
            200..300 => match self.said_no(raw) {
                None => RevocationOutcome::Revoked,
                Some(error) => RevocationOutcome::Refused(error),
            },
            408 | 425 | 429 => again(by_status),
            300..500 => RevocationOutcome::Refused(error_code(raw).unwrap_or(by_status)),
            _ => again(by_status),
        }
    }

    /// Why a request that came through did not work all the same, where the provider says so in the body.
    fn said_no(&self, raw: &RawAnswer) -> Option<String> {
        let success = self.success.as_ref()?;
        let body = fields::parse(raw.body.expose()).unwrap_or(Value::Null);
        let granted = body.pointer(&success.pointer) == Some(&success.equals);
        (!granted).then(|| error_code(raw).unwrap_or_else(|| "not_json".to_owned()))
    }
}

fn error_code(raw: &RawAnswer) -> Option<String> {
    fields::word(fields::parse(raw.body.expose())?.pointer("/error")?.as_str()?)
}

impl From<RevokeMethod> for request::Method {
    fn from(method: RevokeMethod) -> Self {
        match method {
            RevokeMethod::Post => Self::Post,
            RevokeMethod::Delete => Self::Delete,
        }
    }
}

impl Resolved {
    /// The request that revokes a token. `None`: the provider has no way to, or none for tokens of this kind; they go
    /// with the others, or end by themselves.
    pub fn revocation(&self, client: &Client, token: &Secret, hint: TokenHint) -> Option<RevocationRequest> {
        let entry = self.entry();
        let url = entry.revoke_url.as_ref()?.replace("{client_id}", &request::escaped(&client.id));
        let usual = Revoke::default();
        let how = entry.revoke.as_ref().unwrap_or(&usual);
        if !how.tokens.contains(&hint) {
            return None;
        }
        let mut request = request::Request::new(how.method.into(), &url, how.format);
        if how.auth == RevokeAuth::Token {
            request.authorization = Some(self.token_header(None, token));
        } else {
            request.secret_field(&how.token_param, token.clone());
        }
        if entry.revoke.is_none() {
            let hint = match hint {
                TokenHint::Refresh => "refresh_token",
                TokenHint::Access => "access_token",
            };
            request.field("token_type_hint", hint);
        }
        match how.auth {
            RevokeAuth::Client => request.authenticate(client, entry.client_auth),
            RevokeAuth::ClientSecretBasic => request.authenticate(client, ClientAuth::ClientSecretBasic),
            RevokeAuth::ClientSecretPost => request.authenticate(client, ClientAuth::ClientSecretPost),
            RevokeAuth::ClientId => request.authenticate(client, ClientAuth::None),
            RevokeAuth::None | RevokeAuth::Token => {}
        }
        Some(RevocationRequest { request, success: entry.success.clone(), known: client.known.clone(), other: None })
    }
}

/// Fields of a revocation that are not secret.
const PUBLIC_FIELDS: &[&str] = &["client_id", "token_type_hint"];

impl RevocationRequest {
    /// Its secrets, and those of the same request with the client's other secret.
    fn secrets(&self) -> Vec<Secret> {
        let own = redact::request_secrets(&self.request, |name| !PUBLIC_FIELDS.contains(&name));
        let other = self.other.as_deref().map(Self::secrets).unwrap_or_default();
        own.into_iter().chain(self.known.iter().cloned()).chain(other).collect()
    }
}

impl Engine {
    /// Sends a revocation, once; [`RevocationRequest::outcome`] says what came of it. `deadline` is for all of it. The
    /// answer is redacted.
    pub async fn revoke(&self, request: &RevocationRequest, deadline: Duration, now: impl Fn() -> Timestamp) -> Sent {
        let sent = self.send(&request.request, deadline, now).await;
        Redactor::new(&request.secrets()).sent(sent)
    }
}
