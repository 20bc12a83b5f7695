//! Requests before they are sent: the authorization request (RFC 6749 §4.1.1), and token requests (§4.1.3, §4.4.2, §6;
//! RFC 8628 §3.4) with the ways of a client to authenticate (§2.3.1).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    catalogue::{ClientAuth, Pkce, RequestFormat, Resolved},
    wire::{Ask, Client},
};
use crate::domain::{Error, Result, Secret, Why};

/// What stays as it is in a query: RFC 3986's unreserved characters. A space becomes `%20`, which everybody reads; `+` is
/// taken literally by some.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What changes its meaning between form-encoding and HTTP Basic. RFC 6749 §2.3.1 has both parts form-encoded; half of all
/// providers forget to decode them. What need not be encoded is not, so that most secrets arrive the same at both.
const BASIC: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'+').add(b':').add(b'&');

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// A request to a provider. It is complete: sending it needs nothing else.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    /// A header that shows who asks: name and value.
    pub(super) authorization: Option<(String, Secret)>,
    pub(super) format: RequestFormat,
    /// The body; empty: none.
    pub(super) fields: Vec<(String, Secret)>,
}

impl Request {
    pub(super) fn new(method: Method, url: &str, format: RequestFormat) -> Self {
        Self { method, url: url.to_owned(), authorization: None, format, fields: Vec::new() }
    }

    /// Adds a field, unless it is there.
    pub(super) fn field(&mut self, name: &str, value: impl Into<String>) {
        self.secret_field(name, Secret::new(value));
    }

    pub(super) fn secret_field(&mut self, name: &str, value: Secret) {
        if !self.fields.iter().any(|(there, _)| there == name) {
            self.fields.push((name.to_owned(), value));
        }
    }

    /// Lets the client show itself (RFC 6749 §2.3.1). A client without a secret has only its identifier to show (§3.2.1).
    pub(super) fn authenticate(&mut self, client: &Client, how: ClientAuth) {
        match (how, &client.secret) {
            (ClientAuth::ClientSecretBasic, Some(secret)) => {
                let pair = Secret::new(format!("{}:{}", basic(&client.id), basic(secret.expose())));
                self.authorization = Some((
                    "Authorization".to_owned(),
                    Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))),
                ));
            }
            (ClientAuth::ClientSecretPost, Some(secret)) => {
                self.field("client_id", &client.id);
                self.secret_field("client_secret", secret.clone());
            }
            (ClientAuth::None, _) | (_, None) => self.field("client_id", &client.id),
        }
    }

    /// Media type and text of the body; `None`: there is none.
    pub(super) fn body(&self) -> Option<(&'static str, Secret)> {
        if self.fields.is_empty() {
            return None;
        }
        Some(match self.format {
            RequestFormat::Form => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in &self.fields {
                    form.append_pair(name, value.expose());
                }
                ("application/x-www-form-urlencoded", Secret::new(form.finish()))
            }
            RequestFormat::Json => {
                let object: Map<String, Value> =
                    self.fields.iter().map(|(name, value)| (name.clone(), value.expose().into())).collect();
                ("application/json", Secret::new(Value::Object(object).to_string()))
            }
        })
    }
}

/// A text as it stands in a path or a query.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

fn basic(text: &str) -> String {
    utf8_percent_encode(text, BASIC).to_string()
}

impl Resolved {
    /// Where to send the browser (RFC 6749 §4.1.1, RFC 7636 §4.3). `challenge` is left out where the provider breaks on
    /// it; without `scopes` the entry's own are asked for. The fault of a provider without such a page names
    /// `authorize_url`.
    pub fn authorization_url(
        &self,
        client_id: &str,
        redirect_uri: &str,
        state: &str,
        challenge: Option<&str>,
        scopes: &[String],
    ) -> Result<String> {
        let entry = self.entry();
        let Some(page) = &entry.authorize_url else { return Err(Error::invalid("authorize_url", Why::Missing)) };
        let scopes = if scopes.is_empty() { &entry.default_scopes } else { scopes };
        let scope = scopes.join(&entry.scope_separator);
        let mut parameters =
            vec![("response_type", "code"), ("client_id", client_id), ("redirect_uri", redirect_uri), ("state", state)];
        if !scope.is_empty() {
            parameters.push(("scope", &scope));
        }
        if let Some(challenge) = challenge.filter(|_| entry.pkce == Pkce::S256) {
            parameters.push(("code_challenge", challenge));
            parameters.push(("code_challenge_method", "S256"));
        }
        parameters.extend(entry.authorize_params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut url = page.clone();
        for (name, value) in parameters {
            match url.chars().last() {
                Some('?' | '&') => {}
                _ if url.contains('?') => url.push('&'),
                _ => url.push('?'),
            }
            url.push_str(&escaped(name));
            url.push('=');
            url.push_str(&escaped(value));
        }
        Ok(url)
    }

    /// The request that asks for tokens.
    pub(super) fn token_request(&self, client: &Client, ask: &Ask) -> Request {
        let entry = self.entry();
        let (url, more) = match ask {
            Ask::Refresh { .. } => (self.refresh_url(), &entry.refresh_params),
            _ => (self.token_url(), &entry.token_params),
        };
        let mut request = Request::new(Method::Post, url, entry.request_format);
        match ask {
            Ask::AuthorizationCode { code, verifier, redirect_uri } => {
                request.field("grant_type", "authorization_code");
                request.secret_field("code", code.clone());
                request.field("redirect_uri", redirect_uri);
                if let Some(verifier) = verifier {
                    request.secret_field("code_verifier", verifier.clone());
                }
            }
            Ask::Refresh { refresh_token } => {
                request.field("grant_type", "refresh_token");
                request.secret_field("refresh_token", refresh_token.clone());
            }
            Ask::ClientCredentials { scopes } => {
                request.field("grant_type", "client_credentials");
                if !scopes.is_empty() {
                    request.field("scope", scopes.join(&entry.scope_separator));
                }
            }
            Ask::DeviceCode { device_code } => {
                request.field("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
                request.secret_field("device_code", device_code.clone());
            }
        }
        request.authenticate(client, entry.client_auth);
        for (name, value) in more {
            request.field(name, value);
        }
        request
    }
}

impl Ask {
    /// What of it nobody may see.
    pub(super) fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::AuthorizationCode { code, verifier, .. } => std::iter::once(code).chain(verifier).collect(),
            Self::Refresh { refresh_token } => vec![refresh_token],
            Self::ClientCredentials { .. } => Vec::new(),
            Self::DeviceCode { device_code } => vec![device_code],
        }
    }
}
