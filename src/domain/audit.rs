//! Who did what, when. An entry is written in the transaction of the deed.

/// A deed that leaves an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Made.
    Created,
    /// Changed.
    Updated,
    /// Removed.
    Deleted,
    /// A profile given to a customer.
    Assigned,
    /// A profile taken from a customer.
    Unassigned,
    /// A configuration document loaded.
    Loaded,
    /// A connection's grant ended.
    Disconnected,
    /// A secret compared with the one that is kept.
    SecretVerified,
    /// A secret issued.
    SecretIssued,
    /// A client secret to come put in the place of the one in use.
    SecretPromoted,
    /// A secret revoked.
    SecretRevoked,
    /// Logged in.
    LoggedIn,
    /// Logged out.
    LoggedOut,
    /// A setup link made.
    SetupLinkMade,
    /// A refresh asked for by hand.
    Refreshed,
    /// An access token of a provider handed out, the first time in an hour.
    TokenHandedOut,
    /// A token revoked at its provider, or given up.
    Revoked,
    /// A link made by which an account can be connected.
    LinkMade,
    /// An account connected.
    Connected,
    /// A profile tried at its provider.
    Checked,
}

impl Deed {
    /// The word that the trail keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Assigned => "assigned",
            Self::Unassigned => "unassigned",
            Self::Loaded => "loaded",
            Self::Disconnected => "disconnected",
            Self::SecretVerified => "secret_verified",
            Self::SecretIssued => "secret_issued",
            Self::SecretPromoted => "secret_promoted",
            Self::SecretRevoked => "secret_revoked",
            Self::LoggedIn => "logged_in",
            Self::LoggedOut => "logged_out",
            Self::SetupLinkMade => "setup_link_made",
            Self::Refreshed => "refreshed",
            Self::TokenHandedOut => "token_handed_out",
            Self::Revoked => "revoked",
            Self::LinkMade => "link_made",
            Self::Connected => "connected",
            Self::Checked => "checked",
        }
    }
}
