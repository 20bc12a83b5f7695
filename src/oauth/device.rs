//! The device authorization grant (RFC 8628): a person enters a code elsewhere while we ask and ask.

use std::time::Duration;

use serde_json::Value;

use super::{
    Engine,
    catalogue::{Resolved, check_url},
    fields,
    redact::Redactor,
    request::{Method, Request},
    wire::{Answer, Client, RawAnswer, Reason, Refusal, Sent, TokenSet},
};
use crate::domain::{Secret, Timestamp, grant::Blame};

/// What a person needs to agree on another device (RFC 8628 §3.2).
#[derive(Debug, Clone)]
pub struct DeviceAuthorization {
    /// What the token endpoint is asked with.
    pub device_code: Secret,
    /// What the person enters.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, for a link; `None`: the provider has none.
    pub verification_uri_complete: Option<String>,
    /// When both codes end, by our clock.
    pub expires_at: Timestamp,
    /// How many seconds to wait between two questions, from 1 to 60.
    pub interval_s: u32,
}

/// What an answer to a question with a device code means (RFC 8628 §3.5).
#[derive(Debug)]
pub enum DevicePoll {
    /// The person has agreed.
    Done(TokenSet),
    /// Nobody has agreed yet.
    Pending,
    /// The same, and the interval is to grow by five seconds.
    SlowDown,
    /// It is over: the person said no (`access_denied`), the code ended (`expired_token`), or something is wrong.
    Over(Refusal),
    /// The question did not get through: ask again.
    Again(Refusal),
}

impl DevicePoll {
    /// What an answer means for the one who asks and asks.
    pub fn of(answer: Answer) -> Self {
        match answer {
            Answer::Tokens(tokens) => Self::Done(tokens),
            // At a device, access is denied by the person who was asked (RFC 8628 §3.5).
            Answer::Refused(refusal) if refusal.is("access_denied") => {
                Self::Over(Refusal { blame: Blame::Grant, ambiguous: false, ..refusal })
            }
            Answer::Refused(refusal) => match refusal.word().as_str() {
                "authorization_pending" => Self::Pending,
                "slow_down" | "rate_limited" => Self::SlowDown,
                "server_error" | "temporarily_unavailable" | "http_503" => Self::Again(refusal),
                _ if refusal.unclear || refusal.blame == Blame::Network => Self::Again(refusal),
                _ => Self::Over(refusal),
            },
        }
    }
}

/// How many seconds codes live if nobody says, and at most.
const LIFE: (f64, f64) = (900.0, 86400.0);
/// How many seconds lie between two questions if nobody says (RFC 8628 §3.2), and at most.
const INTERVAL: (f64, f64) = (5.0, 60.0);

impl Engine {
    /// Asks for a device code (RFC 8628 §3.1). Without `scopes` the entry's own are asked for. Polling is
    /// [`Engine::token`] with [`super::wire::Ask::DeviceCode`].
    ///
    /// A provider without such an endpoint is refused as `unsupported`.
    pub async fn device_authorization(
        &self,
        provider: &Resolved,
        client: &Client,
        scopes: &[String],
        deadline: Duration,
        now: impl Fn() -> Timestamp,
    ) -> Result<DeviceAuthorization, Refusal> {
        let entry = provider.entry();
        let Some(url) = &entry.device_url else { return Err(Refusal::new(Blame::Provider, Reason::Unsupported)) };
        let mut request = Request::new(Method::Post, url, entry.request_format);
        // RFC 8628 §3.1 wants it where the client does not authenticate; elsewhere it does no harm.
        request.field("client_id", &client.id);
        let scopes = if scopes.is_empty() { &entry.default_scopes } else { scopes };
        if !scopes.is_empty() {
            request.field("scope", scopes.join(&entry.scope_separator));
        }
        request.authenticate(client, entry.client_auth);
        let sent = self.send(&request, deadline, now).await;
        let mut missing = Reason::NoDeviceCode;
        if let Sent::Answered(raw) = &sent
            && (200..300).contains(&raw.status)
        {
            match authorization(raw) {
                Ok(found) => return Ok(found),
                Err(reason) => missing = reason,
            }
        }
        let sent = Redactor::for_request(provider, client, &request).sent(sent);
        let Sent::Answered(raw) = &sent else { return Err(Refusal::of_sent(&sent)) };
        match provider.read(raw) {
            Answer::Refused(refusal) if refusal.reason != Reason::NoAccessToken => Err(refusal),
            Answer::Refused(_) | Answer::Tokens(_) => Err(Refusal::new(Blame::Provider, missing).of(raw)),
        }
    }
}

/// The codes in an answer, or what is wrong with it: a code is missing, or the address is not an https URL.
fn authorization(raw: &RawAnswer) -> Result<DeviceAuthorization, Reason> {
    let body = fields::parse(raw.body.expose()).ok_or(Reason::UnreadableBody)?;
    let address = |field: &str| {
        let text = body.get(field)?.as_str()?;
        check_url(text).ok().map(|_| text.to_owned())
    };
    let number = |field: &str, (usual, most): (f64, f64)| {
        body.get(field).and_then(fields::number).filter(|number| *number > 0.0).unwrap_or(usual).min(most)
    };
    let line = |text: &&str| (1..=64).contains(&text.len()) && !text.chars().any(char::is_control);
    let device_code = body.get("device_code").filter(|code| code.as_str() != Some("")).and_then(fields::token);
    let user_code = body.get("user_code").and_then(Value::as_str).filter(line);
    Ok(DeviceAuthorization {
        device_code: device_code.ok_or(Reason::NoDeviceCode)?,
        user_code: user_code.ok_or(Reason::NoDeviceCode)?.to_owned(),
        // Written before the RFC, some still say `url`.
        verification_uri: address("verification_uri")
            .or_else(|| address("verification_url"))
            .ok_or(Reason::VerificationUri)?,
        verification_uri_complete: address("verification_uri_complete")
            .or_else(|| address("verification_url_complete")),
        expires_at: raw.received_at.plus_ms(fields::whole(number("expires_in", LIFE) * 1000.0)),
        // At most 60, at least 1: the conversion cannot fail.
        interval_s: u32::try_from(fields::whole(number("interval", INTERVAL).ceil())).unwrap_or(5),
    })
}
