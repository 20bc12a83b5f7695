//! What an answer to a token request means: tokens (RFC 6749 §5.1), or why there are none and who is to blame (§5.2).
//!
//! It reads what comes, not what should have come: JSON whatever its media type, forms, errors with status 200,
//! numbers as text. A provider that does one thing otherwise says so in its entry.

use serde_json::{Map, Value};

use super::{
    catalogue::{AnswerField, Meaning, Resolved, TimeUnit},
    fields::{MOST_LIFE, instant, is_empty, number, parse, scope, token, token_type, whole, word},
    transport,
    wire::{Answer, EndpointHealth, RawAnswer, Reason, Refusal, Sent, StatedLifetime, TokenSet},
};
use crate::domain::{Timestamp, grant::Blame};

/// The longest description, in characters.
const MOST_DESCRIPTION: usize = 300;
/// The longest excerpt of a body that cannot be read, in characters.
const MAX_EXCERPT: usize = 200;
/// The longest sample of a number that makes no sense, in characters.
const MAX_SAMPLE: usize = 64;
/// A run of token characters with a digit in it, from this length on, may be a token; one without, from [`MAX_WORD`] on.
const MIN_OPAQUE: usize = 12;
const MAX_WORD: usize = 24;
/// What stands in the place of something that may be a token.
const REDACTED: &str = "[redacted]";
/// Schemes of tokens that a client can send as they are named (RFC 6750 §2.1, RFC 9449 §7.1).
const SCHEMES: &[&str] = &["bearer", "dpop", "mac", "pop", "token"];
/// The most bytes of one kept field, written as JSON, …
const MOST_KEPT: usize = 4 * 1024;
/// … and of all of them.
const MOST_KEPT_TOGETHER: usize = 32 * 1024;

impl Resolved {
    /// What an answer means. It never fails: what makes no sense is a [`Refusal`].
    pub fn read(&self, raw: &RawAnswer) -> Answer {
        let body = parse(raw.body.expose());
        let status = raw.status;
        let granted = (200..300).contains(&status) && body.as_ref().is_some_and(|body| self.succeeded(body));
        if granted && let Some(body) = &body {
            let has_token = |at: &Self| at.find(body, AnswerField::AccessToken).is_some_and(|token| !is_empty(token));
            let tokens = if has_token(self) {
                Some(self.tokens(body, raw))
            } else {
                self.with_usual_places().filter(has_token).map(|usual| usual.tokens(body, raw))
            };
            match tokens {
                Some(Some(tokens)) => return Answer::Tokens(tokens),
                Some(None) => {
                    let refusal = Refusal::new(Blame::Provider, Reason::MalformedToken);
                    return Answer::Refused(Refusal { unclear: true, ..refusal }.of(raw));
                }
                None => {}
            }
        }
        let code = body.as_ref().and_then(|body| self.code(body, status));
        let said = body.as_ref().and_then(|body| self.description(body));
        // A description says more than a code that stands for many things.
        let errors = &self.entry().errors;
        let own = said.and_then(|said| errors.get(said.trim())).or_else(|| errors.get(code.as_ref()?)).copied();
        let refusal = refusal(status, code, own, body.is_some());
        // What comes with a success and is no page may be nothing but a token.
        let is_page = raw.body.expose().trim_start_matches('\u{feff}').trim_start().starts_with('<');
        let shows = body.is_none() && (is_page || !(200..300).contains(&status));
        let excerpt = shows.then(|| excerpt(raw.body.expose())).flatten();
        Answer::Refused(Refusal { description: said.and_then(line), excerpt, ..refusal }.of(raw))
    }

    /// Whether the answer has what the entry wants of a success.
    pub(super) fn succeeded(&self, body: &Value) -> bool {
        self.entry().success.as_ref().is_none_or(|success| body.pointer(&success.pointer) == Some(&success.equals))
    }

