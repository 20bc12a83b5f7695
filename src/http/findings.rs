//! The findings of checks in sentences, for every surface that tells of them; and, for those who say them in words of
//! their own, what a sentence is made of: `case`, a machine word that stands for that very sentence, and its facts, which
//! are the names and numbers in it. A sentence may change, and its word stays.

use serde_json::{Value, json};

use super::problem::phrase;
use crate::{
    app::{
        checks::{EngineErrors, SetupFault},
        provider_check::{Finding, Place, Words},
    },
    domain::profile::SecretKind,
};

/// So many of one kind are listed.
pub const MOST_LISTED: usize = 20;
/// The most characters of a name that is told back.
const MOST_SHOWN: usize = 100;

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

/// What is wrong with a certificate, in a word and for people; `None`: nothing that is known here.
fn certificate_problem(why: &str) -> Option<(&'static str, &'static str)> {
    // The words of rustls: a variant's name where it has no more to say.
    match why.split([':', ' ', '(']).next().unwrap_or_default() {
        "UnknownIssuer" => Some(("unknown_issuer", "it is signed by nobody whom this machine trusts")),
        "Expired" | "ExpiredContext" => Some(("expired", "it has expired")),
        "NotValidYet" | "NotValidYetContext" => Some(("not_valid_yet", "it is not valid yet")),
        "NotValidForName" | "NotValidForNameContext" => Some(("other_name", "it is for another name")),
        "Revoked" => Some(("revoked", "it has been revoked")),
        _ => None,
    }
}

/// What TLS says of a certificate, for people.
fn certificate(why: &str) -> String {
    certificate_problem(why).map_or_else(|| why.to_owned(), |(_, known)| format!("{known} ({why})"))
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
        Finding::NoAnswer { place: at, url, why } => format!("no usable answer from the {} {url}: {why}", place(*at)),
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

/// Which of its secrets a client has shown, as [`client`] says it.
fn client_word(secret: Option<SecretKind>) -> &'static str {
    match secret {
        None => "id",
        Some(SecretKind::Next) => "id_and_next_secret",
        Some(_) => "id_and_secret",
    }
}

fn place_word(place: Place) -> &'static str {
    match place {
        Place::Authorization => "authorization",
        Place::Token => "token",
    }
}

