//! The provider catalogue: how each provider is spoken to, as data. No provider's name stands in code.
//!
//! An [`Entry`] is the one form of a definition: in `static/catalogue/providers.json`, in the database for the
//! operator's own, and in `GET|POST|PUT /api/providers`. What a provider does differently from RFC 6749 is a field
//! here.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::{Deserialize, Serialize};

use crate::domain::{
    grant::Blame,
    profile::RefreshScope,
    provider::{Origin, Provider},
};

mod check;
mod definition;
mod destinations;
mod resolved;
mod revoke;

pub(super) use check::{check_issuer, check_url};
pub use definition::Given;
pub use destinations::Destinations;
pub use resolved::{Replay, Resolved};
pub use revoke::{Revoke, RevokeAuth, RevokeMethod, TokenHint};

/// One provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The fixed key.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The provider's own documentation of its OAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// Kinds of thing it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Host suffixes that every filled URL must lie on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// What stands in braces in the URLs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Variable>,
    /// The issuer identifier (RFC 8414 §2), perhaps with `{variables}`: a callback that names another one is refused
    /// (RFC 9207).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Whether every callback names the issuer, so that one which does not is refused (RFC 9207 §2.4).
    #[serde(default, skip_serializing_if = "is_default")]
    pub iss_in_callback: bool,
    /// Authorization endpoint (RFC 6749 §3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Token endpoint (RFC 6749 §3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Where to refresh, if not at the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Revocation endpoint (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_url: Option<String>,
    /// How to revoke, where it is not as RFC 7009 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<Revoke>,
    /// Device authorization endpoint (RFC 8628 §3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_url: Option<String>,
    /// Introspection endpoint (RFC 7662).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspect_url: Option<String>,
    /// Where the account behind a token is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo: Option<UserInfo>,
    /// How the client authenticates at the token endpoint (RFC 6749 §2.3.1).
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// How the token request is written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_format: RequestFormat,
    /// Proof key for code exchange (RFC 7636).
    #[serde(default, skip_serializing_if = "is_default")]
    pub pkce: Pkce,
    /// What stands between scopes.
    #[serde(default = "space", skip_serializing_if = "is_space")]
    pub scope_separator: String,
    /// Scopes that are asked for when nobody names any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_scopes: Vec<String>,
    /// Scopes that the provider grants and does not repeat in its answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unechoed_scopes: Vec<String>,
    /// The `scope` parameter of refresh requests (RFC 6749 §6): `none` leaves it out.
    #[serde(default, with = "refresh_scope", skip_serializing_if = "is_default")]
    pub refresh_scope: RefreshScope,
    /// Further parameters of the authorization request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorize_params: BTreeMap<String, String>,
    /// Further parameters of the token request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_params: BTreeMap<String, String>,
    /// Further parameters of the refresh request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refresh_params: BTreeMap<String, String>,
    /// The name of the code in the callback, if not `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_param: Option<String>,
    /// Parameters of the callback to keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callback_params: Vec<String>,
    /// JSON pointers (RFC 6901) of answer fields that are not at their usual place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answer: BTreeMap<AnswerField, String>,
    /// What an answer with status 200 must have to be a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Success>,
    /// What the provider's own error codes, or whole descriptions, mean where they are not RFC 6749's or mean something
    /// else here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, Meaning>,
    /// Further fields of the answer to keep, by JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, String>,
    /// The unit of `expires_in`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires_in_unit: TimeUnit,
    /// An access token's life in seconds where the answer does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_lifetime_s: Option<u64>,
    /// Whether each refresh changes the refresh token. `None`: unknown, which is treated as rotation until a refresh shows
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotates: Option<bool>,
    /// For how many seconds a used refresh token may be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_grace_s: Option<u64>,
    /// Whether the refresh token before stays good until the new one was used (FAPI 2.0 Security Profile §5.3.2.1).
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_safe: bool,
    /// After how many seconds without use a refresh token dies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_idle_s: Option<u64>,
    /// After how many seconds a refresh token dies in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_max_s: Option<u64>,
    /// How many grants one account may have through one app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_cap: Option<u32>,
    /// How often the token endpoint may be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// How the provider's API takes the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Whether a profile may carry the app's own token.
    #[serde(default, skip_serializing_if = "is_default")]
    pub takes_token: bool,
    /// Which parameter of a profile gives which endpoint, where the provider has no fixed ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_parameters: BTreeMap<Endpoint, String>,
}

