//! How a simulator behaves: everything that can be chosen when it is started.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use super::faults::Rule;

/// The client that every simulator knows from the start.
pub const CLIENT_ID: &str = "practice";
/// Its secret. It protects nothing: the tokens of a simulator open nothing but the simulator.
pub const CLIENT_SECRET: &str = "practice-secret";

/// Everything that can be chosen.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to take connections: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What a refresh does to the refresh token.
    pub rotation: Rotation,
    /// Whether the definition of the provider states its rotation.
    pub declares_rotation: bool,
    /// Whose answers and errors are played.
    pub like: Like,
    /// Seconds that an access token lives.
    pub access_token_life_s: u64,
    /// The redirect URIs of the client [`CLIENT_ID`]; empty: any on loopback.
    pub redirect_uris: Vec<String>,
    /// What goes wrong from the start.
    pub faults: Vec<Rule>,
    /// How often the token endpoint may be asked; `None`: as often as you like.
    pub throttle: Option<Throttle>,
    /// Seconds between two polls of a device (RFC 8628 §3.2).
    pub device_interval_s: u64,
}

impl Default for Options {
    /// Plain answers, refresh tokens that stay, tokens of five minutes, at 127.0.0.1 on a free port.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            rotation: Rotation::None,
            declares_rotation: true,
            like: Like::Plain,
            access_token_life_s: 300,
            redirect_uris: Vec::new(),
            faults: Vec::new(),
            throttle: None,
            device_interval_s: 5,
        }
    }
}

/// Why a word that chooses something is not understood. Printed, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(pub(super) String);

impl Unknown {
    pub(super) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// What a refresh does to the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing: it stays the same for ever.
    None,
    /// It changes; one that was used ends the whole grant when it is sent again (RFC 9700 §4.14.2).
    Strict,
    /// It changes; one that was used may be sent again for so many seconds, afterwards it is as under `Strict`.
    Grace(u64),
    /// It changes; the one before stays good until what came in its place has been used once, as FAPI 2.0 wants for the
    /// sake of lost answers. Afterwards it is merely invalid.
    RetrySafe,
}

impl FromStr for Rotation {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "strict" => Ok(Self::Strict),
            None if text == "retry-safe" => Ok(Self::RetrySafe),
            Some(("grace", seconds)) if seconds.len() <= 9 => {
                seconds.parse().map(Self::Grace).map_err(|_| Unknown::new("grace:N needs a number of seconds"))
            }
            _ => Err(Unknown::new("one of none, strict, grace:SECONDS, retry-safe")),
        }
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Strict => f.write_str("strict"),
            Self::Grace(seconds) => write!(f, "grace:{seconds}"),
            Self::RetrySafe => f.write_str("retry-safe"),
        }
    }
}

/// Whose answers and errors are played, as their public documentation has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Like {
    /// Nobody's: RFC 6749 and its family to the letter.
    Plain,
    /// Slack's OAuth v2 with token rotation: every answer has status 200 and says `ok`.
    Slack,
    /// Salesforce's: no `expires_in`, but `issued_at`, `instance_url` and an identity URL.
    Salesforce,
    /// `QuickBooks` Online's: HTTP Basic only, the refresh token's life in the answer, `realmId` in the callback.
    QuickBooks,
    /// Zoho's: errors with status 200, `api_domain`, a header scheme of its own.
    Zoho,
    /// Shopify's expiring offline tokens: scopes with commas, no `token_type`, a header of its own.
    Shopify,
}

impl Like {
    /// All of them, with their words.
    pub const ALL: [(Self, &str); 6] = [
        (Self::Plain, "plain"),
        (Self::Slack, "slack"),
        (Self::Salesforce, "salesforce"),
        (Self::QuickBooks, "quickbooks"),
        (Self::Zoho, "zoho"),
        (Self::Shopify, "shopify"),
    ];
}

impl FromStr for Like {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text).map(|(like, _)| *like);
        found.ok_or_else(|| Unknown::new(format_args!("one of {}", Self::ALL.map(|(_, word)| word).join(", "))))
    }
}

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(like, _)| like == self).map_or("", |(_, word)| word))
    }
}

/// How often the token endpoint may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// So many requests, 1 to 100,000 …
    pub requests: usize,
    /// … within so many seconds, whenever they begin.
    pub per_s: u64,
}

impl FromStr for Throttle {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let read = || {
            let (requests, per_s) = text.split_once('/')?;
            let (requests, per_s) = (requests.parse().ok()?, per_s.parse().ok()?);
            ((1..=100_000).contains(&requests) && (1..=86_400).contains(&per_s)).then_some(Self { requests, per_s })
        };
        read().ok_or_else(|| Unknown::new("REQUESTS/SECONDS such as 10/60, up to 100000 within up to 86400 seconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for word in ["none", "strict", "grace:30", "grace:0", "retry-safe"] {
            assert_eq!(word.parse::<Rotation>().map(|rotation| rotation.to_string()), Ok(word.to_owned()));
        }
        for bad in ["", "Strict", "grace", "grace:", "grace:-1", "grace:1s", "grace:99999999999", "strict:1"] {
            assert!(bad.parse::<Rotation>().is_err(), "{bad}");
        }
        for (like, word) in Like::ALL {
            assert_eq!(word.parse(), Ok(like));
            assert_eq!(like.to_string(), word);
        }
        assert_eq!("10/60".parse(), Ok(Throttle { requests: 10, per_s: 60 }));
        for bad in ["10", "0/1", "1/0", "a/1", "100001/1", "1/86401", "1/1/1"] {
            assert!(bad.parse::<Throttle>().is_err(), "{bad}");
        }
    }
}
