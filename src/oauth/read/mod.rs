//! What an answer to a token request means: tokens (RFC 6749 §5.1), or why there are none and who is to blame (§5.2).
//!
//! It reads what comes, not what should have come: JSON whatever its media type, forms, errors with status 200,
//! numbers as text. A provider that does one thing otherwise says so in its entry.

use serde_json::{Map, Value};

use super::{
    catalogue::{AnswerField, Meaning, Resolved, TimeUnit},
    fields::{MOST_LIFE, instant, is_empty, number, parse, scope, token, token_type, whole, word},
    transport,
    wire::{Answer, RawAnswer, Refusal, Sent, TokenSet},
};
use crate::domain::{Timestamp, grant::Blame};

/// The longest description, in characters.
const MOST_DESCRIPTION: usize = 300;
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
                    return Answer::Refused(Refusal::new(Blame::Provider, "malformed_token").unclear(true));
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
        Answer::Refused(Refusal { description: said.and_then(line), retry_after: raw.retry_after, ..refusal })
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
        Some(TokenSet {
            access,
            refresh,
            token_type: self.find(body, AnswerField::TokenType).map_or_else(|| "Bearer".to_owned(), token_type),
            expires_at: self.expires_at(body, raw),
            refresh_expires_at: self.refresh_expires_at(body, raw),
            scope: self.find(body, AnswerField::Scope).and_then(scope),
            extra: self.kept(body),
        })
    }

    /// When the access token ends. What is no number, or below zero, counts as not said: a provider that subtracts
    /// wrongly must not make a good token useless. `0` is an end that has come.
    fn expires_at(&self, body: &Value, raw: &RawAnswer) -> Option<Timestamp> {
        let (within, at) = (AnswerField::ExpiresIn, AnswerField::ExpiresAt);
        // An entry that names one place wants that one first.
        let absolute = || self.find_unless(body, at, within).and_then(|value| instant(value, raw));
        let relative = || self.find_unless(body, within, at).and_then(|value| self.after(value, raw));
        let said = if self.entry().answer.contains_key(&at) {
            absolute().or_else(relative)
        } else {
            relative().or_else(absolute)
        };
        said.or_else(|| {
            let seconds = i64::try_from(self.entry().default_lifetime_s?).ok()?;
            Some(raw.received_at.plus_ms(seconds.saturating_mul(1000).min(MOST_LIFE)))
        })
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

/// Why there are no tokens: `own` is what the entry knows of the error, `readable` whether the body has fields at all.
fn refusal(status: u16, code: Option<String>, own: Option<Meaning>, readable: bool) -> Refusal {
    let word = code.as_deref().and_then(word);
    let named = |blame, otherwise: &str| Refusal::new(blame, word.as_deref().unwrap_or(otherwise));
    let by_status = format!("http_{status}");
    match status {
        300..400 => Refusal::new(Blame::Provider, "redirect"),
        429 => match word.as_deref() {
            Some("slow_down") => named(Blame::Provider, ""),
            _ => Refusal::new(Blame::Provider, "rate_limited"),
        },
        // What the entry knows is meant even where the status says that something broke.
        _ if own.is_some() => named(own.map_or(Blame::Provider, Blame::from), &by_status),
        200..300 if !readable => Refusal::new(Blame::Provider, "not_json").unclear(true),
        200..300 => match word.as_deref() {
            Some(word) => named(usual(word).map_or(Blame::Provider, Blame::from), ""),
            None => Refusal::new(Blame::Provider, "no_access_token").unclear(true),
        },
        // RFC 6749 §5.2 has this status for clients that are turned down; "unauthorized" says no more than it does.
        401 => match word.as_deref() {
            None | Some("access_denied") => named(Blame::App, &by_status),
            Some(word) if word.eq_ignore_ascii_case("unauthorized") => named(Blame::App, ""),
            Some(word) => named(usual(word).map_or(Blame::Provider, Blame::from), ""),
        },
        400..500 => {
            let meaning = word.as_deref().and_then(usual);
            named(meaning.map_or(Blame::Provider, Blame::from), &by_status)
        }
        // Whoever says "not now" has not begun; anything else may have broken after the work was done. Words that no
        // standard has say less than the status.
        _ => {
            let word = word.as_deref().filter(|word| usual(word) == Some(Meaning::Provider));
            Refusal::new(Blame::Provider, word.unwrap_or(&by_status)).unclear(status != 503)
        }
    }
}

impl Refusal {
    pub(super) fn new(blame: Blame, error: &str) -> Self {
        Self { blame, error: error.to_owned(), description: None, retry_after: None, unclear: false }
    }

    /// Whether another secret of the same client might help. One that may not do what it asks (RFC 6749 §5.2,
    /// `unauthorized_client`) has shown a secret that is right.
    pub fn may_be_the_secret(&self) -> bool {
        self.blame == Blame::App && self.error != "unauthorized_client"
    }

    fn unclear(mut self, unclear: bool) -> Self {
        self.unclear = unclear;
        self
    }

    /// What it means that there is no whole answer. One that is there has a meaning that only its provider's entry
    /// knows ([`Resolved::read`]); here only its status counts.
    pub fn of_sent(sent: &Sent) -> Self {
        match sent {
            Sent::NotSent(why) => Self { description: Some(why.clone()), ..Self::new(Blame::Network, "unreachable") },
            Sent::Unclear(why) => {
                let (error, description) = match why.as_str() {
                    transport::TIMEOUT => ("timeout", None),
                    transport::TOO_LARGE => ("too_large", None),
                    _ => ("cut_off", Some(why.clone())),
                };
                Self { description, ..Self::new(Blame::Network, error).unclear(true) }
            }
            Sent::Answered(raw) => Self {
                retry_after: raw.retry_after,
                ..Self::new(Blame::Provider, &format!("http_{}", raw.status)).unclear(raw.status >= 500)
            },
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

/// What a code of the standards means (RFC 6749 §5.2, RFC 8628 §3.5, OpenID Connect Core §3.1.2.6); `None`: it is of no
/// standard.
fn usual(code: &str) -> Option<Meaning> {
    Some(match code {
        "invalid_client" | "unauthorized_client" => Meaning::App,
        // The last four are for what only a person before a browser can do.
        "invalid_grant"
        | "expired_token"
        | "access_denied"
        | "interaction_required"
        | "login_required"
        | "consent_required"
        | "account_selection_required" => Meaning::Grant,
        "invalid_request"
        | "invalid_scope"
        | "unsupported_grant_type"
        | "server_error"
        | "temporarily_unavailable"
        | "authorization_pending"
        | "slow_down" => Meaning::Provider,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