/// What stands in braces in a URL, and what may be put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// A label for the form.
    pub title: String,
    /// Where a person finds the value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// A regular expression for the whole value, from `^` to `$`.
    pub pattern: String,
    /// What people paste in front of it; taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What people paste behind it; taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// Where the account behind a token is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserInfo {
    /// The address. `None`: the provider tells it with the tokens; the pointers go into what `keep` and
    /// `callback_params` kept (`/workspace_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// JSON pointer of the account's id.
    pub id: String,
    /// JSON pointer of what people know the account by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What stands before the token in the header `Authorization`, where it is neither `Bearer` nor as `api` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// What an error code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The app's id or secret is turned down.
    App,
    /// The grant is gone.
    Grant,
    /// The provider is down, busy, or does not like the request.
    Provider,
}

impl From<Meaning> for Blame {
    fn from(meaning: Meaning) -> Self {
        match meaning {
            Meaning::App => Self::App,
            Meaning::Grant => Self::Grant,
            Meaning::Provider => Self::Provider,
        }
    }
}

/// How the client authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic.
    ClientSecretBasic,
    /// In the body.
    #[default]
    ClientSecretPost,
    /// Not at all: a public client.
    None,
}

/// How a token request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestFormat {
    /// `application/x-www-form-urlencoded`, as RFC 6749 says.
    #[default]
    Form,
    /// A JSON object.
    Json,
}

/// Proof key for code exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Pkce {
    /// SHA-256 (RFC 7636 §4.2).
    #[default]
    S256,
    /// None: the provider breaks on it.
    #[serde(rename = "none")]
    None,
}

/// The unit of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
}

/// A field of a token answer (RFC 6749 §5.1 and §5.2). `refresh_expires_in` and `refresh_expires_at`, the end of the
/// refresh token, are no RFC's; many have them under names of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the RFC's own names")]
pub enum AnswerField {
    AccessToken,
    RefreshToken,
    ExpiresIn,
    ExpiresAt,
    RefreshExpiresIn,
    RefreshExpiresAt,
    Scope,
    TokenType,
    Error,
    ErrorDescription,
}

impl AnswerField {
    fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::ExpiresIn => "expires_in",
            Self::ExpiresAt => "expires_at",
            Self::RefreshExpiresIn => "refresh_expires_in",
            Self::RefreshExpiresAt => "refresh_expires_at",
            Self::Scope => "scope",
            Self::TokenType => "token_type",
            Self::Error => "error",
            Self::ErrorDescription => "error_description",
        }
    }

    /// Where it stands if the entry does not say: as RFC 6749 has it, or as most have what that has not.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Self::AccessToken => &["/access_token"],
            Self::RefreshToken => &["/refresh_token"],
            Self::ExpiresIn => &["/expires_in"],
            Self::ExpiresAt => &["/expires_at"],
            Self::RefreshExpiresIn => &["/refresh_token_expires_in", "/refresh_expires_in"],
            Self::RefreshExpiresAt => &["/refresh_token_expires_at", "/refresh_expires_at"],
            Self::Scope => &["/scope"],
            Self::TokenType => &["/token_type"],
            Self::Error => &["/error"],
            Self::ErrorDescription => &["/error_description"],
        }
    }
}

/// An endpoint that a profile's parameter may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the same names as the fields of an entry")]
pub enum Endpoint {
    AuthorizeUrl,
    TokenUrl,
    RefreshUrl,
    RevokeUrl,
    DeviceUrl,
    IntrospectUrl,
}

impl Endpoint {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizeUrl => "authorize_url",
            Self::TokenUrl => "token_url",
            Self::RefreshUrl => "refresh_url",
            Self::RevokeUrl => "revoke_url",
            Self::DeviceUrl => "device_url",
            Self::IntrospectUrl => "introspect_url",
        }
    }
}

/// What a success must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    /// JSON pointer.
    pub pointer: String,
    /// The value that must be there.
    pub equals: serde_json::Value,
}

/// How often something may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// So many requests …
    pub requests: u32,
    /// … in so many seconds.
    pub per_s: u32,
}