    /// The first of a field's places that has something.
    fn find<'a>(&self, body: &'a Value, field: AnswerField) -> Option<&'a Value> {
        self.pointers(field).into_iter().find_map(|pointer| body.pointer(pointer)).filter(|value| !value.is_null())
    }

    /// Where the entry says that a field stands, or the other of a pair does not already say it.
    fn find_unless<'a>(&self, body: &'a Value, field: AnswerField, said: AnswerField) -> Option<&'a Value> {
        let answer = &self.entry().answer;
        if answer.contains_key(&said) && !answer.contains_key(&field) { None } else { self.find(body, field) }
    }

    fn tokens(&self, body: &Value, raw: &RawAnswer) -> Option<TokenSet> {
        let access = token(self.find(body, AnswerField::AccessToken)?)?;
        let refresh = match self.find(body, AnswerField::RefreshToken) {
            Some(value) if !is_empty(value) => Some(token(value)?),
            _ => None,
        };
        let mut extra = self.kept(body);
        let (token_type, as_sent) = self.token_type(self.find(body, AnswerField::TokenType));
        if let Some(word) = as_sent {
            extra.entry("token_type").or_insert_with(|| word.into());
        }
        Some(TokenSet {
            access,
            refresh,
            token_type,
            lifetime: self.lifetime(body, raw),
            refresh_expires_at: self.refresh_expires_at(body, raw),
            scope: self.find(body, AnswerField::Scope).and_then(scope),
            extra,
        })
    }

    /// What the answer says about the lifetime of its access token. A number of zero or less, one that is not finite, and
    /// an instant that is over are not what the provider means: some send 0 for "never", some write local time as UTC.
    fn lifetime(&self, body: &Value, raw: &RawAnswer) -> StatedLifetime {
        let (within, at) = (AnswerField::ExpiresIn, AnswerField::ExpiresAt);
        let relative = || self.find_unless(body, within, at).map(|value| (value, self.after(value, raw)));
        let absolute = || self.find_unless(body, at, within).map(|value| (value, instant(value, raw)));
        // An entry that names one place wants that one first.
        let places =
            if self.entry().answer.contains_key(&at) { [absolute(), relative()] } else { [relative(), absolute()] };
        let stated: Vec<(&Value, Option<Timestamp>)> = places.into_iter().flatten().collect();
        let valid = |(_, at): &(&Value, Option<Timestamp>)| at.filter(|at| *at > raw.received_at);
        match stated.iter().find_map(valid) {
            Some(at) => StatedLifetime::Until(at),
            None => stated.first().map_or(StatedLifetime::Absent, |(value, _)| StatedLifetime::Invalid(sample(value))),
        }
    }

    /// The lifetime of access tokens in milliseconds where nothing states one.
    pub fn default_lifetime_ms(&self) -> Option<i64> {
        let seconds = i64::try_from(self.entry().default_lifetime_s?).ok()?;
        Some(seconds.saturating_mul(1000).min(MOST_LIFE))
    }

    /// When the refresh token ends; zero is how some say "never".
    fn refresh_expires_at(&self, body: &Value, raw: &RawAnswer) -> Option<Timestamp> {
        let relative = self.find(body, AnswerField::RefreshExpiresIn).and_then(|value| self.after(value, raw));
        relative
            .or_else(|| self.find(body, AnswerField::RefreshExpiresAt).and_then(|value| instant(value, raw)))
            .filter(|end| *end > raw.received_at)
    }

    /// The instant so long after the answer came.
    fn after(&self, value: &Value, raw: &RawAnswer) -> Option<Timestamp> {
        let unit = match self.entry().expires_in_unit {
            TimeUnit::Seconds => 1000.0,
            TimeUnit::Milliseconds => 1.0,
        };
        let ms = number(value)? * unit;
        (ms >= 0.0).then(|| raw.received_at.plus_ms(whole(ms).min(MOST_LIFE)))
    }

    /// The scheme with which a client sends the token, and the provider's own word where that is another one. Where the
    /// definition has a scheme for the API, that is it; a word that is no scheme of a token (RFC 6750, RFC 9449) would make
    /// a header field that no API accepts.
    fn token_type(&self, value: Option<&Value>) -> (String, Option<String>) {
        let sent = value.and_then(token_type);
        let known = sent.as_ref().filter(|word| SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)));
        let api = self.api().filter(|api| api.header.eq_ignore_ascii_case("authorization") && !api.scheme.is_empty());
        // A proof of possession is asked of the client whatever the definition says.
        let bound = known.filter(|word| !word.eq_ignore_ascii_case("bearer"));
        let scheme = bound
            .cloned()
            .or_else(|| api.map(|api| api.scheme.clone()))
            .or_else(|| known.cloned())
            .unwrap_or_else(|| "Bearer".to_owned());
        let as_sent = sent.filter(|word| !word.eq_ignore_ascii_case(&scheme));
        (scheme, as_sent)
    }

    /// Scopes as single words, from a text of the provider: most separate them by spaces (RFC 6749 §3.3), some by commas
    /// however they are asked.
    pub fn scopes_of(&self, text: &str) -> Vec<String> {
        let own = self.entry().scope_separator.as_str();
        let parts = text.split(own).flat_map(|part| part.split(|c: char| c == ',' || c.is_ascii_whitespace()));
        parts.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// The requested scopes that were not granted, compared as sets. `openid`, `offline_access` and what the definition
    /// lists are not echoed by all providers, so that they may be absent.
    pub fn missing_scopes(&self, requested: &[String], granted: &str) -> Vec<String> {
        let granted = self.scopes_of(granted);
        let unechoed = |scope: &String| {
            ["openid", "offline_access"].contains(&scope.as_str()) || self.entry().unechoed_scopes.contains(scope)
        };
        let missing = requested.iter().filter(|scope| !granted.contains(scope) && !unechoed(scope));
        let mut missing: Vec<String> = missing.cloned().collect();
        missing.dedup();
        missing
    }

    fn kept(&self, body: &Value) -> Map<String, Value> {
        let mut room = MOST_KEPT_TOGETHER;
        let mut kept = Map::new();
        for (name, pointer) in &self.entry().keep {
            let Some(value) = body.pointer(pointer).filter(|value| !value.is_null()) else { continue };
            let size = value.to_string().len();
            if size <= MOST_KEPT && size <= room {
                room -= size;
                kept.insert(name.clone(), value.clone());
            }
        }
        kept
    }

    /// The provider's error code as it wrote it.
    fn code(&self, body: &Value, status: u16) -> Option<String> {
        // Not RFC 6749's, but often seen. A success may have such fields too, meaning something else.
        const ELSEWHERE: &[&str] = &[
            "/error/code",
            "/error/type",
            "/error/status",
            "/error_code",
            "/errorCode",
            "/code",
            "/errors/0/code",
            "/errors/0/type",
            "/errors/0/errorType",
            "/0/errorCode",
            "/status",
        ];
        let mut pointers = self.pointers(AnswerField::Error);
        let own = pointers.len();
        if !(200..300).contains(&status) {
            pointers.extend(ELSEWHERE);
        } else if !self.entry().answer.contains_key(&AnswerField::Error) {
            pointers.extend(&ELSEWHERE[..3]);
        }
        pointers.iter().enumerate().find_map(|(place, pointer)| match body.pointer(pointer)? {
            Value::String(code) if !code.trim().is_empty() => Some(code.trim().to_owned()),
            Value::Number(code) if place < own => Some(code.to_string()),
            _ => None,
        })
    }

    /// The provider's own words, as they are.
    fn description<'a>(&self, body: &'a Value) -> Option<&'a str> {
        const ELSEWHERE: &[&str] = &[
            "/error/message",
            "/message",
            "/error_message",
            "/errors/0/message",
            "/0/message",
            "/errorSummary",
            "/detail",
        ];
        let mut pointers = self.pointers(AnswerField::ErrorDescription);
        pointers.extend(ELSEWHERE);
        pointers.into_iter().find_map(|pointer| body.pointer(pointer)?.as_str())
    }
}

