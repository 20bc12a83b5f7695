//! What happens to connections and profiles, for those who want to hear of it. One event for each episode: a secret that
//! is turned down a thousand times is turned down once.

use super::Timestamp;

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// An account was connected, for the first time or again.
    Connected,
    /// A grant is gone: somebody has to authorise the connection again.
    NeedsReauthorization,
    /// A provider turns down a profile's client id or secret; its connections wait.
    AppSecretRejected,
    /// What was rejected or failing works again.
    Healed,
    /// A grant was ended by us.
    Disconnected,
    /// A connection works, and something about it should be known: see [`super::warning::WarningCode`].
    Warning,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Connected,
        Self::NeedsReauthorization,
        Self::AppSecretRejected,
        Self::Healed,
        Self::Disconnected,
        Self::Warning,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::AppSecretRejected => "app_secret_rejected",
            Self::Healed => "healed",
            Self::Disconnected => "disconnected",
            Self::Warning => "warning",
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// From 1, ascending: a receiver can tell by it that it has seen the event.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The connection that it is about.
    pub connection: Option<ConnectionInEvent>,
    /// The profile that it is about.
    pub profile: Option<ProfileInEvent>,
    /// Facts worth telling: a JSON object as text. Never a secret.
    pub detail: String,
}

/// The connection of an event, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInEvent {
    /// From 1.
    pub id: i64,
    /// What it is called; `None`: it is gone.
    pub name: Option<String>,
    /// Whose account it is.
    pub owner: Option<String>,
    /// Its id in somebody else's system.
    pub external_id: Option<String>,
    /// The slug of its provider; `None`: it is gone.
    pub provider: Option<String>,
}

/// The profile of an event, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileInEvent {
    /// From 1.
    pub id: i64,
    /// What it is called; `None`: it is gone.
    pub name: Option<String>,
    /// The slug of its provider; `None`: it is gone.
    pub provider: Option<String>,
}