/// How a provider's API takes the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// What paths are appended to.
    pub base_url: String,
    /// The header.
    #[serde(default = "authorization", skip_serializing_if = "is_authorization")]
    pub header: String,
    /// What stands before the token in it.
    #[serde(default = "bearer", skip_serializing_if = "is_bearer")]
    pub scheme: String,
}

/// A [`RefreshScope`] as its word.
mod refresh_scope {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::domain::profile::RefreshScope;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(scope: &RefreshScope, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(scope.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RefreshScope, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known: &[&str] = &["none", "granted", "requested"];
        RefreshScope::parse(&word).ok_or_else(|| D::Error::unknown_variant(&word, known))
    }
}

fn space() -> String {
    " ".to_owned()
}
fn is_space(text: &str) -> bool {
    text == " "
}
fn authorization() -> String {
    "Authorization".to_owned()
}
fn is_authorization(text: &str) -> bool {
    text == "Authorization"
}
fn bearer() -> String {
    "Bearer".to_owned()
}
fn is_bearer(text: &str) -> bool {
    text == "Bearer"
}
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Entry {
    /// The text of the definition.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What the rest of the program needs to know.
    pub fn provider(&self, origin: Origin) -> Provider {
        Provider {
            slug: self.slug.clone(),
            name: self.name.clone(),
            categories: self.categories.clone(),
            origin,
            takes_token: self.takes_token,
            token_url: self.token_url.clone(),
            endpoint_parameters: self
                .endpoint_parameters
                .iter()
                .map(|(endpoint, parameter)| (endpoint.as_str().to_owned(), parameter.clone()))
                .collect(),
        }
    }

    /// All URL templates with the names of their fields.
    pub fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("authorize_url", &self.authorize_url),
            ("token_url", &self.token_url),
            ("refresh_url", &self.refresh_url),
            ("revoke_url", &self.revoke_url),
            ("device_url", &self.device_url),
            ("introspect_url", &self.introspect_url),
        ]
        .into_iter()
        .filter_map(|(field, url)| Some((field, url.as_deref()?)))
        .chain(self.userinfo.as_ref().and_then(|info| Some(("userinfo.url", info.url.as_deref()?))))
        .chain(self.api.as_ref().map(|api| ("api.base_url", api.base_url.as_str())))
    }
}

/// The catalogue that is part of the program, by slug.
pub fn built_in() -> &'static BTreeMap<String, Entry> {
    static ENTRIES: OnceLock<BTreeMap<String, Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        #[derive(Deserialize)]
        struct Catalogue {
            providers: Vec<Entry>,
        }
        #[expect(clippy::expect_used, reason = "a test reads the same text")]
        let catalogue: Catalogue = serde_json::from_str(include_str!("../../../static/catalogue/providers.json"))
            .expect("the embedded catalogue is well formed");
        catalogue.providers.into_iter().map(|entry| (entry.slug.clone(), entry)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_entry_passes_the_checks_of_an_operators_own() {
        for entry in built_in().values() {
            Entry::parse(&entry.to_json()).unwrap_or_else(|error| panic!("{}: {error}", entry.slug));
            assert!(entry.docs.is_some(), "{} has no docs URL", entry.slug);
            for variable in entry.variables.values() {
                let pattern = regex_lite::Regex::new(&variable.pattern).expect("checked above");
                for hostile in ["a/b", "a@b", "a:b", "a?b", "a#b", "a b", "a\nb", ""] {
                    assert!(!pattern.is_match(hostile), "{}: {hostile:?} passes {}", entry.slug, variable.pattern);
                }
            }
            assert!(entry.endpoint_parameters.is_empty() == entry.token_url.is_some(), "{}", entry.slug);
            assert!(entry.token_url.is_none() || !entry.hosts.is_empty(), "{} names no hosts", entry.slug);
        }
    }

    #[test]
    fn every_connector_key_of_the_dialects_is_there() {
        let keys = "azure bitly box dropbox dynamics365 excel github google_gmail google_drive google_form google_sheet \
            google_task google_translator integrity jira microsoft_365 odata onedrive salesforce servicemax slack soap \
            swagger trello windchill youtube zendesk http gitlab oslc thingworx hubspot google_sheets outlook sharepoint \
            microsoft_dynamics_crm salesforce_secondary zoom slack_bot";
        for key in keys.split_whitespace() {
            assert!(built_in().contains_key(key), "{key}");
        }
    }
}
