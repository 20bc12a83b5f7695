//! Customers, alias managed users: those for whom accounts are connected.

use super::{
    error::Why,
    value::{Name, Timestamp},
};

/// A customer.
#[derive(Debug, Clone)]
pub struct Customer {
    /// From 1.
    pub id: i64,
    /// What it is called. Two may share a name.
    pub name: Name,
    /// Where to write to.
    pub notification_email: String,
    /// Its id in somebody else's system; unique.
    pub external_id: Option<Name>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What is asked for when a customer is made or changed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it is called.
    pub name: Name,
    /// Where to write to.
    pub notification_email: String,
    /// Its id in somebody else's system.
    pub external_id: Option<Name>,
}

/// How a caller names a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// By our id.
    Id(i64),
    /// By its external id: `E` and the id, in a path.
    External(String),
}

impl Key {
    /// Reads a path segment, percent-decoded: `12` or `Eacme-eu`.
    pub fn parse(segment: &str) -> Result<Self, Why> {
        match segment.strip_prefix('E') {
            Some(external) if !external.is_empty() => Ok(Self::External(external.to_owned())),
            _ => segment.parse().map(Self::Id).map_err(|_| Why::Malformed("an id, or E and an external id")),
        }
    }
}
