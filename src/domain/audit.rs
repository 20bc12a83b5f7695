//! Who did what, when. An entry is written in the transaction of the deed.

use super::value::Timestamp;

/// An entry, as it is read.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Grows with time.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who: `user 1`, `api_token 3`, `client_application 7579…`, `machine`, or `nobody`: who has not shown
    /// who it is.
    pub actor: String,
    /// What the actor is called now; `None`: it is gone, or is the machine or nobody.
    pub actor_name: Option<String>,
    /// What was done, as [`Deed`] has it; a word that this program does not know is told as it is.
    pub deed: String,
    /// To what kind of thing: `profile`.
    pub noun: String,
    /// To which one.
    pub noun_id: String,
    /// Facts, a JSON object as text.
    pub detail: String,
    /// The request.
    pub request_id: String,
    /// Where it came from.
    pub address: String,
}

/// Which entries: all that meet every part that is there.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Who, exactly.
    pub actor: Option<String>,
    /// What was done.
    pub deed: Option<Deed>,
    /// To what kind of thing.
    pub noun: Option<String>,
    /// To which one.
    pub noun_id: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// A part of the actor, the thing's id, the facts, the request's id or the address, without regard to case.
    pub text: Option<String>,
}

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
    /// Origins to which the secrets of a provider's profiles may go confirmed.
    OriginsConfirmed,
    /// A refresh asked for by hand.
    Refreshed,
    /// An access token of a provider handed out, the first time in an hour.
    TokenHandedOut,
    /// A token revoked at its provider, or given up.
    Revoked,
    /// A link made by which an account can be connected.
    LinkMade,
    /// A device's code asked for, by which an account can be connected.
    DeviceCodeMade,
    /// An account connected.
    Connected,
    /// A profile tried at its provider, or a backup verified.
    Checked,
    /// A new key made active, or everything sealed with it.
    Rotated,
    /// A backup sent away.
    Downloaded,
    /// A backup put back in the place of the database.
    Restored,
    /// A second factor begun; it asks nothing of anybody yet.
    SecondFactorBegun,
    /// A second factor confirmed: log-ins ask for a code from now on.
    SecondFactorOn,
    /// New recovery codes in the place of those there were.
    RecoveryCodesRenewed,
    /// A second factor taken away.
    SecondFactorOff,
    /// Wrong passwords of a user, or ones that came too often to be compared: one entry for all that an address tried within
    /// a minute.
    PasswordRefused,
    /// A wrong code behind a right password: somebody may know that. Or codes that came too often to be looked at.
    CodeRefused,
    /// Sessions ended by their user.
    SessionEnded,
    /// An access token issued to a client application, the first time in an hour from an address.
    TokenIssued,
    /// An access token of a client application revoked, as often.
    TokenRevoked,
    /// The trail read as a whole, into a file.
    Exported,
}

impl Deed {
    /// All deeds.
    pub const ALL: [Self; 35] = [
        Self::Created,
        Self::Updated,
        Self::Deleted,
        Self::Assigned,
        Self::Unassigned,
        Self::Loaded,
        Self::Disconnected,
        Self::SecretVerified,
        Self::SecretIssued,
        Self::SecretPromoted,
        Self::SecretRevoked,
        Self::LoggedIn,
        Self::LoggedOut,
        Self::SetupLinkMade,
        Self::OriginsConfirmed,
        Self::Refreshed,
        Self::TokenHandedOut,
        Self::Revoked,
        Self::LinkMade,
        Self::DeviceCodeMade,
        Self::Connected,
        Self::Checked,
        Self::Rotated,
        Self::Downloaded,
        Self::Restored,
        Self::SecondFactorBegun,
        Self::SecondFactorOn,
        Self::RecoveryCodesRenewed,
        Self::SecondFactorOff,
        Self::PasswordRefused,
        Self::CodeRefused,
        Self::SessionEnded,
        Self::TokenIssued,
        Self::TokenRevoked,
        Self::Exported,
    ];

    /// The deed of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|deed| deed.as_str() == word)
    }

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
            Self::OriginsConfirmed => "origins_confirmed",
            Self::Refreshed => "refreshed",
            Self::TokenHandedOut => "token_handed_out",
            Self::Revoked => "revoked",
            Self::LinkMade => "link_made",
            Self::DeviceCodeMade => "device_code_made",
            Self::Connected => "connected",
            Self::Checked => "checked",
            Self::Rotated => "rotated",
            Self::Downloaded => "downloaded",
            Self::Restored => "restored",
            Self::SecondFactorBegun => "second_factor_begun",
            Self::SecondFactorOn => "second_factor_on",
            Self::RecoveryCodesRenewed => "recovery_codes_renewed",
            Self::SecondFactorOff => "second_factor_off",
            Self::PasswordRefused => "password_refused",
            Self::CodeRefused => "code_refused",
            Self::SessionEnded => "session_ended",
            Self::TokenIssued => "token_issued",
            Self::TokenRevoked => "token_revoked",
            Self::Exported => "exported",
        }
    }
}
