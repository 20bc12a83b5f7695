//! People who look after Grantry, and what they may do.

use super::value::{Name, Timestamp};

/// A user with a password.
#[derive(Debug, Clone)]
pub struct User {
    /// From 1; 0 stands for whoever types at the machine itself.
    pub id: i64,
    /// Unique without regard to case.
    pub name: Name,
    /// Where to write to.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// When the user was made.
    pub created_at: Timestamp,
    /// Whether a log-in asks for a code beside the password.
    pub second_factor: bool,
}

/// What a user may do, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Profiles and connections.
    Operator,
    /// Looks, touches nothing.
    Viewer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Operator, Self::Viewer];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// The role of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// What the role may do.
    pub fn scopes(self) -> Scopes {
        match self {
            Self::Admin => Scopes::ALL,
            Self::Operator => Scopes::of(&[
                Scope::ProfilesRead,
                Scope::ProfilesWrite,
                Scope::ConnectionsRead,
                Scope::ConnectionsWrite,
                Scope::ConnectionsToken,
            ]),
            Self::Viewer => Scopes::of(&[Scope::ProfilesRead, Scope::ConnectionsRead]),
        }
    }
}

/// One thing that a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See profiles, customers and providers.
    ProfilesRead,
    /// Change them.
    ProfilesWrite,
    /// See connections, not their tokens.
    ConnectionsRead,
    /// Make, change and end them.
    ConnectionsWrite,
    /// Be handed their access tokens.
    ConnectionsToken,
    /// See client applications.
    ApplicationsRead,
    /// Change them, and make their secrets.
    ApplicationsWrite,
    /// Read the audit trail.
    AuditRead,
    /// Everything, users and tokens included.
    Admin,
}

impl Scope {
    /// All scopes, in the order in which they are written.
    pub const ALL: [Self; 9] = [
        Self::ProfilesRead,
        Self::ProfilesWrite,
        Self::ConnectionsRead,
        Self::ConnectionsWrite,
        Self::ConnectionsToken,
        Self::ApplicationsRead,
        Self::ApplicationsWrite,
        Self::AuditRead,
        Self::Admin,
    ];

    /// The scope-token (RFC 6749 §3.3).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProfilesRead => "profiles:read",
            Self::ProfilesWrite => "profiles:write",
            Self::ConnectionsRead => "connections:read",
            Self::ConnectionsWrite => "connections:write",
            Self::ConnectionsToken => "connections:token",
            Self::ApplicationsRead => "applications:read",
            Self::ApplicationsWrite => "applications:write",
            Self::AuditRead => "audit:read",
            Self::Admin => "admin",
        }
    }

    /// The scope of this token.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes. `admin` includes all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u16);

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// Just these.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | 1 << *scope as u16))
    }

    /// The set written as space-separated words; the first word that is no scope is the error.
    pub fn parse(words: &str) -> Result<Self, String> {
        let scopes = words
            .split_ascii_whitespace()
            .map(|word| Scope::parse(word).ok_or_else(|| word.to_owned()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(&scopes))
    }

    /// Whether `scope` is in the set, or `admin` is.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & Self::of(&[scope, Scope::Admin]).0 != 0
    }

    /// What both sets allow.
    pub fn and(self, other: Self) -> Self {
        Self::of(&Scope::ALL.into_iter().filter(|s| self.allow(*s) && other.allow(*s)).collect::<Vec<_>>())
    }

    /// Whether nothing is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & Self::of(&[*scope]).0 != 0)
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_allows_everything_and_a_token_never_more_than_its_user() {
        let admin = Scopes::of(&[Scope::Admin]);
        assert!(Scope::ALL.into_iter().all(|scope| admin.allow(scope)));
        let both = Role::Viewer.scopes().and(admin);
        assert_eq!(both.to_string(), "profiles:read connections:read");
        assert!(!both.allow(Scope::Admin));
    }

    #[test]
    fn scopes_read_what_they_write() {
        assert_eq!(Scopes::parse(&Scopes::ALL.to_string()), Ok(Scopes::ALL));
        assert_eq!(Scopes::parse("profiles:read everything"), Err("everything".to_owned()));
    }
}
