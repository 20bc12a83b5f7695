//! What wants somebody's attention, and how much there is of everything.

use super::{Timestamp, expiring::Expiring, history::RefreshDay, search::Named};

/// A profile whose client id or secret its provider turns down.
#[derive(Debug, Clone)]
pub struct RejectedProfile {
    /// Which.
    pub profile: Named,
    /// How many connections wait for it.
    pub connections: u64,
    /// Since when.
    pub since: Timestamp,
    /// What the provider says.
    pub why: Option<String>,
}

/// A connection that stands for others with the same trouble.
#[derive(Debug, Clone)]
pub struct Example {
    /// Which.
    pub connection: Named,
    /// Whose account it is.
    pub owner: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What is known of the reason.
    pub reason: Option<String>,
}

/// How many have a trouble, and some of them.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    /// How many.
    pub count: u64,
    /// Those it came to last.
    pub examples: Vec<Example>,
}

/// A webhook with deliveries that were given up.
#[derive(Debug, Clone)]
pub struct DeadDeliveries {
    /// The webhook.
    pub webhook_id: i64,
    /// Its address.
    pub url: String,
    /// How many.
    pub count: u64,
}

/// How many connections there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// That are authorised, as far as we know.
    pub ok: u64,
    /// Whose grant is gone.
    pub lost: u64,
    /// That nobody has authorised.
    pub never: u64,
}

impl ConnectionCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ok + self.lost + self.never
    }
}

/// How many there are of everything; `None`: not for this caller.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "numbers of what they are called")]
pub struct Counts {
    pub profiles: u64,
    pub connections: ConnectionCounts,
    pub customers: u64,
    pub providers: u64,
    pub client_applications: Option<u64>,
    pub api_tokens: Option<u64>,
    pub webhooks: Option<u64>,
    pub users: Option<u64>,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Overview {
    /// When it was looked at.
    pub at: Timestamp,
    /// Those that were turned down first come first.
    pub rejected: Vec<RejectedProfile>,
    /// Connections that have to be authorised again.
    pub lost: Trouble,
    /// Connections of which nobody knows whether our refresh token is the last one.
    pub uncertain: Trouble,
    /// What ends soon, the first first.
    pub expiring: Vec<Expiring>,
    /// Whether more ends soon.
    pub more_expiring: bool,
    /// Webhooks that did not get what was for them; none for who may not see webhooks.
    pub dead: Vec<DeadDeliveries>,
    /// How many there are of everything.
    pub counts: Counts,
    /// The last days, oldest first; none for who does not reach every connection.
    pub refreshes: Vec<RefreshDay>,
    /// When the last backup was made; `None`: never, as far as we know.
    pub last_backup_at: Option<Timestamp>,
}