/// The case and the facts of [`sentence`].
pub fn facts(finding: &Finding) -> Value {
    let (place, client) = (place_word, client_word);
    match finding {
        Finding::Setting { path, why } => json!({"case": "setting_wrong", "path": path, "fault": phrase(why)}),
        Finding::OnlyHashed => json!({"case": "secret_only_hashed"}),
        Finding::DoesNotOpen => json!({"case": "value_does_not_open"}),
        Finding::Borrowed { connection } => json!({"case": "variables_borrowed", "connection": connection}),
        Finding::Answers { place: at, url } => json!({"case": "endpoint_answers", "place": place(*at), "url": url}),
        Finding::NoAnswer { place: at, url, why } => {
            json!({"case": "endpoint_unreachable", "place": place(*at), "url": url, "why": why})
        }
        Finding::Certificate { place: at, url, why } => match certificate_problem(why) {
            Some((problem, _)) => json!({
                "case": "certificate_refused", "place": place(*at), "url": url, "problem": problem, "why": why
            }),
            None => json!({"case": "certificate_refused_why", "place": place(*at), "url": url, "why": why}),
        },
        Finding::Broken { place: at, url, status } => {
            json!({"case": "endpoint_broken", "place": place(*at), "url": url, "status": status})
        }
        Finding::Elsewhere { url } => json!({"case": "token_endpoint_elsewhere", "url": url}),
        Finding::NotAnEndpoint { url, status } => json!({"case": "no_token_endpoint", "url": url, "status": status}),
        Finding::Clock { skew_ms } => match (skew_ms.unsigned_abs() / 1000, *skew_ms > 0) {
            (0 | 1, _) => json!({"case": "provider_clock_agrees"}),
            (seconds, true) => json!({"case": "provider_clock_ahead", "seconds": seconds}),
            (seconds, false) => json!({"case": "provider_clock_behind", "seconds": seconds}),
        },
        Finding::Accepted { secret, confirmed: true } => json!({"case": "client_taken", "client": client(*secret)}),
        Finding::Accepted { secret, confirmed: false } => {
            json!({"case": "client_seems_taken", "client": client(*secret)})
        }
        Finding::Rejected { secret, words, other_works: false } => {
            json!({"case": "client_turned_down", "client": client(*secret), "said": said(words)})
        }
        Finding::Rejected { secret, words, other_works: true } => {
            json!({"case": "client_turned_down_other_works", "client": client(*secret), "said": said(words)})
        }
        Finding::OtherWay { secret, client_auth } => {
            json!({"case": "client_auth_other", "client": client(*secret), "client_auth": client_auth})
        }
        Finding::RedirectUri { place: at, register, words: None } => {
            json!({"case": "redirect_uri_unknown", "place": place(*at), "register": register})
        }
        Finding::RedirectUri { place: at, register, words: Some(words) } => json!({
            "case": "redirect_uri_unknown_said", "place": place(*at), "register": register, "said": said(words)
        }),
        Finding::CodeFirst { secret } => json!({"case": "code_before_client", "client": client(*secret)}),
        Finding::Unclear { secret, words } => {
            json!({"case": "client_unclear", "client": client(*secret), "said": said(words)})
        }
        Finding::Tokens => json!({"case": "made_up_code_taken"}),
        Finding::NoCodes => json!({"case": "codes_not_taken"}),
        Finding::Refused { status } => json!({"case": "authorization_refused", "status": status}),
        Finding::SentBack { error } => json!({"case": "authorization_sent_back", "error": error}),
        Finding::Agrees { issuer } => json!({"case": "metadata_agrees", "issuer": issuer}),
        Finding::Differs { field, ours, theirs } => {
            json!({"case": "metadata_differs", "field": field, "ours": ours, "theirs": theirs})
        }
        Finding::NotDiscovered { why } => json!({"case": "metadata_unusable", "why": why}),
        Finding::Offers { field, theirs } => json!({"case": "metadata_offers", "field": field, "theirs": theirs}),
        Finding::Healed => json!({"case": "profile_healed"}),
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

/// One line: the code and what it means here.
pub fn setup_sentence(fault: &SetupFault) -> String {
    let pairs = |pairs: &[(String, String)]| -> String {
        pairs.iter().map(|(url, what)| format!("{url} ({what})")).collect::<Vec<_>>().join(", ")
    };
    let text = match fault {
        SetupFault::DialectOff => {
            "The OAuth configuration services are switched off. Start with --flow-services=true to switch them on."
                .to_owned()
        }
        SetupFault::WorkersStopped => {
            "The background work has stopped: nothing is refreshed or cleared. Restart the server.".to_owned()
        }
        SetupFault::ApiUnreachable(why) => {
            format!(
                "This server cannot be reached at its public URL: {why}. Check --public-url, and the proxy in front."
            )
        }
        SetupFault::ApiOfAnother(status) => format!(
            "This server cannot be reached at its public URL: another server answers there, with status {status}. Check \
             --public-url, and the proxy in front."
        ),
        SetupFault::ApiSeenElsewhere(host) => format!(
            "Requests to the public URL arrive as requests to {}. Let the proxy in front keep the host, or name it \
             with --trusted-proxy and let it send X-Forwarded-Host.",
            shown(host)
        ),
        SetupFault::ClientSecretKeyMissing(ids) => {
            format!(
                "Client secrets are sealed with keys that are missing: {}. Put them back in the key file.",
                ids.join(", ")
            )
        }
        SetupFault::TokenKeyMissing(ids) => {
            format!("Tokens are sealed with keys that are missing: {}. Put them back in the key file.", ids.join(", "))
        }
        SetupFault::KeyFile(why) => format!("The keys cannot be read again, so the next start would fail: {why}."),
        SetupFault::KeyDoesNotFit(what) => format!(
            "The key file does not fit this database, so the next start would fail ({what}). Put back the one that \
             belongs to it."
        ),
        SetupFault::ExchangeAnswersWrongly(urls) => format!("Token endpoints answer with errors: {}.", pairs(urls)),
        SetupFault::ExchangeUnreachable(urls) => format!("Token endpoints cannot be reached: {}.", pairs(urls)),
        SetupFault::EngineErrors(errors) => engine_sentences(errors),
        SetupFault::EngineOff => {
            "Accounts cannot be connected, as only hashes of client secrets are kept (--secrets hashed).".to_owned()
        }
    };
    // A line each: what a path or a system says may have more.
    format!("[{}] {}", fault.code(), text.replace(['\n', '\r'], " "))
}

/// The cases and facts of [`setup_sentence`], one for each sentence in it.
pub fn setup_facts(fault: &SetupFault) -> Vec<Value> {
    let pairs = |pairs: &[(String, String)]| -> Vec<Value> {
        pairs.iter().map(|(url, what)| json!({"url": url, "what": what})).collect()
    };
    vec![match fault {
        SetupFault::DialectOff => json!({"case": "flow_services_off"}),
        SetupFault::WorkersStopped => json!({"case": "work_stopped"}),
        SetupFault::ApiUnreachable(why) => json!({"case": "public_url_unreachable", "why": why}),
        SetupFault::ApiOfAnother(status) => json!({"case": "public_url_of_another", "status": status}),
        SetupFault::ApiSeenElsewhere(host) => json!({"case": "public_url_other_host", "host": shown(host)}),
        SetupFault::ClientSecretKeyMissing(ids) => json!({"case": "secret_keys_missing", "keys": ids}),
        SetupFault::TokenKeyMissing(ids) => json!({"case": "token_keys_missing", "keys": ids}),
        SetupFault::KeyFile(why) => json!({"case": "key_file_unreadable", "why": why}),
        SetupFault::KeyDoesNotFit(key) => json!({"case": "key_file_does_not_fit", "key": key}),
        SetupFault::ExchangeAnswersWrongly(urls) => json!({"case": "token_endpoints_wrong", "urls": pairs(urls)}),
        SetupFault::ExchangeUnreachable(urls) => json!({"case": "token_endpoints_unreachable", "urls": pairs(urls)}),
        SetupFault::EngineErrors(errors) => return engine_facts(errors),
        SetupFault::EngineOff => json!({"case": "engine_off"}),
    }]
}

fn engine_facts(errors: &EngineErrors) -> Vec<Value> {
    let first = |ids: &[i64]| ids[..ids.len().min(MOST_LISTED)].to_vec();
    let mut facts = Vec::new();
    let mut add = |count: usize, fact: Value| {
        if count > 0 {
            facts.push(fact);
        }
    };
    let EngineErrors { profiles, grants, answers, inputs, rejected } = errors;
    let count = profiles.len();
    let rows: Vec<Value> =
        profiles.iter().take(MOST_LISTED).map(|(id, kind)| json!({"id": id, "kind": kind})).collect();
    add(count, json!({"case": "secrets_do_not_open", "count": count, "profiles": rows}));
    let count = grants.len();
    add(count, json!({"case": "tokens_do_not_open", "count": count, "connections": first(grants)}));
    let count = answers.len();
    add(count, json!({"case": "answers_do_not_open", "count": count, "connections": first(answers)}));
    let count = inputs.len();
    add(count, json!({"case": "inputs_do_not_open", "count": count, "connections": first(inputs)}));
    let count = rejected.len();
    let rows: Vec<Value> = rejected
        .iter()
        .take(MOST_LISTED)
        .map(|(id, name, why)| json!({"id": id, "name": shown(name), "why": why}))
        .collect();
    add(count, json!({"case": "apps_rejected", "count": count, "profiles": rows}));
    facts
}

/// What the connection engine cannot work with, and what helps.
fn engine_sentences(errors: &EngineErrors) -> String {
    let ids = |ids: &[i64]| listed(ids.iter().map(ToString::to_string), ids.len());
    let mut said = Vec::new();
    if !errors.profiles.is_empty() {
        let rows = errors.profiles.iter().map(|(id, kind)| format!("{id} ({kind})"));
        let rows = listed(rows, errors.profiles.len());
        said.push(format!("Sealed secrets of these profiles do not open: {rows}. Load them again."));
    }
    if !errors.grants.is_empty() {
        said.push(format!("Tokens of these connections do not open: {}. Authorise them again.", ids(&errors.grants)));
    }
    if !errors.answers.is_empty() {
        said.push(format!(
            "A refresh of these connections was cut off, and its answer does not open: {}. Authorise them again.",
            ids(&errors.answers)
        ));
    }
    if !errors.inputs.is_empty() {
        said.push(format!(
            "Values given with these connections do not open: {}. Give them again.",
            ids(&errors.inputs)
        ));
    }
    if !errors.rejected.is_empty() {
        let rows = errors.rejected.iter().map(|(id, name, why)| format!("{id} ({}: {why})", shown(name)));
        let rows = listed(rows, errors.rejected.len());
        said.push(format!("Providers turn down the client id or secret of these profiles: {rows}."));
    }
    said.join(" ")
}

/// Up to twenty of them, and how many more there are.
fn listed(rows: impl Iterator<Item = String>, len: usize) -> String {
    let mut rows: Vec<String> = rows.take(MOST_LISTED).collect();
    let more = len.saturating_sub(MOST_LISTED);
    if more > 0 {
        rows.push(format!("and {more} more"));
    }
    rows.join(", ")
}

/// A name to be told back: not more of it than a person reads.
pub fn shown(name: &str) -> String {
    match name.char_indices().nth(MOST_SHOWN) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
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
