//! What a server says of itself (OpenID Connect Discovery §4, RFC 8414 §3).

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    Engine,
    catalogue::{ClientAuth, Entry, Pkce, RequestFormat, check_issuer, check_url},
    fields,
    redact::one_line,
    request::{Method, Request},
    wire::{Refusal, Sent},
};
use crate::domain::{Error, Result, Timestamp, Why};

/// What was found at an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The issuer as it writes itself.
    pub issuer: String,
    /// Whether every callback names it (RFC 9207 §3).
    pub iss_in_callback: bool,
    /// Authorization endpoint; `None`: there is none.
    pub authorize_url: Option<String>,
    /// Token endpoint.
    pub token_url: String,
    /// Revocation endpoint; `None`: there is none.
    pub revoke_url: Option<String>,
    /// Device authorization endpoint; `None`: there is none.
    pub device_url: Option<String>,
    /// Introspection endpoint; `None`: there is none.
    pub introspect_url: Option<String>,
    /// User info endpoint; `None`: there is none.
    pub userinfo_url: Option<String>,
    /// How clients may authenticate, of the ways that we have; the best first.
    pub client_auth: Vec<ClientAuth>,
    /// Whether it takes S256; where it says nothing, it is assumed to.
    pub pkce: Pkce,
    /// The scopes that it has, as far as it tells.
    pub scopes: Vec<String>,
}

/// Scopes that a sign-in is made of, and the one that brings a refresh token (OpenID Connect Core §5.4, §11).
const USUAL_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Maximum number of scopes that are read.
const MAX_SCOPES: usize = 256;
/// Maximum length of a scope in bytes; a longer one is left out.
const MAX_SCOPE: usize = 255;
/// Maximum length of the reason of a transport failure in characters. Parts of it come from the server: the names in its
/// certificate.
const MAX_REASON: usize = 300;

impl Engine {
    /// Asks an issuer for its endpoints: by OpenID Connect's path, then by RFC 8414's. The document must name the
    /// issuer that was asked, with or without a slash at the end.
    ///
    /// Every fault names `issuer`.
    pub async fn discover(&self, issuer: &str, deadline: Duration) -> Result<Discovered> {
        let fault = |why| Error::invalid("issuer", why);
        let url = check_issuer(issuer).map_err(fault)?;
        let base = issuer.trim_end_matches('/');
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/');
        let mut addresses = vec![
            format!("{base}/.well-known/openid-configuration"),
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
        ];
        if !path.is_empty() {
            addresses.push(format!("{origin}/.well-known/openid-configuration{path}"));
        }
        let asking = async {
            let mut first = None;
            for address in addresses {
                match self.ask(&address, deadline).await.and_then(|document| Discovered::read(base, &document)) {
                    Ok(found) => return Ok(found),
                    Err(why) => first.get_or_insert(why),
                };
            }
            Err(first.unwrap_or_default())
        };
        match tokio::time::timeout(deadline, asking).await {
            Ok(found) => found.map_err(|why| fault(Why::NotDiscovered(why))),
            Err(_) => Err(fault(Why::NotDiscovered("timeout".to_owned()))),
        }
    }

    async fn ask(&self, address: &str, deadline: Duration) -> Result<Map<String, Value>, String> {
        let request = Request::new(Method::Get, address, RequestFormat::Form);
        let sent = self.send(&request, deadline, Timestamp::default).await;
        let Sent::Answered(raw) = &sent else {
            let refusal = Refusal::of_sent(&sent);
            let why = refusal.description.clone().unwrap_or_else(|| refusal.word());
            return Err(one_line(&why, MAX_REASON));
        };
        if raw.status != 200 {
            return Err(format!("{address} answers with status {}", raw.status));
        }
        match fields::parse_json(raw.body.expose()) {
            Some(Value::Object(document)) => Ok(document),
            _ => Err(format!("{address} answers with something else than a JSON object")),
        }
    }
}

