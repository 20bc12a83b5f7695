//! Warnings: what an operator or a caller should know about a connection although its token is served.

use super::Timestamp;

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningCode {
    /// The provider states no lifetime of access tokens, and no default is known.
    LifetimeUnknown,
    /// The provider states a lifetime that is zero, negative, not finite or over already. `params`: `value`, as it was sent.
    LifetimeInvalid,
    /// Access tokens live shorter than the least interval between two refreshes. `params`: `lifetime_seconds`.
    LifetimeBelowFloor,
    /// Fewer scopes were granted than requested (RFC 6749 §3.3). `params`: `scopes`, those missing.
    MissingScopes,
    /// The access token expires and there is no refresh token. `params`: `expires_at`, `ask_for`: what makes providers of
    /// this kind issue one.
    NotRefreshable,
    /// The account has as many grants as its provider keeps. `params`: `account`, `count`, `most`.
    GrantLimitReached,
    /// It could not be verified that the account is the one that was connected before. `params`: `reason`.
    AccountUnverified,
    /// The account was reconnected and brought no refresh token: the one before is kept.
    RefreshTokenKept,
    /// The provider keeps refusing to refresh this connection and names neither client nor grant. `params`: `reason`,
    /// `provider_error`, `http_status`.
    RefreshFailing,
}

impl WarningCode {
    /// All codes.
    pub const ALL: [Self; 9] = [
        Self::LifetimeUnknown,
        Self::LifetimeInvalid,
        Self::LifetimeBelowFloor,
        Self::MissingScopes,
        Self::NotRefreshable,
        Self::GrantLimitReached,
        Self::AccountUnverified,
        Self::RefreshTokenKept,
        Self::RefreshFailing,
    ];

    /// The code in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LifetimeUnknown => "lifetime_unknown",
            Self::LifetimeInvalid => "lifetime_invalid",
            Self::LifetimeBelowFloor => "lifetime_below_floor",
            Self::MissingScopes => "missing_scopes",
            Self::NotRefreshable => "not_refreshable",
            Self::GrantLimitReached => "grant_limit_reached",
            Self::AccountUnverified => "account_unverified",
            Self::RefreshTokenKept => "refresh_token_kept",
            Self::RefreshFailing => "refresh_failing",
        }
    }

    /// The warning with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == code)
    }
}

/// One warning of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// Facts for a translation: a JSON object as text. Never a secret.
    pub params: String,
    /// Since when it holds without interruption.
    pub since: Timestamp,
}
