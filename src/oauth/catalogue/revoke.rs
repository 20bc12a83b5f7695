//! How tokens are given back, as data (RFC 7009, or the provider's own way).

use serde::{Deserialize, Serialize};

use super::{RequestFormat, is_default};

/// How a token is revoked, where it is not as RFC 7009 §2.1 says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The method.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: RevokeMethod,
    /// How the request is written; `None`: as a form.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: RequestFormat,
    /// Who shows itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: RevokeAuth,
    /// The name of the token in the body.
    #[serde(default = "token", skip_serializing_if = "is_token")]
    pub token_param: String,
    /// Which tokens it takes; those that are not here die with the others, or by themselves.
    #[serde(default = "both_tokens", skip_serializing_if = "is_both_tokens")]
    pub tokens: Vec<TokenHint>,
}

impl Default for Revoke {
    fn default() -> Self {
        Self {
            method: RevokeMethod::default(),
            format: RequestFormat::default(),
            auth: RevokeAuth::default(),
            token_param: token(),
            tokens: both_tokens(),
        }
    }
}

/// The method of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RevokeMethod {
    /// As RFC 7009 says.
    #[default]
    Post,
    /// The token is a thing to be deleted.
    Delete,
}

/// Who shows itself at a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeAuth {
    /// The client, as at the token endpoint.
    #[default]
    Client,
    /// The client, by HTTP Basic.
    ClientSecretBasic,
    /// The client, in the body.
    ClientSecretPost,
    /// The client's identifier alone.
    ClientId,
    /// Nobody: the token is enough.
    None,
    /// Whoever holds the token: it stands in the header as for the API, and not in the body.
    Token,
}

/// Which token it is (RFC 7009 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenHint {
    /// A refresh token.
    Refresh,
    /// An access token.
    Access,
}

fn token() -> String {
    "token".to_owned()
}
fn is_token(text: &str) -> bool {
    text == "token"
}
fn both_tokens() -> Vec<TokenHint> {
    vec![TokenHint::Refresh, TokenHint::Access]
}
fn is_both_tokens(tokens: &[TokenHint]) -> bool {
    tokens == [TokenHint::Refresh, TokenHint::Access]
}
