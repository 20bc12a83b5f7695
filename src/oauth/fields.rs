//! The fields of an answer, in whatever form they are written.

use std::borrow::Cow;

use serde_json::Value;
use url::form_urlencoded;

use super::wire::RawAnswer;
use crate::domain::{Secret, Timestamp};

/// The longest token, in bytes.
pub(super) const MOST_TOKEN: usize = 64 * 1024;
/// The longest error code, in characters.
const MOST_CODE: usize = 64;
/// The longest list of scopes, in bytes.
const MOST_SCOPE: usize = 16 * 1024;
/// Ten years in milliseconds: what claims to live longer lives so long.
pub(super) const MOST_LIFE: i64 = 10 * 365 * 86_400_000;
/// A number from here on is an instant in milliseconds (1973); as seconds it would be past the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;
/// By how much the provider's clock must be off before an instant it names is moved: `Date` has whole seconds, and the
/// answer was under way.
const SKEW_THAT_COUNTS: i64 = 30_000;

/// A code in the usual form: a short word. Spaces become underscores; what is longer, or prose, is no code.
pub(super) fn word(code: &str) -> Option<String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = code.chars().map(|c| if c == ' ' { '_' } else { c }).collect();
    (!word.is_empty() && word.len() <= MOST_CODE && word.chars().all(fine)).then_some(word)
}

/// The fields of a body: JSON, or a form. `None`: neither.
pub(super) fn parse(body: &str) -> Option<Value> {
    let body = body.trim_start_matches('\u{feff}').trim();
    if let Some(value) = parse_json(body) {
        return Some(value);
    }
    let (name, _) = body.split_once('=')?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(fine) || body.contains(|c: char| c.is_whitespace() || c == '<') {
        return None;
    }
    let fields = form_urlencoded::parse(body.as_bytes()).map(|(name, value)| (name.into_owned(), value.into()));
    Some(Value::Object(fields.collect()))
}

/// A body that is a JSON object or array.
pub(super) fn parse_json(body: &str) -> Option<Value> {
    let body = body.trim_start_matches('\u{feff}').trim();
    serde_json::from_str(body).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

pub(super) fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// A token that can stand in a header; `None`: it cannot. A number is taken by its digits if it is an integer of at most
/// 64 bits; larger ones and fractions are refused, as the parser no longer has the digits that were sent.
pub(super) fn token(value: &Value) -> Option<Secret> {
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Cow::Owned(number.to_string()),
        _ => return None,
    };
    (text.len() <= MOST_TOKEN && !text.chars().any(char::is_control)).then(|| Secret::new(text))
}

/// The token type as written, but `Bearer`, whose case varies (RFC 6750 §2.1), in one way. `None`: it has not the form of
/// a token type.
pub(super) fn token_type(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| (1..=64).contains(&text.len()))?;
    if text.eq_ignore_ascii_case("bearer") {
        return Some("Bearer".to_owned());
    }
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)).then(|| text.to_owned())
}

pub(super) fn scope(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= MOST_SCOPE && !text.chars().any(char::is_control)).then_some(text)
}

/// A finite number, or a text that is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Without the fraction; what is too large is the largest.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
pub(super) fn whole(number: f64) -> i64 {
    number as i64
}

/// An instant: seconds or milliseconds since 1970 as number or text, or RFC 3339. It is the provider's clock that says
/// it; where that is known to be off, ours is meant.
pub(super) fn instant(value: &Value, raw: &RawAnswer) -> Option<Timestamp> {
    let at = match number(value) {
        Some(number) if number < 0.0 => return None,
        Some(number) if number < MILLISECONDS_FROM => whole(number * 1000.0),
        Some(number) => whole(number),
        None => value.as_str()?.trim().parse::<jiff::Timestamp>().ok()?.as_millisecond(),
    };
    let skew = raw.skew_ms().filter(|skew| skew.saturating_abs() > SKEW_THAT_COUNTS).unwrap_or(0);
    let end = at.saturating_sub(skew);
    Some(Timestamp(end.max(0).min(raw.received_at.0.saturating_add(MOST_LIFE))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_tokens_are_the_digits_that_were_sent() {
        for (json, text) in [
            (r#""PLANTED""#, Some("PLANTED")),
            ("0", Some("0")),
            ("12345678901234567890", Some("12345678901234567890")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("-9223372036854775808", Some("-9223372036854775808")),
            // Floating-point numbers to the parser: the digits are lost.
            ("18446744073709551616", None),
            ("123456789012345678901234567890", None),
            ("-9223372036854775809", None),
            ("1.0", None),
            ("1e5", None),
            ("-0", None),
            ("true", None),
            ("null", None),
            ("[1]", None),
            ("{}", None),
            (r#""a\nb""#, None),
        ] {
            let value: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(token(&value).as_ref().map(Secret::expose), text, "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_numeric_token_is_taken_as_sent_or_refused(digits in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?") {
            let value: Value = serde_json::from_str(&digits).expect("JSON");
            if let Some(token) = token(&value) {
                proptest::prop_assert_eq!(token.expose(), digits);
            }
        }
    }
}