/// Words as they can be shown: one line, not long.
fn line(text: &str) -> Option<String> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    Some(match line.char_indices().nth(MOST_DESCRIPTION) {
        Some((at, _)) => format!("{}…", line[..at].trim_end()),
        None => line.to_owned(),
    })
}

/// A value as it was sent, at most 64 characters.
fn sample(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(MAX_SAMPLE).collect()
}

/// The beginning of a body that could not be read, as one line. It may be a broken answer with tokens in it that no
/// redactor knows: a word that could be one is left out, and so is whatever follows a name such as `access_token`.
fn excerpt(body: &str) -> Option<String> {
    let mut rest: &str = &body[..body.floor_char_boundary(8 * MAX_EXCERPT)];
    let mut shown = String::new();
    let in_word = |c: char| c.is_ascii_alphanumeric() || "-._~+/%".contains(c);
    let mut after_name = false;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !in_word(c)).unwrap_or(rest.len());
        if end == 0 {
            shown.push(if first.is_control() { ' ' } else { first });
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = &rest[..end];
        let opaque = word.len() >= MAX_WORD || (word.len() >= MIN_OPAQUE && word.bytes().any(|b| b.is_ascii_digit()));
        shown.push_str(if opaque || after_name { REDACTED } else { word });
        let name = word.to_ascii_lowercase();
        after_name = ["token", "secret", "code", "password", "key"].iter().any(|end| name.ends_with(end));
        rest = &rest[end..];
    }
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = shown.chars().take(MAX_EXCERPT).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Why there are no tokens: `own` is what the entry knows of the error, `readable` whether the body has fields at all.
fn refusal(status: u16, code: Option<String>, own: Option<Meaning>, readable: bool) -> Refusal {
    let word = code.as_deref().and_then(word);
    let because = |blame: Blame, otherwise: Reason| Refusal {
        provider_error: word.clone(),
        ..Refusal::new(blame, if word.is_some() { Reason::ProviderError } else { otherwise })
    };
    let standard = word.as_deref().and_then(usual);
    match status {
        300..400 => Refusal::new(Blame::Provider, Reason::Redirect),
        429 => because(Blame::Provider, Reason::RateLimited).with_reason(Reason::RateLimited),
        // What the entry knows is meant even where the status says that something broke.
        _ if own.is_some() => because(own.map_or(Blame::Provider, Blame::from), Reason::HttpError),
        200..300 if !readable => Refusal::new(Blame::Provider, Reason::UnreadableBody).unclear(true),
        200..300 if word.is_none() => Refusal::new(Blame::Provider, Reason::NoAccessToken).unclear(true),
        // `invalid_client` alone is about the client (RFC 6749 §5.2). 401 comes from gateways and for suspended users,
        // too; that a client is not authorized, or access denied, may be said of one account.
        200..500 => match standard {
            Some(Usual::Client) => because(Blame::App, Reason::HttpError),
            Some(Usual::Grant) => because(Blame::Grant, Reason::HttpError),
            Some(Usual::Either) => because(Blame::Provider, Reason::HttpError).ambiguous(),
            None if matches!(status, 400 | 401 | 403) => because(Blame::Provider, Reason::HttpError).ambiguous(),
            Some(Usual::Request) | None => because(Blame::Provider, Reason::HttpError),
        },
        // A server that says "not now" has not begun; any other error may have come after the work was done. Words that no
        // standard has say less than the status.
        _ => {
            let refusal = match standard {
                Some(Usual::Request) => because(Blame::Provider, Reason::HttpError),
                _ => Refusal::new(Blame::Provider, Reason::HttpError),
            };
            refusal.unclear(status != 503)
        }
    }
}

