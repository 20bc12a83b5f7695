//! A client registration at a provider (RFC 6749 §2), alias custom OAuth profile, alias OAuth configuration.

use std::collections::BTreeMap;

use super::{
    Secret,
    error::Why,
    value::{Name, Timestamp, check_text, is_placeholder},
};

/// A profile, without its secrets.
#[derive(Debug, Clone)]
pub struct Profile {
    /// From 1; never used again.
    pub id: i64,
    /// Unique among the profiles of its provider, case and all.
    pub name: Name,
    /// The slug of its provider, alias connector config name.
    pub provider: String,
    /// The client identifier (RFC 6749 §2.2).
    pub client_id: ClientId,
    /// Who made it; `None`: whoever had the machine.
    pub created_by: Option<i64>,
    /// How many connections use it.
    pub connections: u64,
    /// How many customers it is assigned to.
    pub customers: u64,
    /// Since when it has its secret.
    pub secret_since: Timestamp,
    /// Whether the secret can be opened, or only compared (`--secrets hashed`).
    pub secret_sealed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A client identifier: 1 to 1,024 visible characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientId(String);

impl ClientId {
    /// The most characters it may have.
    pub const MOST: usize = 1024;

    /// Checks `text`.
    pub fn new(text: impl Into<String>) -> Result<Self, Why> {
        let text = text.into();
        check_text(&text, Self::MOST)?;
        if is_placeholder(&text) {
            return Err(Why::Placeholder);
        }
        Ok(Self(text))
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The secret of a profile, as given by a caller.
pub fn client_secret(text: String) -> Result<Secret, Why> {
    let secret = Secret::given(text)?;
    if is_placeholder(secret.expose()) {
        return Err(Why::Placeholder);
    }
    Ok(secret)
}

/// What is asked for when a profile is made or replaced.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name.
    pub name: Name,
    /// The slug of its provider.
    pub provider: String,
    /// The client identifier.
    pub client_id: ClientId,
    /// The client secret.
    pub client_secret: Secret,
    /// The app's own token, for providers that have one.
    pub token: Change<Secret>,
    /// Further parameters: opaque JSON texts by key, kept sealed.
    pub parameters: Change<Parameters>,
}

/// Opaque JSON texts by key. They may hold anything, so they are treated as secrets.
pub type Parameters = BTreeMap<String, Secret>;

/// What becomes of a value that need not be given.
#[derive(Debug, Clone)]
pub enum Change<T> {
    /// It stays as it is; in something new: it is absent.
    Keep,
    /// It goes.
    Clear,
    /// It becomes this.
    Set(T),
}

/// What is known of a client secret of a profile: all but the secret.
#[derive(Debug, Clone)]
pub struct KeptSecret {
    /// Which one.
    pub kind: SecretKind,
    /// Since when it is known here, in whichever place.
    pub created_at: Timestamp,
    /// When the provider last took it, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When the provider stops taking it, as far as somebody said.
    pub expires_at: Option<Timestamp>,
    /// Whether it opens, so that it can be sent; else it can only be compared.
    pub usable: bool,
}

/// That a provider turns down the client id or secret of a profile.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Since when.
    pub at: Timestamp,
    /// What it says.
    pub why: String,
    /// It is not asked again before.
    pub until: Option<Timestamp>,
}

/// What refreshes through a profile do to refresh tokens, as observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// An answer brought another refresh token (RFC 6749 §6).
    Rotates,
    /// An answer brought none, or the same one.
    Stays,
}

impl Rotation {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rotates => "rotates",
            Self::Stays => "stays",
        }
    }

    /// Whether refresh tokens are treated as changing with each refresh. A rotation that was observed counts for more than
    /// a definition that declares none; where nothing is known, a refresh token may be good for one request (RFC 9700
    /// §4.14.2).
    pub fn is_assumed(declared: Option<bool>, observed: Option<Self>) -> bool {
        match (declared, observed) {
            (Some(true), _) | (_, Some(Self::Rotates)) | (None, None) => true,
            (Some(false), _) | (None, Some(Self::Stays)) => false,
        }
    }

    /// The observation of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Rotates, Self::Stays].into_iter().find(|known| known.as_str() == word)
    }
}

/// What the `scope` parameter of a refresh request holds (RFC 6749 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefreshScope {
    /// The parameter is left out.
    #[default]
    None,
    /// The scopes that the provider granted.
    Granted,
    /// Those that were requested, as far as they were granted.
    Requested,
}

impl RefreshScope {
    /// All values.
    pub const ALL: [Self; 3] = [Self::None, Self::Granted, Self::Requested];

    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Granted => "granted",
            Self::Requested => "requested",
        }
    }

    /// The value of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// What kind of value a row of `profile_secrets` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// The client secret in use.
    Current,
    /// The client secret to come, while the provider changes over.
    Next,
    /// The app's own token.
    Token,
    /// The parameters, one JSON object.
    Parameters,
}

impl SecretKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Current, Self::Next, Self::Token, Self::Parameters];

    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Next => "next",
            Self::Token => "token",
            Self::Parameters => "parameters",
        }
    }
}
