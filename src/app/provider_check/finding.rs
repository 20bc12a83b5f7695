//! What a check may find: facts. Their sentences are the surfaces' (`http/findings.rs`).

use crate::domain::{Why, profile::SecretKind};

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The provider takes the client's id and secret, and nothing else is wrong.
    Accepted,
    /// It turns them down.
    Rejected,
    /// It does not know our redirect URI.
    RedirectUri,
    /// It says nothing by which anybody could tell.
    Unknown,
    /// It, or one of its endpoints, does not answer as it should.
    Unreachable,
    /// Our own settings are wrong or not enough.
    Misconfigured,
}

impl Verdict {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::RedirectUri => "redirect_uri",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is as it should be, or a hint.
    Ok,
    /// It works, or may; somebody should look.
    Warning,
    /// Nobody can connect, or no token can be refreshed, while it is so.
    Error,
}

impl Severity {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One of the two endpoints that are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where people agree (RFC 6749 §3.1).
    Authorization,
    /// Where tokens come from (RFC 6749 §3.2).
    Token,
}

/// What a provider said: its word, or ours where it has none, and its description, without anything that we sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The word.
    pub error: String,
    /// The description.
    pub description: Option<String>,
}

/// What is wrong, or right, with a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A variable or a parameter is missing or malformed.
    Setting {
        /// Which: `variables.subdomain`, `parameters.TOKEN_URL`.
        path: String,
        /// What is wrong with it.
        why: Why,
    },
    /// Only the hash of the client secret is kept.
    OnlyHashed,
    /// Something that is kept sealed does not open.
    DoesNotOpen,
    /// The values of the provider's variables are those of this connection.
    Borrowed {
        /// The connection's id.
        connection: i64,
    },
    /// An endpoint answers.
    Answers {
        /// Which.
        place: Place,
        /// Its address.
        url: String,
    },
    /// Nobody answers at an endpoint.
    NoAnswer {
        /// Which.
        place: Place,
        /// Its address.
        url: String,
        /// Name, route, TLS or time.
        why: String,
    },
    /// The certificate of an endpoint is not accepted.
    Certificate {
        /// Which.
        place: Place,
        /// Its address.
        url: String,
        /// What is wrong with it, as TLS says.
        why: String,
    },
    /// An endpoint is down, busy, or answers with a page for people.
    Broken {
        /// Which.
        place: Place,
        /// Its address.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// The token endpoint sends us somewhere else.
    Elsewhere {
        /// Its address.
        url: String,
    },
    /// The address takes no token requests.
    NotAnEndpoint {
        /// It.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// The provider's clock and ours agree, more or less, or do not.
    Clock {
        /// The provider's less ours, in milliseconds.
        skew_ms: i64,
    },
    /// The provider takes the client.
    Accepted {
        /// Which of its secrets; `None`: it has none.
        secret: Option<SecretKind>,
        /// Whether a client that nobody knows was turned down for comparison.
        confirmed: bool,
    },
    /// The provider turns the client down.
    Rejected {
        /// Which of its secrets; `None`: it has none.
        secret: Option<SecretKind>,
        /// What it says.
        words: Words,
        /// Whether another secret works.
        other_works: bool,
    },
    /// The provider takes the client when it shows itself in another way than the definition says.
    OtherWay {
        /// Which of its secrets.
        secret: Option<SecretKind>,
        /// The value for `client_auth`.
        client_auth: &'static str,
    },
    /// The provider does not know the redirect URI.
    RedirectUri {
        /// Who says so.
        place: Place,
        /// The URI to register.
        register: String,
        /// What it says.
        words: Option<Words>,
    },
    /// The provider looks at the code before it looks at the client: it says the same to one that nobody knows.
    CodeFirst {
        /// Which of its secrets.
        secret: Option<SecretKind>,
    },
    /// The provider says something by which nobody can tell.
    Unclear {
        /// Which of its secrets.
        secret: Option<SecretKind>,
        /// What it says.
        words: Words,
    },
    /// The provider gives tokens for a code that nobody issued.
    Tokens,
    /// The provider takes no codes here.
    NoCodes,
    /// The authorization endpoint refuses our request.
    Refused {
        /// With this status.
        status: u16,
    },
    /// The authorization endpoint sends people back at once.
    SentBack {
        /// With this error.
        error: String,
    },
    /// The provider's metadata agrees with its definition here.
    Agrees {
        /// Whose.
        issuer: String,
    },
    /// The provider's metadata has another value.
    Differs {
        /// The field of the definition.
        field: &'static str,
        /// What stands there.
        ours: String,
        /// What the provider says.
        theirs: String,
    },
    /// The definition names an issuer, and there is no metadata that could be read.
    NotDiscovered {
        /// Why not.
        why: String,
    },
    /// The provider's metadata has something that the definition lacks.
    Offers {
        /// The field of the definition.
        field: &'static str,
        /// What the provider says.
        theirs: String,
    },
    /// The profile stood as rejected, and does not any more: its connections go on.
    Healed,
}

/// A clock that is off by so much is worth a word: 30 seconds.
const SKEW_THAT_COUNTS_MS: u64 = 30_000;

impl Finding {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "setting",
            Self::OnlyHashed => "secret_only_hashed",
            Self::DoesNotOpen => "secret_does_not_open",
            Self::Borrowed { .. } => "borrowed_variables",
            Self::Answers { place: Place::Token, .. } => "token_endpoint",
            Self::Answers { place: Place::Authorization, .. } => "authorization_endpoint",
            Self::NoAnswer { place: Place::Token, .. } => "token_endpoint_unreachable",
            Self::NoAnswer { place: Place::Authorization, .. } => "authorization_endpoint_unreachable",
            Self::Certificate { .. } => "certificate",
            Self::Broken { place: Place::Token, .. } => "token_endpoint_broken",
            Self::Broken { place: Place::Authorization, .. } => "authorization_endpoint_broken",
            Self::Elsewhere { .. } => "token_endpoint_redirects",
            Self::NotAnEndpoint { .. } => "no_token_endpoint",
            Self::Clock { .. } => "clock",
            Self::Accepted { .. } => "client_accepted",
            Self::Rejected { .. } => "client_rejected",
            Self::OtherWay { .. } => "client_auth",
            Self::RedirectUri { .. } => "redirect_uri",
            Self::CodeFirst { .. } => "code_before_client",
            Self::Unclear { .. } => "could_not_tell",
            Self::Tokens => "tokens_for_a_made_up_code",
            Self::NoCodes => "codes_not_taken",
            Self::Refused { .. } => "authorization_refused",
            Self::SentBack { .. } => "authorization_sent_back",
            Self::Agrees { .. } => "discovery",
            Self::Differs { .. } => "discovery_differs",
            Self::NotDiscovered { .. } => "discovery_failed",
            Self::Offers { .. } => "discovery_offers",
            Self::Healed => "healed",
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Borrowed { .. }
            | Self::Answers { .. }
            | Self::Accepted { confirmed: true, .. }
            | Self::Agrees { .. }
            | Self::Offers { .. }
            | Self::Healed => Severity::Ok,
            Self::Clock { skew_ms } if skew_ms.unsigned_abs() < SKEW_THAT_COUNTS_MS => Severity::Ok,
            Self::Clock { .. }
            | Self::Accepted { .. }
            | Self::Rejected { other_works: true, .. }
            | Self::CodeFirst { .. }
            | Self::Unclear { .. }
            | Self::Tokens
            | Self::Refused { .. }
            | Self::SentBack { .. }
            | Self::Differs { .. }
            | Self::NotDiscovered { .. } => Severity::Warning,
            Self::Setting { .. }
            | Self::OnlyHashed
            | Self::DoesNotOpen
            | Self::NoAnswer { .. }
            | Self::Certificate { .. }
            | Self::Broken { .. }
            | Self::Elsewhere { .. }
            | Self::NotAnEndpoint { .. }
            | Self::Rejected { .. }
            | Self::OtherWay { .. }
            | Self::RedirectUri { .. }
            | Self::NoCodes => Severity::Error,
        }
    }

    /// What it means for the whole, if anything does go wrong by it.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Setting { .. }
            | Self::OnlyHashed
            | Self::DoesNotOpen
            | Self::Elsewhere { .. }
            | Self::NotAnEndpoint { .. }
            | Self::OtherWay { .. }
            | Self::NoCodes => Some(Verdict::Misconfigured),
            Self::NoAnswer { .. } | Self::Certificate { .. } | Self::Broken { .. } => Some(Verdict::Unreachable),
            Self::RedirectUri { .. } => Some(Verdict::RedirectUri),
            Self::CodeFirst { .. } | Self::Unclear { .. } | Self::Tokens => Some(Verdict::Unknown),
            Self::Rejected { .. } => Some(Verdict::Rejected),
            _ => None,
        }
    }
}

