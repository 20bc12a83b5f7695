//! An entry with every blank filled in: what requests are made from.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};
use url::Url;

use super::{
    AnswerField, Api, ClientAuth, Endpoint, Entry, Throttle, Variable,
    check::{API_BASE, KEPT, check_url, fill, fits_url},
};
use crate::domain::{Error, Faults, Result, Why};

/// A provider for one account: an [`Entry`] whose URLs, scopes and issuer have no `{variables}` any more, on the hosts that
/// it declares.
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
    /// Fills in the blanks: `{variables}` from `variables`, endpoints that a profile gives from `parameters`. What neither
    /// needs is passed over.
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

    fn endpoint(&mut self, endpoint: Endpoint) -> &mut Option<String> {
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
fn end_of_host(url: &str) -> usize {
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

    /// How often a refresh token may be sent.
    pub fn replay(&self) -> Replay {
        if !self.entry.rotates {
            Replay::Any
        } else if self.entry.retry_safe {
            Replay::UntilUsed
        } else {
            self.entry.replay_grace_s.map_or(Replay::Once, |seconds| Replay::Grace(Duration::from_secs(seconds)))
        }
    }

    /// Where a field of an answer may stand, the first place that has one first.
    pub(in crate::oauth) fn pointers(&self, field: AnswerField) -> Vec<&str> {
        match self.entry.answer.get(&field) {
            Some(pointer) => vec![pointer],
            None => field.usual().to_vec(),
        }
    }
}
