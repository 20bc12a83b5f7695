//! Which fault words one rule may combine, and on which requests each has an effect.

use super::{
    faults::{Fault, HeaderField, On, When},
    options::Unknown,
    words::Word,
};

/// What a fault sends in place of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replacement {
    /// Nothing, or a body of its own that is not changed.
    Fixed(When),
    /// Another answer, which other words may change.
    Answer(When),
}

fn replacement(fault: &Fault) -> Option<Replacement> {
    match fault {
        Fault::Hang(when) | Fault::Drop(when) | Fault::Big(when) | Fault::NeverFinish(when) => {
            Some(Replacement::Fixed(*when))
        }
        Fault::Bomb { when, .. } => Some(Replacement::Fixed(*when)),
        Fault::Status(_, when) | Fault::Html(when) | Fault::Answer { when, .. } => Some(Replacement::Answer(*when)),
        Fault::RateLimit(_)
        | Fault::Redirect(_)
        | Fault::Error(_)
        | Fault::InvalidClient
        | Fault::Echo(..)
        | Fault::Back(_) => Some(Replacement::Answer(When::Before)),
        _ => None,
    }
}

/// Whether a fault is about what the processing answers.
fn needs_processing(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Truncate
            | Fault::NoRefreshToken
            | Fault::NeedsScope
            | Fault::RefusesScope
            | Fault::ExpiredStatus(_)
            | Fault::Slow(_, When::After)
    )
}

/// Whether a fault changes fields of what the processing answers.
fn edits(fault: &Fault) -> bool {
    matches!(fault, Fault::Set(..) | Fault::Omit(_) | Fault::NumericToken | Fault::ExpiredStatus(_))
}

/// Whether a fault changes the head or the body of any answer.
fn wraps(fault: &Fault) -> bool {
    match fault {
        Fault::Header(field, _) => *field != HeaderField::Date,
        Fault::Coded { .. } | Fault::Utf16 { .. } | Fault::ManyHeaders(_) | Fault::Truncate => true,
        _ => false,
    }
}

/// Whether two faults decide the same thing.
fn collide(one: &Fault, other: &Fault) -> bool {
    let field = |fault: &Fault| match fault {
        Fault::Set(field, _) | Fault::Omit(field) => Some(*field),
        _ => None,
    };
    let header = |fault: &Fault| match fault {
        Fault::Header(field, _) => Some(*field),
        Fault::Skew(_) => Some(HeaderField::Date),
        Fault::RateLimit(_) => Some(HeaderField::RetryAfter),
        _ => None,
    };
    let scope = |fault: &Fault| matches!(fault, Fault::NeedsScope | Fault::RefusesScope);
    match (one, other) {
        (Fault::Slow(_, one), Fault::Slow(_, other)) => one == other,
        (Fault::Set(..), Fault::Set(..)) | (Fault::Omit(_), Fault::Omit(_)) => field(one) == field(other),
        (Fault::Header(..), Fault::Header(..)) => header(one) == header(other),
        _ => {
            std::mem::discriminant(one) == std::mem::discriminant(other)
                || (field(one).is_some() && field(one) == field(other))
                || (header(one).is_some() && header(one) == header(other))
                || (scope(one) && scope(other))
                || (replacement(one).is_some() && replacement(other).is_some())
        }
    }
}