/// What all findings together come to: a secret that works is enough for the client; whatever is an error spoils the whole.
pub(super) fn verdict(findings: &[Finding]) -> Verdict {
    // What has to be mended first goes first.
    const ORDER: [Verdict; 4] = [Verdict::Misconfigured, Verdict::RedirectUri, Verdict::Unreachable, Verdict::Rejected];
    let accepted = findings.iter().any(|finding| matches!(finding, Finding::Accepted { .. }));
    let errors = || findings.iter().filter(|finding| finding.severity() == Severity::Error);
    let told = |wanted| errors().any(|finding| finding.verdict() == Some(wanted));
    if !accepted && findings.iter().any(|finding| finding.verdict() == Some(Verdict::Unknown)) {
        // Of two secrets one turned down, and one of which nobody can tell: nobody can tell.
        let serious = ORDER.into_iter().take(3).find(|wanted| told(*wanted));
        return serious.unwrap_or(Verdict::Unknown);
    }
    match ORDER.into_iter().find(|wanted| told(*wanted)) {
        Some(verdict) => verdict,
        None if accepted => Verdict::Accepted,
        None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_accepted_only_where_nothing_is_wrong() {
        let words = || Words { error: "invalid_client".to_owned(), description: None };
        let kind = Some(SecretKind::Current);
        let accepted = || Finding::Accepted { secret: kind, confirmed: true };
        let rejected = |other_works| Finding::Rejected { secret: kind, words: words(), other_works };
        let unclear = || Finding::Unclear { secret: kind, words: words() };
        let redirect = || Finding::RedirectUri { place: Place::Authorization, register: String::new(), words: None };
        let broken = || Finding::Broken { place: Place::Authorization, url: String::new(), status: 500 };
        for (findings, expected) in [
            (vec![], Verdict::Unknown),
            (vec![accepted()], Verdict::Accepted),
            (vec![accepted(), rejected(true)], Verdict::Accepted),
            (vec![accepted(), redirect()], Verdict::RedirectUri),
            (vec![accepted(), broken()], Verdict::Unreachable),
            (vec![accepted(), Finding::Clock { skew_ms: 90_000 }], Verdict::Accepted),
            (vec![rejected(false), rejected(false)], Verdict::Rejected),
            (vec![rejected(false), unclear()], Verdict::Unknown),
            (vec![unclear(), redirect()], Verdict::RedirectUri),
            (vec![Finding::CodeFirst { secret: kind }], Verdict::Unknown),
            (vec![Finding::OnlyHashed], Verdict::Misconfigured),
            (vec![Finding::OtherWay { secret: kind, client_auth: "x" }, rejected(false)], Verdict::Misconfigured),
        ] {
            assert_eq!(verdict(&findings), expected, "{findings:?}");
        }
    }
}
