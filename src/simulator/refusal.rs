//! Why a request is refused, and how each kind of provider says so.

use serde_json::{Map, Value, json};

use super::{answer::Answer, options::Like};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request itself is malformed; the text says how.
    Request(&'static str),
    /// No such client, or none was named.
    UnknownClient { basic: bool },
    /// The client's secret is another.
    BadSecret { basic: bool },
    /// The client may not show its secret this way.
    AuthMethod { basic: bool },
    /// Not a grant type of ours.
    GrantType,
    /// No code of ours, or another client's, or expired.
    BadCode,
    /// The code was used before.
    UsedCode,
    /// The redirect URI is not the one of the authorization request, or not among the client's.
    RedirectUri(&'static str),
    /// The proof key does not fit (RFC 7636 §4.6).
    Verifier(&'static str),
    /// No refresh token of ours, or another client's, or no longer good.
    BadRefreshToken,
    /// A refresh asks for more than was granted, or the scope is malformed.
    Scope,
    /// A refresh has a scope, and must not.
    ScopeOnRefresh,
    /// Nobody has decided yet (RFC 8628 §3.5).
    Pending,
    /// The device asks too often (RFC 8628 §3.5).
    SlowDown,
    /// The account's owner said no.
    Denied,
    /// The device's request has expired.
    ExpiredDevice,
    /// What a fault wants.
    Wanted(String),
}

impl Refusal {
    /// Code and description by RFC 6749 §5.2 and RFC 8628 §3.5.
    pub(super) fn plain(&self) -> (&str, &'static str) {
        match self {
            Self::Request(how) => ("invalid_request", how),
            Self::UnknownClient { .. } => ("invalid_client", "there is no such client"),
            Self::BadSecret { .. } => ("invalid_client", "the client_secret is wrong"),
            Self::AuthMethod { .. } => ("invalid_client", "this client must show its secret in another way"),
            Self::GrantType => ("unsupported_grant_type", "this grant_type is not supported"),
            Self::BadCode => ("invalid_grant", "the code is unknown, expired or another client's"),
            Self::UsedCode => ("invalid_grant", "the code was used before: its grant is revoked"),
            Self::RedirectUri(how) | Self::Verifier(how) => ("invalid_grant", how),
            Self::BadRefreshToken => {
                ("invalid_grant", "the refresh_token is unknown, used, revoked or another client's")
            }
            Self::Scope => ("invalid_scope", "the scope is malformed or more than was granted"),
            Self::ScopeOnRefresh => ("invalid_scope", "a refresh must not have a scope"),
            Self::Pending => ("authorization_pending", "nobody has decided yet"),
            Self::SlowDown => ("slow_down", "wait longer between requests"),
            Self::Denied => ("access_denied", "the account's owner said no"),
            Self::ExpiredDevice => ("expired_token", "the device_code has expired"),
            Self::Wanted(code) => (code, "as the fault wants"),
        }
    }

    fn is_about_client(&self) -> bool {
        matches!(self, Self::UnknownClient { .. } | Self::BadSecret { .. } | Self::AuthMethod { .. })
    }

    /// The answer of the token endpoint.
    pub(super) fn answer(&self, like: Like) -> Answer {
        match like {
            Like::Plain => self.by_the_rfc(),
            Like::Slack => Answer::json(200, json!({"ok": false, "error": self.slack()})),
            Like::Salesforce => {
                let (code, description) = self.salesforce();
                Answer::json(400, json!({"error": code, "error_description": description}))
            }
            Like::QuickBooks => {
                let (code, description) = self.plain();
                let status = if self.is_about_client() { 401 } else { 400 };
                let mut body = Map::from_iter([("error".to_owned(), Value::from(code))]);
                if matches!(self, Self::BadRefreshToken) {
                    body.insert("error_description".to_owned(), "Incorrect or invalid refresh token".into());
                } else if status == 400 {
                    body.insert("error_description".to_owned(), description.into());
                }
                Answer::json(status, Value::Object(body))
            }
            Like::Zoho => Answer::json(200, json!({"error": self.zoho()})),
            Like::Shopify => {
                let (code, description) = self.shopify();
                Answer::json(400, json!({"error": code, "error_description": description}))
            }
        }
    }

    /// RFC 6749 §5.2.
    pub(super) fn by_the_rfc(&self) -> Answer {
        let (code, description) = self.plain();
        let body = json!({"error": code, "error_description": description});
        match self {
            Self::UnknownClient { basic } | Self::BadSecret { basic } | Self::AuthMethod { basic } => {
                let answer = Answer::json(401, body);
                if *basic { answer.with("WWW-Authenticate", "Basic realm=\"simulator\"") } else { answer }
            }
            _ => Answer::json(400, body),
        }
    }

    fn slack(&self) -> &str {
        match self {
            Self::Request(_) => "invalid_arguments",
            Self::UnknownClient { .. } => "invalid_client_id",
            Self::BadSecret { .. } | Self::AuthMethod { .. } => "bad_client_secret",
            Self::GrantType => "invalid_grant_type",
            Self::BadCode | Self::Verifier(_) => "invalid_code",
            Self::UsedCode => "code_already_used",
            Self::RedirectUri(_) => "bad_redirect_uri",
            Self::BadRefreshToken => "invalid_refresh_token",
            _ => self.plain().0,
        }
    }

    fn salesforce(&self) -> (&str, &'static str) {
        match self {
            Self::UnknownClient { .. } => ("invalid_client_id", "client identifier invalid"),
            Self::BadSecret { .. } | Self::AuthMethod { .. } => ("invalid_client", "invalid client credentials"),
            Self::GrantType => ("unsupported_grant_type", "grant type not supported"),
            Self::BadCode => ("invalid_grant", "invalid authorization code"),
            Self::UsedCode => ("invalid_grant", "expired authorization code"),
            Self::RedirectUri(_) => ("redirect_uri_mismatch", "redirect_uri must match configuration"),
            Self::Verifier(_) => ("invalid_grant", "invalid code verifier"),
            Self::BadRefreshToken => ("invalid_grant", "expired access/refresh token"),
            _ => self.plain(),
        }
    }

    fn zoho(&self) -> &str {
        match self {
            Self::UnknownClient { .. } => "invalid_client",
            Self::BadSecret { .. } | Self::AuthMethod { .. } => "invalid_client_secret",
            Self::BadCode | Self::UsedCode | Self::Verifier(_) | Self::BadRefreshToken => "invalid_code",
            Self::RedirectUri(_) => "invalid_redirect_uri",
            _ => self.plain().0,
        }
    }

    fn shopify(&self) -> (&str, &'static str) {
        match self {
            Self::UnknownClient { .. } => ("application_cannot_be_found", "The application could not be found"),
            Self::BadSecret { .. } | Self::AuthMethod { .. } => ("invalid_client", "Client authentication failed"),
            Self::BadCode | Self::UsedCode => {
                ("invalid_request", "The authorization code was not found or was already used")
            }
            Self::BadRefreshToken => ("invalid_grant", "Token has been expired or revoked"),
            _ => self.plain(),
        }
    }
}