impl Refusal {
    pub(super) fn new(blame: Blame, reason: Reason) -> Self {
        Self {
            blame,
            reason,
            provider_error: None,
            description: None,
            status: None,
            media_type: None,
            excerpt: None,
            ambiguous: false,
            retry_after: None,
            unclear: false,
        }
    }

    /// One word: the provider's code where it sent one, else `http_` and the status, else our reason.
    pub fn word(&self) -> String {
        match (&self.provider_error, self.reason, self.status) {
            (Some(code), Reason::ProviderError, _) => code.clone(),
            (_, Reason::HttpError, Some(status)) => format!("http_{status}"),
            (_, reason, _) => reason.as_str().to_owned(),
        }
    }

    /// Whether the provider's own error code is this one.
    pub fn is(&self, code: &str) -> bool {
        self.provider_error.as_deref() == Some(code)
    }

    /// Whether another secret of the same client might help a request that has used nothing up: the client was rejected,
    /// or something was that may be the client.
    pub fn may_be_the_secret(&self) -> bool {
        self.blame == Blame::App || (self.ambiguous && self.status == Some(401))
    }

    /// What this tells about the endpoint itself.
    pub fn endpoint_health(&self) -> EndpointHealth {
        match (self.blame, self.reason, self.status) {
            (Blame::Network, ..) => EndpointHealth::Fails,
            (_, Reason::RateLimited, _) => EndpointHealth::Limits,
            (_, _, Some(500..)) => EndpointHealth::Fails,
            (_, Reason::HttpError, _) if self.excerpt.is_none() && self.description.is_some() => EndpointHealth::Works,
            (_, Reason::ProviderError | Reason::NoDeviceCode | Reason::VerificationUri, _) => EndpointHealth::Works,
            _ => EndpointHealth::Fails,
        }
    }

