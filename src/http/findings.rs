//! The findings of a provider check in sentences, for every surface that tells of them.

use super::problem::phrase;
use crate::{
    app::provider_check::{Finding, Place, Words},
    domain::profile::SecretKind,
};

/// `the client secret`, `the next client secret`; a public client has only its id.
fn client(secret: Option<SecretKind>) -> &'static str {
    match secret {
        None => "client id",
        Some(SecretKind::Next) => "client id and next client secret",
        Some(_) => "client id and client secret",
    }
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Authorization => "authorization endpoint",
        Place::Token => "token endpoint",
    }
}

/// What a provider said, in brackets.
fn said(words: &Words) -> String {
    match &words.description {
        Some(description) => format!("{}: {description}", words.error),
        None => words.error.clone(),
    }
}

/// What TLS says of a certificate, for people.
fn certificate(why: &str) -> String {
    // The words of rustls: a variant's name where it has no more to say.
    let known = match why.split([':', ' ', '(']).next().unwrap_or_default() {
        "UnknownIssuer" => "it is signed by nobody whom this machine trusts",
        "Expired" | "ExpiredContext" => "it has expired",
        "NotValidYet" | "NotValidYetContext" => "it is not valid yet",
        "NotValidForName" | "NotValidForNameContext" => "it is for another name",
        "Revoked" => "it has been revoked",
        _ => return why.to_owned(),
    };
    format!("{known} ({why})")
}

/// One sentence for a finding, without a full stop, to stand by itself or in a line.
pub fn sentence(finding: &Finding) -> String {
    match finding {
        Finding::Setting { path, why } => format!("{path}: {}", phrase(why)),
        Finding::OnlyHashed => "only the hash of its client secret is kept, so it cannot be used".to_owned(),
        Finding::DoesNotOpen => {
            "a value that is kept sealed for it does not open with the keys there are; give it again".to_owned()
        }
        Finding::Borrowed { connection } => {
            format!("the provider's variables have the values of connection {connection}")
        }
        Finding::Answers { place: at, url } => format!("the {} {url} answers", place(*at)),
        Finding::NoAnswer { place: at, url, why } => format!("the {} {url} cannot be reached: {why}", place(*at)),
        Finding::Certificate { place: at, url, why } => {
            format!("the certificate of the {} {url} is not accepted: {}", place(*at), certificate(why))
        }
        Finding::Broken { place: at, url, status } => format!(
            "the {} {url} answers with status {status} and nothing that a client can read: the provider is down, busy, \
             or somewhere else",
            place(*at)
        ),
        Finding::Elsewhere { url } => format!(
            "the token endpoint {url} sends us somewhere else, where no client secret follows: look at token_url"
        ),
        Finding::NotAnEndpoint { url, status } => {
            format!("{url} answers a token request with status {status}: look at token_url")
        }
        Finding::Clock { skew_ms } => clock(*skew_ms),
        Finding::Accepted { secret, confirmed: true } => format!("the provider takes {}", client(*secret)),
        Finding::Accepted { secret, confirmed: false } => format!(
            "the provider takes {}, as it seems: it did not tell what it says to a client that it does not know",
            client(*secret)
        ),
        Finding::Rejected { secret, words, other_works } => {
            let more = if *other_works { "; another secret works" } else { "" };
            format!("the provider turns down {} ({}){more}", client(*secret), said(words))
        }
        Finding::OtherWay { secret, client_auth } => format!(
            "the provider takes {} when the definition says \"client_auth\": \"{client_auth}\", and not as it is",
            client(*secret)
        ),
        Finding::RedirectUri { place: at, register, words } => {
            let said = words.as_ref().map(|words| format!(" ({})", said(words))).unwrap_or_default();
            let at = place(*at);
            format!("the {at} does not know the redirect URI{said}: register {register} at the provider")
        }
        Finding::CodeFirst { secret } => format!(
            "could not tell whether {} are right: the provider says the same to a client that it does not know",
            client(*secret)
        ),
        Finding::Unclear { secret, words } => {
            format!("could not tell whether {} are right: the provider says {}", client(*secret), said(words))
        }
        Finding::Tokens => {
            "could not tell anything: the provider gives tokens for a code that nobody issued".to_owned()
        }
        Finding::NoCodes => {
            "the token endpoint takes no authorization codes: look at token_url and request_format".to_owned()
        }
        Finding::Refused { status } => {
            format!("the authorization endpoint answers our request with status {status}: open it in a browser and see")
        }
        Finding::SentBack { error } => {
            format!("the authorization endpoint sends everybody back at once, with the error {error}")
        }
        Finding::Agrees { issuer } => format!("the metadata of {issuer} agrees with the definition"),
        Finding::Differs { field, ours, theirs } => {
            format!("{field} is {ours} in the definition; the provider's metadata says {theirs}")
        }
        Finding::NotDiscovered { why } => format!("the issuer has no metadata that can be used: {why}"),
        Finding::Offers { field, theirs } => {
            let gain = match *field {
                "revoke_url" => ", so that tokens end there when a connection ends",
                "device_url" => ", so that devices without a browser can connect",
                "introspect_url" => ", so that a lost answer can be looked into",
                "issuer" => ", so that every callback is checked against it",
                _ => "",
            };
            format!("the provider's metadata has {field} {theirs}: add it to the definition{gain}")
        }
        Finding::Healed => {
            "the provider turned the profile down before, and does not any more: its connections go on".to_owned()
        }
    }
}

fn clock(skew_ms: i64) -> String {
    // `Date` has whole seconds: a difference of one is none.
    let seconds = skew_ms.unsigned_abs() / 1000;
    match (seconds, skew_ms > 0) {
        (0 | 1, _) => "the provider's clock and this machine's agree".to_owned(),
        (_, true) => format!("the provider's clock is {seconds} seconds ahead of this machine's"),
        (_, false) => format!("the provider's clock is {seconds} seconds behind this machine's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_and_clocks_are_told_in_words() {
        assert_eq!(certificate("UnknownIssuer"), "it is signed by nobody whom this machine trusts (UnknownIssuer)");
        assert_eq!(certificate("certificate expired: yesterday"), "certificate expired: yesterday");
        assert!(clock(-999).contains("agree") && clock(1000).contains("agree"));
        assert!(clock(31_000).contains("31 seconds ahead") && clock(-90_000).contains("90 seconds behind"));
    }
}
