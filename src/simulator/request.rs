//! What clients send: parameters as a form or as JSON, and who they are (RFC 6749 §2.3.1).

use std::collections::BTreeMap;

use actix_web::{HttpRequest, http::header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    options::Like,
    refusal::Refusal,
    state::{Client, State},
};

/// No value of a request is longer, in bytes.
const MOST_VALUE: usize = 8 * 1024;

/// The parameters of a request, each at most once; one without a value is one that is absent (RFC 6749 §3.1, §3.2).
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a body that is a form or a JSON object of texts.
    pub(super) fn of_body(request: &HttpRequest, body: &[u8]) -> Result<Self, Refusal> {
        let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match media.and_then(|media| media.split(';').next()).map(|media| media.trim().to_ascii_lowercase()).as_deref()
        {
            Some("application/x-www-form-urlencoded") => Self::of_form(body),
            Some("application/json") => {
                let Ok(Value::Object(map)) = serde_json::from_slice(body) else {
                    return Err(Refusal::Request("the body is no JSON object"));
                };
                let text = |(name, value)| match value {
                    Value::String(text) => Ok((name, text)),
                    Value::Number(number) => Ok((name, number.to_string())),
                    _ => Err(Refusal::Request("a parameter is no text")),
                };
                Self::of_pairs(map.into_iter().map(text))
            }
            _ => Err(Refusal::Request("the body is neither a form nor JSON")),
        }
    }

    /// Reads a query, or a form.
    pub(super) fn of_form(form: &[u8]) -> Result<Self, Refusal> {
        Self::of_pairs(
            url::form_urlencoded::parse(form).map(|(name, value)| Ok((name.into_owned(), value.into_owned()))),
        )
    }

    fn of_pairs(pairs: impl Iterator<Item = Result<(String, String), Refusal>>) -> Result<Self, Refusal> {
        let mut parameters = BTreeMap::new();
        for pair in pairs {
            let (name, value) = pair?;
            if name.len() > 100 || value.len() > MOST_VALUE || parameters.len() > 100 {
                return Err(Refusal::Request("a parameter is too long, or there are too many"));
            }
            if parameters.insert(name, value).is_some() {
                return Err(Refusal::Request("a parameter is there twice"));
            }
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The name and the value of a parameter.
    pub(super) fn get_with_name(&self, name: &str) -> Option<(&str, &str)> {
        self.0.get_key_value(name).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The scopes that are asked for. They are separated as the RFC has it or by commas.
    pub(super) fn scopes(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        // RFC 6749 §3.3, less the comma.
        let fine = |c: char| matches!(c, '!' | '#'..='+' | '-'..='[' | ']'..='~');
        let mut scopes: Vec<String> = Vec::new();
        for scope in text.split([' ', ',']).filter(|scope| !scope.is_empty()) {
            if scope.len() > 200 || scopes.len() >= 100 || !scope.chars().all(fine) {
                return Err(Refusal::Scope);
            }
            if !scopes.iter().any(|other| other == scope) {
                scopes.push(scope.to_owned());
            }
        }
        Ok(Some(scopes))
    }
}

/// How a client shows its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auth {
    /// HTTP Basic.
    Basic,
    /// In the body.
    Post,
    /// Not at all.
    None,
}

/// What a client shows.
#[derive(Debug)]
pub(super) struct Shown {
    id: String,
    secret: Option<String>,
    auth: Auth,
}

impl Shown {
    /// Reads id and secret from the header or from the body, never from both.
    pub(super) fn read(request: &HttpRequest, parameters: &Parameters) -> Result<Self, Refusal> {
        let in_body = parameters.get("client_secret");
        let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let basic = header.and_then(|value| value.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("basic"));
        let Some((_, encoded)) = basic else {
            let id = parameters.get("client_id").ok_or(Refusal::UnknownClient { basic: header.is_some() })?;
            let auth = if in_body.is_some() { Auth::Post } else { Auth::None };
            return Ok(Self { id: id.to_owned(), secret: in_body.map(str::to_owned), auth });
        };
        if in_body.is_some() {
            return Err(Refusal::Request("the client shows its secret in two ways"));
        }
        let bad = || Refusal::UnknownClient { basic: true };
        let pair =
            STANDARD.decode(encoded.trim()).ok().and_then(|pair| String::from_utf8(pair).ok()).ok_or_else(bad)?;
        let (id, secret) = pair.split_once(':').ok_or_else(bad)?;
        // Both are encoded as a form first (RFC 6749 §2.3.1).
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8().map(std::borrow::Cow::into_owned)
        };
        let (id, secret) = (decoded(id).map_err(|_| bad())?, decoded(secret).map_err(|_| bad())?);
        if parameters.get("client_id").is_some_and(|other| other != id) {
            return Err(Refusal::Request("the client names itself in two ways"));
        }
        Ok(Self { id, secret: Some(secret), auth: Auth::Basic })
    }

    /// The client ID, whether or not the credentials are good.
    pub(super) fn client_id(&self) -> &str {
        &self.id
    }

    /// The client secret, whether or not it is good.
    pub(super) fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// The client's id, if these are its credentials.
    pub(super) fn check(&self, state: &State, like: Like) -> Result<String, Refusal> {
        let basic = self.auth == Auth::Basic;
        let client = state.clients.get(&self.id).ok_or(Refusal::UnknownClient { basic })?;
        match &client.secret {
            None if self.secret.is_none() => return Ok(self.id.clone()),
            Some(secret) if self.secret.as_ref() == Some(secret) => {}
            _ => return Err(Refusal::BadSecret { basic }),
        }
        if methods(client, like).contains(&self.auth) {
            Ok(self.id.clone())
        } else {
            Err(Refusal::AuthMethod { basic })
        }
    }
}

/// How a client may show its secret.
fn methods(client: &Client, like: Like) -> &'static [Auth] {
    match (client.auth, like) {
        (Some(Auth::Basic), _) | (None, Like::QuickBooks) => &[Auth::Basic],
        (Some(Auth::Post), _) | (None, Like::Zoho | Like::Shopify) => &[Auth::Post],
        _ => &[Auth::Basic, Auth::Post],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_there_once_and_have_values() {
        let read = |form: &str| Parameters::of_form(form.as_bytes());
        let parameters = read("a=1&b=&c=x+y%26").expect("a form");
        assert_eq!((parameters.get("a"), parameters.get("b"), parameters.get("c")), (Some("1"), None, Some("x y&")));
        assert!(read("a=1&a=2").is_err());
        assert!(read(&format!("a={}", "x".repeat(MOST_VALUE + 1))).is_err());
    }

    #[test]
    fn scopes_are_separated_by_spaces_or_commas() {
        let read = |form: &str| Parameters::of_form(form.as_bytes()).and_then(|parameters| parameters.scopes("scope"));
        let texts = |scopes: &[&str]| Ok(Some(scopes.iter().map(ToString::to_string).collect::<Vec<_>>()));
        assert_eq!(read("scope=a+b+a"), texts(&["a", "b"]));
        assert_eq!(read("scope=a,b:c/d"), texts(&["a", "b:c/d"]));
        assert_eq!(read("x=y"), Ok(None));
        for bad in ["scope=%22", "scope=a%5Cb", "scope=a%0Ab", "scope=%C3%A9"] {
            assert_eq!(read(bad), Err(Refusal::Scope), "{bad}");
        }
    }
}
