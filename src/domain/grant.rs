//! A grant: what a provider gave us for one account (RFC 6749 §1.3), and how it fares.

use super::{Secret, Timestamp, warning::Warning};

/// How a grant came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantType {
    /// By a browser and a code (RFC 6749 §4.1).
    AuthorizationCode,
    /// By the app's own credentials (RFC 6749 §4.4).
    ClientCredentials,
    /// By a code entered on another device (RFC 8628).
    DeviceCode,
    /// From somewhere else, with its refresh token.
    Imported,
}

impl GrantType {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "device_code",
            Self::Imported => "imported",
        }
    }

    /// The grant type of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::AuthorizationCode, Self::ClientCredentials, Self::DeviceCode, Self::Imported]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// Who is to blame for a token request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The profile: its client id or secret is turned down. All its connections wait; none is lost.
    App,
    /// The grant: it is gone, and somebody has to authorise again.
    Grant,
    /// The provider: it is down, busy, or answers what nobody understands.
    Provider,
    /// Whatever lies between: name, route, TLS, time.
    Network,
}

impl Blame {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Grant => "grant",
            Self::Provider => "provider",
            Self::Network => "network",
        }
    }

    /// The blame of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::App, Self::Grant, Self::Provider, Self::Network].into_iter().find(|blame| blame.as_str() == word)
    }
}

/// The secrets of a grant, sealed together.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// What opens the provider's API (RFC 6749 §1.4).
    pub access: Secret,
    /// What fetches the next access token (RFC 6749 §1.5).
    pub refresh: Option<Secret>,
    /// The refresh token before this one, until this one has worked.
    pub previous: Option<Secret>,
    /// Fields of the answer or the callback that were to be kept: a JSON object as text (`{"instance_url":"…"}`).
    pub extra: Secret,
}

/// What is known of a grant beside its secrets.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The connection whose grant it is.
    pub connection_id: i64,
    /// How it came.
    pub grant_type: GrantType,
    /// Grows with each change of the tokens.
    pub version: i64,
    /// How the access token is to be shown: `Bearer` mostly.
    pub token_type: String,
    /// What was granted, as the provider wrote it; `None`: it said nothing, so it is what was asked for.
    pub scope: Option<String>,
    /// When the account's owner agreed.
    pub granted_at: Timestamp,
    /// When the access token came.
    pub issued_at: Timestamp,
    /// When the access token ends; `None`: nobody said.
    pub expires_at: Option<Timestamp>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// When the refresh token came or was last used.
    pub refresh_issued_at: Option<Timestamp>,
    /// When the refresh token ends, where the provider said so.
    pub refresh_expires_at: Option<Timestamp>,
    /// When it is to be refreshed next; `None`: not by itself.
    pub due_at: Option<Timestamp>,
    /// Since when we do not know whether our refresh token is the last one; `None`: we know.
    pub uncertain_at: Option<Timestamp>,
    /// Refreshes that failed since the last one that did not.
    pub failures: u32,
    /// Who is to blame for the last failure; `None`: the last refresh worked.
    pub blame: Option<Blame>,
    /// When a refresh was last tried.
    pub last_attempt_at: Option<Timestamp>,
    /// What came of it, in a word: `refreshed`, `invalid_grant`, `timeout`.
    pub last_result: Option<String>,
    /// When a refresh last worked.
    pub last_refreshed_at: Option<Timestamp>,
    /// The provider's clock less ours, in milliseconds.
    pub skew_ms: Option<i64>,
    /// How often its access token was handed out.
    pub handed_out: u64,
    /// When last.
    pub handed_out_at: Option<Timestamp>,
    /// The lifetime of access tokens in milliseconds, as the provider last stated it for this grant; `None`: never.
    pub stated_lifetime_ms: Option<i64>,
    /// Successive answers whose access token lives shorter than [`MIN_REFRESH_INTERVAL_MS`].
    pub short_lived: u32,
    /// Since when the provider answers 400, 401 or 403 and names neither the client nor the grant.
    pub refused_since: Option<Timestamp>,
    /// Facts about the last failure, a JSON object as text; `None`: the last refresh worked.
    pub failure: Option<String>,
    /// What should be known although the token is served.
    pub warnings: Vec<Warning>,
}

/// A clock that is set back by more than this makes everything that came "later" untrustworthy.
const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;

/// No grant is refreshed twice within this time unless a caller or an administrator asks: 30 seconds.
pub const MIN_REFRESH_INTERVAL_MS: i64 = 30 * 1000;
/// All callers of a grant together cause at most one refresh in this time: 60 seconds.
pub const MIN_CALLER_INTERVAL_MS: i64 = 60 * 1000;

impl Grant {
    /// Whether the access token is good for at least `min_ttl_ms` more. One that came in the future came before somebody
    /// set the clock back: nobody knows when it ends.
    pub fn is_good_for(&self, min_ttl_ms: i64, now: Timestamp) -> bool {
        self.issued_at <= now.plus_ms(CLOCK_TOLERANCE_MS)
            && self.expires_at.is_none_or(|end| end >= now.plus_ms(min_ttl_ms))
    }

    /// Whether it can get a new access token by itself.
    pub fn renews(&self) -> bool {
        self.refreshable || self.grant_type == GrantType::ClientCredentials
    }

    /// The lifetime of its access tokens in milliseconds; `None`: unknown, as for an imported token of unknown age.
    pub fn lifetime_ms(&self) -> Option<i64> {
        if self.grant_type == GrantType::Imported && self.last_refreshed_at.is_none() {
            return None;
        }
        self.expires_at.map(|end| end.0 - self.issued_at.0)
    }

    /// When a caller's request may cause a refresh; a time that is over: now. An attempt that lies in the future was made
    /// before the clock was set back, and does not count.
    pub fn caller_refresh_at(&self, now: Timestamp) -> Timestamp {
        self.last_attempt_at.filter(|last| *last <= now).map_or(now, |last| last.plus_ms(MIN_CALLER_INTERVAL_MS))
    }
}

/// An account that has as many grants for one app as its provider keeps, or more: one more ends the oldest. We know of
/// those that are connections of ours and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// What people know the account by, or its id.
    pub account: String,
    /// How many connections of one profile have it.
    pub count: u64,
    /// How many grants the provider keeps.
    pub most: u32,
}

/// Why there is no access token to hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoToken {
    /// Nobody has connected an account yet.
    NotConnected,
    /// The grant is gone: somebody has to authorise again.
    NeedsReauthorization,
    /// The provider turns down the profile's client id or secret.
    AppSecretRejected,
    /// The last refresh failed, and not because of the client or the grant.
    ProviderUnavailable {
        /// After how many seconds it makes sense to come back.
        retry_after_s: u32,
        /// Whether the provider answered and refused this connection; otherwise it, or the network to it, is out.
        refused: bool,
    },
    /// The provider's tokens do not live as long as the caller needs one.
    TooShortLived {
        /// How long they live, in seconds.
        lifetime_s: i64,
        /// After how many seconds a caller's request may cause the next refresh; zero: it would not help.
        retry_after_s: u32,
    },
}

/// Whole seconds, rounded up.
pub fn whole_seconds(duration: std::time::Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

impl NoToken {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::AppSecretRejected => "app_secret_rejected",
            Self::ProviderUnavailable { .. } => "provider_unavailable",
            Self::TooShortLived { .. } => "token_too_short_lived",
        }
    }
}
