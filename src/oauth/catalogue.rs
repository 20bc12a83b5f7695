//! The provider catalogue: how each provider is spoken to, as data. No provider's name stands in code.
//!
//! An [`Entry`] is the one form of a definition: in `static/catalogue/providers.json`, in the database for the
//! operator's own, and in `GET|POST|PUT /api/providers`. What a provider does differently from RFC 6749 is a field here.

use std::{collections::BTreeMap, sync::OnceLock};

use regex_lite::RegexBuilder;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Error, Faults, Result, Why,
    provider::{Origin, Provider, check_slug},
    value::check_text,
};

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
    /// Further fields of the answer to keep, by JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, String>,
    /// The unit of `expires_in`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires_in_unit: TimeUnit,
    /// An access token's life in seconds where the answer does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_lifetime_s: Option<u64>,
    /// Whether each refresh changes the refresh token.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rotates: bool,
    /// For how many seconds a used refresh token may be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_grace_s: Option<u64>,
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
    /// The address.
    pub url: String,
    /// JSON pointer of the account's id.
    pub id: String,
    /// JSON pointer of what people know the account by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
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

/// A field of a token answer (RFC 6749 §5.1 and §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the RFC's own names")]
pub enum AnswerField {
    AccessToken,
    RefreshToken,
    ExpiresIn,
    ExpiresAt,
    Scope,
    TokenType,
    Error,
    ErrorDescription,
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
    fn as_str(self) -> &'static str {
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

/// The most bytes of a definition.
const MOST: usize = 64 * 1024;
/// More variables than these no URL needs.
const MOST_VARIABLES: usize = 16;
/// How much a pattern may take once it is compiled, in bytes.
const MOST_PATTERN: usize = 64 * 1024;

impl Entry {
    /// Reads and checks a definition. Faults name the field (`userinfo.url`).
    pub fn parse(json: &str) -> Result<Self> {
        if json.len() > MOST {
            return Err(Error::TooLarge { limit: MOST as u64 });
        }
        let entry = Self::read(json)?;
        entry.check()?;
        Ok(entry)
    }

    /// Reads a definition that was checked when it was kept.
    pub fn read(json: &str) -> Result<Self> {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(
            |error: serde_path_to_error::Error<serde_json::Error>| {
                let path = error.path().to_string();
                Error::invalid(if path == "." { String::new() } else { path }, meaning(&error.into_inner()))
            },
        )
    }

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
        .chain(self.userinfo.as_ref().map(|info| ("userinfo.url", info.url.as_str())))
        .chain(self.api.as_ref().map(|api| ("api.base_url", api.base_url.as_str())))
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.take("slug", check_slug(&self.slug));
        faults.take("name", check_text(&self.name, 255));
        if let Some(docs) = &self.docs {
            faults.take("docs", check_url(docs).map(drop));
        }
        if self.variables.len() > MOST_VARIABLES {
            faults.add("variables", Why::TooMany(MOST_VARIABLES));
        }
        for (name, variable) in self.variables.iter().take(MOST_VARIABLES) {
            let path = format!("variables.{name}");
            if !variable.pattern.starts_with('^') || !variable.pattern.ends_with('$') {
                faults.add(format!("{path}.pattern"), Why::Malformed("a regular expression from ^ to $"));
            } else if RegexBuilder::new(&variable.pattern).size_limit(MOST_PATTERN).build().is_err() {
                faults.add(format!("{path}.pattern"), Why::Malformed("a regular expression"));
            }
            if !self.urls().any(|(_, url)| url.contains(&format!("{{{name}}}"))) {
                faults.add(path, Why::NoneFits);
            }
        }
        for (field, template) in self.urls() {
            match self.sample(template) {
                Err(why) => faults.add(field, why),
                Ok(sample) => {
                    if let Some(url) = faults.take(field, check_url(&sample))
                        && !self.on_hosts(&url)
                    {
                        faults.add(field, Why::Malformed("an address on one of its hosts"));
                    }
                }
            }
        }
        if self.token_url.is_none() && !self.endpoint_parameters.contains_key(&Endpoint::TokenUrl) {
            faults.add("token_url", Why::Missing);
        }
        let pointers = self.answer.values().chain(self.keep.values());
        if !pointers.into_iter().all(|pointer| pointer.starts_with('/')) {
            faults.add("answer", Why::Malformed("JSON pointers (RFC 6901), each beginning with /"));
        }
        faults.or(())
    }

