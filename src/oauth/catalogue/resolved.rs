//! An entry with every blank filled in: what requests are made from.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};
use url::Url;

use super::{
    AnswerField, Api, ClientAuth, Endpoint, Entry, Throttle, Variable,
    check::{API_BASE, KEPT, check_url, fill, fits_url},
};
use crate::domain::{Error, Faults, Result, Why, profile::Rotation};

/// A provider for one account: an [`Entry`] whose URLs, scopes and issuer have no `{variables}` any more, on the hosts
/// that it declares.
#[derive(Debug, Clone)]
pub struct Resolved {
    entry: Entry,
    token_url: String,
}

/// How often a refresh token may be sent where the answer to the first time was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// As often as we like: a refresh does not change it.
    Any,
    /// Again within this time of its first use.
    Grace(Duration),
    /// Once: a second time may end the whole grant.
    Once,
    /// Until the token that took its place was used.
    UntilUsed,
}

impl Entry {
    /// Fills in the blanks: `{variables}` from `variables`, endpoints that a profile gives from `parameters`. What
    /// neither needs is passed over.
    ///
    /// Faults name `variables.subdomain` or `parameters.TOKEN_URL`.
    pub fn resolve(
        &self,
        variables: &BTreeMap<String, String>,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Resolved> {
        let mut faults = Faults::default();
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for (name, variable) in &self.variables {
            let given = variables.get(name).map(String::as_str);
            if let Some(value) = faults.take(&format!("variables.{name}"), variable.value(given)) {
                values.insert(name, value);
            }
        }
        let mut entry = self.clone();
        for (endpoint, parameter) in &self.endpoint_parameters {
            let given = parameters.get(parameter).map(|text| text.trim()).filter(|text| !text.is_empty());
            let path = format!("parameters.{parameter}");
            match given {
                Some(text) => {
                    if let Some(url) = faults.take(&path, check_url(text)) {
                        if entry.on_hosts(&url) {
                            *entry.endpoint(*endpoint) = Some(text.to_owned());
                        } else {
                            faults.add(path, ELSEWHERE);
                        }
                    }
                }
                None if entry.endpoint(*endpoint).is_none() => faults.add(path, Why::Missing),
                None => {}
            }
        }
        // What is missing was said above; as faults of URLs it would only be said again.
        faults.or(())?;
        let mut faults = Faults::default();
        let value = |name: &str| values.get(name).cloned();
        for (field, template) in entry.templates() {
            // What a grant brings is put there when one is at hand.
            if field == API_BASE && template.contains(BROUGHT) {
                let later = |name: &str| name.starts_with(KEPT).then(|| format!("{{{name}}}"));
                if let Some(filled) = faults.take(field, fill(template, |name| value(name).or_else(|| later(name)))) {
                    *template = filled;
                }
                continue;
            }
            let own = |name: &str| (field == "revoke_url" && name == "client_id").then(|| "{client_id}".to_owned());
            match self.place(template, |name| value(name).or_else(|| own(name))) {
                Ok(filled) => *template = filled,
                Err(why) => faults.add(culprit(template).unwrap_or_else(|| field.to_owned()), why),
            }
        }
        for scope in &mut entry.default_scopes {
            if let Some(filled) = faults.take("default_scopes", fill(scope, value)) {
                *scope = filled;
            }
        }
        if let Some(issuer) = &mut entry.issuer
            && let Some(filled) = faults.take("issuer", fill(issuer, value))
        {
            *issuer = lower_host(&filled);
        }
        entry.variables.clear();
        entry.endpoint_parameters.clear();
        if entry.token_url.is_none() {
            faults.add("token_url", Why::Missing);
        }
        let token_url = entry.token_url.clone();
        faults.all(token_url.map(|token_url| Resolved { entry, token_url }))
    }

    /// A URL template, filled, on the entry's hosts.
    fn place(&self, template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, Why> {
        let filled = fill(template, &value)?;
        // A value must not end the host early, whatever its pattern takes.
        let host = fill(&template[..end_of_host(template)], &value)?;
        if end_of_host(&filled) != host.len() {
            return Err(ELSEWHERE);
        }
        // Hosts have no case; what they are compared with has.
        let filled = lower_host(&filled);
        let url = check_url(&filled.replace("{client_id}", "a"))?;
        if self.on_hosts(&url) { Ok(filled) } else { Err(ELSEWHERE) }
    }

    pub(super) fn endpoint(&mut self, endpoint: Endpoint) -> &mut Option<String> {
        match endpoint {
            Endpoint::AuthorizeUrl => &mut self.authorize_url,
            Endpoint::TokenUrl => &mut self.token_url,
            Endpoint::RefreshUrl => &mut self.refresh_url,
            Endpoint::RevokeUrl => &mut self.revoke_url,
            Endpoint::DeviceUrl => &mut self.device_url,
            Endpoint::IntrospectUrl => &mut self.introspect_url,
        }
    }

    /// [`Entry::urls`], to be written.
    fn templates(&mut self) -> impl Iterator<Item = (&'static str, &mut String)> {
        [
            ("authorize_url", &mut self.authorize_url),
            ("token_url", &mut self.token_url),
            ("refresh_url", &mut self.refresh_url),
            ("revoke_url", &mut self.revoke_url),
            ("device_url", &mut self.device_url),
            ("introspect_url", &mut self.introspect_url),
        ]
        .into_iter()
        .filter_map(|(field, url)| Some((field, url.as_mut()?)))
        .chain(self.userinfo.as_mut().and_then(|info| Some(("userinfo.url", info.url.as_mut()?))))
        .chain(self.api.as_mut().map(|api| ("api.base_url", &mut api.base_url)))
    }
}

/// How a value that a grant brings begins in a template.
const BROUGHT: &str = "{extra.";

const ELSEWHERE: Why = Why::Malformed("a value with which the address stays on the provider's hosts");

impl Variable {
    /// The value to fill in: what was given without what people paste around it, or the default.
    fn value(&self, given: Option<&str>) -> Result<String, Why> {
        let given = given.map(str::trim).filter(|text| !text.is_empty());
        let Some(given) = given else { return self.default.clone().ok_or(Why::Missing) };
        if given.len() > 512 {
            return Err(Why::TooLong(512));
        }
        let mut value = given;
        if let Some(prefix) = &self.prefix
            && value.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        {
            value = &value[prefix.len()..];
        }
        if let Some(suffix) = &self.suffix {
            // From an address bar, there is a slash behind it.
            let bare = value.trim_end_matches('/');
            let at = bare.len().saturating_sub(suffix.len());
            if bare.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix)) {
                value = &bare[..at];
            }
        }
        if self.regex()?.is_match(value) && fits_url(value) {
            Ok(value.to_owned())
        } else {
            Err(Why::Malformed("a value of the form that its help describes"))
        }
    }
}