/// Checks that each word of a rule has an effect on such requests, and that none takes the effect of another.
pub(super) fn check(on: On, words: &[&str], faults: &[Fault]) -> Result<(), Unknown> {
    let name = |word: &str| word.split(':').next().unwrap_or_default().to_owned();
    for text in words {
        let (word, _) = Word::find(&name(text))?;
        if !word.on.contains(&on) {
            let (name, on, known) = (word.name, on.word(), word.kinds());
            return Err(Unknown::new(format_args!("{name} has no effect on {on} requests; on: one of {known}")));
        }
    }
    for (at, (fault, word)) in faults.iter().zip(words).enumerate() {
        for (other, other_word) in faults.iter().zip(words).skip(at + 1) {
            let (one, two) = (name(word), name(other_word));
            if collide(fault, other) {
                return Err(Unknown::new(if one == two {
                    format!("{one} stands in the list twice")
                } else {
                    format!("{one} and {two} contradict each other")
                }));
            }
            for (fault, other, one, two) in [(fault, other, &one, &two), (other, fault, &two, &one)] {
                let lost = match replacement(fault) {
                    Some(Replacement::Fixed(_)) if wraps(other) || edits(other) => true,
                    Some(Replacement::Answer(_)) if edits(other) => true,
                    Some(Replacement::Fixed(When::Before) | Replacement::Answer(When::Before)) => {
                        needs_processing(other)
                    }
                    _ => false,
                };
                if lost {
                    return Err(Unknown::new(format_args!("{two} has no effect beside {one}")));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(word: &str) -> Fault {
        word.parse().unwrap_or_else(|error| panic!("{word}: {error}"))
    }

    #[test]
    fn words_that_contradict_each_other_are_refused_and_others_are_not() {
        let checked = |on: On, words: &[&str]| {
            let faults: Vec<_> = words.iter().map(|word| fault(word)).collect();
            check(on, words, &faults).map_err(|error| error.to_string())
        };
        for (words, part) in [
            (&["status:500", "html"][..], "status and html contradict each other"),
            (&["drop", "answer_after:200"], "drop and answer_after contradict"),
            (&["expires_in:1", "expires_in:2"], "expires_in stands in the list twice"),
            (&["expires_in:1", "no_expires_in"], "contradict"),
            (&["scope:a", "no_scope"], "contradict"),
            (&["date:x", "skew:1"], "contradict"),
            (&["rate_limit:1", "retry_after:2"], "contradict"),
            (&["encoding:gzip", "bare_encoding:gzip"], "contradict"),
            (&["needs_scope", "refuses_scope"], "contradict"),
            (&["utf16", "utf16be"], "contradict"),
            (&["slow:1", "slow:2"], "slow stands in the list twice"),
            (&["answer:200:{}", "expires_in:1"], "expires_in has no effect beside answer"),
            (&["no_refresh_token", "error:invalid_grant"], "no_refresh_token has no effect beside error"),
            (&["truncate_after", "html"], "truncate_after has no effect beside html"),
            (&["slow_after:1", "status:500"], "slow_after has no effect beside status"),
            (&["hang", "retry_after:1"], "retry_after has no effect beside hang"),
            (&["bomb", "encoding:gzip"], "encoding has no effect beside bomb"),
        ] {
            let told = checked(On::Refresh, words).expect_err("refused");
            assert!(told.contains(part) && !told.contains('\n'), "{words:?}: {told}");
            // The order of the words changes at most the order of the names.
            let reversed: Vec<_> = words.iter().rev().copied().collect();
            let told = checked(On::Refresh, &reversed).expect_err("refused");
            let names = words.iter().all(|word| told.contains(word.split(':').next().unwrap_or_default()));
            assert!(names && (told.contains(part) || part.contains("contradict")), "{reversed:?}: {told}");
        }
        for words in [
            &["slow:1", "slow_after:1", "status_after:500"][..],
            &["answer:429:{}", "retry_after:x", "www_authenticate:y", "type:z", "date:d", "many_headers:3"],
            &["expires_in:0", "expires_at:+1", "refresh_expires_in:1", "token_type:x", "scope:y", "numeric_token"],
            &["html_after", "truncate_after", "encoding:gzip", "utf16"],
            &["no_refresh_token", "drop_after"],
            &["reset_reused", "error:invalid_grant"],
        ] {
            assert_eq!(checked(On::Refresh, words), Ok(()), "{words:?}");
        }
        for (on, word) in [
            (On::Userinfo, "expires_in:1"),
            (On::DeviceAuthorization, "scope:a"),
            (On::Refresh, "interval:1"),
            (On::Code, "needs_scope"),
            (On::Token, "wrong_iss"),
            (On::Discovery, "invalid_client"),
            (On::Introspect, "expired_status:403"),
        ] {
            let told = checked(on, &[word]).expect_err("refused");
            assert!(told.contains("has no effect on") && told.contains(on.word()), "{told}");
        }
    }
}