    /// The template with each variable's default, or a letter, in its place.
    fn sample(&self, template: &str) -> std::result::Result<String, Why> {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(Why::Malformed("a URL with {variables}"))?;
            let variable = self.variables.get(name).ok_or(Why::Malformed("a URL whose {variables} are declared"))?;
            out.push_str(before);
            out.push_str(variable.default.as_deref().unwrap_or("a"));
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Entries of the operator may leave the hosts out: then each URL speaks for itself.
    fn on_hosts(&self, url: &url::Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        self.hosts.is_empty()
            || self.hosts.iter().any(|suffix| {
                host == suffix || host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('.'))
            })
    }
}

/// https, or http on this machine.
fn check_url(text: &str) -> std::result::Result<url::Url, Why> {
    const HTTPS: Why = Why::Malformed("an https URL (http only for loopback)");
    let url = url::Url::parse(text).map_err(|_| HTTPS)?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err(HTTPS),
    };
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if plain && (url.scheme() == "https" || (url.scheme() == "http" && loopback)) { Ok(url) } else { Err(HTTPS) }
}

fn meaning(error: &serde_json::Error) -> Why {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if error.is_syntax() || error.is_eof() {
        Why::Syntax { line: error.line(), column: error.column(), what: text.to_owned() }
    } else if text.starts_with("unknown field") {
        Why::Unknown
    } else if text.starts_with("missing field") {
        // The path ends at the object; its sentence names the field.
        match text.split('`').nth(1) {
            Some("slug") => Why::Malformed("an object with a slug"),
            Some("name") => Why::Malformed("an object with a name"),
            _ => Why::Missing,
        }
    } else if text.starts_with("duplicate field") {
        Why::Duplicate
    } else if text.starts_with("unknown variant") {
        Why::NotOneOf(text.split('`').skip(3).step_by(2).map(str::to_owned).collect())
    } else {
        Why::WrongType(expected(text))
    }
}

fn expected(text: &str) -> &'static str {
    let wanted = text.rsplit("expected ").next().unwrap_or_default();
    for (start, name) in [
        ("a string", "string"),
        ("a boolean", "boolean"),
        ("a sequence", "array"),
        ("a map", "object"),
        ("struct", "object"),
        ("u", "whole number"),
    ] {
        if wanted.starts_with(start) {
            return name;
        }
    }
    "value of another type"
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
        let catalogue: Catalogue = serde_json::from_str(include_str!("../../static/catalogue/providers.json"))
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

    fn why(json: &str) -> Vec<(String, Why)> {
        match Entry::parse(json) {
            Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| (fault.path, fault.why)).collect(),
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn faults_of_a_definition_name_the_field() {
        let with = |more: &str| format!(r#"{{"slug":"acme","name":"Acme","token_url":"https://a.example/t"{more}}}"#);
        assert!(Entry::parse(&with("")).is_ok());
        assert!(Entry::parse(&with(r#","authorize_url":"http://127.0.0.1:9/a""#)).is_ok());
        assert_eq!(why(&with(r#","colour":1"#))[0], ("colour".to_owned(), Why::Unknown));
        assert_eq!(why(&with(r#","rotates":"yes""#))[0], ("rotates".to_owned(), Why::WrongType("boolean")));
        assert_eq!(why(&with(r#","revoke_url":"http://a.example/r""#))[0].0, "revoke_url");
        assert_eq!(why(&with(r#","revoke_url":"https://u:p@a.example/r""#))[0].0, "revoke_url");
        assert_eq!(why(&with(r#","revoke_url":"https://{who}.a.example/r""#))[0].0, "revoke_url");
        assert_eq!(why(&with(r#","hosts":["b.example"]"#))[0].0, "token_url");
        assert_eq!(why(&with(r#","userinfo":{"url":"ftp://a","id":"/id"}"#))[0].0, "userinfo.url");
        assert_eq!(why(r#"{"slug":"A b","name":"Acme","token_url":"https://a.example/t"}"#)[0].0, "slug");
        assert_eq!(why(r#"{"slug":"acme","name":"Acme"}"#)[0], ("token_url".to_owned(), Why::Missing));
        assert!(matches!(why("{\"slug\":\n,").as_slice(), [(_, Why::Syntax { line: 2, .. })]));
    }
}
