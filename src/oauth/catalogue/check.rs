//! What a definition must be to be kept: every URL https or on loopback, every name and value fit for the place where
//! it will stand, every number in range.

use regex_lite::{Regex, RegexBuilder};

use super::{Endpoint, Entry, Variable};
use crate::domain::{Faults, Result, Why, provider::check_slug, value::check_text};

/// More variables than these no URL needs.
const MOST_VARIABLES: usize = 16;
/// How long a pattern may be, in bytes, …
const MOST_PATTERN: usize = 1024;
/// … and how much it may take once it is compiled.
const MOST_COMPILED: usize = 64 * 1024;
/// How many parameters one request may have beside its own.
const MOST_PARAMETERS: usize = 64;
/// How many scopes, hosts, error codes or fields to keep there may be.
const MOST_ITEMS: usize = 256;
/// Ten years in seconds: what lives longer lives for ever.
pub const MOST_SECONDS: u64 = 10 * 365 * 86400;

/// What a variable may be called, and never is, as it is filled in by the engine.
const OWN_VARIABLE: &str = "client_id";
/// The one URL that may take values from a grant.
pub(super) const API_BASE: &str = "api.base_url";
/// What such a value's name begins with: `{extra.instance_url}`.
pub(super) const KEPT: &str = "extra.";
/// Parameters of the authorization request that are the engine's own (RFC 6749 §4.1.1, RFC 7636 §4.3).
const OF_AUTHORIZATION: &[&str] =
    &["response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"];
/// Parameters of token requests that are the engine's own (RFC 6749 §4.1.3, §6, §2.3.1; RFC 7636 §4.5; RFC 8628 §3.4).
const OF_TOKEN: &[&str] = &[
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "refresh_token",
    "device_code",
    "client_id",
    "client_secret",
];
/// Headers that belong to the connection and not to the API.
const NOT_FOR_TOKENS: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

const A_POINTER: Why = Why::Malformed("a JSON pointer (RFC 6901), beginning with /");
const SECONDS: Why = Why::Malformed("a number of seconds from 1 to 315360000");