    fn unclear(mut self, unclear: bool) -> Self {
        self.unclear = unclear;
        self
    }

    fn ambiguous(mut self) -> Self {
        self.ambiguous = true;
        self
    }

    fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }

    /// With status, media type and `Retry-After` of this answer.
    pub(super) fn of(self, raw: &RawAnswer) -> Self {
        let media_type = raw.content_type.as_deref().and_then(line).map(|text| text.chars().take(100).collect());
        Self { status: Some(raw.status), media_type, retry_after: raw.retry_after, ..self }
    }

    /// What it means that there is no whole answer. One that is there has a meaning that only its provider's entry
    /// knows ([`Resolved::read`]); here only its status counts.
    pub fn of_sent(sent: &Sent) -> Self {
        match sent {
            Sent::NotSent(why) => Self { description: line(why), ..Self::new(Blame::Network, Reason::Unreachable) },
            Sent::Unclear(why) => {
                let (blame, reason) = match why.as_str() {
                    transport::TIMEOUT => (Blame::Network, Reason::Timeout),
                    transport::TOO_LARGE => (Blame::Network, Reason::TooLarge),
                    transport::UNDECODABLE => (Blame::Provider, Reason::Undecodable),
                    transport::TOO_MANY_HEADERS => (Blame::Provider, Reason::TooManyHeaders),
                    why if why.starts_with(transport::UNSUPPORTED_CODING) => {
                        (Blame::Provider, Reason::UnsupportedCoding)
                    }
                    _ => (Blame::Network, Reason::CutOff),
                };
                let says_more = !matches!(reason, Reason::Timeout | Reason::TooLarge);
                let description = says_more.then(|| line(why)).flatten();
                Self { description, ..Self::new(blame, reason).unclear(true) }
            }
            Sent::Answered(raw) => Self::new(Blame::Provider, Reason::HttpError).unclear(raw.status >= 500).of(raw),
        }
    }
}

impl RawAnswer {
    /// The provider's clock less ours in milliseconds, as exact as `Date`: to the second. `None`: it did not say.
    pub fn skew_ms(&self) -> Option<i64> {
        let ours = self.received_at.0.div_euclid(1000) * 1000;
        Some(self.date?.0.saturating_sub(ours))
    }
}

/// What a code of the standards is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usual {
    /// The client's credentials.
    Client,
    /// The grant.
    Grant,
    /// The client or the grant.
    Either,
    /// The request, or the server.
    Request,
}

/// What a code of the standards is about (RFC 6749 §5.2, RFC 8628 §3.5, OpenID Connect Core §3.1.2.6); `None`: it is of no
/// standard.
fn usual(code: &str) -> Option<Usual> {
    Some(match code {
        "invalid_client" => Usual::Client,
        "unauthorized_client" | "access_denied" => Usual::Either,
        // The last four are for what only a person before a browser can do.
        "invalid_grant"
        | "expired_token"
        | "interaction_required"
        | "login_required"
        | "consent_required"
        | "account_selection_required" => Usual::Grant,
        "invalid_request"
        | "invalid_scope"
        | "unsupported_grant_type"
        | "server_error"
        | "temporarily_unavailable"
        | "authorization_pending"
        | "slow_down" => Usual::Request,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
