//! Credentials for our own API, and the form of every credential that we issue.

use super::{
    reach::Reach,
    user::Scopes,
    value::{Name, Timestamp},
};

/// A token for our API. The token itself is shown once; only its SHA-256 is kept.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// From 1.
    pub id: i64,
    /// What it is for, in its maker's words.
    pub name: Name,
    /// Whose it is: it never may more than that user. `None`: whoever has the machine.
    pub user_id: Option<i64>,
    /// What it may do, at most.
    pub scopes: Scopes,
    /// Networks it may be used from (`10.1.0.0/16`, `::1`); empty: from anywhere.
    pub addresses: Vec<String>,
    /// Which connections it may see and use.
    pub reach: Reach,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// What a credential that we issue is for. Its word stands in the token's text, so that a scanner can name a find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A token for our API.
    Api,
    /// An access token of a client application (RFC 6749 §1.4).
    Access,
    /// A secret of a client application (RFC 6749 §2.3.1).
    Secret,
    /// A session of the admin page.
    Session,
    /// A setup link for the first administrator.
    Setup,
    /// What the deliveries to a webhook are signed with.
    Webhook,
    /// A link by which somebody connects an account.
    Link,
    /// The credential that a running server leaves for the command line on the same machine.
    Run,
}

impl TokenKind {
    /// The word in the token's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Access => "access",
            Self::Secret => "secret",
            Self::Session => "session",
            Self::Setup => "setup",
            Self::Webhook => "webhook",
            Self::Link => "link",
            Self::Run => "run",
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Api, Self::Access, Self::Secret, Self::Session, Self::Setup, Self::Webhook, Self::Link, Self::Run]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}