impl Entry {
    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.take("slug", check_slug(&self.slug));
        faults.take("name", check_text(&self.name, 255));
        if let Some(docs) = &self.docs {
            faults.take("docs", check_url(docs).map(drop));
        }
        many(&mut faults, "categories", self.categories.len(), 16);
        for category in self.categories.iter().take(16) {
            faults.take("categories", check_text(category, 64));
        }
        many(&mut faults, "hosts", self.hosts.len(), MOST_ITEMS);
        for host in self.hosts.iter().take(MOST_ITEMS) {
            let same = url::Host::parse(host).is_ok_and(|parsed| parsed.to_string() == *host);
            if !same || host.starts_with('.') || host.ends_with('.') {
                faults.add("hosts", Why::Malformed("names of hosts in lower case, without port"));
            }
        }
        self.check_variables(&mut faults);
        self.check_urls(&mut faults);
        self.check_requests(&mut faults);
        self.check_answers(&mut faults);
        self.check_numbers(&mut faults);
        faults.or(())
    }

    fn check_variables(&self, faults: &mut Faults) {
        many(faults, "variables", self.variables.len(), MOST_VARIABLES);
        for (name, variable) in self.variables.iter().take(MOST_VARIABLES) {
            let path = format!("variables.{name}");
            let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(fine) || name == OWN_VARIABLE {
                faults.add(&path, Why::Malformed("named by lower-case letters, digits and _, and not client_id"));
            }
            faults.take(&format!("{path}.title"), check_text(&variable.title, 255));
            if !variable.help.is_empty() {
                faults.take(&format!("{path}.help"), check_text(&variable.help, 2000));
            }
            for (field, affix) in [("prefix", &variable.prefix), ("suffix", &variable.suffix)] {
                if let Some(affix) = affix {
                    faults.take(&format!("{path}.{field}"), check_text(affix, 255));
                }
            }
            if let Some(pattern) = faults.take(&format!("{path}.pattern"), variable.regex())
                && let Some(default) = &variable.default
                && (!pattern.is_match(default) || !fits_url(default))
            {
                faults.add(format!("{path}.default"), Why::Malformed("a value that its pattern takes"));
            }
            let braced = format!("{{{name}}}");
            let texts = self.urls().map(|(_, url)| url).chain(self.issuer.as_deref());
            if !texts.chain(self.default_scopes.iter().map(String::as_str)).any(|text| text.contains(&braced)) {
                faults.add(path, Why::NoneFits);
            }
        }
    }

    fn check_urls(&self, faults: &mut Faults) {
        for (field, template) in self.urls() {
            let filled = if field == API_BASE {
                self.check_kept(template).and_then(|()| self.sample_base(template))
            } else {
                self.sample(template, field == "revoke_url")
            };
            if let Some(url) = faults.take(field, filled.and_then(|text| check_url(&text)))
                && !self.on_hosts(&url)
            {
                faults.add(field, Why::Malformed("an address on one of its hosts"));
            }
        }
        if self.api.as_ref().is_some_and(|api| api.base_url.contains(['?', '#'])) {
            faults.add(API_BASE, Why::Malformed("a URL without query"));
        }
        if let Some(issuer) = &self.issuer {
            let filled = self.sample(issuer, false);
            faults.take("issuer", filled.and_then(|text| check_issuer(&text)));
        }
        if self.token_url.is_none() && !self.endpoint_parameters.contains_key(&Endpoint::TokenUrl) {
            faults.add("token_url", Why::Missing);
        }
        for (endpoint, parameter) in &self.endpoint_parameters {
            faults.take(&format!("endpoint_parameters.{}", endpoint.as_str()), check_text(parameter, 255));
        }
    }

    fn check_requests(&self, faults: &mut Faults) {
        many(faults, "default_scopes", self.default_scopes.len(), MOST_ITEMS);
        for scope in self.default_scopes.iter().take(MOST_ITEMS) {
            faults.take("default_scopes", check_text(scope, 1024));
            faults.take("default_scopes", self.sample(scope, false).map(drop));
        }
        many(faults, "unechoed_scopes", self.unechoed_scopes.len(), MOST_ITEMS);
        for scope in self.unechoed_scopes.iter().take(MOST_ITEMS) {
            faults.take("unechoed_scopes", check_text(scope, 1024));
        }
        // A separator may be a space, which is no text.
        if self.scope_separator.is_empty() || self.scope_separator.chars().count() > 4 {
            faults.add("scope_separator", Why::Malformed("1 to 4 characters"));
        } else if self.scope_separator.chars().any(char::is_control) {
            faults.add("scope_separator", Why::ControlCharacter);
        }
        for (field, parameters, own) in [
            ("authorize_params", &self.authorize_params, OF_AUTHORIZATION),
            ("token_params", &self.token_params, OF_TOKEN),
            ("refresh_params", &self.refresh_params, OF_TOKEN),
        ] {
            many(faults, field, parameters.len(), MOST_PARAMETERS);
            for (name, value) in parameters.iter().take(MOST_PARAMETERS) {
                let path = format!("{field}.{name}");
                faults.take(&path, check_parameter(name));
                if own.contains(&name.as_str()) {
                    faults.add(&path, Why::Fixed);
                }
                if value.chars().any(char::is_control) {
                    faults.add(&path, Why::ControlCharacter);
                } else if value.len() > 4096 {
                    faults.add(&path, Why::TooLong(4096));
                }
            }
        }
        if let Some(code) = &self.code_param {
            faults.take("code_param", check_parameter(code));
        }
        many(faults, "callback_params", self.callback_params.len(), MOST_PARAMETERS);
        for name in self.callback_params.iter().take(MOST_PARAMETERS) {
            faults.take("callback_params", check_parameter(name));
        }
        if let Some(revoke) = &self.revoke {
            faults.take("revoke.token_param", check_parameter(&revoke.token_param));
            if revoke.tokens.is_empty() || revoke.tokens.len() > 2 {
                faults.add("revoke.tokens", Why::Malformed("one or two of refresh, access"));
            }
        }
        if let Some(api) = &self.api {
            let header = api.header.to_ascii_lowercase();
            if !is_token(&api.header) || api.header.len() > 64 || NOT_FOR_TOKENS.contains(&header.as_str()) {
                faults.add("api.header", Why::Malformed("the name of a header that may carry a token"));
            }
            faults.take("api.scheme", check_scheme(&api.scheme));
        }
        if let Some(scheme) = self.userinfo.as_ref().and_then(|info| info.scheme.as_ref()) {
            faults.take("userinfo.scheme", check_scheme(scheme));
        }
    }

    fn check_answers(&self, faults: &mut Faults) {
        for (field, pointer) in &self.answer {
            faults.take(&format!("answer.{}", field.as_str()), check_pointer(pointer));
        }
        many(faults, "keep", self.keep.len(), MOST_PARAMETERS);
        for (name, pointer) in self.keep.iter().take(MOST_PARAMETERS) {
            let path = format!("keep.{name}");
            faults.take(&path, check_text(name, 64));
            faults.take(&path, check_pointer(pointer));
        }
        if let Some(info) = &self.userinfo {
            faults.take("userinfo.id", check_pointer(&info.id));
            if let Some(label) = &info.label {
                faults.take("userinfo.label", check_pointer(label));
            }
        }
        if let Some(success) = &self.success {
            faults.take("success.pointer", check_pointer(&success.pointer));
            if success.equals.is_array() || success.equals.is_object() {
                faults.add("success.equals", Why::Malformed("a string, a number, true, false or null"));
            }
        }
        many(faults, "errors", self.errors.len(), MOST_ITEMS);
        for code in self.errors.keys().take(MOST_ITEMS) {
            faults.take("errors", check_text(code, 128));
        }
    }

    fn check_numbers(&self, faults: &mut Faults) {
        for (field, seconds) in [
            ("default_lifetime_s", self.default_lifetime_s),
            ("replay_grace_s", self.replay_grace_s),
            ("refresh_token_idle_s", self.refresh_token_idle_s),
            ("refresh_token_max_s", self.refresh_token_max_s),
        ] {
            if seconds.is_some_and(|seconds| seconds == 0 || seconds > MOST_SECONDS) {
                faults.add(field, SECONDS);
            }
        }
        if self.retry_safe && self.rotates != Some(true) {
            faults.add("retry_safe", Why::Malformed("false where rotates is false"));
        }
        if self.grant_cap == Some(0) {
            faults.add("grant_cap", Why::Malformed("a number from 1"));
        }
        if let Some(throttle) = &self.throttle {
            if throttle.requests == 0 {
                faults.add("throttle.requests", Why::Malformed("a number from 1"));
            }
            if throttle.per_s == 0 || throttle.per_s > 86400 {
                faults.add("throttle.per_s", Why::Malformed("a number of seconds from 1 to 86400"));
            }
        }
    }

    /// What the API's address takes from a grant must be kept with it, and only the hosts tell where that may lead: the
    /// provider's answer must not send tokens anywhere else.
    fn check_kept(&self, template: &str) -> Result<(), Why> {
        for name in template.split('{').skip(1).filter_map(|rest| rest.split_once('}')?.0.strip_prefix(KEPT)) {
            if self.hosts.is_empty() {
                return Err(Why::Malformed("a URL without {extra.…} where no hosts are declared"));
            }
            if !self.keep.contains_key(name) && !self.callback_params.iter().any(|kept| kept == name) {
                return Err(Why::Malformed("a URL whose {extra.…} are in keep or callback_params"));
            }
        }
        Ok(())
    }

    /// The API's address, with the first host in the place of what a grant will bring.
    fn sample_base(&self, template: &str) -> Result<String, Why> {
        let host = self.hosts.first().map(String::as_str).unwrap_or_default();
        let brought = if template.starts_with('{') { format!("https://{host}") } else { host.to_owned() };
        let sampled = fill(template, |name| match name.strip_prefix(KEPT) {
            Some(_) => Some(brought.clone()),
            None => Some(format!("{{{name}}}")),
        })?;
        self.sample(&sampled, false)
    }

    /// The template with each variable's default, or a letter, in its place.
    fn sample(&self, template: &str, with_own: bool) -> Result<String, Why> {
        fill(template, |name| match self.variables.get(name) {
            Some(variable) => Some(variable.default.clone().unwrap_or_else(|| "a".to_owned())),
            None if with_own && name == OWN_VARIABLE => Some("a".to_owned()),
            None => None,
        })
    }

    /// Whether a URL lies on the entry's hosts. Entries of the operator may leave the hosts out: then each URL speaks
    /// for itself.
    pub(super) fn on_hosts(&self, url: &url::Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        self.hosts.is_empty()
            || self.hosts.iter().any(|suffix| {
                host == suffix || host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('.'))
            })
    }
}

