//! One account's grant, made through a profile.

use super::value::{Name, Timestamp};

/// A connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// From 1.
    pub id: i64,
    /// What it is called.
    pub name: Name,
    /// The slug of its provider.
    pub provider: String,
    /// The profile whose client id and secret it uses.
    pub profile_id: i64,
    /// Whose account it is, in the owner's system; `None` when nobody said.
    pub owner: Option<String>,
    /// The customer it belongs to.
    pub customer_id: Option<i64>,
    /// Its id in somebody else's system.
    pub external_id: Option<String>,
    /// The folder it is shown in.
    pub folder_id: Option<i64>,
    /// The connection it was made from.
    pub parent_id: Option<i64>,
    /// How its authorisation stands; `None`: never authorised.
    pub status: Option<Status>,
    /// When its account was last authorised.
    pub authorized_at: Option<Timestamp>,
    /// When its grant was lost or ended.
    pub lost_at: Option<Timestamp>,
    /// Why.
    pub lost_reason: Option<String>,
    /// The account at the provider, as its user info tells.
    pub account_id: Option<String>,
    /// What people know that account by.
    pub account_label: Option<String>,
    /// What was asked for; `None`: the provider's default.
    pub scopes: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How a connection's authorisation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Authorised, as far as we know.
    Success,
    /// Its grant is gone: somebody has to authorise it again.
    Failed,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// The status of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Success, Self::Failed].into_iter().find(|status| status.as_str() == word)
    }
}

/// What is asked for when a connection is made or changed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it is called.
    pub name: Name,
    /// The slug of its provider; `None` when changed: as it is.
    pub provider: Option<String>,
    /// The profile to use; `None`: the only one of that provider.
    pub profile_id: Option<i64>,
    /// Whose account it is.
    pub owner: Option<String>,
    /// Its id in somebody else's system.
    pub external_id: Option<String>,
    /// The folder it is shown in.
    pub folder_id: Option<i64>,
    /// The connection it is made from.
    pub parent_id: Option<i64>,
    /// Values for its provider's variables and the like, a JSON object as text; kept sealed.
    pub input: Option<super::Secret>,
}

/// Which connections to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this customer's.
    pub customer_id: Option<i64>,
    /// Only those with this external id.
    pub external_id: Option<String>,
    /// Only those of this profile.
    pub profile_id: Option<i64>,
    /// Only those made from this connection.
    pub parent_id: Option<i64>,
    /// Only those in this folder.
    pub folder_id: Option<i64>,
    /// Those made from another connection too.
    pub include_runtime: bool,
    /// Only those within this reach.
    pub reach: super::reach::Reach,
}
