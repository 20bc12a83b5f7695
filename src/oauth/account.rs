//! Whose token it is, and whether it still works: user info (OpenID Connect Core §5.3, or the provider's own) and
//! introspection (RFC 7662).

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    Engine,
    catalogue::Resolved,
    fields,
    redact::Redactor,
    request::{Method, Request},
    wire::{Client, RawAnswer, Reason, Refusal, Sent},
};
use crate::domain::{Secret, Timestamp};

/// The account behind a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What never changes about it, at most 255 characters.
    pub id: String,
    /// What people know it by, at most 255 characters; `None`: the provider does not say.
    pub label: Option<String>,
}

/// The most characters of an id or a label.
const MOST: usize = 255;

impl Resolved {
    /// The header that carries a token: name and value.
    pub(super) fn token_header(&self, scheme: Option<&str>, token: &Secret) -> (String, Secret) {
        let (name, scheme) = match (scheme, self.api()) {
            (Some(scheme), _) => ("Authorization", scheme),
            (None, Some(api)) => (api.header.as_str(), api.scheme.as_str()),
            (None, None) => ("Authorization", "Bearer"),
        };
        let space = if scheme.is_empty() { "" } else { " " };
        (name.to_owned(), Secret::new(format!("{scheme}{space}{}", token.expose())))
    }

    fn account(&self, said: &Value) -> Option<Account> {
        let info = self.entry().userinfo.as_ref()?;
        let label = info.label.as_ref().and_then(|pointer| text(said.pointer(pointer)?));
        Some(Account { id: text(said.pointer(&info.id)?)?, label })
    }

    /// The account that an answer of the user info endpoint names, or why it names none, with the provider's error code.
    fn account_in(&self, raw: &RawAnswer) -> Result<Account, (Reason, Option<String>)> {
        if !(200..300).contains(&raw.status) {
            return Err((Reason::HttpError, None));
        }
        let body = fields::parse_json(raw.body.expose()).ok_or((Reason::UnreadableBody, None))?;
        if !self.succeeded(&body) {
            let code = body.pointer("/error").and_then(Value::as_str).and_then(fields::word);
            return Err((Reason::ProviderError, code));
        }
        self.account(&body).ok_or((Reason::NoAccount, None))
    }
}

impl Engine {
    /// Asks whose access token it is. `extra` is what was kept of the answer and the callback: some providers say it
    /// there. `None`: this provider does not tell.
    ///
    /// A refusal blames the network or the provider, never the grant: a token that cannot read its own account may be
    /// good for everything else. Status 401 says that the provider did not accept the token. The refusal contains neither
    /// the access token nor a secret of the client, which does not authenticate here.
    pub async fn user_info(
        &self,
        provider: &Resolved,
        client: &Client,
        access: &Secret,
        extra: &Map<String, Value>,
        deadline: Duration,
    ) -> Result<Option<Account>, Refusal> {
        let Some(info) = &provider.entry().userinfo else { return Ok(None) };
        let Some(url) = &info.url else { return Ok(provider.account(&Value::Object(extra.clone()))) };
        let mut request = Request::new(Method::Get, url, provider.entry().request_format);
        request.authorization = Some(provider.token_header(info.scheme.as_deref(), access));
        let sent = self.send(&request, deadline, Timestamp::default).await;
        if let Sent::Answered(raw) = &sent
            && let Ok(account) = provider.account_in(raw)
        {
            return Ok(Some(account));
        }
        let sent = Redactor::for_request(provider, client, &request).sent(sent);
        let refusal = Refusal::of_sent(&sent);
        Err(match &sent {
            Sent::Answered(raw) => {
                let (reason, provider_error) = provider.account_in(raw).err().unwrap_or((refusal.reason, None));
                Refusal { reason, provider_error, unclear: false, ..refusal }
            }
            Sent::NotSent(_) | Sent::Unclear(_) => refusal,
        })
    }

    /// Whether the provider says that a token is active (RFC 7662 §2.2). `None`: it has no such endpoint, or did not
    /// say.
    pub async fn introspect(
        &self,
        provider: &Resolved,
        client: &Client,
        token: &Secret,
        deadline: Duration,
    ) -> Option<bool> {
        let entry = provider.entry();
        let mut request = Request::new(Method::Post, entry.introspect_url.as_ref()?, entry.request_format);
        request.secret_field("token", token.clone());
        request.authenticate(client, entry.client_auth);
        match self.send(&request, deadline, Timestamp::default).await {
            Sent::Answered(raw) if (200..300).contains(&raw.status) => {
                fields::parse_json(raw.body.expose())?.pointer("/active")?.as_bool()
            }
            _ => None,
        }
    }
}

/// A text or a number as one line.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
