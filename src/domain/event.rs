//! What happens to connections and profiles, for those who want to hear of it. One event for each episode: a secret that
//! is turned down a thousand times is turned down once.

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
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Connected, Self::NeedsReauthorization, Self::AppSecretRejected, Self::Healed, Self::Disconnected];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::AppSecretRejected => "app_secret_rejected",
            Self::Healed => "healed",
            Self::Disconnected => "disconnected",
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}