impl Variable {
    /// The pattern, compiled.
    pub(super) fn regex(&self) -> Result<Regex, Why> {
        if !self.pattern.starts_with('^') || !self.pattern.ends_with('$') {
            return Err(Why::Malformed("a regular expression from ^ to $"));
        }
        if self.pattern.len() > MOST_PATTERN {
            return Err(Why::TooLong(MOST_PATTERN));
        }
        // Grouped, so that `^a$|^b$` cannot match in the middle of something.
        let whole = format!("^(?:{})$", self.pattern);
        RegexBuilder::new(&whole).size_limit(MOST_COMPILED).build().map_err(|_| Why::Malformed("a regular expression"))
    }
}

/// A template with its variables filled in by `value`; one that `value` does not know is a fault.
pub(super) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, Why> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(Why::Malformed("a text with {variables}"))?;
        out.push_str(before);
        out.push_str(&value(name).ok_or(Why::Malformed("a text whose {variables} are declared"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether a value can stand in a URL without changing what is around it, whatever its pattern takes: it begins no
/// query, no fragment and no escape, and climbs out of no path. That it begins no path where the host is written, the
/// caller sees from the filled URL's host.
pub(super) fn fits_url(value: &str) -> bool {
    !value.contains(['?', '#', '\\', '%', '@', '{', '}'])
        && !value.chars().any(|c| c.is_control() || c.is_whitespace())
        && !value.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// https, or http on this machine.
pub(in crate::oauth) fn check_url(text: &str) -> Result<url::Url, Why> {
    const HTTPS: Why = Why::Malformed("an https URL (http only for loopback)");
    if text.len() > 2048 {
        return Err(Why::TooLong(2048));
    }
    // The parser would take them out in silence.
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return Err(HTTPS);
    }
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

/// An issuer identifier is such a URL without a query (RFC 8414 §2).
pub(in crate::oauth) fn check_issuer(text: &str) -> Result<url::Url, Why> {
    let url = check_url(text)?;
    if url.query().is_some() { Err(Why::Malformed("an issuer: an https URL without query")) } else { Ok(url) }
}

fn check_pointer(pointer: &str) -> Result<(), Why> {
    if pointer.len() > 512 {
        return Err(Why::TooLong(512));
    }
    let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if pointer.starts_with('/') && escapes && !pointer.chars().any(char::is_control) { Ok(()) } else { Err(A_POINTER) }
}

/// The name of a parameter: visible ASCII characters.
fn check_parameter(name: &str) -> Result<(), Why> {
    if name.is_empty() || name.len() > 128 || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Why::Malformed("1 to 128 visible ASCII characters"));
    }
    Ok(())
}

/// What stands before a token in a header: nothing, or one word (RFC 9110 §11.1).
fn check_scheme(scheme: &str) -> Result<(), Why> {
    if scheme.len() > 64 || !(scheme.is_empty() || is_token(scheme)) {
        return Err(Why::Malformed("an authentication scheme, or empty"));
    }
    Ok(())
}

/// A token of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn many(faults: &mut Faults, field: &str, count: usize, most: usize) {
    if count > most {
        faults.add(field, Why::TooMany(most));
    }
}
