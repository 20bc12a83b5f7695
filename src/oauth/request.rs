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

/// What stays as it is in a query: RFC 3986's unreserved characters. A space becomes `%20`, which everybody reads; `+`
/// is taken literally by some.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What changes its meaning between form-encoding and HTTP Basic. RFC 6749 §2.3.1 has both parts form-encoded; half of
/// all providers forget to decode them. What need not be encoded is not, so that most secrets arrive the same at both.
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
    /// Whether the provider may receive the request twice. If not, it is sent on a connection of its own.
    pub(super) is_repeatable: bool,
}

impl Request {
    pub(super) fn new(method: Method, url: &str, format: RequestFormat) -> Self {
        Self { method, url: url.to_owned(), authorization: None, format, fields: Vec::new(), is_repeatable: true }
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

    /// Lets the client show itself (RFC 6749 §2.3.1). A client without a secret has only its identifier to show
    /// (§3.2.1).
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
        // Codes and many refresh tokens are accepted once.
        request.is_repeatable = false;
        match ask {
            Ask::AuthorizationCode { code, verifier, redirect_uri } => {
                request.field("grant_type", "authorization_code");
                request.secret_field("code", code.clone());
                request.field("redirect_uri", redirect_uri);
                if let Some(verifier) = verifier {
                    request.secret_field("code_verifier", verifier.clone());
                }
            }
            Ask::Refresh { refresh_token, scopes } => {
                request.field("grant_type", "refresh_token");
                request.secret_field("refresh_token", refresh_token.clone());
                if !scopes.is_empty() {
                    request.field("scope", scopes.join(&entry.scope_separator));
                }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::oauth::catalogue::Entry;

    fn provider(more: &str) -> Resolved {
        let json = format!(r#"{{"slug":"a","name":"A","token_url":"https://a.example/t"{more}}}"#);
        let entry = Entry::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        entry.resolve(&BTreeMap::new(), &BTreeMap::new()).expect("no blanks")
    }

    fn client(secret: Option<&str>) -> Client {
        Client { id: "the id".to_owned(), secret: secret.map(Secret::new), known: Vec::new() }
    }

    fn body(request: &Request) -> String {
        request.body().map(|(_, text)| text.expose().to_owned()).unwrap_or_default()
    }

    #[test]
    fn the_authorization_url_keeps_its_query_and_escapes_everything() {
        let provider = provider(
            r#","authorize_url":"https://a.example/auth?owner=me","scope_separator":",","default_scopes":["x"],
            "authorize_params":{"prompt":"consent"}"#,
        );
        let scopes = ["a&client_id=evil".to_owned(), "b\r\nX: y".to_owned(), "c d+e#f".to_owned()];
        let url = provider
            .authorization_url("id&x", "https://me.example/cb?a=b", "s+t=", Some("ch"), &scopes)
            .expect("has a page");
        assert_eq!(
            url,
            "https://a.example/auth?owner=me&response_type=code&client_id=id%26x\
             &redirect_uri=https%3A%2F%2Fme.example%2Fcb%3Fa%3Db&state=s%2Bt%3D\
             &scope=a%26client_id%3Devil%2Cb%0D%0AX%3A%20y%2Cc%20d%2Be%23f\
             &code_challenge=ch&code_challenge_method=S256&prompt=consent"
        );
        let parsed = url::Url::parse(&url).expect("a URL");
        assert_eq!(parsed.query_pairs().filter(|(name, _)| name == "client_id").count(), 1);
        let usual = provider.authorization_url("id", "https://me.example/cb", "s", None, &[]).expect("has a page");
        assert!(usual.contains("&scope=x&") && !usual.contains("challenge"), "{usual}");
    }

    #[test]
    fn a_provider_without_a_page_or_without_proof_keys_is_asked_accordingly() {
        match provider("").authorization_url("id", "https://me.example/cb", "s", None, &[]) {
            Err(Error::Invalid(faults)) => assert_eq!(faults[0].path, "authorize_url"),
            other => panic!("{other:?}"),
        }
        let breaks = provider(r#","authorize_url":"https://a.example/auth","pkce":"none""#);
        let url = breaks.authorization_url("id", "https://me.example/cb", "s", Some("ch"), &[]).expect("has a page");
        assert_eq!(
            url,
            "https://a.example/auth?response_type=code&client_id=id&redirect_uri=https%3A%2F%2Fme.example%2Fcb&state=s"
        );
    }

    #[test]
    fn the_client_shows_itself_as_the_entry_says() {
        let refresh = Ask::Refresh { refresh_token: Secret::new("r&="), scopes: Vec::new() };
        let basic = provider(r#","client_auth":"client_secret_basic""#).token_request(&client(Some("s")), &refresh);
        let (name, value) = basic.authorization.as_ref().expect("a header");
        // base64("the%20id:s")
        assert_eq!((name.as_str(), value.expose()), ("Authorization", "Basic dGhlJTIwaWQ6cw=="));
        assert_eq!(body(&basic), "grant_type=refresh_token&refresh_token=r%26%3D");
        let post = provider("").token_request(&client(Some("s")), &refresh);
        assert!(post.authorization.is_none());
        assert!(body(&post).ends_with("&client_id=the+id&client_secret=s"));
        for public in [provider(r#","client_auth":"none""#), provider(r#","client_auth":"client_secret_basic""#)] {
            let request = public.token_request(&client(None), &refresh);
            assert!(request.authorization.is_none());
            assert!(body(&request).ends_with("&client_id=the+id"));
        }
    }

    #[test]
    fn credentials_in_a_header_are_the_same_decoded_or_not_where_that_is_possible() {
        // What a form decoder would change is encoded, and nothing else.
        assert_eq!(super::basic("ab/c=~!*'()@$"), "ab/c=~!*'()@$");
        assert_eq!(super::basic("a b+c%d:e&f"), "a%20b%2Bc%25d%3Ae%26f");
        assert_eq!(super::basic("ü\n"), "%C3%BC%0A");
    }

    #[test]
    fn each_grant_is_asked_for_in_its_own_words() {
        let provider = provider(
            r#","request_format":"json","refresh_url":"https://a.example/r","token_params":{"p":"1"},
            "refresh_params":{"q":"2"}"#,
        );
        let client = client(None);
        let code = Ask::AuthorizationCode {
            code: Secret::new("c"),
            verifier: Some(Secret::new("v")),
            redirect_uri: "https://me.example/cb".to_owned(),
        };
        let request = provider.token_request(&client, &code);
        assert_eq!(request.url, "https://a.example/t");
        assert_eq!(
            body(&request),
            r#"{"grant_type":"authorization_code","code":"c","redirect_uri":"https://me.example/cb","code_verifier":"v","client_id":"the id","p":"1"}"#
        );
        let request =
            provider.token_request(&client, &Ask::Refresh { refresh_token: Secret::new("\""), scopes: Vec::new() });
        assert_eq!(request.url, "https://a.example/r");
        assert_eq!(
            body(&request),
            r#"{"grant_type":"refresh_token","refresh_token":"\"","client_id":"the id","q":"2"}"#
        );
        let request =
            provider.token_request(&client, &Ask::ClientCredentials { scopes: vec!["a".to_owned(), "b".to_owned()] });
        assert_eq!(body(&request), r#"{"grant_type":"client_credentials","scope":"a b","client_id":"the id","p":"1"}"#);
        let request = provider.token_request(&client, &Ask::DeviceCode { device_code: Secret::new("d") });
        assert!(
            body(&request).contains(r#""grant_type":"urn:ietf:params:oauth:grant-type:device_code","device_code":"d""#)
        );
    }
}