/// Where scheme and host of a URL, or of a template of one, end.
pub(super) fn end_of_host(url: &str) -> usize {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at)
}

fn lower_host(url: &str) -> String {
    let (host, rest) = url.split_at(end_of_host(url));
    host.to_ascii_lowercase() + rest
}

/// The variable to blame for a URL that leads astray: the first, which is where hosts are.
fn culprit(template: &str) -> Option<String> {
    let (_, rest) = template.split_once('{')?;
    let (name, _) = rest.split_once('}')?;
    Some(format!("variables.{name}"))
}

impl Resolved {
    /// The definition with every blank filled in: it has no `variables` and no `endpoint_parameters` any more.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The token endpoint.
    pub fn token_url(&self) -> &str {
        &self.token_url
    }

    /// Where to refresh.
    pub fn refresh_url(&self) -> &str {
        self.entry.refresh_url.as_deref().unwrap_or(&self.token_url)
    }

    /// How the client authenticates.
    pub fn client_auth(&self) -> ClientAuth {
        self.entry.client_auth
    }

    /// The same provider with another way for the client to authenticate.
    pub fn with_client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.entry.client_auth = client_auth;
        self
    }

    /// How often the token endpoint may be asked.
    pub fn throttle(&self) -> Option<Throttle> {
        self.entry.throttle
    }

    /// How the provider's API takes the token; `None`: nobody said where it is.
    pub fn api(&self) -> Option<&Api> {
        self.entry.api.as_ref()
    }

    /// Whether a callback that names this issuer, or none, can be this provider's (RFC 9207 §2.4).
    pub fn takes_issuer(&self, said: Option<&str>) -> bool {
        match (&self.entry.issuer, said) {
            (Some(own), Some(said)) => own == said,
            (Some(_), None) => !self.entry.iss_in_callback,
            (None, _) => true,
        }
    }

    /// Where the provider's API is for one grant, whose kept fields are `extra`; `None`: nobody said where it is.
    ///
    /// The fault names the field that a grant would have to bring (`extra.instance_url`): it has none, or one that leads
    /// away from the provider's hosts.
    pub fn api_base(&self, extra: &Map<String, Value>) -> Option<Result<Url>> {
        let template = self.api()?.base_url.as_str();
        let value = |name: &str| match extra.get(name.strip_prefix(KEPT)?)? {
            Value::String(text) => Some(text.trim_end_matches('/').to_owned()).filter(|text| fits_url(text)),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let filled = self.entry.place(template, value).and_then(|filled| check_url(&filled));
        let field = template.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let field = field.map_or(API_BASE, |(name, _)| name);
        Some(filled.map_err(|why| Error::invalid(field, why)))
    }

    /// How often a refresh token may be sent, given what refreshes were seen to do (`observed`).
    pub fn replay(&self, observed: Option<Rotation>) -> Replay {
        if !Rotation::is_assumed(self.entry.rotates, observed) {
            Replay::Any
        } else if self.entry.retry_safe {
            Replay::UntilUsed
        } else {
            self.entry.replay_grace_s.map_or(Replay::Once, |seconds| Replay::Grace(Duration::from_secs(seconds)))
        }
    }

    /// The same provider with every field of a success where RFC 6749 has it; `None`: the access token is looked for there
    /// anyway. A code may be answered in another place than a refresh: never are two places mixed, as two accounts' tokens
    /// may stand in one answer.
    pub(in crate::oauth) fn with_usual_places(&self) -> Option<Self> {
        self.entry.answer.contains_key(&AnswerField::AccessToken).then(|| {
            let mut usual = self.clone();
            usual.entry.answer.retain(|field, _| matches!(field, AnswerField::Error | AnswerField::ErrorDescription));
            usual
        })
    }

    /// Where a field of an answer may stand, the first place that has one first.
    pub(in crate::oauth) fn pointers(&self, field: AnswerField) -> Vec<&str> {
        match self.entry.answer.get(&field) {
            Some(pointer) => vec![pointer],
            None => field.usual().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Error, oauth::catalogue::built_in};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn resolve(entry: &Entry, variables: &[(&str, &str)], parameters: &[(&str, &str)]) -> Result<Resolved> {
        entry.resolve(&map(variables), &map(parameters))
    }

    fn faults(result: Result<Resolved>) -> Vec<(String, Why)> {
        match result {
            Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| (fault.path, fault.why)).collect(),
            other => panic!("{other:?}"),
        }
    }

    const SHOP: &str = r#"{"slug":"shop","name":"Shop","hosts":["shop.example"],
        "variables":{"shop":{"title":"Shop","pattern":"^[A-Za-z0-9-]{1,20}$","prefix":"https://","suffix":".shop.example"},
            "version":{"title":"Version","pattern":"^v[0-9]$","default":"v1"}},
        "issuer":"https://{shop}.shop.example","default_scopes":["https://{shop}/read","plain"],
        "token_url":"https://{shop}.shop.example/{version}/token","api":{"base_url":"https://{shop}.shop.example/api"}}"#;

    #[test]
    fn what_people_paste_is_taken_for_what_they_mean() {
        let shop = Entry::parse(SHOP).expect("a definition");
        for given in ["acme", " acme ", "https://acme.shop.example/", "HTTPS://acme.Shop.Example", "acme.shop.example"]
        {
            let resolved = resolve(&shop, &[("shop", given)], &[]).expect("fits");
            assert_eq!(resolved.token_url(), "https://acme.shop.example/v1/token", "{given}");
            assert_eq!(resolved.refresh_url(), resolved.token_url());
        }
        let resolved =
            resolve(&shop, &[("shop", "ACME"), ("version", "v2"), ("else", "passed over")], &[]).expect("fits");
        assert_eq!(resolved.token_url(), "https://acme.shop.example/v2/token");
        assert_eq!(resolved.entry().issuer.as_deref(), Some("https://acme.shop.example"));
        assert_eq!(resolved.entry().default_scopes, ["https://ACME/read", "plain"]);
        assert_eq!(resolved.api().map(|api| api.base_url.as_str()), Some("https://acme.shop.example/api"));
    }

    #[test]
    fn a_value_that_is_missing_or_does_not_fit_is_named() {
        let shop = Entry::parse(SHOP).expect("a definition");
        assert_eq!(faults(resolve(&shop, &[], &[])), [("variables.shop".to_owned(), Why::Missing)]);
        assert_eq!(faults(resolve(&shop, &[("shop", " ")], &[])), [("variables.shop".to_owned(), Why::Missing)]);
        for bad in ["a/b", "a.b", "ä", "a\nb", &"a".repeat(600)] {
            assert_eq!(faults(resolve(&shop, &[("shop", bad)], &[]))[0].0, "variables.shop", "{bad}");
        }
    }

    #[test]
    fn no_value_leads_to_another_host_whatever_its_pattern_takes() {
        let loose = r#"{"slug":"l","name":"L","variables":{"x":{"title":"X","pattern":"^[^ ]*$"}},
            "token_url":"https://{x}.acme.example/token","revoke_url":"https://acme.example/{x}/revoke"}"#;
        let loose = Entry::parse(loose).expect("a definition");
        for bad in [
            "evil.example/",
            "evil.example?",
            "evil.example#",
            "evil.example\\",
            "u@evil.example",
            "u:p@evil.example",
            "evil.example:443/",
            "evil.example%2f",
            "..",
            "../..",
            "{x}",
            "evil.example:443",
            "\u{1}",
            "\u{a0}",
            "a\tb",
        ] {
            assert_eq!(faults(resolve(&loose, &[("x", bad)], &[]))[0].0, "variables.x", "{bad}");
        }
        let fine = resolve(&loose, &[("x", "a.b")], &[]).expect("fits");
        assert_eq!(fine.token_url(), "https://a.b.acme.example/token");
    }

    #[test]
    fn endpoints_come_from_a_profile_where_the_provider_has_none() {
        let http = &built_in()["http"];
        let missing = faults(resolve(http, &[], &[]));
        assert_eq!(
            missing,
            [
                ("parameters.AUTHORIZATION_URL".to_owned(), Why::Missing),
                ("parameters.TOKEN_URL".to_owned(), Why::Missing),
            ]
        );
        let urls = |token| [("AUTHORIZATION_URL", "https://a.example/auth"), ("TOKEN_URL", token)];
        let resolved = resolve(http, &[], &urls(" https://a.example/token ")).expect("fits");
        assert_eq!(resolved.token_url(), "https://a.example/token");
        for bad in ["http://a.example/token", "a.example", "https://u:p@a.example/", "javascript:alert(1)"] {
            assert_eq!(faults(resolve(http, &[], &urls(bad)))[0].0, "parameters.TOKEN_URL", "{bad}");
        }
    }

    #[test]
    fn how_often_a_refresh_token_may_be_sent_follows_from_the_entry() {
        use Rotation::{Rotates, Stays};
        let grace = Replay::Grace(Duration::from_secs(30));
        for (more, unknown, rotates, stays) in [
            ("", Replay::Once, Replay::Once, Replay::Any),
            (r#","rotates":false"#, Replay::Any, Replay::Once, Replay::Any),
            (r#","rotates":true"#, Replay::Once, Replay::Once, Replay::Once),
            (r#","replay_grace_s":30"#, grace, grace, Replay::Any),
            (r#","rotates":true,"replay_grace_s":30"#, grace, grace, grace),
            (r#","rotates":true,"retry_safe":true"#, Replay::UntilUsed, Replay::UntilUsed, Replay::UntilUsed),
        ] {
            let json = format!(r#"{{"slug":"a","name":"A","token_url":"https://a.example/t"{more}}}"#);
            let provider = resolve(&Entry::parse(&json).expect("a definition"), &[], &[]).expect("fits");
            let replays = [None, Some(Rotates), Some(Stays)].map(|observed| provider.replay(observed));
            assert_eq!(replays, [unknown, rotates, stays], "{more}");
        }
    }

    #[test]
    fn a_callback_of_another_issuer_is_not_the_providers() {
        let provider = |more: &str| {
            let json = format!(r#"{{"slug":"a","name":"A","token_url":"https://a.example/t"{more}}}"#);
            resolve(&Entry::parse(&json).expect("a definition"), &[], &[]).expect("fits")
        };
        let (own, other) = (Some("https://a.example"), Some("https://b.example"));
        let silent = provider("");
        assert!(silent.takes_issuer(None) && silent.takes_issuer(other));
        let known = provider(r#","issuer":"https://a.example""#);
        assert!(known.takes_issuer(None) && known.takes_issuer(own) && !known.takes_issuer(other));
        assert!(!known.takes_issuer(Some("https://a.example/")) && !known.takes_issuer(Some("")));
        let strict = provider(r#","issuer":"https://a.example","iss_in_callback":true"#);
        assert!(!strict.takes_issuer(None) && strict.takes_issuer(own));
    }

    /// Values that fit each built-in variable, for those without a default.
    fn sample(name: &str) -> &'static str {
        match name {
            "dc" => "us19",
            _ => "acme",
        }
    }

    #[test]
    fn every_built_in_entry_is_resolved_and_stays_on_its_hosts() {
        let hostile = [
            "evil.example/",
            "evil.example#",
            "evil.example?",
            "a@evil.example",
            "a:b@evil.example",
            "evil.example\\",
            "..",
            "../../x",
            "%2e%2e",
            "a b",
            "a\r\nHost: b",
            "",
            "\0",
            "evil.example",
            "-",
            "a..b",
            "[::1]",
            "127.0.0.1",
            "evil.example:443",
        ];
        for entry in built_in().values() {
            let urls = [("AUTHORIZATION_URL", "https://a.example/auth"), ("TOKEN_URL", "https://a.example/token")];
            let samples: Vec<(&str, &str)> = entry
                .variables
                .keys()
                .map(|name| (name.as_str(), sample(name)))
                .filter(|(name, value)| entry.variables[*name].regex().expect("checked").is_match(value))
                .collect();
            let resolved = resolve(entry, &samples, &urls).unwrap_or_else(|error| panic!("{}: {error}", entry.slug));
            // What a grant brings fills the address of the API only once there is a grant.
            let later = |field: &str, url: &str| field == API_BASE && url.contains(BROUGHT);
            for (field, url) in resolved.entry().urls().filter(|(field, url)| !later(field, url)) {
                assert!(!url.replace("{client_id}", "").contains(['{', '}']), "{} {field}: {url}", entry.slug);
            }
            for name in entry.variables.keys() {
                for bad in hostile {
                    let mut values = map(&samples);
                    values.insert(name.clone(), bad.to_owned());
                    let Ok(resolved) = entry.resolve(&values, &map(&urls)) else { continue };
                    for (field, url) in resolved.entry().urls().filter(|(field, url)| !later(field, url)) {
                        let parsed = url::Url::parse(url).unwrap_or_else(|error| panic!("{field} {url}: {error}"));
                        assert!(entry.on_hosts(&parsed), "{}: {name}={bad:?} gives {url}", entry.slug);
                        assert!(parsed.username().is_empty() && parsed.port().is_none(), "{name}={bad:?} gives {url}");
                        assert!(!url.contains(['\r', '\n', ' ']), "{name}={bad:?} gives {url}");
                    }
                }
            }
        }
    }
}
