//! What changes while somebody looks.

use super::user::Scope;

/// A noun of which something has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Connections, and how their grants fare.
    Connections,
    /// Profiles and their secrets.
    Profiles,
    /// Customers, and what is assigned to them.
    Customers,
    /// Client applications and their secrets.
    ClientApplications,
    /// The operator's own providers.
    Providers,
    /// What happened.
    Events,
    /// Webhooks and their deliveries.
    Webhooks,
    /// Tokens for our own API.
    ApiTokens,
    /// Users.
    Users,
    /// The audit trail.
    Audit,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::Profiles,
        Self::Customers,
        Self::ClientApplications,
        Self::Providers,
        Self::Events,
        Self::Webhooks,
        Self::ApiTokens,
        Self::Users,
        Self::Audit,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Profiles => "profiles",
            Self::Customers => "customers",
            Self::ClientApplications => "client_applications",
            Self::Providers => "providers",
            Self::Events => "events",
            Self::Webhooks => "webhooks",
            Self::ApiTokens => "api_tokens",
            Self::Users => "users",
            Self::Audit => "audit",
        }
    }

    /// Who may see these may hear that they change.
    pub fn scope(self) -> Scope {
        match self {
            Self::Connections | Self::Events => Scope::ConnectionsRead,
            Self::Profiles | Self::Customers | Self::Providers => Scope::ProfilesRead,
            Self::ClientApplications => Scope::ApplicationsRead,
            Self::Audit => Scope::AuditRead,
            Self::Webhooks | Self::ApiTokens | Self::Users => Scope::Admin,
        }
    }
}

/// A set of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Topics(pub u16);

impl Topics {
    /// Just these.
    pub fn of(topics: &[Topic]) -> Self {
        Self(topics.iter().fold(0, |bits, topic| bits | 1 << *topic as u16))
    }

    /// Whether this one is among them.
    pub fn has(self, topic: Topic) -> bool {
        self.0 & Self::of(&[topic]).0 != 0
    }
}

/// How often something of each topic has changed, in the order of [`Topic::ALL`]. Who remembers an earlier state knows
/// what has changed since, however much it was.
pub type Changes = [u64; Topic::ALL.len()];

/// What has changed between two states.
pub fn changed(before: &Changes, after: &Changes) -> Topics {
    let pairs = Topic::ALL.into_iter().zip(before.iter().zip(after));
    Topics::of(&pairs.filter(|(_, (before, after))| before != after).map(|(topic, _)| topic).collect::<Vec<_>>())
}