impl Discovered {
    /// Reads a document. `asked` has no slash at the end.
    fn read(asked: &str, document: &Map<String, Value>) -> Result<Self, String> {
        let text = |field: &str| document.get(field).and_then(Value::as_str);
        let list = |field: &str| {
            let items = document.get(field).and_then(Value::as_array)?;
            Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>())
        };
        let endpoint = |field: &str| match text(field) {
            None => Ok(None),
            Some(url) if check_url(url).is_ok() => Ok(Some(url.to_owned())),
            Some(_) => Err(format!("{field} is no https URL")),
        };
        let issuer = text("issuer").ok_or("it has no issuer")?;
        if issuer.trim_end_matches('/') != asked {
            return Err("it names another issuer".to_owned());
        }
        // Where nothing is said, the standard says Basic (RFC 8414 §2).
        let ways = list("token_endpoint_auth_methods_supported").unwrap_or_else(|| vec!["client_secret_basic"]);
        let client_auth: Vec<ClientAuth> = [
            ("client_secret_basic", ClientAuth::ClientSecretBasic),
            ("client_secret_post", ClientAuth::ClientSecretPost),
            ("none", ClientAuth::None),
        ]
        .into_iter()
        .filter(|(name, _)| ways.contains(name))
        .map(|(_, way)| way)
        .collect();
        if client_auth.is_empty() {
            return Err("it takes neither client secrets nor public clients".to_owned());
        }
        let pkce = match list("code_challenge_methods_supported") {
            Some(methods) if !methods.contains(&"S256") => Pkce::None,
            _ => Pkce::S256,
        };
        let is_plain = |scope: &&str| scope.len() <= MAX_SCOPE && !scope.chars().any(char::is_control);
        let scopes = list("scopes_supported").unwrap_or_default().into_iter().filter(is_plain);
        let scopes = scopes.take(MAX_SCOPES).map(str::to_owned).collect();
        Ok(Self {
            issuer: issuer.to_owned(),
            iss_in_callback: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
            authorize_url: endpoint("authorization_endpoint")?,
            token_url: endpoint("token_endpoint")?.ok_or("it has no token_endpoint")?,
            revoke_url: endpoint("revocation_endpoint")?,
            device_url: endpoint("device_authorization_endpoint")?,
            introspect_url: endpoint("introspection_endpoint")?,
            userinfo_url: endpoint("userinfo_endpoint")?,
            client_auth,
            pkce,
            scopes,
        })
    }

    /// A definition of these fields, and of what was found for those that are not given; checked as an operator's own.
    /// The issuer is as it writes itself.
    pub fn entry(&self, given: Map<String, Value>) -> Result<Entry> {
        let scopes: Vec<&str> =
            USUAL_SCOPES.into_iter().filter(|scope| self.scopes.iter().any(|has| has == scope)).collect();
        // A refresh token is for who was asked for consent (OpenID Connect Core §11), and strict servers give none without.
        // A server that is content with less is told so by `"authorize_params": {}`.
        let offline = match given.get("default_scopes").and_then(Value::as_array) {
            Some(own) => own.iter().any(|scope| scope == "offline_access"),
            None => scopes.contains(&"offline_access"),
        };
        let mut found = json!({
            "issuer": self.issuer,
            "iss_in_callback": self.iss_in_callback,
            "authorize_url": self.authorize_url,
            "token_url": self.token_url,
            "revoke_url": self.revoke_url,
            "device_url": self.device_url,
            "introspect_url": self.introspect_url,
            "userinfo": self.userinfo_url.as_ref().map(|url| json!({"url": url, "id": "/sub", "label": "/email"})),
            "client_auth": self.client_auth.first(),
            "pkce": self.pkce,
            "default_scopes": scopes,
            "authorize_params": offline.then(|| json!({"prompt": "consent"})),
        });
        let mut fields = given;
        for (name, value) in found.as_object_mut().map(std::mem::take).into_iter().flatten() {
            if name == "issuer" || !(value.is_null() || fields.contains_key(&name)) {
                fields.insert(name, value);
            }
        }
        Entry::parse(&Value::Object(fields).to_string())
    }
}
